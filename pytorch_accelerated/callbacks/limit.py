"""Shorter epochs, and evaluations within them."""

from __future__ import annotations

import sys
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import whole
from pytorch_accelerated.utils import DataLoaderSlice


class LimitBatchesCallback(TrainerCallback):
    """Limits every training and evaluation epoch to its first batches.

    The run's configuration and the scheduler are planned for the limited epochs.

    Args:
        num_batches: Number of batches of an epoch, per process.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is below 1.
    """

    num_batches: int = sys.maxsize

    def __init__(self, num_batches: int) -> None:
        self.num_batches = whole("num_batches", num_batches, minimum=1)

    def on_prepare_end(self, trainer: Any, **kwargs: Any) -> None:
        trainer.run.train_loader = self._limited(trainer.run.train_loader)
        trainer.run.eval_loader = self._limited(trainer.run.eval_loader)

    def limited_evaluation(self, trainer: Any, loader: Any) -> Any:
        """Return the loader of an evaluation within a run, limited like those of the run."""
        return self._limited(loader)

    def _limited(self, loader: Any) -> Any:
        is_short = isinstance(loader, DataLoaderSlice) and loader.slice_size <= self.num_batches
        return loader if loader is None or is_short else DataLoaderSlice(loader, self.num_batches)


class LimitEvalStepsCallback(TrainerCallback):
    """Limits evaluation epochs to some batches over all processes.

    Args:
        num_eval_steps: Number of batches over all processes; each process takes its share,
            rounded down, but at least one.
        limit_intermediate_only: Whether to limit only evaluations within a training epoch, as
            `StepBasedEvaluationCallback` runs them.

    Raises:
        TypeError: ``num_eval_steps`` is not an integer.
        ValueError: It is below 1.
    """

    # Others may evaluate once more at that event, which is limited like the evaluation they follow.
    last_in: tuple[str, ...] = ("on_eval_epoch_end",)

    num_eval_steps: int = sys.maxsize
    limit_intermediate_only: bool = True
    _slice: DataLoaderSlice | None = None

    def __init__(self, num_eval_steps: int, limit_intermediate_only: bool = True) -> None:
        self.num_eval_steps = whole("num_eval_steps", num_eval_steps, minimum=1)
        self.limit_intermediate_only = limit_intermediate_only

    def on_prepare_end(self, trainer: Any, **kwargs: Any) -> None:
        self._slice = None
        if trainer.run.eval_loader is not None:
            self._slice = DataLoaderSlice(trainer.run.eval_loader, sys.maxsize)
            trainer.run.eval_loader = self._slice

    def limited_evaluation(self, trainer: Any, loader: Any) -> Any:
        """Return the loader of an evaluation within a run, limited like those of the run."""
        if self.limit_intermediate_only:
            return loader
        return DataLoaderSlice(loader, self._share(trainer))

    def _share(self, trainer: Any) -> int:
        num_processes: int = trainer.run.num_processes
        return max(1, self.num_eval_steps // num_processes)

    def on_eval_epoch_start(
        self, trainer: Any, is_intermediate: bool = False, **kwargs: Any
    ) -> None:
        if self._slice is not None and (is_intermediate or not self.limit_intermediate_only):
            self._slice.slice_size = self._share(trainer)

    def on_eval_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        if self._slice is not None:
            self._slice.slice_size = sys.maxsize


class StepBasedEvaluationCallback(TrainerCallback):
    """Runs an evaluation epoch after every so many optimizer updates of a run.

    Its events have ``is_intermediate=True``; its loss is recorded as ``intermediate_eval_loss``.
    Each module then returns to the mode, training or evaluation, that it was in.

    Args:
        eval_every_n_steps: Number of optimizer updates between two evaluations.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is below 1; or, at the start of a run, there is no evaluation dataset.
    """

    eval_every_n_steps: int = sys.maxsize

    def __init__(self, eval_every_n_steps: int) -> None:
        self.eval_every_n_steps = whole("eval_every_n_steps", eval_every_n_steps, minimum=1)

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        if trainer.eval_dataset is None:
            raise ValueError(
                "StepBasedEvaluationCallback has nothing to evaluate on. Write "
                "train(…, eval_dataset=…)."
            )

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        if trainer.run.num_updates % self.eval_every_n_steps == 0:
            trainer.run.evaluate(is_intermediate=True)
