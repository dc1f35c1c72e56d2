"""Any schedule on any field of an optimizer's parameter groups."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from torch.optim import Optimizer

from pytorch_accelerated.checks import bounds, out_of_range, whole
from pytorch_accelerated.placeholders import TrainerPlaceholderValues
from pytorch_accelerated.schedulers import plan_state, quick
from pytorch_accelerated.schedulers.groups import Field, Group, _is_number, called, plain
from pytorch_accelerated.schedulers.scheduler_base import (
    _PACKAGE,
    Due,
    Planned,
    SchedulerBase,
    StatefulSchedulerBase,
    _alike,
    raise_named,
)
from pytorch_accelerated.schedules import Schedule

Plan: TypeAlias = "Schedule | Mapping[str | int, Schedule] | Sequence[Schedule]"

_NONE_YET: Any = (0, 0, None)

# Attributes that the state of one of the library's own schedulers may have, next to its position.
_REMEMBERED = {"_continuation"}


def field_of(name: str) -> Field:
    """Return the field that users call ``name``: a key, or ``beta1`` for an entry of betas."""
    entry = re.fullmatch(r"beta([1-9])", name)
    return Field(name) if entry is None else Field("betas", int(entry[1]) - 1, name)


class FieldSchedules:
    """The schedules of one field: one for all groups, or one for each."""

    _group = "parameter group"

    def __init__(self, field: Field, plan: Plan) -> None:
        self.field = field
        self.plan: Any = checked_plan(field.name, plan)
        self.lower, self.upper = bounds(field.name)
        self._bases: list[Any] = []
        self._is_safe = False
        #: The stretch of updates that the curve at hand covers.
        self.segment = _NONE_YET
        self._is_one = isinstance(self.plan, Schedule)

    @property
    def is_safe_for_all(self) -> bool:
        """Whether one schedule is for all groups and its values need no checks with their bases."""
        return self._is_one and self._is_safe

    def __getstate__(self) -> dict[str, Any]:
        # The curve at hand, a closure, cannot be pickled; it is found again.
        return {**vars(self), "segment": _NONE_YET}

    def of(self, groups: Sequence[Group]) -> list[Schedule]:
        """Return the schedule of each group."""
        if isinstance(self.plan, Schedule):
            return [self.plan] * len(groups)
        return [self._of_one(i, group) for i, group in enumerate(groups)]

    def _of_one(self, index: int, group: Group) -> Schedule:
        name = group.get("name")
        if isinstance(self.plan, tuple):
            if index < len(self.plan):
                schedule: Schedule = self.plan[index]
                return schedule
            has = f"{len(self.plan)} schedules, one for each of the first groups"
        else:
            for key in (name, index):
                if key is not None and key in self.plan:
                    found: Schedule = self.plan[key]
                    return found
            has = f"schedules for {', '.join(map(repr, self.plan))}"
        raise ValueError(
            f"{self.field.name}: parameter group {index} (name {name!r}) has no schedule; there "
            f"are {has}. Make the scheduler with one for it, too; constant(1) leaves the base "
            "value as it is. If the group was added later, take this scheduler's state_dict() "
            "first, and load it into the new one."
        )

    def planned(self, groups: Sequence[Group]) -> Iterator[tuple[str, int | None, Schedule]]:
        """Yield the schedule of all groups, or each group's own, with its field and group."""
        if isinstance(self.plan, Schedule):
            yield self.field.name, None, self.plan
            return
        for index, group in enumerate(groups):
            # A group that came since may have none yet; what needs it says so.
            with contextlib.suppress(ValueError):
                yield self.field.name, index, self._of_one(index, group)

    def check_names(self, groups: Sequence[Group]) -> None:
        """Raise if a schedule is meant for a group that there is not."""
        if isinstance(self.plan, tuple) and len(self.plan) > len(groups):
            raise ValueError(
                f"{self.field.name}: {len(self.plan)} schedules came for {len(groups)} parameter "
                "groups."
            )
        if isinstance(self.plan, Mapping):
            known = {group.get("name") for group in groups} | set(range(len(groups)))
            for key in self.plan:
                if key not in known:
                    names = ", ".join(repr(group.get("name")) for group in groups)
                    raise ValueError(
                        f"{self.field.name}: no parameter group is called {key!r}; the groups' "
                        f"names are {names}. Name a group with {{'params': …, 'name': {key!r}}}."
                    )

    def values(self, num_updates: int, bases: list[Any], groups: Sequence[Group]) -> list[Any]:
        """Return the value of each group at update ``num_updates``, for its base value."""
        if bases != self._bases:
            self.look_at(bases, groups)
        if self._is_one:
            offset, scale = self._coefficients(self.plan, num_updates)
            if self._is_safe:
                return [offset + scale * base for base in bases]
            pairs = [(offset, scale)] * len(bases)
        else:
            pairs = [
                self._coefficients(schedule, num_updates, f" of {self._group} {index}")
                for index, schedule in enumerate(self.of(groups))
            ]
        values: list[Any] = []
        for index, ((offset, scale), base) in enumerate(zip(pairs, bases, strict=True)):
            if not _is_number(base):
                raise TypeError(
                    f"{self.field.name}: the base value {base!r} of parameter group {index} at "
                    f"update {num_updates} is no number. Put one into the group's "
                    f"{self.field.initial_key}."
                )
            values.append(offset + scale * base)
            self._check(values[-1], index, f"at update {num_updates}")
        return values

    def _coefficients(
        self, schedule: Schedule, num_updates: int, group: str = ""
    ) -> tuple[float, float]:
        try:
            return schedule.coefficients(num_updates)
        except (TypeError, ValueError) as error:
            raise_named(f"{self.field.name}{group}", error)

    def columns(self, num_updates: int, groups: Sequence[Group]) -> list[array[float]]:
        """Return what :meth:`values` gives at updates 0 … ``num_updates`` − 1, for each group."""
        bases = self.field.bases(groups)
        if isinstance(self.plan, Schedule):
            columns = self.plan.track.columns(num_updates, bases)
        else:
            columns = [
                schedule.track.columns(num_updates, [base])[0]
                for schedule, base in zip(self.of(groups), bases, strict=True)
            ]
        if bases != self._bases or not self._is_safe:
            for index, column in enumerate(columns):
                for update, value in enumerate(column):
                    self._check(value, index, f"at update {update}")
        return columns

    def look_at(self, bases: list[Any], groups: Sequence[Group]) -> None:
        """Find out whether values can be illegal with these bases.

        With new groups, also raise if a phase starts or ends outside the field's legal range.
        """
        pairs = list(zip(self.of(groups), bases, strict=True))
        for index, (schedule, base) in enumerate(pairs if len(bases) != len(self._bases) else ()):
            if not isinstance(base, float):
                raise TypeError(
                    f"{self.field.name}: parameter group {index} holds {base!r}, and a schedule "
                    "gives single numbers. For one entry of betas write beta1=… or beta2=…."
                )
            for offset, scale in schedule.track.reached:
                self._check(offset + scale * base, index, f"in {schedule!r}")
        # A bound that is not a value of the schedule may well be illegal, and a user's own
        # function can only be checked as it is evaluated.
        self._is_safe = all(map(self._stays_legal, self.of(groups), bases))
        self._bases = bases

    def _stays_legal(self, schedule: Schedule, base: Any) -> bool:
        return isinstance(base, float) and all(map(self._is_allowed, schedule.track.bounds(base)))

    def _is_allowed(self, value: float) -> bool:
        return math.isfinite(value) and self.lower <= value < self.upper

    def _check(self, value: float, index: int, where: str) -> None:
        if not self._is_allowed(value):
            raise out_of_range(self.field.name, value, index, where)


class _Scheduled(SchedulerBase):
    """What both parameter schedulers share."""

    _own_attributes = SchedulerBase._own_attributes | {"_schedules"}

    #: Whose states it takes; one with values of its own takes those of its class.
    _kind_of_state = "schedules"
    _is_always_by_field = False
    #: Whether the values are those of the schedules, and nothing that a subclass makes of them.
    _is_of_schedules_alone = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._is_of_schedules_alone = cls.get_updated_values is _Scheduled.get_updated_values

    def __init__(self, optimizer: Optimizer, **schedules: Plan) -> None:
        if not schedules:
            raise ValueError(
                f"{type(self).__name__} was given no schedule. Write, for example, "
                "lr=cosine(1_000, end=0.0)."
            )
        self._schedules = [self._schedules_of(name, plan) for name, plan in schedules.items()]
        self._attach(optimizer, [own.field for own in self._schedules])
        for own in self._schedules:
            own.check_names(optimizer.param_groups)
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
        ours = (
            ParamScheduler if isinstance(self, StatefulSchedulerBase) else StatelessParamScheduler
        )
        for name in ("get_updated_values", "step_update", "step"):
            if getattr(type(self), name, None) is not getattr(ours, name, None):
                return None
        return {own.field: own.columns(num_updates, groups) for own in self._schedules}

    def step_update(self, num_updates: int) -> None:
        """Put the values for update ``num_updates`` in force, in all groups or in none.

        A scheduler that counts continues from there.

        Args:
            num_updates: How many optimizer updates have been made, zero or more.

        Raises:
            ValueError: If ``num_updates`` is negative or fractional, a value is out of its range,
                or a group has no schedule.
            TypeError: If a base value is not a number.
        """
        if not self._is_of_schedules_alone:
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
            raise_named(type(self).__name__, error)
        is_one = len(values) == 1 and not self._is_always_by_field
        return values[self.param_group_field] if is_one else values

    # What a state says of the plan ----------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        num_updates = state["num_updates"] or 0
        return state | {"plan": plan_state.rows_of(self._planned_rows(), num_updates)}

    def _checked_state(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(state_dict, Mapping) or "plan" not in state_dict:
            return super()._checked_state(state_dict)
        rest = {key: value for key, value in state_dict.items() if key != "plan"}
        state = super()._checked_state(rest)
        for own, key in itertools.product(self._schedules, ("base_values", "values")):
            values = state[key].get(own.field.name, ())
            if any(isinstance(value, bool | list | tuple) for value in values):
                raise ValueError(
                    f"The state's {key.replace('_', ' ')} for field {own.field.name!r} are "
                    f"{values!r}, but have to be a list with a number for each parameter group."
                )
        return state | {"plan": plan_state.checked_rows(state_dict["plan"])}

    def _has_values_of_its_own(self) -> bool:
        return type(self).get_updated_values is not _Scheduled.get_updated_values

    def _due_from(self, state: dict[str, Any]) -> Due:
        """Return what is due at the state's position by the schedules given now, and warn of both.

        Values of a subclass's own may depend on what was in force, or on more than the state knows.
        With the plan of the checkpoint, such a subclass goes on from what was in force.
        """
        num_updates = state["num_updates"]
        rows = self._planned_rows()
        lines = list(plan_state.differences(state.get("plan", ()), rows))
        due: Due = []
        if num_updates is not None and (lines or not self._has_values_of_its_own()):
            due = self._due(num_updates)
        if not due:
            due = super()._due_from(state)
        groups = self.optimizer.param_groups
        for field, values in due:
            before = state["values"].get(field.name, ())
            lines += [
                f"{called(groups[i], i)}: {field.name}={plain(value)!r} is due by the schedule "
                f"given now, but the checkpoint held {plain(saved)!r}."
                for i, (value, saved) in enumerate(zip(values, before, strict=False))
                if not _alike(value, saved)
            ]
        if lines:
            since = " from the next update on" if num_updates is None else ""
            self._warn(num_updates, lines, f"The schedule given now counts{since}.")
        return due

    def _planned_rows(self) -> Iterator[tuple[str, int | None, Schedule]]:
        groups = self.optimizer.param_groups
        return itertools.chain.from_iterable(own.planned(groups) for own in self._schedules)


class ParamScheduler(_Scheduled, StatefulSchedulerBase):
    """Schedules on any fields of an optimizer's parameter groups, stepped together.

    ``value(k) = offset(k) + scale(k) · base`` for each field and group; see
    :mod:`pytorch_accelerated.schedules`. The values for update 0 are in force from construction,
    and the *n*-th :meth:`step` puts those for update *n* in force.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        **schedules: Field → schedule: ``lr``, ``weight_decay``, ``momentum``, ``beta1``,
            ``beta2`` (entries of ``betas``), or any other key of the groups. Instead of one
            schedule for all groups, a mapping from the groups' ``name`` (or index) to schedules,
            or a sequence with one for each group.

    Raises:
        KeyError: If a parameter group does not have a field (also a ``ValueError``).
        ValueError: If a schedule is still relative, leaves the field's legal range (rates and
            decays are not negative; betas and momentum are in [0, 1)), or misses its group.
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

    @property
    def _state_kind(self) -> str:
        return super()._state_kind if self._has_values_of_its_own() else self._kind_of_state

    def _may_be_restored(self, name: str) -> bool:
        # The library's own schedulers set nothing later than in their constructors. What the one
        # that a position is from remembers besides does not matter to the others.
        is_ours = type(self).__module__.startswith(_PACKAGE)
        is_known = name in vars(self) or name in _REMEMBERED
        return super()._may_be_restored(name) and (is_known or not is_ours)

    def _check_fields(self, values: Mapping[str, Any]) -> None:
        # Another plan may be one for other fields.
        if self._has_values_of_its_own() or not values:
            super()._check_fields(values)

    def _restore(self, state: dict[str, Any]) -> None:
        if self._state_kind == "schedules":
            for name in _REMEMBERED - vars(self).keys():
                state["attributes"].pop(name, None)
        super()._restore(state)

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
        return for_the_run(partial(over_the_run, cls), schedules)


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

    def _position(self) -> dict[str, Any]:
        return {"num_updates": self._num_updates}

    def _checked_state(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        if isinstance(state_dict, Mapping) and state_dict.get("num_updates", 0) is None:
            return super()._checked_state({**state_dict, "num_updates": 0}) | {"num_updates": None}
        return super()._checked_state(state_dict)


def for_the_run(
    make: Callable[..., Any], schedules: Mapping[str, Any], **more: Any
) -> Callable[[Optimizer], Any]:
    """Return a factory that calls ``make(schedules, optimizer, lengths)`` for a run.

    The run's lengths are asked for only if a schedule needs them; otherwise the factory also
    serves where there is no Trainer to fill them in.
    """
    lengths: dict[str, Any] = {}
    if any(
        isinstance(schedule, Schedule) and schedule.is_relative
        for plan in schedules.values()
        for schedule in schedules_in(plan)
    ):
        lengths["horizon"] = TrainerPlaceholderValues.MAX_NUM_TRAIN_STEPS
        lengths["num_updates_per_epoch"] = TrainerPlaceholderValues.NUM_UPDATE_STEPS_PER_EPOCH
    return partial(make, schedules, **more, **lengths)


def over_the_run(
    make: Callable[..., Any],
    schedules: Mapping[str, Any],
    optimizer: Optimizer,
    horizon: int | None = None,
    num_updates_per_epoch: int | None = None,
    **more: Any,
) -> Any:
    """Call ``make`` with the optimizer, and with every relative schedule turned into updates."""

    def over(plan: Any) -> Any:
        if horizon is None:
            return plan
        if isinstance(plan, Schedule):
            return plan.over(horizon, num_updates_per_epoch)
        if isinstance(plan, Mapping):
            return {key: over(one) for key, one in plan.items()}
        is_several = isinstance(plan, Sequence) and not isinstance(plan, str)
        return list(map(over, plan)) if is_several else plan

    return make(optimizer, **{name: over(plan) for name, plan in schedules.items()}, **more)


def checked_plan(name: str, plan: object) -> Schedule | dict[Any, Schedule] | tuple[Schedule, ...]:
    """Return what came for a field as schedules; raise, saying what to write, if it is none."""
    result: Any = plan
    if isinstance(plan, Mapping):
        result = dict(plan)
    elif isinstance(plan, Sequence) and not isinstance(plan, str):
        result = tuple(plan)
    for schedule in schedules_in(result):
        if not isinstance(schedule, Schedule):
            raise TypeError(
                f"{name}={schedule!r} is no schedule. Write, for example, {name}=constant(1, "
                f"value=absolute(0.1)), {name}=cosine(1_000, end=0.0), or from_function(f)."
            )
        if schedule.is_relative:
            raise ValueError(
                f"{name}={schedule!r} has lengths that are shares, epochs or the rest. Write "
                ".over(horizon, num_updates_per_epoch=…), or give it to create_scheduler_fn."
            )
    checked: Schedule | dict[Any, Schedule] | tuple[Schedule, ...] = result
    return checked


def schedules_in(plan: Any) -> list[Any]:
    """Return the schedules of a field's plan."""
    if isinstance(plan, Mapping):
        return list(plan.values())
    return list(plan) if isinstance(plan, Sequence) and not isinstance(plan, str) else [plan]
