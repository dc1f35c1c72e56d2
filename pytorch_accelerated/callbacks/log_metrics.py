"""Printing what the run history records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback


class NewMetrics:
    """Tells which metrics of a run history are new since it was last asked."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def start(self, trainer: Any) -> None:
        """Take everything that is recorded so far as known.

        Args:
            trainer: The Trainer.
        """
        history = trainer.run_history
        self._counts = {
            name: len(list(history.get_metric_values(name))) for name in history.get_metric_names()
        }

    def take(self, trainer: Any, prefix: str = "", but_not: str | None = None) -> dict[str, Any]:
        """Latest values of the metrics that were recorded since they were last taken.

        Args:
            trainer: The Trainer.
            prefix: Take only metrics whose name starts so.
            but_not: Leave out metrics whose name starts so.
        """
        history = trainer.run_history
        new = {}
        for name in history.get_metric_names():
            if not name.startswith(prefix) or (but_not and name.startswith(but_not)):
                continue
            values = list(history.get_metric_values(name))
            if values and len(values) != self._counts.get(name, 0):
                self._counts[name] = len(values)
                new[name] = values[-1]
        return new


def numbers_in(values: Iterable[Any]) -> list[float]:
    """Those of a metric's values that are single numbers: users record other things, too.

    Args:
        values: The values.
    """
    numbers = []
    for value in values:
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            numbers.append(float(value))
    return numbers


class LogMetricsCallback(TrainerCallback):
    """Prints the metrics that an epoch has recorded.

    After a training epoch these are the metrics whose name starts with ``train``, after an
    evaluation epoch the others, and after both whatever was recorded since.
    Override `log_metrics` to send them elsewhere.
    """

    last_in: tuple[str, ...] = (
        "on_train_epoch_end",
        "on_eval_epoch_end",
        "on_training_run_epoch_end",
    )

    @cached_property
    def _new(self) -> NewMetrics:
        return NewMetrics()

    def log_metrics(self, trainer: Any, metrics: dict[str, Any]) -> None:
        """Print one metric a line.

        Args:
            trainer: The Trainer.
            metrics: Values by name.
        """
        for name, value in metrics.items():
            trainer.print(f"{name}: {value}")

    def _log(self, trainer: Any, metrics: dict[str, Any]) -> None:
        if metrics:
            self.log_metrics(trainer, metrics)

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._new.start(trainer)

    def on_evaluation_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._new.start(trainer)

    def on_train_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._log(trainer, self._new.take(trainer, prefix="train"))

    def on_eval_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._log(trainer, self._new.take(trainer, but_not="train"))

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._log(trainer, self._new.take(trainer))
