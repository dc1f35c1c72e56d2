"""Previews of schedules: the values of all updates, or of a few of them for a drawing."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytorch_accelerated.checks import finite, whole
from pytorch_accelerated.preview.columns import MOST_ROWS
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedules import PhaseRow, Schedule

MOST_VALUES = 20_000_000  # of a preview, which are all held in memory
_MOST_JOINTS = 100  # of a sample,
_NUM_STEPS = 1_600  # which also has so many updates at about equal distances


def checked(num_updates: int | None) -> int | None:
    """Return how many updates somebody asks for; raise if it is not a number of them."""
    return None if num_updates is None else whole("num_updates", num_updates, 1)


def of_schedule(
    schedule: Schedule, num_updates: int | None, bases: list[float], most: int = MOST_VALUES
) -> Preview:
    """Return the preview of a schedule whose field nobody has named."""
    schedule.coefficients(0)  # one that is still relative says so
    num_updates = updates_of(schedule, num_updates, schedule.horizon)
    return of_fields({"value": schedule}, num_updates, {"value": bases}, most)


def of_fields(
    schedules: Mapping[str, Schedule],
    num_updates: int,
    bases: Mapping[str, Sequence[float]],
    most: int = MOST_VALUES,
) -> Preview:
    """Return the preview of a schedule for each field, with a base value for each group.

    Of more than ``most`` values there is a sample.
    """
    updates: list[int] | None = None
    if num_updates * sum(map(len, bases.values())) > most:
        updates = sample(schedules.values(), num_updates)
    columns, phases = {}, {}
    is_over = are_over(schedules.values(), num_updates)
    for field, schedule in schedules.items():
        if updates is None:
            columns[field] = schedule.track.columns(num_updates + is_over, bases[field])
        else:
            shown = [*updates, num_updates] if is_over else updates
            columns[field] = [
                array("d", (schedule(update, base) for update in shown)) for base in bases[field]
            ]
        phases[field] = [rows_within(schedule, num_updates)] * len(bases[field])
    ends = taken_off(columns) if is_over else None
    return Preview(columns, phases=phases, updates=updates, ends=ends)


def sample(schedules: Iterable[Schedule], num_updates: int) -> list[int]:
    """Return some of so many updates, in order: both sides of joints, and others far apart.

    Of more than 100 phases these are the first ones, as a table shows them, and some others.
    """
    # At about equal distances, which are not multiples of the length of any phase. They are most
    # of the sample, which so tells the scale that all values would have.
    shares = ((step + (step * 0.618034) % 1.0) / _NUM_STEPS for step in range(_NUM_STEPS))
    found = {0, num_updates - 1, *(int(share * num_updates) for share in shares)}
    for schedule in schedules:
        rows = rows_within(schedule, num_updates)
        joints = [*(int(row.first) for row in rows), schedule.horizon or 0]
        step = 1 + len(joints) // _MOST_JOINTS
        shown = {*joints[: MOST_ROWS + 1], *joints[::step], joints[-1]}
        found |= {*(joint - 1 for joint in shown), *shown}
    return sorted(update for update in found if 0 <= update < num_updates)


def are_over(schedules: Iterable[Schedule], num_updates: int) -> bool:
    """Say whether all values hold from update ``num_updates`` on."""
    return all(one.horizon is not None and one.horizon <= num_updates for one in schedules)


def taken_off(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """Take the last value off each column, and return these values by field."""
    return {field: [column.pop() for column in groups] for field, groups in columns.items()}


def bases_of(base: float | Sequence[float]) -> list[float]:
    """Return a base value for each group."""
    bases = [finite("base", one) for one in (base if isinstance(base, Sequence) else [base])]
    if not bases:
        raise ValueError("base=[] is empty: write a base value for each parameter group.")
    return bases


def check_number(num_updates: int) -> None:
    """Raise if so many updates are too many to run one by one."""
    if num_updates > MOST_VALUES:
        raise ValueError(
            f"{num_updates:,} updates are too many to run; {MOST_VALUES:,} are allowed. Write a "
            "smaller num_updates=…."
        )


def updates_of(what: object, num_updates: int | None, horizon: int | None) -> int:
    """Return how many updates to show; raise if nothing says so."""
    number = horizon if num_updates is None else num_updates
    if number is None:
        name = repr(what) if isinstance(what, Schedule) else type(what).__name__
        raise ValueError(
            f"{name} does not say how many updates it is for: write num_updates=…, for example "
            "the number of updates in the run."
        )
    return max(number, 1)


def rows_within(schedule: Schedule, num_updates: int) -> tuple[PhaseRow, ...]:
    """Return the rows of a schedule's table that begin before update ``num_updates``."""
    return tuple(row for row in schedule.phases if int(row.first) < num_updates)


# Pictures of schedules ------------------------------------------------------------------------


def plot_schedule(
    schedule: Schedule,
    num_updates: int | None = None,
    base: float | Sequence[float] = 1.0,
    applied: Any = None,
    *,
    most: int = MOST_VALUES,
    **options: Any,
) -> Any:
    """Draw a schedule, or a sample of more than ``most`` values; see :meth:`Schedule.plot`."""
    bases, num_updates = bases_of(base), checked(num_updates)
    schedule.coefficients(0)  # one that is still relative says so
    return of_schedule(schedule, num_updates, bases, most).plot(applied, **options)
