"""One row per schedule: its factory, a sample, its formula and its paper.

The gallery in the documentation and the tests of accuracy are made of these rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytorch_accelerated.schedules.base import Schedule
from pytorch_accelerated.schedules.combine import Product, Scaled, Sequence, Sum
from pytorch_accelerated.schedules.phases import (
    constant,
    cosine,
    exponential,
    inverse_proportional,
    inverse_sqrt,
    linear,
    phase,
    polynomial,
    rex,
    sqrt,
    tanh,
)
from pytorch_accelerated.schedules.pointwise import from_function, milestones


@dataclass(frozen=True)
class Entry:
    """One schedule of the catalogue.

    Attributes:
        name: What it is called; for a shape, the factory's name.
        kind: ``shape`` (a phase from a start to an end), ``points`` (values given update by
            update) or ``composition`` (schedules made of schedules).
        factory: The function, method or class that makes it.
        sample: One of them, over 100 updates; its ``repr`` is the code that builds it.
        formula: Its value, in Python's notation, of ``start``, ``end``, the progress ``p`` in
            [0, 1], the position ``n`` in updates, and the factory's own arguments.
        latex: The same for the documentation.
        paper: Where it comes from, as an arXiv number; empty for what has no single source.
    """

    name: str
    kind: str
    factory: Callable[..., Any]
    sample: Schedule
    formula: str
    latex: str
    paper: str = ""

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (self.factory.__doc__ or "").strip().partition("\n")[0]

    @property
    def code(self) -> str:
        """The code that builds the sample."""
        return repr(self.sample)


def smoothstep(progress: float) -> float:
    """Return 3p² − 2p³, an example of a shape of one's own."""
    return progress * progress * (3.0 - 2.0 * progress)


def halving(num_updates: int) -> float:
    """Return a value that halves every 20 updates, an example of a function of one's own."""
    return float(0.5 ** (num_updates / 20.0))


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        "constant",
        "shape",
        constant,
        constant(100, value=0.5),
        "value",
        r"v",
    ),
    Entry(
        "linear",
        "shape",
        linear,
        linear(100, end=0.0),
        "start * (1 - p) + end * p",
        r"s\,(1 - p) + e\,p",
    ),
    Entry(
        "cosine",
        "shape",
        cosine,
        cosine(100, end=0.0),
        "end + (start - end) * (1 + cos(pi * p**k)) / 2",
        r"e + (s - e)\,\tfrac12\left(1 + \cos(\pi p^k)\right)",
        "1608.03983",
    ),
    Entry(
        "polynomial",
        "shape",
        polynomial,
        polynomial(100, end=0.0),
        "end + (start - end) * (1 - p) ** power",
        r"e + (s - e)\,(1 - p)^{\mathrm{power}}",
        "1606.00915",
    ),
    Entry(
        "exponential",
        "shape",
        exponential,
        exponential(100, end=0.01),
        "start ** (1 - p) * end**p",
        r"s^{1 - p}\,e^{p}",
        "1506.01186",
    ),
    Entry(
        "sqrt",
        "shape",
        sqrt,
        sqrt(100, end=0.0),
        "start + (end - start) * sqrt(p)",
        r"s + (e - s)\,\sqrt{p}",
        "2405.18392",
    ),
    Entry(
        "inverse_sqrt",
        "shape",
        inverse_sqrt,
        inverse_sqrt(100, timescale=10),
        "start / sqrt(1 + n / timescale)",
        r"s \,/ \sqrt{1 + n / \mathrm{timescale}}",
        "1706.03762",
    ),
    Entry(
        "inverse_proportional",
        "shape",
        inverse_proportional,
        inverse_proportional(100, end=0.05),
        "1 / ((1 - p) / start + p / end)",
        r"1 \,/ \left(\tfrac{1 - p}{s} + \tfrac{p}{e}\right)",
        "2410.05192",
    ),
    Entry(
        "tanh",
        "shape",
        tanh,
        tanh(100, end=0.0),
        "start + (end - start) * (tanh(lower + (upper - lower) * p) - tanh(lower))"
        " / (tanh(upper) - tanh(lower))",
        r"s + (e - s)\,\frac{\tanh(l + (u - l)\,p) - \tanh l}{\tanh u - \tanh l}",
        "1806.01593",
    ),
    Entry(
        "rex",
        "shape",
        rex,
        rex(100, end=0.0),
        "end + (start - end) * (1 - p) / (1/2 + (1 - p) / 2)",
        r"e + (s - e)\,\frac{1 - p}{\frac12 + \frac12 (1 - p)}",
        "2107.04197",
    ),
    Entry(
        "phase",
        "shape",
        phase,
        phase(100, shape=smoothstep, end=0.0),
        "start * (1 - shape(p)) + end * shape(p)",
        r"s\,(1 - f(p)) + e\,f(p)",
    ),
    Entry(
        "milestones",
        "points",
        milestones,
        milestones({50: 0.5, 80: 0.1}),
        "values[max(m for m in values if m <= n)]",
        r"v_m,\; m = \max\{m_i \le n\}",
    ),
    Entry(
        "from_function",
        "points",
        from_function,
        from_function(halving, 100),
        "function(n)",
        r"f(n)",
    ),
    Entry(
        "a >> b",
        "composition",
        Sequence,
        linear(10, start=0.0) >> constant(60) >> cosine(30, end=0.0),
        "a(n) if n < a.horizon else b(n - a.horizon)",
        r"a(n) \text{ for } n < N_a, \text{ else } b(n - N_a)",
    ),
    Entry(
        "repeat",
        "composition",
        Schedule.repeat,
        cosine(20, end=0.0).repeat(5, peak=0.7),
        "a(n % a.horizon)",
        r"a(n \bmod N_a)",
        "1608.03983",
    ),
    Entry(
        "c * a",
        "composition",
        Scaled,
        0.5 * cosine(100, end=0.0),
        "c * a(n)",
        r"c\,a(n)",
    ),
    Entry(
        "a + b",
        "composition",
        Sum,
        constant(100, value=0.1) + linear(100, start=0.8, end=0.0),
        "a(n) + b(n)",
        r"a(n) + b(n)",
    ),
    Entry(
        "a * b",
        "composition",
        Product,
        cosine(25, end=0.5).repeat(4) * exponential(100, end=0.1),
        "a(n) * b(n)",
        r"a(n)\,b(n)",
    ),
)
