"""Schedules on values that live in no optimizer: attributes of any object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from functools import partial
from numbers import Number
from types import SimpleNamespace
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from pytorch_accelerated.checks import wrong_kind
from pytorch_accelerated.schedulers.clocks import UPDATES
from pytorch_accelerated.schedulers.for_runs import for_the_run
from pytorch_accelerated.schedulers.groups import Field
from pytorch_accelerated.schedulers.held import copied, plain, put
from pytorch_accelerated.schedulers.param_scheduler import ParamScheduler
from pytorch_accelerated.schedulers.plans import Plan
from pytorch_accelerated.schedulers.scheduler_base import Due
from pytorch_accelerated.schedulers.state import damaged
from pytorch_accelerated.schedules import Schedule


class _Target(MutableMapping[str, Any]):
    """An object as a parameter group: attributes are read and set there, base values kept here."""

    def __init__(self, target: Any, names: frozenset[str], index: int) -> None:
        self.target = target
        self.names = names
        self.kind = type(target).__name__
        #: What messages call it.
        self.text = f"target {index} ({self.kind})"
        self.own: dict[str, Any] = {"params": [], "name": f"{self.kind} {index}"}

    def __getitem__(self, key: str) -> Any:
        return getattr(self.target, key) if key in self.names else self.own[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute that the target may not have, if no schedule is for it."""
        return self[key] if key in self.own or hasattr(self.target, key) else default

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self.names:
            self.own[key] = value
        # A tensor that was filled in place need not be set, unless its getter makes a new one.
        elif not (isinstance(value, Tensor) and getattr(self.target, key) is value):
            setattr(self.target, key, value)

    def __delitem__(self, key: str) -> None:
        del self.own[key]

    def __iter__(self) -> Iterator[str]:
        yield from (*self.own, *self.names)

    def __len__(self) -> int:
        return len(self.own) + len(self.names)


class AttributeScheduler(ParamScheduler):
    """Schedules on attributes of any objects: an EMA's decay, a dropout's ``p``, a loss weight.

    ``value(k) = offset(k) + scale(k) · base`` for each attribute and target, where the base is
    what the target held when the scheduler was made. The values for update 0 are in force from
    construction, and the *n*-th ``step()`` puts those for update *n* in force, through the
    attribute's ordinary setter; a tensor is filled in place, and an integer stays an integer, for
    which every value has to be whole, as those of ``schedule.rounded(to=8)`` are. If a setter
    raises, all attributes get back what they held.

    Unlike a parameter group, an object has no place for its base value, so that of a state that
    is loaded counts. The scheduler keeps its targets alive.

    Args:
        target_or_targets: One object, or a list, tuple or iterator of several.
        horizon: As for :class:`ParamScheduler`.
        num_updates_per_epoch: As for :class:`ParamScheduler`.
        clock: As for :class:`ParamScheduler`.
        **schedules: Attribute → a schedule for all targets, a sequence with one for each, or a
            mapping, as for :class:`ParamScheduler`, whose keys are classes, places, or both:
            ``"Dropout"``, ``0``, ``"Dropout 0"``.

    Raises:
        AttributeError: If a target does not have an attribute, or it cannot be set.
        TypeError: If an attribute does not hold a number, or something else comes in place of a
            schedule.
        ValueError: If there is no target or no schedule, a schedule is still relative, or a value
            is not finite, or not whole for an integer.

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

    _own_attributes = ParamScheduler._own_attributes
    _kind_of_state = "AttributeScheduler"
    _is_always_by_field = True
    _bases_live_in_groups = False
    _advice = (
        "The schedules given now count, for the base value that a target held at first, or that "
        "of the state that was loaded."
    )

    def __init__(
        self,
        target_or_targets: Any,
        /,
        *,
        horizon: int | None = None,
        num_updates_per_epoch: int | None = None,
        clock: str = UPDATES,
        **schedules: Plan,
    ) -> None:
        targets, names = _several(target_or_targets), frozenset(schedules)
        if not targets or not schedules:
            raise ValueError(
                f"AttributeScheduler was given {len(targets)} targets and "
                f"{len(schedules)} schedules, but needs at least one of each. Write, for example, "
                "AttributeScheduler(dropout, p=linear(1_000, end=0.0))."
            )
        groups = [_Target(target, names, index) for index, target in enumerate(targets)]
        super().__init__(
            SimpleNamespace(param_groups=groups),  # type: ignore[arg-type]
            horizon=horizon,
            num_updates_per_epoch=num_updates_per_epoch,
            clock=clock,
            **schedules,
        )

    @staticmethod
    def _field_of(name: str) -> Field:
        return Field(name, keeps_integers=True)

    @property
    def schedules(self) -> dict[str, tuple[Schedule | None, ...]]:
        """Attribute → the schedule of each target."""
        groups = self.optimizer.param_groups
        return {own.field.name: tuple(own.of(groups)) for own in self._schedules}

    @property
    def base_values(self) -> dict[str, list[float]]:
        """Attribute → the base value of each target."""
        return {name: [*self._bases(field)] for name, field in self._fields.items()}

    def _write(self, due: Due) -> None:
        groups = self.optimizer.param_groups
        before = [
            (group, field.key, copied(held))
            for field, _ in due
            for group, held in zip(groups, field.held(groups), strict=True)
            if held is not None
        ]
        last = [field.last for field, _ in due]
        try:
            super()._write(due)
        except BaseException:
            for group, key, held in reversed(before):
                if plain(group[key]) != plain(held):
                    group[key] = put(group[key], held)
            for (field, _), marks in zip(due, last, strict=True):
                field.last = marks
            raise
        for field, _ in due:  # a setter may round or clip what it is given
            field.look_at(groups, list(map(plain, field.held(groups))))

    def _restore(self, checked: dict[str, Any]) -> None:
        for name, bases in checked["base_values"].items():
            if len(bases) != self._num_groups:
                raise damaged("base_values", {name: bases}, f"a list of {self._num_groups} numbers")
        super()._restore(checked)

    @classmethod
    def create_scheduler_fn(  # type: ignore[override]
        cls,
        target_or_targets: Any,
        /,
        *,
        horizon: int | None = None,
        num_updates_per_epoch: int | None = None,
        clock: str = UPDATES,
        **schedules: Any,
    ) -> Callable[[Optimizer], AttributeScheduler]:
        """Return a factory for :meth:`Trainer.train`; relative schedules get the run's horizon.

        Args:
            target_or_targets: As for the class.
            horizon: How many updates to plan for, instead of those of the run.
            num_updates_per_epoch: How many updates to count an epoch as, instead of the run's.
            clock: As for :meth:`ParamScheduler.create_scheduler_fn`.
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
        make = partial(_for_targets, cls, _several(target_or_targets))
        return for_the_run(make, schedules, horizon, num_updates_per_epoch, clock)


def _for_targets(
    cls: type[AttributeScheduler], targets: Any, _: Optimizer, **plan: Any
) -> AttributeScheduler:
    return cls(targets, **plan)


def _several(target_or_targets: Any) -> tuple[Any, ...]:
    if target_or_targets is None or isinstance(target_or_targets, bool | str | bytes | Number):
        raise wrong_kind(
            "target_or_targets",
            target_or_targets,
            "an object whose attributes can be set. Hand over what has the attribute, such as a "
            "module, and not the attribute's value: AttributeScheduler(dropout, p=…).",
        )
    several = isinstance(target_or_targets, list | tuple | Iterator)
    targets = tuple(target_or_targets) if several else (target_or_targets,)
    if len({id(target) for target in targets}) < len(targets):
        raise ValueError("The same target came twice; it can only have one value at a time.")
    return targets
