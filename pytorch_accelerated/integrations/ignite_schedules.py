"""What each of Ignite's parameter schedulers does, in our vocabulary; its values are absolute."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from pytorch_accelerated.integrations.laying import joined, lasting, through
from pytorch_accelerated.schedules import Schedule, absolute, constant, cosine, linear

# Their scheduler and how many updates are wanted → the schedule.
Builder = Callable[[Any, int], Schedule]


def schedules_of(other: Any, num_updates: int) -> dict[str, list[Schedule]]:
    """Return the fields' schedules, one for each parameter group."""
    found: dict[str, dict[int, Schedule]] = {}
    num_groups = len(optimizer_of(other).param_groups)
    for field, index, schedule in _parts(other, num_updates, num_groups):
        found.setdefault(field, {})[index] = schedule
    as_it_is = constant(num_updates)
    return {
        field: [by_group.get(index, as_it_is) for index in range(num_groups)]
        for field, by_group in found.items()
    }


def advance(other: Any, update: int) -> None:
    """Put the values for an update in force, after those for the one before it."""
    other(None)


def optimizer_of(other: Any) -> Any:
    """Return the optimizer, of which Ignite's group of schedulers has one for each."""
    one = other.optimizer
    return one[0] if isinstance(one, list) else one


def _parts(other: Any, length: int, num_groups: int) -> Iterator[tuple[str, int, Schedule]]:
    """Yield the field, the group and the schedule of all that a scheduler consists of."""
    kind = type(other).__name__
    if kind == "ParamGroupScheduler":
        for part in other.schedulers:
            yield from _parts(part, length, num_groups)
        return
    if kind == "ConcatScheduler":
        yield from _one_after_another(other, length, num_groups)
        return
    if kind not in _RULES:
        raise TypeError(
            f"other is, or has, a {kind} of Ignite, whose rule is not known. Known are "
            f"ConcatScheduler, ParamGroupScheduler, {', '.join(_RULES)}. For a wrapped scheduler "
            "of torch, hand over that one."
        )
    if other.event_index:
        raise ValueError(
            f"other was called already: its event_index={other.event_index}, but has to be 0. "
            "Make it anew, as the run did at its beginning."
        )
    schedule = _RULES[kind](other, length)
    groups = range(num_groups) if other.param_group_index is None else [other.param_group_index]
    for index in groups:
        yield other.param_name, index, schedule


def _one_after_another(
    other: Any, length: int, num_groups: int
) -> Iterator[tuple[str, int, Schedule]]:
    ends = [*itertools.accumulate(other.durations)]
    edges = [0, *ends, max(length, ends[-1] + 1)]
    parts: dict[tuple[str, int], list[Schedule]] = {}
    for part, (begin, end) in zip(other.schedulers, itertools.pairwise(edges), strict=True):
        for field, index, schedule in _parts(part, end - begin, num_groups):
            parts.setdefault((field, index), []).append(lasting(schedule, end - begin))
    for (field, index), schedules in parts.items():
        if len(schedules) < len(other.schedulers):
            raise ValueError(
                f"other schedules {field} of group {index} in some of its parts only, which no "
                "expression is known for."
            )
        yield field, index, joined(schedules)


def _piecewise(other: Any, num_updates: int) -> Schedule:
    return through(zip(other.milestones, other.values, strict=True), linear)


def _cycles(other: Any, num_updates: int, cycle: Callable[[int, Any, Any], Schedule]) -> Schedule:
    """Lay out cycles from one value to another, each with the warmup to the next one's start."""
    size, warmup = other.cycle_size, other.warmup_duration
    start, end = float(other.start_value), float(other.end_value)
    growth = other.cycle_mult
    if growth == other.start_value_mult == other.end_value_mult == 1.0 and not warmup:
        return cycle(size, absolute(start), absolute(end)).repeat()
    parts: list[Schedule] = []
    begin = 0
    while begin < num_updates:
        parts.append(cycle(size, absolute(start), absolute(end)))
        start *= other.start_value_mult
        if warmup:
            parts.append(linear(warmup, start=absolute(end), end=absolute(start)))
        begin += size + warmup
        size, warmup = int(size * growth), int(warmup * growth)
        end *= other.end_value_mult
    return joined(parts)


def _linear_cycles(other: Any, num_updates: int) -> Schedule:
    def there_and_back(size: int, start: Any, end: Any) -> Schedule:
        half, odd = divmod(size, 2)
        if not odd:
            return linear(half, start=start, end=end) >> linear(half, start=end, end=start)
        # The turn lies between two updates, which have the same value.
        near = absolute(end.value + (start.value - end.value) / size)
        up, down = linear(half, start=start, end=near), linear(half, start=near, end=start)
        return up >> constant(1, value=near) >> down

    def there(size: int, start: Any, end: Any) -> Schedule:
        return linear(size, start=start, end=end)

    return _cycles(other, num_updates, there if other.monotonic else there_and_back)


def _cosine_cycles(other: Any, num_updates: int) -> Schedule:
    return _cycles(other, num_updates, lambda size, start, end: cosine(size, start=start, end=end))


_RULES: dict[str, Builder] = {
    "PiecewiseLinear": _piecewise,
    "LinearCyclicalScheduler": _linear_cycles,
    "CosineAnnealingScheduler": _cosine_cycles,
}
