"""How long a phase is: updates, epochs, a share of the horizon, or whatever is left.

This is the only place that turns shares and epochs into whole updates, and so the only one that
rounds.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pytorch_accelerated.checks import finite, kind_of, whole
from pytorch_accelerated.schedules.value import Fixed

if TYPE_CHECKING:
    from fractions import Fraction

# A number of updates before any rounding.
Exact: TypeAlias = "int | Fraction"


class Epochs(Fixed):
    """A length in epochs; see :func:`epochs`."""

    def __init__(self, number: float) -> None:
        self.number = finite("number", number)
        if self.number < 0:
            raise ValueError(f"epochs(number={number!r}): a length cannot be negative.")

    def __repr__(self) -> str:
        number = int(self.number) if self.number == int(self.number) else self.number
        return f"epochs({number!r})"


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
            return exact(length.number) * self.num_updates_per_epoch
        if isinstance(length, int):
            return length
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


def is_relative(length: Length) -> bool:
    """Say whether ``length`` needs a horizon to become updates."""
    return not isinstance(length, int)


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
