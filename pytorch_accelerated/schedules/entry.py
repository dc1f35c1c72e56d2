"""One row of the table of curves, and of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pytorch_accelerated.schedules.schedule import Schedule


class Entry(NamedTuple):
    """One schedule of the catalogue.

    Attributes:
        factory: The function, method or class that makes it.
        sample: One of them, over 100 updates; its ``repr`` is the code that builds it.
        formula: Its value, in Python's notation, of ``start``, ``end``, the progress ``p`` in
            [0, 1], the position ``n`` in updates, and the factory's own arguments.
        latex: The same for the documentation.
        own: The factory's own arguments, each with the least and the most that tests try.
        kind: ``shape`` (a phase from a start to an end), ``points`` (values given update by
            update) or ``composition`` (schedules made of schedules).
        title: What it is called, if not as its factory.
    """

    factory: Callable[..., Schedule]
    sample: Schedule
    formula: str
    latex: str
    own: Mapping[str, tuple[float, float]] = {}
    kind: str = "shape"
    title: str = ""

    @property
    def name(self) -> str:
        """What it is called; for a shape, the factory's name."""
        return self.title or self.factory.__name__

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (self.factory.__doc__ or "").strip().partition("\n")[0]

    @property
    def paper(self) -> str:
        """The first paper in the factory's docstring, as an arXiv number; or nothing."""
        found = re.search(r"arXiv:(\S+?\d)\b", self.factory.__doc__ or "")
        return found[1] if found else ""

    @property
    def code(self) -> str:
        """The code that builds the sample."""
        return repr(self.sample)
