"""Small runs that are interrupted, and what they come to."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import Dataset

from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
from pytorch_accelerated.trainer import Trainer


class Interrupted(Exception):  # noqa: N818
    """What a run dies of."""


class DieAt(TrainerCallback):
    """Ends a run with an error when an event comes for the n-th time."""

    def __init__(self, n, event="on_train_step_end"):
        self.left = n
        setattr(self, event, self._count)

    def _count(self, trainer, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


class Data(Dataset):
    """Draws a random number for each sample, as augmentations do."""

    def __init__(self, size=24):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        x = torch.tensor([index / self.size, 1.0]) + 0.1 * torch.randn(2)
        return x, x.sum(0, keepdim=True)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.dropout, self.last = nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.linspace(-0.5, 0.5, parameter.numel()).view_as(parameter))

    def forward(self, x):
        return self.last(self.dropout(self.first(x)))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.9)


def make(*callbacks, kind=Trainer, optimizer=sgd, model=None):
    model = Net() if model is None else model
    return kind(model, nn.MSELoss(), optimizer(model), callbacks=list(callbacks))


def train(trainer, folder=None, **kwargs):
    """Three epochs of six updates, unless told otherwise; six checkpoints."""
    defaults = {"num_epochs": 3, "train_dataset": Data(), "per_device_batch_size": 4, "seed": 1}
    if folder is not None:
        defaults |= {"checkpoint_dir": folder, "checkpoint_every": 4, "resume": "auto"}
    trainer.train(**{**defaults, **kwargs})
    return trainer


def outcome(trainer):
    """Everything that two runs have to agree on."""
    optimizer = trainer.optimizer.state_dict()
    history = trainer.run_history
    monitors = [c for c in trainer.callback_handler if isinstance(c, ScheduleMonitorCallback)]
    return {
        "updates": trainer.num_updates,
        "weights": {k: v.tolist() for k, v in trainer.get_model().state_dict().items()},
        "optimizer": {
            (i, k): v.tolist() if torch.is_tensor(v) else v
            for i, state in optimizer["state"].items()
            for k, v in state.items()
        },
        "groups": optimizer["param_groups"],
        "history": {name: history.get_metric_values(name) for name in history.get_metric_names()},
        "epoch": history.current_epoch,
        "applied": [monitor.applied for monitor in monitors],
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir())
