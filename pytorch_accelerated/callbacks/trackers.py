"""Sending a run's numbers to experiment trackers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate.tracking import filter_trackers

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.callbacks.log_metrics import NewMetrics, numbers_in
from pytorch_accelerated.callbacks.schedule_monitor import (
    copy_of_value,
    field_names,
    plain_value,
    scheduled_fields,
)
from pytorch_accelerated.checks import whole


class LogToTrackersCallback(TrainerCallback):
    """Sends losses, metrics and scheduled values to Accelerate's trackers.

    For each optimizer update *k*, at step *k*: ``train_loss``, the mean loss of its batches over
    all processes, and ``{field}/group_{i}``, what parameter group *i* held in the field while the
    update was made (``…_0``, ``…_1`` are added for each part of a tuple such as ``betas``). After
    each epoch, and after an evaluation run: the metrics that it recorded, at the number of
    updates made.

    Numbers stay on the device until ``flush_every`` updates have gathered or the epoch ends; only
    then the host waits for them.

    Args:
        log_with: Names of trackers that Accelerate knows, such as ``"tensorboard"``, or
            instances of its ``GeneralTracker``. By default those that the Trainer was given.
        logging_dir: Folder for trackers that write files.
        project_name: Name that the trackers file the run under.
        config: Plain values to store with the run.
        init_kwargs: More arguments for trackers, by tracker.
        fields: Fields to send; by default the learning rate and every field that a scheduler
            schedules.
        flush_every: Number of updates between two writes within an epoch.

    Raises:
        TypeError: ``flush_every`` is not an integer, or ``fields`` is a string.
        ValueError: ``flush_every`` is below 1; or, at the start of a run, there is no tracker.
    """

    last_in: tuple[str, ...] = (
        "on_training_run_epoch_end",
        "on_training_run_end",
        "on_evaluation_run_end",
    )

    log_with: Any = None
    logging_dir: str | Path | None = None
    project_name: str = "training"
    config: dict[str, Any] | None = None
    init_kwargs: dict[str, Any] | None = None
    fields: list[str] | None = None
    flush_every: int = 100
    _num_updates: int = 0
    _is_resumed: bool = False
    _values: dict[str, Any] | None = None

    def __init__(
        self,
        log_with: str | Any | Sequence[str | Any] | None = None,
        logging_dir: str | Path | None = None,
        project_name: str = "training",
        config: dict[str, Any] | None = None,
        init_kwargs: dict[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        flush_every: int = 100,
    ) -> None:
        self.log_with = log_with
        self.logging_dir = logging_dir
        self.project_name = project_name
        self.config = config
        self.init_kwargs = init_kwargs
        self.fields = field_names(fields)
        self.flush_every = whole("flush_every", flush_every, minimum=1)

    @cached_property
    def _new(self) -> NewMetrics:
        return NewMetrics()

    @cached_property
    def _losses(self) -> list[torch.Tensor]:
        return []

    @cached_property
    def _updates(self) -> list[tuple[dict[str, Any], int]]:
        """For each update: the groups' values, and how many losses were gathered up to its end."""
        return []

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if not self._is_resumed:
            if trainer.run_history.current_epoch == 1:
                self._num_updates = 0
            # The checkpoint that a run continues from may be without a state of this callback.
            self._num_updates = max(self._num_updates, trainer.run.num_updates)
        self._is_resumed = False
        self._losses.clear()
        self._updates.clear()
        self._values = None
        self._new.start(trainer)
        self._open(trainer)

    def on_train_step_end(
        self,
        trainer: Any,
        batch: Any,
        batch_output: dict[str, Any],
        step: int,
        **kwargs: Any,
    ) -> None:
        loss = torch.as_tensor(batch_output["loss"]).detach()
        self._losses.append(loss.mean() if loss.dim() else loss)
        if self._values is not None:
            self._updates.append((self._values, len(self._losses)))
            self._values = None
            if len(self._updates) >= self.flush_every:
                self._flush(trainer)

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        groups = trainer.optimizer.param_groups
        self._values = {
            f"{field}/group_{index}": copy_of_value(group[field])
            for field in self.fields or scheduled_fields(groups)
            for index, group in enumerate(groups)
            if field in group
        }

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._flush(trainer)
        self._log_metrics(trainer)

    def on_evaluation_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._new.start(trainer)
        self._open(trainer)

    def on_evaluation_run_end(self, trainer: Any, **kwargs: Any) -> None:
        self._log_metrics(trainer)

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        self._flush(trainer)

    def _log_metrics(self, trainer: Any) -> None:
        new = self._new.take(trainer)
        metrics = {name: one for name, value in new.items() for one in numbers_in([value])}
        if metrics:
            trainer.run.accelerator.log(metrics, step=self._num_updates)

    def _flush(self, trainer: Any) -> None:
        if not self._updates:
            return
        stacked = torch.stack(self._losses).to(trainer.device, torch.float32)
        if trainer.run.num_processes > 1:
            stacked = trainer.run.accelerator.reduce(stacked, reduction="mean")
        losses = stacked.tolist()
        first = 0
        for values, end in self._updates:
            entry = {name: part for key in values for name, part in _parts(key, values[key])}
            entry["train_loss"] = sum(losses[first:end]) / (end - first)
            trainer.run.accelerator.log(entry, step=self._num_updates)
            self._num_updates += 1
            first = end
        self._updates.clear()
        del self._losses[:first]

    def _open(self, trainer: Any) -> None:
        accelerator = trainer.run.accelerator
        if accelerator.trackers:
            return
        if self.log_with is not None:
            several = isinstance(self.log_with, Sequence) and not isinstance(self.log_with, str)
            chosen = list(self.log_with) if several else [self.log_with]
            accelerator.log_with = filter_trackers(chosen, self.logging_dir)
            if self.logging_dir is not None:
                accelerator.project_configuration.logging_dir = str(self.logging_dir)
        if not accelerator.log_with:
            raise ValueError(
                f"there is no tracker to log to (log_with is {self.log_with!r}): give "
                f"log_with='tensorboard' and a logging_dir, or another tracker that is installed"
            )
        accelerator.init_trackers(self.project_name, self.config, self.init_kwargs or {})

    def state_dict(self) -> dict[str, Any]:
        return {"num_updates": self._num_updates + len(self._updates)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._num_updates = state_dict["num_updates"]
        self._is_resumed = True


def _parts(key: str, value: Any) -> list[tuple[str, float]]:
    value = plain_value(value)
    if isinstance(value, tuple):
        return [(f"{key}_{index}", float(part)) for index, part in enumerate(value)]
    return [(key, float(value))]
