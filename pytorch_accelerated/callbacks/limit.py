"""Shorter epochs, to try things out or to evaluate more often."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.utils import DataLoaderSlice, whole_number

if TYPE_CHECKING:
    from pytorch_accelerated.callbacks.view import TrainerView


class LimitBatchesCallback(TrainerCallback):
    """Limits every training and evaluation epoch to its first batches.

    The run's configuration and the scheduler are planned for the limited epochs.

    Args:
        num_batches: Number of batches of an epoch, per process.

    Raises:
        ValueError: It is no positive whole number.
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = whole_number("num_batches", num_batches)

    def on_prepare_end(self, trainer: TrainerView, **kwargs: Any) -> None:
        if trainer._train_dataloader is not None:
            trainer._train_dataloader = self._limited(trainer._train_dataloader)
        if trainer._eval_dataloader is not None:
            trainer._eval_dataloader = self._limited(trainer._eval_dataloader)

    def _limited(self, loader: Any) -> Any:
        if isinstance(loader, DataLoaderSlice) and loader.slice_size <= self.num_batches:
            return loader
        return DataLoaderSlice(loader, self.num_batches)


class LimitEvalStepsCallback(TrainerCallback):
    """Limits evaluation epochs to some batches over all processes.

    Args:
        num_eval_steps: Number of batches over all processes; each process takes its share,
            rounded down, but at least one.
        limit_intermediate_only: Whether to limit only evaluations within a training epoch, as
            `StepBasedEvaluationCallback` runs them.

    Raises:
        ValueError: ``num_eval_steps`` is no positive whole number.
    """

    # Others may evaluate once more at that event, which is limited like the evaluation they follow.
    last_in: tuple[str, ...] = ("on_eval_epoch_end",)

    def __init__(self, num_eval_steps: int, limit_intermediate_only: bool = True) -> None:
        self.num_eval_steps = whole_number("num_eval_steps", num_eval_steps)
        self.limit_intermediate_only = limit_intermediate_only
        self._slice: DataLoaderSlice | None = None

    def on_prepare_end(self, trainer: TrainerView, **kwargs: Any) -> None:
        self._slice = None
        if trainer._eval_dataloader is not None:
            self._slice = DataLoaderSlice(trainer._eval_dataloader, sys.maxsize)
            trainer._eval_dataloader = self._slice

    def on_eval_epoch_start(
        self, trainer: TrainerView, is_intermediate: bool = False, **kwargs: Any
    ) -> None:
        if self._slice is None:
            return
        if is_intermediate or not self.limit_intermediate_only:
            share = self.num_eval_steps // trainer.run.num_processes
            self._slice.slice_size = max(1, share)
        else:
            self._slice.slice_size = sys.maxsize

    def on_eval_epoch_end(self, trainer: TrainerView, **kwargs: Any) -> None:
        if self._slice is not None:
            self._slice.slice_size = sys.maxsize
