"""What the Trainer does with schedulers: make them, and step them."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pytorch_accelerated.placeholders import (
    ONLY_IN_PARTIALS,
    TrainerPlaceholderValues,
    find_placeholders,
    replace_trainer_placeholder_values,
)
from pytorch_accelerated.schedulers import AttributeScheduler, SchedulerBase
from pytorch_accelerated.schedules import Schedule


@runtime_checkable
class NeedsRun(Protocol):
    """A scheduler factory that is made for a run of a certain length."""

    def for_run(self, horizon: int, num_updates_per_epoch: int | None) -> Any:
        """The factory for a run.

        Args:
            horizon: Number of optimizer updates of the run.
            num_updates_per_epoch: Number of updates in an epoch, ``None`` if not known.
        """


def make_schedulers(trainer: Any, factories: Any) -> Any:
    """Make what the user's ``create_scheduler_fn`` describes, for a run.

    Args:
        trainer: Has ``run_config``, ``optimizer`` and the data loaders.
        factories: One factory, or a list or tuple of them.

    Returns:
        One scheduler, or a list if there are several.
    """
    made: Any
    if isinstance(factories, (list, tuple)):
        if not factories:
            raise ValueError(
                f"create_scheduler_fn is {factories!r}: give a function that takes the optimizer "
                f"and returns a scheduler, a list with at least one, or None for no scheduler"
            )
        made = [one for factory in factories for one in each(_make(trainer, factory))]
    else:
        made = _make(trainer, factories)
    _warn_of_another_optimizer(trainer.optimizer, list(each(made)))
    return made


def _warn_of_another_optimizer(optimizer: Any, schedulers: list[Any]) -> None:
    """Warn if schedulers were made, but none of them for the optimizer that is stepped."""
    groups = [one.optimizer.param_groups for one in schedulers if has_groups(one)]
    if groups and not any(theirs is optimizer.param_groups for theirs in groups):
        names = ", ".join(type(one).__name__ for one in schedulers)
        warnings.warn(
            f"create_scheduler_fn made {names} for another optimizer than the Trainer's, whose "
            "values will not change: use the optimizer that create_scheduler_fn is called with",
            stacklevel=2,
        )


def has_groups(scheduler: Any) -> bool:
    """Whether a scheduler tells the optimizer that it is for."""
    has_some = hasattr(getattr(scheduler, "optimizer", None), "param_groups")
    return has_some and not isinstance(scheduler, AttributeScheduler)


def _make(trainer: Any, factory: Any) -> Any:
    kind = type(factory).__name__
    if isinstance(factory, Schedule):
        raise TypeError(
            "create_scheduler_fn is a schedule, which knows no optimizer: give "
            "ParamScheduler.create_scheduler_fn(lr=…) with the schedule in place of …"
        )
    if callable(getattr(factory, "step", None) or getattr(factory, "step_update", None)) and (
        not isinstance(factory, type)
    ):
        raise TypeError(
            f"create_scheduler_fn is a {kind}: give a function that takes the "
            f"optimizer and returns a scheduler, not a scheduler, since each run makes its own; "
            f"for example functools.partial({kind}, …) or "
            f"lambda optimizer: {kind}(optimizer, …)"
        )
    if not callable(factory):
        raise TypeError(
            f"create_scheduler_fn is a {kind}: give a function that takes the optimizer and "
            f"returns a scheduler, for example CosineLrScheduler.create_scheduler_fn()"
        )
    if isinstance(factory, NeedsRun):
        config = trainer.run_config
        if config.max_num_train_steps is None:
            raise ValueError(
                "the schedule needs the number of updates of the run, but the training data has "
                "no length: give max_num_train_steps"
            )
        factory = factory.for_run(config.max_num_train_steps, config.num_update_steps_per_epoch)
    factory = replace_trainer_placeholder_values(trainer, factory)
    try:
        scheduler = factory(trainer.optimizer)
    except (TypeError, ValueError) as error:
        if ONLY_IN_PARTIALS in str(error):
            raise
        if any(name in str(error) for name in TrainerPlaceholderValues.placeholder_set()):
            raise type(error)(f"{error} {ONLY_IN_PARTIALS}") from error
        if isinstance(factory, type) and not _takes_an_optimizer_alone(factory):
            own = getattr(factory, "create_scheduler_fn", None)
            instead = f"functools.partial({factory.__name__}, …) with its arguments"
            if own is not None:
                instead = f"{factory.__name__}.create_scheduler_fn(), with arguments as you need"
            raise TypeError(
                f"create_scheduler_fn is the class {factory.__name__}, which needs more than the "
                f"optimizer ({error}): give {instead}"
            ) from error
        raise
    for one in list(each(scheduler)) or [scheduler]:
        if not (hasattr(one, "step") or hasattr(one, "step_update")):
            hint = "Is a return missing?"
            if callable(one):
                hint = "Is it a factory of factories, such as create_scheduler_fn without ()?"
            raise TypeError(
                f"create_scheduler_fn returned {None if one is None else type(one).__name__}, "
                f"which is no scheduler: it has to return an object with a method step() or "
                f"step_update(num_updates). {hint}"
            )
        unresolved = [*find_placeholders(getattr(one, "__dict__", {}))]
        unresolved += find_placeholders([*_fields(trainer.optimizer)])
        if unresolved:
            raise ValueError(
                f"placeholders reached {type(one).__name__} unresolved: {unresolved}. "
                f"{ONLY_IN_PARTIALS}"
            )
        if isinstance(one, ReduceLROnPlateau):
            _keep_bases(one)
    return scheduler


def _takes_an_optimizer_alone(kind: type) -> bool:
    try:
        inspect.signature(kind).bind(None)
    except TypeError:
        return False
    return True


def _fields(optimizer: torch.optim.Optimizer) -> Iterator[Any]:
    for group in optimizer.param_groups:
        yield from (value for name, value in group.items() if name != "params")


def put_bases_back(scheduler: Any) -> None:
    """Let the next run's scheduler find the parameter groups as those of an earlier run did.

    A value that was changed by hand since stays, for the next scheduler to honour or to refuse.

    Args:
        scheduler: The earlier run's scheduler, a list or tuple of them, or ``None``.
    """
    for one in each(scheduler):
        if isinstance(one, SchedulerBase):
            one._put_bases_back()
        elif is_pytorchs(one):
            last_lr = getattr(one, "_last_lr", ())
            for group, left in zip(one.optimizer.param_groups, last_lr, strict=False):
                if "initial_lr" in group and not differ(group["lr"], left):
                    set_lr(group, group["initial_lr"])


def set_lr(group: dict[str, Any], value: Any) -> None:
    """Put a learning rate in force; a tensor is filled in place."""
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(value)
    else:
        group["lr"] = value


def _keep_bases(scheduler: ReduceLROnPlateau) -> None:
    """Keep the base values in the groups, as all other schedulers do by themselves."""
    for group in scheduler.optimizer.param_groups:
        group.setdefault("initial_lr", copy.deepcopy(group["lr"]))


def each(scheduler: Any) -> Iterator[Any]:
    """Each of the schedulers in what the Trainer holds as ``scheduler``.

    Args:
        scheduler: A scheduler, a list or tuple of them, or ``None``.
    """
    if isinstance(scheduler, (list, tuple)):
        yield from scheduler
    elif scheduler is not None:
        yield scheduler


def length_mismatches(scheduler: Any, num_updates: int, horizon: int) -> list[str]:
    """Where a schedule was planned for another number of updates than the run makes.

    Only the library's own schedulers tell for how many they are planned. One that is longer than
    the run is a mismatch unless it ends at the values that the run ends with; one that is
    shorter, if the learning rate falls right up to its end: after a warmup, or the last of some
    milestones, the rest of the run is what the value is there for.

    Args:
        scheduler: A scheduler, or a list or tuple of them.
        num_updates: Updates that were made.
        horizon: Updates of the run.

    Returns:
        For each of them what is wrong, and what to write instead.
    """
    lines = []
    for one in each(scheduler):
        planned = one._num_planned_updates() if is_pure(one) else None
        if planned is None:
            continue
        # A state that was loaded may have the schedule begin elsewhere than the run.
        begun_at = getattr(one, "num_updates", num_updates) - num_updates
        reached = begun_at + horizon
        name = type(one).__name__
        begin = f"the run has {horizon} updates"
        if begun_at:
            begin += f", which {name} begins at update {begun_at}"
        if planned > reached and one.get_updated_values(planned) != one.get_updated_values(reached):
            lines.append(
                f"{begin}, but the schedule of {name} ends at update {planned}: the run ends "
                f"before it does. {_FITTING}, or have the run make so many updates"
            )
        elif planned < reached and _falls_to_the_end(one, planned):
            lines.append(
                f"{begin}, but the schedule of {name} ends at update {planned}: the other updates "
                f"run at its last value. {_FITTING}, or end the run there "
                f"(max_num_train_steps={planned - begun_at}); a last value that is to hold is "
                f"written as >> constant({reached - planned})"
            )
    return lines


_FITTING = (
    "Let the schedule take its length from the run: give CosineLrScheduler.create_scheduler_fn(…), "
    "or ParamScheduler.create_scheduler_fn(lr=…) with shares of the run, such as "
    "linear(0.1, start=0.0) >> cosine()"
)


def _falls_to_the_end(scheduler: Any, horizon: int) -> bool:
    """Whether a learning rate is lower at each of a plan's last updates than before."""
    if horizon < 2:
        return False
    before, late, last = (_rates(scheduler, horizon - back) for back in (2, 1, 0))
    return any(a > b > c for a, b, c in zip(before, late, last, strict=True))


def _rates(scheduler: Any, num_updates: int) -> list[Any]:
    values = scheduler.get_updated_values(num_updates)
    if not isinstance(values, Mapping):
        values = {scheduler.param_group_field: values}
    return list(values.get("lr", []))


def is_stateless(scheduler: Any) -> bool:
    """Whether a scheduler has to be told the number of updates.

    Args:
        scheduler: The scheduler.
    """
    return not hasattr(scheduler, "step")


def step(scheduler: Any, num_updates: int) -> None:
    """Put the values after so many updates in force; does nothing for one that needs a metric.

    Args:
        scheduler: A scheduler.
        num_updates: Number of updates that were made.
    """
    if is_stateless(scheduler):
        scheduler.step_update(num_updates)
    elif not isinstance(scheduler, ReduceLROnPlateau):
        scheduler.step()


def step_on_metric(scheduler: Any, history: Any, metric: str) -> None:
    """Hand the newest value of a metric to those schedulers that need one.

    Args:
        scheduler: A scheduler, or a list or tuple of them.
        history: The run history.
        metric: Name of the metric.

    Raises:
        ValueError: The metric has no value.
    """
    for one in each(scheduler):
        listen = one.step if isinstance(one, ReduceLROnPlateau) else getattr(one, "report", None)
        if listen is None:
            continue
        try:
            value = history.get_latest_metric(metric)
        except ValueError as error:
            raise ValueError(
                f"{type(one).__name__} waits for the metric {metric!r} (scheduler_metric): {error}"
            ) from None
        listen(value)


def is_pure(scheduler: Any) -> bool:
    """Whether it can go to any number of updates at once."""
    return isinstance(scheduler, SchedulerBase) and type(scheduler).__module__.startswith(
        f"{__package__}."
    )


def is_pytorchs(scheduler: Any) -> bool:
    """Whether it is one of PyTorch's, or a subclass of the user's."""
    return isinstance(scheduler, (LRScheduler, ReduceLROnPlateau)) and not isinstance(
        scheduler, SchedulerBase
    )


def differ(one: Any, other: Any) -> bool:
    """Whether two values are different numbers; either may be a tensor."""
    return bool(plain_number(one) != plain_number(other))


def plain_number(value: Any) -> Any:
    """A value that may be a tensor, as a plain number."""
    return value.tolist() if isinstance(value, torch.Tensor) else value


def is_of_timm_kind(scheduler: Any) -> bool:
    """Whether a scheduler is told the numbers of updates and of epochs.

    Args:
        scheduler: The scheduler.
    """
    return (
        hasattr(scheduler, "step_update")
        and hasattr(scheduler, "step")
        and not isinstance(scheduler, SchedulerBase)
    )
