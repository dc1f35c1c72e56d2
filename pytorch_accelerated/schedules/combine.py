"""What schedules compose to: one after another, repeated, scaled, added, multiplied."""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import accumulate, islice

from pytorch_accelerated.schedules.base import (
    Affine,
    PhaseRow,
    Schedule,
    Segment,
    not_yet,
    too_long,
)
from pytorch_accelerated.schedules.lengths import Exact, Horizon, exact, finite, rounded, whole
from pytorch_accelerated.schedules.phases import ONE, Phase

# Far enough away that no phase a person writes is rounded to nothing there.
_FAR = Horizon(10**12, 10**6)
_MOST_DIFFERING = 10_000
_FEW = 100  # joints of a sum that are looked at in advance; the rest when their time has come


class Plan:
    """Parts laid end to end: where each starts, and what it says at its own position."""

    __slots__ = ("curves", "horizon", "starts")

    def __init__(self, parts: Iterable[Schedule]) -> None:
        self.starts: list[int] = []
        self.curves: list[Callable[[int], tuple[float, float]]] = []
        position = 0
        final: Affine | None = ONE
        for part in parts:
            length = part.horizon
            final = None if length is None else part.final
            if length != 0:
                self.starts.append(position)
                self.curves.append(_curve_of(part))
            position += length or 0
        self.horizon = None if final is None else position
        if final is not None:
            held = final
            self.starts.append(position)
            self.curves.append(lambda _: held)

    def coefficients(self, num_updates: int) -> tuple[float, float]:
        """Return offset and scale at update ``num_updates``."""
        index = bisect_right(self.starts, num_updates) - 1
        return self.curves[index](num_updates - self.starts[index])

    def segment(self, num_updates: int) -> Segment:
        """Return the stretch of updates around ``num_updates`` that one curve covers."""
        after = bisect_right(self.starts, num_updates)
        stop = self.starts[after] if after < len(self.starts) else math.inf
        return Segment(self.starts[after - 1], stop, self.curves[after - 1])


def _curve_of(part: Schedule) -> Callable[[int], tuple[float, float]]:
    # A subclass of Phase may have coefficients of its own.
    if isinstance(part, Phase) and type(part).segment is Phase.segment:
        return part.curve
    return part.coefficients


@dataclass(frozen=True, eq=False, repr=False)
class Sequence(Schedule):
    """One schedule after another: what ``a >> b`` builds."""

    parts: tuple[Schedule, ...]

    # What comes first was tried when it was made; trying all of it for each `>>` again would make
    # a chain of a thousand phases take 16 seconds.
    @cached_property
    def _closed_first(self) -> tuple[Schedule, ...]:
        return ()

    @cached_property
    def _tried(self) -> tuple[Exact, Schedule | None, tuple[Schedule, ...]]:
        """Of a far horizon what the parts take, which takes the rest, and the parts laid out."""
        return 0, None, ()

    def __post_init__(self) -> None:
        flat: list[Schedule] = []
        for part in self.parts:
            flat.extend(part.parts if isinstance(part, Sequence) else (part,))
        first = self.parts[0] if self.parts else None
        if isinstance(first, Sequence) and not first.is_relative:
            object.__setattr__(self, "_closed_first", first._closed_parts)
        object.__setattr__(self, "parts", tuple(flat))
        for part in flat[:-1]:
            if part.horizon is None and not part.is_relative:
                raise ValueError(
                    f"{part!r} never ends, so nothing can follow it. Give it a length, for "
                    "example from_function(f, length=1_000)."
                )
        if not self.is_relative:
            self._plan.horizon  # noqa: B018  a phase that cannot follow another is found here
            return
        if isinstance(first, Sequence) and first.is_relative:
            self._try(*first._tried, flat[len(first.parts) :])
        elif isinstance(first, Sequence):
            self._try(first.horizon or 0, None, (first,), flat[len(first.parts) :])
        else:
            self._try(0, None, (), flat)

    def _try(
        self,
        known: Exact,
        resting: Schedule | None,
        before: tuple[Schedule, ...],
        parts: list[Schedule],
    ) -> None:
        """Raise if ``parts`` cannot follow those that were tried before."""
        demands = [part._demand(_FAR) for part in parts]
        for part, demand in zip(parts, demands, strict=True):
            if demand is not None:
                known += demand
            elif resting is None:
                resting = part
            else:
                raise ValueError(
                    f"{resting!r} and {part!r} both take the rest of the horizon. "
                    "Give all but one of them a length."
                )
        _check_shares(self, known)
        # Where a part lies, and how long the rest is, makes no difference to what can follow it.
        rest = _FAR.num_updates - known
        laid_out = (
            part._fit(0, rest if demand is None else demand, _FAR) if part.is_relative else part
            for part, demand in zip(parts, demands, strict=True)
        )
        far = Sequence((*before, *laid_out))
        object.__setattr__(self, "_tried", (known, resting, (far,)))

    @cached_property
    def _plan(self) -> Plan:
        if self.is_relative:
            raise not_yet(self)
        return Plan(self._closed_parts)

    @cached_property
    def _closed_parts(self) -> tuple[Schedule, ...]:
        closed = list(self._closed_first)
        previous = closed[-1].final if closed else ONE
        for part in self.parts[len(closed) :]:
            closed.append(part._closed(previous))
            if closed[-1].horizon is not None:
                previous = closed[-1].final
        return tuple(closed)

    def coefficients(self, num_updates: int) -> tuple[float, float]:
        return self._plan.coefficients(num_updates)

    def segment(self, num_updates: int) -> Segment:
        return self._plan.segment(num_updates)

    @cached_property
    def horizon(self) -> int | None:
        return None if self.is_relative else self._plan.horizon

    @cached_property
    def is_relative(self) -> bool:
        return any(part.is_relative for part in self.parts)

    @property
    def _shown(self) -> tuple[Schedule, ...]:
        """The parts that the table shows: before lengths are known, all."""
        if self.is_relative:
            return self.parts
        return tuple(part for part in self._closed_parts if part.horizon != 0)

    def _rows(self) -> Iterator[PhaseRow]:
        position = 0
        for part in self._shown:
            for row in part._rows():
                yield row if self.is_relative else _shifted(row, position)
            position += part.horizon or 0

    @property
    def _num_rows(self) -> int:
        return sum(part._num_rows for part in self._shown)

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

    def _ends(self) -> tuple[Affine, ...]:
        return _all_ends(self._closed_parts)

    @property
    def _is_bounded(self) -> bool:
        return all(part._is_bounded for part in self.parts)

    def _reached(self) -> tuple[Affine, ...]:
        return _once(end for part in self._closed_parts for end in part._reached())

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
        if self.schedule.horizon is None and not self.schedule.is_relative:
            raise ValueError(
                f"{self.schedule!r} never ends, so it cannot be repeated. Give it a length."
            )
        if self.count > _MOST_DIFFERING and (self.is_relative or not self._is_plain):
            raise ValueError(
                f"repeat(count={self.count}): periods that grow, shrink or take shares of a "
                f"horizon are laid out one by one, at most {_MOST_DIFFERING} of them. Repeat a "
                "schedule whose lengths are updates, with neither length= nor peak=, or use a "
                "smaller count."
            )
        if self.is_relative:
            _check_shares(self, self._demand(_FAR))
            self._periods(0, _FAR.num_updates, _FAR)
        elif not self._is_plain:
            self._plan.horizon  # noqa: B018  a peak below its floor is found here

    @property
    def _is_plain(self) -> bool:
        return self.length == 1.0 and self.peak == 1.0

    def _periods(self, begin: Exact, total: Exact, horizon: Horizon | None) -> tuple[Schedule, ...]:
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
            closed = Sequence(tuple(resized))._closed_parts
            periods.append([part for part in closed if isinstance(part, Phase)])
        # A period that was rounded to no update says nothing of how low the others go.
        lasting = (parts for parts in periods if any(part.horizon for part in parts))
        ends = list(_all_ends(next(lasting, periods[0])))
        change = _peak_change(ends, self.peak, self.count)
        return tuple(
            part.with_ends(partial(change, period))
            for period, parts in enumerate(periods)
            for part in parts
        )

    @cached_property
    def _plan(self) -> Plan:
        return Plan(self._differing)

    @cached_property
    def _differing(self) -> tuple[Schedule, ...]:
        return self._periods(0, 0, None)

    def coefficients(self, num_updates: int) -> Affine | tuple[float, float]:
        if self.is_relative:
            raise not_yet(self)
        if not self._is_plain:
            return self._plan.coefficients(num_updates)
        period = self.schedule.horizon or 0
        if num_updates >= self.count * period:
            return self.schedule.final
        return self.schedule.coefficients(num_updates % period)

    def segment(self, num_updates: int) -> Segment:
        if self.is_relative:
            raise not_yet(self)
        if not self._is_plain:
            return self._plan.segment(num_updates)
        period = self.schedule.horizon or 0
        stop = self.count * period
        if num_updates >= stop:
            final = self.schedule.final
            return Segment(stop, math.inf, lambda _: final)
        begin = num_updates - num_updates % period
        own = self.schedule.segment(num_updates - begin)
        return Segment(begin + own.start, begin + min(own.stop, period), own.curve)

    @cached_property
    def horizon(self) -> int | None:
        if self.is_relative or self.schedule.horizon is None:
            return None
        return self.count * self.schedule.horizon if self._is_plain else self._plan.horizon

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _rows(self) -> Iterator[PhaseRow]:
        if self.is_relative:
            for row in self.schedule._rows():
                yield row._replace(shape=f"{row.shape}, {self.count} times")
        elif not self._is_plain:
            yield from Sequence(self._differing)._rows()
        else:
            period = self.schedule.horizon or 0
            for index in range(self.count if period else 0):
                for row in self.schedule._rows():
                    yield _shifted(row, index * period)

    @property
    def _num_rows(self) -> int:
        if self.is_relative:
            return self.schedule._num_rows
        if not self._is_plain:
            return Sequence(self._differing)._num_rows
        return self.count * self.schedule._num_rows if self.schedule.horizon else 0

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

    def _ends(self) -> tuple[Affine, ...]:
        return self.schedule._ends() if self._is_plain else _all_ends(self._differing)

    @property
    def _is_bounded(self) -> bool:
        return self.schedule._is_bounded

    def _reached(self) -> tuple[Affine, ...]:
        return self.schedule._reached() if self._is_plain else self._ends()

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

    def coefficients(self, num_updates: int) -> Affine:
        offset, scale = self.schedule.coefficients(num_updates)
        return Affine(self.factor * offset, self.factor * scale)

    def segment(self, num_updates: int) -> Segment:
        start, stop, curve = self.schedule.segment(num_updates)
        factor = self.factor

        def scaled(position: int) -> tuple[float, float]:
            offset, scale = curve(position)
            return factor * offset, factor * scale

        return Segment(start, stop, scaled)

    @property
    def horizon(self) -> int | None:
        return self.schedule.horizon

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _rows(self) -> Iterator[PhaseRow]:
        for row in self.schedule._rows():
            yield row._replace(
                start=row.start and self._scaled(row.start), end=row.end and self._scaled(row.end)
            )

    @property
    def _num_rows(self) -> int:
        return self.schedule._num_rows

    def _scaled(self, value: Affine) -> Affine:
        return Affine(self.factor * value.offset, self.factor * value.scale)

    def _demand(self, horizon: Horizon) -> Exact | None:
        return self.schedule._demand(horizon)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        return Scaled(self.factor, self.schedule._fit(begin, length, horizon))

    def _ends(self) -> tuple[Affine, ...]:
        return tuple(map(self._scaled, self.schedule._ends()))

    @property
    def _is_bounded(self) -> bool:
        return self.schedule._is_bounded

    def _reached(self) -> tuple[Affine, ...]:
        return tuple(map(self._scaled, self.schedule._reached()))

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

    @property
    def horizon(self) -> int | None:
        left, right = self.left.horizon, self.right.horizon
        return None if left is None or right is None else max(left, right)

    @property
    def is_relative(self) -> bool:
        return self.left.is_relative or self.right.is_relative

    def _rows(self) -> Iterator[PhaseRow]:
        if self.is_relative:
            yield PhaseRow("relative", None, None, None, repr(self))
        else:
            final = None if self.horizon is None else self.final
            start = Affine(*self.coefficients(0))
            yield PhaseRow(0, self.horizon, start, final, repr(self))

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

    @cached_property
    def _bounds(self) -> tuple[Affine, ...]:
        # Of every pair of ends only what counts, or each part would double the number.
        left, right = _extremes(self.left._ends()), _extremes(self.right._ends())
        return _extremes(self._both(one, other) for one in left for other in right)

    @abstractmethod
    def _both(self, one: Affine, other: Affine) -> Affine:
        """Return the value of the pair where the left says ``one`` and the right ``other``."""

    def _ends(self) -> tuple[Affine, ...]:
        return self._bounds

    @property
    def _is_bounded(self) -> bool:
        return self.left._is_bounded and self.right._is_bounded

    def _reached(self) -> tuple[Affine, ...]:
        # One may be high only while the other is low, so the parts' ends are bounds and no values.
        if not self._is_bounded:
            return ()
        rows = [row for part in (self.left, self.right) for row in islice(part._rows(), _FEW)]
        joints = {at for row in rows for at in (row.first, row.last) if isinstance(at, int)}
        return _once(Affine(*self.coefficients(joint)) for joint in joints)

    def __repr__(self) -> str:
        return f"{_in_brackets(self.left)} {self.symbol} {_in_brackets(self.right)}"


class Sum(Pair):
    """Two schedules added: what ``a + b`` builds."""

    symbol = "+"

    def coefficients(self, num_updates: int) -> Affine:
        offset, scale = self.left.coefficients(num_updates)
        more_offset, more_scale = self.right.coefficients(num_updates)
        return Affine(offset + more_offset, scale + more_scale)

    def segment(self, num_updates: int) -> Segment:
        left, right = self.left.segment(num_updates), self.right.segment(num_updates)
        start = max(left.start, right.start)
        of_left, of_right = left.curve, right.curve
        in_left, in_right = start - left.start, start - right.start

        def added(position: int) -> tuple[float, float]:
            offset, scale = of_left(in_left + position)
            more_offset, more_scale = of_right(in_right + position)
            return offset + more_offset, scale + more_scale

        return Segment(start, min(left.stop, right.stop), added)

    def _both(self, one: Affine, other: Affine) -> Affine:
        return Affine(one.offset + other.offset, one.scale + other.scale)


class Product(Pair):
    """A schedule times a curve of plain multiples: what ``a * b`` builds."""

    symbol = "*"

    def __post_init__(self) -> None:
        if not self.right.is_relative:
            for offset, _ in self.right._ends():
                self._check_factor(offset, "")

    def coefficients(self, num_updates: int) -> Affine:
        offset, scale = self.left.coefficients(num_updates)
        absolute, factor = self.right.coefficients(num_updates)
        if absolute != 0.0:
            self._check_factor(absolute, f" at update {num_updates}")
        return Affine(offset * factor, scale * factor)

    def _check_factor(self, offset: float, where: str) -> None:
        if offset != 0.0:
            raise ValueError(
                f"{self!r}: the factor on the right is absolute({offset!r}){where}. "
                "Only a curve of plain multiples can be a factor: drop absolute(…) there."
            )

    def _both(self, one: Affine, other: Affine) -> Affine:
        return Affine(one.offset * other.scale, one.scale * other.scale)


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
    if demand is not None and demand > _FAR.num_updates:
        percent = float(100 * demand / _FAR.num_updates)
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
        return tuple(part for part in schedule._differing if isinstance(part, Phase))
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


def _shifted(row: PhaseRow, updates: int) -> PhaseRow:
    first = row.first + updates if isinstance(row.first, int) else row.first
    last = row.last + updates if isinstance(row.last, int) else row.last
    return row._replace(first=first, last=last)


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


def _all_ends(parts: Iterable[Schedule]) -> tuple[Affine, ...]:
    return _once(end for part in parts for end in part._ends())


def _once(values: Iterable[Affine]) -> tuple[Affine, ...]:
    return tuple(dict.fromkeys(values))


def _in_brackets(schedule: Schedule) -> str:
    compound = isinstance(schedule, Sequence | Scaled | Pair)
    return f"({schedule!r})" if compound else repr(schedule)
