"""What a state says of the plan that it is from, so that another plan is noticed."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from pytorch_accelerated.schedules import Schedule

# What a scheduler plans: field, group (None for all), schedule.
Planned: TypeAlias = "Iterable[tuple[str, int | None, Schedule]]"
# The same in a state: field, group, text, and (update, offset, scale) where it was asked.
Row: TypeAlias = "list[Any]"

_ASKED = (0, 1, 2, 10, 100, 1_000, 10_000)
_SHOWN = 160


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
    """Return the rows that a state has; raise if they are none."""
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
            if now is not None and not all(map(_alike, saved_pair, now)):
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


def _alike(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-15)


def _value(offset: float, scale: float) -> str:
    if scale == 0.0:
        return repr(offset)
    multiple = f"{scale!r} · base"
    return multiple if offset == 0.0 else f"{offset!r} + {multiple}"


def _is_row(row: Any) -> bool:
    if not isinstance(row, list | tuple) or len(row) != 4:
        return False
    field, group, text, values = row
    return (
        isinstance(field, str)
        and (group is None or type(group) is int)
        and isinstance(text, str)
        and isinstance(values, list | tuple)
        and all(map(_is_asked, values))
    )


def _is_asked(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and type(value[0]) is int
        and value[0] >= 0
        and all(isinstance(x, numbers.Real) and not isinstance(x, bool) for x in value[1:])
    )
