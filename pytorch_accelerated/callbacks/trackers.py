"""Sending a run's numbers to experiment trackers."""

from __future__ import annotations

import json
import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

with warnings.catch_warnings():
    # In a notebook without ipywidgets, tqdm warns about bars that nothing here draws.
    warnings.filterwarnings("ignore", "IProgress not found")
    from accelerate.tracking import filter_trackers

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.callbacks.log_metrics import NewMetrics, numbers_in
from pytorch_accelerated.callbacks.schedule_monitor import copy_of_value, scheduled_fields
from pytorch_accelerated.checks import entries, whole
from pytorch_accelerated.schedulers.held import plain
from pytorch_accelerated.schedulers.optimizers import as_one


@dataclass(eq=False, repr=False)
class LogToTrackersCallback(TrainerCallback):
    """Sends losses, metrics and scheduled values to Accelerate's trackers.

    For each optimizer update *k*, at step *k*: ``train_loss``, the mean loss of its batches over
    all processes, and ``{field}/group_{i}``, what parameter group *i* held in the field while the
    update was made (``…_0``, ``…_1`` are added for each part of a tuple such as ``betas``). And all
    numbers that the run history gets, each at the number of updates that had been made by then.

    Numbers stay on the device until ``flush_every`` updates have gathered, the epoch ends, or a
    checkpoint is written; only then the host waits for them.

    Each value is sent once, whatever ended a run that another one continues: a file in the
    ``checkpoint_dir`` says what the trackers have. (With several processes, the updates since the
    last time are sent by the run that continues, since an error may have struck one of them alone.)

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

    log_with: str | Any | Sequence[str | Any] | None = None
    logging_dir: str | Path | None = None
    project_name: str = "training"
    config: dict[str, Any] | None = None
    init_kwargs: dict[str, Any] | None = None
    fields: Sequence[str] | None = None
    flush_every: int = 100

    last_in = (
        "on_train_epoch_start",
        "on_train_step_end",
        "on_update_end",
        "on_eval_epoch_end",
        "on_training_run_epoch_end",
        "on_training_run_end",
        "on_evaluation_run_end",
    )
    _num_updates = 0
    _is_resumed = False
    _mark: Path | None = field(default=None, init=False)
    _values: dict[str, Any] | None = field(default=None, init=False)
    _new = cached_property(lambda self: NewMetrics())
    _losses = cached_property(lambda self: list[torch.Tensor]())
    _unsent = cached_property(lambda self: deque[_Entry]())
    # Of each name, the step of the latest value, and its index among those of that step.
    _places = cached_property(lambda self: dict[str, tuple[int, int]]())
    # The same of what the trackers have, which a run that failed has sent, too.
    _sent = cached_property(lambda self: dict[str, tuple[int, int]]())

    def __post_init__(self) -> None:
        if self.fields is not None:
            self.fields = entries("fields", self.fields, "['lr']")
        self.flush_every = whole("flush_every", self.flush_every, minimum=1)

    def on_prepare_start(self, trainer: Any, **kwargs: Any) -> None:
        self._new.know_all(trainer.run_history)

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        history, folder = trainer.run_history, trainer.run.checkpoint_dir
        self._mark = folder and folder / "sent_to_trackers.json"
        self._sent = {}
        if self._is_resumed and self._mark is not None and self._mark.is_file():
            sent = json.loads(self._mark.read_text(encoding="utf-8"))
            self._sent = {name: tuple(place) for name, place in sent.items()}
        if self._is_resumed or trainer.run.num_updates:
            self._new.know_all(history)
        else:
            self._new.forget_if_reset(history)
        if not self._is_resumed:
            self._places = {}
            if history.current_epoch == 1:
                self._num_updates = 0
            # The checkpoint that a run continues from may be without a state of this callback.
            self._num_updates = max(self._num_updates, trainer.run.num_updates)
        self._is_resumed = False
        self._losses.clear()
        self._unsent.clear()
        self._values = None
        self._open(trainer)

    def on_train_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], step: int, **kwargs: Any
    ) -> None:
        loss = torch.as_tensor(batch_output["loss"]).detach()
        self._losses.append(loss.mean() if loss.dim() else loss)
        if self._values is not None:
            self._unsent.append(_Entry(self._num_updates, self._values, self._losses))
            self._values, self._losses = None, []
            self._num_updates += 1
        self._take_metrics(trainer)

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        groups = as_one(trainer.optimizer).param_groups
        self._values = {
            f"{name}/group_{index}": copy_of_value(group[name])
            for name in self.fields or scheduled_fields(groups)
            for index, group in enumerate(groups)
            if name in group
        }

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        self._take_metrics(trainer)
        if self._num_updates % self.flush_every == 0:
            self._flush(trainer)

    def on_evaluation_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._mark, self._sent = None, {}
        self._open(trainer)

    def after_run(self, trainer: Any) -> None:
        # What an error has cut off; it may have struck one of several processes alone.
        if trainer.run.num_processes == 1:
            self._flush(trainer)

    def _take_metrics(self, trainer: Any, **kwargs: Any) -> None:
        """Note what was recorded since the last time, at the number of updates made."""
        new = self._new.take(trainer.run_history)
        for index in range(max(map(len, new.values()), default=0)):
            metrics = {name: values[index] for name, values in new.items() if index < len(values)}
            self._unsent.append(_Entry(self._num_updates, metrics, []))

    on_train_epoch_start = on_eval_epoch_end = _take_metrics

    def _flush(self, trainer: Any, **kwargs: Any) -> None:
        """Send what was noted, in its order."""
        self._take_metrics(trainer)
        if not self._unsent:
            return
        losses = iter(self._mean_losses(trainer))
        while self._unsent:
            step, unread, of_batches = self._unsent.popleft()
            values = _numbers(unread)
            if of_batches:
                values["train_loss"] = sum(islice(losses, len(of_batches))) / len(of_batches)
            values = {name: value for name, value in values.items() if self._is_new(name, step)}
            if values:
                trainer.run.accelerator.log(values, step=step)
        if self._mark is not None and trainer.run.accelerator.is_main_process:
            written = self._mark.with_suffix(".part")
            written.write_text(json.dumps(self._sent), encoding="utf-8")
            written.replace(self._mark)

    on_training_run_epoch_end = on_training_run_end = on_evaluation_run_end = _flush
    before_checkpoint = _flush

    def _is_new(self, name: str, step: int) -> bool:
        """Return whether the trackers do not have this value yet, and note that they do then."""
        last_step, nth = self._places.get(name, (-1, 0))
        place = self._places[name] = (step, nth + 1 if step == last_step else 0)
        is_new = place > self._sent.get(name, (-1, 0))
        if is_new:
            self._sent[name] = place
        return is_new

    def _mean_losses(self, trainer: Any) -> list[float]:
        """Return the losses that are not sent yet, each as the mean over all processes."""
        unread = [loss for entry in self._unsent for loss in entry.losses]
        if not unread:
            return []
        stacked = torch.stack(unread).to(trainer.device, torch.float32)
        if trainer.run.num_processes > 1:
            stacked = trainer.run.accelerator.reduce(stacked, reduction="mean")
        losses: list[float] = stacked.tolist()
        return losses

    def _open(self, trainer: Any) -> None:
        accelerator = trainer.run.accelerator
        if sum(isinstance(one, LogToTrackersCallback) for one in trainer.callback_handler) > 1:
            raise ValueError(
                "there are two callbacks for trackers, and each would send everything to all of "
                "them. Give one LogToTrackersCallback, with log_with=[…] for several trackers."
            )
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
                f"log_with={self.log_with!r}: there is no tracker to log to. Write "
                f"log_with='tensorboard' with a logging_dir, or another tracker that is installed."
            )
        accelerator.init_trackers(self.project_name, self.config, self.init_kwargs or {})

    def state_dict(self) -> dict[str, Any]:
        return {"num_updates": self._num_updates, "places": self._places}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._num_updates = state_dict["num_updates"]
        self._places = {name: tuple(place) for name, place in state_dict["places"].items()}
        self._is_resumed = True


class _Entry(NamedTuple):
    """What is sent at once: of an update, with the losses of its batches, or metrics."""

    step: int
    values: dict[str, Any]
    losses: list[torch.Tensor]


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Return what is a number or a tuple of numbers, each under a name of its own."""
    entry = {}
    for name, value in values.items():
        value = plain(value)
        is_tuple = isinstance(value, tuple)
        parts = {f"{name}_{i}": part for i, part in enumerate(value)} if is_tuple else {name: value}
        entry.update({key: number for key, part in parts.items() for number in numbers_in([part])})
    return entry
