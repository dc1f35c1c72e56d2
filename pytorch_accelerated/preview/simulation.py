"""Previews of schedulers: by evaluating their schedules, or by running copies of them."""

from __future__ import annotations

import copy
import inspect
from array import array
from collections.abc import Container, Iterator, Sequence
from functools import reduce
from itertools import zip_longest
from operator import or_
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pytorch_accelerated.borrowed import randomness_kept
from pytorch_accelerated.checks import wrong_kind
from pytorch_accelerated.preview.columns import Column, entries
from pytorch_accelerated.preview.of_schedules import (
    MOST_VALUES,
    are_over,
    check_number,
    rows_within,
    sample,
    taken_off,
    updates_of,
)
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedulers import clocks
from pytorch_accelerated.schedulers.clocks import UPDATES, clock_of
from pytorch_accelerated.schedulers.groups import Field, Group
from pytorch_accelerated.schedulers.held import copied, plain
from pytorch_accelerated.schedulers.naming import labels_of
from pytorch_accelerated.schedulers.optimizers import Optimizers, class_of, each_of
from pytorch_accelerated.schedulers.plans import schedules_in
from pytorch_accelerated.schedulers.scheduler_base import (
    Planned,
    SchedulerBase,
    StatefulSchedulerBase,
)

_MOST_WRAPPERS = 5  # a mock has attributes without end
_EXPECTED = "a schedule, or a scheduler of this library or of PyTorch."
_FEW = 100  # updates to show of a scheduler that says of none ahead


class Stub(Optimizer):
    """An optimizer that has copies of another one's groups, parameters of no size, and no step."""

    _opt_called = True  # PyTorch's schedulers warn if they are stepped before the optimizer

    def __init__(self, real: Any) -> None:
        super().__init__([torch.nn.Parameter(torch.empty(0))], {})
        self.kind = class_of(real)
        self.defaults = dict(getattr(real, "defaults", {}))
        self.stands_for: dict[int, Any] = {id(real): self, id(real.param_groups): self.param_groups}
        self.param_groups[:] = [self._copied(group) for group in real.param_groups]

    def add_group(self, group: Group) -> None:
        """Take a copy of a group that the other optimizer got since."""
        self.param_groups.append(self._copied(group))

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


def of_schedulers(
    schedulers: Sequence[Any], num_updates: int | None, at: Sequence[float] | None = None
) -> Preview:
    """Return the preview of all schedulers of one optimizer together."""
    if not schedulers:
        raise ValueError("scheduler=[] is empty: there is nothing to preview.")
    bare = [unwrapped(scheduler) for scheduler in schedulers]
    units = dict.fromkeys(clock_of(one) for one in bare)
    if len(units) > 1:
        raise ValueError(
            f"The schedulers' plans are in {' and in '.join(units)}. Preview each by itself."
        )
    if at is not None:
        return reduce(or_, (_of_one(one, len(at), True, at) for one in bare))
    horizons = [one._num_planned_updates() for one in bare if isinstance(one, SchedulerBase)]
    horizon = max((h for h in horizons if h is not None), default=None)
    total = updates_of(bare[0], num_updates, horizon)
    is_asked = num_updates is not None
    shown: list[int] | None = None
    if total > MOST_VALUES:
        owns = [own for one in bare for own in getattr(one, "_schedules", ())]
        shown = sample((one for own in owns for one in schedules_in(own.plan)), total)
    made = [_of_one(scheduler, total, is_asked, shown=shown) for scheduler in bare]
    # One that is past its horizon looks further ahead, and one that has to run starts from now.
    last = max(one.num_updates for one in made)
    made = [
        one if one.num_updates == last else _of_one(scheduler, last, True, shown=shown)
        for scheduler, one in zip(bare, made, strict=True)
    ]
    first = max(one.first_update for one in made)
    result = reduce(or_, (one._since(first) for one in made))
    result.unit = next(iter(units))[:-1]
    return result


def unwrapped(scheduler: Any, expected: str = _EXPECTED) -> Any:
    """Return the scheduler inside a wrapper such as Accelerate's; raise what was expected."""
    for inner in one_within_another(scheduler, "scheduler"):
        if isinstance(inner, SchedulerBase | torch.optim.lr_scheduler.LRScheduler):
            return inner
    raise wrong_kind("scheduler", scheduler, expected)


def one_within_another(wrapper: Any, name: str) -> Iterator[Any]:
    """Yield an object, what it holds under ``name``, what that holds there, and so on."""
    inner = wrapper
    for _ in range(_MOST_WRAPPERS):
        yield inner
        if not hasattr(inner, name):
            return
        inner = getattr(inner, name)


def _of_one(
    scheduler: Any,
    num_updates: int,
    is_asked: bool,
    at: Sequence[float] | None = None,
    shown: list[int] | None = None,
) -> Preview:
    """Return the preview of one; ``at`` positions of its clock, or of the updates ``shown``."""
    # Copies, as a group that was added since gets its base value here.
    groups = [dict(group) for group in scheduler.optimizer.param_groups]
    labels, names = labels_of(scheduler.optimizer), group_names(scheduler.optimizer)
    if isinstance(scheduler, SchedulerBase):
        for field in scheduler._fields.values():
            field.choose(labels)
            field.adopt(groups)
        is_planned = scheduler._planned(1, groups) is not None
        owns = getattr(scheduler, "_schedules", ()) if is_planned else ()
        schedules = [one for own in owns for one in own.of(groups) if one is not None]
        is_over = at is None and are_over(schedules, num_updates)
        count = num_updates + is_over
        planned: Planned | None = None
        if owns and (at is not None or shown is not None):
            clock = clock_of(scheduler)
            positions = [*(shown or ()), *([num_updates] if is_over else ())]
            if at is not None:
                positions = [clocks.position("at", one, clock) for one in at]
            planned, count = {own.field: own.at(positions, groups) for own in owns}, len(positions)
        elif is_planned:
            planned = scheduler._planned(count, groups)
        if planned is not None:
            columns = {
                field.name: [
                    [field.entry(plain(group.get(field.key)))] * count
                    if column is None
                    else _as_held(column, held)
                    for column, held, group in zip(some, field.held(groups), groups, strict=True)
                ]
                for field, some in planned.items()
            }
            phases = {
                own.field.name: [
                    () if schedule is None or at is not None else rows_within(schedule, num_updates)
                    for schedule in own.of(groups)
                ]
                for own in owns
            }
            ends = taken_off(columns) if is_over else None
            position = getattr(scheduler, "num_updates", None)
            return Preview(columns, 0, names, phases, position=position, updates=shown, ends=ends)
    if at is not None:
        raise ValueError(
            f"at=…: {type(scheduler).__name__} has values of its own, which depend on more than "
            "where a clock is."
        )
    return _simulated(scheduler, num_updates, names, is_asked)


def group_names(optimizer: Any) -> list[str]:
    """Return what a preview calls the groups of an optimizer, or of several as one."""
    return [
        str(group.get("name", label.place)) if label.is_index else label.name
        for group, label in zip(optimizer.param_groups, labels_of(optimizer), strict=True)
    ]


def _as_held(column: array[float], held: Any) -> array[float]:
    """Return the values as a group holds them: a float32 tensor rounds what is put into it."""
    if not isinstance(held, Tensor) or held.dtype == torch.float64:
        return column
    exact = torch.tensor(column, dtype=torch.float64)
    return array("d", exact.to(held.dtype).to(torch.float64).tolist())


@randomness_kept()
def _simulated(scheduler: Any, num_updates: int, names: list[str], is_asked: bool) -> Preview:
    twin = Twin([scheduler])
    position = 0 if is_told(scheduler) else twin.position
    if num_updates <= position and not is_asked:
        # Past its horizon, as after a warmup, the default is to look as far ahead once more.
        num_updates = position + max(num_updates, _FEW)
    if num_updates <= position:
        raise ValueError(
            f"num_updates={num_updates!r}: {type(scheduler).__name__} has made {position} updates "
            "already, and its preview starts from there. Write a larger number."
        )
    check_number(num_updates - position)
    for update in range(position, num_updates):
        twin.go_to(update)
        twin.record.note(twin.stub.param_groups)
    columns = {name: twin.record.columns(field) for name, (field, _) in twin.fields.items()}
    return Preview(columns, position, names, position=position)


class Twin:
    """Copies of one optimizer's schedulers, on copies of its groups, that run in their place.

    ``record`` is of what they plan, for the updates that somebody noted.
    """

    def __init__(self, schedulers: Sequence[Any]) -> None:
        for scheduler in schedulers:
            if not is_told(scheduler):
                _refuse_metrics(scheduler)
        #: How many updates had been made when the schedulers were copied.
        self.position = max(map(num_made, schedulers))
        self.schedulers, self.stub = _copies_of(schedulers)
        self.record = Record(self.stub.param_groups)
        self._is_planned = [_is_planned(twin, self.stub.param_groups) for twin in self.schedulers]
        #: Whether schedules alone say the values, and no code of somebody else runs.
        self.is_planned = all(self._is_planned)
        self._at = self.position
        for twin in filter(is_told, self.schedulers):
            for field in twin._fields.values():
                field.write(self.stub.param_groups, field.bases(self.stub.param_groups))

    def go_to(self, update: int, clocks: Sequence[Any] = ()) -> None:
        """Put the values for ``update`` in force, which is the update at hand or a later one.

        Where a scheduler's plan is in another unit, its clock is at the number of the same place.
        """
        places = clocks or [update] * len(self.schedulers)
        for twin, is_planned, at in zip(self.schedulers, self._is_planned, places, strict=True):
            if clock_of(twin) != UPDATES:
                twin.step_update(at)
            elif is_planned or is_told(twin):
                twin.step_update(update)
            else:
                for _ in range(self._at, update):
                    twin.step()
        self._at = update

    def meet_groups_of(self, optimizers: Sequence[Any]) -> None:
        """Take copies of the groups that the optimizers got since."""
        for stub, real in zip(each_of(self.stub), optimizers, strict=True):
            for group in real.param_groups[len(stub.param_groups) :]:
                stub.add_group(group)

    @property
    def fields(self) -> dict[str, tuple[Field, frozenset[int]]]:
        """By name each planned field, with the places of the groups that no plan is for.

        These are the schedulers' own fields, and what other schedulers have changed.
        """
        ours = [twin for twin in self.schedulers if isinstance(twin, SchedulerBase)]
        found: dict[str, tuple[Field, frozenset[int]]] = {}
        for field in (field for twin in ours for field in twin._fields.values()):
            _, left_out = found.get(field.name, (field, field.left_out))
            found[field.name] = field, left_out & field.left_out
        if len(ours) < len(self.schedulers):
            keys = {field.key for field, _ in found.values()}
            others = (field for field in self.record.changed() if field.key not in keys)
            found |= {field.name: (field, frozenset()) for field in others}
        return found


def is_told(scheduler: Any) -> bool:
    """Say whether a scheduler is told the number of updates, and does not count them itself."""
    return isinstance(scheduler, SchedulerBase) and not isinstance(scheduler, StatefulSchedulerBase)


def num_made(scheduler: Any) -> int:
    """Return how many updates a scheduler has counted, or was told of last."""
    if isinstance(scheduler, SchedulerBase):
        return scheduler._num_updates or 0
    while not hasattr(scheduler, "last_epoch"):  # a ChainedScheduler does not count itself
        scheduler = scheduler._schedulers[0]
    return int(scheduler.last_epoch)


def _is_planned(scheduler: Any, groups: list[Group]) -> bool:
    if not isinstance(scheduler, SchedulerBase):
        return False
    for field in scheduler._fields.values():
        field.adopt(groups)
    return scheduler._planned(1, groups) is not None


def _refuse_metrics(scheduler: Any) -> None:
    parameters = list(inspect.signature(scheduler.step).parameters.values())
    if parameters and parameters[0].default is inspect.Parameter.empty:
        raise ValueError(
            f"{type(scheduler).__name__}.step needs {parameters[0].name!r} each time, so what it "
            "will do depends on the training, and there is no plan to preview."
        )


def _copies_of(schedulers: Sequence[Any]) -> tuple[list[Any], Stub | Optimizers]:
    """Return copies of the schedulers of one optimizer, and the stub that is theirs."""
    memo: dict[int, Any] = {}
    optimizer = schedulers[0].optimizer
    stubs = [Stub(one) for one in each_of(optimizer)]
    stub = Optimizers(stubs) if isinstance(optimizer, Optimizers) else stubs[0]
    for one in stubs:
        memo.update(one.stands_for)
    for scheduler in schedulers:
        memo[id(scheduler.optimizer)] = stub
    while hasattr(optimizer, "optimizer"):  # Accelerate's wrapper
        optimizer = optimizer.optimizer
        memo[id(optimizer)] = stub
    copies = []
    for scheduler in schedulers:
        try:
            twin = copy.deepcopy(scheduler, memo)
        except Exception as error:
            raise TypeError(
                f"{type(scheduler).__name__} is previewed by running a copy, but it cannot be "
                f"copied: {error} Keep what cannot be copied out of the scheduler's attributes, or "
                "give the class a __deepcopy__."
            ) from error
        if isinstance(twin, SchedulerBase):
            # What was changed by hand since is for the real one to warn of.
            for field in twin._fields.values():
                field.last = []
        copies.append(twin)
    return copies, stub


class Record:
    """What parameter groups hold, update by update, with 8 bytes for a number."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.num_updates = 0
        self._changed = {"lr"}
        self._columns: dict[str, list[Any]] = {
            key: [array("d") for _ in groups]
            for key in dict.fromkeys(key for group in groups for key in group)
            if key == "lr" or not key.startswith("initial_")
            if any(_is_scheduled_kind(group.get(key)) for group in groups)
        }

    def held(self, groups: Sequence[Group]) -> list[Group]:
        """Return what is to be noted of the groups, in plain numbers."""
        return [{key: plain(group.get(key)) for key in self._columns} for group in groups]

    def note(self, groups: Sequence[Group]) -> None:
        """Write down what is held now; groups that were not there before have None so far."""
        for key, columns in self._columns.items():
            new = len(groups) - len(columns)
            columns += [[None] * self.num_updates for _ in range(new)]
            values = [plain(group.get(key)) for group in groups]
            for i, (value, column) in enumerate(zip_longest(values, columns)):
                if type(value) is not float and type(column) is array:
                    columns[i] = column = list(column)
                column.append(value)
                if value != column[0]:
                    self._changed.add(key)
        self.num_updates += 1

    def changed(self) -> list[Field]:
        """Return the learning rate, and the fields that did not stay as they were."""
        return [Field(key) for key in self._columns if key in self._changed]

    def columns(self, field: Field, left_out: Container[int] = ()) -> list[Column]:
        """Return the values of a field, for each group; None for those that are left out."""
        result: list[Column] = []
        for i, column in enumerate(self._columns[field.key]):
            if i in left_out:
                column = [None] * self.num_updates
            values = column if field.index is None else entries(column, field.index)
            is_plain = type(values) is not array and all(type(value) is float for value in values)
            result.append(array("d", values) if is_plain else values)
        return result

    def last(self, field: Field, left_out: Container[int] = ()) -> list[Any]:
        """Return the values that were noted last, as :meth:`columns` does."""
        values = (
            None if i in left_out else column[-1]
            for i, column in enumerate(self._columns[field.key])
        )
        return [None if value is None else field.entry(value) for value in values]


def _is_scheduled_kind(value: Any) -> bool:
    value = plain(value)
    entries = value if isinstance(value, tuple) else (value,)
    return bool(entries) and all(type(entry) is float for entry in entries)
