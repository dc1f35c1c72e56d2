"""What a notebook shows of a schedule."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import islice
from typing import TYPE_CHECKING

from pytorch_accelerated.preview.curves import spans_decades
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.base import PhaseRow

if TYPE_CHECKING:
    from pytorch_accelerated.preview.plot import Picture

_MOST_UPDATES = 100_000  # of which every one is looked at
_MOST_PHASES = 40
_MOST_JOINTS = 300
_NUM_STEPS = 400


def html_of(schedule: Schedule) -> str:
    """Return the schedule's picture, its code, and its table.

    There is no picture before the lengths are in updates, without an end, or without matplotlib.
    """
    text = f"<pre>{escape(repr(schedule))}\n\n{escape(str(schedule))}</pre>"
    if schedule.is_relative or schedule.horizon is None:
        return text
    try:
        is_long = schedule.horizon > _MOST_UPDATES
        picture = Sampled(schedule).picture() if is_long else schedule.plot()
    except ImportError:
        return text
    data = base64.b64encode(picture._repr_png_()).decode("ascii")
    return f'<img alt="The schedule" width="800" src="data:image/png;base64,{data}">{text}'


class Sampled(Preview):
    """A preview, only for drawing, that has the values of some 1500 updates of a long plan.

    A notebook shows a schedule whenever one is named, so that has to take no time for any length.
    """

    def __init__(self, schedule: Schedule) -> None:
        horizon = schedule.horizon or 0
        num_updates = horizon + max(1, horizon // 25)  # as Schedule.plot
        evenly = list(_spread_over(num_updates))
        self._drawn = _with_joints(schedule, num_updates, evenly)
        self._even_values = [schedule(update) for update in evenly]
        values = [schedule(update) for update in self._drawn]
        super().__init__({"value": [values]}, phases={"value": [_rows(schedule, num_updates)]})
        self._size = num_updates

    @property
    def _drawn_updates(self) -> Sequence[int]:
        return self._drawn

    def picture(self) -> Picture:
        """Draw it, on the scale that all values would have: of ends there are too many here."""
        return self.plot(log=spans_decades([self._even_values]))


def _rows(schedule: Schedule, num_updates: int) -> tuple[PhaseRow, ...]:
    if schedule._num_rows <= _MOST_PHASES:
        return schedule._rows_within(num_updates)
    text = f"{schedule._num_rows:,} phases"
    return (PhaseRow(0, schedule.horizon, None, None, text),)


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
