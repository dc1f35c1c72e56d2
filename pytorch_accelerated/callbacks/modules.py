"""Preparing modules for the devices that they run on."""

from __future__ import annotations

import warnings
from typing import Any

from torch import nn

from pytorch_accelerated.callbacks.base import TrainerCallback


class MoveModulesToDeviceCallback(TrainerCallback):
    """Moves the modules that are attributes of the Trainer to its device at the start of a run.

    The model is left to Accelerate. Only attributes of the instance are looked at, so no property
    is run.
    """

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        for name, value in vars(trainer).items():
            if isinstance(value, nn.Module) and name != "model":
                value.to(trainer.device)

    on_evaluation_run_start = on_training_run_start


class ConvertSyncBatchNormCallback(TrainerCallback):
    """Lets batch normalisation use the statistics of all processes.

    The model is converted before it is wrapped for distributed training. PyTorch's synchronised
    batch normalisation runs on accelerators only, so on CPU the model stays as it is, with a
    warning; on one process there is nothing to do.
    """

    def on_prepare_start(self, trainer: Any, **kwargs: Any) -> None:
        if trainer.run.num_processes == 1:
            return
        if trainer.device.type == "cpu":
            warnings.warn(
                "batch normalisation cannot be synchronised on CPU: each process keeps its own "
                "statistics",
                stacklevel=2,
            )
            return
        convert = nn.SyncBatchNorm.convert_sync_batchnorm
        trainer.model = convert(trainer.model)  # type: ignore[no-untyped-call]
