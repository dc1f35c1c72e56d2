"""What the optimizer really ran with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import entries
from pytorch_accelerated.schedulers.held import plain

Applied = dict[str, list[list[Any]]]
"""By field: for each update, the values of all parameter groups."""


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


@dataclass(eq=False, repr=False)
class ScheduleMonitorCallback(TrainerCallback):
    """Records the values of scheduled fields that each optimizer update ran with.

    They are read from the parameter groups right after the update, before the scheduler's step,
    so skipped steps leave no trace. Tensor values are copied on their device; nothing waits for
    it until `applied` is read.

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
    def _applied(self) -> Applied:
        return {field: [] for field in self.fields or ()}

    @property
    def applied(self) -> Applied:
        """By field, for each update in order: the values of all groups; ``None`` for no value."""
        for updates in self._applied.values():
            updates[:] = [list(map(plain, values)) for values in updates]
        return {field: [list(values) for values in all_] for field, all_ in self._applied.items()}

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if not self._is_resumed:
            self._applied = {}
        self._is_resumed = False
        groups = trainer.optimizer.param_groups
        for field in scheduled_fields(groups) if self.fields is None else self.fields:
            if self.fields is not None and not any(field in group for group in groups):
                known = sorted({str(key) for group in groups for key in group} - {"params"})
                raise ValueError(
                    f"no parameter group has the field {field!r} that is to be monitored; "
                    f"there are: {', '.join(known)}"
                )
            # There are no values for the updates that a resumed run has made without the field.
            others = next(iter(self._applied.values()), [])
            self._applied.setdefault(field, [[None] * len(values) for values in others])

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        groups = trainer.optimizer.param_groups
        for field, updates in self._applied.items():
            updates.append([copy_of_value(group.get(field)) for group in groups])

    def state_dict(self) -> dict[str, Any]:
        return {"applied": self.applied}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._applied = {
            field: [list(values) for values in updates]
            for field, updates in state_dict["applied"].items()
        }
        self._is_resumed = True

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
