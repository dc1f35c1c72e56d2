"""Any schedule on any field of an optimizer's parameter groups."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from torch.optim import Optimizer

from pytorch_accelerated.checks import bounds, out_of_range, same, whole, wrong_kind
from pytorch_accelerated.schedulers import quick, state
from pytorch_accelerated.schedulers.for_runs import for_the_run, schedules_in
from pytorch_accelerated.schedulers.groups import Field, Group, plain
from pytorch_accelerated.schedulers.messages import raise_named
from pytorch_accelerated.schedulers.naming import check_keys
from pytorch_accelerated.schedulers.scheduler_base import (
    Due,
    Planned,
    SchedulerBase,
    StatefulSchedulerBase,
)
from pytorch_accelerated.schedules import Schedule

Plan: TypeAlias = "Schedule | Mapping[str | int, Schedule] | Sequence[Schedule]"


def field_of(name: str) -> Field:
    """Return the field that users call ``name``: a key, or ``beta1`` for an entry of betas."""
    entry = re.fullmatch(r"beta([1-9])", name)
    return Field(name) if entry is None else Field("betas", int(entry[1]) - 1, name)


class FieldSchedules:
    """The schedules of one field: one for all groups, or one for each that a key matches."""

    def __init__(self, field: Field, plan: Plan) -> None:
        self.field = field
        self.plan: Any = checked_plan(field.name, plan)
        if not isinstance(self.plan, Schedule):
            by_key: Any = self.plan
            field.by_key = dict(enumerate(by_key)) if isinstance(by_key, tuple) else by_key
        self.legal = (-math.inf, math.inf) if field.keeps_integers else bounds(field.name)
        self._bases: list[Any] = []
        self._is_safe = False

    @property
    def is_safe_for_all(self) -> bool:
        """Whether one schedule is for all groups and its values need no checks with their bases."""
        return self._is_safe and isinstance(self.plan, Schedule)

    def of(self, groups: Sequence[Group]) -> list[Schedule | None]:
        """Return the schedule of each group; None for one that is left alone."""
        if isinstance(self.plan, Schedule):
            return [self.plan] * len(groups)
        if isinstance(self.plan, tuple) and len(self.plan) < len(groups):
            raise self._wrong_number()
        return self.field.chosen

    def check_groups(self) -> None:
        """Raise if a schedule is meant for a group that there is not."""
        if isinstance(self.plan, tuple) and len(self.plan) > len(self.field.labels):
            raise self._wrong_number()
        check_keys(self.field.name, self.field.by_key or (), self.field.labels)

    def _wrong_number(self) -> ValueError:
        labels = self.field.labels
        return ValueError(
            f"{self.field.name}: {len(self.plan)} schedules came for {len(labels)} groups, which "
            f"are called {', '.join(repr(label.name) for label in labels)}. Write one for each, or "
            "a mapping with those that are to change. For groups that were added later, make the "
            "scheduler anew, and load this one's state_dict() into it."
        )

    def values(self, num_updates: int, bases: list[Any], groups: Sequence[Group]) -> list[Any]:
        """Return the value of each group at update ``num_updates``, for its base value."""
        if bases != self._bases:
            self.look_at(bases, groups)
        values: list[Any]
        if isinstance(self.plan, Schedule):
            offset, scale = self._coefficients(self.plan, num_updates, "")
            values = [offset + scale * base for base in bases]
        else:
            values = [None] * len(bases)
            for index, schedule, base in self._rows(bases, groups):
                where = f" of {self.field.called(index)}"
                offset, scale = self._coefficients(schedule, num_updates, where)
                values[index] = offset + scale * base
        if not self._is_safe:
            for index, value in enumerate(values):
                self._check(value, index, "in its schedule")
        return values

    def _rows(
        self, bases: list[Any], groups: Sequence[Group]
    ) -> Iterator[tuple[int, Schedule, Any]]:
        """Yield place, schedule and base of each group that is scheduled."""
        for index, (schedule, base) in enumerate(zip(self.of(groups), bases, strict=True)):
            if schedule is not None:
                yield index, schedule, base

    def _coefficients(
        self, schedule: Schedule, num_updates: int, group: str
    ) -> tuple[float, float]:
        try:
            return schedule.coefficients(num_updates)
        except (TypeError, ValueError) as error:
            raise_named(f"{self.field.name}{group}", error)

    def columns(self, num_updates: int, groups: Sequence[Group]) -> list[array[float] | None]:
        """Return what :meth:`values` gives at updates 0 … ``num_updates`` − 1, for each group."""
        bases = self.field.bases(groups)
        columns: list[array[float] | None]
        if isinstance(self.plan, Schedule):
            columns = [*self.plan.track.columns(num_updates, bases)]
        else:
            columns = [None] * len(bases)
            for index, schedule, base in self._rows(bases, groups):
                (columns[index],) = schedule.track.columns(num_updates, [base])
        if bases != self._bases or not self._is_safe:
            for index, column in enumerate(columns):
                for update, value in enumerate(column or ()):
                    self._check(value, index, f"at update {update}")
        return columns

    def look_at(self, bases: list[Any], groups: Sequence[Group]) -> None:
        """Find out whether values can be illegal with these bases.

        With new groups, also raise if a phase starts or ends outside the field's legal range.
        """
        are_new, is_safe = len(bases) != len(self._bases), True
        for index, schedule, base in self._rows(bases, groups):
            if not isinstance(base, float):
                raise TypeError(
                    f"{self.field.name}: the base value of {self.field.called(index)} is {base!r}, "
                    "but a schedule gives single numbers. Put a number into the group's "
                    f"{self.field.initial_key}; for one entry of betas write beta1=… or beta2=…."
                )
            for offset, scale in schedule.track.reached if are_new else ():
                self._check(offset + scale * base, index, f"in {schedule!r}")
            # A bound that is not a value of the schedule may well be illegal, and a user's own
            # function can only be checked as it is evaluated.
            is_safe &= all(map(self._is_allowed, schedule.track.bounds(base)))
        self._bases, self._is_safe = bases, is_safe

    def _is_allowed(self, value: float) -> bool:
        return math.isfinite(value) and self.legal[0] <= value < self.legal[1]

    def _check(self, value: float | None, index: int, where: str) -> None:
        if value is not None and not self._is_allowed(value):
            raise out_of_range(self.field.name, value, self.field.called(index), where)


class _Scheduled(SchedulerBase):
    """What both parameter schedulers share."""

    _own_attributes = SchedulerBase._own_attributes | {"_schedules"}

    #: Whose states it takes; one with values of its own takes those of its class.
    _kind_of_state = "schedules"
    _is_always_by_field = False
    #: Whether values are those of the schedules alone, for groups that are dictionaries.
    _may_be_quick = True
    _has_values_of_its_own = False
    #: Where a WSD scheduler was continued; the others keep it for one that comes after them.
    _continuation: Any = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        maker = next(base for base in cls.__mro__ if "get_updated_values" in vars(base))
        cls._may_be_quick = maker is _Scheduled and cls._bases_live_in_groups
        # The library's own classes that make values say whose states they take.
        cls._has_values_of_its_own = "_kind_of_state" not in vars(maker)

    def __init__(self, optimizer: Optimizer, **schedules: Plan) -> None:
        if not schedules:
            raise ValueError(
                f"{type(self).__name__} was given no schedule. Write, for example, "
                "lr=cosine(1_000, end=0.0)."
            )
        self._schedules = [self._schedules_of(name, plan) for name, plan in schedules.items()]
        self._attach(optimizer, [own.field for own in self._schedules])
        for own in self._schedules:
            own.check_groups()
            own.look_at(self._bases(own.field), optimizer.param_groups)

    @staticmethod
    def _schedules_of(name: str, plan: Any) -> FieldSchedules:
        return FieldSchedules(field_of(name), plan)

    @property
    def schedules(self) -> dict[str, Any]:
        """Field → the schedule of all groups, or those of each group by name or index."""
        return {own.field.name: own.plan for own in self._schedules}

    def _num_planned_updates(self) -> int | None:
        horizons = [
            schedule.horizon for own in self._schedules for schedule in schedules_in(own.plan)
        ]
        return max((horizon for horizon in horizons if horizon is not None), default=None)

    def _planned(self, num_updates: int, groups: Sequence[Group]) -> Planned | None:
        # Whoever overrides one of these may do anything; only running it tells.
        is_counting = isinstance(self, StatefulSchedulerBase)
        known: Any = ParamScheduler if is_counting else StatelessParamScheduler
        for name in ("get_updated_values", "step_update", "step"):
            if getattr(type(self), name, None) is not getattr(known, name, None):
                return None
        return {own.field: own.columns(num_updates, groups) for own in self._schedules}

    def step_update(self, num_updates: int) -> None:
        """Put the values for update ``num_updates`` in force, in all groups or in none.

        A scheduler that counts continues from there.

        Args:
            num_updates: How many optimizer updates have been made, zero or more.

        Raises:
            ValueError: If ``num_updates`` is negative or fractional, a value is out of its range,
                or two patterns match a new group with schedules that differ.
            TypeError: If a base value is not a number.
        """
        if not self._may_be_quick:
            super().step_update(num_updates)
        elif not quick.advance(self, num_updates):
            super().step_update(num_updates)
            quick.prepare(self)

    def get_updated_values(self, num_updates: int) -> Any:
        """Return the values for update ``num_updates``: a pure function of it and the bases.

        Returns:
            A list with a value for each parameter group; a mapping from fields to such lists if
            several fields are scheduled.
        """
        groups = self.optimizer.param_groups
        if num_updates < 0:
            whole("num_updates", num_updates)
        values = {}
        try:
            for own in self._schedules:
                bases = self._bases(own.field)
                values[own.field.name] = own.values(num_updates, bases, groups)
        except (TypeError, ValueError) as error:
            raise_named(f"{type(self).__name__} at update {num_updates}", error)
        is_one = len(values) == 1 and not self._is_always_by_field
        return values[self.param_group_field] if is_one else values

    # State ---------------------------------------------------------------------------------

    def _planned_rows(self) -> list[state.Row]:
        rows: list[state.Row] = []
        for own in self._schedules:
            if isinstance(own.plan, Schedule):
                rows.append([own.field.name, None, repr(own.plan)])
                continue
            for index, schedule in enumerate(own.field.chosen):
                if schedule is not None:
                    rows.append([own.field.name, index, repr(schedule)])
        # Where an object lies in memory is another place in each process.
        return [[*place, re.sub(r" at 0x[0-9a-fA-F]+", "", text)] for *place, text in rows]

    def _due_from(self, checked: dict[str, Any]) -> Due:
        """Return what is due at the state's position by the schedules given now, and warn of both.

        Values of a subclass's own may depend on what was in force, or on more than the state
        knows. With the plan of the checkpoint, such a subclass continues from what was in force.
        """
        num_updates = checked["num_updates"]
        lines = list(state.differences(checked["plan"], self._planned_rows()))
        due: Due = []
        if num_updates is not None and (lines or not self._has_values_of_its_own):
            due = self._checked(self.get_updated_values(num_updates), num_updates)
        due = due or super()._due_from(checked)
        for field, values in due:
            before = checked["values"].get(field.name, ())
            lines += [
                f"{field.starting(i)}: {field.name}={plain(value)!r} is due by the schedule "
                f"given now, but the checkpoint held {plain(saved)!r}."
                for i, (value, saved) in enumerate(zip(values, before, strict=False))
                if None not in (value, saved) and not same(value, saved, state.PRECISION)
            ]
        if lines:
            since = " from the next update on" if num_updates is None else ""
            self._warn(num_updates, lines, f"The schedule given now counts{since}.")
        return due


class ParamScheduler(_Scheduled, StatefulSchedulerBase):
    """Schedules on any fields of an optimizer's parameter groups, stepped together.

    ``value(k) = offset(k) + scale(k) · base`` for each field and group; see
    :mod:`pytorch_accelerated.schedules`. The values for update 0 are in force from construction,
    and the *n*-th ``step()`` puts those for update *n* in force.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        **schedules: Field → schedule: ``lr``, ``weight_decay``, ``momentum``, ``beta1``,
            ``beta2`` (entries of ``betas``), or any other key of the groups. Instead of one
            schedule for all groups, a sequence with one for each, or a mapping, which leaves
            groups alone that none of its keys matches. A key is a group's ``name``, its index,
            the optimizer's class, a pattern as for :func:`fnmatch.fnmatch`, or ``"*"``; where
            several match a group, the first in this order counts. A group without a name is
            called after the optimizer's class and its index, ``AdamW/0``.

    Raises:
        KeyError: If a parameter group does not have a field (also a ``ValueError``).
        ValueError: If a schedule is still relative, leaves the field's legal range (rates and
            decays are not negative; betas and momentum are in [0, 1)), or matches no group, or two
            patterns match one group with schedules that differ.
        TypeError: If something else comes in place of a schedule.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import ParamScheduler
        >>> from pytorch_accelerated.schedules import cosine, linear
        >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> scheduler = ParamScheduler(
        ...     optimizer,
        ...     lr=linear(2, start=0.0) >> cosine(4, end=0.0),
        ...     weight_decay=linear(6, end=0.0),
        ... )
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> optimizer.param_groups[0]["lr"]
        0.1
    """

    _own_attributes = _Scheduled._own_attributes

    @property
    def _state_kind(self) -> str:
        return super()._state_kind if self._has_values_of_its_own else self._kind_of_state

    @classmethod
    def create_scheduler_fn(cls, **schedules: Any) -> Callable[[Optimizer], ParamScheduler]:
        """Return a factory for :meth:`Trainer.train`; relative schedules get the run's horizon.

        Args:
            **schedules: As for the class; lengths may be shares of the run, ``epochs(n)``, or
                the rest.

        Example:
            >>> from pytorch_accelerated.schedulers import ParamScheduler
            >>> from pytorch_accelerated.schedules import cosine, linear
            >>> create_scheduler_fn = ParamScheduler.create_scheduler_fn(
            ...     lr=linear(0.05, start=0.0) >> cosine()
            ... )
        """
        return for_the_run(cls, schedules)


class StatelessParamScheduler(_Scheduled):
    """As :class:`ParamScheduler`, but told the number of updates with each call.

    ``step_update(num_updates)`` puts the values for ``num_updates`` in force, and nothing before
    it is called. The unit may be anything that grows: samples or tokens seen, too.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        **schedules: Field → schedule, as for :class:`ParamScheduler`.

    Raises:
        KeyError: If a parameter group does not have a field (also a ``ValueError``).
        ValueError: As for :class:`ParamScheduler`.
        TypeError: If something else comes in place of a schedule.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import StatelessParamScheduler
        >>> from pytorch_accelerated.schedules import linear
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.4)
        >>> scheduler = StatelessParamScheduler(optimizer, lr=linear(1_000_000, end=0.0))
        >>> scheduler.step_update(num_updates=500_000)  # tokens
        >>> optimizer.param_groups[0]["lr"]
        0.2
    """


def checked_plan(name: str, plan: object) -> Schedule | dict[Any, Schedule] | tuple[Schedule, ...]:
    """Return what came for a field as schedules; raise, saying what to write, if it is not one."""
    result: Any = plan
    if isinstance(plan, Mapping):
        result = dict(plan)
    elif isinstance(plan, Sequence) and not isinstance(plan, str):
        result = tuple(plan)
    for schedule in schedules_in(result):
        if not isinstance(schedule, Schedule):
            example = f"{name}=constant(1, value=absolute(0.1))"
            raise wrong_kind(
                name,
                schedule,
                f"a schedule. Write, for example, {example}, {name}=cosine(1_000, end=0.0), or "
                "from_function(f).",
            )
        if schedule.is_relative:
            raise ValueError(
                f"{name}={schedule!r} has lengths that are shares, epochs or the rest. Write "
                ".over(horizon, num_updates_per_epoch=…), or give it to create_scheduler_fn."
            )
    if not schedules_in(result):
        raise ValueError(f"{name}={plan!r} holds no schedule. Leave {name} out, or write one.")
    checked: Schedule | dict[Any, Schedule] | tuple[Schedule, ...] = result
    return checked
