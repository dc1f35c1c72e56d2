"""Between which values a composition stays, and how far the peaks of a repeat shrink."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from pytorch_accelerated.schedules.value import Affine


def extremes(values: Iterable[Affine]) -> tuple[Affine, ...]:
    """Return those of the values, each by both its numbers, that are extreme for some base.

    ``offset + scale · base`` is the highest or lowest, whatever the base, at a corner of the
    values' convex hull.
    """
    points = sorted(set(values))
    for point in points:
        if not all(map(math.isfinite, point)):
            return (point,)  # there is no bound
    if len(points) <= 2:
        return tuple(points)
    if points[0].offset == points[-1].offset:
        return (points[0], points[-1])
    if len({point.scale for point in points}) == 1:
        return (points[0], points[-1])
    return tuple(dict.fromkeys((*_chain(points), *_chain(points[::-1]))))


def _chain(points: Iterable[Affine]) -> list[Affine]:
    """Return half of the hull of sorted points, without those on a line (Andrew's algorithm)."""
    from fractions import Fraction  # on use: its import takes 5 ms

    chain: list[tuple[Affine, Fraction, Fraction]] = []
    for point in points:
        # Exactly, because a corner must not be lost to rounding.
        x, y = Fraction(point.offset), Fraction(point.scale)
        while len(chain) > 1:
            (_, x0, y0), (_, x1, y1) = chain[-2:]
            if (x1 - x0) * (y - y0) > (y1 - y0) * (x - x0):
                break
            chain.pop()
        chain.append((point, x, y))
    return [point for point, _, _ in chain]


def peak_change(ends: list[Affine], peak: float, count: int) -> Callable[[int, Affine], Affine]:
    """Return how an end of the first period changes in a later one: peaks shrink, floors stay."""
    if any(end.offset for end in ends) and any(end.scale for end in ends):
        return lambda period, end: Affine(end.offset, end.scale * peak**period)
    values = [end.offset + end.scale for end in ends]
    highest, lowest = max(values), min(values)
    last = highest * peak ** (count - 1)
    if last < lowest < highest:
        raise ValueError(
            f"peak={peak!r}: after {count} periods the highest value, {last:g}, is below the "
            f"lowest, {lowest:g}, which stays. Use fewer periods or a peak closer to 1."
        )

    def change(period: int, end: Affine) -> Affine:
        value = end.offset + end.scale
        top = highest * peak**period
        if top == highest:
            return end  # the user's own numbers, to the last digit
        if value == highest:
            moved = top
        elif value == lowest:
            moved = lowest
        elif highest == lowest:
            moved = value * peak**period
        else:
            moved = lowest + (value - lowest) * ((top - lowest) / (highest - lowest))
        return Affine(moved, 0.0) if end.offset else Affine(0.0, moved)

    return change
