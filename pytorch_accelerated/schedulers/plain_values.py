"""Turning attributes into plain values that savers keep as they are, and back."""

from __future__ import annotations

import math
import numbers
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

from pytorch_accelerated.checks import whole

T = TypeVar("T")

_KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (list, tuple, set, frozenset, deque, dict, Counter, OrderedDict)
}


class NotPlainError(TypeError):
    """A value that no plain one can stand for, such as a function, a module or a tensor."""


def to_plain(value: Any) -> Any:
    """Return ``value`` in terms of numbers, texts and lists; other containers are tagged lists."""
    if value is None or type(value) in (bool, str):
        return value
    if isinstance(value, Enum):
        # What a str-enum or int-enum stands for is equal to it; of others only `like` knows.
        if not isinstance(value, str | int):
            raise NotPlainError(f"{value!r} is not a plain value.")
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
        return number if math.isfinite(number) else ["__float__", repr(number)]
    kind = dict if type(value) is defaultdict else type(value)
    if _KINDS.get(kind.__name__) is not kind:
        raise NotPlainError(f"{value!r} is not a plain value.")
    items = [to_plain(item) for item in (value.items() if isinstance(value, dict) else value)]
    if kind is list and not (items and _tag(items[0])):
        return items
    return [f"__{kind.__name__}__", *items]


def from_plain(value: Any) -> Any:
    """Return what :func:`to_plain` was given."""
    if not isinstance(value, list | tuple):
        return value
    tag, items = _tag(value[0] if value else None), [from_plain(item) for item in value]
    if tag == "float":
        return float(items[1])
    kind = _KINDS.get(tag)
    if kind is None:
        return items
    return kind(dict(items[1:])) if issubclass(kind, dict) else kind(items[1:])


def _tag(value: Any) -> str:
    is_one = isinstance(value, str) and len(value) > 4 and value[:2] == value[-2:] == "__"
    return value[2:-2] if is_one else ""


def to_pairs(entry: Mapping[str, T]) -> list[list[Any]]:
    """Return a dictionary as what a state holds of it: a list with a name and a value for each.

    ``torch.distributed.checkpoint`` takes dictionaries apart, wherever they are, and loads nothing
    of the keys that the target did not have before. It keeps such a list as one.
    """
    return [[name, value] for name, value in entry.items()]


def from_pairs(key: str, entry: Any) -> dict[str, Any]:
    """Return what :func:`to_pairs` was given; raise if ``entry`` is not that.

    A dictionary itself passes, too.
    """
    if isinstance(entry, Mapping):
        entry = to_pairs(entry)
    are_pairs = isinstance(entry, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in entry
    )
    if not are_pairs or len(dict(entry)) < len(entry):
        raise ValueError(
            f"The state's {key!r} entry is {entry!r}, but has to be a list with a pair of a name "
            "and a value for each, and no name twice."
        )
    return dict(entry)


def like(value: Any, own: Any) -> Any:
    """Return what was read for an attribute as what is there already: an enum, a deque."""
    if isinstance(own, Enum) and not isinstance(value, Enum):
        return type(own)(value)
    if type(own) is defaultdict and isinstance(value, dict):
        return defaultdict(own.default_factory, value)
    return deque(value, own.maxlen) if isinstance(own, deque) else value


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
        raise ValueError(
            f"The state's {name} is a number of {count.bit_length()} bits, not a count."
        )
    return count
