"""Previews of schedulers: by evaluating their schedules, or by running copies of them."""

from __future__ import annotations

import copy
import inspect
from array import array
from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pytorch_accelerated.borrowed import randomness_kept
from pytorch_accelerated.checks import wrong_kind
from pytorch_accelerated.preview.columns import Column, entries
from pytorch_accelerated.preview.of_schedules import check_number, rows_within, updates_of
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedulers.groups import Field, Group, copied, plain
from pytorch_accelerated.schedulers.naming import labels_of
from pytorch_accelerated.schedulers.scheduler_base import SchedulerBase, StatefulSchedulerBase

_MOST_WRAPPERS = 5  # a mock has attributes without end
_FEW = 100  # updates to show of a scheduler that says of none ahead


class Stub(Optimizer):
    """An optimizer that has copies of another one's groups, parameters of no size, and no step."""

    _opt_called = True  # PyTorch's schedulers warn if they are stepped before the optimizer

    def __init__(self, real: Any) -> None:
        super().__init__([torch.nn.Parameter(torch.empty(0))], {})
        self.defaults = dict(getattr(real, "defaults", {}))
        self.stands_for: dict[int, Any] = {id(real): self, id(real.param_groups): self.param_groups}
        self.param_groups[:] = [self._copied(group) for group in real.param_groups]

    def _copied(self, group: Group) -> Group:
        result: Group = {}
        for key, value in group.items():
            if key == "params":
                result[key] = [torch.nn.Parameter(torch.empty(0)) for _ in value]
                pairs = zip(value, result[key], strict=True)
                self.stands_for.update({id(real): dummy for real, dummy in pairs})
            elif isinstance(value, Tensor):
                result[key] = self.stands_for[id(value)] = copied(value)
            else:
                result[key] = copy.deepcopy(value)
        self.stands_for[id(group)] = result
        return result

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Do nothing: there is nothing to update."""


Stub.step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]  # see _opt_called


def of_schedulers(schedulers: Sequence[Any], num_updates: int | None) -> Preview:
    """Return the preview of all schedulers of one optimizer together."""
    if not schedulers:
        raise ValueError("scheduler=[] is empty: there is nothing to preview.")
    bare = [_unwrapped(scheduler) for scheduler in schedulers]
    horizons = [one._num_planned_updates() for one in bare if isinstance(one, SchedulerBase)]
    horizon = max((h for h in horizons if h is not None), default=None)
    total = updates_of(bare[0], num_updates, horizon)
    is_asked = num_updates is not None
    made = [_of_one(scheduler, total, is_asked) for scheduler in bare]
    # One that is past its horizon looks further ahead, and one that has to run starts from now.
    last = max(one.num_updates for one in made)
    made = [
        one if one.num_updates == last else _of_one(scheduler, last, True)
        for scheduler, one in zip(bare, made, strict=True)
    ]
    first = max(one.first_update for one in made)
    return reduce(or_, (one._since(first) for one in made))


def _unwrapped(scheduler: Any) -> Any:
    """Return the scheduler inside a wrapper such as Accelerate's."""
    inner = scheduler
    for _ in range(_MOST_WRAPPERS):
        if isinstance(inner, SchedulerBase | torch.optim.lr_scheduler.LRScheduler):
            return inner
        inner = getattr(inner, "scheduler", None)
    expected = "a schedule, or a scheduler of this library or of PyTorch."
    raise wrong_kind("scheduler", scheduler, expected)


def _of_one(scheduler: Any, num_updates: int, is_asked: bool) -> Preview:
    # Copies, as a group that was added since gets its base value here.
    groups = [dict(group) for group in scheduler.optimizer.param_groups]
    names = [str(group.get("name", i)) for i, group in enumerate(groups)]
    if isinstance(scheduler, SchedulerBase):
        labels = labels_of(scheduler.optimizer)
        for field in scheduler._fields.values():
            field.choose(labels)
            field.adopt(groups)
        if scheduler._planned(1, groups) is not None:
            check_number(num_updates)
        planned = scheduler._planned(num_updates, groups)
        if planned is not None:
            columns = {
                field.name: [
                    [field.entry(plain(group.get(field.key)))] * num_updates
                    if column is None
                    else _as_held(column, held)
                    for column, held, group in zip(some, field.held(groups), groups, strict=True)
                ]
                for field, some in planned.items()
            }
            phases = {
                own.field.name: [
                    () if schedule is None else rows_within(schedule, num_updates)
                    for schedule in own.of(groups)
                ]
                for own in getattr(scheduler, "_schedules", ())
            }
            return Preview(
                columns, 0, names, phases, position=getattr(scheduler, "num_updates", None)
            )
    return _simulated(scheduler, num_updates, names, is_asked)


def _as_held(column: array[float], held: Any) -> array[float]:
    """Return the values as a group holds them: a float32 tensor rounds what is put into it."""
    if not isinstance(held, Tensor) or held.dtype == torch.float64:
        return column
    exact = torch.tensor(column, dtype=torch.float64)
    return array("d", exact.to(held.dtype).to(torch.float64).tolist())


@randomness_kept()
def _simulated(scheduler: Any, num_updates: int, names: list[str], is_asked: bool) -> Preview:
    is_ours = isinstance(scheduler, SchedulerBase)
    is_counting = not is_ours or isinstance(scheduler, StatefulSchedulerBase)
    position = _position_of(scheduler) if is_counting else 0
    if num_updates <= position and not is_asked:
        # Past its horizon, as after a warmup, the default is to look as far ahead once more.
        num_updates = position + max(num_updates, _FEW)
    if num_updates <= position:
        raise ValueError(
            f"num_updates={num_updates!r}: {type(scheduler).__name__} has made {position} updates "
            "already, and its preview starts from there. Write a larger number."
        )
    check_number(num_updates - position)
    if is_counting:
        _refuse_metrics(scheduler)
    twin = _twin_of(scheduler)
    groups = twin.optimizer.param_groups
    if not is_counting:
        for field in twin._fields.values():
            field.write(groups, field.bases(groups))
    record = Record(groups)
    for update in range(position, num_updates):
        if not is_counting:
            twin.step_update(update)
        elif update > position:
            twin.step()
        record.note()
    fields = list(twin._fields.values()) if is_ours else record.changed()
    return Preview(
        {field.name: record.columns(field) for field in fields}, position, names, position=position
    )


def _position_of(scheduler: Any) -> int:
    while not hasattr(scheduler, "last_epoch"):  # a ChainedScheduler does not count itself
        scheduler = scheduler._schedulers[0]
    return int(scheduler.last_epoch)


def _refuse_metrics(scheduler: Any) -> None:
    parameters = list(inspect.signature(scheduler.step).parameters.values())
    if parameters and parameters[0].default is inspect.Parameter.empty:
        raise ValueError(
            f"{type(scheduler).__name__}.step needs {parameters[0].name!r} each time, so what it "
            "will do depends on the training, and there is no plan to preview."
        )


def _twin_of(scheduler: Any) -> Any:
    """Return a copy of the scheduler whose optimizer is a stub."""
    memo: dict[int, Any] = {}
    optimizer = scheduler.optimizer
    stub = Stub(optimizer)
    memo.update(stub.stands_for)
    while hasattr(optimizer, "optimizer"):  # Accelerate's wrapper
        optimizer = optimizer.optimizer
        memo[id(optimizer)] = stub
    try:
        twin = copy.deepcopy(scheduler, memo)
    except Exception as error:
        raise TypeError(
            f"{type(scheduler).__name__} is previewed by running a copy, but it cannot be copied: "
            f"{error} Keep what cannot be copied out of the scheduler's attributes, or give the "
            "class a __deepcopy__."
        ) from error
    if isinstance(twin, SchedulerBase):
        # What was changed by hand since is for the real one to warn of.
        for field in twin._fields.values():
            field.last = []
    return twin


class Record:
    """What the parameter groups hold, update by update."""

    def __init__(self, groups: list[Group]) -> None:
        self.groups = groups
        self.held: dict[str, list[list[Any]]] = {
            key: [[] for _ in groups]
            for key in dict.fromkeys(key for group in groups for key in group)
            if key == "lr" or not key.startswith("initial_")
            if any(_is_scheduled_kind(group.get(key)) for group in groups)
        }

    def note(self) -> None:
        """Write down what is held now."""
        for key, columns in self.held.items():
            for group, column in zip(self.groups, columns, strict=True):
                column.append(plain(group.get(key)))

    def changed(self) -> list[Field]:
        """Return the learning rate, and the fields that did not stay as they were."""
        return [
            Field(key)
            for key, columns in self.held.items()
            if key == "lr" or any(value != column[0] for column in columns for value in column)
        ]

    def columns(self, field: Field) -> list[Column]:
        """Return the values of a field, for each group."""
        result: list[Column] = []
        for column in self.held[field.key]:
            values = column if field.index is None else entries(column, field.index)
            is_plain = all(type(value) is float for value in values)
            result.append(array("d", values) if is_plain else values)
        return result


def _is_scheduled_kind(value: Any) -> bool:
    value = plain(value)
    entries = value if isinstance(value, tuple) else (value,)
    return bool(entries) and all(type(entry) is float for entry in entries)
