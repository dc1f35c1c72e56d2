"""What is planned for a field: read from text, checked, found for each group, and evaluated."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pytorch_accelerated.checks import bounds, out_of_range, wrong_kind
from pytorch_accelerated.schedulers.groups import Field, Group
from pytorch_accelerated.schedulers.messages import raise_named
from pytorch_accelerated.schedulers.naming import check_keys
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.expression import ExpressionError, parse_schedule

One: TypeAlias = "Schedule | str"
Plan: TypeAlias = "One | Mapping[str | int, One] | Sequence[One]"
# How many updates a run and an epoch have.
Lengths: TypeAlias = "tuple[int | None, int | None]"


def schedules_by_field(given: Any) -> dict[str, Any]:
    """Return schedules that came as one argument; raise, saying what to write, if they cannot be.

    Args:
        given: Field → schedule, in any mapping.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        expected = "a dictionary of field → schedule. Write schedules={'lr': 'cosine()'}."
        raise wrong_kind("schedules", given, expected)
    for name in ("optimizer", "horizon", "num_updates_per_epoch"):
        if name in given:
            raise ValueError(
                f"schedules holds {name!r}, which is an argument beside schedules. Leave it out "
                "there, or write it one level further out."
            )
    return dict(given)


def schedules_in(plan: Any) -> list[Any]:
    """Return the schedules of a field's plan that was read."""
    if isinstance(plan, Mapping):
        return list(plan.values())
    return list(plan) if isinstance(plan, tuple) else [plan]


def read_plan(name: str, plan: Any) -> Any:
    """Return a field's plan with schedules in place of texts; mappings and lists are copied."""
    if isinstance(plan, str):
        try:
            return parse_schedule(plan)
        except ExpressionError as error:
            raise ExpressionError(f"{name}: {error}") from None
    if isinstance(plan, Mapping):
        return {key: read_plan(f"{name}[{key!r}]", one) for key, one in plan.items()}
    if isinstance(plan, Sequence) and not isinstance(plan, bytes):
        return tuple(read_plan(f"{name}[{index}]", one) for index, one in enumerate(plan))
    return plan


def plan_over(plan: Any, horizon: int, num_updates_per_epoch: int | None) -> Any:
    """Return a plan that was read with shares, epochs and the rest turned into updates."""
    if isinstance(plan, Schedule):
        return plan.over(horizon, num_updates_per_epoch)
    if isinstance(plan, Mapping):
        return {key: plan_over(one, horizon, num_updates_per_epoch) for key, one in plan.items()}
    if isinstance(plan, tuple):
        return tuple(plan_over(one, horizon, num_updates_per_epoch) for one in plan)
    return plan


def checked_plan(
    name: str, plan: object, horizon: int | None = None, num_updates_per_epoch: int | None = None
) -> Schedule | dict[Any, Schedule] | tuple[Schedule, ...]:
    """Return what came for a field as schedules; raise, saying what to write, if it is not one."""
    result = read_plan(name, plan)
    if not schedules_in(result):
        raise ValueError(f"{name}={plan!r} holds no schedule. Leave {name} out, or write one.")
    for schedule in schedules_in(result):
        if not isinstance(schedule, Schedule):
            example = f"{name}=constant(1, value=absolute(0.1))"
            raise wrong_kind(
                name,
                schedule,
                f"a schedule. Write, for example, {example}, {name}=cosine(1_000, end=0.0), or "
                "from_function(f).",
            )
        if schedule.is_relative and horizon is None:
            raise ValueError(
                f"{name}={schedule!r} has lengths that are shares, epochs or the rest. Write "
                "horizon=…, how many updates the run has (for epochs num_updates_per_epoch=…, "
                "too), or .over(horizon), or give it to create_scheduler_fn."
            )
    checked: Schedule | dict[Any, Schedule] | tuple[Schedule, ...] = result
    if horizon is not None:
        try:
            checked = plan_over(result, horizon, num_updates_per_epoch)
        except ValueError as error:
            raise_named(name, error)
    return checked


def field_of(name: str) -> Field:
    """Return the field that users call ``name``: a key, or ``beta1`` for an entry of betas."""
    entry = re.fullmatch(r"beta([1-9])", name)
    return Field(name) if entry is None else Field("betas", int(entry[1]) - 1, name)


class FieldSchedules:
    """The schedules of one field: one for all groups, or one for each that a key matches."""

    def __init__(self, field: Field, plan: Plan, lengths: Lengths = (None, None)) -> None:
        self.field = field
        self.plan: Any = checked_plan(field.name, plan, *lengths)
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
        if isinstance(self.plan, tuple) and not all(one.is_index for one in self.field.labels):
            raise ValueError(
                f"{self.field.name}={[*self.plan]!r} is a list, but several optimizers may get "
                "groups on the way, so places would be unclear. Write a mapping: "
                f"{{{', '.join(f'{label.name!r}: …' for label in self.field.labels)}}}."
            )
        if isinstance(self.plan, tuple) and len(self.plan) > len(self.field.labels):
            raise self._wrong_number()
        if self.field.by_key:
            check_keys(self.field.name, self.field.by_key, self.field.labels)

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
        values: list[Any] = [None] * len(bases)
        where, is_for_all = "", isinstance(self.plan, Schedule)
        rows = [] if is_for_all else list(self._rows(bases, groups))
        try:
            if is_for_all:
                offset, scale = self.plan.coefficients(num_updates)
                values = [offset + scale * base for base in bases]
            for index, schedule, base in rows:
                where = f" of {self.field.called(index)}"
                offset, scale = schedule.coefficients(num_updates)
                values[index] = offset + scale * base
        except (TypeError, ValueError) as error:
            raise_named(f"{self.field.name}{where}", error)
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

    def at(self, positions: Sequence[Any], groups: Sequence[Group]) -> list[array[float] | None]:
        """Return what :meth:`values` gives at these positions of a clock, for each group."""
        bases = self.field.bases(groups)
        rows = [self.values(position, bases, groups) for position in positions]
        columns = zip(*rows, strict=True) if rows else ([] for _ in bases)
        return [None if None in column else array("d", column) for column in columns]

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
