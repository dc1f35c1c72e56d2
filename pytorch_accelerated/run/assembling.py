"""What a Trainer is made of: its callbacks, and how it is shown."""

from __future__ import annotations

from typing import Any

from pytorch_accelerated.callbacks.base import CallbackHandler
from pytorch_accelerated.callbacks.limit import LimitBatchesCallback, get_limit_batches_from_env
from pytorch_accelerated.callbacks.torchmetrics import TorchMetricsCallback
from pytorch_accelerated.callbacks.trackers import LogToTrackersCallback
from pytorch_accelerated.schedulers.optimizers import as_one, each_of


def make_callback_handler(trainer: Any) -> CallbackHandler:
    """Return what holds the callbacks: those of the environment, of arguments, and the given."""
    limit = get_limit_batches_from_env()
    handler = CallbackHandler([] if limit is None else [LimitBatchesCallback(limit)])
    handler.add_callbacks(metric_callbacks(trainer))
    handler.add_callbacks(trainer._callbacks)
    if trainer._log_with is not None and not any(
        isinstance(callback, LogToTrackersCallback) for callback in handler
    ):
        handler.add_callback(LogToTrackersCallback)
    return handler


def metric_callbacks(trainer: Any) -> list[TorchMetricsCallback]:
    """Return what computes the metrics that a Trainer was given."""
    return [] if trainer._metrics is None else [TorchMetricsCallback(trainer._metrics)]


def described(trainer: Any) -> str:
    """Return what a Trainer is made of, and how far it has come."""
    model, loss = trainer.model, trainer.loss_func
    optimizers = " and ".join(type(one).__name__ for one in each_of(as_one(trainer.optimizer)))
    weights = sum(weight.numel() for weight in model.parameters())
    parts = [f"{type(model).__name__} of {weights:,} parameters", optimizers]
    if loss is not None:
        parts.append(getattr(loss, "__name__", type(loss).__name__))
    parts += [str(trainer.device), f"{trainer.num_updates:,} updates made"]
    return f"{type(trainer).__name__}({', '.join(parts)})"
