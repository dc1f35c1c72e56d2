"""Schedules on values that live in no optimizer: attributes of any object."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import Tensor
from torch.optim import Optimizer

from pytorch_accelerated.schedulers.param_groups import _put, copied, mark, plain, same
from pytorch_accelerated.schedulers.param_scheduler import (
    checked_plan,
    for_the_run,
    over_the_run,
    raise_named,
)
from pytorch_accelerated.schedulers.plain_state import (
    from_pairs,
    saved_count,
    saved_entry,
    to_pairs,
)
from pytorch_accelerated.schedulers.scheduler_base import _alike, warn_at_the_caller
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.lengths import finite, whole

if TYPE_CHECKING:
    from pytorch_accelerated.preview import Preview

Values: TypeAlias = "dict[str, list[float]]"

_STATE_FORMAT = 1
_STATE_KEYS = {"format", "kind", "num_updates", "bases", "values"}


class AttributeScheduler:
    """Schedules on attributes of any objects: an EMA's decay, a dropout's ``p``, a loss weight.

    ``value(k) = offset(k) + scale(k) · base`` for each attribute and target, where the base is
    what the target held when the scheduler was made. The values for update 0 are in force from
    construction, and the *n*-th :meth:`step` puts those for update *n* in force, through the
    attribute's ordinary setter; a tensor is filled in place. If a setter raises, all attributes
    get back what they held.

    Unlike a parameter group, an object has no place for its base value, so that is part of the
    state. The scheduler keeps its targets alive.

    Args:
        target_or_targets: One object, or a list, tuple or iterator of several.
        **schedules: Attribute → a schedule for all targets, or a sequence with one for each.

    Raises:
        AttributeError: If a target does not have an attribute, or it cannot be set.
        TypeError: If an attribute holds no number, or something else comes in place of a schedule.
        ValueError: If there is no target or no schedule, a schedule is still relative, or a value
            is not finite.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import AttributeScheduler
        >>> from pytorch_accelerated.schedules import linear
        >>> dropout = torch.nn.Dropout(p=0.4)
        >>> scheduler = AttributeScheduler(dropout, p=linear(4, end=0.0))
        >>> for _ in range(3):
        ...     scheduler.step()
        >>> dropout.p
        0.1
    """

    def __init__(
        self, target_or_targets: Any, /, **schedules: Schedule | Sequence[Schedule]
    ) -> None:
        self._targets = _several(target_or_targets)
        if not self._targets or not schedules:
            raise ValueError(
                f"AttributeScheduler was given {len(self._targets)} targets and "
                f"{len(schedules)} schedules, but needs at least one of each. Write, for example, "
                "AttributeScheduler(dropout, p=linear(1_000, end=0.0))."
            )
        self._schedules = {name: self._checked(name, plan) for name, plan in schedules.items()}
        self._bases: Values = {
            name: [_number(target, name) for target in self._targets] for name in schedules
        }
        self._num_updates = 0
        self._marks: dict[str, list[Any]] = {}
        self._write(self.get_updated_values(0))

    def _checked(self, name: str, plan: Any) -> tuple[Schedule, ...]:
        schedules: Any = checked_plan(name, plan)
        if isinstance(schedules, Schedule):
            return (schedules,) * len(self._targets)
        if isinstance(schedules, dict) or len(schedules) != len(self._targets):
            raise ValueError(
                f"{name}={plan!r}: there are {len(self._targets)} targets. Write one schedule for "
                "all of them, or a list with one for each."
            )
        result: tuple[Schedule, ...] = schedules
        return result

    @property
    def schedules(self) -> dict[str, tuple[Schedule, ...]]:
        """Attribute → the schedule of each target."""
        return dict(self._schedules)

    @property
    def base_values(self) -> Values:
        """Attribute → the base value of each target."""
        return {name: list(bases) for name, bases in self._bases.items()}

    @property
    def num_updates(self) -> int:
        """How many optimizer updates have been made: how many times :meth:`step` was called."""
        return self._num_updates

    def get_updated_values(self, num_updates: int) -> Values:
        """Return the values for update ``num_updates``: a pure function of it and the bases.

        Args:
            num_updates: How many optimizer updates have been made, zero or more.

        Returns:
            Attribute → a value for each target.

        Raises:
            ValueError: If ``num_updates`` is negative or fractional, or a value is not finite.
        """
        num_updates = whole("num_updates", num_updates)
        return {
            name: [
                self._value(name, index, num_updates, *pair)
                for index, pair in enumerate(zip(schedules, self._bases[name], strict=True))
            ]
            for name, schedules in self._schedules.items()
        }

    def _value(
        self, name: str, index: int, num_updates: int, schedule: Schedule, base: float
    ) -> float:
        try:
            offset, scale = schedule.coefficients(num_updates)
        except (TypeError, ValueError) as error:
            who = f"{name} of {_called(self._targets[index], index)}"
            raise_named(f"AttributeScheduler: {who}", error)
        value = offset + scale * base
        if not math.isfinite(value):
            raise ValueError(
                f"AttributeScheduler at update {num_updates}: {value!r} came for {name} of "
                f"{_called(self._targets[index], index)}, which has to be finite."
            )
        return value

    def preview(self, num_updates: int | None = None) -> Preview:
        """Return the values of updates 0 … ``num_updates`` − 1, by attribute and target.

        No target is touched, so a setter that rounds or clips has no say in it.

        Args:
            num_updates: How many updates the run has; by default the schedules' horizon.

        Raises:
            ValueError: If there is no horizon and no ``num_updates``.

        Example:
            >>> import torch
            >>> from pytorch_accelerated.schedulers import AttributeScheduler
            >>> from pytorch_accelerated.schedules import linear
            >>> dropout = torch.nn.Dropout(p=0.4)
            >>> list(AttributeScheduler(dropout, p=linear(4, end=0.0)).preview()["p"][0])
            [0.4, 0.30000000000000004, 0.2, 0.1]
        """
        from pytorch_accelerated.preview import preview

        return preview(self, num_updates)

    def step(self) -> None:
        """Put the values for the next update in force; call it after each optimizer update.

        Raises:
            ValueError: If a value is not finite; nothing has changed then, nor if a setter raises.
        """
        num_updates = self._num_updates + 1
        values = self.get_updated_values(num_updates)
        self._warn_of_strangers(values, num_updates)
        self._write(values)
        self._num_updates = num_updates

    def _write(self, values: Values) -> None:
        written: list[tuple[Any, str, Any]] = []
        try:
            for name, row in values.items():
                for target, value in zip(self._targets, row, strict=True):
                    written.append((target, name, copied(getattr(target, name))))
                    _set(target, name, value)
        except BaseException:
            for target, name, held in reversed(written):
                if plain(getattr(target, name)) != plain(held):
                    _set(target, name, held)
            raise
        # Read back: a setter may round or clip what it is given.
        self._marks = {
            name: [mark(held, copied(held)) for held in self._held(name)] for name in values
        }

    def _held(self, name: str) -> list[Any]:
        return [getattr(target, name) for target in self._targets]

    def _warn_of_strangers(self, values: Values, num_updates: int) -> None:
        lines = [
            f"{_called(self._targets[i], i)} held {name}={plain(now)!r}, though the scheduler had "
            f"put {plain(getattr(mark, 'value', mark))!r} there; {values[name][i]!r} replaces it."
            for name, marks in self._marks.items()
            for i, (now, mark) in enumerate(zip(self._held(name), marks, strict=True))
            if not same(now, mark)
        ]
        if lines:
            self._warn(num_updates, lines, "Something else writes to the attribute.")

    def _warn(self, num_updates: int, lines: list[str], advice: str) -> None:
        warn_at_the_caller(f"AttributeScheduler at update {num_updates}:", lines, advice)

    def state_dict(self) -> dict[str, Any]:
        """Return the count, the base values and the values in force, as plain values."""
        return {
            "format": _STATE_FORMAT,
            "kind": "AttributeScheduler",
            "num_updates": self._num_updates,
            "bases": to_pairs(self.base_values),
            "values": [[name, list(map(plain, self._held(name)))] for name in self._schedules],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state, and put the values that are due there in force.

        The schedules given now count, with the base values of the state. An attribute that the
        state does not know keeps the base that its targets held; one that is no longer scheduled
        is left alone.

        Args:
            state_dict: What :meth:`state_dict` returned, also after JSON.

        Raises:
            ValueError: If the state is of another kind of scheduler or damaged; then nothing has
                changed.
        """
        num_updates, bases, saved = self._checked_state(state_dict)
        before = self._bases
        self._bases = {**before, **bases}
        try:
            values = self.get_updated_values(num_updates)
            self._warn_of_differences(before, saved, values, num_updates)
            self._write(values)
        except BaseException:
            self._bases = before
            raise
        self._num_updates = num_updates

    def _checked_state(self, state_dict: Mapping[str, Any]) -> tuple[int, Values, Values]:
        if not isinstance(state_dict, Mapping) or state_dict.keys() != _STATE_KEYS:
            raise ValueError(
                "This is no state of AttributeScheduler, which is a dictionary with "
                f"{', '.join(sorted(_STATE_KEYS))}: {state_dict!r}."
            )
        for key, mine in (("format", _STATE_FORMAT), ("kind", "AttributeScheduler")):
            if state_dict[key] != mine:
                raise ValueError(f"The state's {key} is {state_dict[key]!r}, but has to be {mine}.")
        num_updates = saved_count("num_updates", state_dict["num_updates"])
        bases, values = (self._checked_rows(key, state_dict[key]) for key in ("bases", "values"))
        return num_updates, bases, values

    def _checked_rows(self, key: str, entry: Any) -> Values:
        rows = from_pairs(key, entry)
        if not all(isinstance(row, list) for row in rows.values()):
            raise ValueError(f"The state's {key!r} entry is {entry!r}, whose values are no lists.")
        checked: Values = {}
        for name in self._schedules.keys() & rows.keys():
            if len(rows[name]) != len(self._targets):
                raise ValueError(
                    f"The state has {len(rows[name])} {key} for {name}, but there are "
                    f"{len(self._targets)} targets."
                )
            checked[name] = [saved_entry(finite, f"{key} of {name}", value) for value in rows[name]]
        return checked

    def _warn_of_differences(
        self, before: Values, saved: Values, values: Values, num_updates: int
    ) -> None:
        lines: list[str] = []
        for name in saved:
            rows = (self._held(name), before[name], self._bases[name], saved[name], values[name])
            for i, (now, found, base, old, value) in enumerate(zip(*rows, strict=True)):
                who = _called(self._targets[i], i)
                own = same(now, self._marks[name][i])
                held = found if own else plain(now)
                if not any(_alike(held, known) for known in (base, old, value)):
                    lines.append(
                        f"{who} held {name}={held!r}, set since; {value!r}, which is due for its "
                        f"base value {base!r}, replaces it."
                    )
                elif not _alike(value, old):
                    lines.append(
                        f"{who}: {name}={value!r} is due by the schedule given now, but the "
                        f"checkpoint held {old!r}."
                    )
        if lines:
            advice = "The schedule given now counts, with the base value of the checkpoint."
            self._warn(num_updates, lines, advice)

    @classmethod
    def create_scheduler_fn(
        cls, target_or_targets: Any, /, **schedules: Schedule | Sequence[Schedule]
    ) -> Callable[[Optimizer], AttributeScheduler]:
        """Return a factory for :meth:`Trainer.train`; relative schedules get the run's horizon.

        Args:
            target_or_targets: As for the class.
            **schedules: As for the class; lengths may be shares of the run, ``epochs(n)``, or
                the rest.

        Example:
            >>> import torch
            >>> from pytorch_accelerated.schedulers import AttributeScheduler
            >>> from pytorch_accelerated.schedules import linear
            >>> dropout = torch.nn.Dropout(p=0.4)
            >>> create_scheduler_fn = AttributeScheduler.create_scheduler_fn(
            ...     dropout, p=linear(0.5, end=0.0)
            ... )
        """
        return for_the_run(partial(_over_the_run, cls, _several(target_or_targets)), schedules)


def _over_the_run(
    cls: type[AttributeScheduler],
    targets: tuple[Any, ...],
    schedules: Mapping[str, Any],
    _: Optimizer,
    horizon: int | None = None,
    num_updates_per_epoch: int | None = None,
) -> AttributeScheduler:
    plans = {
        name: over_the_run(plan, horizon, num_updates_per_epoch) for name, plan in schedules.items()
    }
    return cls(targets, **plans)


def _several(target_or_targets: Any) -> tuple[Any, ...]:
    several = isinstance(target_or_targets, list | tuple | Iterator)
    targets = tuple(target_or_targets) if several else (target_or_targets,)
    if len({id(target) for target in targets}) < len(targets):
        raise ValueError("The same target came twice; it can only have one value at a time.")
    return targets


def _called(target: Any, index: int) -> str:
    return f"target {index} ({type(target).__name__})"


def _number(target: Any, name: str) -> float:
    who = f"{type(target).__name__}.{name}"
    try:
        held = getattr(target, name)
    except AttributeError as error:
        raise AttributeError(
            f"There is no {who} to schedule. For several targets write a list: {error}"
        ) from error
    number = plain(held)
    if not isinstance(number, float) or (isinstance(held, Tensor) and not held.is_floating_point()):
        raise TypeError(
            f"{who} is {held!r}: only attributes that hold a number, or a float tensor of no "
            "dimensions, can be scheduled."
        )
    return finite(who, number)


def _set(target: Any, name: str, value: Any) -> None:
    held = getattr(target, name)
    # A getter that makes a new tensor each time has nothing to fill, only a setter.
    if isinstance(held, Tensor) and getattr(target, name) is held:
        _put(held, value)
    else:
        setattr(target, name, value)
