"""Printing what the run history records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.tracking import RunHistory


class NewMetrics:
    """Tells which values of a run history are new since it was last asked."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def know_all(self, history: RunHistory) -> None:
        """Take everything that is recorded so far as known."""
        self._counts = {name: history.num_values(name) for name in history.get_metric_names()}

    def forget_if_reset(self, history: RunHistory) -> None:
        """Take everything as new if the history has lost values that were known."""
        if any(history.num_values(name) < count for name, count in self._counts.items()):
            self._counts.clear()

    def take(self, history: RunHistory) -> dict[str, list[Any]]:
        """Return the values that were recorded since they were last taken, by metric."""
        new = {}
        for name in list(history.get_metric_names()):
            if not name.startswith(history.metric_name_prefix):
                continue  # a callback within an evaluation of averaged weights
            count, known = history.num_values(name), self._counts.get(name, 0)
            if count != known:
                # A metric that was deleted starts anew.
                new[name] = list(history.get_metric_values(name))[known if count > known else 0 :]
                self._counts[name] = count
        return new


def numbers_in(values: Iterable[Any]) -> list[float]:
    """Return those of a metric's values that are single numbers: users record other things, too."""
    numbers = []
    for value in values:
        with contextlib.suppress(TypeError, ValueError, RuntimeError):
            numbers.append(float(value))
    return numbers


class LogMetricsCallback(TrainerCallback):
    """Prints the metrics that an epoch has recorded.

    After each training epoch, each evaluation epoch and both, whatever was recorded since is
    printed. Override `log_metrics` to send them elsewhere.
    """

    last_in: tuple[str, ...] = (
        "on_train_epoch_end",
        "on_eval_epoch_end",
        "on_training_run_epoch_end",
    )

    _new = cached_property(lambda self: NewMetrics())

    def log_metrics(self, trainer: Any, metrics: dict[str, Any]) -> None:
        """Print one metric a line; ``metrics`` has the values by name."""
        for name, value in metrics.items():
            trainer.print(f"{name}: {value}")

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._new.know_all(trainer.run_history)

    on_evaluation_run_start = on_training_run_start

    def on_train_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        new = self._new.take(trainer.run_history)
        if new:
            self.log_metrics(trainer, {name: values[-1] for name, values in new.items()})

    on_eval_epoch_end = on_training_run_epoch_end = on_train_epoch_end
