"""What a parameter group holds in a field: numbers, tensors, and tuples of them."""

from __future__ import annotations

import math
import numbers
from typing import Any, TypeAlias

import torch
from torch import Tensor

Value: TypeAlias = Any  # a float, or a tuple of floats; user code may hand over tensors


def plain(value: Any) -> Any:
    """Return a held value as plain Python numbers: a float, or a tuple of them."""
    if type(value) is float:
        return value
    if isinstance(value, tuple | list):
        return tuple(map(plain, value))
    if isinstance(value, Tensor):
        value = value.detach()
    if not is_number(value):
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def copied(value: Any) -> Any:
    """Return a held value so that later updates do not change it."""
    return value.detach().clone() if isinstance(value, Tensor) else value


class _Anything:
    """What equals whatever a group holds in which nothing was left yet."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, held: object) -> bool:
        return True


ANYTHING = _Anything()


class TensorMark:
    """A tensor, what was written to it, and its version, which grows with each write in place.

    It equals what still holds that value. The version is compared without making the host wait
    for a device.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tensor: Tensor, value: Any) -> None:
        self.tensor = tensor
        self.value = value
        self.version = tensor._version

    def __eq__(self, held: object) -> bool:
        if held is self.tensor and self.tensor._version == self.version:
            return True
        # Replaced (by restoring the optimizer) or written to: rare, so looking at it is fine.
        value = torch.as_tensor(self.value, dtype=self.tensor.dtype)
        return bool(torch.equal(torch.as_tensor(held).cpu(), value.cpu()))


def mark_of(held: Any, value: Any) -> Any:
    """Return what equals ``held`` for as long as it holds what was written there just now."""
    if isinstance(held, Tensor):
        return TensorMark(held, value)
    return tuple(map(mark_of, held, value)) if isinstance(held, tuple | list) else held


def is_number(value: Any) -> bool:
    """Say whether ``value`` is one number, also NumPy's or a tensor's."""
    if isinstance(value, Tensor):
        return value.ndim == 0 and value.dtype != torch.bool
    if type(value) is float or isinstance(value, numbers.Real):
        return not isinstance(value, bool)
    # NumPy's and other libraries' scalars and 0-d arrays.
    return getattr(value, "shape", None) == () and hasattr(value, "__float__")


def own_tensor(held: Any, base: Value, taken: dict[int, Value]) -> Any:
    """Return ``held``, or a copy that holds the base if it is a tensor that is ``taken``."""
    if not isinstance(held, Tensor):
        return held
    if id(held) not in taken:
        taken[id(held)] = base
        return held
    return put(copied(held).requires_grad_(held.requires_grad), taken[id(held)])


def put(held: Any, value: Value) -> Value:
    """Return what a group has to hold for ``value``: the tensor it held, filled, or the value."""
    if not isinstance(held, Tensor):
        return value
    return held.copy_(value) if isinstance(value, Tensor) else held.fill_(value)
