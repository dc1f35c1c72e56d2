"""The mean loss of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class LossTracker:
    """Mean of a loss over samples, kept on the loss's device.

    Updating never waits for the device; reading `average` or `total_loss` does.

    Example:
        >>> tracker = LossTracker()
        >>> tracker.update(torch.tensor(1.0), batch_size=3)
        >>> tracker.update(torch.tensor(2.0), batch_size=1)
        >>> tracker.average
        1.25
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._total: Tensor | float = 0.0
        self._loss_value: Tensor | float = 0.0
        self.running_count: Any = 0

    def update(self, loss_batch_value: Tensor | float, batch_size: Any = 1) -> None:
        """Take in the mean loss of a batch, and the number of samples that it is a mean of."""
        loss = torch.as_tensor(loss_batch_value).detach()
        if not isinstance(self._total, Tensor):
            self._total = loss.new_full((), self._total, dtype=_wide(loss.device))
        if isinstance(batch_size, Tensor):
            self._total += loss * batch_size
        else:
            self._total.add_(loss, alpha=batch_size)
        self._loss_value = loss
        self.running_count += batch_size

    @property
    def total_loss(self) -> float:
        """The sum of batch loss times batch size."""
        return float(self._total)

    @property
    def average(self) -> float:
        """The mean loss over samples; 0 before the first update."""
        return self.total_loss / float(self.running_count) if self.running_count else 0.0

    @property
    def loss_value(self) -> float:
        """The loss of the latest batch."""
        return float(self._loss_value)

    def state_dict(self) -> list[float]:
        """Return the sum of losses and the count, as numbers."""
        return [self.total_loss, float(self.running_count)]

    def load_state_dict(self, state: Sequence[float]) -> None:
        """Continue from what the `state_dict` of another tracker returned."""
        self.reset()
        self._total, self.running_count = state

    def totals(self, device: torch.device) -> Tensor:
        """Return `total_loss` and ``running_count`` as one tensor, for a sum over processes."""
        sums = (self._total, self.running_count)
        return torch.stack(
            [torch.as_tensor(one, dtype=_wide(device), device=device) for one in sums]
        )


def _wide(device: torch.device) -> torch.dtype:
    """Return the type of a sum: millions of small losses add up; not every device has doubles."""
    return torch.float32 if device.type == "mps" else torch.float64
