"""What users pass to the Trainer and return to it, checked."""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pytorch_accelerated.utils import whole_number


def check_loader_kwargs(name: str, value: Any) -> None:
    """Refuse what is no arguments of a data loader.

    Args:
        name: The argument's name.
        value: What the user gave.

    Raises:
        TypeError: It is no dict.
    """
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(
            f"{name} is {value!r}: give a dict of arguments for the data loader, such as "
            f"{{'num_workers': 2}}"
        )


def check_folder(name: str, value: Any, kind: str = "") -> None:
    """Refuse what is no path of a folder.

    Args:
        name: The argument's name.
        value: What the user gave; ``None`` for no folder.
        kind: What else it may be, for messages.

    Raises:
        TypeError: It is no path.
        ValueError: It is empty.
    """
    if value is None:
        return
    error = f"{name} is {value!r}: give the path of a folder{kind}"
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(error)
    if value == "":
        raise ValueError(f"{error}; '.' is the present one")


def checked_batch_size(value: Any, *loader_kwargs: dict[str, Any] | None) -> Any:
    """The batch size as an int; it may be ``None`` where the loaders' own arguments tell.

    Args:
        value: What the user gave.
        *loader_kwargs: Arguments of the data loaders.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is below 1.
    """
    is_told = [
        any((kwargs or {}).get(name) is not None for name in ("batch_size", "batch_sampler"))
        for kwargs in loader_kwargs
    ]
    if value is None and all(is_told):
        return None
    return whole_number("per_device_batch_size", value)


def check_positive(name: str, value: Any) -> None:
    """Refuse a limit that is not above 0.

    Args:
        name: The argument's name.
        value: What the user gave; ``None`` for no limit.

    Raises:
        ValueError: It is no positive number.
    """
    if value is None:
        return
    is_number = isinstance(value, (numbers.Real, Tensor)) and not isinstance(value, bool)
    if not is_number or not value > 0:
        raise ValueError(f"{name} is {value!r}: give a positive number, or None for no clipping")


def inputs_and_targets(batch: Any) -> tuple[Any, Any]:
    """Input and target of a batch that has them first and second.

    Args:
        batch: What the data loader gave.

    Raises:
        TypeError: It has no such entries.
    """
    try:
        return batch[0], batch[1]
    except (TypeError, KeyError, IndexError):
        raise TypeError(
            f"a batch is a {type(batch).__name__}, of which [0] and [1] are not input and target: "
            f"override calculate_train_batch_loss and calculate_eval_batch_loss to take it apart"
        ) from None


def loss_and_size(batch_output: Any, source: str) -> tuple[Tensor, Any]:
    """The loss of a batch, and the number of samples that it is a mean of.

    Args:
        batch_output: What a method that calculates the loss of a batch returned.
        source: The method's name.

    Raises:
        TypeError: It is no dict with both, or the loss is no tensor of one number.
        ValueError: The number of samples is none.
    """
    try:
        loss, batch_size = batch_output["loss"], batch_output["batch_size"]
    except (TypeError, KeyError):
        raise TypeError(
            f"{source} returned {type(batch_output).__name__} without 'loss' and "
            f"'batch_size': return a dict with both"
        ) from None
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        raise TypeError(
            f"{source} returned the loss {loss!r}: it has to be a tensor that holds one "
            f"number and has no dimension, such as the mean over the batch"
        )
    if not isinstance(batch_size, Tensor) and (
        not isinstance(batch_size, numbers.Real) or batch_size < 0
    ):
        raise ValueError(
            f"{source} returned the batch_size {batch_size!r}: it has to be the number of "
            f"samples that the loss is a mean of"
        )
    return loss, batch_size
