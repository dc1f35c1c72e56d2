"""Callbacks: what happens around the training loop, one concern each."""

from pytorch_accelerated.callbacks.base import (
    EVENTS,
    CallbackHandler,
    CallbackMethodNotImplementedError,
    StopTrainingError,
    TrainerCallback,
)

__all__ = [
    "EVENTS",
    "CallbackHandler",
    "CallbackMethodNotImplementedError",
    "StopTrainingError",
    "TrainerCallback",
]
