"""The curves, and the one table of them: a class, a factory and a row for each.

The text language, the exports, the documentation and the tests of accuracy are made of
:data:`CURVES`. Curves that depend on the ratio of their ends are in ``ratios.py``, and those of
betas in ``betas.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pytorch_accelerated.checks import finite, positive
from pytorch_accelerated.schedules.betas import BETAS
from pytorch_accelerated.schedules.phase import Custom, End, Entry, Phase, Shape
from pytorch_accelerated.schedules.ratios import RATIOS
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import Affine, Fixed, Length
from pytorch_accelerated.schedules.track import Curve

_HALF_PI = math.pi / 2.0


def _power(share: float, rest: float, power: float, math: Any) -> tuple[float, float]:
    """Return share^power and 1 − share^power, where share + rest = 1."""
    if share == 0.0:
        return 0.0, 1.0
    log = math.log1p(-rest) if rest < 0.5 else math.log(share)
    return share**power, -math.expm1(power * log)


class Linear(Shape, is_bounded=True, takes_arrays=True):
    """A straight line: shape(p) = p."""

    name = "linear"

    def weights(self, done: float, left: float, math: Any = math) -> tuple[float, float]:
        return left, done


def linear(length: Length = None, start: End = None, end: End = None) -> Schedule:
    """Go from start to end in equal increments.

    ``value(p) = start · (1 − p) + end · p`` at progress p = position / length.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.

    Example:
        >>> from pytorch_accelerated.schedules import linear
        >>> [linear(4, end=0.0)(k) for k in range(6)]
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    return Phase(length, Linear(), start, end)


class Cosine(Fixed, Shape, is_bounded=True, takes_arrays=True):
    """Half a cosine, to a power: shape(p) = 1 − ((1 + cos(π · p^k)) / 2)^exponent."""

    name = "cosine"

    def __init__(self, k: float = 1.0, exponent: float = 1.0) -> None:
        self.k = positive("k", k)
        self.exponent = positive("exponent", exponent)

    def weights(self, done: float, left: float, math: Any = math) -> tuple[float, float]:
        # (1 − cos x) / 2 = sin²(x / 2) keeps its digits where the cosine is close to 1.
        if self.k != 1.0 and left < 1.0:
            done, left = _power(done, left, self.k, math)
        of_start = math.sin(_HALF_PI * left)
        of_end = math.sin(_HALF_PI * done)
        if self.exponent == 1.0:
            return of_start * of_start, of_end * of_end
        return _power(of_start * of_start, of_end * of_end, self.exponent, math)

    def curve(self, start: Affine, end: Affine, length: int, math: Any = math) -> Curve:
        if (self.k, self.exponent) != (1.0, 1.0) or type(self) is not Cosine:
            return super().curve(start, end, length, math)
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
            first, last = of_start * of_start, of_end * of_end
            return (
                start_offset * first + end_offset * last,
                start_scale * first + end_scale * last,
            )

        return mixed if start_offset or end_offset else relative


def cosine(
    length: Length = None,
    start: End = None,
    end: End = None,
    k: float = 1.0,
    exponent: float = 1.0,
) -> Schedule:
    """Go from start to end along half a cosine: slowly, fast, slowly.

    ``value(p) = end + (start − end) · ((1 + cos(π · p^k)) / 2)^exponent`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.
        k: The power of the progress, above 0 (k-decay); more than 1 stays high for longer.
        exponent: The power of the cosine, above 0; more than 1 falls earlier.

    References:
        SGDR, Loshchilov and Hutter, arXiv:1608.03983; k-decay, Zhang and Li, arXiv:2004.05909.

    Example:
        >>> from pytorch_accelerated.schedules import cosine
        >>> [round(cosine(4, end=0.0)(n), 4) for n in range(5)]
        [1.0, 0.8536, 0.5, 0.1464, 0.0]
    """
    return Phase(length, Cosine(k, exponent), start, end)


class Polynomial(Fixed, Shape, is_bounded=True, takes_arrays=True):
    """A power of what is left: shape(p) = 1 − (1 − p)^power."""

    name = "polynomial"

    def __init__(self, power: float = 2.0) -> None:
        self.power = positive("power", power)

    def weights(self, done: float, left: float, math: Any = math) -> tuple[float, float]:
        return _power(left, done, self.power, math)


def polynomial(
    length: Length = None, start: End = None, end: End = None, power: float = 2.0
) -> Schedule:
    """Go from start to end along a power of what is left.

    ``value(p) = end + (start − end) · (1 − p)^power`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.
        power: Above 0; 1 is a line, more than 1 falls fast at first.

    References:
        "Poly" policy, Chen et al., arXiv:1606.00915.

    Example:
        >>> from pytorch_accelerated.schedules import polynomial
        >>> [polynomial(4, end=0.0, power=2.0)(k) for k in range(5)]
        [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    return Phase(length, Polynomial(power), start, end)


class Power(Fixed, Shape, is_bounded=True, takes_arrays=True):
    """A power of progress: shape(p) = p^exponent."""

    name = "power"

    def __init__(self, exponent: float = 2.0) -> None:
        self.exponent = positive("exponent", exponent)

    def weights(self, done: float, left: float, math: Any = math) -> tuple[float, float]:
        of_end, of_start = _power(done, left, self.exponent, math)
        return of_start, of_end


def power(
    length: Length = None, start: End = None, end: End = None, exponent: float = 2.0
) -> Schedule:
    """Go from start to end along a power of progress: ``sqrt`` is the one with exponent 1/2.

    ``value(p) = start + (end − start) · p^exponent`` at progress p = position / length; so
    ``power(end=0.0, exponent=0.4)`` is the cooldown ``1 − p^0.4``.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.
        exponent: Above 0; 1 is a line, more than 1 starts slowly, less than 1 starts fast.

    Raises:
        TypeError: If ``exponent`` is not a number.
        ValueError: If it is not above 0, or not finite.

    Example:
        >>> from pytorch_accelerated.schedules import power
        >>> [power(4, start=0.0, exponent=2.0)(k) for k in range(5)]
        [0.0, 0.0625, 0.25, 0.5625, 1.0]
    """
    return Phase(length, Power(exponent), start, end)


class Sqrt(Shape, is_bounded=True, takes_arrays=True):
    """The square root of progress: shape(p) = √p."""

    name = "sqrt"

    def weights(self, done: float, left: float, math: Any = math) -> tuple[float, float]:
        root = math.sqrt(done)
        return left / (1.0 + root), root


def sqrt(length: Length = None, start: End = None, end: End = None) -> Schedule:
    """Go from start to end along a square root: steep at first, the "1 − sqrt" cooldown.

    ``value(p) = start + (end − start) · √p`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.

    References:
        Hägele et al., arXiv:2405.18392.

    Example:
        >>> from pytorch_accelerated.schedules import sqrt
        >>> [sqrt(4, end=0.0)(k) for k in (0, 1, 4)]
        [1.0, 0.5, 0.0]
    """
    return Phase(length, Sqrt(), start, end)


class Rex(Shape, is_bounded=True, takes_arrays=True):
    """Reflected exponential: shape(p) = p / (2 − p)."""

    name = "rex"

    def weights(self, done: float, left: float, math: Any = math) -> tuple[float, float]:
        return 2.0 * left / (1.0 + left), done / (1.0 + left)


def rex(length: Length = None, start: End = None, end: End = None) -> Schedule:
    """Go from start to end along a reflected exponential: hold up, then drop.

    ``value(p) = end + (start − end) · (1 − p) / (1/2 + (1 − p)/2)`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.

    References:
        REX, Chen et al., arXiv:2107.04197.

    Example:
        >>> from pytorch_accelerated.schedules import rex
        >>> [round(rex(4, end=0.0)(k), 4) for k in range(5)]
        [1.0, 0.8571, 0.6667, 0.4, 0.0]
    """
    return Phase(length, Rex(), start, end)


class Tanh(Fixed, Shape, is_bounded=True, takes_arrays=True):
    """Hyperbolic tangent between two arguments, scaled to start at 0 and end at 1."""

    name = "tanh"

    def __init__(self, lower: float = -6.0, upper: float = 3.0) -> None:
        self.lower, self.upper = finite("lower", lower), finite("upper", upper)
        if not self.lower < self.upper or max(-self.lower, self.upper) > 150.0:
            raise ValueError(
                f"lower={self.lower!r} has to be below upper={self.upper!r}, and both within ±150: "
                "they are the hyperbolic tangent's argument at the phase's start and end."
            )

    def weights(self, done: float, left: float, math: Any = math) -> tuple[float, float]:
        # tanh a − tanh b = sinh(a − b) / (cosh a · cosh b), without the cancellation.
        width = self.upper - self.lower
        x = self.lower * left + self.upper * done
        start = math.sinh(width * left) / math.sinh(width)
        end = math.sinh(width * done) / math.sinh(width)
        here = math.cosh(x)
        return start * (math.cosh(self.lower) / here), end * (math.cosh(self.upper) / here)


def tanh(
    length: Length = None,
    start: End = None,
    end: End = None,
    lower: float = -6.0,
    upper: float = 3.0,
) -> Schedule:
    """Go from start to end along a hyperbolic tangent: flat, then steep, then flat.

    ``value(p) = start + (end − start) · (tanh x − tanh lower) / (tanh upper − tanh lower)`` with
    ``x = lower + (upper − lower) · p`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.
        lower: The tangent's argument at the start of the phase.
        upper: The tangent's argument at its end, above ``lower``.

    References:
        Hsueh et al., arXiv:1806.01593.

    Example:
        >>> from pytorch_accelerated.schedules import tanh
        >>> [round(tanh(9, end=0.0)(k), 4) for k in (0, 3, 6, 9)]
        [1.0, 0.9975, 0.4988, 0.0]
    """
    return Phase(length, Tanh(lower, upper), start, end)


_LINE = Linear()


def phase(
    length: Length = None,
    shape: Callable[[float], float] | Shape = _LINE,
    start: End = None,
    end: End = None,
) -> Schedule:
    """Go from start to end along a shape of your own.

    ``value(p) = start · (1 − shape(p)) + end · shape(p)`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        shape: A function of progress in [0, 1] with shape(0) = 0 and shape(1) = 1, exactly.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.

    Raises:
        TypeError: If ``shape`` is not a function, or does not return a number.
        ValueError: If it does not lead from 0 to 1.

    Example:
        >>> from pytorch_accelerated.schedules import phase
        >>> def smoothstep(progress):
        ...     return progress * progress * (3 - 2 * progress)
        >>> phase(4, shape=smoothstep, end=0.0)(1)
        0.84375
    """
    return Phase(length, shape if isinstance(shape, Shape) else Custom(shape), start, end)


CURVES: tuple[Entry, ...] = (
    Entry(linear, linear(100, end=0.0), "start * (1 - p) + end * p", r"s\,(1 - p) + e\,p"),
    Entry(
        cosine,
        cosine(100, end=0.0),
        "end + (start - end) * ((1 + cos(pi * p**k)) / 2) ** exponent",
        r"e + (s - e)\left(\frac{1 + \cos(\pi p^k)}{2}\right)^{\mathrm{exponent}}",
        own={"k": (0.1, 10.0), "exponent": (0.1, 10.0)},
    ),
    Entry(
        polynomial,
        polynomial(100, end=0.0),
        "end + (start - end) * (1 - p) ** power",
        r"e + (s - e)\,(1 - p)^{\mathrm{power}}",
        own={"power": (0.1, 10.0)},
    ),
    Entry(
        power,
        power(100, start=0.0, exponent=3.0),
        "start + (end - start) * p**exponent",
        r"s + (e - s)\,p^{\mathrm{exponent}}",
        own={"exponent": (0.1, 10.0)},
    ),
    Entry(sqrt, sqrt(100, end=0.0), "start + (end - start) * sqrt(p)", r"s + (e - s)\,\sqrt{p}"),
    Entry(
        tanh,
        tanh(100, end=0.0),
        "start + (end - start) * (tanh(lower + (upper - lower) * p) - tanh(lower))"
        " / (tanh(upper) - tanh(lower))",
        r"s + (e - s)\,\frac{\tanh(l + (u - l)\,p) - \tanh l}{\tanh u - \tanh l}",
        own={"lower": (-150.0, 0.0), "upper": (0.5, 150.0)},
    ),
    Entry(
        rex,
        rex(100, end=0.0),
        "end + (start - end) * (1 - p) / (1/2 + (1 - p) / 2)",
        r"e + (s - e)\,\frac{1 - p}{\frac{1}{2} + \frac{1}{2} (1 - p)}",
    ),
    *RATIOS,
    *BETAS,
)
