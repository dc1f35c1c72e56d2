"""What the editor shows of a plan that is being written, and how it moves a joint.

Nothing is kept between calls: a text comes in, with what it is for, and numbers to draw go out.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pytorch_accelerated.preview.drawing import panels
from pytorch_accelerated.preview.from_text import (
    bases_by_field,
    laid_out,
    plans_of,
    preview_of,
    split_fields,
)
from pytorch_accelerated.preview.joints import Interval, Joint, Plan, moved
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.compose import num_pieces
from pytorch_accelerated.schedules.expression import VOCABULARY, ExpressionError, parse_schedule

# Anything may be typed, so what one text can ask for is little. A schedule's own limits are those
# of the expression language.
_MOST_CHARACTERS = 2000
_MOST_FIELDS = 8
_MOST_GROUPS = 4
_MOST_PHASES = 1000
_MOST_VALUES = 4000  # of more there is a sample

View: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """What is written in the editor, all of it as text.

    Attributes:
        text: The schedule, or several, ``lr=…; weight_decay=…``.
        base: The base value, as for ``--base``.
        num_updates: How many updates the run has.
        num_updates_per_epoch: How many of them are in an epoch.
    """

    text: str
    base: str = ""
    num_updates: str = ""
    num_updates_per_epoch: str = ""

    def lengths(self) -> tuple[int | None, int | None]:
        """Return the two numbers of updates, None for one that is not written."""
        return (
            _count("updates", self.num_updates),
            _count("updates an epoch", self.num_updates_per_epoch),
        )


@dataclass(frozen=True)
class _Laid:
    """A draft that could be read."""

    schedules: dict[str, Schedule]
    num_updates: int
    per_epoch: int | None
    base: str | None
    bases: dict[str, list[float]]


def view(draft: Draft) -> View:
    """Return what to show of a draft: curves, joints, phases, code; or what is wrong with it.

    Values are those that training has, of the same functions; of a long plan some 1600 of them, and
    both sides of the joints.
    """
    try:
        laid = _laid(draft)
        made = preview_of(laid.schedules, laid.base, laid.num_updates, laid.per_epoch, _MOST_VALUES)
    except (TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        return {"error": {"message": str(error), "span": _span(draft.text, error)}}
    joints = _joints(draft, laid)
    shown = panels(made, None, len(made.updates))
    for panel in shown:
        field = panel["field"]
        panel["joints"] = [
            _shown_joint(joint, laid.bases[field][0])
            for joint in joints[field]
            if joint.update <= laid.num_updates
        ]
    return {
        "panels": shown,
        "numUpdates": laid.num_updates,
        "last": made.tail[-1] if made.tail else laid.num_updates - 1,
        "perEpoch": laid.per_epoch,
        "table": _table(made),
        "code": code(draft),
    }


def move(
    draft: Draft, field: str, index: int, update: Interval | None, value: Interval | None
) -> tuple[str, View] | str:
    """Return the text with a joint elsewhere, and its view; or why it cannot be there.

    Args:
        draft: What is written.
        field: The field of the joint.
        index: Its index among the joints that the view has for the field.
        update: Between which updates to put it; None leaves it there.
        value: Between which values of the first group; None leaves it there.
    """
    try:
        laid = _laid(draft)
        joints = _joints(draft, laid).get(field, [])
        if not 0 <= index < len(joints):
            return f"{field} has no joint {index}."
        text = moved(draft.text, joints[index], update, value, laid.bases[field][0])
    except (TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        return str(error)
    shown = view(replace(draft, text=text))
    return shown["error"]["message"] if "error" in shown else (text, shown)


def _laid(draft: Draft) -> _Laid:
    num_updates, per_epoch = draft.lengths()
    for name, text in (("schedule", draft.text), ("base", draft.base)):
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(
                f"The {name} has {len(text)} characters; {_MOST_CHARACTERS} are allowed."
            )
    if not draft.text.strip(" ;\n\t"):
        raise ValueError("Write a schedule, for example linear(500, start=0.0) >> cosine(9500).")
    if len(split_fields(draft.text)) > _MOST_FIELDS:
        raise ValueError(f"There are too many fields: {_MOST_FIELDS} can be edited at once.")
    if re.match(r"\s*\w+Scheduler\s*\(", draft.text):
        raise ValueError(
            "A scheduler cannot be edited: write its schedule, such as cosine(1_000). The command "
            "preview shows schedulers."
        )
    relative = plans_of(draft.text)
    try:
        schedules, num_updates = laid_out(relative, num_updates, per_epoch)
    except ValueError as error:
        raise ValueError(str(error).replace("--num_updates", "updates, below")) from None
    base = draft.base.strip() or None
    bases = bases_by_field(base, list(schedules))
    if max(map(len, bases.values())) > _MOST_GROUPS:
        raise ValueError(f"base: there are too many groups: {_MOST_GROUPS} can be edited at once.")
    num_phases = sum(map(num_pieces, schedules.values()))
    if num_phases > _MOST_PHASES:
        raise ValueError(
            f"There are too many phases: {num_phases:,}, and {_MOST_PHASES:,} can be edited at "
            "once. The command preview shows more."
        )
    return _Laid(schedules, num_updates, per_epoch, base, bases)


def _count(name: str, text: str) -> int | None:
    text = text.strip().replace("_", "").replace(",", "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", text) or int(text) == 0:
        raise ValueError(f"{name}: {text[:40]!r} is not a whole number above 0.")
    return int(text)


def _span(text: str, error: BaseException) -> list[int] | None:
    """Return where in a text a schedule is wrong, if that is known."""
    if not isinstance(error, ExpressionError):
        return None
    for _, part, start in split_fields(text):
        found = _wrong(part)
        if found:
            start += len(part) - len(part.lstrip())
            return [start + found[0], start + max(found[1], found[0] + 1)]
    return None


def _wrong(part: str) -> tuple[int, int] | None:
    try:
        parse_schedule(part)
    except ExpressionError as error:
        return error.span or (0, len(part.strip()))
    return None


def _joints(draft: Draft, laid: _Laid) -> Mapping[str, list[Joint]]:
    """Return for each field the joints that can be moved."""
    result: dict[str, list[Joint]] = {}
    for field, part, start in split_fields(draft.text):
        field = field or "lr"
        start += len(part) - len(part.lstrip())
        plan = Plan(part.strip(), start, laid.schedules[field], laid.num_updates, laid.per_epoch)
        base = laid.bases[field][0]
        result[field] = [
            joint
            for joint in plan.joints()
            if joint.grows or joint.shrinks or (joint.values and _can_rise(joint, base))
        ]
    return result


def _can_rise(joint: Joint, base: float) -> bool:
    return bool(joint.values) and (base != 0.0 or all(not one.unit for one in joint.values))


def _shown_joint(joint: Joint, base: float) -> View:
    offset, scale = joint.value
    return {
        "name": joint.name,
        "update": joint.update,
        "value": offset + scale * base,
        "movesAside": bool(joint.grows or joint.shrinks),
        "rises": _can_rise(joint, base),
    }


def _table(made: Preview) -> list[list[str]]:
    """Return the lines of the table, the first of them with what its columns are called."""
    headers, rows = made._cells()
    return [["phase", "from", "to", *headers], *([*place, *cells] for place, cells in rows)]


# Code -----------------------------------------------------------------------------------------


def code(draft: Draft) -> dict[str, str]:
    """Return the draft as Python, as YAML for ``--config``, and as a command."""
    num_updates, per_epoch = draft.lengths()
    plans = {field or "lr": " ".join(part.split()) for field, part, _ in split_fields(draft.text)}
    base = " ".join(draft.base.split())
    return {
        "python": _python(plans, num_updates, per_epoch),
        "yaml": _yaml(plans, base, num_updates, per_epoch),
        "command": _command(plans, base, num_updates, per_epoch),
    }


def _python(plans: Mapping[str, str], num_updates: int | None, per_epoch: int | None) -> str:
    found = {
        node.id
        for part in plans.values()
        for node in ast.walk(ast.parse(part, mode="eval"))
        if isinstance(node, ast.Name) and node.id in VOCABULARY
    }
    is_relative = any(parse_schedule(part).is_relative for part in plans.values())
    arguments = [f"{field}={part}" for field, part in plans.items()]
    if is_relative:
        arguments.append(f"horizon={num_updates}")
        arguments += [f"num_updates_per_epoch={per_epoch}"] if per_epoch else []
    lines = "".join(f"    {one},\n" for one in arguments)
    return (
        "from pytorch_accelerated.schedulers import ParamScheduler\n"
        f"from pytorch_accelerated.schedules import {', '.join(sorted(found))}\n\n"
        f"scheduler = ParamScheduler(\n    optimizer,\n{lines})\n"
    )


def _yaml(
    plans: Mapping[str, str], base: str, num_updates: int | None, per_epoch: int | None
) -> str:
    # What JSON writes in quotes is text in YAML, whatever it says.
    lines = ["schedule:", *(f"  {field}: {json.dumps(part)}" for field, part in plans.items())]
    lines += [f"base: {json.dumps(base)}"] if base else []
    lines += [f"num_updates: {num_updates}"] if num_updates else []
    lines += [f"num_updates_per_epoch: {per_epoch}"] if per_epoch else []
    return "\n".join(lines) + "\n"


def _command(
    plans: Mapping[str, str], base: str, num_updates: int | None, per_epoch: int | None
) -> str:
    text = "; ".join(f"{field}={part}" for field, part in plans.items())
    words = ["pytorch-accelerated", "preview", text]
    words += ["--base", base] if base else []
    words += ["--num_updates", str(num_updates)] if num_updates else []
    words += ["--num_updates_per_epoch", str(per_epoch)] if per_epoch else []
    return shlex.join(words) + "\n"
