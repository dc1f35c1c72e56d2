"""The exponential moving average of a model's weights."""

from __future__ import annotations

import copy
import numbers
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class ModelEma(nn.Module):
    r"""A frozen copy of a model that follows it as an exponential moving average.

    After each update, ``average = decay · average + (1 − decay) · weights``, for parameters and
    buffers, matched by name. Entries that are no floating-point numbers, such as batch
    normalisation's counters, are copied.

    Args:
        model: The model to follow; wrappers of distributed training and ``torch.compile`` are
            looked through.
        decay: How much of the average stays at each update, from 0 to 1.

    Attributes:
        module: The averaged model, in evaluation mode.
        decay: How much of the average stays at each update; may be changed between updates.

    Raises:
        ValueError: ``decay`` is not within 0 to 1.

    Example:
        >>> model = nn.Linear(1, 1)
        >>> ema = ModelEma(model, decay=0.75)
        >>> with torch.no_grad():
        ...     _ = ema.module.weight.fill_(1.0), model.weight.fill_(3.0)
        >>> ema.update(model)
        >>> ema.module.weight.item()
        1.5
    """

    def __init__(self, model: nn.Module, decay: float = 0.9999) -> None:
        given: Any = decay
        if not isinstance(given, numbers.Real) or not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay!r}: give a number from 0 to 1, such as 0.999")
        super().__init__()
        self.module = copy.deepcopy(_unwrapped(model)).eval().requires_grad_(False)
        self.decay = decay

    def update_fn(self, old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """The next average of one entry; override it for another kind of average.

        Args:
            old: The average so far.
            new: The model's value.
        """
        return self.decay * old + (1 - self.decay) * new

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards a model.

        Args:
            model: A model with the same entries.

        Raises:
            ValueError: Its entries have other names or shapes.
        """
        averages, values = self._averaged_and_copied(model)
        if getattr(self.update_fn, "__func__", None) is ModelEma.update_fn:
            if averages:
                # One launch for all tensors instead of one for each.
                get_ema_multi_avg_fn(self.decay)(averages, values, 0)  # type: ignore[no-untyped-call]
        else:
            for average, value in zip(averages, values, strict=True):
                average.copy_(self.update_fn(average, value))

    @torch.no_grad()
    def set(self, model: nn.Module) -> None:
        """Start the average anew at a model's values.

        Args:
            model: A model with the same entries.

        Raises:
            ValueError: Its entries have other names or shapes.
        """
        for average, value in zip(*self._averaged_and_copied(model), strict=True):
            average.copy_(value)

    def _averaged_and_copied(
        self, model: nn.Module
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Pairs of floating-point entries; the other ones are copied at once."""
        ours = self.module.state_dict(keep_vars=True)
        theirs = _unwrapped(model).state_dict(keep_vars=True)
        if ours.keys() != theirs.keys():
            missing, unknown = sorted(ours.keys() - theirs), sorted(theirs.keys() - ours)
            raise ValueError(
                f"the model is not the one that is averaged: it lacks {missing}, "
                f"and has {unknown} in addition"
            )
        averages, values = [], []
        # Tied weights have several names, yet are averaged once.
        seen: set[int] = set()
        for name, average in ours.items():
            value = theirs[name]
            if not isinstance(average, torch.Tensor) or id(average) in seen:
                continue
            seen.add(id(average))
            if average.shape != value.shape:
                raise ValueError(
                    f"the model is not the one that is averaged: {name} has the shape "
                    f"{tuple(value.shape)}, its average {tuple(average.shape)}"
                )
            if average.is_floating_point() or average.is_complex():
                averages.append(average)
                values.append(value.to(device=average.device, dtype=average.dtype))
            else:
                average.copy_(value)
        return averages, values


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner  # torch.compile
        else:
            return model
