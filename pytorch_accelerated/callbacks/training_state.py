"""Saving whole training states, to resume from."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
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
    _is_resumed = False
    _saved_checkpoints = cached_property(lambda self: list[Path]())

    def __post_init__(self) -> None:
        self.save_dir = folder("save_dir", self.save_dir)
        for name in ("save_every_n_epochs", "save_every_n_steps", "max_checkpoints"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), minimum=1, otherwise="None for no number")

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        # A run with the history of an earlier one continues its count.
        if not self._is_resumed:
            if trainer.run_history.current_epoch == 1:
                self._global_step = 0
            # The checkpoint that a run continues from may be without a state of this callback.
            self._global_step = max(self._global_step, trainer.run.num_updates)
        self._is_resumed = False

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
        # All processes write into a state, so none may be removed before all are done.
        trainer.run.accelerator.wait_for_everyone()
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
        self._is_resumed = True
