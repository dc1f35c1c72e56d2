"""States of a run's schedulers: saved, restored, and taken to where a run goes on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from pytorch_accelerated.schedulers import ParamScheduler, SchedulerBase, SchedulerWarning
from pytorch_accelerated.schedulers.plain_state import to_pairs
from pytorch_accelerated.scheduling import (
    differ,
    each,
    has_groups,
    is_of_timm_kind,
    is_pure,
    is_pytorchs,
    is_stateless,
    plain_number,
    set_lr,
)


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
        if is_pytorchs(one):
            # Theirs count on the optimizer to have the values, which making them may have changed.
            last_lr = its_state.get("_last_lr", ())
            for group, value in zip(one.optimizer.param_groups, last_lr, strict=False):
                set_lr(group, value)


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
            f"{plain_number(before[name])!r} before, {plain_number(now[name])!r} now; the former "
            f"goes on. To change it, set the group's {name!r} in on_training_run_start"
            for name in names
            if differ(now[name], before[name])
        ]
    return lines


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
        if is_pure(one) or (state is not None and not changed):
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
        elif not is_stateless(one) and is_pure(one):
            one.step(position.num_updates)
        is_there = state is not None and not (is_changed[i] or is_pure(one))
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
    return plain_number(state)


def _same(one: Any, other: Any) -> bool:
    # A text has no trouble with a NaN, nor with tensors and arrays within.
    one, other = _without(_NO_PLAN, one), _without(_NO_PLAN, other)
    return repr(one) == repr(other) or bool(one == other)


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
    if before is None and is_pytorchs(scheduler):
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
        if key == "attributes" and _are_pairs(one) and _are_pairs(other):
            yield from _different(dict(one), dict(other))
        elif isinstance(one, list) and _are_alike(one, other):
            for inner, its_other in zip(one, other, strict=True):
                yield from _different(inner, its_other)
        elif key not in _NO_PLAN and not _same(one, other):
            yield key, one, other


def _are_pairs(entry: Any) -> TypeGuard[list[Any]]:
    """Whether this is how the states of this library's schedulers hold attributes."""
    return isinstance(entry, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in entry
    )


def _are_alike(one: list[Any], other: Any) -> bool:
    """Whether they are what schedulers that are made of others, of one kind each, have of them."""
    return (isinstance(other, list) and len(one) == len(other)) and all(
        isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys()
        for a, b in zip(one, other, strict=True)
    )


def _merged(scheduler: Any, saved: dict[str, Any] | None, start: Any) -> Any:
    """The saved state with the plan of the scheduler; ``None`` if the state is not for it."""
    if saved is None or saved["state"] is None or not _takes(scheduler, saved):
        return None
    before, state = saved.get("at_start"), saved["state"]
    if before is None and is_pytorchs(scheduler):
        return {**state, **{key: start[key] for key in start if key not in _POSITION}}
    return _with_plan(state, before, start) if isinstance(before, dict) else state


def _with_plan(state: Any, before: Any, now: Any) -> Any:
    merged = dict(state)
    for key, other in now.items():
        one = before.get(key)
        if key == "attributes" and _are_pairs(one) and _are_pairs(other):
            merged[key] = to_pairs(_with_plan(dict(state.get(key, [])), dict(one), dict(other)))
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
    if saved is not None and is_pytorchs(scheduler):
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
        if differ(group["lr"], value):
            differences.append(
                f"{class_name(scheduler)} for parameter group {i}: {plain_number(group['lr'])!r} "
                f"before, {plain_number(value)!r} now"
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
    written = {"lr"} if is_pytorchs(scheduler) else set()
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
            f"{plain_number(group.get(key))!r} before, {plain_number(value)!r} now"
            for key, value in sorted(its_values.items())
            if not is_said and differ(group.get(key), value)
        ]
        group.update(its_values)
    return differences


def _groups(scheduler: Any, optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = (
        scheduler.optimizer if has_groups(scheduler) else optimizer
    ).param_groups
    return groups
