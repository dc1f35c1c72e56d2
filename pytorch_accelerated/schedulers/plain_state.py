"""Turning a scheduler's own attributes into plain values that survive JSON, and back."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

_TAGS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "float": lambda text: float(text[0]),
}


class NotPlainError(TypeError):
    """A value that no plain one can stand for, such as a function, a module or a tensor."""


def to_plain(value: Any) -> Any:
    """Return ``value`` in terms of what JSON has; tuples, sets and odd dictionaries are tagged."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else {"__float__": [repr(number)]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    for kind in (tuple, set, frozenset):
        if type(value) is kind:
            return {f"__{kind.__name__}__": [to_plain(item) for item in value]}
    if type(value) is dict:
        if all(isinstance(key, str) and not key.startswith("__") for key in value):
            return {key: to_plain(item) for key, item in value.items()}
        return {"__dict__": [[to_plain(k), to_plain(v)] for k, v in value.items()]}
    raise NotPlainError(f"{value!r} is no plain value.")


def from_plain(value: Any) -> Any:
    """Return what :func:`to_plain` was given."""
    if isinstance(value, list | tuple):
        return [from_plain(item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1:
            (key, items), *_ = value.items()
            tag = key[2:-2] if isinstance(key, str) and key[:2] == key[-2:] == "__" else ""
            if tag in _TAGS and isinstance(items, list):
                return _TAGS[tag]([from_plain(item) for item in items])
        return {key: from_plain(item) for key, item in value.items()}
    return value
