"""Following the best value of a metric: to stop when it no longer improves, to keep its model."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import StopTrainingError, TrainerCallback
from pytorch_accelerated.checks import finite, whole, wrong_kind

# What the Trainer records in evaluations only. Any other metric may come from anywhere.
_OF_EVALUATIONS = {"eval_loss_epoch", "ema_model_eval_loss_epoch", "intermediate_eval_loss"}


class MetricWatcher(TrainerCallback):
    """Follows the best value of a metric over the epochs of a run.

    A NaN is never the best.

    Args:
        watch_metric: Name of the metric in the run history.
        greater_is_better: Whether larger values are better.
        reset_on_train: Whether each run starts without a best value; a resumed run continues
            with the one of its checkpoint.

    Attributes:
        best_metric: The best value so far, or ``None``.
        best_metric_epoch: The epoch it was reached in, or ``None``.
    """

    watch_metric: str = "eval_loss_epoch"
    greater_is_better: bool = False
    reset_on_train: bool = True
    best_metric: float | None = None
    best_metric_epoch: int | None = None
    _is_resumed: bool = False

    def __init__(self, watch_metric: str, greater_is_better: bool, reset_on_train: bool) -> None:
        self.watch_metric = watch_metric
        self.greater_is_better = greater_is_better
        self.reset_on_train = reset_on_train
        self.__post_init__()

    def __post_init__(self) -> None:
        name = self.watch_metric
        if not isinstance(name, str):
            raise wrong_kind("watch_metric", name, "a metric's name, such as 'eval_loss_epoch'.")

    def reset(self) -> None:
        """Forget the best value."""
        self.best_metric = None
        self.best_metric_epoch = None

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if self.reset_on_train and not self._is_resumed:
            self.reset()
        self._is_resumed = False
        if trainer.eval_dataset is None and self.watch_metric in _OF_EVALUATIONS:
            raise ValueError(
                f"{type(self).__name__} watches {self.watch_metric!r}, which only an evaluation "
                f"records, but the run has no eval_dataset. Write train(…, eval_dataset=…), or "
                f"watch a metric of training such as 'train_loss_epoch'."
            )

    def current_value(self, trainer: Any) -> float:
        """Return the latest value of the metric, as a plain number.

        Raises:
            ValueError: Nothing has recorded the metric.
        """
        watched, names = self.watched_name(), list(trainer.run_history.get_metric_names())
        if watched not in names:
            raise ValueError(
                f"{type(self).__name__} watches {watched!r}, but nothing has recorded it. "
                f"Recorded are: {', '.join(map(repr, names)) or 'no metrics'}"
            )
        return float(trainer.run_history.get_latest_metric(watched))

    def watched_name(self) -> str:
        """Return the name that the run history has for the metric."""
        return self.watch_metric

    def is_improvement(self, value: float, threshold: float = 0.0) -> bool:
        """Return whether ``value`` is better than the best so far by more than ``threshold``."""
        if math.isnan(value):
            return False
        if self.best_metric is None:
            return True
        gain = value - self.best_metric if self.greater_is_better else self.best_metric - value
        return gain > threshold

    def take_best(self, trainer: Any, value: float) -> None:
        """Remember ``value`` as the best, reached in the current epoch."""
        self.best_metric = value
        self.best_metric_epoch = trainer.run_history.current_epoch

    def state_dict(self) -> dict[str, Any]:
        return {"best_metric": self.best_metric, "best_metric_epoch": self.best_metric_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best_metric = state_dict["best_metric"]
        self.best_metric_epoch = state_dict["best_metric_epoch"]
        self._is_resumed = True


@dataclass(eq=False, repr=False)
class EarlyStoppingCallback(MetricWatcher):
    """Ends the run when a metric has not improved for some epochs.

    Args:
        early_stopping_patience: Number of epochs in a row without improvement that end the run;
            0 acts like 1.
        early_stopping_threshold: By more than how much the metric has to be better than its best
            value to count as improved. By default any improvement counts.
        watch_metric: Name of the metric in the run history.
        greater_is_better: Whether larger values are better.
        reset_on_train: Whether each run starts anew; a resumed run continues with the best value
            and the counter of its checkpoint.
        threshold_is_relative: Whether the threshold is a share of the best value's size: with
            0.01, a loss has to fall by more than a hundredth.

    Attributes:
        early_stopping_patience_counter: Number of epochs in a row without improvement.
        best_metric: The best value so far, or ``None``.
        best_metric_epoch: The epoch it was reached in, or ``None``.

    Raises:
        TypeError: Patience is not an integer, or the threshold is not a number.
        ValueError: Patience or threshold is negative, or the threshold is not finite.
    """

    early_stopping_patience: int = 1
    early_stopping_threshold: float = 0.0
    watch_metric: str = "eval_loss_epoch"
    greater_is_better: bool = False
    reset_on_train: bool = True
    threshold_is_relative: bool = False

    early_stopping_patience_counter: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("early_stopping_patience", self.early_stopping_patience)
        finite("early_stopping_threshold", self.early_stopping_threshold)
        if self.early_stopping_threshold < 0:
            raise ValueError(
                f"early_stopping_threshold={self.early_stopping_threshold!r} is negative, but it "
                f"is the size of an improvement in either direction. Write "
                f"early_stopping_threshold={-self.early_stopping_threshold!r}."
            )

    def reset(self) -> None:
        super().reset()
        self.early_stopping_patience_counter = 0

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        value, threshold = self.current_value(trainer), self.early_stopping_threshold
        if self.threshold_is_relative and self.best_metric is not None:
            # A share of infinity would let nothing count as better.
            threshold *= abs(self.best_metric) if math.isfinite(self.best_metric) else 0.0
        if self.is_improvement(value, threshold):
            self.take_best(trainer, value)
            self.early_stopping_patience_counter = 0
            return
        self.early_stopping_patience_counter += 1
        count = self.early_stopping_patience_counter
        if count < self.early_stopping_patience:
            return
        message = f"Stopping early: {self.watch_metric} is {value:.6g}"
        if self.best_metric is not None:
            message += f", which in {count} epoch{'s' * (count > 1)} has not become better than "
            message += f"{self.best_metric:.6g}" + f" by more than {threshold:g}" * (threshold > 0)
        raise StopTrainingError(message)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "counter": self.early_stopping_patience_counter}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.early_stopping_patience_counter = state_dict["counter"]


@dataclass(eq=False, repr=False)
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

    save_path: str | Path = "best_model.pt"
    watch_metric: str = "eval_loss_epoch"
    greater_is_better: bool = False
    reset_on_train: bool = True
    save_optimizer: bool = True
    save_scheduler: bool = True
    load_saved_checkpoint: bool = True

    # A training state that is saved at the run's end holds the last weights, not the best.
    last_in = ("on_training_run_end",)
    _saved_to: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.save_path, str | os.PathLike):
            raise wrong_kind("save_path", self.save_path, "the path of a file, such as 'model.pt'.")

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
