"""The type of every schedule: which value a field has at update k, for a base value."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pytorch_accelerated import door
from pytorch_accelerated.schedules.lengths import Exact, Horizon, finite, whole
from pytorch_accelerated.schedules.value import Value

if TYPE_CHECKING:
    from pytorch_accelerated.schedules.combine import Product, Repeat, Scaled, Sum
    from pytorch_accelerated.schedules.combine import Sequence as OneAfterAnother

FAR = (10**12, 10**6)  # so far that no phase a person writes is rounded to nothing there
_CHUNK = 4096  # keeps what is in flight small; the values themselves are packed


class Affine(NamedTuple):
    """What a schedule says at one update: ``value = offset + scale · base``."""

    offset: float
    scale: float


ONE = Affine(0.0, 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class Absolute(Value):
    """A value that does not depend on the base; see :func:`absolute`."""

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", finite("value", self.value))

    def __repr__(self) -> str:
        return f"absolute({self.value!r})"


def absolute(value: float) -> Absolute:
    """Mark ``value`` as meant as it stands, where a plain number is a multiple of the base value.

    Args:
        value: A finite number, in the units of the scheduled field.

    Raises:
        TypeError: If ``value`` is not a number.
        ValueError: If it is not finite.

    Example:
        >>> from pytorch_accelerated.schedules import absolute, linear
        >>> warmup = linear(100, start=absolute(1e-6))
        >>> warmup(0, base=0.1), warmup(100, base=0.1)
        (1e-06, 0.1)
    """
    return Absolute(value)


def endpoint(name: str, value: object) -> float | Absolute | Affine:
    """Return ``value`` as an end of a phase: a float (a multiple of the base) or an absolute."""
    if isinstance(value, Affine):
        return Affine(*(finite(f"{name}.{part}", x) for part, x in value._asdict().items()))
    return value if isinstance(value, Absolute) else finite(name, value)


def affine(value: float | Absolute | Affine) -> Affine:
    """Return an endpoint as offset and scale."""
    if isinstance(value, Affine):
        return value
    return Affine(value.value, 0.0) if isinstance(value, Absolute) else Affine(0.0, value)


class Segment(NamedTuple):
    """``curve(k − start)`` is offset and scale at each update k with start ≤ k < stop."""

    start: int
    stop: float
    curve: Callable[[int], tuple[float, float]]


class Piece(NamedTuple):
    """A stretch of updates, in the terms of its own position 0 … length − 1."""

    length: int | None  # None: it never ends
    curve: Callable[[int], tuple[float, float]]
    end: Affine | None  # what it leaves behind
    label: str
    ends: tuple[Affine, ...] = ()  # it stays between these
    is_bounded: bool = True  # False of a user's code, of which nobody can know
    reached: tuple[Affine, ...] | None = None  # what it has at some update, if that is not `ends`


class Track:
    """Pieces laid end to end: the one form in which every schedule is evaluated and shown."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.starts: list[int] = []
        self.curves: list[Callable[[int], tuple[float, float]]] = []
        position, end = 0, ONE
        self.horizon: int | None = None
        for piece in pieces:
            if piece.length != 0:
                self.starts.append(position)
                self.curves.append(piece.curve)
            if piece.length is None or piece.end is None:
                return
            position, end = position + piece.length, piece.end
        self.horizon = position
        self.starts.append(position)
        self.curves.append(lambda _: end)

    def segment(self, num_updates: int) -> Segment:
        """Return the stretch of updates around ``num_updates`` that one curve covers."""
        after = bisect_right(self.starts, num_updates)
        stop = self.starts[after] if after < len(self.starts) else math.inf
        return Segment(self.starts[after - 1], stop, self.curves[after - 1])

    @cached_property
    def rows(self) -> tuple[PhaseRow, ...]:
        """The rows of the table."""
        shown = [piece for piece in self.pieces if piece.length != 0] or self.pieces[:1]
        return tuple(
            PhaseRow(
                first,
                None if piece.length is None else first + piece.length,
                Affine(*piece.curve(0)) if piece.length != 0 else piece.end,
                piece.end,
                piece.label,
            )
            for first, piece in zip(self.starts, shown, strict=False)
        )


class PhaseRow(NamedTuple):
    """One line of a schedule's table: what runs from one update to the next one's start.

    ``first`` and ``last`` are updates, or texts such as ``5 %`` before :meth:`Schedule.over`;
    ``last`` is the update at which ``end`` is reached, None if the phase has no end.
    """

    first: int | str
    last: int | str | None
    start: Affine | None
    end: Affine | None
    shape: str


class Schedule(Value, ABC):
    """Which value a field has at update *k*: ``value(k) = offset(k) + scale(k) · base``.

    Offset and scale do not depend on the base, so one schedule serves every parameter group. A
    schedule is pure: any update can be asked for, in any order, and past the horizon the last
    value holds. Schedules are immutable; they compare, hash, pickle, and their ``repr`` is the
    code that builds them.

    Schedules compose:

    * ``a >> b`` runs one after the other,
    * ``a.repeat(4)`` runs one several times,
    * ``0.5 * a`` scales, ``a + b`` adds, ``a * b`` multiplies with a curve of plain multiples.

    Example:
        >>> from pytorch_accelerated.schedules import constant, cosine, linear
        >>> schedule = linear(500, start=0.0) >> constant(8_000) >> cosine(1_500, end=0.1)
        >>> schedule(250)
        0.5
        >>> schedule(250, base=3e-4)
        0.00015
        >>> schedule.horizon
        10000
    """

    def __call__(self, num_updates: int, base: float = 1.0) -> float:
        """Return the value at update ``num_updates`` for a group whose base value is ``base``.

        Args:
            num_updates: How many optimizer updates have been made, zero or more.
            base: The group's base value, in the units of the field.

        Raises:
            ValueError: If ``num_updates`` is negative or fractional, ``base`` is not finite, or a
                length is still relative.
        """
        offset, scale = self.coefficients(whole("num_updates", num_updates))
        return offset + scale * finite("base", base)

    def coefficients(self, num_updates: int) -> tuple[float, float]:
        """Return ``(offset, scale)`` at update ``num_updates``, which has to be zero or more."""
        start, _, curve = self._track.segment(num_updates)
        return curve(num_updates - start)

    def values(self, num_updates: int, base: float = 1.0) -> array[float]:
        """Return the values at updates 0 … ``num_updates`` − 1, those that calls give, but faster.

        Args:
            num_updates: How many values, zero or more.
            base: The group's base value, in the units of the field.

        Raises:
            ValueError: If ``num_updates`` is negative or fractional, or a length is still relative.

        Example:
            >>> from pytorch_accelerated.schedules import linear
            >>> linear(4, end=0.0).values(5, base=2.0)
            array('d', [2.0, 1.5, 1.0, 0.5, 0.0])
        """
        return self._columns(whole("num_updates", num_updates), [finite("base", base)])[0]

    def _columns(self, num_updates: int, bases: Sequence[float]) -> list[array[float]]:
        """Return the values at updates 0 … ``num_updates`` − 1, for each base."""
        columns = [array("d") for _ in bases]
        update = 0
        while update < num_updates:
            start, stop, curve = self.segment(update)
            end = int(min(stop, num_updates, update + _CHUNK))
            positions = range(update - start, end - start)
            if len(bases) == 1:
                base, values = bases[0], []
                for position in positions:  # 0.95 times the time that map and a list take
                    offset, scale = curve(position)
                    values.append(offset + scale * base)
                columns[0].fromlist(values)
            else:
                coefficients = list(map(curve, positions))
                for column, base in zip(columns, bases, strict=True):
                    column.fromlist([offset + scale * base for offset, scale in coefficients])
            update = end
        return columns

    # What each kind of schedule says of itself; all else here follows from it.

    @property
    @abstractmethod
    def is_relative(self) -> bool:
        """Whether some length is a share, in epochs, or the rest, so that ``over`` is needed."""

    @abstractmethod
    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        """Yield the stretches in order, after a schedule that ended at ``previous``."""

    @abstractmethod
    def _demand(self, horizon: Horizon) -> Exact | None:
        """Return how many updates this takes, before rounding; None for all that is left."""

    @abstractmethod
    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        """Return this schedule with all its lengths in updates.

        It lies from ``begin`` on and takes ``length``, both before rounding: joints inside a part
        have to be rounded where they are in the whole, or the parts would not add up.
        """

    def _sketch(self) -> Iterator[PhaseRow]:
        """Yield the rows of the table while lengths are still relative."""
        yield PhaseRow("relative", None, None, None, repr(self))

    # What follows.

    @cached_property
    def _track(self) -> Track:
        if self.is_relative:
            raise not_yet(self)
        return Track(list(self._pieces(ONE)))

    @property
    def horizon(self) -> int | None:
        """The update from which on the last value holds; None if there is none, or not yet."""
        return None if self.is_relative else self._track.horizon

    @property
    def final(self) -> Affine:
        """Offset and scale that hold from the horizon on."""
        if self.horizon is None:
            raise ValueError(f"{self!r} has no end.")
        return Affine(*self.coefficients(self.horizon))

    @property
    def phases(self) -> tuple[PhaseRow, ...]:
        """The rows of the schedule's table."""
        return tuple(self._sketch()) if self.is_relative else self._track.rows

    def _rows(self) -> Iterator[PhaseRow]:
        return iter(self.phases)

    @property
    def _num_rows(self) -> int:
        return len(self.phases)

    def _rows_within(self, num_updates: int) -> tuple[PhaseRow, ...]:
        """Return the rows that begin before update ``num_updates``, of lengths in updates."""
        return tuple(row for row in self.phases if int(row.first) < num_updates)

    def _ends(self) -> tuple[Affine, ...]:
        """Return values between which this schedule stays, as far as known."""
        return _once(end for piece in self._track.pieces for end in piece.ends)

    @property
    def _is_bounded(self) -> bool:
        """Whether the schedule stays between its ends: of a user's code nobody can know."""
        return all(piece.is_bounded for piece in self._pieces_or_far())

    def _pieces_or_far(self) -> list[Piece]:
        return (self.over(*FAR) if self.is_relative else self)._track.pieces

    def _reached(self) -> tuple[Affine, ...]:
        """Return values that this schedule has at some update, the extremes if they are known."""
        pieces = self._track.pieces
        return _once(at for p in pieces for at in (p.ends if p.reached is None else p.reached))

    def segment(self, num_updates: int) -> Segment:
        """Return the stretch of updates around ``num_updates`` that one curve covers.

        A caller that goes from update to update evaluates that curve until ``stop``, and need not
        look for the phase each time; it gets the very values that :meth:`coefficients` gives.
        """
        return self._track.segment(num_updates)

    def over(self, horizon: int, num_updates_per_epoch: int | None = None) -> Schedule:
        """Return this schedule with shares, epochs and the rest turned into whole updates.

        Joints are rounded to the nearest update, so the lengths add up to the horizon exactly. A
        schedule whose lengths are all in updates comes back as it is.

        Args:
            horizon: How many updates the whole schedule is planned for, zero or more.
            num_updates_per_epoch: How many of them an epoch has; needed for ``epochs(n)``.

        Raises:
            ValueError: If the phases need more updates than there are.

        Example:
            >>> from pytorch_accelerated.schedules import constant, linear
            >>> relative = linear(0.05, start=0.0) >> constant() >> linear(0.2, end=0.0)
            >>> relative.over(10_000)
            linear(500, start=0.0) >> constant(7500) >> linear(2000, end=0.0)
        """
        total = whole("horizon", horizon)
        if num_updates_per_epoch is not None:
            num_updates_per_epoch = whole("num_updates_per_epoch", num_updates_per_epoch, 1)
        if not self.is_relative:
            return self
        context = Horizon(total, num_updates_per_epoch)
        demand = self._demand(context)
        if demand is not None and demand > total:
            raise too_long(self, demand, total)
        return self._fit(0, total if demand is None else demand, context)

    def repeat(self, count: int, length: float = 1.0, peak: float = 1.0) -> Repeat:
        """Return this schedule run ``count`` times, each period starting anew.

        Period *i* = 0, 1, … takes ``length**i`` times as many updates as the first, and its
        highest value is ``peak**i`` times the first one's, while its lowest stays. Where values
        that are multiples of the base meet absolute ones, the multiples shrink and the absolute
        ones stay. Open ends are closed first, so each period starts at its own peak.

        Args:
            count: How many periods, at least one.
            length: Growth of the period from one to the next, above zero.
            peak: Growth of the highest value from one period to the next, above zero.

        Raises:
            ValueError: If an argument is out of range, or a peak falls below its floor.

        Example:
            Warm restarts, arXiv:1608.03983:

            >>> from pytorch_accelerated.schedules import cosine
            >>> restarts = cosine(1_000, end=0.0).repeat(4, length=2.0, peak=0.5)
            >>> [restarts(k) for k in (0, 1_000, 3_000, 7_000)], restarts.horizon
            ([1.0, 0.5, 0.25, 0.125], 15000)
        """
        from pytorch_accelerated.schedules.combine import Repeat

        return Repeat(self, count, length, peak)

    def __rshift__(self, other: object) -> OneAfterAnother:
        from pytorch_accelerated.schedules.combine import Sequence

        if not isinstance(other, Schedule):
            return NotImplemented
        return Sequence((self, other))

    def __add__(self, other: object) -> Sum:
        from pytorch_accelerated.schedules.combine import Sum

        if isinstance(other, numbers.Real):
            raise _no_operator(f"schedule + {other!r}", f"schedule + constant(1, value={other!r})")
        if not isinstance(other, Schedule):
            return NotImplemented
        return Sum(self, other)

    def __radd__(self, other: object) -> NoReturn:
        raise _no_operator(f"{other!r} + schedule", f"constant(1, value={other!r}) + schedule")

    def __sub__(self, other: object) -> NoReturn:
        if isinstance(other, numbers.Real):
            raise _no_operator(f"schedule - {other!r}", f"schedule + constant(1, value={-other!r})")
        raise _no_operator("a - b", "a + -1.0 * b")

    def __rsub__(self, other: object) -> NoReturn:
        instead = f"constant(1, value={other!r}) + -1.0 * schedule"
        raise _no_operator(f"{other!r} - schedule", instead)

    def __neg__(self) -> NoReturn:
        raise _no_operator("-schedule", "-1.0 * schedule")

    def __truediv__(self, other: object) -> NoReturn:
        if isinstance(other, numbers.Real):
            raise _no_operator(f"schedule / {other!r}", f"(1 / {other!r}) * schedule")
        raise _no_operator("a / b", "from_function(lambda k: a(k) / b(k))")

    def __rtruediv__(self, other: object) -> NoReturn:
        instead = f"from_function(lambda k: {other!r} / schedule(k))"
        raise _no_operator(f"{other!r} / schedule", instead)

    def __mul__(self, other: object) -> Scaled | Product:
        from pytorch_accelerated.schedules.combine import Product, Scaled

        if isinstance(other, Schedule):
            return Product(self, other)
        return (
            Scaled(finite("factor", other), self)
            if isinstance(other, numbers.Real)
            else NotImplemented
        )

    def __rmul__(self, other: object) -> Scaled:
        from pytorch_accelerated.schedules.combine import Scaled

        return (
            Scaled(finite("factor", other), self)
            if isinstance(other, numbers.Real)
            else NotImplemented
        )

    def __getstate__(self) -> dict[str, Any]:
        # Cached plans hold closures; they are made again on use.
        return self._contents()

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)

    def plot(self, num_updates: int | None = None, base: float = 1.0, **options: Any) -> Any:
        """Draw the schedule with matplotlib, its phases shaded and named.

        Of more than 20 million updates only some 1500 are looked at.

        Args:
            num_updates: How many updates to draw; by default the horizon and a little of what
                holds after it.
            base: The group's base value, or a list with one for each group.
            **options: As for :meth:`pytorch_accelerated.preview.Preview.plot`.

        Returns:
            A ``matplotlib.figure.Figure``: a notebook shows it, ``savefig(path)`` writes it.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: If a length is still relative, or the schedule has no horizon and there is
                no ``num_updates``.
        """
        return door.preview().plot_schedule(self, num_updates, base, **options)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the picture, if there is one to draw, and the table."""
        return str(door.preview().html_of(self))

    def __str__(self) -> str:
        """Return the table of the schedule's phases."""
        from pytorch_accelerated.schedules.table import phase_table

        return phase_table(self)


def _once(values: Iterable[Affine]) -> tuple[Affine, ...]:
    return tuple(dict.fromkeys(values))


def _no_operator(written: str, instead: str) -> TypeError:
    return TypeError(
        f"{written} is not defined: schedules follow one another with >>, are added with + and "
        f"multiplied with *. Write {instead}."
    )


def too_long(schedule: Schedule, demand: Exact, total: Exact) -> ValueError:
    """Return the error for a schedule that takes more updates than there are."""
    return ValueError(
        f"{schedule!r} needs {float(demand):g} updates, but the horizon has {float(total):.12g}. "
        "Make a phase shorter, or leave out the length of one: it takes the rest."
    )


def not_yet(schedule: Schedule) -> ValueError:
    """Return the error for a value asked of a schedule whose lengths are still relative."""
    return ValueError(
        f"{schedule!r} has lengths that are shares, epochs or the rest, so it has no values yet: "
        "write .over(horizon, num_updates_per_epoch=…) first, or let the Trainer do it through "
        "create_scheduler_fn."
    )
