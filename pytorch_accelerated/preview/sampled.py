"""A few values of a long plan, for drawing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytorch_accelerated.preview.curves import spans_decades
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.base import PhaseRow

if TYPE_CHECKING:
    from pytorch_accelerated.preview.plot import Picture

_MOST_PHASES = 40
_MOST_JOINTS = 300
_NUM_STEPS = 400


class Sampled(Preview):
    """A preview, only for drawing, that has the values of some 1500 updates of a long plan.

    A notebook shows a schedule whenever one is named, so that has to take no time for any length.

    Args:
        schedule: The plan, with all lengths in updates.
        num_updates: How many updates the picture shows; by default as :meth:`Schedule.plot`.
        bases: The groups' base values.
    """

    def __init__(
        self, schedule: Schedule, num_updates: int | None = None, bases: Sequence[float] = (1.0,)
    ) -> None:
        if num_updates is None:
            num_updates = shown_of(schedule.horizon or 0)
        evenly = list(_spread_over(num_updates))
        self._drawn = _with_joints(schedule, num_updates, evenly)
        self._even_values = [[schedule(update, base) for update in evenly] for base in bases]
        values = [[schedule(update, base) for update in self._drawn] for base in bases]
        rows = _rows(schedule, num_updates)
        super().__init__({"value": values}, phases={"value": [rows] * len(bases)})
        self._size = num_updates

    @property
    def _drawn_updates(self) -> Sequence[int]:
        return self._drawn

    def plot(self, *given: Any, log: bool | None = None, **options: Any) -> Picture:
        """Draw it, on the scale that all values would have: of ends there are too many here."""
        log = spans_decades(self._even_values) if log is None else log
        return super().plot(*given, log=log, **options)


def shown_of(horizon: int) -> int:
    """Return how many updates a picture shows by default: a little of what holds in the end."""
    return horizon + max(1, horizon // 25)


def _rows(schedule: Schedule, num_updates: int) -> tuple[PhaseRow, ...]:
    if schedule._num_rows <= _MOST_PHASES:
        return schedule._rows_within(num_updates)
    text = f"{schedule._num_rows:,} phases"
    return (PhaseRow(0, None, None, None, text),)


def _spread_over(num_updates: int) -> Iterator[int]:
    """Yield updates about equally far apart, at no multiples of any length of a phase."""
    for step in range(_NUM_STEPS):
        share = step + (step * 0.618034) % 1.0
        yield min(int(share / _NUM_STEPS * num_updates), num_updates - 1)


def _with_joints(schedule: Schedule, num_updates: int, evenly: Iterable[int]) -> list[int]:
    """Return the updates, with both ends of the phases that they are in.

    Of the first phases both ends are there in any case, as a warmup may be short.
    """
    joints = [int(row.first) for row in islice(schedule._rows(), _MOST_JOINTS)]
    joints.append(schedule.horizon or 0)
    found = {0, num_updates - 1, *(side for joint in joints for side in (joint - 1, joint))}
    for update in evenly:
        start, stop, _ = schedule.segment(update)
        found.update((start, update, int(min(stop, num_updates)) - 1))
    return sorted(update for update in found if 0 <= update < num_updates)
