"""What compares, hashes and prints by its fields."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


class Value:
    """The methods that ``@dataclass`` would compile anew for each of its classes.

    That takes 0.3 ms for each class, a sixth of what importing the schedulers took in all.
    """

    def _contents(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._contents() == other._contents()

    def __hash__(self) -> int:
        return hash((type(self), *self._contents().values()))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._contents().items())
        return f"{type(self).__qualname__}({arguments})"
