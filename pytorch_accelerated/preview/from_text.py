"""Previews of what is written as text: on a command line, or in a configuration file."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_accelerated.checks import bounds, out_of_range, whole
from pytorch_accelerated.preview.make import preview
from pytorch_accelerated.preview.of_schedules import MOST_VALUES, bases_of, checked, of_fields
from pytorch_accelerated.preview.values import Overlay, Preview
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.expression import parse_schedule

_SCHEDULERS = ("CosineLrScheduler", "WSDLrScheduler")
_OTHER_NAMES = {"learning_rate": "lr", "wd": "weight_decay"}  # by which PyTorch has no field


def preview_of_text(
    text: object,
    base: object = None,
    num_updates: int | None = None,
    num_updates_per_epoch: int | None = None,
) -> Preview:
    """Return the preview of a schedule, of several fields' schedules, or of a scheduler.

    ``text`` is ``cosine(100)``, ``lr=…; weight_decay=…``, a mapping from fields to schedules, or a
    scheduler with its arguments, ``CosineLrScheduler(…)``. ``base`` is a number, a list with one
    for each group, text for these or for ``lr=…; weight_decay=…``, or a mapping from fields.
    """
    num_updates = checked(num_updates)
    if num_updates_per_epoch is not None:
        num_updates_per_epoch = whole("num_updates_per_epoch", num_updates_per_epoch, 1)
    call = _scheduler_call(text) if isinstance(text, str) else None
    if call is not None:
        return _of_scheduler(*call, base, num_updates, num_updates_per_epoch)
    schedules, num_updates = laid_out(plans_of(text), num_updates, num_updates_per_epoch)
    return preview_of(schedules, base, num_updates, num_updates_per_epoch)


def plans_of(text: object) -> dict[str, Schedule]:
    """Return field → the schedule that a text, or a mapping from fields, has for it."""
    parts = _by_field("schedule", text)
    for field, name in _OTHER_NAMES.items():
        if field in parts:
            raise ValueError(f"optimizers have no field {field!r}: write {name}=….")
    return {
        field or "lr": part if isinstance(part, Schedule) else parse_schedule(part)
        for field, part in parts.items()
    }


def split_fields(text: str) -> list[tuple[str, str, int]]:
    """Return the parts between semicolons: field, or nothing, the rest, and where that begins."""
    result, start = [], 0
    for part in text.split(";"):
        found = re.fullmatch(r"\s*([^\W\d]\w*)\s*=(?!=)(.*)", part, re.DOTALL)
        if found:
            result.append((found[1], found[2], start + found.start(2)))
        elif part.strip():
            result.append(("", part, start))
        start += len(part) + 1
    return result


def overlay_of_texts(
    texts: Sequence[str],
    base: object = None,
    num_updates: int | None = None,
    num_updates_per_epoch: int | None = None,
) -> Overlay:
    """Return several plans side by side; a base for a field is for those plans that have it."""
    by_field = {} if base is None else _by_field("base", base)
    fields = [
        ["lr"] if _scheduler_call(text) else [one or "lr" for one in _by_field("schedule", text)]
        for text in texts
    ]
    known = {field for own in fields for field in own}
    first, *others = (
        preview_of_text(
            text,
            {one: value for one, value in by_field.items() if one in own or one not in known},
            num_updates,
            num_updates_per_epoch,
        )
        for text, own in zip(texts, fields, strict=True)
    )
    return first.overlay(*others)


def _by_field(option: str, given: object) -> dict[str, Any]:
    """Return field → value; what is for no field in particular stands under an empty name."""
    pairs: list[tuple[Any, Any]]
    if isinstance(given, Mapping):
        pairs = list(given.items())
    elif isinstance(given, str):
        for part in given.split(";"):
            _refuse_slips(option, part)
        pairs = [(field, value) for field, value, _ in split_fields(given)]
    else:
        pairs = [("", given)]
    for field, value in pairs:
        if field == "" and len(pairs) > 1:
            raise ValueError(
                f"{option}: {str(value).strip()!r} does not say for which field it is: write "
                "lr=…; weight_decay=…."
            )
        if not isinstance(field, str) or not (field == "" or field.isidentifier()):
            raise ValueError(f"{option}: {field!r} is not the name of a field, such as lr.")
        if [name for name, _ in pairs].count(field) > 1:
            raise ValueError(f"{option} has {field!r} twice, but it can have one value only.")
    return dict(pairs)


def _refuse_slips(option: str, text: str) -> None:
    """Raise if fields are separated by commas or by nothing, or if one has hyphens."""
    hyphens = re.match(r"\s*([^\W\d]\w*(?:-\w+)+)\s*=(?!=)", text)
    if hyphens:
        name = hyphens[1].replace("-", "_")
        raise ValueError(f"{option}: {hyphens[1]!r} is not the name of a field: write {name}=….")
    apart = re.sub(r"\)\s+(?=[^\W\d]\w*\s*=(?!=))", "); ", text).strip()
    if apart != text.strip():
        raise ValueError(f"{option}: a semicolon goes between fields: write {apart!r}.")
    try:
        call: Any = ast.parse(f"f({text})", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return
    if isinstance(call, ast.Call) and len(call.keywords) > 1:
        fixed = "; ".join(f"{one.arg}={ast.unparse(one.value)}" for one in call.keywords)
        raise ValueError(f"{option}: a semicolon goes between fields: write {fixed!r}.")


def bases_by_field(given: object, fields: Sequence[str]) -> dict[str, list[float]]:
    """Return for each field a base value for each parameter group."""
    by_field = _by_field("base", 1.0 if given is None else given)
    for field in by_field:
        if field and field not in fields:
            raise ValueError(f"base: there is no schedule for {field!r}.")
    lists = {}
    for field in fields:
        value = by_field.get(field, by_field.get("", 1.0))
        value = _literal("base", value) if isinstance(value, str) else value
        lists[field] = bases_of(value)
    count = max(map(len, lists.values()))
    for field, values in lists.items():
        if len(values) not in (1, count):
            raise ValueError(f"base: {field} has {len(values)} values for {count} groups.")
    return {f: values * count if len(values) == 1 else values for f, values in lists.items()}


def _literal(name: str, given: str | ast.expr) -> Any:
    """Return the number, or other plain value, that a text or a part of one is."""
    try:
        return ast.literal_eval(given)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        text = given if isinstance(given, str) else ast.unparse(given)
        raise ValueError(
            f"{name}: {text!r} is not a plain value, such as 3e-4, True, or a list of numbers."
        ) from None


def laid_out(
    schedules: Mapping[str, Schedule], num_updates: int | None, per_epoch: int | None
) -> tuple[dict[str, Schedule], int]:
    """Return the schedules with all lengths in updates, and how many updates to show."""
    result = dict(schedules)
    for field, schedule in result.items():
        if schedule.is_relative:
            if num_updates is None:
                raise ValueError(
                    f"{field}={schedule!r} has lengths that are shares, epochs or the rest: write "
                    "--num_updates, how many updates the run has."
                )
            result[field] = schedule.over(num_updates, per_epoch)
    if num_updates is None:
        horizons = [one.horizon for one in result.values() if one.horizon is not None]
        if not horizons:
            (endless, *_) = result.values()
            raise ValueError(f"{endless!r} never ends: write --num_updates, how many to show.")
        num_updates = max(1, *horizons)
    return result, num_updates


def preview_of(
    schedules: Mapping[str, Schedule],
    base: object,
    num_updates: int,
    per_epoch: int | None,
    most: int = MOST_VALUES,
) -> Preview:
    """Return the preview of schedules; of more than ``most`` values there is a sample."""
    bases = bases_by_field(base, list(schedules))
    result = of_fields(schedules, num_updates, bases, most)
    result.num_updates_per_epoch = per_epoch
    given = _by_field("base", base)
    for field, schedule in schedules.items():
        is_given = base is not None and (field in given or "" in given)
        _check_range(field, schedule, bases[field], result[field], is_given)
    return result


def _check_range(
    field: str, schedule: Schedule, bases: list[float], columns: Sequence[Any], is_given: bool
) -> None:
    """Raise for what a scheduler would refuse.

    Where nobody gave a base, it is 1.0: a multiple of it may be too large, and right for a real
    base, so that only what does not depend on it counts.
    """
    lower, upper = bounds(field)
    ends = {end for row in schedule.phases for end in (row.start, row.end) if end is not None}
    for group, (base, column) in enumerate(zip(bases, columns, strict=True)):
        found = [(offset + scale * base, scale, f"in {schedule!r}") for offset, scale in ends]
        found += [(value, 1.0, "at some update") for value in (min(column), max(column))]
        for value, scale, where in found:
            is_too_large = value >= upper and (is_given or scale == 0.0)
            if not math.isfinite(value) or value < lower or is_too_large:
                raise out_of_range(field, value, f"parameter group {group}", where)


# Schedulers -----------------------------------------------------------------------------------


def _scheduler_call(text: str) -> tuple[str, ast.Call] | None:
    """Return the name and the call that a text is, if it calls something named as a scheduler."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None  # the reader of schedules says what is wrong
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return (node.func.id, node) if node.func.id.endswith("Scheduler") else None
    return None


def _of_scheduler(
    name: str, call: ast.Call, base: object, num_updates: int | None, per_epoch: int | None
) -> Preview:
    if name not in _SCHEDULERS:
        raise ValueError(
            f"{name} cannot be shown from text; {', '.join(_SCHEDULERS)} can, and several fields, "
            "written lr=…; weight_decay=…."
        )
    import torch

    from pytorch_accelerated import schedulers

    kind = getattr(schedulers, name)
    (bases,) = bases_by_field(base, ["lr"]).values()
    optimizer = torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base} for base in bases]
    )
    signature = inspect.signature(kind)
    try:
        arguments = signature.bind(
            optimizer,
            *(_literal(name, node) for node in call.args),
            **{str(own.arg): _literal(name, own.value) for own in call.keywords},
        )
    except TypeError as error:
        own = ", ".join(list(signature.parameters)[1:])
        raise ValueError(f"{name}: {error}. Its arguments are {own}.") from None
    own_per_epoch = arguments.arguments.get("num_update_steps_per_epoch")
    if None not in (per_epoch, own_per_epoch) and per_epoch != own_per_epoch:
        raise ValueError(
            f"--num_updates_per_epoch {per_epoch}: {name} has num_update_steps_per_epoch="
            f"{own_per_epoch}; write only that."
        )
    scheduler = kind(*arguments.args, **arguments.kwargs)
    return preview(scheduler, num_updates, num_updates_per_epoch=own_per_epoch or per_epoch)
