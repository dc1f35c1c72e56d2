"""A window of batches, whose gradients are added up for one optimizer update."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from pytorch_accelerated.run.processes import Processes
from pytorch_accelerated.run_config import TrainerRunConfig
from pytorch_accelerated.tracking import LossTracker


class Window:
    """The window of batches at hand.

    Attributes:
        size: Number of its batches.
        is_open: Whether a batch of it was begun and its update is still to come.
        items: Number of items, such as tokens, of each of its batches, if the batches tell.
        gradient_norm: Norm of its gradients before clipping, if they were clipped by norm.
        losses_before: The epoch's losses up to the window, if a stop may come within it.
    """

    def __init__(self) -> None:
        self.size = 1
        self.is_open = False
        self.items: list[Any] = []
        self.gradient_norm: Tensor | None = None
        self.losses_before: LossTracker | None = None

    def weigh(self, loss: Tensor, num_items: Any, num_processes: int) -> Tensor:
        """Return the loss, such that a window's gradients add up to those of its mean loss."""
        if num_items is None:
            return loss if self.size == 1 else loss / self.size
        if self.size == 1 and num_processes == 1:
            return loss
        # The window's items are known only at its end: `divide_by_items` divides by them.
        self.items.append(num_items)
        weighed: Tensor = loss * num_items
        return weighed

    def divide_by_items(self, model: nn.Module, processes: Processes) -> None:
        """Divide the gradients by the items of the window over all processes."""
        items, self.items = self.items, []
        if len(items) != self.size:
            raise ValueError(
                f"num_items_in_batch was given for {len(items)} of the {self.size} "
                f"batches of an update: give it for all or none"
            )
        total = processes.sum(torch.as_tensor(sum(items), device=processes.device))
        # Distributed training has averaged the gradients over the processes. Without items they
        # are 0 already.
        factor = processes.count / torch.where(total > 0, total, 1)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    def clip(self, model: nn.Module, config: TrainerRunConfig, accelerator: Accelerator) -> None:
        """Clip the gradients by norm, then by value."""
        norm, value = config.gradient_clip_norm, config.gradient_clip_value
        if norm is not None:
            self.gradient_norm = accelerator.clip_grad_norm_(model.parameters(), norm)
        if value is not None and norm is None:
            accelerator.clip_grad_value_(model.parameters(), value)
        elif value is not None:
            # Clipping by norm has unscaled the gradients, which may be done once only.
            nn.utils.clip_grad_value_(model.parameters(), value)
