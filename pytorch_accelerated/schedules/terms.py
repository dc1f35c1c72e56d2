"""What schedules are made of: ends, and lengths in updates, epochs, shares, or whatever is left.

This is the only place that turns shares and epochs into whole updates, and so the only one that
rounds.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias, TypeVar

from pytorch_accelerated.checks import finite, kind_of, whole

if TYPE_CHECKING:
    from fractions import Fraction

# A number of updates before any rounding.
Exact: TypeAlias = "int | Fraction"

_Some = TypeVar("_Some", bound="Fixed")


class Value:
    """What compares, hashes and prints by what it was made of."""

    def _contents(self) -> dict[str, Any]:
        """Return what has been set, without what is computed on use."""
        cls = type(self)
        return {
            name: value
            for name, value in vars(self).items()
            if not isinstance(getattr(cls, name, None), cached_property)
        }

    def __getstate__(self) -> dict[str, Any]:
        # What is computed on use may hold functions, which cannot be pickled.
        return self._contents()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._contents() == other._contents()

    def __hash__(self) -> int:
        try:
            return hash((type(self), frozenset(self._contents().items())))
        except TypeError:  # a list, for example
            return hash(type(self))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._contents().items())
        return f"{type(self).__qualname__}({arguments})"


class Fixed(Value):
    """A value whose fields are set once, by its ``__init__``.

    It is not a dataclass, because what builds objects from configuration files, such as Hydra,
    takes dataclasses apart.
    """

    def __setattr__(self, name: str, value: object) -> None:
        # vars(self) would make a dictionary, and with it every later look at a field slower.
        if hasattr(self, name) and not hasattr(type(self), name):
            self.__delattr__(name)
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"{name} of {self!r} cannot be changed. Make another {type(self).__name__} instead."
        )

    def _with(self: _Some, **changes: object) -> _Some:
        """Return another one that differs in these fields."""
        return type(self)(**{**self._contents(), **changes})


class Affine(NamedTuple):
    """What a schedule says at one update: ``value = offset + scale · base``."""

    offset: float
    scale: float


ONE = Affine(0.0, 1.0)


class Absolute(Fixed):
    """A value that does not depend on the base; see :func:`absolute`."""

    def __init__(self, value: float) -> None:
        self.value = finite("value", value)

    def __repr__(self) -> str:
        return f"absolute({self.value!r})"


def absolute(value: float) -> Absolute:
    """Mark ``value`` as meant as it stands, where a plain number is a multiple of the base value.

    Args:
        value: A finite number, in the units of the scheduled field.

    Raises:
        TypeError: If ``value`` is not a number.
        ValueError: If it is not finite.

    Example:
        >>> from pytorch_accelerated.schedules import absolute, linear
        >>> warmup = linear(100, start=absolute(1e-6))
        >>> warmup(0, base=0.1), warmup(100, base=0.1)
        (1e-06, 0.1)
    """
    return Absolute(value)


def endpoint(name: str, value: object) -> float | Absolute | Affine:
    """Return ``value`` as an end of a phase: a float (a multiple of the base) or an absolute."""
    if isinstance(value, Affine):
        return Affine(*(finite(f"{name}.{part}", x) for part, x in value._asdict().items()))
    return value if isinstance(value, Absolute) else finite(name, value)


def affine(value: float | Absolute | Affine) -> Affine:
    """Return an end of a phase as offset and scale."""
    if isinstance(value, Affine):
        return value
    return Affine(value.value, 0.0) if isinstance(value, Absolute) else Affine(0.0, value)


def as_endpoint(end: Affine) -> float | Absolute | Affine:
    """Return the plainest way to write an end."""
    if end.offset == 0.0:
        return end.scale
    return Absolute(end.offset) if end.scale == 0.0 else end


class Epochs(Fixed):
    """A length in epochs; see :func:`epochs`."""

    def __init__(self, number: float) -> None:
        self.number = finite("number", number)
        if self.number < 0:
            raise ValueError(f"epochs(number={number!r}): a length cannot be negative.")

    def __repr__(self) -> str:
        number = int(self.number) if self.number == int(self.number) else self.number
        return f"epochs({number!r})"


#: Only an integer, a number of updates, needs no horizon.
Length: TypeAlias = int | float | Epochs | None


def epochs(number: float) -> Epochs:
    """Return a length of ``number`` epochs, for any phase.

    It becomes updates when :meth:`Schedule.over` says how many updates an epoch has.

    Args:
        number: How many epochs, zero or more; fractions are allowed.

    Raises:
        TypeError: If ``number`` is not a number.
        ValueError: If it is negative or not finite.

    Example:
        >>> from pytorch_accelerated.schedules import cosine, epochs, linear
        >>> by_epoch = linear(epochs(5), start=0.1) >> cosine()
        >>> by_epoch.over(10_000, num_updates_per_epoch=100)
        linear(500, start=0.1) >> cosine(9500)
    """
    return Epochs(number)


def checked(value: object, name: str = "length") -> Length:
    """Return ``value`` as a length; raise, saying what a length may be."""
    if isinstance(value, Epochs) or (value is None and name == "length"):
        return value
    allowed = (
        f"A {name} is an integer (updates), a fraction in (0, 1) (a share of the horizon), "
        + ("epochs(n), or left out (the rest)." if name == "length" else "or epochs(n).")
    )
    if isinstance(value, bool | str | bytes) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}={value!r} is {kind_of(value)}. {allowed}")
    if isinstance(value, numbers.Integral):
        return whole(name, value)
    share = float(value)
    if share > 1.0 and share.is_integer():
        return int(share)  # 2e10 is a float
    if not 0.0 < share < 1.0:
        hint = ""
        if name == "length" and share == 1.0:
            hint = " For the whole horizon leave the length out."
        elif 1.0 <= share < math.inf:
            hint = f" For {round(share)} updates write {round(share)}."
        raise ValueError(f"{name}={value!r} is a fraction outside (0, 1). {allowed}{hint}")
    return share


class Horizon(NamedTuple):
    """What a relative length refers to."""

    num_updates: int
    num_updates_per_epoch: int | None = None
    stretch: Exact = 1  # how many times as long whatever is not a share of the horizon becomes

    def updates(self, length: Length) -> Exact | None:
        """Return the exact number of updates, before any rounding; None for the rest."""
        if length is None:
            return None
        if isinstance(length, Epochs):
            if self.num_updates_per_epoch is None:
                raise ValueError(
                    f"{length!r} needs to know how many updates an epoch has: "
                    "write .over(horizon, num_updates_per_epoch=…)."
                )
            return exact(length.number) * self.num_updates_per_epoch * self.stretch
        if isinstance(length, int):
            return length * self.stretch
        return exact(length) * self.num_updates


@lru_cache  # a chain that grows in a loop asks again and again
def exact(number: float) -> Fraction:
    """Return the fraction that a float was written as.

    One with a denominator of up to 1000, if the float is as near to it as a little arithmetic
    leaves it; otherwise the decimal number. So 1/3 is a third, 0.29 is 29/100, and 0.7 + 0.2 + 0.1,
    1/3 + 2/3 and 1/3 + (1 − 1/3) are exactly 1.
    """
    from fractions import Fraction  # on use: its import takes 5 ms

    decimal = Fraction(repr(number))
    simple = decimal.limit_denominator(1000)
    is_near = abs(simple - decimal) <= max(1e-15, math.ulp(number))
    return simple if simple and is_near else decimal


def nearest(updates: Exact) -> int:
    """Round to the nearest update, halves up."""
    return int((2 * updates + 1) // 2)


def updates_between(begin: Exact, length: Exact) -> int:
    """Return the updates of a part that lies from ``begin`` on, with both joints rounded."""
    return nearest(begin + length) - nearest(begin)


def rounded(lengths: Iterable[Exact], begin: Exact = 0) -> list[int]:
    """Round lengths so that every joint is at its nearest update and the sum is kept.

    Joints are rounded, not lengths, so errors do not pile up; and a length in whole updates keeps
    its value, because moving both of its joints by the same fraction rounds both the same way.
    """
    result: list[int] = []
    for length in lengths:
        result.append(updates_between(begin, length))
        begin += length
    return result
