"""States of schedulers: what a checkpoint holds of them, and how they take it up."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pytorch_accelerated.checks import same
from pytorch_accelerated.schedulers import SchedulerBase
from pytorch_accelerated.schedulers.state import plain_attributes, to_pairs

# What differs at the start without being a plan: it comes from the parameter groups, whose
# differences are told of the optimizer.
_OF_GROUPS = {"_last_lr", "base_lrs", "base_values", "values"}

_ONLY_OURS = "only schedulers of this library can change their plan on the way"


def each(scheduler: Any) -> Iterator[Any]:
    """Yield the schedulers in what a Trainer has as ``scheduler``: one, several, or ``None``."""
    if isinstance(scheduler, (list, tuple)):
        yield from scheduler
    elif scheduler is not None:
        yield scheduler


def is_pytorchs(scheduler: Any) -> bool:
    """Return whether it is one of PyTorch's, or a user's subclass of those."""
    return isinstance(scheduler, (LRScheduler, ReduceLROnPlateau)) and not isinstance(
        scheduler, SchedulerBase
    )


def set_lr(group: dict[str, Any], value: Any) -> None:
    """Put a learning rate in force; a tensor is filled in place."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(value)
    else:
        group["lr"] = value


def class_name(instance: Any) -> str:
    """Return the name of an object's class, with its module."""
    return f"{type(instance).__module__}.{type(instance).__qualname__}"


def restore(scheduler: Any, state: Any) -> None:
    """Restore the state of a scheduler, or a list of the states of several."""
    schedulers = list(each(scheduler))
    states = state if isinstance(state, list) else [state]
    if len(schedulers) != len(states):
        raise ValueError(
            f"the checkpoint holds the states of {len(states)} schedulers, but there are "
            f"{len(schedulers)}"
        )
    for one, its_state in zip(schedulers, states, strict=True):
        _load(one, its_state)


def _load(scheduler: Any, state: Any) -> None:
    scheduler.load_state_dict(state)
    if is_pytorchs(scheduler):
        # Theirs count on the optimizer to have the values, which making them may have changed.
        last_lr = state.get("_last_lr", ())
        for group, value in zip(scheduler.optimizer.param_groups, last_lr, strict=False):
            set_lr(group, value)


def start_of(scheduler: Any) -> Any:
    """Return what a scheduler came with, of which all that differs from another's is its plan."""
    if isinstance(scheduler, SchedulerBase):
        return plain_attributes(scheduler)
    try:
        return copy.deepcopy(scheduler.state_dict())
    except Exception:
        # Whoever saves it is told what is wrong; others need no state.
        return None


def take_up(scheduler: Any, start: Any, saved: dict[str, Any], num_updates: int) -> list[str]:
    """Go to a checkpoint's position; return what differs from the checkpoint.

    A scheduler of this library goes there with the plan that it was made with, which ``start``
    tells; one of another library takes its state up as it is.
    """
    name, before = class_name(scheduler), saved.get("class", "none")
    is_ours = isinstance(scheduler, SchedulerBase)
    if _takes(scheduler, saved):
        old = saved["at_start"]
        are_known = isinstance(old, dict) and isinstance(start, dict)
        changes = {
            key: value
            for key, value in (start.items() if are_known else ())
            if key not in _OF_GROUPS and not same(_plan(old.get(key)), _plan(value))
        }
        lines = [
            f"{key} of {name}: {old.get(key)!r} before, {value!r} now"
            for key, value in changes.items()
        ]
        state = saved["state"]
        if not is_ours or "attributes" not in state:
            _load(scheduler, state)
            return [f"{line}; the former counts: {_ONLY_OURS}" for line in lines]
        attributes = to_pairs(dict(state["attributes"]) | changes)
        scheduler.load_state_dict({**state, "attributes": attributes})
        if changes:
            scheduler.step_update(getattr(scheduler, "num_updates", num_updates))
        return lines
    if is_ours:
        scheduler.step_update(num_updates)
        return [f"scheduler: {before} before, {name} now"]
    if is_pytorchs(scheduler):
        _load(scheduler, scheduler.state_dict())  # the optimizer has another one's values
    if name == before:
        return [f"{name} stays where it is: it has no state_dict() and load_state_dict()"]
    return [f"scheduler: {before} before, {name} now, which begins at its start: {_ONLY_OURS}"]


def _takes(scheduler: Any, saved: dict[str, Any]) -> bool:
    """Return whether a saved state is one for this scheduler."""
    state = saved.get("state")
    if state is None or not hasattr(scheduler, "load_state_dict"):
        return False
    if isinstance(scheduler, SchedulerBase) and "kind" in state:
        return bool(state["kind"] == scheduler._state_kind)
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(scheduler).__mro__]
    return saved["class"] in names


def _plan(entry: Any) -> Any:
    """Return an entry of a state without what comes from the parameter groups, at any depth."""
    if isinstance(entry, dict):
        return {key: _plan(item) for key, item in entry.items() if key not in _OF_GROUPS}
    return [_plan(item) for item in entry] if isinstance(entry, (list, tuple)) else entry
