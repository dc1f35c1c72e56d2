"""Saving whole training states to resume from, at intervals or around decays."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import folder, whole


@dataclass(eq=False, repr=False)
class SaveTrainingStateCallback(TrainerCallback):
    """Saves training states that ``train(resume_from=…)`` continues from.

    States are folders in ``save_dir``: ``epoch_{n}`` after epoch *n*, its evaluation and the
    other callbacks; ``step_{n}`` after the run's *n*-th optimizer update; ``final`` at the run's
    end. Each holds the number of updates as ``global_step``. A resumed run continues the count.

    Weights with a NaN or infinity are not saved, with a warning: they would take the place of a
    state that can still be used.

    Args:
        save_dir: Folder of the states.
        save_every_n_epochs: Number of epochs between two states.
        save_every_n_steps: Number of optimizer updates between two states.
        save_at_end: Whether to save at the run's end.
        max_checkpoints: How many states to keep; older ones are removed.

    Raises:
        TypeError: A number is not an integer, or ``save_dir`` is not a path.
        ValueError: A number is below 1, or ``save_dir`` is empty.
    """

    save_dir: str | Path = "training_states"
    save_every_n_epochs: int | None = None
    save_every_n_steps: int | None = None
    save_at_end: bool = True
    max_checkpoints: int | None = None

    last_in = ("on_update_end", "on_training_run_epoch_end")
    _global_step = 0
    _saved_checkpoints = cached_property(lambda self: list[Path]())

    def __post_init__(self) -> None:
        self.save_dir = folder("save_dir", self.save_dir)
        for name in ("save_every_n_epochs", "save_every_n_steps", "max_checkpoints"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), minimum=1, otherwise="None for no number")

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        # A run with the history of an earlier one continues its count. The checkpoint that a run
        # continues from may be without a state of this callback.
        before = self._global_step if trainer.run_history.current_epoch > 1 else 0
        self._global_step = max(before, trainer.run.num_updates)

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        self._global_step += 1
        if self.save_every_n_steps and self._global_step % self.save_every_n_steps == 0:
            self._save(trainer, f"step_{self._global_step}")

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        epoch = trainer.run_history.current_epoch
        if self.save_every_n_epochs and epoch % self.save_every_n_epochs == 0:
            self._save(trainer, f"epoch_{epoch}")

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        if self.save_at_end:
            self._save(trainer, "final")

    def _save(self, trainer: Any, name: str) -> None:
        if not trainer.run.weights_are_finite():
            warnings.warn(
                f"the training state {name} is not saved: the weights hold a NaN or infinity",
                stacklevel=2,
            )
            return
        state = Path(self.save_dir) / name
        if state in self._saved_checkpoints:
            self._saved_checkpoints.remove(state)
        self._saved_checkpoints.append(state)
        num_kept = self.max_checkpoints or len(self._saved_checkpoints)
        old = self._saved_checkpoints[:-num_kept]
        del self._saved_checkpoints[:-num_kept]
        trainer.save_training_state(state, checkpoint_kwargs={"global_step": self._global_step})
        if trainer.run.accelerator.is_main_process:
            for outdated in old:
                shutil.rmtree(outdated, ignore_errors=True)

    def state_dict(self) -> dict[str, Any]:
        return {
            "global_step": self._global_step,
            "saved_checkpoints": [str(state) for state in self._saved_checkpoints],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._global_step = state_dict["global_step"]
        self._saved_checkpoints = [Path(state) for state in state_dict["saved_checkpoints"]]


@dataclass(eq=False, repr=False)
class WSDCheckpointCallback(TrainerCallback):
    """Saves before and after each decay of a `WSDLrScheduler`.

    Before a decay, a training state goes into the folder ``checkpoint_{n}_wsd_pre_decay``:
    training can continue from it at the full rate, or decay from it again. After a decay, a
    checkpoint goes into the file ``checkpoint_{n}_wsd_post_decay.pt``. *n* is the number of
    optimizer updates made. Each holds ``step``, ``checkpoint_type``, ``total_steps``,
    ``decay_fraction`` and ``timestamp``.

    Args:
        save_dir: Folder of the checkpoints; made at once.
        save_optimizer: Whether the file after a decay holds the optimizer's state.
        save_scheduler: Whether the file after a decay holds the scheduler's state.
        initial_checkpoint: What to load at the start of a run: a training state (a folder) or a
            checkpoint (a file).

    Attributes:
        last_checkpoint_step: The update of the latest checkpoint, or ``None``.
        checkpoint_steps: The updates at which the decays end.
        decay_info: Where each period starts, decays and ends.
        decay_fraction: Share of a period that decays.

    Raises:
        ValueError: At the start of a run, the scheduler does not tell its checkpoints.
        FileNotFoundError: At the start of a run, there is no ``initial_checkpoint``.
    """

    save_dir: str | Path = "checkpoints"
    save_optimizer: bool = True
    save_scheduler: bool = True
    initial_checkpoint: str | Path | None = None

    last_in = ("on_update_end",)
    last_checkpoint_step: int | None = field(default=None, init=False)
    decay_fraction: float | None = field(default=None, init=False)
    checkpoint_steps = cached_property(lambda self: list[int]())
    decay_info = cached_property(lambda self: list[dict[str, int]]())

    def __post_init__(self) -> None:
        self.save_dir = folder("save_dir", self.save_dir)
        self.save_dir.mkdir(parents=True, exist_ok=True)
        if self.initial_checkpoint is not None:
            self.initial_checkpoint = folder(
                "initial_checkpoint", self.initial_checkpoint, "that of a checkpoint's file"
            )

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if not hasattr(trainer.scheduler, "get_checkpoint_steps"):
            raise ValueError(
                f"WSDCheckpointCallback needs a scheduler that tells its checkpoints, such as "
                f"WSDLrScheduler, but the run's scheduler is {trainer.scheduler!r}. Write "
                f"train(…, create_scheduler_fn=WSDLrScheduler.create_scheduler_fn())."
            )
        if self.initial_checkpoint is not None:
            self._load(trainer, Path(self.initial_checkpoint))
        # Loading may have moved the periods.
        scheduler = trainer.scheduler
        self.checkpoint_steps = list(scheduler.get_checkpoint_steps())
        self.decay_info = list(scheduler.get_decay_info())
        self.decay_fraction = getattr(scheduler, "decay_phase_ratio", None)
        self.last_checkpoint_step = None
        if scheduler.get_current_step() == 0:
            self.on_update_end(trainer)

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        step = trainer.scheduler.get_current_step()
        if step == self.last_checkpoint_step:
            return
        # The last update of a period may be the first before the next one's decay.
        if step and any(period["period_end"] == step for period in self.decay_info):
            self.last_checkpoint_step = step
            trainer.save_checkpoint(
                Path(self.save_dir) / f"checkpoint_{step}_wsd_post_decay.pt",
                checkpoint_kwargs=self._metadata(trainer, step, "wsd_post_decay"),
                save_optimizer=self.save_optimizer,
                save_scheduler=self.save_scheduler,
            )
        if any(
            period["pre_decay_step"] == step and period["period_end"] > step
            for period in self.decay_info
        ):
            self.last_checkpoint_step = step
            trainer.save_training_state(
                Path(self.save_dir) / f"checkpoint_{step}_wsd_pre_decay",
                checkpoint_kwargs=self._metadata(trainer, step, "wsd_pre_decay"),
            )

    on_training_run_end = on_update_end

    def _metadata(self, trainer: Any, step: int, kind: str) -> dict[str, Any]:
        return {
            "step": step,
            "checkpoint_type": kind,
            "total_steps": trainer.scheduler.total_steps,
            "decay_fraction": self.decay_fraction,
            "timestamp": datetime.now(timezone.utc).isoformat(),
        }

    def _load(self, trainer: Any, checkpoint: Path) -> None:
        if checkpoint.is_dir():
            trainer.load_training_state(checkpoint)
        elif checkpoint.is_file():
            trainer.load_checkpoint(checkpoint)
        else:
            raise FileNotFoundError(
                f"initial_checkpoint={str(checkpoint)!r}: there is no such folder or file"
            )
