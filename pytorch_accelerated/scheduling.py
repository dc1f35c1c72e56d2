"""What the Trainer does with schedulers: make them, step them, save and restore them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pytorch_accelerated.placeholders import (
    find_placeholders,
    replace_trainer_placeholder_values,
)


@runtime_checkable
class NeedsRun(Protocol):
    """A scheduler factory that is made for a run of a certain length."""

    def for_run(self, horizon: int, num_updates_per_epoch: int | None) -> Any:
        """The factory for a run.

        Args:
            horizon: number of optimizer updates of the run.
            num_updates_per_epoch: number of updates in an epoch, ``None`` if not known.
        """


def make_schedulers(trainer: Any, factories: Any) -> Any:
    """Make what the user's ``create_scheduler_fn`` describes, for a run.

    Args:
        trainer: has ``run_config``, ``optimizer`` and the data loaders.
        factories: one factory, or a list or tuple of them.

    Returns:
        One scheduler, or a list if there are several.
    """
    if not isinstance(factories, (list, tuple)):
        return _make(trainer, factories)
    return [one for factory in factories for one in each(_make(trainer, factory))]


def _make(trainer: Any, factory: Any) -> Any:
    if not callable(factory) or isinstance(factory, (LRScheduler, ReduceLROnPlateau)):
        raise TypeError(
            f"create_scheduler_fn is a {type(factory).__name__}: give a function that takes the "
            f"optimizer and returns a scheduler, not a scheduler, since each run makes its own; "
            f"for example functools.partial({type(factory).__name__}, …) or "
            f"lambda optimizer: {type(factory).__name__}(optimizer, …)"
        )
    if isinstance(factory, NeedsRun):
        config = trainer.run_config
        if config.max_num_train_steps is None:
            raise ValueError(
                "the schedule needs the number of updates of the run, but the training data has "
                "no length: give max_num_train_steps"
            )
        factory = factory.for_run(config.max_num_train_steps, config.num_update_steps_per_epoch)
    scheduler = replace_trainer_placeholder_values(trainer, factory)(trainer.optimizer)
    for one in list(each(scheduler)) or [scheduler]:
        if not (hasattr(one, "step") or hasattr(one, "step_update")):
            raise TypeError(
                f"create_scheduler_fn returned {one!r}, which is no scheduler: it has to return "
                f"an object with a method step() or step_update(num_updates). Is a return "
                f"missing?"
            )
        unresolved = [*find_placeholders(getattr(one, "__dict__", {}))]
        unresolved += find_placeholders([*_fields(trainer.optimizer)])
        if unresolved:
            raise ValueError(
                f"placeholders reached {type(one).__name__} unresolved: {unresolved}. Only those "
                f"in the arguments of a functools.partial are filled in; write "
                f"create_scheduler_fn=functools.partial({type(one).__name__}, …) instead of a "
                f"lambda or function that uses them"
            )
    return scheduler


def _fields(optimizer: torch.optim.Optimizer) -> Iterator[Any]:
    for group in optimizer.param_groups:
        yield from (value for name, value in group.items() if name != "params")


def each(scheduler: Any) -> Iterator[Any]:
    """Each of the schedulers in what the Trainer holds as ``scheduler``.

    Args:
        scheduler: a scheduler, a list or tuple of them, or ``None``.
    """
    if isinstance(scheduler, (list, tuple)):
        yield from scheduler
    elif scheduler is not None:
        yield scheduler


def is_stateless(scheduler: Any) -> bool:
    """Whether a scheduler has to be told the number of updates.

    Args:
        scheduler: the scheduler.
    """
    return not hasattr(scheduler, "step")


def step(scheduler: Any, num_updates: int) -> None:
    """Put the values after so many updates in force; does nothing for one that needs a metric.

    Args:
        scheduler: a scheduler.
        num_updates: number of updates that were made.
    """
    if is_stateless(scheduler):
        scheduler.step_update(num_updates)
    elif not isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step()


def step_on_metric(scheduler: Any, history: Any, metric: str) -> None:
    """Hand the newest value of a metric to those schedulers that need one.

    Args:
        scheduler: a scheduler, or a list or tuple of them.
        history: the run history.
        metric: name of the metric.

    Raises:
        ValueError: the metric has no value.
    """
    for one in each(scheduler):
        if isinstance(one, ReduceLROnPlateau):
            try:
                value = history.get_latest_metric(metric)
            except ValueError as error:
                raise ValueError(
                    f"ReduceLROnPlateau waits for the metric {metric!r} (scheduler_metric): {error}"
                ) from None
            one.step(value)


def state_of(scheduler: Any) -> Any:
    """State of a scheduler, or a list of the states of several.

    Args:
        scheduler: a scheduler, or a list or tuple of them.
    """
    if isinstance(scheduler, (list, tuple)):
        return [one.state_dict() for one in scheduler]
    return scheduler.state_dict()


def restore(scheduler: Any, state: Any) -> None:
    """Restore what `state_of` gave.

    Args:
        scheduler: a scheduler, or a list or tuple of them.
        state: the state.

    Raises:
        ValueError: the numbers of schedulers differ.
    """
    schedulers = list(each(scheduler))
    states = state if isinstance(state, list) else [state]
    if len(schedulers) != len(states):
        raise ValueError(
            f"the checkpoint holds the states of {len(states)} schedulers, but there are "
            f"{len(schedulers)}"
        )
    for one, its_state in zip(schedulers, states, strict=True):
        one.load_state_dict(its_state)
