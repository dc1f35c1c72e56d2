"""Shapes: how a phase gets from its start to its end.

A shape is a function of progress with shape(0) = 0 and shape(1) = 1. Near either end, a value is
only as accurate as the weight of the end that is *far* away: ``1 − shape(p)`` computed as such
loses every digit when shape(p) is close to 1. So a shape gives both weights, and gets both
``done`` (the share of the phase that is over) and ``left`` = 1 − done, each computed from whole
updates.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from pytorch_accelerated.schedules.base import Affine
from pytorch_accelerated.schedules.lengths import (
    Exact,
    Horizon,
    Length,
    checked,
    finite,
    is_relative,
    nearest,
)
from pytorch_accelerated.schedules.value import Value

Curve = Callable[[int], tuple[float, float]]


@dataclass(frozen=True, eq=False, repr=False)
class Shape(Value, ABC):
    """How a phase gets from its start to its end, as a function of progress in [0, 1]."""

    name: ClassVar[str]

    is_bounded: ClassVar[bool] = True

    def __call__(self, progress: float) -> float:
        """Return the share of the way from start to end at ``progress`` in [0, 1]."""
        return self.weights(progress, 1.0 - progress)[1]

    @abstractmethod
    def weights(self, done: float, left: float) -> tuple[float, float]:
        """Return the weights of the start and of the end, where ``done + left = 1``."""

    def curve(self, start: Affine, end: Affine, length: int) -> Curve:
        """Return offset and scale as a function of the position 0 … length − 1 in the phase."""
        weights = self.weights
        start_offset, start_scale = start
        end_offset, end_scale = end

        def relative(position: int) -> tuple[float, float]:
            of_start, of_end = weights(position / length, (length - position) / length)
            return 0.0, start_scale * of_start + end_scale * of_end

        def mixed(position: int) -> tuple[float, float]:
            of_start, of_end = weights(position / length, (length - position) / length)
            return (
                start_offset * of_start + end_offset * of_end,
                start_scale * of_start + end_scale * of_end,
            )

        return mixed if start_offset or end_offset else relative

    @property
    def is_ratio(self) -> bool:
        """Whether both ends have to be of one kind and sign, and none may be 0."""
        return False

    def open_end(self, start: Affine, is_given: bool, length: int) -> Affine:
        """Return where a phase without an end goes to.

        ``is_given`` tells a start that the user wrote from one that was found.
        """
        return Affine(0.0, 1.0 if is_given else 0.0)

    def check(self, start: Affine, end: Affine) -> None:
        """Raise ``ValueError`` if this shape cannot lead from ``start`` to ``end``."""
        if self.is_ratio:
            _check_ratio(self.name, start, end)

    @property
    def is_relative(self) -> bool:
        """Whether the shape itself has a length that needs a horizon."""
        return False

    def over(self, horizon: Horizon) -> Shape:
        """Return this shape with its own lengths in updates."""
        return self

    def stretched(self, factor: Exact) -> Shape:
        """Return this shape for a phase that is ``factor`` times as long."""
        return self

    def arguments(self) -> str:
        """Return the shape's own arguments as they are written in code."""
        defaults = {field.name: field.default for field in fields(self)}
        return "".join(
            f", {name}={value!r}"
            for name, value in self._contents().items()
            if name not in defaults or value != defaults[name]
        )


class Constant(Shape):
    """Stays where it is."""

    name = "constant"

    def weights(self, done: float, left: float) -> tuple[float, float]:
        return 1.0, 0.0

    def open_end(self, start: Affine, is_given: bool, length: int) -> Affine:
        return start


class Linear(Shape):
    """A straight line: shape(p) = p."""

    name = "linear"

    def weights(self, done: float, left: float) -> tuple[float, float]:
        return left, done


@dataclass(frozen=True, eq=False, repr=False)
class Cosine(Shape):
    """Half a cosine: shape(p) = (1 − cos(π · p^k)) / 2."""

    k: float = 1.0
    name = "cosine"

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _positive("k", self.k))

    def weights(self, done: float, left: float) -> tuple[float, float]:
        # (1 − cos x) / 2 = sin²(x / 2) keeps its digits where the cosine is close to 1.
        if self.k != 1.0 and left < 1.0:
            done, left = _power(done, left, self.k)
        of_start = math.sin(_HALF_PI * left)
        of_end = math.sin(_HALF_PI * done)
        return of_start * of_start, of_end * of_end

    def curve(self, start: Affine, end: Affine, length: int) -> Curve:
        if self.k != 1.0:
            return super().curve(start, end, length)
        # The most common curve of all, with the same operations in one function instead of two.
        start_offset, start_scale = start
        end_offset, end_scale = end
        sin, half_pi = math.sin, _HALF_PI

        def relative(position: int) -> tuple[float, float]:
            of_start = sin(half_pi * ((length - position) / length))
            of_end = sin(half_pi * (position / length))
            return 0.0, start_scale * (of_start * of_start) + end_scale * (of_end * of_end)

        def mixed(position: int) -> tuple[float, float]:
            of_start = sin(half_pi * ((length - position) / length))
            of_end = sin(half_pi * (position / length))
            of_start *= of_start
            of_end *= of_end
            return (
                start_offset * of_start + end_offset * of_end,
                start_scale * of_start + end_scale * of_end,
            )

        return mixed if start_offset or end_offset else relative


@dataclass(frozen=True, eq=False, repr=False)
class Polynomial(Shape):
    """A power of what is left: shape(p) = 1 − (1 − p)^power."""

    power: float = 2.0
    name = "polynomial"

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", _positive("power", self.power))

    def weights(self, done: float, left: float) -> tuple[float, float]:
        if done == 1.0:
            return 0.0, 1.0
        return _power(left, done, self.power)


class Sqrt(Shape):
    """The square root of progress: shape(p) = √p."""

    name = "sqrt"

    def weights(self, done: float, left: float) -> tuple[float, float]:
        root = math.sqrt(done)
        return left / (1.0 + root), root


class Rex(Shape):
    """Reflected exponential: shape(p) = p / (2 − p)."""

    name = "rex"

    def weights(self, done: float, left: float) -> tuple[float, float]:
        return 2.0 * left / (1.0 + left), done / (1.0 + left)


@dataclass(frozen=True, eq=False, repr=False)
class Tanh(Shape):
    """Hyperbolic tangent between two arguments, scaled to start at 0 and end at 1."""

    lower: float = -6.0
    upper: float = 3.0
    name = "tanh"

    def __post_init__(self) -> None:
        lower, upper = finite("lower", self.lower), finite("upper", self.upper)
        if not lower < upper or max(abs(lower), abs(upper)) > 150.0:
            raise ValueError(
                f"lower={lower!r} has to be below upper={upper!r}, and both within ±150: "
                "they are the hyperbolic tangent's argument at the phase's start and end."
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    def weights(self, done: float, left: float) -> tuple[float, float]:
        # tanh a − tanh b = sinh(a − b) / (cosh a · cosh b), without the cancellation.
        width = self.upper - self.lower
        x = self.lower * left + self.upper * done
        start = math.sinh(width * left) / math.sinh(width)
        end = math.sinh(width * done) / math.sinh(width)
        here = math.cosh(x)
        return start * (math.cosh(self.lower) / here), end * (math.cosh(self.upper) / here)


@dataclass(frozen=True, eq=False, repr=False)
class Exponential(Shape):
    """Equal ratios: value(p) = start^(1 − p) · end^p."""

    name = "exponential"

    def weights(self, done: float, left: float) -> tuple[float, float]:
        # The shape alone has no ratio; drawn for an end of a hundredth of the start.
        of_end = math.expm1(done * math.log(0.01)) / math.expm1(math.log(0.01))
        return 1.0 - of_end, of_end

    @property
    def is_ratio(self) -> bool:
        return True

    def curve(self, start: Affine, end: Affine, length: int) -> Curve:
        offset, sign, first, last = _one_kind(start, end)

        def at(position: int) -> tuple[float, float]:
            value = first ** ((length - position) / length) * last ** (position / length)
            return (sign * value, 0.0) if offset else (0.0, sign * value)

        return at


@dataclass(frozen=True, eq=False, repr=False)
class InverseProportional(Shape):
    """Equal steps of the reciprocal: value(p) = 1 / ((1 − p)/start + p/end)."""

    name = "inverse_proportional"

    def weights(self, done: float, left: float) -> tuple[float, float]:
        # The shape alone has no ratio; drawn for an end of a hundredth of the start.
        of_end = done / (0.01 * left + done)
        return 1.0 - of_end, of_end

    @property
    def is_ratio(self) -> bool:
        return True

    def check(self, start: Affine, end: Affine) -> None:
        super().check(start, end)
        _, _, first, last = _one_kind(start, end)
        if first / last > _LARGEST_RATIO:
            raise ValueError(
                f"{self.name}: from {sum(start):g} to {sum(end):g}, the start is more than "
                f"{_LARGEST_RATIO:g} times the end. Give an end further from 0, such as "
                "end=0.001, or use linear or cosine."
            )

    def curve(self, start: Affine, end: Affine, length: int) -> Curve:
        offset, sign, first, last = _one_kind(start, end)
        ratio = first / last

        def at(position: int) -> tuple[float, float]:
            value = first * (length / ((length - position) + position * ratio))
            return (sign * value, 0.0) if offset else (0.0, sign * value)

        return at


@dataclass(frozen=True, eq=False, repr=False)
class InverseSqrt(Shape):
    """Proportional to 1/√(1 + position / timescale), scaled to the phase's ends."""

    timescale: Length = None
    name = "inverse_sqrt"

    def __post_init__(self) -> None:
        timescale = checked(self.timescale, "timescale")
        if timescale is None or timescale == 0:
            raise ValueError(
                f"inverse_sqrt(timescale={self.timescale!r}): write the number of updates after "
                "which the value has fallen to 1/√2, for example timescale=1000; often the "
                "length of the warmup before it."
            )
        object.__setattr__(self, "timescale", timescale)

    def weights(self, done: float, left: float) -> tuple[float, float]:
        # The shape alone has no length; drawn for one of ten timescales.
        return self._weights(10.0 * done, 10.0 * left, 10.0)

    @staticmethod
    def _weights(x: float, rest: float, total: float) -> tuple[float, float]:
        """Weights at x = position/timescale, with ``rest`` = total − x still to come."""
        drop = -math.expm1(-0.5 * math.log1p(total))
        of_end = -math.expm1(-0.5 * math.log1p(x)) / drop
        of_start = math.expm1(0.5 * math.log1p(rest / (1.0 + x))) / (math.sqrt(1.0 + total) * drop)
        return of_start, of_end

    def open_end(self, start: Affine, is_given: bool, length: int) -> Affine:
        fall = 1.0 / math.sqrt(1.0 + length / self._updates)
        return Affine(start.offset * fall, start.scale * fall)

    def curve(self, start: Affine, end: Affine, length: int) -> Curve:
        timescale = self._updates
        total = length / timescale
        weights = self._weights

        def at(position: int) -> tuple[float, float]:
            if position == 0:
                return start
            of_start, of_end = weights(position / timescale, (length - position) / timescale, total)
            return start[0] * of_start + end[0] * of_end, start[1] * of_start + end[1] * of_end

        return at

    @property
    def _updates(self) -> int:
        if not isinstance(self.timescale, int):
            raise ValueError(f"timescale={self.timescale!r} is no number of updates yet.")
        return self.timescale

    @property
    def is_relative(self) -> bool:
        return is_relative(self.timescale)

    def over(self, horizon: Horizon) -> Shape:
        updates = horizon.updates(self.timescale)
        return replace(self, timescale=max(1, nearest(updates or 1)))

    def stretched(self, factor: Exact) -> Shape:
        return replace(self, timescale=max(1, nearest(self._updates * factor)))


@dataclass(frozen=True, eq=False, repr=False)
class Custom(Shape):
    """A user's own function of progress."""

    function: Callable[[float], float]
    name = "phase"
    is_bounded = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"shape={self.function!r} has to be a function of progress in [0, 1].")
        for progress in (0.0, 1.0):
            value = finite(f"shape({progress:g})", self.function(progress))
            if value != progress:
                raise ValueError(
                    f"shape={self.function!r} gives {value!r} at progress {progress:g}, but a "
                    "shape leads from exactly 0 at progress 0 to exactly 1 at progress 1. To "
                    "schedule values instead, use from_function."
                )

    def weights(self, done: float, left: float) -> tuple[float, float]:
        of_end = finite(f"shape({done!r})", self.function(done))
        return 1.0 - of_end, of_end

    def arguments(self) -> str:
        return f", shape={getattr(self.function, '__qualname__', repr(self.function))}"


_HALF_PI = math.pi / 2.0
_LARGEST_RATIO = 1e250  # times the updates of any phase, it is still finite


def _positive(name: str, value: object) -> float:
    number = finite(name, value)
    if number <= 0.0:
        raise ValueError(f"{name}={value!r} has to be above 0.")
    return number


def _power(share: float, rest: float, power: float) -> tuple[float, float]:
    """Return share^power and 1 − share^power, where share + rest = 1 and share > 0."""
    log = math.log1p(-rest) if rest < 0.5 else math.log(share)
    return share**power, -math.expm1(power * log)


def _check_ratio(name: str, start: Affine, end: Affine) -> None:
    if any(end.offset for end in (start, end)) and any(end.scale for end in (start, end)):
        raise ValueError(
            f"{name}: the ends are partly multiples of the base and partly absolute, so their "
            "ratio is different for each group. Write both as multiples, or both with absolute(…)."
        )
    first, last = sum(start), sum(end)
    if first == 0.0 or last == 0.0:
        raise ValueError(
            f"{name}: an end of 0 has no ratio to anything. Give a small end such as end=0.001, "
            "or use linear or cosine."
        )
    if (first < 0.0) != (last < 0.0):
        raise ValueError(
            f"{name}: from {first:g} to {last:g} there is no constant ratio, because one is above "
            "0 and the other below. Use linear or cosine."
        )


def _one_kind(start: Affine, end: Affine) -> tuple[bool, float, float, float]:
    """Return whether the ends are absolute, their sign, and both without it."""
    first, last = sum(start), sum(end)
    return start.offset != 0.0, math.copysign(1.0, first), abs(first), abs(last)
