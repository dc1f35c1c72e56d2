"""Shorter epochs, and evaluations within them."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.checks import whole

LIMIT_BATCHES_ENV_VAR = "PT_ACC_LIMIT_BATCHES"


def get_limit_batches_from_env() -> int | None:
    """How many batches an epoch may have by the environment; ``None`` for no limit.

    Raises:
        ValueError: The variable holds neither a positive whole number nor ``none``.
    """
    text = os.environ.get(LIMIT_BATCHES_ENV_VAR, "none").strip()
    if text.lower() == "none":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ValueError(
        f"the environment variable {LIMIT_BATCHES_ENV_VAR} is {text!r}: set it to a positive "
        f"whole number of batches, or to none"
    )


class LimitBatches:
    """Trainers made inside this context train and evaluate on a few batches an epoch.

    Contexts nest; leaving one restores what was set before.

    Args:
        num_batches: Number of batches of each epoch, per process.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It is not positive.

    Example:
        >>> with LimitBatches(3):
        ...     get_limit_batches_from_env()
        3
        >>> get_limit_batches_from_env() is None
        True
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = whole("num_batches", num_batches, minimum=1)
        self._before: list[str | None] = []

    def __enter__(self) -> LimitBatches:
        self._before.append(os.environ.get(LIMIT_BATCHES_ENV_VAR))
        os.environ[LIMIT_BATCHES_ENV_VAR] = str(self.num_batches)
        return self

    def __exit__(self, *error: object) -> None:
        before = self._before.pop()
        if before is None:
            os.environ.pop(LIMIT_BATCHES_ENV_VAR, None)
        else:
            os.environ[LIMIT_BATCHES_ENV_VAR] = before


class DataLoaderSlice:
    """The first batches of a data loader, in every respect else like the loader itself.

    Args:
        dl: The data loader.
        slice_size: How many of its batches to give.

    Raises:
        TypeError: ``slice_size`` is not a whole number.
        ValueError: It is not positive.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> loader = DataLoader(range(10), batch_size=2)
        >>> few, many = DataLoaderSlice(loader, 2), DataLoaderSlice(loader, 100)
        >>> [batch.tolist() for batch in few]
        [[0, 1], [2, 3]]
        >>> len(few), len(many)
        (2, 5)
    """

    def __init__(self, dl: Any, slice_size: int) -> None:
        self.dl = dl
        self.slice_size = whole("slice_size", slice_size, minimum=1)

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.dl, self.slice_size)

    def __len__(self) -> int:
        return min(self.slice_size, len(self.dl))

    def __getattr__(self, name: str) -> Any:
        # While being copied or unpickled there is no loader yet.
        if name == "dl":
            raise AttributeError(name)
        return getattr(self.dl, name)


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
