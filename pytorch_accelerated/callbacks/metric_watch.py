"""What callbacks that follow a metric have in common."""

from __future__ import annotations

import math
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import wrong_kind

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
        if not isinstance(watch_metric, str):
            raise wrong_kind(
                "watch_metric",
                watch_metric,
                "the name of a metric. Write watch_metric='eval_loss_epoch'.",
            )
        self.watch_metric = watch_metric
        self.greater_is_better = greater_is_better
        self.reset_on_train = reset_on_train

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
