"""Phases: a length, a start, an end, and a shape; and the functions that build them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pytorch_accelerated.schedules.base import (
    ONE,
    Absolute,
    Affine,
    PhaseRow,
    Piece,
    Schedule,
    affine,
    endpoint,
    not_yet,
)
from pytorch_accelerated.schedules.lengths import (
    Epochs,
    Exact,
    Horizon,
    Length,
    between,
    checked,
    is_relative,
)
from pytorch_accelerated.schedules.shapes import (
    Constant,
    Cosine,
    Custom,
    Exponential,
    InverseProportional,
    InverseSqrt,
    Linear,
    Polynomial,
    Rex,
    Shape,
    Sqrt,
    Tanh,
)

_LINE = Linear()


@dataclass(frozen=True, eq=False, repr=False)
class Phase(Schedule):
    """A curve of one shape, from a start to an end; see :func:`phase` and its siblings."""

    length: Length
    shape: Shape
    start: float | Absolute | Affine | None = None
    end: float | Absolute | Affine | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", checked(self.length))
        if not isinstance(self.shape, Shape):
            raise TypeError(
                f"shape={self.shape!r} is no shape, such as Cosine(). Write, for example, "
                f"cosine({self.length!r}), or phase({self.length!r}, shape=…) for a function."
            )
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, endpoint(name, value))
        if self.shape.is_ratio:
            self._check_ratio()

    def _check_ratio(self) -> None:
        """Raise if the ends that are known already have no constant ratio."""
        given = [affine(end) for end in (self.start, self.end) if end is not None]
        if not given:
            raise ValueError(
                f"{self!r} falls to 0 when no end is given, and a constant ratio never gets "
                "there. Give an end above 0, such as end=0.001."
            )
        # A given start without an end rises to 1; what an open start will find is not known yet.
        self.shape.check(given[0], ONE if self.end is None else given[-1])

    def _ends_after(self, previous: Affine) -> tuple[int, Affine, Affine]:
        if self.is_relative or not isinstance(self.length, int):
            raise not_yet(self)
        start = previous if self.start is None else affine(self.start)
        if self.end is not None:
            end = affine(self.end)
        else:
            end = self.shape.open_end(start, self.start is not None, self.length)
        self.shape.check(start, end)
        return self.length, start, end

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        length, start, end = self._ends_after(previous)
        curve = (lambda _: start) if start == end else self.shape.curve(start, end, length)
        yield Piece(length, curve, end, self._label, (start, end), self.shape.is_bounded)

    @property
    def _label(self) -> str:
        return self.shape.name + (f" ({self._extras[2:]})" if self._extras else "")

    @property
    def is_relative(self) -> bool:
        return is_relative(self.length) or self.shape.is_relative

    def _sketch(self) -> Iterator[PhaseRow]:
        ends = [None if end is None else affine(end) for end in (self.start, self.end)]
        yield PhaseRow(_length_text(self.length), None, ends[0], ends[1], self._label)

    def closed(self, previous: Affine) -> Phase:
        """Return this phase with both ends given, after one that ended at ``previous``."""
        _, start, end = self._ends_after(previous)
        return replace(self, start=as_endpoint(start), end=as_endpoint(end))

    def resized(self, length: int, horizon: Horizon | None, growth: Exact) -> Phase:
        """Return this phase with a length in updates, its shape ``growth`` times as slow."""
        shape = self.shape.over(horizon) if horizon is not None else self.shape
        return replace(self, length=length, shape=shape.stretched(growth))

    def with_ends(self, change: Callable[[Affine], Affine]) -> Phase:
        """Return this phase, whose ends are given, with both of them changed."""
        _, start, end = self._ends_after(ONE)
        return replace(self, start=as_endpoint(change(start)), end=as_endpoint(change(end)))

    def _demand(self, horizon: Horizon) -> Exact | None:
        return horizon.updates(self.length)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Phase:
        return replace(self, length=between(begin, length), shape=self.shape.over(horizon))

    @property
    def _extras(self) -> str:
        return self.shape.arguments()

    def __repr__(self) -> str:
        length = [] if self.length is None else [repr(self.length)]
        if isinstance(self.shape, Constant):
            ends = [] if self.start is None else [f"value={self.start!r}"]
        else:
            ends = [
                f"{name}={value!r}"
                for name, value in (("start", self.start), ("end", self.end))
                if value is not None
            ]
        extras = [self._extras[2:]] if self._extras else []
        return f"{self.shape.name}({', '.join([*length, *extras, *ends])})"


def as_endpoint(end: Affine) -> float | Absolute | Affine:
    """Return the plainest way to write an end."""
    if end.offset == 0.0:
        return end.scale
    return Absolute(end.offset) if end.scale == 0.0 else end


def _length_text(length: Length) -> str:
    if length is None:
        return "the rest"
    if isinstance(length, Epochs):
        return f"{length.number:g} epochs"
    return f"{length} updates" if isinstance(length, int) else f"{100 * length:g} %"


End = float | Absolute | Affine | None


def constant(length: Length = None, value: End = None) -> Schedule:
    """Hold a value: the one that the phase before ended at, or ``value``.

    ``value(p) = value`` for all progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        value: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).

    Example:
        >>> from pytorch_accelerated.schedules import constant, linear
        >>> schedule = linear(10, end=0.5) >> constant(5)
        >>> schedule(12)
        0.5
    """
    if value is not None:
        value = endpoint("value", value)
    return Phase(length, Constant(), value, value)


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


def cosine(length: Length = None, start: End = None, end: End = None, k: float = 1.0) -> Schedule:
    """Go from start to end along half a cosine: slowly, fast, slowly.

    ``value(p) = end + (start − end) · (1 + cos(π · p^k)) / 2`` at progress p.

    Args:
        length: Updates, a share in (0, 1), ``epochs(n)``, or None for the rest.
        start: A multiple of the base, ``absolute(…)``, or None for what is found (1 at first).
        end: The same; None means 1 where a start is given, else 0.
        k: The power of the progress, above 0 (k-decay); more than 1 stays high for longer.

    References:
        SGDR, Loshchilov and Hutter, arXiv:1608.03983; k-decay, Zhang and Li, arXiv:2004.05909.

    Example:
        >>> from pytorch_accelerated.schedules import cosine
        >>> [round(cosine(4, end=0.0)(n), 4) for n in range(5)]
        [1.0, 0.8536, 0.5, 0.1464, 0.0]
    """
    return Phase(length, Cosine(k), start, end)


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
        TypeError: If ``shape`` is no function, or gives no number.
        ValueError: If it does not lead from 0 to 1.

    Example:
        >>> from pytorch_accelerated.schedules import phase
        >>> def smoothstep(progress):
        ...     return progress * progress * (3 - 2 * progress)
        >>> phase(4, shape=smoothstep, end=0.0)(1)
        0.84375
    """
    return Phase(length, shape if isinstance(shape, Shape) else Custom(shape), start, end)
