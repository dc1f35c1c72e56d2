"""What compares, hashes and prints by its fields; and the numbers that schedules are made of."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple, NoReturn, TypeVar

from pytorch_accelerated.checks import finite

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
