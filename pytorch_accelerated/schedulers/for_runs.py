"""Factories for the Trainer, which ask a run for the lengths that they need, and for no others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch.optim import Optimizer

from pytorch_accelerated.placeholders import TrainerPlaceholderValues
from pytorch_accelerated.schedulers import clocks
from pytorch_accelerated.schedulers.clocks import UPDATES
from pytorch_accelerated.schedulers.plans import plan_over, read_plan, schedules_in
from pytorch_accelerated.schedules import Schedule

HORIZON = TrainerPlaceholderValues.MAX_NUM_TRAIN_STEPS
HORIZONS = {
    UPDATES: HORIZON,
    "samples": TrainerPlaceholderValues.MAX_SAMPLES,
    "items": TrainerPlaceholderValues.MAX_ITEMS,
    "seconds": TrainerPlaceholderValues.MAX_TIME,
}
PER_EPOCH = TrainerPlaceholderValues.NUM_UPDATE_STEPS_PER_EPOCH
_FAR = 10**12


def for_the_run(
    make: Callable[..., Any],
    plans: Mapping[str, Any],
    horizon: int | None = None,
    num_updates_per_epoch: int | None = None,
    clock: str = UPDATES,
    **more: Any,
) -> Callable[[Optimizer], Any]:
    """Return a factory that calls ``make(optimizer, **plans, **more)`` with lengths in updates.

    Shares of the run need its horizon, epochs also the updates in one, unless they are given. A
    factory that needs neither serves where there is no Trainer to fill them in.
    """
    read = {name: read_plan(name, plan) for name, plan in plans.items()}
    relative = [
        schedule
        for plan in read.values()
        for schedule in schedules_in(plan)
        if isinstance(schedule, Schedule) and schedule.is_relative
    ]
    lengths: dict[str, Any] = {}
    if clocks.checked(clock) != UPDATES:
        more["clock"] = clock
        if num_updates_per_epoch is None and any(map(_needs_epochs, relative)):
            raise ValueError(
                f"clock={clock!r}: a run does not know how many {clock} an epoch has. Write "
                f"num_updates_per_epoch=…, the number of {clock} in one, or lengths in {clock}."
            )
    if relative:
        lengths["horizon"] = HORIZONS[clock] if horizon is None else horizon
    if num_updates_per_epoch is not None or any(map(_needs_epochs, relative)):
        lengths["num_updates_per_epoch"] = num_updates_per_epoch or PER_EPOCH
    return partial(_over_the_run, make, read, **more, **lengths)


def _needs_epochs(schedule: Schedule) -> bool:
    try:
        schedule.over(_FAR)
    except ValueError:
        return True
    return False


def _over_the_run(
    make: Callable[..., Any],
    plans: Mapping[str, Any],
    optimizer: Optimizer,
    horizon: int | None = None,
    num_updates_per_epoch: int | None = None,
    **more: Any,
) -> Any:
    if horizon is not None:
        plans = {
            name: plan_over(plan, horizon, num_updates_per_epoch) for name, plan in plans.items()
        }
    return make(optimizer, **plans, **more)


def arguments_of(init: Callable[..., None]) -> frozenset[str]:
    """Return the names of what a constructor is given: the plan, which no state has."""
    return frozenset(inspect.signature(init).parameters)


def show_arguments(
    cls: Any, own: Mapping[str, Any], left_out: Sequence[str] = ()
) -> inspect.Signature:
    """Have ``create_scheduler_fn`` show the class's arguments, to help() and editors; return them.

    In place of the optimizer and of those that are ``left_out`` come its ``own``, with defaults.
    """
    first, *rest = inspect.signature(cls).parameters.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        *(inspect.Parameter(name, kind, default=default) for name, default in own.items()),
        *(parameter for parameter in rest if parameter.name not in (*own, *left_out)),
    ]
    made = cls.create_scheduler_fn.__func__
    made.__signature__ = inspect.signature(made).replace(parameters=[first, *parameters])
    return inspect.signature(cls.create_scheduler_fn)
