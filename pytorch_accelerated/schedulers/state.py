"""What a scheduler saves and loads: a position, in plain values that savers keep as they are."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from enum import Enum
from functools import cached_property, partial
from typing import Any, TypeAlias

from pytorch_accelerated.checks import same
from pytorch_accelerated.schedulers.groups import Field, plain, starting
from pytorch_accelerated.schedulers.plain_values import (
    NotPlainError,
    from_pairs,
    from_plain,
    like,
    saved_count,
    to_pairs,
    to_plain,
)
from pytorch_accelerated.schedules import Schedule

# What a scheduler plans: field, group (None for all), schedule.
Planned: TypeAlias = "Iterable[tuple[str, int | None, Schedule]]"
# The same in a state: field, group, text, and (update, offset, scale) where it was asked.
Row: TypeAlias = "list[Any]"

_FORMAT = 1
_KEYS = {"format", "kind", "num_updates", "base_values", "values", "attributes", "plan"}
_is_close = partial(math.isclose, rel_tol=1e-9, abs_tol=1e-15)
_ASKED = (0, 1, 2, 10, 100, 1_000, 10_000)
_SHOWN = 160


# Saving and loading --------------------------------------------------------------------------


def saved(scheduler: Any) -> dict[str, Any]:
    """Return the state of a scheduler."""
    groups = scheduler.optimizer.param_groups
    bases: dict[str, list[Any]] = {}
    values: dict[str, list[Any]] = {}
    for name, field in scheduler._fields.items():
        # A group that was added since the last step has no base yet.
        wholes = [group.get(field.initial_key, group[field.key]) for group in groups]
        bases[name] = [_listed(field.entry(plain(base))) for base in wholes]
        values[name] = [_listed(plain(held)) for held in field.held(groups)]
    num_updates = scheduler._num_updates
    return {
        "format": _FORMAT,
        "kind": scheduler._state_kind,
        "num_updates": num_updates,
        "base_values": to_pairs(bases),
        "values": to_pairs(values),
        "attributes": to_pairs(plain_attributes(scheduler)),
        "plan": rows_of(scheduler._planned_rows(), num_updates or 0),
    }


def plain_attributes(scheduler: Any) -> dict[str, Any]:
    """Return what a subclass keeps in attributes, in plain values; warn of what cannot be kept."""
    attributes: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in list(vars(scheduler).items()):
        if name in scheduler._own_attributes or is_cached(scheduler, name):
            continue
        try:
            attributes[name] = to_plain(value.value if isinstance(value, Enum) else value)
        except NotPlainError as error:
            is_container = isinstance(value, MutableMapping | MutableSequence | MutableSet)
            if is_container and name not in scheduler._told_of:
                scheduler._told_of |= {name}
                lost.append(f"{name} is a {type(value).__name__} that is not saved: {error}")
    if lost:
        scheduler._warn(
            scheduler._num_updates,
            lost,
            "A resumed run has what the constructor makes. Keep plain values in it, or "
            "override state_dict() and load_state_dict().",
        )
    return attributes


def is_cached(scheduler: Any, name: str) -> bool:
    """Say whether an attribute is computed on use, so that it is not part of the state."""
    return isinstance(getattr(type(scheduler), name, None), cached_property)


def load(scheduler: Any, state_dict: Mapping[str, Any]) -> None:
    """Check a state and have the scheduler continue from it; if that fails, nothing changes."""
    state = _checked(scheduler, state_dict)
    groups, before = scheduler.optimizer.param_groups, dict(vars(scheduler))
    fields = list(scheduler._fields.values())
    keys = {field.initial_key for field in fields}
    bases = [(group, key, group.get(key)) for group in groups for key in keys]
    try:
        scheduler._adopt(fields)
        _bring_back_bases(scheduler, state)
        scheduler._restore(state)
    except BaseException:
        vars(scheduler).clear()
        vars(scheduler).update(before)
        for group, key, base in bases:
            group.pop(key, None) if base is None else group.update({key: base})
        raise
    for field in fields:
        field.seen, field.found = field.bases(groups), {}
    scheduler._new_groups = ()


def _checked(scheduler: Any, state_dict: Any) -> dict[str, Any]:
    name = type(scheduler).__name__
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict={state_dict!r} is not a dictionary.")
    kind = state_dict.get("kind", scheduler._state_kind)
    if kind != scheduler._state_kind:  # what another class has besides is not the point then
        raise ValueError(
            f"The state is of {kind!r}, but this scheduler is a {name}, which loads states of "
            f"{scheduler._state_kind!r}."
        )
    missing, extra = _KEYS - {"plan"} - state_dict.keys(), state_dict.keys() - _KEYS
    if missing or extra:
        raise ValueError(
            f"This is not a state of {name}: "
            + "; ".join(
                f"{what} {', '.join(sorted(map(repr, keys)))}"
                for what, keys in (("it lacks", missing), ("it also has", extra))
                if keys
            )
            + "."
        )
    if type(state_dict["format"]) is not int or state_dict["format"] != _FORMAT:
        raise ValueError(
            f"The state has format {state_dict['format']!r}, but this version reads format "
            f"{_FORMAT}."
        )
    state = {"plan": [], **state_dict}
    state["plan"] = checked_rows(state["plan"])
    if state["num_updates"] is not None or scheduler._is_counting:
        state["num_updates"] = saved_count("num_updates", state["num_updates"])
    for key in ("base_values", "values", "attributes"):
        state[key] = from_pairs(key, state[key])
    for key in ("base_values", "values"):
        for field, values in state[key].items():
            _check_row(scheduler, key, field, values)
    scheduler._check_fields(state["values"])
    state["attributes"] = {
        attribute: _read(scheduler, attribute, value)
        for attribute, value in state["attributes"].items()
        if not is_cached(scheduler, attribute)
    }
    return state


def _check_row(scheduler: Any, key: str, name: str, values: Any) -> None:
    """Raise if a field's values are of another kind than what the groups hold."""
    groups, field = scheduler.optimizer.param_groups, scheduler._fields.get(name)
    held = plain(field.held(groups[:1]))[0] if field and groups else None
    if not isinstance(values, list | tuple) or not all(_is_like(value, held) for value in values):
        many = ", or a list of them," if held is None or isinstance(held, tuple) else ""
        raise ValueError(
            f"The state's {key.replace('_', ' ')} for field {name!r} are {values!r}, but have to "
            f"be a list with a finite number{many} for each parameter group."
        )


def _is_like(value: Any, held: Any) -> bool:
    """Say whether ``value`` is of the kind of ``held``; anything finite is where that is None."""
    if isinstance(value, list | tuple):
        entry = held[0] if isinstance(held, tuple) else None
        return (held is None or entry is not None) and all(_is_like(one, entry) for one in value)
    if held is not None and (
        isinstance(held, tuple) or isinstance(value, bool) != isinstance(held, bool)
    ):
        return False
    return isinstance(value, numbers.Real) and math.isfinite(plain(value))


def check_fields(scheduler: Any, values: Mapping[str, Any]) -> None:
    """Raise if a state lacks a field of the scheduler, or has one that is not its own."""
    groups, own = scheduler.optimizer.param_groups, scheduler._fields
    # A field that is scheduled only later is known by its base in a restored optimizer.
    extra = [
        name
        for name in values.keys() - own.keys()
        if not all(Field(name).initial_key in group for group in groups)
    ]
    for fields, what in ((own.keys() - values.keys(), "have no field"), (extra, "have a field")):
        if fields:
            names = ", ".join(map(repr, sorted(fields)))
            raise ValueError(
                f"The state's values {what} {names}, but {type(scheduler).__name__} schedules "
                f"{', '.join(map(repr, own)) or 'no field yet'}. If a field was added to the "
                "scheduler, take a state that was saved since; restore the optimizer first."
            )


def _read(scheduler: Any, attribute: str, value: Any) -> Any:
    on_class = getattr(type(scheduler), attribute, None)
    is_code = callable(on_class) or hasattr(on_class, "__get__")
    is_name = attribute.isidentifier() and not attribute.startswith("__")
    is_free = is_name and not is_code and attribute not in scheduler._own_attributes
    if not (is_free and scheduler._may_be_restored(attribute)):
        raise ValueError(
            f"The state has an attribute {attribute!r}, which no state of "
            f"{type(scheduler).__name__} can set."
        )
    try:
        return like(from_plain(value), vars(scheduler).get(attribute))
    except Exception as error:
        raise ValueError(
            f"The state's attribute {attribute!r} is {value!r}, which cannot be read: {error}"
        ) from error


def _bring_back_bases(scheduler: Any, state: Mapping[str, Any]) -> None:
    """Put the state's base values where a restored optimizer came without.

    Not every way of restoring an optimizer brings back the keys that are not its own. A group
    without a base that held the very value of the state is of such an optimizer.
    """
    new = {(id(group), key) for group, key in scheduler._new_groups}
    groups = scheduler.optimizer.param_groups
    for name, field in scheduler._fields.items():
        rows = (state[key].get(name, ()) for key in ("values", "base_values"))
        for i, (group, found, value, base) in enumerate(
            zip(groups, field.bases(groups), *rows, strict=False)
        ):
            is_lost = (id(group), field.initial_key) in new and alike(found, value)
            if is_lost or not scheduler._bases_live_in_groups:
                field.set_base(i, group, plain(base))
            if is_lost:
                field.seen[i : i + 1] = [plain(base)]


def warn_of_replaced(scheduler: Any, due: Iterable[Any], state: Mapping[str, Any]) -> None:
    """Warn of values that neither the scheduler nor its checkpoint explains."""
    groups, lines = scheduler.optimizer.param_groups, list[str]()
    for field, values in due:
        bases, last = field.bases(groups), field.last
        lines += [
            f"{starting(groups[i], i)} had {field.initial_key}={seen!r} when the scheduler was "
            f"made; now it has {base!r}, which counts."
            for i, (seen, base) in enumerate(zip(field.seen, bases, strict=False))
            if seen != base
        ]
        before = state["values"].get(field.name, values)
        for i, now in enumerate(field.held(groups)):
            held = field.found.get(i, plain(now))
            is_as_left = i not in field.found and i < len(last) and last[i] == now
            known = [bases[i], values[i], *before[i : i + 1]]
            if not is_as_left and not any(alike(held, value) for value in known):
                lines.append(
                    f"{starting(groups[i], i)} held {field.name}={held!r}, set by hand since; "
                    f"{plain(values[i])!r} replaces it."
                )
    if lines:
        advice = "To change the rate of a resumed run, change the group's initial_… value."
        scheduler._warn(scheduler._num_updates, lines, advice)


def alike(one: Any, other: Any) -> bool:
    """Say whether two held values are the same, up to what a tensor's precision does to them."""
    return same(plain(one), plain(other), rel_tol=1e-6)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# The plan ------------------------------------------------------------------------------------


def rows_of(planned: Planned, num_updates: int) -> list[Row]:
    """Return what tells these schedules from others, in plain values.

    A text tells the library's own schedules. It does not tell users' functions, so all are asked
    for a few values as well, also beyond what a run has come to.
    """
    return [
        [field, group, _text(schedule), _asked(schedule, num_updates)]
        for field, group, schedule in planned
    ]


def checked_rows(rows: Any) -> list[Row]:
    """Return the rows that a state has; raise if it has others."""
    if not isinstance(rows, list | tuple) or not all(map(_is_row, rows)):
        raise ValueError(
            f"The state's 'plan' is {rows!r}, but has to be a list with a field, a group or None, "
            "the schedule's text, and a list of values, for each schedule."
        )
    return [list(row) for row in rows]


def differences(rows: Sequence[Row], planned: Planned) -> Iterator[str]:
    """Yield a line for each schedule that is not the one that the rows are of."""
    before = {(field, group): (text, values) for field, group, text, values in rows}
    for field, group, schedule in planned:
        saved = before.get((field, group), before.get((field, None)))
        if saved is None:
            continue
        text, values = saved
        where = field if group is None else f"{field} of parameter group {group}"
        if text != _text(schedule):
            yield (
                f"{where}: the checkpoint's schedule was {_short(text)}, but the one given now is "
                f"{_short(_text(schedule))}."
            )
            continue
        for num_updates, *saved_pair in values:
            now = _coefficients(schedule, num_updates)
            if now is not None and not all(map(_is_close, saved_pair, now)):
                yield (
                    f"{where}: {_short(text)} is another function than the checkpoint's: at "
                    f"update {num_updates} it gives {_value(*now)}, and that one gave "
                    f"{_value(*saved_pair)}."
                )
                break


def _text(schedule: Schedule) -> str:
    # Where an object lies in memory is another place in each process.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(schedule))


def _short(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN * 2 // 3]} … {text[-_SHOWN // 3 :]}"


def _asked(schedule: Schedule, num_updates: int) -> list[list[Any]]:
    horizon = schedule.horizon or 0
    updates = {*_ASKED, num_updates, 2 * num_updates + 1, horizon // 2, horizon}
    pairs = {k: _coefficients(schedule, k) for k in sorted(updates)}
    return [[k, *map(float, pair)] for k, pair in pairs.items() if pair is not None]


def _coefficients(schedule: Schedule, num_updates: int) -> tuple[float, float] | None:
    try:
        return schedule.coefficients(num_updates)
    except Exception:
        # A function need not know of updates that its run never comes to.
        return None


def _value(offset: float, scale: float) -> str:
    if scale == 0.0:
        return repr(offset)
    multiple = f"{scale!r} · base"
    return multiple if offset == 0.0 else f"{offset!r} + {multiple}"


def _is_row(row: Any) -> bool:
    match row:
        case [str(), group, str(), [*asked]]:
            return (group is None or type(group) is int) and all(map(_is_asked, asked))
    return False


def _is_asked(asked: Any) -> bool:
    match asked:
        case [k, offset, scale]:
            return type(k) is int and k >= 0 and {type(offset), type(scale)} <= {int, float}
    return False
