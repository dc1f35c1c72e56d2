"""How the phases of other libraries' schedulers are laid one after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from pytorch_accelerated import schedules
from pytorch_accelerated.schedules import (
    Absolute,
    Schedule,
    absolute,
    constant,
    cosine,
    exponential,
    linear,
    milestones,
)

_NOTHING = 1e-100  # no run sees whether a value is that or less


def floor(value: float) -> float | Absolute:
    """Return an absolute end, which for nothing is a plain 0."""
    return absolute(value) if value else 0.0


def lasting(schedule: Schedule, length: int) -> Schedule:
    """Return a schedule that ends after ``length`` updates, and holds its value till then."""
    if schedule.horizon is None or schedule.horizon > length:
        return schedule.until(length)
    rest = length - schedule.horizon
    return schedule >> constant(rest) if rest else schedule


def joined(parts: Iterable[Schedule]) -> Schedule:
    """Return one schedule after another."""
    whole = tuple(parts)
    return whole[0] if len(whole) == 1 else schedules.Sequence(whole)


def stairs(values: Sequence[Any], length: int = 1) -> Schedule:
    """Return what holds each of the values for ``length`` updates."""
    before = [None, *values]
    return milestones(
        {k * length: value for k, value in enumerate(values) if value != before[k] or not k}
    )


def _steps_to_nothing(factor: float) -> int:
    return int(math.log(_NOTHING) / math.log(factor)) if 0.0 < factor < 1.0 else 1 << 62


def geometric(length: int, factor: float, start: float | Absolute = 1.0) -> Schedule:
    """Return what is multiplied by ``factor`` at each update, until nothing is left."""
    length = min(length, max(1, _steps_to_nothing(factor)))
    end = factor**length
    last = absolute(start.value * end) if isinstance(start, Absolute) else start * end
    return exponential(length, start=start, end=last)


def repeated(period: Schedule, num_updates: int, factor: float) -> Schedule:
    """Return periods whose height is multiplied by ``factor`` at each, until nothing is left."""
    if factor == 1.0:
        return period.repeat()
    count = -(-num_updates // (period.horizon or 1))
    return period.repeat(min(count, max(1, _steps_to_nothing(factor))), peak=factor)


def warmed(length: int, start: float | Absolute, rest: Schedule) -> Schedule:
    """Return ``rest`` after a line from ``start`` to the base value."""
    return linear(length, start=start, end=1.0) >> rest if length else rest


def uncovered(warmup: Schedule, rest: Schedule, length: int) -> Schedule:
    """Return ``warmup`` for ``length`` updates, and ``rest`` as if it had run under it."""
    return warmup * milestones({length: 0.0}) + rest * milestones({0: 0.0, length: 1.0})


def through(points: Iterable[tuple[int, float]], curve: Callable[..., Schedule]) -> Schedule:
    """Return what leads through absolute values at given updates, and holds the first and last."""
    edges, values = zip(*points, strict=True)
    ends = [absolute(float(value)) for value in values]
    parts = [constant(edges[0], value=ends[0])] if edges[0] or len(edges) == 1 else []
    pairs = zip(pairwise(edges), pairwise(ends), strict=True)
    parts += [
        curve(end - begin, start=first, end=last)
        for (begin, end), (first, last) in pairs
        if end > begin
    ]
    jumps = len(edges) > 1 and edges[-1] == edges[-2]
    return joined([*parts, constant(0, value=ends[-1])] if jumps else parts)


def waves(length: int, cycles: float, end: float) -> Schedule | None:
    """Return a cosine that falls to ``end`` and climbs again ``cycles`` times.

    It is None where a joint would lie between two updates.
    """
    half = length / (2.0 * cycles) if cycles > 0.0 else math.inf
    if not half.is_integer():
        return None
    fall = cosine(int(half), start=1.0, end=end)
    if half >= length:
        return fall if half == length else fall.until(length)
    wave = fall >> cosine(int(half), start=end, end=1.0)
    count = cycles if cycles.is_integer() else int(cycles) + 1
    waves = wave.repeat(int(count))
    return waves if cycles.is_integer() else waves.until(length)
