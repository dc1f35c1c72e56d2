"""Make the page "Coming from other libraries" of the table that the conformance tests run."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from drawing import chart, raw

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.conformance.recording import our_values, their_values
from tests.conformance.table import ROWS, Row

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

A call of another library, and the one schedule of ours that gives every update the same value, to
12 digits. The tests run both; of the libraries from OLMo-core on, which they do not install, they
run the formula. The pictures draw both curves for the first group: theirs wide, ours thin over it.

In the calls, ``optimizer`` has two groups with learning rates 0.1 and 0.01 (optax has one, 0.1). A
schedule of ours goes into a scheduler for any field. One is enough for all groups, because its
numbers are multiples of each group's own base value, unless they are ``absolute``:

.. code-block:: python

   import torch
   from pytorch_accelerated.schedulers import ParamScheduler
   from pytorch_accelerated.schedules import cosine, linear

   optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
   scheduler = ParamScheduler(optimizer, lr=linear(20, start=0.0) >> cosine(80, end=0.0))
"""


def build(output_dir: Path | str) -> Path:
    """Write the page into a directory, and return its path."""
    path = Path(output_dir) / "coming_from.rst"
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
    """Return a row's two sides, one under the other, its picture and its note."""
    return "\n".join(
        [
            row.title,
            "^" * len(row.title),
            "",
            code(f"*{row.library}*", row.theirs),
            code("*pytorch-accelerated*", row.ours),
            raw(picture(row)),
            row.note,
            "",
        ]
    )


def code(label: str, source: str) -> str:
    """Return a code block below the name of its library."""
    return f"{label}:\n\n.. code-block:: python\n\n{textwrap.indent(source, '   ')}\n"


def picture(row: Row) -> str:
    """Draw both sides' values of the first parameter group over each other."""
    theirs = [groups[0] for groups in their_values(row)]
    ours = [groups[0] for groups in our_values(row)]
    text = f"{row.field} over updates: {row.title} and ours, one over the other"
    ends = None if row.field == "lr" else (min(ours), max(ours))
    return chart({row.library: theirs, "ours": ours}, text, ends=ends)


if __name__ == "__main__":
    print(build(Path(__file__).parent / "_generated"))
