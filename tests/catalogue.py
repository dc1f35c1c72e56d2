"""One row for each schedule: the curves of the table, and what is not a curve by itself.

The gallery in the documentation and the tests of accuracy are made of these rows.
"""

from __future__ import annotations

from pytorch_accelerated.schedules.averages import AVERAGES
from pytorch_accelerated.schedules.compose import Product, Scaled, Sequence, Sum
from pytorch_accelerated.schedules.curves import CURVES, cosine, linear, phase, sqrt
from pytorch_accelerated.schedules.derived import maximum, minimum
from pytorch_accelerated.schedules.phase import Entry, constant
from pytorch_accelerated.schedules.points import from_function, milestones
from pytorch_accelerated.schedules.ratios import exponential
from pytorch_accelerated.schedules.recipes import RECIPES
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import absolute


def smoothstep(progress: float) -> float:
    """Return 3p² − 2p³, an example of a shape of one's own."""
    return progress * progress * (3.0 - 2.0 * progress)


def halving(num_updates: int) -> float:
    """Return a value that halves every 20 updates, an example of a function of one's own."""
    return float(0.5 ** (num_updates / 20.0))


CATALOGUE: tuple[Entry, ...] = (
    Entry(constant, constant(100, value=0.5), "value", r"v"),
    *CURVES,
    Entry(
        phase,
        phase(100, shape=smoothstep, end=0.0),
        "start * (1 - shape(p)) + end * shape(p)",
        r"s\,(1 - f(p)) + e\,f(p)",
    ),
    Entry(
        milestones,
        milestones({50: 0.5, 80: 0.1}),
        "values[max(m for m in values if m <= n)]",
        r"v_m,\; m = \max\{m_i \leq n\}",
        kind="points",
    ),
    Entry(from_function, from_function(halving, 100), "function(n)", r"f(n)", kind="points"),
    *AVERAGES,
    Entry(
        Sequence,
        linear(10, start=0.0) >> constant(60) >> cosine(30, end=0.0),
        "a(n) if n < a.horizon else b(n - a.horizon)",
        r"a(n) \text{ for } n < N_a, \text{ else } b(n - N_a)",
        kind="composition",
        title="a >> b",
    ),
    Entry(
        Schedule.repeat,
        cosine(20, end=0.0).repeat(5, peak=0.7),
        "a(n % a.horizon)",
        r"a(n \;\mathrm{mod}\; N_a)",
        kind="composition",
    ),
    Entry(
        Schedule.repeat,
        (linear(12, start=0.2) >> linear(12, end=0.2)).repeat().until(60) >> sqrt(40, end=0.0),
        "a(n % a.horizon)",
        r"a(n \;\mathrm{mod}\; N_a)",
        kind="composition",
        title="repeat()",
    ),
    Entry(
        Scaled,
        0.5 * cosine(100, end=0.0),
        "c * a(n)",
        r"c\,a(n)",
        kind="composition",
        title="c * a",
    ),
    Entry(
        Sum,
        constant(100, value=0.1) + linear(100, start=0.8, end=0.0),
        "a(n) + b(n)",
        r"a(n) + b(n)",
        kind="composition",
        title="a + b",
    ),
    Entry(
        Product,
        cosine(25, end=0.5).repeat(4) * exponential(100, end=0.1),
        "a(n) * b(n)",
        r"a(n)\,b(n)",
        kind="composition",
        title="a * b",
    ),
    Entry(
        minimum,
        minimum(linear(100, end=0.0), cosine(60, start=0.4, end=0.6)),
        "min(a(n), b(n))",
        r"\min(a(n), b(n))",
        kind="composition",
    ),
    Entry(
        maximum,
        maximum(cosine(100, end=0.0), 0.1),
        "max(a(n), b(n))",
        r"\max(a(n), b(n))",
        kind="composition",
    ),
    Entry(
        Schedule.until,
        cosine(100, end=0.0).until(60) >> linear(20, end=0.0),
        "a(min(n, k))",
        r"a(\min(n, k))",
        kind="composition",
    ),
    Entry(
        Schedule.stretched,
        (linear(5, start=0.0) >> cosine(45, end=0.0)).stretched(2.0),
        "a(n / factor)",
        r"a(n / \mathrm{factor})",
        kind="composition",
    ),
    Entry(
        Schedule.rounded,
        linear(100, start=absolute(0.0), end=absolute(1.0)).rounded(to=0.125),
        "to * floor(a(n) / to + 1 / 2)",
        r"\mathrm{to}\,\left\lfloor a(n) / \mathrm{to} + \frac{1}{2} \right\rfloor",
        kind="composition",
    ),
    *RECIPES,
)
