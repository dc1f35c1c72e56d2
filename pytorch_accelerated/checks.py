"""Checks of what users pass, and the comparison of values: one place, one voice.

Every check takes the argument's name first, returns the value in its plain form, and raises an
error that says what came, what is allowed, and what to write instead.
"""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_BELOW_ONE = ("beta1", "beta2", "beta3", "momentum")  # fields of an optimizer
_NOT_NEGATIVE = ("lr", "weight_decay")


def kind_of(value: object) -> str:
    """Return what a value is, for a message: "a float", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"


def finite(name: str, value: object) -> float:
    """Return ``value`` as a float; raise if it is not a finite number."""
    if isinstance(value, bool | str | bytes) or not isinstance(value, numbers.Real):
        raise wrong_kind(name, value, "a number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}={value!r} is not finite, but has to be a finite number.")
    return number


def positive(name: str, value: object) -> float:
    """Return ``value`` as a float; raise if it is not a finite number above 0."""
    number = finite(name, value)
    if number <= 0.0:
        raise ValueError(f"{name}={value!r} has to be above 0.")
    return number


def whole(name: str, value: object, minimum: int = 0, otherwise: str = "") -> int:
    """Return ``value`` as an int; raise if it is not a whole number of at least ``minimum``.

    ``otherwise`` is what else may be written, such as "None for no limit", for the message.
    """
    tail = f" Otherwise write {otherwise}." if otherwise else ""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        hint = ""
        is_bool = isinstance(value, bool)
        if isinstance(value, numbers.Real) and not is_bool:
            if not math.isfinite(value):
                raise ValueError(
                    f"{name}={value!r} is not finite, but has to be a whole number.{tail}"
                ) from None
            hint = f" Write {name}={max(minimum, round(float(value)))}."
            if float(value) != round(float(value)):
                raise ValueError(
                    f"{name}={value!r} is a fractional count, but has to be a whole number."
                    f"{hint}{tail}"
                ) from None
        raise wrong_kind(name, value, f"an integer.{hint}{tail}") from None
    if number < minimum:
        raise ValueError(f"{name}={value!r} is too small: it has to be at least {minimum}.{tail}")
    return number


def entries(name: str, value: object, example: str) -> list[Any]:
    """Return the entries of a list or the like; raise if ``value`` is a string or has none."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise wrong_kind(name, value, f"a list. Write {name}={example}.")
    return list(value)


def folder(name: str, value: object, otherwise: str = "") -> Path:
    """Return ``value`` as a path; raise if it cannot be the path of a folder.

    ``otherwise`` is what else may be written, for the message.
    """
    allowed = "the path of a folder" + (f", or {otherwise}" if otherwise else "")
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        raise wrong_kind(name, value, f"{allowed}.")
    if not path:
        raise ValueError(
            f"{name}={value!r} is empty, but has to be {allowed}. Write {name}='.' for the "
            "current one."
        )
    if "\0" in path:
        raise ValueError(f"{name}={value!r} has a null character, but has to be {allowed}.")
    return Path(path)


def wrong_kind(name: str, value: object, expected: str) -> TypeError:
    """Return the error for a value of another kind; what it is says its type, if it is long."""
    text = repr(value)
    shown = f"{name}={text}" if len(text) <= 60 and "\n" not in text else name
    return TypeError(f"{shown} is {kind_of(value)}, but has to be {expected}")


def bounds(field: str) -> tuple[float, float]:
    """Return the least value of a field, and the first that is too large."""
    lower = 0.0 if field in (*_BELOW_ONE, *_NOT_NEGATIVE) else -math.inf
    return lower, 1.0 if field in _BELOW_ONE else math.inf


def out_of_range(field: str, value: float, group: str, where: str) -> ValueError:
    """Return the error for a value that the field may not have."""
    if not math.isfinite(value):
        return ValueError(f"{field}: {value!r} for {group} {where} is not finite.")
    allowed = "at least 0 and below 1" if field in _BELOW_ONE else "0 or more"
    return ValueError(
        f"{field}: {value!r} for {group} {where} is out of range; it has to be "
        f"{allowed}. Plain numbers in a schedule are multiples of the group's base value; write "
        "absolute(…) for a value that is meant as it stands."
    )


def same(one: Any, other: Any, rel_tol: float = 0.0) -> bool:
    """Say whether two values are the same, also within lists, dicts, arrays and tensors.

    A list is the same as a tuple of the same entries. A NaN is the same as a NaN, and 0.0 is not
    the same as −0.0, unless ``rel_tol`` allows floats to differ by that share of the larger one.
    """
    one, other = (x.tolist() if hasattr(x, "tolist") else x for x in (one, other))
    if one is other:
        return True
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            same(mine, theirs, rel_tol) for mine, theirs in zip(one, other, strict=True)
        )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(
            same(mine, other[key], rel_tol) for key, mine in one.items()
        )
    try:
        if one != one:
            return bool(other != other)
        if rel_tol and isinstance(one, float | int) and isinstance(other, float | int):
            return math.isclose(one, other, rel_tol=rel_tol)
        if isinstance(one, float) and isinstance(other, float) and one == other == 0.0:
            return math.copysign(1.0, one) == math.copysign(1.0, other)
        return bool(one == other)
    except (TypeError, ValueError, OverflowError):  # such as of a table with several truth values
        return False
