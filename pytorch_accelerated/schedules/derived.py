"""What is made of whole schedules: endless, cut, stretched, rounded ones, the larger of two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from pytorch_accelerated.checks import positive
from pytorch_accelerated.schedules.compose import FAR, Pair, Repeat, fitted, in_brackets
from pytorch_accelerated.schedules.phase import constant
from pytorch_accelerated.schedules.schedule import OPERATORS, Schedule
from pytorch_accelerated.schedules.terms import (
    ONE,
    Absolute,
    Affine,
    Exact,
    Fixed,
    Horizon,
    Length,
    checked,
    exact,
    updates_between,
)
from pytorch_accelerated.schedules.track import (
    Bounds,
    Coefficients,
    Curve,
    PhaseRow,
    Piece,
    Track,
    holding,
)


class Endless(Fixed, Schedule):
    """One schedule again and again: what ``a.repeat()`` builds."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        if not schedule.is_relative and not schedule.horizon:
            why = "never ends" if schedule.horizon is None else "has no updates"
            raise ValueError(f"{schedule!r} {why}, so it cannot be repeated. Give it a length.")
        if schedule._demand(FAR) is None:
            raise ValueError(
                f"{schedule!r} takes the rest of the horizon, so it cannot be repeated for ever. "
                "Give it a length, or write how often: repeat(4)."
            )

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        track = self.schedule.track
        yield Piece(None, self._at, None, repr(self), track.bounds, tuple(track.reached))

    def _at(self, position: int) -> Coefficients:
        return self.schedule.coefficients(position % (self.schedule.horizon or 1))

    def _demand(self, horizon: Horizon) -> Exact | None:
        return 0

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        period = self.schedule._demand(horizon) or 0
        return Endless(fitted(self.schedule, begin, period, horizon))

    def _sketch(self) -> Iterator[PhaseRow]:
        for row in self.schedule.phases:
            yield row._replace(shape=f"{row.shape}, for ever")

    def __repr__(self) -> str:
        return f"{in_brackets(self.schedule)}.repeat()"


def repeated(schedule: Schedule, count: int | None, length: float, peak: float) -> Schedule:
    """Return a schedule that runs several times, or for ever."""
    if count is not None:
        return Repeat(schedule, count, length, peak)
    if (length, peak) != (1.0, 1.0):
        raise ValueError(
            f"repeat(length={length!r}, peak={peak!r}) has no count, but only equal periods can be "
            "repeated for ever. Write a count: 40 periods that double outlast any run."
        )
    return Endless(schedule)


class Until(Fixed, Schedule):
    """The first part of a schedule: what ``a.until(k)`` builds."""

    def __init__(self, schedule: Schedule, length: Length) -> None:
        self.schedule = schedule
        self.length = checked(length, "until")

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative or not isinstance(self.length, int)

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        assert isinstance(self.length, int)
        track, left = Track(self.schedule._pieces(previous)), self.length
        start, _, curve = track.segment(left)
        end = Affine(*curve(left - start))
        for piece in track.pieces:
            if piece.length is None or piece.length > left:
                if left:
                    reached = (Affine(*piece.curve(0)), end) if piece.reached else ()
                    yield piece._replace(length=left, end=end, reached=reached)
                left = 0
                break
            yield piece
            left -= piece.length
        # At a joint the value is the one of what comes next, and past the end it is the last.
        yield holding(end, left, "constant")

    def _demand(self, horizon: Horizon) -> Exact | None:
        return horizon.updates(self.length)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        demand = self.schedule._demand(horizon)
        total = horizon.num_updates if demand is None else demand
        plan = fitted(self.schedule, begin, total, horizon)
        return Until(plan, updates_between(begin, length))

    def _sketch(self) -> Iterator[PhaseRow]:
        for row in self.schedule.phases:
            yield row._replace(shape=f"{row.shape}, until {self.length!r}")

    def __repr__(self) -> str:
        return f"{in_brackets(self.schedule)}.until({self.length!r})"


class Stretched(Fixed, Schedule):
    """A schedule with relative lengths in another time: what ``a.stretched(2.0)`` builds."""

    def __init__(self, schedule: Schedule, factor: float) -> None:
        self.schedule = schedule
        self.factor = positive("factor", factor)

    @property
    def is_relative(self) -> bool:
        return True

    def _within(self, horizon: Horizon) -> Horizon:
        return horizon._replace(stretch=horizon.stretch * exact(self.factor))

    def _demand(self, horizon: Horizon) -> Exact | None:
        return self.schedule._demand(self._within(horizon))

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        return self.schedule._fit(begin, length, self._within(horizon))

    def _sketch(self) -> Iterator[PhaseRow]:
        for row in self.schedule.phases:
            yield row._replace(shape=f"{row.shape}, stretched by {self.factor:g}")

    def __repr__(self) -> str:
        return f"{in_brackets(self.schedule)}.stretched({self.factor!r})"


def stretched(schedule: Schedule, factor: float) -> Schedule:
    """Return a schedule in ``factor`` times as many updates, at once if it has no relative one."""
    one = Stretched(schedule, factor)
    if schedule.is_relative:
        one._fit(0, one._demand(FAR) or FAR.num_updates, FAR)  # what cannot be says so here
        return one
    return one._fit(0, one._demand(Horizon(0)) or 0, Horizon(0))


class Rounded(Fixed, Schedule):
    """A schedule with rounded values: what ``a.rounded(to=8)`` builds."""

    def __init__(self, schedule: Schedule, to: float = 1) -> None:
        self.schedule = schedule
        self.to = positive("to", to)
        if not schedule.is_relative:
            for value in schedule.track.reached:
                self._rounded(value)

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _nearest(self, value: float) -> float:
        steps = value / self.to
        if abs(steps) >= 2.0**53:
            return value  # a float of this size has no fraction
        below = math.floor(steps)
        return self.to * (below + (steps - below >= 0.5))

    def _rounded(self, value: Coefficients) -> Affine:
        offset, scale = value
        if scale != 0.0:
            raise ValueError(
                f"{self!r}: {scale:g} times the base is a multiple, which is whole for some bases "
                "only. Write all values, the start too, as absolute(…)."
            )
        return Affine(self._nearest(offset), 0.0)

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        for piece in self.schedule._pieces(ONE):
            yield piece._replace(
                curve=partial(self._at, piece.curve),
                end=piece.end and self._rounded(piece.end),
                bounds=partial(self._bounds, piece.bounds),
                reached=tuple(map(self._rounded, piece.reached)),
            )

    def _at(self, curve: Curve, position: int) -> Coefficients:
        return self._rounded(curve(position))

    def _bounds(self, bounds: Bounds, base: float) -> tuple[float, float]:
        lowest, highest = bounds(base)
        if not math.isfinite(highest - lowest):
            return -math.inf, math.inf
        return self._nearest(lowest), self._nearest(highest)

    def _sketch(self) -> Iterator[PhaseRow]:
        for row in self.schedule.phases:
            yield row._replace(shape=f"{row.shape}, rounded to {self.to:g}")

    def _demand(self, horizon: Horizon) -> Exact | None:
        return self.schedule._demand(horizon)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        return Rounded(self.schedule._fit(begin, length, horizon), self.to)

    def __repr__(self) -> str:
        to = int(self.to) if self.to.is_integer() else self.to
        return f"{in_brackets(self.schedule)}.rounded({'' if to == 1 else f'to={to!r}'})"


class _Chosen(Pair):
    """One of two schedules, update by update."""

    choose: Callable[[float, float], float]

    def __init__(self, left: Schedule, right: Schedule) -> None:
        super().__init__(left, right)
        if not self.is_relative:
            self._check(self.left.track.reached | self.right.track.reached)

    def _check(self, values: set[Affine], at: int | None = None) -> None:
        if any(offset for offset, _ in values) and any(scale for _, scale in values):
            where = "" if at is None else f" at update {at}"
            raise ValueError(
                f"{self!r}: some values are absolute and others multiples of the base{where}, so "
                "which is smaller differs between groups. Write all with absolute(…), or none."
            )

    def _both(self, one: Coefficients, other: Coefficients, at: int | None = None) -> Coefficients:
        if (one[0] or other[0]) and (one[1] or other[1]):
            self._check({Affine(*one), Affine(*other)}, at)
        return self.choose(one[0], other[0]), self.choose(one[1], other[1])

    def _bounds(self, base: float) -> tuple[float, float]:
        left, right = self.left.track.bounds(base), self.right.track.bounds(base)
        return min(left[0], right[0]), max(left[1], right[1])

    def __repr__(self) -> str:
        return f"{self.symbol}({_written(self.left)}, {_written(self.right)})"


class Minimum(_Chosen):
    """The smaller of two schedules: what ``minimum(a, b)`` builds."""

    symbol = "minimum"
    choose = staticmethod(min)


class Maximum(_Chosen):
    """The larger of two schedules: what ``maximum(a, b)`` builds."""

    symbol = "maximum"
    choose = staticmethod(max)


def minimum(a: Schedule | float | Absolute, b: Schedule | float | Absolute) -> Schedule:
    """Take the smaller of two schedules at each update: a schedule under a ceiling.

    ``value(n) = min(a(n), b(n))``, where a number stands for a schedule that keeps it.

    Args:
        a: A schedule, or a number: a multiple of the base, or ``absolute(…)``.
        b: The same. Of multiples, the smaller one counts, whatever the base.

    Raises:
        TypeError: If one of them is neither a schedule nor a number.
        ValueError: If multiples of the base meet absolute values, as which of them is smaller
            differs between groups.

    Example:
        >>> from pytorch_accelerated.schedules import linear, minimum
        >>> [minimum(linear(4, end=0.0), 0.6)(k) for k in range(5)]
        [0.6, 0.6, 0.5, 0.25, 0.0]
    """
    return Minimum(_kept(a), _kept(b))


def maximum(a: Schedule | float | Absolute, b: Schedule | float | Absolute) -> Schedule:
    """Take the larger of two schedules at each update: a schedule above a floor.

    ``value(n) = max(a(n), b(n))``, where a number stands for a schedule that keeps it.

    Args:
        a: A schedule, or a number: a multiple of the base, or ``absolute(…)``.
        b: The same. Of multiples, the larger one counts, whatever the base.

    Raises:
        TypeError: If one of them is neither a schedule nor a number.
        ValueError: If multiples of the base meet absolute values, as which of them is larger
            differs between groups.

    Example:
        >>> from pytorch_accelerated.schedules import linear, maximum
        >>> [maximum(linear(4, end=0.0), 0.1)(k) for k in range(5)]
        [1.0, 0.75, 0.5, 0.25, 0.1]
    """
    return Maximum(_kept(a), _kept(b))


def _kept(part: Schedule | float | Absolute) -> Schedule:
    """Return a schedule of no updates that keeps a number."""
    return part if isinstance(part, Schedule) else constant(0, value=part)


def _written(part: Schedule) -> str:
    value = getattr(part, "start", None)
    return repr(value if value is not None and part == _kept(value) else part)


OPERATORS.update({"repeat": repeated, "until": Until, "stretched": stretched, "rounded": Rounded})
