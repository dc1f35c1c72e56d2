"""Printing what the run history records."""

from __future__ import annotations

import contextlib
import math
import numbers
import time
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.callbacks.schedule_monitor import copy_of_value
from pytorch_accelerated.schedulers.optimizers import as_one
from pytorch_accelerated.text import chosen, duration, measured, readable
from pytorch_accelerated.tracking import RunHistory

_LONGEST = 40  # letters of a value that is not a number


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
    """Prints a line an epoch: what it recorded, its last update's learning rate, and its time.

    The line comes when the epoch's training and evaluation are done; an evaluation within an epoch
    and an evaluation run have lines of their own. Override `log_metrics` to send the metrics
    elsewhere.
    """

    last_in: tuple[str, ...] = (
        "on_eval_epoch_end",
        "on_training_run_epoch_end",
        "on_stop_training_error",
    )

    _new = cached_property(lambda self: NewMetrics())
    _heading: str = ""
    _num_epochs: int = 0
    _since: float = 0.0
    _rate: Any = None

    def log_metrics(self, trainer: Any, metrics: dict[str, Any]) -> None:
        """Print the metrics in one line; ``metrics`` has the values by name."""
        parts = [self._heading]
        parts += [f"{name.removesuffix('_epoch')} {_shown(one)}" for name, one in metrics.items()]
        if self._rate is not None:
            parts.append(f"{self._rate_name(trainer)} {chosen(float(self._rate)):<8}")
        parts.append(duration(time.perf_counter() - self._since))
        trainer.print(readable("  ".join(part for part in parts if part)))

    def _rate_name(self, trainer: Any) -> str:
        groups = as_one(trainer.optimizer).param_groups
        are_equal = all(group.get("lr") == groups[0].get("lr") for group in groups)
        return "lr" if are_equal else f"lr of {groups[0].get('name', 'group 0')}"

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._new.know_all(trainer.run_history)
        self._since, self._rate = time.perf_counter(), None
        config = trainer.run_config
        before, per_epoch = trainer.run_history.current_epoch - 1, config.num_update_steps_per_epoch
        self._num_epochs = before - trainer.run.epoch + config.num_epochs
        if per_epoch and config.max_num_train_steps is not None:
            left = max(0, config.max_num_train_steps - trainer.run.num_updates)
            self._num_epochs = min(self._num_epochs, before + max(1, math.ceil(left / per_epoch)))

    def on_train_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        self._since = time.perf_counter()

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        self._rate = copy_of_value(as_one(trainer.optimizer).param_groups[0].get("lr"))

    def on_eval_epoch_end(self, trainer: Any, is_intermediate: bool = False, **kwargs: Any) -> None:
        if is_intermediate:
            self._log(trainer, f"update {trainer.run.num_updates}")

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        width = len(str(self._num_epochs))
        self._log(trainer, f"epoch {trainer.run_history.current_epoch:>{width}}/{self._num_epochs}")

    def on_stop_training_error(self, trainer: Any, **kwargs: Any) -> None:
        # What was recorded in an epoch that has no end.
        self._log(trainer, f"epoch {trainer.run_history.current_epoch}")

    def on_evaluation_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._new.know_all(trainer.run_history)
        self._since, self._rate = time.perf_counter(), None

    def on_evaluation_run_end(self, trainer: Any, **kwargs: Any) -> None:
        self._log(trainer, "")

    def _log(self, trainer: Any, heading: str) -> None:
        new = self._new.take(trainer.run_history)
        if new:
            self._heading = heading
            self.log_metrics(trainer, {name: values[-1] for name, values in new.items()})


def _shown(value: Any) -> str:
    """Return a metric's value as a line has room for it."""
    if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
        return f"{measured(float(value)):<6}"
    text = str(value.tolist() if hasattr(value, "tolist") else value).replace("\n", " ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
