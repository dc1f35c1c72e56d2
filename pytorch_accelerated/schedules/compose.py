"""What schedules compose to: one after another, repeated, scaled, added, multiplied."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from itertools import accumulate

from pytorch_accelerated.checks import finite, kind_of, positive, whole
from pytorch_accelerated.schedules.arrays import combined
from pytorch_accelerated.schedules.phase import Phase
from pytorch_accelerated.schedules.schedule import OPERATORS, Schedule, too_long
from pytorch_accelerated.schedules.terms import (
    ONE,
    Affine,
    Exact,
    Fixed,
    Horizon,
    as_endpoint,
    exact,
    nearest,
    rounded,
)
from pytorch_accelerated.schedules.track import Bounds, Coefficients, Curve, PhaseRow, Piece

# Here relative lengths are tried out: so far that no phase a person writes is rounded to nothing.
FAR = Horizon(10**12, 10**6)
_NONE = Horizon(0)  # for lengths in updates, which need none
_MOST_PIECES = 10_000  # of a repeat


class Sequence(Fixed, Schedule):
    """One schedule after another: what ``a >> b`` builds."""

    def __init__(self, parts: Iterable[Schedule]) -> None:
        flat: list[Schedule] = []
        given = tuple(parts) if isinstance(parts, Iterable) else ()
        if not given:
            raise TypeError(f"parts={parts!r} has to be a list, as in linear(10) >> cosine(90).")
        for part in given:
            flat.extend(part.parts if isinstance(part, Sequence) else (_schedule(">>", part),))
        self.parts: tuple[Schedule, ...] = tuple(flat)
        for part in flat[:-1]:
            if not part.is_relative and part.horizon is None:
                raise ValueError(
                    f"{part!r} never ends, so nothing can follow it. Give it a length: write "
                    "….until(1_000), or from_function(f, length=1_000)."
                )
        # What cannot follow something else is found here, not when a run begins.
        if not self.is_relative:
            self.track  # noqa: B018
            return
        demands = [part._demand(FAR) for part in self.parts]
        pairs = zip(self.parts, demands, strict=True)
        resting = [part for part, demand in pairs if demand is None]
        if len(resting) > 1:
            raise ValueError(
                f"{resting[0]!r} and {resting[1]!r} both take the rest of the horizon. "
                "Give all but one of them a length."
            )
        _check_shares(self, _known(demands))
        self._fit(0, FAR.num_updates if resting else _known(demands), FAR)

    @cached_property
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
        demands = [part._demand(horizon) for part in self.parts]
        return None if None in demands else _known(demands)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        lengths = _filled([part._demand(horizon) for part in self.parts], length, self)
        starts = accumulate(lengths, initial=begin)
        parts = zip(self.parts, starts, lengths, strict=False)
        return Sequence(fitted(part, start, own, horizon) for part, start, own in parts)

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.parts))


class Repeat(Fixed, Schedule):
    """One schedule several times: what ``a.repeat(…)`` builds."""

    def __init__(
        self, schedule: Schedule, count: int, length: float = 1.0, peak: float = 1.0
    ) -> None:
        self.schedule = _schedule("repeat", schedule)
        self.count = whole("count", count, 1)
        self.length = positive("length", length)
        self.peak = positive("peak", peak)
        if not self.is_relative and schedule.horizon is None:
            raise ValueError(
                f"{schedule!r} never ends, so it cannot be repeated. Give it a length."
            )
        total = self.count * num_pieces(schedule)
        if total > _MOST_PIECES:
            raise ValueError(
                f"repeat(count={self.count}): phases are laid out one by one, and these are "
                f"{total:,}; at most {_MOST_PIECES:,} are allowed. Use a smaller count."
            )
        if self.is_relative:
            _check_shares(self, self._demand(FAR))
            self._periods(0, FAR.num_updates, FAR)
        else:
            self.track  # noqa: B018  a peak below its floor is found here

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        if self.length == self.peak == 1.0:
            yield from list(self.schedule._pieces(ONE)) * self.count
        else:
            for phase in self._periods(0, 0, _NONE):
                yield from phase._pieces(ONE)

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _sketch(self) -> Iterator[PhaseRow]:
        for row in self.schedule.phases:
            yield row._replace(shape=f"{row.shape}, {self.count} times")

    def _periods(self, begin: Exact, total: Exact, horizon: Horizon) -> list[Phase]:
        """Return the phases of all periods, with both ends given and lengths in updates.

        All joints are rounded together, so that the lengths of the periods add up as well.
        """
        phases = _phases_of(self.schedule, self)
        growth = exact(self.length)
        factors = [growth**period for period in range(self.count)]
        demands = [phase._demand(horizon) for phase in phases]
        first = _filled(demands, total / sum(factors, exact(0)), self)
        lengths = iter(rounded((length * factor for factor in factors for length in first), begin))
        periods: list[list[Phase]] = []
        for factor in factors:
            previous = ONE
            periods.append([])
            for phase in phases:
                shape = phase.shape.over(horizon, factor)
                resized = phase._with(length=next(lengths), shape=shape)
                start, previous = resized.ends_after(previous)
                closed = resized._with(start=as_endpoint(start), end=as_endpoint(previous))
                periods[-1].append(closed)
        # A period that was rounded to no update does not say how low the others go.
        lasting = next((parts for parts in periods if any(p.length for p in parts)), periods[0])
        change = _peak_change(
            [end for phase in lasting for end in phase.ends_after(ONE)], self.peak, self.count
        )
        changed: list[Phase] = []
        for period, parts in enumerate(periods):
            for phase in parts:
                start, end = (change(period, end) for end in phase.ends_after(ONE))
                changed.append(phase._with(start=as_endpoint(start), end=as_endpoint(end)))
        return changed

    def _demand(self, horizon: Horizon) -> Exact | None:
        if not self.is_relative:
            return super()._demand(horizon)
        period = self.schedule._demand(horizon)
        growth = exact(self.length)
        return None if period is None else period * sum(growth**i for i in range(self.count))

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        period = length / exact(self.count)
        if horizon.stretch != 1 and self.length == self.peak == 1.0 and period == nearest(period):
            return Repeat(fitted(self.schedule, begin, period, horizon), self.count)
        # Periods whose rounded lengths differ repeat no single one of them: all are written out.
        parts = self._periods(begin, length, horizon)
        return parts[0] if len(parts) == 1 else Sequence(parts)

    def __repr__(self) -> str:
        length = "" if self.length == 1.0 else f", length={self.length!r}"
        peak = "" if self.peak == 1.0 else f", peak={self.peak!r}"
        return f"{in_brackets(self.schedule)}.repeat({self.count}{length}{peak})"


class Scaled(Fixed, Schedule):
    """A schedule times a number: what ``0.5 * a`` builds."""

    def __init__(self, factor: float, schedule: Schedule) -> None:
        self.factor = finite("factor", factor)
        self.schedule = _schedule("*", schedule)

    @property
    def is_relative(self) -> bool:
        return self.schedule.is_relative

    def _scaled(self, value: Coefficients) -> Affine:
        return Affine(self.factor * value[0], self.factor * value[1])

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        for piece in self.schedule._pieces(ONE):
            yield piece._replace(
                curve=combined(self._curve, piece.curve),
                end=piece.end and self._scaled(piece.end),
                bounds=partial(self._bounds, piece.bounds),
                reached=tuple(map(self._scaled, piece.reached)),
            )

    def _curve(self, curve: Curve) -> Curve:
        factor = self.factor

        def at(position: int) -> Coefficients:
            offset, scale = curve(position)
            return factor * offset, factor * scale

        return at

    def _bounds(self, bounds: Bounds, base: float) -> tuple[float, float]:
        one, other = (self.factor * value for value in bounds(base))
        return min(one, other), max(one, other)

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
        return f"{self.factor!r} * {in_brackets(self.schedule)}"


class Pair(Fixed, Schedule):
    """Two schedules that run side by side and make one value."""

    symbol = "?"

    def __init__(self, left: Schedule, right: Schedule) -> None:
        self.left = _schedule(self.symbol, left)
        self.right = _schedule(self.symbol, right)

    @abstractmethod
    def _both(self, one: Coefficients, other: Coefficients, at: int | None = None) -> Coefficients:
        """Return the value of the pair where the left says ``one`` and the right ``other``."""

    @property
    def is_relative(self) -> bool:
        return self.left.is_relative or self.right.is_relative

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        left, right = self.left.track, self.right.track
        joints = sorted({0, *left.starts, *right.starts})
        last: int | None = None
        end: Affine | None = None
        if left.horizon is not None and right.horizon is not None:
            last = joints.pop() if len(joints) > 1 else 0
            one, other = self.left.coefficients(last), self.right.coefficients(last)
            end = Affine(*self._both(one, other, last))
        # One may be high only while the other is low, so bounds need not be reached.
        is_known = all(map(math.isfinite, (*left.bounds(1.0), *right.bounds(1.0))))
        label, bounds = repr(self), self._bounds
        for start, stop in zip(joints, [*joints[1:], last], strict=True):
            curve = self._side_by_side(start)
            reached = [Affine(*curve(0)), *filter(None, [end])] if is_known else []
            length = None if stop is None else stop - start
            # Nobody asks for the ends in between, where a user's function is not asked either.
            its_end = end if stop == last else ONE
            yield Piece(length, curve, its_end, label, bounds, tuple(reached))
            label = ""

    def _side_by_side(self, start: int) -> Curve:
        left_start, _, left_curve = self.left.track.segment(start)
        right_start, _, right_curve = self.right.track.segment(start)
        both = self._both

        def beside(left: Curve, right: Curve) -> Curve:
            def at(position: int) -> Coefficients:
                update = start + position
                return both(left(update - left_start), right(update - right_start), update)

            return at

        return combined(beside, left_curve, right_curve)

    @abstractmethod
    def _bounds(self, base: float) -> tuple[float, float]:
        """Return the least and the greatest value, as far as those of both parts tell."""

    def _demand(self, horizon: Horizon) -> Exact | None:
        demands = [part._demand(horizon) for part in (self.left, self.right)]
        return None if None in demands else max(d for d in demands if d is not None)

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        parts: list[Schedule] = []
        for part in (self.left, self.right):
            demand = part._demand(horizon)
            if demand is not None and demand > length:
                raise too_long(self, demand, length)
            parts.append(fitted(part, begin, length if demand is None else demand, horizon))
        return type(self)(*parts)

    def __repr__(self) -> str:
        return f"{in_brackets(self.left)} {self.symbol} {in_brackets(self.right)}"


class Sum(Pair):
    """Two schedules added: what ``a + b`` builds."""

    symbol = "+"

    def _both(self, one: Coefficients, other: Coefficients, at: int | None = None) -> Coefficients:
        return one[0] + other[0], one[1] + other[1]

    def _bounds(self, base: float) -> tuple[float, float]:
        left, right = self.left.track.bounds(base), self.right.track.bounds(base)
        return left[0] + right[0], left[1] + right[1]


class Product(Pair):
    """A schedule times a curve of plain multiples: what ``a * b`` builds."""

    symbol = "*"

    def __init__(self, left: Schedule, right: Schedule) -> None:
        super().__init__(left, right)
        if not self.right.is_relative:
            for value in self.right.track.reached:
                self._both(ONE, value)

    def _both(self, one: Coefficients, other: Coefficients, at: int | None = None) -> Coefficients:
        offset, factor = other
        if offset != 0.0:
            where = "" if at is None else f" at update {at}"
            raise ValueError(
                f"{self!r}: the factor on the right is absolute({offset!r}){where}. "
                "Only a curve of plain multiples can be a factor: drop absolute(…) there."
            )
        return one[0] * factor, one[1] * factor

    def _bounds(self, base: float) -> tuple[float, float]:
        left, right = self.left.track.bounds(base), self.right.track.bounds(1.0)
        products = [one * factor for one in left for factor in right]
        return min(products), max(products)


OPERATORS.update({">>": Sequence, "+": Sum, "*": Product, "number *": Scaled})


def _schedule(operator: str, part: object) -> Schedule:
    if not isinstance(part, Schedule):
        raise TypeError(
            f"{part!r} is {kind_of(part)}, but only schedules go with {operator}. To hold "
            "a value for n updates write constant(n, value=…)."
        )
    return part


def num_pieces(schedule: Schedule) -> int:
    """Return how many pieces a schedule has, or will have for each time that it is run."""
    return len(schedule.phases if schedule.is_relative else schedule.track.pieces)


def fitted(part: Schedule, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
    """Return a part with its lengths in updates, or as it is if they all are."""
    stays = not part.is_relative and horizon.stretch == 1
    return part if stays else part._fit(begin, length, horizon)


def _known(demands: Iterable[Exact | None]) -> Exact:
    return sum(demand for demand in demands if demand is not None)


def _check_shares(schedule: Schedule, demand: Exact | None) -> None:
    """Raise if ``schedule`` takes ``demand`` of the far horizon, and that is more than all."""
    if demand is not None and demand > FAR.num_updates:
        most = 10**300 * FAR.num_updates  # what a float can hold
        percent = float(min(100 * demand, most) / FAR.num_updates)
        raise ValueError(
            f"The lengths of {schedule!r} add up to {percent:g} % of the horizon, but 100 % is all "
            "there is. Make a share smaller, or leave one out: it takes the rest."
        )


def _filled(demands: list[Exact | None], total: Exact, schedule: Schedule) -> list[Exact]:
    """Return the demands with the rest of ``total`` where one is None."""
    known = _known(demands)
    if None in demands and known > total:
        raise ValueError(
            f"{schedule!r} needs {float(known):g} updates besides the phase that takes the rest, "
            f"but there are {float(total):g}. Make a phase shorter."
        )
    return [total - known if demand is None else demand for demand in demands]


def _phases_of(schedule: Schedule, whole_schedule: Schedule) -> list[Phase]:
    """Return the phases that ``schedule`` consists of."""
    if isinstance(schedule, Phase):
        return [schedule]
    if isinstance(schedule, Sequence):
        return [p for part in schedule.parts for p in _phases_of(part, whole_schedule)]
    if isinstance(schedule, Repeat) and not schedule.is_relative:
        return schedule._periods(0, 0, _NONE)
    raise ValueError(
        f"{whole_schedule!r}: {schedule!r} is not a phase, so its periods can neither grow, shrink "
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
        else:
            moved = lowest + (value - lowest) * ((top - lowest) / (highest - lowest))
        return Affine(moved, 0.0) if end.offset else Affine(0.0, moved)

    return change


def in_brackets(schedule: Schedule) -> str:
    """Return a schedule's code as it is written before a method or beside an operator."""
    compound = isinstance(schedule, Sequence | Scaled | Sum | Product)
    return f"({schedule!r})" if compound else repr(schedule)
