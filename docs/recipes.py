"""Make the page "Recipes of 2026" of the table that the conformance tests run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from coming_from import section

from tests.conformance.recipes import RECIPES, Recipe
from tests.conformance.recording import largest_difference

INTRODUCTION = """\
Recipes of 2026
===============

Schedules of public runs and papers. First comes what each one's own function computes, written as a
formula of update k and the base value that a group was given, then our line. The tests run both at
every update on a real optimizer, and the largest difference is stated, as a share of the base
value. Lengths that depend on a run's data are examples; a line with shares takes them from the run,
without its ``over(…)``.
"""


def build(output_dir: Path | str) -> Path:
    """Write the page into a directory, and return its path."""
    path = Path(output_dir) / "recipes.rst"
    path.write_text(page(RECIPES), encoding="utf-8")
    return path


def page(rows: Iterable[Recipe]) -> str:
    """Return the page in reStructuredText."""
    return "\n".join([INTRODUCTION, *(section(replace(row, note=note_of(row))) for row in rows)])


def note_of(row: Recipe) -> str:
    """Return where a recipe is from, how far ours is from it at most, and what else there is."""
    return f"{row.source}. Largest difference: {largest_difference(row):.1g}. {row.note}".rstrip()
