"""Any schedule on any field of an optimizer's parameter groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.optim import Optimizer

from pytorch_accelerated.checks import same
from pytorch_accelerated.schedulers import clocks, quick, state
from pytorch_accelerated.schedulers.for_runs import for_the_run
from pytorch_accelerated.schedulers.groups import Field, Group
from pytorch_accelerated.schedulers.held import plain
from pytorch_accelerated.schedulers.messages import raise_named
from pytorch_accelerated.schedulers.optimizers import OneOrMore
from pytorch_accelerated.schedulers.plans import FieldSchedules, Plan, field_of, schedules_in
from pytorch_accelerated.schedulers.scheduler_base import (
    Due,
    Planned,
    SchedulerBase,
    StatefulSchedulerBase,
)
from pytorch_accelerated.schedules import Schedule


class _Scheduled(SchedulerBase):
    """What both parameter schedulers share."""

    _own_attributes = SchedulerBase._own_attributes | {"_schedules", "_clock"}

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

    def __init__(
        self,
        optimizer: OneOrMore,
        *,
        horizon: int | None = None,
        num_updates_per_epoch: int | None = None,
        clock: str = clocks.UPDATES,
        **schedules: Plan,
    ) -> None:
        self._clock = clocks.checked(clock)
        if not schedules:
            raise ValueError(
                f"{type(self).__name__} was given no schedule. Write, for example, "
                "lr=cosine(1_000, end=0.0)."
            )
        lengths = horizon, num_updates_per_epoch
        self._schedules = [
            FieldSchedules(self._field_of(name), plan, lengths) for name, plan in schedules.items()
        ]
        self._attach(optimizer, [own.field for own in self._schedules])
        for own in self._schedules:
            own.check_groups()
            own.look_at(self._bases(own.field), self.optimizer.param_groups)

    @staticmethod
    def _field_of(name: str) -> Field:
        return field_of(name)

    @property
    def schedules(self) -> dict[str, Any]:
        """Field → the schedule of all groups, or those of each group by name or index."""
        return {own.field.name: own.plan for own in self._schedules}

    def __repr__(self) -> str:
        if "_schedules" not in vars(self):
            return super().__repr__()  # of one that could not be made
        plans = ", ".join(f"{field}={plan!r}" for field, plan in self.schedules.items())
        made = self._num_updates or 0
        unit = self._clock if made != 1 else self._clock[:-1]
        return f"<{type(self).__name__} after {made:,} {unit}: {plans}>"

    @property
    def clock(self) -> str:
        """What the plan is counted in: ``updates``, ``samples``, ``items`` or ``seconds``."""
        return self._clock

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
            num_updates: How many optimizer updates have been made, zero or more; with another
                clock, how many samples, items or seconds there were so far.

        Raises:
            ValueError: If ``num_updates`` is negative or (except for seconds) fractional, a value
                is out of its range, or two patterns match a new group with schedules that differ.
            TypeError: If a base value is not a number.
        """
        if not self._may_be_quick:
            super().step_update(num_updates)
        elif not quick.advance(self, num_updates):
            super().step_update(num_updates)
            quick.prepare(self)

    def get_updated_values(self, num_updates: int) -> Any:
        """Return the values for update ``num_updates``: a pure function of it and the bases.

        With another clock than updates, it is a position on that clock.

        Returns:
            A list with a value for each parameter group; a mapping from fields to such lists if
            several fields are scheduled.
        """
        groups = self.optimizer.param_groups
        if num_updates < 0:
            clocks.position("num_updates", num_updates, self._clock)
        values = {}
        try:
            for own in self._schedules:
                bases = self._bases(own.field)
                values[own.field.name] = own.values(num_updates, bases, groups)
        except (TypeError, ValueError) as error:
            raise_named(f"{type(self).__name__} {clocks.at(num_updates, self._clock)}", error)
        is_one = len(values) == 1 and not self._is_always_by_field
        return values[self.param_group_field] if is_one else values

    def replan(
        self,
        *,
        horizon: int | None = None,
        num_updates_per_epoch: int | None = None,
        **schedules: Plan,
    ) -> None:
        """Put another plan in force, from the next update on; the count stays as it is.

        The new schedules are asked for the same updates as the old ones were. A value that is
        another one now is warned of, with both. Fields that are not named keep their plan. The
        state holds the new plan's text: one that is loaded into a scheduler with the old plan
        warns that the plans differ, and what that scheduler was made with counts.

        Args:
            **schedules: Field → schedule, as for the class; the fields have to be scheduled.
            horizon: As for the class.
            num_updates_per_epoch: As for the class.

        Raises:
            ValueError: As for the class, or if a field was not scheduled; nothing has changed then.
            TypeError: As for the class.
        """
        for name in schedules or ("",):
            if name not in self._fields:
                known = ", ".join(self._fields)
                raise ValueError(f"replan({name}=…): scheduled are {known}. Write one of these.")
        groups, before, since = self.optimizer.param_groups, dict(vars(self)), self._new_groups
        held = {name: self._fields[name].held(groups) for name in schedules}
        held = {name: [plain(value) for value in values] for name, values in held.items()}
        try:
            lengths = horizon, num_updates_per_epoch
            new = {
                name: FieldSchedules(self._field_of(name), plan, lengths)
                for name, plan in schedules.items()
            }
            self._schedules = [new.get(own.field.name, own) for own in self._schedules]
            self._fields = {own.field.name: own.field for own in self._schedules}
            for name, own in new.items():  # what was left in the groups is no surprise
                old, field = before["_fields"][name], own.field
                field.last, field.seen, field.labels = old.last, old.seen, old.labels
            self._adopt([own.field for own in new.values()])
            for own in new.values():
                own.check_groups()
                own.look_at(self._bases(own.field), groups)
            if self._num_updates is not None:
                self.step_update(self._num_updates)
        except BaseException:
            self._forget_new_groups(since)
            vars(self).clear()
            vars(self).update(before)
            raise
        lines = [
            f"{own.field.starting(i)} held {name}={was!r}; by the new plan it is {plain(now)!r}."
            for name, own in new.items()
            for i, (was, now) in enumerate(zip(held[name], own.field.held(groups), strict=True))
            if None not in (was, now) and not same(was, now, state.PRECISION)
        ]
        if lines:
            self._warn(self._num_updates, lines, "To go on smoothly, begin at the value held.")

    # State ---------------------------------------------------------------------------------

    @property
    def _state_kind(self) -> str:
        is_of_schedules = self._is_counting and not self._has_values_of_its_own
        kind = self._kind_of_state if is_of_schedules else super()._state_kind
        return kind if self._clock == clocks.UPDATES else f"{kind} in {self._clock}"

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state, and put the values that are due there in force.

        Args:
            state_dict: What ``state_dict()`` returned, also after JSON; or the state of another
                library's scheduler, ``{"last_epoch": k, …}`` as of PyTorch's and Transformers', or
                ``{"num_updates": k}``, of which the position is taken, with a warning.

        Raises:
            ValueError: If the state is of another kind of scheduler or damaged; then nothing has
                changed.
        """
        position = state.position_of_another(state_dict)
        counts_updates = self._clock == clocks.UPDATES and not self._has_values_of_its_own
        if position is None or not counts_updates:
            super().load_state_dict(state_dict)
            return
        due = self._checked(self.get_updated_values(position), position)
        values = state.to_pairs({field.name: values for field, values in due})
        own = {"num_updates": position, "values": values, "plan": []}
        super().load_state_dict({**self.state_dict(), **own})
        lines = [
            f"The state is one of another library's scheduler, of which the position is taken, "
            f"update {position}. If it was stepped once an epoch, load {{'num_updates': …}}."
        ]
        self._warn(position, lines, "The plan is the one that this scheduler was made with.")

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
        optimizer: The optimizer whose parameter groups are scheduled, or a list of several.
        **schedules: Field → schedule: ``lr``, ``weight_decay``, ``momentum``, ``beta1``,
            ``beta2`` (entries of ``betas``), or any other key of the groups. Instead of one
            schedule for all groups, a sequence with one for each, or a mapping, which leaves
            groups alone that none of its keys matches. A key is a group's ``name``, its index
            (of a single optimizer's groups), its optimizer, the class of that, a pattern as for
            Python's ``fnmatch``, or ``"*"``; where several match a group, the first in this
            order counts. A group without a name is called after its optimizer and its place
            there, ``AdamW/0``; an optimizer is called after its class, the second of a class
            ``AdamW.1``. A schedule may also be text, as
            :func:`~pytorch_accelerated.schedules.expression.parse_schedule` reads it.
        horizon: How many updates the run has, for lengths that are shares of it, or the rest.
        num_updates_per_epoch: How many updates an epoch has, for lengths in epochs.
        clock: What all lengths are counted in: ``"updates"``, ``"samples"``, ``"items"`` (such as
            tokens) or ``"seconds"``, which may have fractions when values are asked for. With
            another clock than updates, ``step(n)`` has to be told how many there were so far, as
            the Trainer does, and ``num_updates`` is that position.

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
        >>> text = "linear(0.05, start=0.0) >> cosine()"
        >>> ParamScheduler(optimizer, lr=text, horizon=10_000).schedules["lr"]
        linear(500, start=0.0) >> cosine(9500)
    """

    _own_attributes = _Scheduled._own_attributes

    @classmethod
    def create_scheduler_fn(
        cls,
        *,
        horizon: int | None = None,
        num_updates_per_epoch: int | None = None,
        clock: str = clocks.UPDATES,
        **schedules: Any,
    ) -> Callable[[Optimizer], ParamScheduler]:
        """Return a factory for :meth:`Trainer.train`; relative schedules get the run's horizon.

        Args:
            horizon: How many updates to plan for, instead of those of the run.
            num_updates_per_epoch: How many updates to count an epoch as, instead of the run's.
            clock: As for the class. Shares of the run are shares of its ``max_samples``,
                ``max_items`` or ``max_time``.
            **schedules: As for the class; lengths may be shares of the run, ``epochs(n)``, or
                the rest.

        Example:
            >>> from pytorch_accelerated.schedulers import ParamScheduler
            >>> from pytorch_accelerated.schedules import cosine, linear
            >>> create_scheduler_fn = ParamScheduler.create_scheduler_fn(
            ...     lr=linear(0.05, start=0.0) >> cosine()
            ... )
        """
        return for_the_run(cls, schedules, horizon, num_updates_per_epoch, clock)


class StatelessParamScheduler(_Scheduled):
    """As :class:`ParamScheduler`, but told the number of updates with each call.

    ``step_update(num_updates)`` puts the values for ``num_updates`` in force, and nothing before
    it is called. The unit may be anything that grows: samples or tokens seen, too.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled, or a list of several.
        **schedules: Field → schedule, as for :class:`ParamScheduler`.
        horizon: As for :class:`ParamScheduler`, in the unit that is counted.
        num_updates_per_epoch: As for :class:`ParamScheduler`.
        clock: As for :class:`ParamScheduler`.

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
