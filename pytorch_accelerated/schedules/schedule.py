"""The type of every schedule: which value a field has at update k, for a base value."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NoReturn

from pytorch_accelerated import door
from pytorch_accelerated.checks import finite, whole
from pytorch_accelerated.schedules.terms import ONE, Affine, Exact, Horizon, Length, Value
from pytorch_accelerated.schedules.track import PhaseRow, Piece, Track, phase_table

#: What each operator builds. ``compose.py``, which stands on this file, puts its classes in here.
OPERATORS: dict[str, Callable[..., Schedule]] = {}


def _undefined(written: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(self: Schedule, other: object = None) -> NoReturn:
        raise TypeError(
            f"{written} is not defined: schedules follow one another with >>, are added with + and "
            f"multiplied with *. Write {instead}."
        )

    return refuse


class Schedule(Value):
    """Which value a field has at update *k*: ``value(k) = offset(k) + scale(k) · base``.

    Offset and scale do not depend on the base, so one schedule serves every parameter group. A
    schedule is pure: any update can be asked for, in any order, and past the horizon the last
    value holds. Schedules are immutable; they compare, hash, pickle, and their ``repr`` is the
    code that builds them.

    Schedules compose:

    * ``a >> b`` runs one after the other,
    * ``a.repeat(4)`` runs one several times,
    * ``0.5 * a`` scales, ``a + b`` adds, ``a * b`` multiplies with a curve of plain multiples.

    A class of your own derives from this one and has a method ``coefficients``; it has no end,
    unless it also has a ``horizon``. For most purposes :func:`from_function` is shorter.

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

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "coefficients" in vars(cls) and cls._pieces is not Schedule._pieces:
            raise TypeError(
                f"{cls.__name__} defines coefficients, but its base class is made of pieces, so it "
                "would not count. Derive from Schedule, or write from_function(…)."
            )

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
        # Asked update by update, the last stretch nearly always answers again.
        start, stop, curve = self.track.last
        if not start <= num_updates < stop:
            start, stop, curve = self.track.segment(num_updates)
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
        return self.track.columns(whole("num_updates", num_updates), [finite("base", base)])[0]

    # What each kind of schedule says of itself; all else follows from it. These are the answers
    # of a user's class that has `coefficients`.

    @property
    def is_relative(self) -> bool:
        """Whether some length is a share, in epochs, or the rest, so that ``over`` is needed."""
        return False

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        """Yield the stretches in order, after a schedule that ended at ``previous``."""
        cls = type(self)
        if cls.coefficients is Schedule.coefficients:
            raise TypeError(
                f"{cls.__name__} has to define coefficients(num_updates), which returns offset "
                "and scale at that update."
            )
        horizon = None if cls.horizon is Schedule.horizon else self.horizon
        end = None if horizon is None else Affine(*self.coefficients(horizon))
        yield Piece(horizon, self.coefficients, end, repr(self))

    def _demand(self, horizon: Horizon) -> Exact | None:
        """Return how many updates this takes, before rounding; None for all that is left."""
        return (self.horizon or 0) * horizon.stretch

    def _fit(self, begin: Exact, length: Exact, horizon: Horizon) -> Schedule:
        """Return this schedule, if relative or to be stretched, with all lengths in updates.

        It lies from ``begin`` on and takes ``length``, both before rounding: joints inside a part
        have to be rounded where they are in the whole, or the parts would not add up.
        """
        raise ValueError(
            f"{self!r} is a function of the updates made, which has no length to stretch. Write "
            "the slower function instead."
        )

    def _sketch(self) -> Iterator[PhaseRow]:
        """Yield the rows of the table while lengths are still relative."""
        yield PhaseRow("relative", None, None, None, repr(self))

    # What follows.

    @cached_property
    def track(self) -> Track:
        """The pieces of this schedule, laid end to end; all lengths have to be in updates."""
        if self.is_relative:
            raise not_yet(self)
        return Track(self._pieces(ONE))

    @property
    def horizon(self) -> int | None:
        """The update from which on the last value holds; None if there is none, or not yet."""
        return None if self.is_relative else self.track.horizon

    @property
    def final(self) -> Affine:
        """Offset and scale that hold from the horizon on."""
        if self.horizon is None:
            raise ValueError(f"{self!r} has no end.")
        return Affine(*self.coefficients(self.horizon))

    @property
    def phases(self) -> tuple[PhaseRow, ...]:
        """The rows of the schedule's table."""
        return tuple(self._sketch()) if self.is_relative else self.track.rows

    def over(self, horizon: float, num_updates_per_epoch: int | None = None) -> Schedule:
        """Return this schedule with shares, epochs and the rest turned into whole updates.

        Joints are rounded to the nearest update, so the lengths add up to the horizon exactly. A
        schedule whose lengths are all in updates comes back as it is, and one in updates and
        epochs may be longer than the horizon: a run of two epochs may try the begin of a long plan.

        Args:
            horizon: How many updates the whole schedule is planned for, zero or more.
            num_updates_per_epoch: How many of them an epoch has; needed for ``epochs(n)``.

        Raises:
            ValueError: If there are shares, or a rest, and the phases need more updates than there
                are.

        Example:
            >>> from pytorch_accelerated.schedules import constant, linear
            >>> relative = linear(0.05, start=0.0) >> constant() >> linear(0.2, end=0.0)
            >>> relative.over(10_000)
            linear(500, start=0.0) >> constant(7500) >> linear(2000, end=0.0)
        """
        if isinstance(horizon, float) and horizon.is_integer():
            horizon = int(horizon)  # 2e10 is a float
        total = whole("horizon", horizon)
        if num_updates_per_epoch is not None:
            num_updates_per_epoch = whole("num_updates_per_epoch", num_updates_per_epoch, 1)
        if not self.is_relative:
            return self
        context = Horizon(total, num_updates_per_epoch)
        demand = self._demand(context)
        # Updates and epochs are as long in a run that is shorter; shares of it are not.
        has_shares = demand != self._demand(context._replace(num_updates=0))
        if demand is not None and demand > total and has_shares:
            raise too_long(self, demand, total)
        return self._fit(0, total if demand is None else demand, context)

    def repeat(self, count: int | None = None, length: float = 1.0, peak: float = 1.0) -> Schedule:
        """Return this schedule run ``count`` times, or for ever, each period starting anew.

        Period *i* = 0, 1, … takes ``length**i`` times as many updates as the first, and its
        highest value is ``peak**i`` times the first one's, while its lowest stays. Where values
        that are multiples of the base meet absolute ones, the multiples shrink and the absolute
        ones stay. Open ends are closed first, so each period starts at its own peak.

        Args:
            count: How many periods, at least one; they may have 10,000 phases in all. None for
                equal periods without an end.
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
        return OPERATORS["repeat"](self, count, length, peak)

    def until(self, length: Length) -> Schedule:
        """Return the first part of this schedule, at whose end its value there is kept.

        ``value(k) = self(k)`` up to update k = ``length``, that one included, and ``self(length)``
        from there on. So ``plan.until(k) >> linear(500, end=0.0)`` decays from where ``plan`` is
        after k updates. What has no end gets one.

        Args:
            length: Updates, a share in (0, 1) of the horizon, or ``epochs(n)``. A plan with shares
                is laid out over the whole horizon first. To cut the plan of a run that was laid
                out over another one, write ``plan.over(10_000).until(6_000)``.

        Raises:
            TypeError: If ``length`` is not a length.
            ValueError: If it is negative, or a fraction outside (0, 1).

        Example:
            >>> from pytorch_accelerated.schedules import cosine, linear
            >>> decayed = cosine(1_000, end=0.0).until(500) >> linear(100, end=0.0)
            >>> [round(decayed(k), 12) for k in (500, 550, 600)]
            [0.5, 0.25, 0.0]
        """
        return OPERATORS["until"](self, length)

    def stretched(self, factor: float) -> Schedule:
        """Return the same schedule in ``factor`` times as many updates.

        Each joint at update k moves to the update nearest to ``factor`` · k, halves up. Lengths in
        epochs grow alike, and timescales to the nearest update; shares and the rest grow with the
        run and stay.

        Args:
            factor: Above 0; 2.0 takes twice the time.

        Raises:
            TypeError: If ``factor`` is not a number.
            ValueError: If it is not above 0, or the schedule has a function of the updates made.

        Example:
            >>> from pytorch_accelerated.schedules import cosine, linear
            >>> (linear(5, start=0.0) >> cosine(100)).stretched(1.5)
            linear(8, start=0.0) >> cosine(150)
        """
        return OPERATORS["stretched"](self, factor)

    def rounded(self, to: float = 1) -> Schedule:
        """Return this schedule with its values rounded to multiples of ``to``, halves up.

        ``value(k) = to · ⌊self(k) / to + ½⌋``, for attributes that have to be whole, such as a
        batch size: :class:`~pytorch_accelerated.schedulers.AttributeScheduler` gives an integer
        attribute an integer. The values have to be absolute, as a multiple of a base is a whole
        number for one group and not for another.

        Args:
            to: Above 0.

        Raises:
            TypeError: If ``to`` is not a number.
            ValueError: If it is not above 0, or (for a user's function, when asked) a value is a
                multiple of the base.

        Example:
            >>> from pytorch_accelerated.schedules import absolute, linear
            >>> batch_size = linear(8, start=absolute(16), end=absolute(64)).rounded(to=8)
            >>> [batch_size(k) for k in range(9)]
            [16.0, 24.0, 32.0, 32.0, 40.0, 48.0, 56.0, 56.0, 64.0]
        """
        return OPERATORS["rounded"](self, to)

    def __rshift__(self, other: object) -> Schedule:
        return OPERATORS[">>"]((self, other))

    def __rrshift__(self, other: object) -> Schedule:
        return OPERATORS[">>"]((other, self))

    def __add__(self, other: object) -> Schedule:
        return OPERATORS["+"](self, other)

    def __radd__(self, other: object) -> Schedule:
        return OPERATORS["+"](other, self)

    __sub__ = __rsub__ = _undefined(
        "a - b", "a + -1.0 * b, with constant(1, value=…) in the place of a number"
    )
    __neg__ = _undefined("-a", "-1.0 * a")
    __truediv__ = __rtruediv__ = _undefined(
        "a / b", "(1 / 2) * a, or from_function(lambda k: a(k) / b(k))"
    )

    def __mul__(self, other: object) -> Schedule:
        return OPERATORS["*"](self, other) if isinstance(other, Schedule) else self.__rmul__(other)

    def __rmul__(self, other: object) -> Schedule:
        return OPERATORS["number *"](other, self)

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

    def _repr_html_(self) -> Any:
        """Return what a notebook shows: the picture, if there is one to draw, and the table."""
        return door.preview().html_of(self)

    def __str__(self) -> str:
        """Return the table of the schedule's phases."""
        return phase_table(shown_phases(self), self.is_relative)


def shown_phases(schedule: Schedule) -> list[PhaseRow]:
    """Return the phases of a schedule's table: one of what holds in the end among them."""
    rows = [] if schedule.horizon == 0 else list(schedule.phases)
    if schedule.horizon is not None and (not rows or rows[-1].end != schedule.final):
        end = schedule.final
        rows.append(PhaseRow(schedule.horizon, None, end, end, "constant"))
    return rows


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
