"""Draws the pictures of the documentation from the code, and writes the pages that show them.

``python docs/figures.py`` draws the README's pictures; the gallery and the pictures of tasks are
drawn whenever the documentation is built.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from drawing import chart, raw

from pytorch_accelerated import cli
from pytorch_accelerated.schedules import constant, linear, sqrt

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.catalogue import CATALOGUE, Entry

KINDS = {
    "recipe": ("Recipes", "What has a name elsewhere. Each is one line of the shapes below."),
    "shape": ("Shapes", "Ways to get from a start *s* to an end *e*."),
    "points": ("Point by point", "Values by the update itself, and the decays of averages."),
    "composition": ("Compositions", "What becomes of schedules *a* and *b*."),
}
#: What else a recipe is called: the search finds it by these names, too.
ALSO = {
    "warmup_cosine": ["warmup", "cosine with warmup"],
    "linear_to_zero": ["linear decay"],
    "wsd": ["warmup-stable-decay", "trapezoidal"],
    "sgdr": ["warm restarts"],
    "one_cycle": ["OneCycleLR", "super-convergence"],
}


def gallery(folder: Path) -> None:
    """Write ``gallery.rst``: a card with the picture of every schedule in the catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "Gallery",
        "=======",
        "",
        "Every schedule, drawn from the values that training runs with, for a base value of 1 and",
        "100 updates; dotted is what holds after the last one. In the formulas *p* is the progress",
        "of a phase in [0, 1] and *n* the number of updates in it. :doc:`recipes` has the plans of",
        "public runs.",
        "",
    ]
    for kind, (title, text) in KINDS.items():
        lines += [title, "-" * len(title), "", text, "", ".. container:: cards", ""]
        for entry in CATALOGUE:
            if entry.kind == kind:
                lines += textwrap.indent(card(entry), "   ").splitlines()
    (folder / "gallery.rst").write_text("\n".join(lines) + "\n")


def card(entry: Entry) -> str:
    """Return what the gallery says of one schedule."""
    is_recipe = entry.kind == "recipe"
    code = entry.formula if is_recipe else repr(entry.sample)
    description = entry.factory.__doc__ or ""
    papers = re.findall(r"arXiv:(\d+\.\d+)", description)[:1]
    horizon = entry.sample.horizon or 100
    values = [entry.sample(k) for k in range(horizon + 1)]
    called = [entry.name, entry.name.replace("_", " "), *ALSO.get(entry.name, [])]
    entries = "\n   ".join(f"single: {name}" for name in dict.fromkeys(called))
    parts = [
        f".. index::\n   {entries}\n",
        f".. rubric:: {entry.name}\n",
        raw(chart({"": values}, code, size=(260, 130), ends=(0.0, 1.0), holds=True)),
        description.strip().partition("\n")[0] + "\n",
        f"``{code}``\n",
        "" if is_recipe else f".. math:: {entry.latex}\n",
        *(f"`arXiv:{paper} <https://arxiv.org/abs/{paper}>`_\n" for paper in papers),
    ]
    return ".. container:: card\n\n" + textwrap.indent("\n".join(parts), "   ") + "\n"


def cut_pictures(folder: Path) -> None:
    """Draw the plans of the page "Decay now", as files that it includes."""
    plan = (linear(500, start=0.0) >> constant() >> sqrt(0.2, end=0.0)).over(10_000)
    cut = plan.until(6_000) >> sqrt(1_000, end=0.0)
    longer = plan.until(8_000) >> constant(6_000) >> sqrt(2_000, end=0.0)
    for name, schedule, text in (
        ("decay_now", cut, "The plan, and the same cut at update 6,000 with a decay to 7,000"),
        ("continue_pretraining", longer, "The plan, and one that stays up to 14,000, then decays"),
    ):
        updates = range(0, max(plan.horizon or 0, schedule.horizon or 0) + 1, 10)
        curves = {"the plan": plan, "what runs": schedule}
        shown = {
            label: [one(k) for k in updates if k <= (one.horizon or 0)]
            for label, one in curves.items()
        }
        (folder / f"{name}.html").write_text(chart(shown, text, updates=updates))


def pictures_of_the_readme(folder: Path) -> None:
    """Draw the README's pictures, by the commands beside them."""
    root = folder.parents[1]
    text = (root / "README.md").read_text().replace("\\\n", "")
    (command,) = re.findall(r"^pytorch-accelerated (.*) -o schedule\.png$", text, re.MULTILINE)
    cli.main([*shlex.split(command), "-o", str(folder / "schedule.png")])
    with tempfile.TemporaryDirectory() as runs:  # as "make train" does
        script = [sys.executable, root / "examples" / "train_digits.py", "--folder", runs]
        subprocess.run(script, check=True)
        shutil.copy(Path(runs) / "schedule.png", folder / "digits.png")


if __name__ == "__main__":
    pictures_of_the_readme(Path(__file__).parent / "images")
