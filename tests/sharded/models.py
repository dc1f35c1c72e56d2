"""Sharded models, their data and optimizers, small enough for four processes on two cores."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.utils.data import TensorDataset


class Net(nn.Module):
    """Has weights that cannot be split evenly, and a buffer that training changes."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(3, 8), nn.LayerNorm(8)
        self.middle, self.last = nn.Linear(8, 8), nn.Linear(8, 1)
        with torch.no_grad():
            for i, one in enumerate(self.parameters()):
                one.copy_(torch.linspace(-0.5, 0.5, one.numel()).view_as(one) + 0.1 * i)

        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.seen += self.training
        return self.last(torch.tanh(self.middle(torch.tanh(self.norm(self.first(x))))))


def data(size, seed=0):
    x = torch.randn(size, 3, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(x, x.sum(dim=1, keepdim=True))


def mesh(*shape, **names):
    return init_device_mesh("cpu", shape, **names)


def whole(model):
    return model


def fully(model):
    """Shard a layer, and the rest, over all processes."""
    everyone = mesh(torch.distributed.get_world_size())
    fully_shard(model.middle, mesh=everyone)
    return fully_shard(model, mesh=everyone)


def tensor_parallel(model):
    """Split two of the layers over all processes."""
    return parallelize_module(
        model,
        mesh(torch.distributed.get_world_size()),
        {"middle": ColwiseParallel(), "last": RowwiseParallel()},
    )


def both(model):
    """Split layers over pairs of processes, then shard all over the pairs."""
    pairs = mesh(torch.distributed.get_world_size() // 2, 2, mesh_dim_names=("dp", "tp"))
    parallelize_module(model, pairs["tp"], {"middle": ColwiseParallel(), "last": RowwiseParallel()})
    return fully_shard(model, mesh=pairs["dp"])


def adamw(model):
    return torch.optim.AdamW(
        [
            {"params": [*model.first.parameters(), *model.norm.parameters()], "lr": 0.01},
            {"params": [*model.middle.parameters(), *model.last.parameters()], "lr": 0.02},
        ]
    )


def tensor_rates(model):
    optimizer = adamw(model)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    return optimizer


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def muon(model):
    """Muon for the matrix in the middle, AdamW for all else."""
    others = [one for name, one in model.named_parameters() if name != "middle.weight"]
    return [torch.optim.Muon([model.middle.weight], lr=0.01), torch.optim.AdamW(others, lr=0.01)]
