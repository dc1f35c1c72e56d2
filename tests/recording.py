"""Real optimizers, and a record of what each of their updates ran with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer


def parameters(count: int) -> list[torch.nn.Parameter]:
    return [torch.nn.Parameter(torch.ones(2)) for _ in range(count)]


def sgd(bases: Sequence[Any] = (0.1,), **options: Any) -> torch.optim.SGD:
    """SGD with a parameter group for each base learning rate."""
    groups = [
        {"params": [p], "lr": lr} for p, lr in zip(parameters(len(bases)), bases, strict=True)
    ]
    return torch.optim.SGD(groups, **options)


def adamw(bases: Sequence[Any] = (0.1,), **options: Any) -> torch.optim.AdamW:
    """AdamW with a parameter group for each base learning rate."""
    groups = [
        {"params": [p], "lr": lr} for p, lr in zip(parameters(len(bases)), bases, strict=True)
    ]
    return torch.optim.AdamW(groups, **options)


class Recorder:
    """Notes the values that every update of an optimizer runs with."""

    def __init__(self, optimizer: Optimizer, field: str = "lr") -> None:
        self.used: list[list[Any]] = []
        self.field = field
        optimizer.register_step_pre_hook(self._note)

    def _note(self, optimizer: Optimizer, *_: Any) -> None:
        self.used.append([plain(group[self.field]) for group in optimizer.param_groups])


def plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.item()
    return tuple(map(plain, value)) if isinstance(value, tuple | list) else value


def held(optimizer: Optimizer, field: str = "lr") -> list[Any]:
    return [plain(group[field]) for group in optimizer.param_groups]


def set_attributes(state: dict[str, Any], **changed: Any) -> None:
    """Change attributes in a scheduler's state, in which they are pairs of name and value."""
    state["attributes"] = [[*pair] for pair in (dict(state["attributes"]) | changed).items()]


def update(optimizer: Optimizer) -> None:
    """Make one real optimizer update."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad()


def train(optimizer: Optimizer, scheduler: Any, num_updates: int) -> None:
    for _ in range(num_updates):
        update(optimizer)
        scheduler.step()


def used_in(
    optimizer: Optimizer,
    make: Callable[[Optimizer], Any],
    num_updates: int,
    field: str = "lr",
) -> list[list[Any]]:
    """Return what each of ``num_updates`` updates ran with, and what was left at the end."""
    recorder = Recorder(optimizer, field)
    train(optimizer, make(optimizer), num_updates)
    return [*recorder.used, held(optimizer, field)]
