"""The smallest things that train, and a record of what happened."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from pytorch_accelerated.callbacks import EVENTS, StopTrainingError, TrainerCallback
from pytorch_accelerated.trainer import Trainer


class Scale(nn.Module):
    """output = weight · input, so that with inputs of 1 every gradient is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.weight * x


class Watched(nn.Linear):
    """Keeps the types of number of its outputs."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.dtypes: list[torch.dtype] = []

    def forward(self, x):
        output = super().forward(x)
        self.dtypes.append(output.dtype)
        return output


class Mixed(Trainer):
    """Computes in bfloat16."""

    def _create_accelerator(self):
        return Accelerator(mixed_precision="bf16")


def mean_output(outputs, targets):
    return outputs.mean()


def ones(count: int) -> TensorDataset:
    return numbers(*[1.0] * count)


def numbers(*values: float) -> TensorDataset:
    return TensorDataset(torch.tensor(values), torch.zeros(len(values)))


class Stream(IterableDataset):
    """A data set without a length."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __iter__(self):
        return (self.dataset[i] for i in range(len(self.dataset)))


class Record(TrainerCallback):
    """What every optimizer update ran with, and the gradients it used."""

    def __init__(self, fields: tuple[str, ...] = ("lr",)) -> None:
        self.fields = fields
        self.used: list[Any] = []
        self.gradients: list[float] = []

    def on_training_run_start(self, trainer, **kwargs):
        weight = trainer.optimizer.param_groups[0]["params"][0]
        optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        self.handle = optimizer.register_step_pre_hook(
            lambda *_: self.gradients.append(weight.grad.clone())
        )

    def on_optimizer_step_end(self, trainer, **kwargs):
        groups = trainer.optimizer.param_groups
        values = [group[field] for field in self.fields for group in groups]
        self.used.append(values[0] if len(values) == 1 else values)

    def on_training_run_end(self, trainer, **kwargs):
        self.handle.remove()


class StopAt(TrainerCallback):
    def __init__(self, event: str, times: int = 1) -> None:
        self.left = times
        setattr(self, event, self._stop)

    def _stop(self, trainer, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise StopTrainingError("enough")


class Trace(TrainerCallback):
    """Names of events in the order in which they came."""

    def __init__(self, *leave_out: str) -> None:
        self.names: list[str] = []
        for event in EVENTS:
            if event not in leave_out:
                setattr(
                    self, event, lambda trainer, _name=event, **kwargs: self.names.append(_name)
                )


def make_trainer(*callbacks, model=None, loss=mean_output, lr=0.1, kind=Trainer, **options):
    model = Scale() if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return kind(model, loss, optimizer, callbacks=callbacks, **options)


def linear_decay(total):
    """From the base value at update 0 down to 0 after the last update."""
    return lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 - k / total)
