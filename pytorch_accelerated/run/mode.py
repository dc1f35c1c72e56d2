"""The mode of an optimizer that has one, as schedule-free optimizers do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


class OptimizerMode:
    """Switches an optimizer that has ``train()`` and ``eval()`` along with the model.

    Such an optimizer trains other weights than those that are meant to be used, and exchanges
    them in the model. The way back is subject to rounding, so the trained weights are kept
    meanwhile: neither evaluating nor saving changes what is trained.

    Attributes:
        is_training: Whether the model holds the weights that are trained.
        trained: These weights while others are in the model, in the order of the groups.
    """

    def __init__(self) -> None:
        self.is_training = False
        self.trained: list[Tensor] | None = None

    def train(self, optimizer: Any) -> None:
        """Have the model hold the weights that are trained."""
        if _has_modes(optimizer):
            optimizer.train()
            self.is_training = True

    def eval(self, optimizer: Any) -> None:
        """Have the model hold the weights that are meant to be used, from now on."""
        if _has_modes(optimizer):
            optimizer.eval()
            self.is_training, self.trained = False, None

    @contextmanager
    def evaluating(self, optimizer: Any) -> Iterator[None]:
        """Have the model hold the weights that are meant to be used, for a while."""
        if not self.is_training:
            if self.trained is None and _has_modes(optimizer):
                optimizer.eval()
            yield
            return
        weights = _weights(optimizer)
        self.trained = [weight.detach().clone() for weight in weights]
        self.is_training = False
        optimizer.eval()
        try:
            yield
        finally:
            self.train(optimizer)
            self.put_back(optimizer)

    def forget(self) -> None:
        """Continue from the weights that are in the model now, which were loaded."""
        self.trained = None

    def put_back(self, optimizer: Any) -> None:
        """Put the weights that are trained into the model, to the bit."""
        if self.trained is not None:
            with torch.no_grad():
                for weight, trained in zip(_weights(optimizer), self.trained, strict=True):
                    weight.copy_(trained)
            self.trained = None


class TrainedWeights:
    """The part of a checkpoint that has the trained weights, where the model's are others."""

    def __init__(self, mode: OptimizerMode, optimizer: Any) -> None:
        self._mode, self._optimizer = mode, optimizer

    def state_dict(self) -> list[Tensor] | None:
        """Return the weights, if the model holds others."""
        return self._mode.trained

    def load_state_dict(self, state: list[Tensor]) -> None:
        """Continue to train with these weights."""
        self._mode.train(self._optimizer)
        self._mode.trained = state
        self._mode.put_back(self._optimizer)


def _has_modes(optimizer: Any) -> bool:
    # Accelerate's wrapper has both methods, whatever it is around.
    optimizer = getattr(optimizer, "optimizer", optimizer)
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def _weights(optimizer: Any) -> list[Tensor]:
    return [weight for group in optimizer.param_groups for weight in group["params"]]
