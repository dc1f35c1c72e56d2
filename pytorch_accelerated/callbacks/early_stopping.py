"""Stopping when a metric no longer improves."""

from __future__ import annotations

import math
from typing import Any

from pytorch_accelerated.callbacks.base import StopTrainingError
from pytorch_accelerated.callbacks.metric_watch import MetricWatcher
from pytorch_accelerated.checks import finite, whole


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
    threshold_is_relative: bool = False
    early_stopping_patience_counter: int = 0

    def __init__(
        self,
        early_stopping_patience: int = 1,
        early_stopping_threshold: float = 0.0,
        watch_metric: str = "eval_loss_epoch",
        greater_is_better: bool = False,
        reset_on_train: bool = True,
        threshold_is_relative: bool = False,
    ) -> None:
        super().__init__(watch_metric, greater_is_better, reset_on_train)
        self.early_stopping_patience = whole("early_stopping_patience", early_stopping_patience)
        self.early_stopping_threshold = finite("early_stopping_threshold", early_stopping_threshold)
        if self.early_stopping_threshold < 0:
            raise ValueError(
                f"early_stopping_threshold={early_stopping_threshold!r} is negative, but it is "
                f"the size of an improvement in either direction. Write "
                f"early_stopping_threshold={-early_stopping_threshold!r}."
            )
        self.threshold_is_relative = threshold_is_relative

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
