"""What schedules compose to: one after another, repeated, scaled, added, multiplied."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from pytorch_accelerated.schedules.base import (
    FAR,
    ONE,
    Affine,
    PhaseRow,
    Piece,
    Schedule,
    too_long,
)
from pytorch_accelerated.schedules.lengths import Exact, Horizon, exact, finite, rounded, whole
from pytorch_accelerated.schedules.phases import Phase

_MOST_PERIODS = 10_000
_FEW = 100  # joints of a sum that are looked at in advance; the rest when their time has come


@dataclass(frozen=True, eq=False, repr=False)
class Sequence(Schedule):
    """One schedule after another: what ``a >> b`` builds."""

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        flat: list[Schedule] = []
        for part in self.parts:
            flat.extend(part.parts if isinstance(part, Sequence) else (part,))
        object.__setattr__(self, "parts", tuple(flat))
        for part in flat[:-1]:
            if not part.is_relative and part.horizon is None:
                raise ValueError(
                    f"{part!r} never ends, so nothing can follow it. Give it a length, for "
                    "example from_function(f, length=1_000)."
                )
        # What cannot follow something else is found here, not when a run begins.
        laid_out = self if not self.is_relative else self._tried_far_away()
        laid_out._track  # noqa: B018

    def _tried_far_away(self) -> Schedule:
        horizon = Horizon(*FAR)
        demands = [part._demand(horizon) for part in self.parts]
        resting = [p for p, demand in zip(self.parts, demands, strict=True) if demand is None]
        if len(resting) > 1:
            raise ValueError(
                f"{resting[0]!r} and {resting[1]!r} both take the rest of the horizon. "
                "Give all but one of them a length."
            )
        _check_shares(self, sum(demand for demand in demands if demand is not None))
        rest = FAR[0] - sum(demand for demand in demands if demand is not None)
        pairs = zip(self.parts, demands, strict=True)
        far = Sequence(())
        object.__setattr__(
            far,
            "parts",
            tuple(
                part._fit(0, rest if demand is None else demand, horizon)
                if part.is_relative
                else part
                for part, demand in pairs
            ),
        )
        return far

    @property
    def is_relative(self) -> bool:
        return any(part.is_relative for part in self.parts)

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        for part in self.parts:
            for piece in part._pieces(previous):
                yield piece
                previous = previous if piece.end is None else piece.end

    def _sketch(self) -> Iterator[PhaseRow]:
        for part in self.parts:
            yield from part.phases

    def _demand(self, horizon: Horizon) -> Exact | None:
        return _total(part._demand(horizon) for part in self.parts)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        lengths = _filled([part._demand(horizon) for part in self.parts], length, self)
        starts = accumulate(lengths, initial=begin)
        return Sequence(
            tuple(
                part._fit(start, own, horizon) if part.is_relative else part
                for part, start, own in zip(self.parts, starts, lengths, strict=False)
            )
        )

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.parts))


@dataclass(frozen=True, eq=False, repr=False)
class Repeat(Schedule):
    """One schedule several times: what ``a.repeat(…)`` builds."""

    schedule: Schedule
    count: int
    length: float = 1.0
    peak: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", whole("count", self.count, 1))
        for name in ("length", "peak"):
            growth = finite(name, getattr(self, name))
            if growth <= 0.0:
                raise ValueError(f"repeat({name}={growth!r}): it has to be above 0.")
            object.__setattr__(self, name, growth)
        if not self.is_relative and self.schedule.horizon is None:
            raise ValueError(
                f"{self.schedule!r} never ends, so it cannot be repeated. Give it a length."
            )
        if self.count > _MOST_PERIODS:
            raise ValueError(
                f"repeat(count={self.count}): periods are laid out one by one, at most "
                f"{_MOST_PERIODS} of them. Use a smaller count."
            )
        if self.is_relative:
            _check_shares(self, self._demand(Horizon(*FAR)))
            self._periods(0, FAR[0], Horizon(*FAR))
        elif not self._is_plain:
            self._track  # noqa: B018  a peak below its floor is found here

    @property
    def _is_plain(self) -> bool:
        return self.length == 1.0 and self.peak == 1.0

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        if self._is_plain:
            for _ in range(self.count):
                yield from self.schedule._pieces(ONE)
        else:
            for phase in self._periods(0, 0, None):
                yield from phase._pieces(ONE)

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _sketch(self) -> Iterator[PhaseRow]:
        for row in self.schedule.phases:
            yield row._replace(shape=f"{row.shape}, {self.count} times")

    def _periods(self, begin: Exact, total: Exact, horizon: Horizon | None) -> tuple[Phase, ...]:
        """Return the phases of all periods, closed, with lengths in updates.

        All joints are rounded together, so that the lengths of the periods add up as well.
        """
        phases = _phases_of(self.schedule, self)
        growth = exact(self.length)
        factors = [growth**period for period in range(self.count)]
        context = horizon or Horizon(0)
        first = _filled(
            [phase._demand(context) for phase in phases],
            total / sum(factors, exact(0)),
            self,
        )
        lengths = rounded((length * factor for factor in factors for length in first), begin)
        periods: list[list[Phase]] = []
        for period, factor in enumerate(factors):
            own = lengths[period * len(phases) : (period + 1) * len(phases)]
            resized = [
                phase.resized(length, horizon, factor)
                for phase, length in zip(phases, own, strict=True)
            ]
            previous, closed = ONE, list[Phase]()
            for phase in resized:
                closed.append(phase.closed(previous))
                previous = closed[-1].final
            periods.append(closed)
        # A period that was rounded to no update says nothing of how low the others go.
        lasting = (parts for parts in periods if any(part.horizon for part in parts))
        ends = [end for phase in next(lasting, periods[0]) for end in phase._ends()]
        change = _peak_change(ends, self.peak, self.count)
        return tuple(
            part.with_ends(partial(change, period))
            for period, parts in enumerate(periods)
            for part in parts
        )

    def _demand(self, horizon: Horizon) -> Exact | None:
        if not self.is_relative:
            return self.horizon or 0
        period = self.schedule._demand(horizon)
        growth = exact(self.length)
        return None if period is None else period * sum(growth**i for i in range(self.count))

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        # Periods whose rounded lengths differ repeat no single one of them: all are written out.
        parts = self._periods(begin, length, horizon)
        return parts[0] if len(parts) == 1 else Sequence(parts)

    def __repr__(self) -> str:
        length = "" if self.length == 1.0 else f", length={self.length!r}"
        peak = "" if self.peak == 1.0 else f", peak={self.peak!r}"
        return f"{_in_brackets(self.schedule)}.repeat({self.count}{length}{peak})"


@dataclass(frozen=True, eq=False, repr=False)
class Scaled(Schedule):
    """A schedule times a number: what ``0.5 * a`` builds."""

    factor: float
    schedule: Schedule

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", finite("factor", self.factor))

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _scaled(self, value: tuple[float, float]) -> Affine:
        return Affine(self.factor * value[0], self.factor * value[1])

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        for piece in self.schedule._pieces(ONE):
            yield piece._replace(
                curve=partial(self._at, piece.curve),
                end=piece.end and self._scaled(piece.end),
                ends=tuple(map(self._scaled, piece.ends)),
                reached=piece.reached and tuple(map(self._scaled, piece.reached)),
            )

    def _at(self, curve: Callable[[int], tuple[float, float]], position: int) -> Affine:
        return self._scaled(curve(position))

    def _sketch(self) -> Iterator[PhaseRow]:
        for row in self.schedule.phases:
            yield row._replace(
                start=row.start and self._scaled(row.start), end=row.end and self._scaled(row.end)
            )

    def _demand(self, horizon: Horizon) -> Exact | None:
        return self.schedule._demand(horizon)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        return Scaled(self.factor, self.schedule._fit(begin, length, horizon))

    def __repr__(self) -> str:
        return f"{self.factor!r} * {_in_brackets(self.schedule)}"


@dataclass(frozen=True, eq=False, repr=False)
class Pair(Schedule):
    """Two schedules that run side by side and make one value."""

    left: Schedule
    right: Schedule

    symbol = "?"

    def __post_init__(self) -> None:
        """Check that the two go together."""

    @abstractmethod
    def _both(self, one: tuple[float, float], other: tuple[float, float]) -> Affine:
        """Return the value of the pair where the left says ``one`` and the right ``other``."""

    @property
    def is_relative(self) -> bool:
        return self.left.is_relative or self.right.is_relative

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        left, right = self.left, self.right

        def at(num_updates: int) -> Affine:
            return self._both(left.coefficients(num_updates), right.coefficients(num_updates))

        horizon = None
        if left.horizon is not None and right.horizon is not None:
            horizon = max(left.horizon, right.horizon)
        is_bounded = left._is_bounded and right._is_bounded
        # Of every pair of ends only what counts, or each part would double the number.
        pairs = [(a, b) for a in _extremes(left._ends()) for b in _extremes(right._ends())]
        # One may be high only while the other is low, so the parts' ends are bounds and no values.
        starts = {*left._track.starts[:_FEW], *right._track.starts[:_FEW]} if is_bounded else ()
        yield Piece(
            horizon,
            at,
            None if horizon is None else at(horizon),
            repr(self),
            _extremes(self._both(a, b) for a, b in pairs),
            is_bounded,
            tuple(at(start) for start in sorted(starts)),
        )

    def _demand(self, horizon: Horizon) -> Exact | None:
        left, right = self._demands(horizon)
        return None if left is None or right is None else max(left, right)

    def _demands(self, horizon: Horizon) -> list[Exact | None]:
        return [
            part._demand(horizon) if part.is_relative else part.horizon or 0
            for part in (self.left, self.right)
        ]

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        for demand in self._demands(horizon):
            if demand is not None and demand > length:
                raise too_long(self, demand, length)
        return type(self)(
            *(_fitted(part, begin, length, horizon) for part in (self.left, self.right))
        )

    def __repr__(self) -> str:
        return f"{_in_brackets(self.left)} {self.symbol} {_in_brackets(self.right)}"


class Sum(Pair):
    """Two schedules added: what ``a + b`` builds."""

    symbol = "+"

    def _both(self, one: tuple[float, float], other: tuple[float, float]) -> Affine:
        return Affine(one[0] + other[0], one[1] + other[1])


class Product(Pair):
    """A schedule times a curve of plain multiples: what ``a * b`` builds."""

    symbol = "*"

    def __post_init__(self) -> None:
        if not self.right.is_relative:
            for offset, _ in self.right._ends():
                self._check_factor(offset)

    def _both(self, one: tuple[float, float], other: tuple[float, float]) -> Affine:
        absolute, factor = other
        if absolute != 0.0:
            self._check_factor(absolute)
        return Affine(one[0] * factor, one[1] * factor)

    def _check_factor(self, offset: float) -> None:
        if offset != 0.0:
            raise ValueError(
                f"{self!r}: the factor on the right is absolute({offset!r}). "
                "Only a curve of plain multiples can be a factor: drop absolute(…) there."
            )


def _fitted(part: Schedule, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
    if not part.is_relative:
        return part
    demand = part._demand(horizon)
    return part._fit(begin, length if demand is None else demand, horizon)


def _total(demands: Iterable[Exact | None]) -> Exact | None:
    total: Exact = 0
    for demand in demands:
        if demand is None:
            return None
        total += demand
    return total


def _check_shares(schedule: Schedule, demand: Exact | None) -> None:
    """Raise if ``schedule`` takes ``demand`` of the far horizon, and that is more than all."""
    if demand is not None and demand > FAR[0]:
        percent = float(100 * demand / FAR[0])
        raise ValueError(
            f"The lengths of {schedule!r} add up to {percent:g} % of the horizon, but 100 % is all "
            "there is. Make a share smaller, or leave one out: it takes the rest."
        )


def _filled(demands: list[Exact | None], total: Exact, schedule: Schedule) -> list[Exact]:
    """Return the demands with the rest of ``total`` where one is None."""
    known = sum((demand for demand in demands if demand is not None), 0)
    if None in demands and known > total:
        raise ValueError(
            f"{schedule!r} needs {float(known):g} updates besides the phase that takes the rest, "
            f"but there are {float(total):g}. Make a phase shorter."
        )
    return [total - known if demand is None else demand for demand in demands]


def _phases_of(schedule: Schedule, whole_schedule: Schedule) -> tuple[Phase, ...]:
    """Return the phases that ``schedule`` consists of."""
    if isinstance(schedule, Phase):
        return (schedule,)
    if isinstance(schedule, Sequence):
        return tuple(p for part in schedule.parts for p in _phases_of(part, whole_schedule))
    if isinstance(schedule, Repeat) and not schedule.is_relative:
        return schedule._periods(0, 0, None)
    raise ValueError(
        f"{whole_schedule!r}: {schedule!r} is no phase, so its periods can neither grow, shrink "
        "nor take shares of a horizon. Repeat the phases first and combine the result, as in "
        "0.5 * cosine(100).repeat(3, peak=0.5)."
    )


def _peak_change(ends: list[Affine], peak: float, count: int) -> Callable[[int, Affine], Affine]:
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


def _extremes(values: Iterable[Affine]) -> tuple[Affine, ...]:
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


def _in_brackets(schedule: Schedule) -> str:
    compound = isinstance(schedule, Sequence | Scaled | Pair)
    return f"({schedule!r})" if compound else repr(schedule)
