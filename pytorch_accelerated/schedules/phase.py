"""Phases: a length, a start, an end, and a shape, which is how to get from one to the other.

A shape is a function of progress with shape(0) = 0 and shape(1) = 1. Near either end, a value is
only as accurate as the weight of the end that is *far* away: ``1 − shape(p)`` computed as such
loses every digit when shape(p) is close to 1. So a shape gives both weights, and gets both
``done`` (the share of the phase that is over) and ``left`` = 1 − done, each computed from whole
updates.
"""

from __future__ import annotations

import math as python
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar, NamedTuple, TypeAlias

from pytorch_accelerated.checks import finite
from pytorch_accelerated.schedules.arrays import taking_arrays
from pytorch_accelerated.schedules.schedule import Schedule, not_yet
from pytorch_accelerated.schedules.terms import (
    ONE,
    Absolute,
    Affine,
    Epochs,
    Exact,
    Fixed,
    Horizon,
    Length,
    Value,
    affine,
    checked,
    endpoint,
    updates_between,
)
from pytorch_accelerated.schedules.track import Curve, PhaseRow, Piece, anything, between, holding

End: TypeAlias = float | Absolute | Affine | None

_MOST_AS_DOUBLES = 2**53  # beyond, not every whole number is a double


class Shape(Value):
    """How a phase gets from its start to its end.

    A shape has ``weights``, or a ``curve`` of its own. ``is_bounded`` says that every value lies
    between the ends; ``takes_arrays`` that it takes ``math``, whose functions it uses, and else
    only + − × ÷, powers and comparisons, so that arrays go through it as floats do. A class
    inherits neither, because it may do as it likes.
    """

    name: ClassVar[str]
    is_bounded: ClassVar[bool] = False
    takes_arrays: ClassVar[bool] = False
    is_relative: bool = False  # it has a length of its own that needs a horizon
    is_ratio: ClassVar[bool] = False  # both ends are of one kind and sign, and none of them is 0

    def __init_subclass__(
        cls, is_bounded: bool = False, takes_arrays: bool = False, **options: Any
    ) -> None:
        super().__init_subclass__(**options)
        cls.is_bounded, cls.takes_arrays = is_bounded, takes_arrays
        if "name" not in vars(cls):
            cls.name = cls.__name__

    def weights(self, done: float, left: float) -> tuple[float, float]:
        """Return the weights of the start and of the end, where ``done + left = 1``."""
        raise TypeError(f"{type(self).__name__} has to define weights(done, left).")

    def curve(self, start: Affine, end: Affine, length: int, math: Any = python) -> Curve:
        """Return offset and scale as a function of the position 0 … length − 1 in the phase."""
        weights: Any = self.weights
        if math is not python:
            weights = partial(weights, math=math)
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

    def open_end(self, start: Affine, is_given: bool, length: int) -> Affine:
        """Return where a phase without an end goes to.

        ``is_given`` tells a start that the user wrote from one that was found.
        """
        return Affine(0.0, 1.0 if is_given else 0.0)

    def check(self, start: Affine, end: Affine) -> None:
        """Raise ``ValueError`` if these ends have no ratio; it is asked where ``is_ratio``."""

    def over(self, horizon: Horizon, growth: Exact = 1) -> Shape:
        """Return this shape with its own lengths in updates, ``growth`` times as long."""
        return self

    def arguments(self) -> list[str]:
        """Return the shape's own arguments as they are written in code."""
        return arguments_of(self)


def arguments_of(value: Value) -> list[str]:
    """Return what a value was made of as it is written in code, without defaults."""
    contents = value._contents()
    kind: Any = type(value)
    defaults = _defaults(kind) if contents else {}
    return [
        f"{name}={one!r}"
        for name, one in contents.items()
        if name not in defaults or one != defaults[name]
    ]


@lru_cache
def _defaults(kind: type) -> dict[str, object]:
    from inspect import signature  # on use: its import takes 5 ms

    return {name: one.default for name, one in signature(kind).parameters.items()}


class Constant(Shape, is_bounded=True):
    """Stays where it is."""

    name = "constant"

    def weights(self, done: float, left: float) -> tuple[float, float]:
        return 1.0, 0.0

    def open_end(self, start: Affine, is_given: bool, length: int) -> Affine:
        return start


class Custom(Fixed, Shape):
    """A user's own function of progress."""

    name = "phase"

    def __init__(self, function: Any) -> None:
        if not callable(function):
            raise TypeError(f"shape={function!r} has to be a function of progress in [0, 1].")
        for progress in (0.0, 1.0):
            value = finite(f"shape({progress:g})", function(progress))
            if value != progress:
                raise ValueError(
                    f"shape={function!r} gives {value!r} at progress {progress:g}, but a "
                    "shape leads from exactly 0 at progress 0 to exactly 1 at progress 1. To "
                    "schedule values instead, use from_function."
                )
        self.function = function

    def weights(self, done: float, left: float) -> tuple[float, float]:
        of_end = finite(f"shape({done!r})", self.function(done))
        return 1.0 - of_end, of_end

    def arguments(self) -> list[str]:
        return [f"shape={getattr(self.function, '__qualname__', repr(self.function))}"]


class Phase(Fixed, Schedule):
    """A curve of one shape, from a start to an end; see :func:`phase` and its siblings."""

    def __init__(self, length: Length, shape: Shape, start: End = None, end: End = None) -> None:
        self.length = checked(length)
        if not isinstance(shape, Shape):
            raise TypeError(
                f"shape={shape!r} is not a shape, such as Cosine(). Write, for example, "
                f"cosine({length!r}), or phase({length!r}, shape=…) for a function."
            )
        self.shape = shape
        self.start = None if start is None else endpoint("start", start)
        self.end = None if end is None else endpoint("end", end)
        if shape.is_ratio:  # what an open start will find is not known yet
            given = [affine(end) for end in (self.start, self.end) if end is not None]
            start, end = (given[0], given[-1]) if given else (ONE, Affine(0.0, 0.0))
            shape.check(start, ONE if self.end is None and given else end)

    def ends_after(self, previous: Affine) -> tuple[Affine, Affine]:
        """Return start and end of this phase, after one that ended at ``previous``."""
        if not isinstance(self.length, int) or self.shape.is_relative:
            raise not_yet(self)
        start = previous if self.start is None else affine(self.start)
        if self.end is not None:
            end = affine(self.end)
        else:
            end = self.shape.open_end(start, self.start is not None, self.length)
        if self.shape.is_ratio:
            self.shape.check(start, end)
        return start, end

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        start, end = self.ends_after(previous)
        assert isinstance(self.length, int)
        if start == end:
            yield holding(end, self.length, self._label)
            return
        make = partial(self.shape.curve, start, end, self.length)
        curve = make()
        if self.shape.takes_arrays and self.length <= _MOST_AS_DOUBLES:
            curve = taking_arrays(curve, make)
        bounds = between(start, end) if self.shape.is_bounded else anything
        yield Piece(self.length, curve, end, self._label, bounds, (start, end))

    @property
    def _label(self) -> str:
        own = ", ".join(self.shape.arguments())
        return f"{self.shape.name} ({own})" if own else self.shape.name

    @cached_property
    def is_relative(self) -> bool:
        return not isinstance(self.length, int) or self.shape.is_relative

    def _sketch(self) -> Iterator[PhaseRow]:
        start, end = (None if end is None else affine(end) for end in (self.start, self.end))
        yield PhaseRow(_length_text(self.length), None, start, end, self._label)

    def _demand(self, horizon: Horizon) -> Exact | None:
        return horizon.updates(self.length)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Phase:
        return self._with(length=updates_between(begin, length), shape=self.shape.over(horizon))

    def __repr__(self) -> str:
        length = [] if self.length is None else [repr(self.length)]
        names = {"value": self.start} if isinstance(self.shape, Constant) else None
        ends = names or {"start": self.start, "end": self.end}
        written = [f"{name}={value!r}" for name, value in ends.items() if value is not None]
        return f"{self.shape.name}({', '.join([*length, *self.shape.arguments(), *written])})"


def _length_text(length: Length) -> str:
    if length is None:
        return "the rest"
    if isinstance(length, Epochs):
        return f"{length.number:g} epochs"
    return f"{length} updates" if isinstance(length, int) else f"{100 * length:g} %"


class Entry(NamedTuple):
    """One schedule, as the vocabulary, the documentation and the tests of accuracy know it."""

    factory: Callable[..., Schedule]
    sample: Schedule  # one of them, over 100 updates
    formula: str  # in Python, of start, end, progress p, position n and the factory's arguments
    latex: str = ""  # the same, set; a recipe has its line alone
    own: Mapping[str, tuple[float, float]] = {}  # the least and the most that tests try
    kind: str = "shape"  # or "points", "composition", "recipe"
    title: str = ""  # what it is called, if not as its factory
    ends: tuple[float, float] | None = None  # of absolute ends, if it takes no others

    @property
    def name(self) -> str:
        """What it is called; for a shape, the factory's name."""
        return self.title or self.factory.__name__


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
