"""Turning a scheduler's own attributes into plain values that survive JSON, and back."""

from __future__ import annotations

import math
import numbers
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from pytorch_accelerated.schedules.lengths import whole

T = TypeVar("T")

_TAGS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "Counter": lambda pairs: Counter(dict(pairs)),
    "OrderedDict": OrderedDict,
    "deque": lambda parts: deque(parts[1], parts[0]),
    "float": lambda text: float(text[0]),
}


class NotPlainError(TypeError):
    """A value that no plain one can stand for, such as a function, a module or a tensor."""


def to_plain(value: Any) -> Any:
    """Return ``value`` in terms of what JSON has; tuples, sets and odd dictionaries are tagged."""
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, Enum):
        # What a str-enum or int-enum stands for is equal to it; of others only `like` knows.
        if not isinstance(value, str | int):
            raise NotPlainError(f"{value!r} is no plain value.")
        return to_plain(value.value)
    if isinstance(value, str):
        return str(value)
    if getattr(value, "shape", None) == () and not hasattr(value, "__setitem__"):
        value = value.item()  # a NumPy scalar
        if isinstance(value, bool):
            return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and (value != value or float(value) == value):
        number = float(value)
        return number if math.isfinite(number) else {"__float__": [repr(number)]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    for kind in (tuple, set, frozenset):
        if type(value) is kind:
            return {f"__{kind.__name__}__": [to_plain(item) for item in value]}
    if type(value) is deque:
        return {"__deque__": [value.maxlen, [to_plain(item) for item in value]]}
    if type(value) in (Counter, OrderedDict):
        pairs = [[to_plain(k), to_plain(v)] for k, v in value.items()]
        return {f"__{type(value).__name__}__": pairs}
    if type(value) in (dict, defaultdict):
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


def like(value: Any, own: Any) -> Any:
    """Return what was read for an attribute as what is there already: an enum, a defaultdict."""
    if isinstance(own, Enum) and not isinstance(value, Enum):
        return type(own)(value)
    if type(own) is defaultdict and isinstance(value, dict):
        return defaultdict(own.default_factory, value)
    return value


def saved_entry(check: Callable[[str, object], T], name: str, value: object) -> T:
    """Return a state's entry, checked; whatever is wrong with it, the state is damaged."""
    try:
        return check(f"The state's {name}", value)
    except TypeError as error:
        raise ValueError(str(error)) from None


def saved_count(name: str, value: object) -> int:
    """Return a state's entry that is a count."""
    count = saved_entry(whole, name, value)
    if count.bit_length() > 63:  # and so too large for what is computed with it
        raise ValueError(f"The state's {name} is a number of {count.bit_length()} bits, no count.")
    return count
