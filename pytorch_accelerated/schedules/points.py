"""Schedules that are given point by point: milestones, and a user's own function."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from pytorch_accelerated.checks import finite
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import (
    ONE,
    Absolute,
    Affine,
    Epochs,
    Exact,
    Fixed,
    Horizon,
    Length,
    affine,
    checked,
    endpoint,
    updates_between,
)
from pytorch_accelerated.schedules.track import Coefficients, Piece, holding

EndGiven: TypeAlias = float | Absolute | Affine


class Milestones(Fixed, Schedule):
    """Values that hold from given updates on; see :func:`milestones`."""

    def __init__(self, points: Iterable[tuple[int | float | Epochs, EndGiven]]) -> None:
        try:
            pairs = [(at, value) for at, value in points]
        except (TypeError, ValueError):
            raise TypeError(
                f"points={points!r} has to be a list of pairs of a milestone and a value, such as "
                "[(30, 0.1), (60, 0.01)]."
            ) from None
        self.points = tuple(
            (checked(at, "milestone"), endpoint(f"the value at {at!r}", value))
            for at, value in pairs
        )
        if not self.points:
            raise ValueError("milestones({}): there is none. Write, for example, {30: 0.1}.")
        for kind in (int, float, Epochs):
            own = [
                x.number if isinstance(x, Epochs) else x for x, _ in self.points if type(x) is kind
            ]
            if any(one >= other for one, other in pairwise(own)):
                raise ValueError(f"{self!r}: the milestones have to rise.")

    @property
    def is_relative(self) -> bool:
        return any(not isinstance(at, int) for at, _ in self.points)

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        position, held = 0, ONE
        for at, value in self.points:
            assert isinstance(at, int)
            if at > position:
                yield holding(held, at - position, "constant")
            position, held = at, affine(value)
        yield holding(held, 0, "constant")

    def _demand(self, horizon: Horizon) -> Exact | None:
        return max(horizon.updates(at) or 0 for at, _ in self.points)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        updates = (horizon.updates(at) or 0 for at, _ in self.points)
        values = (value for _, value in self.points)
        return milestones(
            {updates_between(begin, at): value for at, value in zip(updates, values, strict=True)}
        )

    def __repr__(self) -> str:
        points = ", ".join(f"{at!r}: {value!r}" for at, value in self.points)
        return f"milestones({{{points}}})"


def milestones(values: Mapping[int | float | Epochs, EndGiven]) -> Schedule:
    """Hold each value from its milestone on, that very update included; 1 before the first.

    ``value(k) = values[m]`` with m the last milestone that is ≤ k.

    Args:
        values: Milestone → value. A milestone is an update, a share of the horizon in (0, 1), or
            ``epochs(n)``; a value is a multiple of the base (not of the value before), or
            ``absolute(…)``.

    Raises:
        ValueError: If there is none, or they do not rise.

    Example:
        >>> from pytorch_accelerated.schedules import milestones
        >>> steps = milestones({30: 0.1, 60: 0.01})
        >>> [steps(k) for k in (29, 30, 59, 60, 1_000)]
        [1.0, 0.1, 0.1, 0.01, 0.01]
    """
    if not isinstance(values, Mapping) or not values:
        raise ValueError(
            f"milestones({values!r}): write a dictionary from updates to values, for example "
            "milestones({30: 0.1, 60: 0.01})."
        )
    return Milestones(tuple(values.items()))


class FromFunction(Fixed, Schedule):
    """A user's own function of the update; see :func:`from_function`."""

    def __init__(self, function: Callable[[int], float | Absolute], length: Length = None) -> None:
        if not callable(function):
            raise TypeError(
                f"function={function!r} has to be a function of the number of updates, for "
                "example from_function(lambda k: 0.99**k)."
            )
        self.function = function
        self.length = checked(length)

    def _value(self, num_updates: int) -> Coefficients:
        value: Any = self.function(num_updates)
        if isinstance(value, Absolute):
            return value.value, 0.0
        if type(value) is not float or value - value != 0.0:  # a NaN, or infinity
            if not isinstance(value, numbers.Real) and hasattr(value, "item"):
                value = value.item()
            value = finite(f"{self!r} at update {num_updates}: value", value)
        return 0.0, value

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        length = self.length if isinstance(self.length, int) else None
        end = None if length is None else Affine(*self._value(length))
        yield Piece(length, self._value, end, repr(self))

    @property
    def is_relative(self) -> bool:
        return isinstance(self.length, float | Epochs)

    def _demand(self, horizon: Horizon) -> Exact | None:
        return horizon.updates(self.length) if self.length is not None else 0

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        if horizon.stretch != 1:
            return super()._fit(begin, length, horizon)
        return self._with(length=updates_between(begin, length))

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", None) or repr(self.function)
        return f"from_function({name}{'' if self.length is None else f', {self.length!r}'})"


def from_function(function: Callable[[int], float | Absolute], length: Length = None) -> Schedule:
    """Make a schedule of your own function of the number of updates made.

    ``value(k) = function(k) · base``, or ``function(k)`` itself where it returns ``absolute(…)``.

    Args:
        function: Called with the update k = 0, 1, 2, …; returns a multiple of the base, or
            ``absolute(…)``. Inside ``a >> b`` it is called with the updates since its own start.
        length: After so many updates ``function(length)`` holds; a length as anywhere else. None
            means that the function is asked for ever.

    Raises:
        TypeError: If ``function`` is not callable, or (when asked) does not return a number.
        ValueError: If (when asked) it returns a number that is not finite.

    Example:
        >>> from pytorch_accelerated.schedules import from_function
        >>> mine = from_function(lambda num_updates: 0.5**num_updates)
        >>> mine(3, base=0.8)
        0.1
    """
    return FromFunction(function, length)
