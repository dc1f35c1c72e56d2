"""Previews of schedules: the values of all updates, or of a few of them for a drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_accelerated.checks import finite, whole
from pytorch_accelerated.preview.sampled import plot_sample, rows_within, shown_of
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedules import Schedule

MOST_VALUES = 20_000_000  # of a preview, which are all held in memory


def of_schedule(
    schedule: Schedule, num_updates: int | None, base: float | Sequence[float]
) -> Preview:
    """Return the preview of a schedule whose field nobody has named."""
    bases = bases_of(base)
    schedule.coefficients(0)  # one that is still relative says so
    num_updates = updates_of(schedule, num_updates, schedule.horizon)
    return of_fields({"value": schedule}, num_updates, {"value": bases})


def of_fields(
    schedules: Mapping[str, Schedule], num_updates: int, bases: Mapping[str, Sequence[float]]
) -> Preview:
    """Return the preview of a schedule for each field, with a base value for each group."""
    check_number(num_updates, sum(map(len, bases.values())))
    columns, phases = {}, {}
    for field, schedule in schedules.items():
        columns[field] = [schedule.values(num_updates, base) for base in bases[field]]
        phases[field] = [rows_within(schedule, num_updates)] * len(bases[field])
    return Preview(columns, phases=phases)


def plot_schedule(
    schedule: Schedule,
    num_updates: int | None = None,
    base: float | Sequence[float] = 1.0,
    applied: Any = None,
    **options: Any,
) -> Any:
    """Draw a schedule; see :meth:`Schedule.plot`. A plan that is too long is sampled."""
    bases = bases_of(base)
    if num_updates is not None:
        num_updates = whole("num_updates", num_updates, 1)
    elif schedule.horizon is not None:
        num_updates = shown_of(schedule.horizon)
    schedule.coefficients(0)  # one that is still relative says so
    if num_updates is None or num_updates * len(bases) <= MOST_VALUES or applied is not None:
        return of_schedule(schedule, num_updates, bases).plot(applied, **options)
    return plot_sample(schedule, num_updates, bases, **options)


def bases_of(base: float | Sequence[float]) -> list[float]:
    """Return a base value for each group."""
    bases = [finite("base", one) for one in (base if isinstance(base, Sequence) else [base])]
    if not bases:
        raise ValueError("base=[] is empty: write a base value for each parameter group.")
    return bases


def check_number(num_updates: int, num_curves: int = 1) -> None:
    """Raise if so many updates are too many to show."""
    most = MOST_VALUES // num_curves
    if num_updates > most:
        raise ValueError(
            f"{num_updates:,} updates are too many to show; {most:,} are allowed"
            f"{f' for {num_curves} curves' if num_curves > 1 else ''}. Write a smaller "
            "num_updates=…, or draw the schedule with its plot(), which looks at a few of its "
            "updates."
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
