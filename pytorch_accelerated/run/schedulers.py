"""The schedulers of a run: made for it, stepped in it, saved and restored with it."""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from pytorch_accelerated.checks import kind_of, same
from pytorch_accelerated.placeholders import (
    ONLY_IN_PARTIALS,
    TrainerPlaceholderValues,
    find_placeholders,
    replace_trainer_placeholder_values,
)
from pytorch_accelerated.run.counts import LIMITS
from pytorch_accelerated.run.loop_state import LoopState
from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    CosineLrScheduler,
    ParamScheduler,
    SchedulerBase,
    WSDLrScheduler,
)
from pytorch_accelerated.schedulers.clocks import UPDATES, clock_of
from pytorch_accelerated.schedulers.state import plain_attributes, to_pairs
from pytorch_accelerated.schedules import Schedule

_STEPS = ("step", "step_update")

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


@dataclass(eq=False)
class RunSchedulers:
    """What a Trainer has as ``scheduler`` while a run is on.

    How each is stepped is decided when the run begins, or when a callback exchanges them. What
    they come with is noted then: where that differs between two runs, their plans differ.
    """

    _tells_epochs: bool
    are_stepped_by_updates: bool
    _loop: LoopState = field(default_factory=LoopState)
    _of: Any = None
    _ways: list[tuple[Any, bool, str]] = field(default_factory=list)
    _at_start: list[Any] = field(default_factory=list)

    def make(self, trainer: Any, state: Any, loop: LoopState) -> None:
        """Make the run's schedulers; ``state`` is one that was loaded for them before."""
        self._loop = loop
        earlier, trainer.scheduler = trainer.scheduler, None
        if trainer.create_scheduler_fn is not None:
            if earlier is not None:
                _put_bases_back(earlier)
            trainer.scheduler = trainer.create_scheduler()
        if trainer.scheduler is None:
            if state is not None:
                warn(
                    "the checkpoint that was loaded holds a scheduler's state, but this run has "
                    "no create_scheduler_fn: the state is dropped",
                )
            return
        self.look(trainer.scheduler)
        for one in each(trainer.scheduler):
            if not hasattr(one, "step"):
                one.step_update(self._start_on(one, loop.num_updates))
        if state is not None:
            restore(trainer.scheduler, state)

    def look(self, scheduler: Any) -> RunSchedulers:
        """Take notice of the schedulers, also of those that a callback has exchanged."""
        if self._of is not scheduler:
            self._of = scheduler
            self._at_start = [start_of(one) for one in each(scheduler)]
            self._ways = [
                (one, not hasattr(one, "step") or self._is_told_epochs(one), clock_of(one))
                for one in each(scheduler)
                if not isinstance(one, ReduceLROnPlateau)
            ]
        return self

    def _is_told_epochs(self, scheduler: Any) -> bool:
        """Return whether it is told the numbers of updates and of epochs, as those of timm are."""
        has_both = all(hasattr(scheduler, name) for name in _STEPS)
        return self._tells_epochs and has_both and not isinstance(scheduler, SchedulerBase)

    def step(self, num_updates: int) -> None:
        """Put the values after so many updates in force."""
        for scheduler, is_told, clock in self._ways:
            if is_told or clock != UPDATES:
                scheduler.step_update(num_updates if clock == UPDATES else self._loop.on(clock))
            else:
                scheduler.step()

    @property
    def clocks(self) -> set[str]:
        """What the plans are in, updates aside."""
        return {clock for *_, clock in self._ways} - {UPDATES}

    def _start_on(self, scheduler: Any, num_updates: int) -> Any:
        """Return where a scheduler is to start on its clock; what was not counted starts at 0."""
        clock = clock_of(scheduler)
        return num_updates if clock == UPDATES else getattr(self._loop, clock) or 0

    def wait_for_metric(self) -> bool:
        """Return whether any is stepped with a metric."""
        return any(_listener_of(one) is not None for one in each(self._of))

    def end_epoch(self, history: Any, metric: str, epoch: int) -> None:
        """Step those that wait for a metric or are told the epochs done."""
        for one in each(self._of):
            if self._is_told_epochs(one):
                one.step(epoch)
            listen = _listener_of(one)
            if listen is not None:
                listen(history.get_latest_metric(metric))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each, and the position that they may have to be told."""
        states = [
            {
                "class": class_name(one),
                "state": one.state_dict() if hasattr(one, "state_dict") else None,
                "at_start": start,
            }
            for one, start in zip(each(self._of), self._at_start, strict=True)
        ]
        loop = self._loop
        return {"num_updates": loop.num_updates, "epoch": loop.epoch, "each": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the position of a checkpoint; warn of what differs."""
        saved, num_updates = state["each"], state["num_updates"]
        schedulers = list(each(self._of))
        for one in saved[len(schedulers) :]:
            warn(f"scheduler: {one['class']} before, none now")
        saved = saved + [{}] * (len(schedulers) - len(saved))
        for one, start, its_state in zip(schedulers, self._at_start, saved, strict=False):
            for line in take_up(one, start, its_state, self._start_on(one, num_updates)):
                warn(line)
            if self._is_told_epochs(one) and not its_state.get("state"):
                one.step(state["epoch"])
                one.step_update(num_updates)

    def warn_of_other_lengths(self, num_updates: int, config: Any) -> None:
        """Say once that a schedule is not as long as the run, which looks like a mistake."""
        # A step of one's own may count something else than updates.
        for one in each(self._of) if self.are_stepped_by_updates else ():
            horizon = getattr(config, LIMITS.get(clock_of(one), "max_num_train_steps"))
            if horizon is not None:
                _warn_of_another_length(one, self._start_on(one, num_updates), horizon)


def _listener_of(scheduler: Any) -> Any:
    """Return what a scheduler takes a metric with, or ``None``."""
    if isinstance(scheduler, ReduceLROnPlateau):
        return scheduler.step
    return getattr(scheduler, "report", None)


def _put_bases_back(scheduler: Any) -> None:
    """Let the next run's scheduler find the parameter groups as an earlier run's did.

    A value that was changed by hand since stays, for the next scheduler to honour or to refuse.
    """
    for one in each(scheduler):
        if isinstance(one, SchedulerBase):
            one._put_bases_back()
        elif is_pytorchs(one):
            last_lr = getattr(one, "_last_lr", ())
            for group, left in zip(one.optimizer.param_groups, last_lr, strict=False):
                if "initial_lr" in group and same(group["lr"], left):
                    set_lr(group, group["initial_lr"])


# What a checkpoint holds of them, and how they take it up


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


# Made for a run


def make_schedulers(trainer: Any, factories: Any) -> Any:
    """Make what the user's ``create_scheduler_fn`` describes: one scheduler, or a list of them."""
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
    theirs = [
        {*map(id, one.optimizer.param_groups)}
        for one in each(made)
        if hasattr(getattr(one, "optimizer", None), "param_groups")
        and not isinstance(one, AttributeScheduler)
    ]
    if theirs and set().union(*theirs).isdisjoint(map(id, trainer.run.optimizer.param_groups)):
        names = ", ".join(type(one).__name__ for one in each(made))
        warn(
            f"create_scheduler_fn made {names} for another optimizer than the Trainer's, whose "
            "values will not change: use the optimizer that create_scheduler_fn is called with",
        )
    return made


def _make(trainer: Any, factory: Any) -> Any:
    instead = None if callable(factory) else "CosineLrScheduler.create_scheduler_fn()"
    if isinstance(factory, Schedule):
        instead = "ParamScheduler.create_scheduler_fn(lr=…)"
    elif not isinstance(factory, type) and any(hasattr(factory, name) for name in _STEPS):
        instead = f"functools.partial({type(factory).__name__}, …)"
    if instead is not None:
        raise TypeError(
            f"create_scheduler_fn is {kind_of(factory)}: give a function that takes the "
            f"optimizer and returns a scheduler, since each run makes its own; for example "
            f"{instead}"
        )
    described, factory = factory, replace_trainer_placeholder_values(trainer, factory)
    try:
        scheduler = factory(trainer.optimizer)
    except (TypeError, ValueError) as error:
        if ONLY_IN_PARTIALS in str(error):
            raise
        if any(name in str(error) for name in TrainerPlaceholderValues.placeholder_set()):
            raise type(error)(f"{error} {ONLY_IN_PARTIALS}") from error
        if isinstance(factory, type) and isinstance(error, TypeError):
            instead = f"functools.partial({factory.__name__}, …)"
            if hasattr(factory, "create_scheduler_fn"):
                instead = f"{factory.__name__}.create_scheduler_fn()"
            raise TypeError(
                f"create_scheduler_fn is the class {factory.__name__}, which cannot be made with "
                f"the optimizer alone ({error}): give {instead}, with arguments as you need"
            ) from error
        if trainer.run.several is not None and "not an Optimizer" in str(error):
            raise TypeError(
                f"{error}: each scheduler of PyTorch is for one optimizer, and the Trainer has "
                f"several. Write create_scheduler_fn=lambda optimizers: [StepLR(one, 30) for one "
                f"in optimizers], for example; those of this library take them all"
            ) from error
        config, epochs = trainer.run_config, TrainerPlaceholderValues.NUM_EPOCHS
        horizon, per_epoch = config.max_num_train_steps, config.num_update_steps_per_epoch
        if epochs in find_placeholders(described) and per_epoch and horizon % per_epoch:
            raise type(error)(
                f"{error}: NUM_EPOCHS is not whole in this run, which has {horizon} updates, "
                f"{per_epoch} in an epoch. Where it has to be, use MAX_NUM_TRAIN_STEPS instead"
            ) from error
        raise
    for one in list(each(scheduler)) or [scheduler]:
        if not any(hasattr(one, name) for name in _STEPS):
            raise TypeError(
                f"create_scheduler_fn returned {None if one is None else type(one).__name__}, "
                f"which is not a scheduler: it has to return an object with a method step() or "
                f"step_update(num_updates). Is a return missing? Or is it create_scheduler_fn "
                f"without ()?"
            )
        fields = [{**group, "params": None} for group in trainer.run.optimizer.param_groups]
        unresolved = [*find_placeholders([getattr(one, "__dict__", {}), fields])]
        if unresolved:
            raise ValueError(
                f"placeholders reached {type(one).__name__} unresolved: {unresolved}. "
                f"{ONLY_IN_PARTIALS}"
            )
        if isinstance(one, ReduceLROnPlateau):
            # It does not keep the base values in the groups, as all others do by themselves.
            for group in one.optimizer.param_groups:
                group.setdefault("initial_lr", copy.deepcopy(group["lr"]))
    return scheduler


# As long as a run


def _warn_of_another_length(scheduler: Any, num_updates: int, horizon: int) -> None:
    """Say how a schedule's length differs from the run's, and what to write instead.

    One that is longer than the run is a mistake unless it ends at the values that the run ends
    with; one that is shorter, if the learning rate falls before its last update, too: after a
    warmup, or the last of some milestones, the rest of the run is what the value is there for.
    """
    # Only this library's own schedules tell for how many updates they are planned.
    planned = scheduler._num_planned_updates() if isinstance(scheduler, SchedulerBase) else None
    if planned is None or scheduler._has_values_of_its_own:
        return
    # A state that was loaded may have the schedule begin elsewhere than the run.
    reached = getattr(scheduler, "num_updates", num_updates) - num_updates + horizon
    values = scheduler.get_updated_values
    if planned > reached and not same(values(planned), values(reached)):
        what = "the run ends before it does"
    elif planned < reached and any(
        map(operator.gt, *(_rates(scheduler, max(0, planned - left)) for left in (2, 1)))
    ):
        what = f"to hold its last value for the rest, write >> constant({reached - planned})"
    else:
        return
    name = type(scheduler).__name__
    unit = scheduler._clock[:-1]
    begin = f"the run has {horizon} {unit}s"
    if reached != horizon:
        begin += f", which {name} begins at {unit} {reached - horizon}"
    how = "shares of the run, such as linear(0.1, start=0.0) >> cosine()"
    if isinstance(scheduler, CosineLrScheduler | WSDLrScheduler):
        how = "no total of your own"
    elif not isinstance(scheduler, ParamScheduler):
        name = ParamScheduler.__name__
    warn(
        f"{begin}, but the schedule of {type(scheduler).__name__} ends at {unit} {planned}: "
        f"{what}. To have it end with the run, give {name}.create_scheduler_fn(…) with {how}"
    )


def _rates(scheduler: Any, num_updates: int) -> list[float]:
    values = scheduler.get_updated_values(num_updates)
    if isinstance(values, Mapping):
        values = values.get("lr", ())
    elif scheduler.param_group_field != "lr":
        return []
    return [value for value in values if value is not None]
