"""What the optimizer really ran with."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import entries
from pytorch_accelerated.schedulers.held import plain
from pytorch_accelerated.schedulers.optimizers import as_one

Applied = dict[str, list[list[Any]]]
"""By field: for each update, the values of all parameter groups."""

# Updates whose values are packed at once, and numbers in a part of a record that is complete:
# half a megabyte, which is what a checkpoint writes anew at most.
_TOGETHER = 1024
_OF_A_PART = 1 << 16

_NUMBER = "number"
_CLOCK = "clock/"  # before a clock's name, where it stands beside the fields
_FORMAT = "<f8"  # eight bytes, the lowest first, as in the other files of a checkpoint


def scheduled_fields(groups: Iterable[dict[str, Any]]) -> list[str]:
    """Return the learning rate, and every field of the groups that a scheduler has a base for.

    Example:
        >>> scheduled_fields([{"lr": 0.1, "momentum": 0.9, "initial_momentum": 0.9, "nesterov": 0}])
        ['lr', 'momentum']
    """
    fields = {"lr": None}
    for group in groups:
        fields.update({field: None for field in group if f"initial_{field}" in group})
    return list(fields)


def copy_of_value(value: Any) -> Any:
    """Return a value that stays when the group's changes; tensors stay on their device."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, tuple | list):
        return tuple(copy_of_value(part) for part in value)
    return value


class _Record:
    """Values of updates, of which all numbers are packed: eight bytes for each.

    Attributes:
        layouts: What the updates have in common, and how many follow each other that have: by
            field, for each group, what is no number, and marks where there is one.
        parts: Numbers, in pieces that do not change any more.
        rest: The numbers that follow.
    """

    def __init__(self) -> None:
        self.layouts: list[list[Any]] = []
        self.parts: list[bytes] = []
        self.rest = array("d")
        self._kinds: Any = None  # those of the latest layout, if it is of numbers alone

    def add(self, update: dict[str, list[Any]]) -> None:
        """Append the values of an update."""
        kinds = {name: [*map(type, values)] for name, values in update.items()}
        if self._kinds == kinds and [*self._kinds] == [*kinds]:
            for values in update.values():
                self.rest.extend(values)
        else:
            layout = {name: [self._take(one) for one in values] for name, values in update.items()}
            if not self.layouts or repr(self.layouts[-1][0]) != repr(layout):
                self.layouts.append([layout, 0])
            is_plain = all(kind is float for of_groups in kinds.values() for kind in of_groups)
            self._kinds = kinds if is_plain else None
        self.layouts[-1][1] += 1
        while len(self.rest) >= _OF_A_PART:
            self.parts.append(_packed(self.rest[:_OF_A_PART]))
            del self.rest[:_OF_A_PART]

    def _take(self, value: Any) -> Any:
        if isinstance(value, float):
            self.rest.append(value)
            return _NUMBER
        return tuple(map(self._take, value)) if isinstance(value, tuple) else [value]

    def __iter__(self) -> Iterator[dict[str, list[Any]]]:
        parts = (np.frombuffer(part, _FORMAT).tolist() for part in self.parts)
        numbers = chain(chain.from_iterable(parts), self.rest)
        for layout, count in self.layouts:
            for _ in range(count):
                yield {
                    name: [_given(one, numbers) for one in values]
                    for name, values in layout.items()
                }

    def state_dict(self) -> dict[str, Any]:
        rest = [_packed(self.rest)] if self.rest else []
        return {"layouts": [*map(list, self.layouts)], "parts": [*self.parts, *rest]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.layouts = [[layout, count] for layout, count in state["layouts"]]
        *self.parts, rest = state["parts"] or [b""]
        self.rest = array("d", np.frombuffer(rest, _FORMAT).tolist())


def _packed(numbers: array[float]) -> bytes:
    return np.array(numbers, _FORMAT).tobytes()


def _given(mark: Any, numbers: Iterator[float]) -> Any:
    if mark == _NUMBER:
        return next(numbers)
    return tuple(_given(one, numbers) for one in mark) if isinstance(mark, tuple) else mark[0]


@dataclass(eq=False, repr=False)
class ScheduleMonitorCallback(TrainerCallback):
    """Records the values of scheduled fields that each optimizer update ran with.

    They are read from the parameter groups right after the update, before the scheduler's step,
    so skipped steps leave no trace. A number takes eight bytes, in memory and in checkpoints, which
    share the files of what is recorded already. Tensor values are copied on their device; nothing
    waits for it until 1024 updates have gathered, `applied` is read, or a checkpoint is written.

    Args:
        fields: Names of fields. By default the learning rate and every field that a scheduler
            schedules.

    Example:
        >>> monitor = ScheduleMonitorCallback(fields=["lr"])
        >>> monitor.applied
        {'lr': []}
    """

    fields: Iterable[str] | None = None

    _is_resumed = False

    def __post_init__(self) -> None:
        if self.fields is not None:
            self.fields = entries("fields", self.fields, "['lr']")

    @cached_property
    def _names(self) -> list[str]:
        return list(self.fields or ())

    _now = cached_property(lambda self: dict[str, float]())
    _record = cached_property(lambda self: _Record())
    _unread = cached_property(lambda self: list[dict[str, list[Any]]]())

    def _read(self) -> _Record:
        """Return the record, with all updates that were made."""
        for update in self._unread:
            self._record.add({name: [*map(plain, values)] for name, values in update.items()})
        self._unread.clear()
        return self._record

    @property
    def applied(self) -> Applied:
        """By field, for each update in order: the values of all groups; ``None`` for no value."""
        applied: Applied = {name: [] for name in self._names}
        for update in self._read():
            num_groups = len(next(iter(update.values()), []))
            for name, updates in applied.items():
                # A resumed run may have made updates without the field.
                updates.append(update.get(name) or [None] * num_groups)
        return applied

    @property
    def clocks(self) -> dict[str, list[float]]:
        """By clock that the run counts, such as ``samples``: where it was before each update."""
        found: dict[str, list[float]] = {}
        for update in self._read():
            for name, (position, *_) in update.items():
                if name.startswith(_CLOCK):
                    at = position if name == f"{_CLOCK}seconds" else int(position)
                    found.setdefault(name.removeprefix(_CLOCK), []).append(at)
        return found

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._read()
        if not self._is_resumed:
            self._record, self._names = _Record(), []
        self._is_resumed, self._now = False, trainer.run.clocks
        groups = as_one(trainer.optimizer).param_groups
        for field in scheduled_fields(groups) if self.fields is None else self.fields:
            if self.fields is not None and not any(field in group for group in groups):
                known = sorted({str(key) for group in groups for key in group} - {"params"})
                raise ValueError(
                    f"no parameter group has the field {field!r} that is to be monitored; "
                    f"there are: {', '.join(known)}"
                )
            if field not in self._names:
                self._names.append(field)

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        groups = as_one(trainer.optimizer).param_groups
        self._unread.append(
            {name: [copy_of_value(group.get(name)) for group in groups] for name in self._names}
        )
        if self._now:
            at = {f"{_CLOCK}{name}": [float(place)] for name, place in self._now.items()}
            self._unread[-1].update(at)
            self._now = trainer.run.clocks
        if len(self._unread) == _TOGETHER:
            self._read()

    def state_dict(self) -> dict[str, Any]:
        return {"names": list(self._names), **self._read().state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._record, self._is_resumed = _Record(), True
        self._unread.clear()
        if "applied" not in state_dict:
            self._names = list(state_dict["names"])
            self._record.load_state_dict(state_dict)
            return
        applied = state_dict["applied"]  # of a checkpoint before numbers were packed
        self._names = list(applied)
        for values in zip(*applied.values(), strict=True):
            self._record.add(dict(zip(applied, values, strict=True)))

    def write_json(self, path: str | Path) -> None:
        """Write `applied` to a file; `read_json` gives back the same numbers, bit for bit."""
        Path(path).write_text(json.dumps(self.applied), encoding="utf-8")

    @staticmethod
    def read_json(path: str | Path) -> Applied:
        """Return what `write_json` wrote to a file."""
        applied = json.loads(Path(path).read_text(encoding="utf-8"))
        return {
            field: [
                [tuple(value) if isinstance(value, list) else value for value in values]
                for values in updates
            ]
            for field, updates in applied.items()
        }
