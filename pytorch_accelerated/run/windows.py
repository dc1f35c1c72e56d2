"""Windows of batches, one for each optimizer update: how many batches each has, and a run of them.

``steps`` is what a run was given as ``gradient_accumulation_steps``: a number, or a schedule, whose
value at update n is the size of that update's window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from pytorch_accelerated import checks
from pytorch_accelerated.run.loop_state import LoopState
from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.schedulers.plans import read_plan
from pytorch_accelerated.schedules import Schedule

_NAME = "gradient_accumulation_steps"


def checked(steps: Any) -> int | Schedule:
    """Return what a user gives as the size of windows; text becomes a schedule."""
    steps = read_plan(_NAME, steps) if isinstance(steps, str) else steps
    if not isinstance(steps, Schedule):
        otherwise = "a schedule of whole numbers, milestones({500: 2.0, 1_000: 4.0})"
        return checks.whole(_NAME, steps, 1, otherwise)
    if steps.is_relative:
        raise ValueError(
            f"{_NAME}={steps!r} has lengths that are shares, epochs or the rest, but how many "
            f"updates a run and its epochs have follows from it. Write lengths in updates, such "
            f"as milestones({{500: 2.0, 1_000: 4.0}}), or .over(…)"
        )
    return steps


def size(steps: int | Schedule, update: int) -> int:
    """Return how many batches the window of an update has, if the epoch has as many left."""
    if isinstance(steps, int):
        return steps
    value = steps(update)
    if value < 1 or not value.is_integer():
        raise ValueError(
            f"{_NAME}={steps!r} is {value:g} at update {update}, but a window has a whole number "
            f"of batches, at least 1. Write values such as milestones({{500: 2.0, 1_000: 4.0}}), "
            f"or round a curve: linear(1_000, start=absolute(1), end=absolute(4)).rounded()"
        )
    return int(value)


def sizes(steps: int | Schedule, loop: LoopState) -> Iterator[int]:
    """Yield the size of each window that is begun, by where the loop is then."""
    if isinstance(steps, int):
        return itertools.repeat(steps)
    return (size(steps, loop.num_attempts) for _ in itertools.count())


def num_updates(
    steps: int | Schedule,
    num_epochs: int,
    num_batches: int | None,
    limit: int | None = None,
    begin: tuple[int, int, int] = (0, 0, 0),
) -> int | None:
    """Return how many updates a run makes: to its last batch, or up to the limit.

    It is ``None`` if neither is known before the data has been seen. Every size up to there is
    looked at, so that one that is not a whole number is an error before the run.

    Args:
        steps: The size of windows.
        num_epochs: Passes over the data.
        num_batches: Batches of a pass.
        limit: Most updates.
        begin: Epochs, batches of the next one, and updates that are done; the windows follow.

    Example:
        >>> num_updates(2, 3, 20), num_updates(2, 3, 20, 25), num_updates(2, 1, 20, 25)
        (30, 25, 10)
        >>> from pytorch_accelerated.schedules import milestones
        >>> num_updates(milestones({10: 2.0}), 3, 20)  # 15 updates, then 10 and 10
        35
    """
    epoch, batch, update = begin
    stop = math.inf if limit is None else limit
    if num_batches is None:
        known = min(stop, _settles(steps) + 1)
        for at in range(update, int(known)) if known < math.inf else ():
            size(steps, at)
        return limit
    while epoch < num_epochs and update < stop:
        is_settled = update >= _settles(steps)
        update += _count(steps, num_batches - batch, update, stop)
        epoch, batch = epoch + 1, 0
        if is_settled:  # the epochs that are left are alike
            update += (num_epochs - epoch) * _count(steps, num_batches, update, stop)
            break
    return int(min(update, stop))


def _settles(steps: int | Schedule) -> float:
    """Return the update from which on windows keep their size."""
    horizon = 0 if isinstance(steps, int) else steps.horizon
    return math.inf if horizon is None else horizon


def _count(steps: int | Schedule, num_batches: float, first: int, stop: float) -> int:
    """Return into how many windows, from that of update ``first`` on, batches are made.

    No window is looked at from update ``stop`` on.
    """
    update = first
    while num_batches > 0 and update < min(stop, _settles(steps)):
        num_batches -= size(steps, update)
        update += 1
    if 0 < num_batches < math.inf and update < stop:
        update += math.ceil(num_batches / size(steps, update))
    return update - first


def accumulation_windows(
    loader: Iterable[Any], remaining: int | None, sizes: Iterator[int], first_batch: int = 0
) -> Iterator[tuple[int, Any, int, bool]]:
    """Yield batches: the index, the batch, the size of its window, whether it completes it.

    A window holds the batches of one update, and the last window of an epoch what is left. Where
    that is, the number of remaining batches tells; if it is not known, a window's batches are
    collected before the first of them is given. The loader begins with the epoch's batch of index
    ``first_batch``, where a window begins.
    """
    batches, given, is_short = iter(loader), 0, False
    while not is_short:
        window_size, place = next(sizes), 0
        window: Iterable[Any]
        if remaining is None or window_size == 1:
            window = collected = list(itertools.islice(batches, window_size))
            is_short = len(collected) < window_size
            window_size = len(collected)
        else:
            window_size = min(window_size, max(0, remaining - given))
            window = itertools.islice(batches, window_size)
        for place, batch in enumerate(window, 1):
            yield first_batch + given, batch, window_size, place == window_size
            given += 1
        is_short = is_short or not window_size or place < window_size
    if remaining is not None and given != remaining:
        warn(
            f"the training data loader gave {given} batches in this epoch, but its length is "
            f"{remaining}: the updates of this run were planned for the latter"
            + (f", and the last {place} batches make no update" if place < window_size else ""),
        )
