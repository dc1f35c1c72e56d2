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
from pathlib import Path

from matplotlib.figure import Figure

from pytorch_accelerated import cli
from pytorch_accelerated.schedules import constant, linear, sqrt

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.catalogue import CATALOGUE, Entry

KINDS = {
    "shape": "Shapes",
    "points": "Point by point",
    "composition": "Compositions",
    "recipe": "Recipes",
}


def gallery(folder: Path) -> None:
    """Write ``gallery.rst`` and a picture of every schedule in the catalogue."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "Gallery",
        "=======",
        "",
        "Every schedule, drawn by the code that training runs. All of them are for a base value",
        "of 1; p is the progress of a phase in [0, 1], n the number of updates in it.",
        "",
    ]
    for kind, title in KINDS.items():
        lines += [title, "-" * len(title), ""]
        for entry in CATALOGUE:
            if entry.kind == kind:
                lines += section(entry, folder)
    (folder / "gallery.rst").write_text("\n".join(lines))


def section(entry: Entry, folder: Path) -> list[str]:
    """Return the lines about one schedule, having drawn its picture."""
    picture = f"{CATALOGUE.index(entry):02}.png"
    entry.sample.plot().savefig(folder / picture, dpi=110)
    code, description = repr(entry.sample), entry.factory.__doc__ or ""
    papers = re.findall(r"arXiv:(\d+\.\d+)", description)[:1]
    return [
        entry.name,
        "~" * len(entry.name),
        "",
        description.strip().partition("\n")[0],
        "",
        ".. code-block:: text",
        "",
        f"   {code}",
        "",
        f".. math:: {entry.latex}",
        "",
        *(f"Paper: `arXiv:{paper} <https://arxiv.org/abs/{paper}>`_.\n" for paper in papers),
        f".. image:: {picture}",
        f"   :alt: {code}",
        "   :width: 600px",
        "",
    ]


def cut_pictures(folder: Path) -> None:
    """Draw the plans of the page "Decay now"."""
    stable = linear(500, start=0.0) >> constant()
    plan = (stable >> sqrt(0.2, end=0.0)).over(10_000)
    pictures = {
        "decay_now": (plan, plan.until(6_000) >> sqrt(1_000, end=0.0)),
        "continue_pretraining": (
            plan,
            plan.until(8_000) >> constant(6_000) >> sqrt(2_000, end=0.0),
        ),
    }
    for name, (before, after) in pictures.items():
        figure = Figure(figsize=(7.0, 2.4), layout="constrained")
        axes = figure.add_subplot()
        for schedule, label, width in ((before, "the plan", 5.0), (after, "what runs", 1.4)):
            updates = range(0, (schedule.horizon or 0) + 1, 10)
            axes.plot(updates, [schedule(k) for k in updates], linewidth=width, label=label)
        axes.lines[0].set_color("#f2a65a")
        axes.lines[1].set_color("#1f3b73")
        axes.set_xlabel("update")
        axes.set_ylabel("multiple of the base")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(folder / f"{name}.png", dpi=110)


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
