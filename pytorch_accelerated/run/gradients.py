"""What is done to the gradients of a window before its update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pytorch_accelerated.run.run import Run
from pytorch_accelerated.sharded import local, whole


def divide_by_items(model: nn.Module, run: Run) -> None:
    """Divide the gradients by the items of the window over all processes."""
    window, processes = run.window, run.processes
    items, window.items = window.items, []
    if len(items) != window.size:
        raise ValueError(
            f"num_items_in_batch was given for {len(items)} of the {window.size} "
            f"batches of an update: give it for all or none"
        )
    num_items = torch.as_tensor(sum(items), device=processes.device)
    total = processes.sum(num_items.reshape(()))
    # Distributed training has averaged the gradients over the processes. Without items they
    # are 0 already.
    factor = processes.count / torch.where(total > 0, total, 1)
    for parameter in model.parameters():
        if parameter.grad is not None:
            local(parameter.grad).mul_(factor)


def clip(trainer: Any) -> None:
    """Clip the gradients by norm, then by value."""
    model, run = trainer.model, trainer.run
    norm, value = run.config.gradient_clip_norm, run.config.gradient_clip_value
    if run.is_sharded:
        run.accelerator.unscale_gradients()
        if norm is not None:
            run.window.gradient_norm = clip_by_norm(model.parameters(), norm)
        if value is not None:
            clip_by_value(model.parameters(), value)
        return
    if norm is not None:
        run.window.gradient_norm = run.accelerator.clip_grad_norm_(model.parameters(), norm)
    if value is not None and norm is None:
        run.accelerator.clip_grad_value_(model.parameters(), value)
    elif value is not None:
        # Clipping by norm has unscaled the gradients, which may be done once only.
        nn.utils.clip_grad_value_(model.parameters(), value)


def clip_by_norm(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale gradients so that their norm, over all processes, is at most ``max_norm``.

    Returns:
        The norm before.
    """
    by_mesh: dict[Any, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            mesh = getattr(parameter.grad, "device_mesh", None)
            by_mesh.setdefault(mesh, []).append(parameter.grad)
    norms = [whole(nn.utils.get_total_norm(gradients)) for gradients in by_mesh.values()]
    total = torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for gradients in by_mesh.values():
        for gradient in gradients:
            local(gradient).mul_(factor)
    return total


def clip_by_value(parameters: Iterable[Tensor], value: float) -> None:
    """Clip each element of the gradients to [−value, value]."""
    for parameter in parameters:
        if parameter.grad is not None:
            local(parameter.grad).clamp_(-value, value)
