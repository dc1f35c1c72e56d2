"""A few values of a long plan, for drawing it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from pytorch_accelerated.preview.columns import Columns
from pytorch_accelerated.preview.curves import spans_decades
from pytorch_accelerated.schedules import PhaseRow, Schedule

_MOST_JOINTS = 300
_NUM_STEPS = 200


def plot_sample(
    schedule: Schedule,
    num_updates: int,
    bases: Sequence[float] = (1.0,),
    *,
    log: bool | None = None,
    **options: Any,
) -> Any:
    """Draw some 1500 updates of a plan, so that one of any length takes no time."""
    from pytorch_accelerated.preview.plot import plot

    if log is None:
        # Of ends there are too many in the sample to tell the scale that all values would have.
        evenly = sorted(_spread_over(num_updates))
        log = spans_decades([[schedule(update, base) for update in evenly] for base in bases])
    return plot(sample(schedule, num_updates, bases), log=log, **options)


def sample(schedule: Schedule, num_updates: int, bases: Sequence[float] = (1.0,)) -> Columns:
    """Return the values of some 1500 of a plan's updates, both ends of its phases among them.

    Of more than 300 phases these are the first ones, as a warmup may be short, and some of the
    others.
    """
    rows = rows_within(schedule, num_updates)
    joints = [*(int(row.first) for row in rows), schedule.horizon or 0]
    found = {0, num_updates - 1, *_spread_over(num_updates)}
    near = [bisect_right(joints, update) for update in sorted(found)]
    shown = {
        *joints[:_MOST_JOINTS],
        joints[-1],
        *(one for at in near for one in joints[at - 1 : at + 1]),
    }
    found.update(side for joint in shown for side in (joint - 1, joint))
    updates = sorted(update for update in found if 0 <= update < num_updates)
    values = [[schedule(update, base) for update in updates] for base in bases]
    return Columns({"value": values}, phases={"value": [rows] * len(bases)}, updates=updates)


def rows_within(schedule: Schedule, num_updates: int) -> tuple[PhaseRow, ...]:
    """Return the rows of a schedule's table that begin before update ``num_updates``."""
    return tuple(row for row in schedule.phases if int(row.first) < num_updates)


def shown_of(horizon: int) -> int:
    """Return how many updates a picture shows by default: a little of what holds in the end."""
    return horizon + max(1, horizon // 25)


def _spread_over(num_updates: int) -> Iterator[int]:
    """Yield updates about equally far apart, at no multiples of any length of a phase."""
    for step in range(_NUM_STEPS):
        share = step + (step * 0.618034) % 1.0
        yield min(int(share / _NUM_STEPS * num_updates), num_updates - 1)
