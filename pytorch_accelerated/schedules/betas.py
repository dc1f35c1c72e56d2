"""Curves of betas, which are told by how long they remember."""

from __future__ import annotations

import math
from typing import Any

from pytorch_accelerated.schedules.phase import End, Entry, Phase, Shape
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import Affine, Length, absolute
from pytorch_accelerated.schedules.track import Coefficients, Curve


class HalfLife(Shape, is_bounded=True, takes_arrays=True):
    """Equal steps of the half-life ln ½ / ln β: 1 / ln β(p) = (1 − p) / ln start + p / ln end."""

    name = "half_life"
    is_ratio = True  # it has to be told both ends

    def check(self, start: Affine, end: Affine) -> None:
        for one in (start, end):
            if one.scale != 0.0 or not 0.0 < one.offset < 1.0:
                written = f"{one.offset:g}" if one.offset else f"{one.scale:g} times the base"
                raise ValueError(
                    f"{self.name}: an end is {written}, but a half-life has only what is absolute "
                    "and between 0 and 1. Write, for example, "
                    "half_life(start=absolute(0.9), end=absolute(0.9999))."
                )

    def curve(self, start: Affine, end: Affine, length: int, math: Any = math) -> Curve:
        first, last = math.log(start.offset), math.log(end.offset)

        def at(position: int) -> Coefficients:
            if position == 0:
                return start
            return math.exp(length / ((length - position) / first + position / last)), 0.0

        return at


def half_life(length: Length = None, start: End = None, end: End = None) -> Schedule:
    """Go from one beta to another in equal steps of the half-life of what it averages.

    ``value(p) = exp(1 / ((1 − p) / ln start + p / ln end))`` at progress p: an average with decay β
    has forgotten half after ln ½ / ln β updates, and this number goes from start to end in a line.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: ``absolute(…)``, between 0 and 1, or None for what is found.
        end: The same; it has to be given.

    Raises:
        ValueError: If an end is missing, is not absolute, or not between 0 and 1.

    References:
        The third beta of AdEMAMix, Pagliardini et al., arXiv:2409.03137.

    Example:
        >>> from pytorch_accelerated.schedules import absolute, half_life
        >>> beta3 = half_life(4, start=absolute(0.5), end=absolute(0.5**0.2))  # 1 to 5 updates
        >>> beta3(0), round(beta3(2) ** 3, 12), beta3(4) == 0.5**0.2  # 3 updates half-way
        (0.5, 0.5, True)
    """
    return Phase(length, HalfLife(), start, end)


BETAS: tuple[Entry, ...] = (
    Entry(
        half_life,
        half_life(100, start=absolute(0.5), end=absolute(0.99)),
        "exp(1 / ((1 - p) / log(start) + p / log(end)))",
        r"\exp\left(1 \,/ \left(\frac{1 - p}{\ln s} + \frac{p}{\ln e}\right)\right)",
        ends=(1e-3, 0.99999),
    ),
)
