"""Keeping the best model of a run."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import torch

from pytorch_accelerated.callbacks.metric_watch import MetricWatcher
from pytorch_accelerated.checks import wrong_kind


class SaveBestModelCallback(MetricWatcher):
    """Saves a checkpoint whenever a metric improves, and loads the best one at the run's end.

    The file holds the metric's value under the metric's name.

    Args:
        save_path: File to write.
        watch_metric: Name of the metric in the run history.
        greater_is_better: Whether larger values are better.
        reset_on_train: Whether each run starts anew; a resumed run continues with the best value
            of its checkpoint.
        save_optimizer: Whether the file holds the optimizer's state.
        save_scheduler: Whether the file holds the scheduler's state.
        load_saved_checkpoint: Whether to load the file at the run's end. Only what this run has
            saved is loaded; if that is gone, or ``save_path`` has changed since a part of the run
            that saved it, there is a warning instead.

    Attributes:
        best_metric: The best value so far, or ``None``.
        best_metric_epoch: The epoch it was reached in, or ``None``.
    """

    # A training state that is saved at the run's end holds the last weights, not the best.
    last_in: tuple[str, ...] = ("on_training_run_end",)

    save_path: str | Path = "best_model.pt"
    save_optimizer: bool = True
    save_scheduler: bool = True
    load_saved_checkpoint: bool = True
    _saved_to: str | None = None

    def __init__(
        self,
        save_path: str | Path = "best_model.pt",
        watch_metric: str = "eval_loss_epoch",
        greater_is_better: bool = False,
        reset_on_train: bool = True,
        save_optimizer: bool = True,
        save_scheduler: bool = True,
        load_saved_checkpoint: bool = True,
    ) -> None:
        super().__init__(watch_metric, greater_is_better, reset_on_train)
        if not isinstance(save_path, str | os.PathLike):
            raise wrong_kind(
                "save_path", save_path, "the path of a file. Write save_path='model.pt'."
            )
        self.save_path = save_path
        self.save_optimizer = save_optimizer
        self.save_scheduler = save_scheduler
        self.load_saved_checkpoint = load_saved_checkpoint

    def reset(self) -> None:
        super().reset()
        self._saved_to = None

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        value = self.current_value(trainer)
        if self.is_improvement(value):
            self.take_best(trainer, value)
            self._save(trainer, {self.watch_metric: value})

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        if not self.load_saved_checkpoint or self._saved_to is None:
            return
        is_same = self._saved_to == str(self.save_path)
        is_there = torch.tensor([int(is_same and Path(self.save_path).is_file())])
        # Each machine has a file of its own; all processes have to load it, or none.
        if not trainer.gather(is_there.to(trainer.device)).all():
            problem = "which is gone" if is_same else f"but save_path is {self.save_path} now"
            warnings.warn(
                f"the best model is not loaded: that of epoch {self.best_metric_epoch} was saved "
                f"to {self._saved_to}, {problem}. The model is as training has left it; "
                f"load_checkpoint() loads a file",
                stacklevel=2,
            )
            return
        trainer.load_checkpoint(
            self.save_path,
            load_optimizer=self.save_optimizer,
            load_scheduler=self.save_scheduler,
        )

    def _save(self, trainer: Any, extra: dict[str, Any]) -> None:
        trainer.save_checkpoint(
            self.save_path,
            checkpoint_kwargs=extra,
            save_optimizer=self.save_optimizer,
            save_scheduler=self.save_scheduler,
        )
        self._saved_to = str(self.save_path)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "saved_to": self._saved_to}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._saved_to = state_dict["saved_to"]
