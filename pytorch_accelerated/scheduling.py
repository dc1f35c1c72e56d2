"""What the Trainer does with schedulers: make them, step them, save and restore them."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from pytorch_accelerated.placeholders import (
    TrainerPlaceholderValues,
    find_placeholders,
    replace_trainer_placeholder_values,
)
from pytorch_accelerated.schedulers import ParamScheduler, SchedulerBase, SchedulerWarning
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


_ONLY_IN_PARTIALS = (
    "Placeholders are filled in only where they are arguments of a functools.partial: write "
    "create_scheduler_fn=functools.partial(…) instead of a lambda or function that uses them"
)


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
    groups = [one.optimizer.param_groups for one in schedulers if _has_groups(one)]
    if groups and not any(theirs is optimizer.param_groups for theirs in groups):
        names = ", ".join(type(one).__name__ for one in schedulers)
        warnings.warn(
            f"create_scheduler_fn made {names} for another optimizer than the Trainer's, whose "
            "values will not change: use the optimizer that create_scheduler_fn is called with",
            stacklevel=2,
        )


def _has_groups(scheduler: Any) -> bool:
    return hasattr(getattr(scheduler, "optimizer", None), "param_groups")


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
        if any(name in str(error) for name in TrainerPlaceholderValues.placeholder_set()):
            raise type(error)(f"{error} {_ONLY_IN_PARTIALS}") from error
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
                f"{_ONLY_IN_PARTIALS}"
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
        elif _is_pytorchs(one):
            last_lr = getattr(one, "_last_lr", ())
            for group, left in zip(one.optimizer.param_groups, last_lr, strict=False):
                if "initial_lr" in group and not _differ(group["lr"], left):
                    _set_lr(group, group["initial_lr"])


def _set_lr(group: dict[str, Any], value: Any) -> None:
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
        planned = one._num_planned_updates() if _is_pure(one) else None
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


def state_of(scheduler: Any) -> Any:
    """State of a scheduler, or a list of the states of several.

    Args:
        scheduler: A scheduler, or a list or tuple of them.
    """
    if isinstance(scheduler, (list, tuple)):
        return [one.state_dict() for one in scheduler]
    return scheduler.state_dict()


def restore(scheduler: Any, state: Any) -> None:
    """Restore what `state_of` gave.

    Args:
        scheduler: A scheduler, or a list or tuple of them.
        state: The state.

    Raises:
        ValueError: The numbers of schedulers differ.
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
        if _is_pytorchs(one):
            # Theirs count on the optimizer to have the values, which making them may have changed.
            last_lr = its_state.get("_last_lr", ())
            for group, value in zip(one.optimizer.param_groups, last_lr, strict=False):
                _set_lr(group, value)


class RunScheduler:
    """A Trainer's attribute ``scheduler``, which notes the state that a scheduler comes with.

    What differs between these states of two runs is their plan; all that has changed since is
    position. Nothing else tells them apart in schedulers of other libraries and of users.
    """

    def __get__(self, trainer: Any, owner: type) -> Any:
        if trainer is None:
            return None
        try:
            return vars(trainer)["scheduler"]
        except KeyError:
            raise AttributeError("scheduler") from None

    def __set__(self, trainer: Any, scheduler: Any) -> None:
        vars(trainer)["scheduler"] = scheduler
        vars(trainer)["_states_at_start"] = [_state_at_start(one) for one in each(scheduler)]
        vars(trainer)["_is_scheduler_over"] = False


def _state_at_start(scheduler: Any) -> Any:
    if _is_pure(scheduler) or not hasattr(scheduler, "state_dict"):
        return None
    try:
        return copy.deepcopy(scheduler.state_dict())
    except Exception:
        # Whoever saves it is told what is wrong; others need no state.
        return None


def saved_states(scheduler: Any, at_start: Sequence[Any]) -> list[dict[str, Any]]:
    """What a training state holds of the schedulers: class and states of each.

    Args:
        scheduler: A scheduler, a list or tuple of them, or ``None``.
        at_start: The states that they came with.
    """
    return [
        {
            "class": class_name(one),
            "state": one.state_dict() if hasattr(one, "state_dict") else None,
            "at_start": at_start[i] if i < len(at_start) else None,
        }
        for i, one in enumerate(each(scheduler))
    ]


def class_name(instance: Any) -> str:
    """Name of an object's class, with its module.

    Args:
        instance: The object.
    """
    return _name_of(type(instance))


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def differing_bases(
    optimizer: torch.optim.Optimizer, saved: dict[str, Any], is_scheduled: bool
) -> list[str]:
    """Where the optimizer was given other base values than those that a checkpoint brings back.

    Args:
        optimizer: The optimizer, before it takes the checkpoint's state.
        saved: The state.
        is_scheduled: Whether there is or was a scheduler, so that values change anyway.
    """
    lines = []
    for index, (now, before) in enumerate(
        zip(optimizer.param_groups, saved["param_groups"], strict=False)
    ):
        names = [name for name in now if name.startswith("initial_") and name in before]
        if not is_scheduled:
            names.append("lr")
        lines += [
            f"{name.removeprefix('initial_')} of parameter group {index}: "
            f"{_number(before[name])!r} before, {_number(now[name])!r} now; the former goes on. "
            f"To change it, set the group's {name!r} in on_training_run_start"
            for name in names
            if _differ(now[name], before[name])
        ]
    return lines


def _number(value: Any) -> Any:
    return value.tolist() if isinstance(value, torch.Tensor) else value


@dataclass(frozen=True)
class Position:
    """Where a run goes on, and what takes a scheduler there.

    Attributes:
        num_updates: Updates done.
        epochs_told: Epochs done, if schedulers are told the numbers of updates and of epochs, as
            those of timm are; else ``None``.
        is_new: Whether the schedulers are as they were made.
        is_stepped_by_updates: Whether they are stepped once an update, and not in a way of the
            user's own.
    """

    num_updates: int
    epochs_told: int | None = None
    is_new: bool = True
    is_stepped_by_updates: bool = True

    def is_told_to(self, scheduler: Any) -> bool:
        """Whether a scheduler is told where it is.

        Args:
            scheduler: The scheduler.
        """
        return is_stateless(scheduler) or (
            self.epochs_told is not None and is_of_timm_kind(scheduler)
        )

    def tell(self, scheduler: Any) -> None:
        """Put the values that are due here in force.

        Args:
            scheduler: One that is told where it is.
        """
        if not is_stateless(scheduler):
            scheduler.step(self.epochs_told)
        scheduler.step_update(num_updates=self.num_updates)


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


def go_on(
    scheduler: Any,
    at_start: Sequence[Any],
    saved: list[dict[str, Any]],
    position: Position,
    optimizer: torch.optim.Optimizer,
    load_optimizer: Callable[[], None],
) -> list[str]:
    """Take the schedulers of this run to the position of a checkpoint.

    One that is the checkpoint's takes its state up. Any other one is taken to the number of
    updates by itself, whatever the checkpoint's was.

    Args:
        scheduler: A scheduler, a list or tuple of them, or ``None``.
        at_start: The states that they came with.
        saved: What `saved_states` gave.
        position: The checkpoint's position.
        optimizer: The optimizer.
        load_optimizer: Restores it.

    Returns:
        What differs from the checkpoint.
    """
    schedulers = list(each(scheduler))
    starts = [at_start[i] if i < len(at_start) else None for i in range(len(schedulers))]
    differences = [
        f"scheduler: {one['class']} before, none now" for one in saved[len(schedulers) :]
    ]
    replayed: dict[int, Any] = {}
    states: dict[int, Any] = {}
    is_changed: dict[int, bool] = {}
    for i, (one, start) in enumerate(zip(schedulers, starts, strict=True)):
        before = saved[i] if i < len(saved) else None
        changed = _changes(one, before, start)
        differences += changed
        is_changed[i] = bool(changed)
        state = before["state"] if before is not None and _takes(one, before) else None
        if _is_pure(one) or (state is not None and not changed):
            states[i] = state
        elif isinstance(one, ReduceLROnPlateau) or position.is_told_to(one):
            states[i] = _merged(one, before, start)
        else:
            num_steps, note = _steps_to(one, before, position, has_state=state is not None)
            differences += note
            if num_steps is None:
                states[i] = _merged(one, before, start)
            else:
                replayed[i] = _replay(one, num_steps, optimizer)
                differences += _left_behind(one, before, start)
    load_optimizer()
    for i, one in enumerate(schedulers):
        state = states.get(i)
        if i in replayed and isinstance(one, SchedulerBase):
            with warnings.catch_warnings():
                # It takes the values of another plan for some that were set by hand.
                warnings.simplefilter("ignore", SchedulerWarning)
                one.load_state_dict(replayed[i])
        elif i in replayed:
            differences += _put_values(one, replayed[i], optimizer, is_said=is_changed[i])
        elif state is not None:
            one.load_state_dict(state)
            if isinstance(one, LambdaLR):
                differences += _put_own_values(one)
        elif not is_stateless(one) and _is_pure(one):
            one.step(position.num_updates)
        is_there = state is not None and not (is_changed[i] or _is_pure(one))
        if position.is_told_to(one) and not is_there:
            position.tell(one)
    return differences


# No plan, though it may differ at the start: what comes from the parameter groups, whose
# differences are said of the optimizer, and what PyTorch's schedulers keep for themselves.
_NO_PLAN = {
    "_last_lr",
    "base_lrs",
    "base_values",
    "values",
    "_step_count",
    "_is_initial",
    "_get_lr_called_within_step",
}

# What changes in the states of PyTorch's schedulers as they are stepped; the rest is the plan. It
# serves for checkpoints that do not hold the states that schedulers came with.
_POSITION = _NO_PLAN | {
    "last_epoch",
    "T_cur",
    "T_i",
    "best",
    "num_bad_epochs",
    "cooldown_counter",
    "mode_worse",
}


def _without(names: set[str], state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _without(names, item) for key, item in state.items() if key not in names}
    if isinstance(state, (list, tuple)):
        return [_without(names, item) for item in state]
    return _number(state)


def _same(one: Any, other: Any) -> bool:
    # A text has no trouble with a NaN, nor with tensors and arrays within.
    one, other = _without(_NO_PLAN, one), _without(_NO_PLAN, other)
    return repr(one) == repr(other) or bool(one == other)


def _is_pure(scheduler: Any) -> bool:
    """Whether it can go to any number of updates at once."""
    return isinstance(scheduler, SchedulerBase) and type(scheduler).__module__.startswith(
        f"{__package__}."
    )


def _takes(scheduler: Any, saved: dict[str, Any]) -> bool:
    state = saved["state"]
    if not hasattr(scheduler, "load_state_dict"):
        return False
    if isinstance(scheduler, SchedulerBase):
        return isinstance(state, dict) and state.get("kind") == scheduler._state_kind
    return saved["class"] in [_name_of(kind) for kind in type(scheduler).__mro__]


def _changes(scheduler: Any, saved: dict[str, Any] | None, start: Any) -> list[str]:
    """What keeps a scheduler from going on from a saved state as it is."""
    name = class_name(scheduler)
    if saved is None:
        return [f"scheduler: none before, {name} now"]
    if not _takes(scheduler, saved):
        if saved["class"] == name and not hasattr(scheduler, "load_state_dict"):
            return []
        return [f"scheduler: {saved['class']} before, {name} now"]
    if isinstance(scheduler, ParamScheduler):
        return []  # its own state tells its plan
    before, now = saved.get("at_start"), start
    if before is None and _is_pytorchs(scheduler):
        before, now = _without(_POSITION, saved["state"]), _without(_POSITION, start)
    if not isinstance(before, dict) or not isinstance(now, dict):
        return []
    return [
        f"{key} of {name}: {one!r} before, {other!r} now"
        for key, one, other in _different(before, now)
    ]


def _different(before: dict[str, Any], now: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Keys of two states that have different values, with both."""
    for key, other in now.items():
        one = before.get(key)
        if key == "attributes" and isinstance(one, dict) and isinstance(other, dict):
            yield from _different(one, other)
        elif isinstance(one, list) and _are_alike(one, other):
            for inner, its_other in zip(one, other, strict=True):
                yield from _different(inner, its_other)
        elif key not in _NO_PLAN and not _same(one, other):
            yield key, one, other


def _are_alike(one: list[Any], other: Any) -> bool:
    """Whether they are what schedulers that are made of others, of one kind each, have of them."""
    return (isinstance(other, list) and len(one) == len(other)) and all(
        isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys()
        for a, b in zip(one, other, strict=True)
    )


def _is_pytorchs(scheduler: Any) -> bool:
    return isinstance(scheduler, (LRScheduler, ReduceLROnPlateau)) and not isinstance(
        scheduler, SchedulerBase
    )


def _merged(scheduler: Any, saved: dict[str, Any] | None, start: Any) -> Any:
    """The saved state with the plan of the scheduler; ``None`` if the state is not for it."""
    if saved is None or saved["state"] is None or not _takes(scheduler, saved):
        return None
    before, state = saved.get("at_start"), saved["state"]
    if before is None and _is_pytorchs(scheduler):
        return {**state, **{key: start[key] for key in start if key not in _POSITION}}
    return _with_plan(state, before, start) if isinstance(before, dict) else state


def _with_plan(state: Any, before: Any, now: Any) -> Any:
    merged = dict(state)
    for key, other in now.items():
        one = before.get(key)
        if key == "attributes" and isinstance(one, dict) and isinstance(other, dict):
            merged[key] = _with_plan(state.get(key, {}), one, other)
        elif key not in _NO_PLAN and not _same(one, other):
            merged[key] = other
    return merged


def _steps_to(
    scheduler: Any, saved: dict[str, Any] | None, position: Position, has_state: bool
) -> tuple[int | None, list[str]]:
    """How often to step a scheduler to have it at a position, and what is not exact about that.

    Returns:
        The number, ``None`` if it cannot be stepped there; and a note, if need be.
    """
    name = class_name(scheduler)
    advice = "Give it state_dict() and load_state_dict(), which are saved and restored"
    if not position.is_new:
        note = f"{name} stays where it is: the checkpoint has no state for it. {advice}"
        return None, [] if has_state else [note]
    if position.is_stepped_by_updates:
        note = (
            f"{name} was stepped to update {position.num_updates}, but does not know the metrics "
            f"that were reported before: the checkpoint has no state for it. {advice}"
        )
        is_lost = hasattr(scheduler, "report") and not has_state
        return position.num_updates, [note] if is_lost else []
    if saved is not None and _is_pytorchs(scheduler):
        # PyTorch's schedulers tell how often they were stepped, by whatever code.
        done, at_start = (
            (saved["state"] or {}).get("last_epoch"),
            getattr(scheduler, "last_epoch", None),
        )
        if isinstance(done, int) and isinstance(at_start, int):
            return done - at_start, []
    if has_state:
        return None, []
    note = (
        f"{name} was stepped {position.num_updates} times, once for each update, though "
        f"scheduler_step() is overridden: the checkpoint has no state for it that would tell "
        f"whether that is right. {advice}"
    )
    return position.num_updates, [note]


def _left_behind(scheduler: Any, saved: dict[str, Any] | None, start: Any) -> list[str]:
    """What a run has changed in a scheduler in another way than by stepping it."""
    if saved is None or not _takes(scheduler, saved) or not isinstance(saved["state"], dict):
        return []
    before = saved.get("at_start")
    if not isinstance(before, dict) or not isinstance(start, dict):
        return []
    now = scheduler.state_dict()
    plan = {key for key, *_ in _different(before, start)}
    stepped = {key for key, *_ in _different(start, now)}
    return [
        f"{key} of {class_name(scheduler)}: {one!r} before, {other!r} now"
        for (key, one, other) in _different(saved["state"], now)
        if key not in plan | stepped | _POSITION
    ]


def _put_own_values(scheduler: LambdaLR) -> list[str]:
    """Put the values of a scheduler's functions, which no state can hold, in force."""
    differences = []
    groups = scheduler.optimizer.param_groups
    for i, (group, function, base) in enumerate(
        zip(groups, scheduler.lr_lambdas, scheduler.base_lrs, strict=False)
    ):
        value = base * function(scheduler.last_epoch)
        if _differ(group["lr"], value):
            differences.append(
                f"{class_name(scheduler)} for parameter group {i}: {_number(group['lr'])!r} "
                f"before, {_number(value)!r} now"
            )
            group["lr"] = value
    scheduler._last_lr = [group["lr"] for group in groups]
    return differences


def _replay(scheduler: Any, num_steps: int, optimizer: torch.optim.Optimizer) -> Any:
    """Step a new scheduler to a position.

    Returns:
        Its state there, if that brings its values back; else those values, for each group.
    """
    groups = _groups(scheduler, optimizer)
    before = [dict(group) for group in groups]
    written = {"lr"} if _is_pytorchs(scheduler) else set()
    with warnings.catch_warnings():
        # PyTorch's schedulers miss the optimizer's steps.
        warnings.simplefilter("ignore")
        for _ in range(num_steps):
            scheduler.step()
            for group, old in zip(groups, before, strict=True):
                written |= {key for key in group if group[key] is not old.get(key)}
    if isinstance(scheduler, SchedulerBase):
        return scheduler.state_dict()
    return [{key: group[key] for key in written if key in group} for group in groups]


def _put_values(
    scheduler: Any, values: list[Any], optimizer: torch.optim.Optimizer, is_said: bool
) -> list[str]:
    """Put values in force in each group; returns where they differ, if nothing else was said."""
    differences = []
    for i, (group, its_values) in enumerate(
        zip(_groups(scheduler, optimizer), values, strict=False)
    ):
        differences += [
            f"{key} of parameter group {i}, by {class_name(scheduler)}: "
            f"{_number(group.get(key))!r} before, {_number(value)!r} now"
            for key, value in sorted(its_values.items())
            if not is_said and _differ(group.get(key), value)
        ]
        group.update(its_values)
    return differences


def _groups(scheduler: Any, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = (
        scheduler.optimizer if _has_groups(scheduler) else optimizer
    ).param_groups
    return groups


def _differ(one: Any, other: Any) -> bool:
    return bool(_number(one) != _number(other))
