"""Make the page "Coming from other libraries" of the table that the conformance tests run."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.conformance.recording import our_values, their_values
from tests.conformance.table import ROWS, Row

PICTURES = "coming_from"
TITLES = {
    "torch": "torch.optim.lr_scheduler",
    "transformers": "transformers.get_scheduler",
    "optax": "optax",
    "timm": "timm.scheduler",
    "ignite": "ignite.handlers",
    "olmo-core": "olmo_core.optim",
    "megatron": "Megatron-LM's OptimizerParamScheduler",
    "levanter": "Levanter's OptimizerConfig",
    "mmengine": "mmengine.optim.scheduler",
    "keras": "keras.optimizers.schedules",
    "composer": "composer.optim",
}
INTRODUCTION = """\
Coming from other libraries
===========================

Each row has a call of another library on the left and, on the right, the one schedule that gives
every update the same value, to 12 digits. The tests run both sides of each row; of the libraries
from OLMo-core on, which they do not install, they run the formula. The pictures draw both curves
over each other, for the first parameter group.

On the left, ``optimizer`` has two groups with learning rates 0.1 and 0.01 (optax has one, 0.1). A
schedule on the right goes into a scheduler for any field, and one is enough for all groups, because
its numbers are multiples of each group's own base value unless they are ``absolute``:

.. code-block:: python

   import torch
   from pytorch_accelerated.schedulers import ParamScheduler
   from pytorch_accelerated.schedules import cosine, linear

   optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
   scheduler = ParamScheduler(optimizer, lr=linear(20, start=0.0) >> cosine(80, end=0.0))
"""


def build(output_dir: Path | str) -> Path:
    """Write the page and its pictures into a directory, and return the page's path."""
    output = Path(output_dir)
    (output / PICTURES).mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        draw(row, output / picture_of(row))
    path = output / "coming_from.rst"
    path.write_text(page(ROWS), encoding="utf-8")
    return path


def page(rows: Iterable[Row]) -> str:
    """Return the page in reStructuredText."""
    parts = [INTRODUCTION]
    for library, own in groupby(rows, key=lambda row: row.library):
        parts.append(f"{TITLES[library]}\n{'-' * len(TITLES[library])}\n")
        parts.extend(map(section, own))
    return "\n".join(parts)


def section(row: Row) -> str:
    """Return a row's two sides, its picture and its note."""
    return "\n".join(
        [
            row.title,
            "^" * len(row.title),
            "",
            ".. list-table::",
            "   :widths: 50 50",
            "   :header-rows: 1",
            "",
            f"   * - {row.library}",
            "     - pytorch-accelerated",
            f"   * - {code(row.theirs)}",
            f"     - {code(row.ours)}",
            "",
            f".. image:: {picture_of(row).as_posix()}",
            f"   :alt: {row.field} over updates: {row.title} and ours, one over the other",
            "",
            row.note,
            "",
        ]
    )


def code(source: str) -> str:
    """Return a code block as a cell of a list table."""
    return ".. code-block:: python\n\n" + textwrap.indent(source, " " * 10)


def picture_of(row: Row) -> Path:
    """Return where a row's picture lies, seen from the page."""
    return Path(PICTURES) / (re.sub(r"\W+", "-", row.key).strip("-").lower() + ".svg")


def draw(row: Row, path: Path) -> None:
    """Draw both sides' values of the first parameter group over each other."""
    figure = Figure(figsize=(6.0, 2.0))
    axes = figure.add_axes((0.11, 0.24, 0.87, 0.63))
    theirs = [groups[0] for groups in their_values(row)]
    ours = [groups[0] for groups in our_values(row)]
    axes.plot(theirs, drawstyle="steps-post", color="#f2a65a", linewidth=5, label=row.library)
    axes.plot(ours, drawstyle="steps-post", color="#1f3b73", linewidth=1.2, label="ours")
    axes.set_xlabel("update")
    axes.set_ylabel(row.field)
    axes.set_ylim(bottom=min(0.0, *ours) if row.field == "lr" else None)
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 0.98))
    axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.hashsalt": row.key, "svg.fonttype": "none"}):  # as in the last build
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    print(build(Path(__file__).parent / "_generated"))
