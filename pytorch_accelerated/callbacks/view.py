"""What callbacks may use of a Trainer and its run."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import nn


class RunView(Protocol):
    """The run at hand, as callbacks see it.

    Attributes:
        accelerator: Accelerate's own means: ``log``, ``reduce``, ``wait_for_everyone``.
    """

    @property
    def num_updates(self) -> int:
        """Optimizer updates done."""

    @property
    def batch(self) -> int:
        """Batches of the epoch at hand whose update is done, on each process."""

    @property
    def num_processes(self) -> int:
        """Number of processes."""

    accelerator: Accelerator

    def weights_are_finite(self) -> bool:
        """Whether no weight is a NaN or infinity; all processes find the same."""

    def evaluate(self, is_intermediate: bool = False) -> None:
        """Evaluate on the run's evaluation data, with all events."""

    def showing(self, **attributes: Any) -> AbstractContextManager[None]:
        """Have the Trainer show another model or other callbacks for a while."""


class TrainerView(Protocol):
    """The Trainer, as callbacks see it; see `pytorch_accelerated.trainer.Trainer`.

    The data loaders may be replaced in ``on_prepare_end``; scripts know them by these names.
    """

    _train_dataloader: Any
    _eval_dataloader: Any
    model: nn.Module
    optimizer: Any
    scheduler: Any
    run_history: Any
    run_config: Any
    callback_handler: Any
    train_dataset: Any
    eval_dataset: Any
    run: RunView

    @property
    def num_updates(self) -> int:
        """Optimizer updates done."""

    @property
    def device(self) -> torch.device:
        """The device of this process."""

    def gather(self, tensor: Any, padding_value: float | None = None) -> Any:
        """Tensors of all processes, in every process."""

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on the first process of each machine."""

    def get_model(self, keep_torch_compile: bool = True) -> nn.Module:
        """The model without Accelerate's wrappers."""

    def save_checkpoint(
        self,
        save_path: str | os.PathLike[str],
        checkpoint_kwargs: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_scheduler: bool = True,
        save_per_node: bool = True,
    ) -> None:
        """Write model, optimizer and scheduler to one file."""

    def load_checkpoint(
        self,
        checkpoint_path: str | os.PathLike[str],
        load_optimizer: bool = True,
        load_scheduler: bool = True,
    ) -> dict[str, Any]:
        """Restore them from such a file."""

    def save_training_state(
        self, output_dir: str | os.PathLike[str], checkpoint_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Write all that a run needs to continue to a folder."""

    def load_training_state(self, input_dir: str | os.PathLike[str]) -> dict[str, Any]:
        """Restore model, optimizer, schedulers and generators from it."""
