"""Curves that depend on the ratio of their ends, or fall with the updates made."""

from __future__ import annotations

import math
from typing import Any

from pytorch_accelerated.checks import finite
from pytorch_accelerated.schedules.phase import End, Entry, Phase, Shape
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import (
    Affine,
    Exact,
    Fixed,
    Horizon,
    Length,
    checked,
    nearest,
)
from pytorch_accelerated.schedules.track import Curve

_LEAST = 1e-120  # the ratio of such ends, times the updates of any phase, is still finite


class Ratio(Shape):
    """What depends on the ratio of both ends, so that they are of one kind and sign, and not 0."""

    is_ratio = True

    def check(self, start: Affine, end: Affine) -> None:
        if any(one.offset for one in (start, end)) and any(one.scale for one in (start, end)):
            raise ValueError(
                f"{self.name}: the ends are partly multiples of the base and partly absolute, so "
                "their ratio is different for each group. Write both as multiples, or both with "
                "absolute(…)."
            )
        first, last = sum(start), sum(end)
        for one in (first, last):
            if not _LEAST <= abs(one) <= 1.0 / _LEAST:
                raise ValueError(
                    f"{self.name}: an end of {one:g} has no ratio to others that can be computed. "
                    "Give a small end such as end=0.001, or use linear or cosine."
                )
        if (first < 0.0) != (last < 0.0):
            raise ValueError(
                f"{self.name}: from {first:g} to {last:g} there is no constant ratio, because one "
                "is above 0 and the other below. Use linear or cosine."
            )


def _one_kind(start: Affine, end: Affine) -> tuple[bool, float, float, float]:
    """Return whether the ends are absolute, their sign, and both without it."""
    first, last = sum(start), sum(end)
    return start.offset != 0.0, math.copysign(1.0, first), abs(first), abs(last)


class Exponential(Ratio, is_bounded=True, takes_arrays=True):
    """Equal ratios: value(p) = start^(1 − p) · end^p."""

    name = "exponential"

    def curve(self, start: Affine, end: Affine, length: int, math: Any = math) -> Curve:
        offset, sign, first, last = _one_kind(start, end)

        def at(position: int) -> tuple[float, float]:
            value = first ** ((length - position) / length) * last ** (position / length)
            return (sign * value, 0.0) if offset else (0.0, sign * value)

        return at


def exponential(length: Length = None, start: End = None, end: End = None) -> Schedule:
    """Go from start to end in equal ratios.

    ``value(p) = start^(1 − p) · end^p`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same, of the same kind and sign; it has to be given unless a start is.

    Raises:
        ValueError: If an end is 0, or one is absolute and the other a multiple of the base.

    References:
        As a range test: Smith, arXiv:1506.01186.

    Example:
        >>> from pytorch_accelerated.schedules import exponential
        >>> [round(exponential(2, end=0.01)(k), 4) for k in range(3)]
        [1.0, 0.1, 0.01]
    """
    return Phase(length, Exponential(), start, end)


class InverseProportional(Ratio, is_bounded=True, takes_arrays=True):
    """Equal steps of the reciprocal: value(p) = 1 / ((1 − p)/start + p/end)."""

    name = "inverse_proportional"

    def curve(self, start: Affine, end: Affine, length: int, math: Any = math) -> Curve:
        offset, sign, first, last = _one_kind(start, end)
        ratio = first / last

        def at(position: int) -> tuple[float, float]:
            value = first * (length / ((length - position) + position * ratio))
            return (sign * value, 0.0) if offset else (0.0, sign * value)

        return at


def inverse_proportional(length: Length = None, start: End = None, end: End = None) -> Schedule:
    """Go from start to end in equal steps of the reciprocal.

    ``value(p) = 1 / ((1 − p) / start + p / end)`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same, of the same kind and sign; it has to be given unless a start is.

    Raises:
        ValueError: If an end is 0, or one is absolute and the other a multiple of the base.

    References:
        The decay of WSD-S, Wen et al., arXiv:2410.05192.

    Example:
        >>> from pytorch_accelerated.schedules import inverse_proportional
        >>> [inverse_proportional(2, end=0.25)(k) for k in range(3)]
        [1.0, 0.4, 0.25]
    """
    return Phase(length, InverseProportional(), start, end)


class PowerLaw(Fixed, Shape, is_bounded=True, takes_arrays=True):
    """Proportional to (1 + position / timescale)^exponent, scaled to the phase's ends."""

    name = "power_law"

    def __init__(self, timescale: Length = None, exponent: float = -0.5) -> None:
        self.timescale = self._checked(timescale)
        self.exponent = finite("exponent", exponent)
        if not -10.0 <= self.exponent < 0.0:
            raise ValueError(
                f"exponent={exponent!r} has to be below 0 and at least -10, as the curve falls. "
                "For one that rises write power(start=0.0, exponent=0.5)."
            )

    def _checked(self, timescale: Length) -> Length:
        updates = None if timescale is None else checked(timescale, "timescale")
        if updates is None or updates == 0:
            raise ValueError(
                f"{self.name}(timescale={timescale!r}): write after how many updates the value "
                "has fallen to 2^exponent of its start (1/√2 for inverse_sqrt), for example "
                "timescale=1000; often the length of the warmup before it."
            )
        return updates

    def open_end(self, start: Affine, is_given: bool, length: int) -> Affine:
        fall = (1.0 + length / self._updates) ** self.exponent
        return Affine(start.offset * fall, start.scale * fall)

    def curve(self, start: Affine, end: Affine, length: int, math: Any = math) -> Curve:
        timescale, exponent = self._updates, self.exponent
        total = length / timescale
        drop = -math.expm1(exponent * math.log1p(total))
        scaled_drop = (1.0 + total) ** -exponent * drop

        def at(position: int) -> tuple[float, float]:
            if position == 0:
                return start
            x, rest = position / timescale, (length - position) / timescale
            of_end = -math.expm1(exponent * math.log1p(x)) / drop
            of_start = math.expm1(-exponent * math.log1p(rest / (1.0 + x))) / scaled_drop
            return start[0] * of_start + end[0] * of_end, start[1] * of_start + end[1] * of_end

        return at

    @property
    def _updates(self) -> int:
        if not isinstance(self.timescale, int):
            raise ValueError(f"timescale={self.timescale!r} is not a number of updates yet.")
        return self.timescale

    @property
    def is_relative(self) -> bool:  # type: ignore[override]
        """Whether the timescale needs a horizon."""
        return not isinstance(self.timescale, int)

    def over(self, horizon: Horizon, growth: Exact = 1) -> Shape:
        updates = nearest((horizon.updates(self.timescale) or 1) * growth)
        return self._with(timescale=max(1, updates))


def power_law(
    length: Length = None,
    timescale: Length = None,
    start: End = None,
    end: End = None,
    exponent: float = -0.5,
) -> Schedule:
    """Fall with a power of the updates made, which need no horizon to be known.

    ``value(n) = start · (1 + n / timescale)^exponent`` at position n. With an ``end``, the same
    curve is scaled to reach it at the phase's end. A law a · k^exponent in all updates k, held at 1
    until it is below, is ``constant(T) >> power_law(timescale=T, exponent=…)`` with
    T = a^(−1/exponent).

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        timescale: After so many updates the value is start · 2^exponent; a length, usually what
            came before the phase. It has to be given.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same, or None for where the curve gets to.
        exponent: Below 0 and at least -10; -1/2 is ``inverse_sqrt``.

    Raises:
        ValueError: If the timescale is missing or zero, or the exponent out of its range.

    References:
        Power scheduler, Shen et al., arXiv:2408.13359.

    Example:
        >>> from pytorch_accelerated.schedules import constant, power_law
        >>> schedule = constant(100) >> power_law(900, timescale=100, exponent=-0.51)
        >>> schedule(100), round(schedule(1_000), 12) == round(10**-0.51, 12)
        (1.0, True)
    """
    return Phase(length, PowerLaw(timescale, exponent), start, end)


class InverseSqrt(PowerLaw, is_bounded=True, takes_arrays=True):
    """The power law with an exponent of −1/2."""

    name = "inverse_sqrt"
    exponent = -0.5

    def __init__(self, timescale: Length = None) -> None:
        self.timescale = self._checked(timescale)


def inverse_sqrt(
    length: Length = None, timescale: Length = None, start: End = None, end: End = None
) -> Schedule:
    """Fall with the inverse square root of the updates made.

    ``value(n) = start / √(1 + n / timescale)`` at position n. With an ``end``, the same curve is
    scaled to reach it at the phase's end.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        timescale: After so many updates the value is start/√2; a length, usually the one of the
            warmup before. It has to be given.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same, or None for where the curve gets to.

    Raises:
        ValueError: If the timescale is missing or zero.

    References:
        Vaswani et al., arXiv:1706.03762.

    Example:
        >>> from pytorch_accelerated.schedules import inverse_sqrt, linear
        >>> schedule = linear(100, start=0.0) >> inverse_sqrt(900, timescale=100)
        >>> schedule(100), round(schedule(400), 15)
        (1.0, 0.5)
    """
    return Phase(length, InverseSqrt(timescale), start, end)


RATIOS: tuple[Entry, ...] = (
    Entry(
        exponential, exponential(100, end=0.01), "start ** (1 - p) * end**p", r"s^{1 - p}\,e^{p}"
    ),
    Entry(
        inverse_sqrt,
        inverse_sqrt(100, timescale=10),
        "start / sqrt(1 + n / timescale)",
        r"s \,/ \sqrt{1 + n / \mathrm{timescale}}",
        own={"timescale": (1, 10**6)},
    ),
    Entry(
        power_law,
        power_law(100, timescale=10, exponent=-0.8),
        "start * (1 + n / timescale) ** exponent",
        r"s\,(1 + n / \mathrm{timescale})^{\mathrm{exponent}}",
        own={"timescale": (1, 10**6), "exponent": (-10.0, -0.1)},
    ),
    Entry(
        inverse_proportional,
        inverse_proportional(100, end=0.05),
        "1 / ((1 - p) / start + p / end)",
        r"1 \,/ \left(\frac{1 - p}{s} + \frac{p}{e}\right)",
    ),
)
