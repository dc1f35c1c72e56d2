"""The page "Coming from other libraries" shows every row of the table."""

import importlib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

from tests.conformance.table import ROWS


@pytest.fixture
def coming_from(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    return importlib.import_module("coming_from")


def test_the_page_has_both_sides_of_every_row(coming_from):
    document = publish_doctree(
        coming_from.page(ROWS), settings_overrides={"report_level": 2, "halt_level": 2}
    )
    blocks = [block.astext() for block in document.findall() if block.tagname == "literal_block"]
    sides = [side for row in ROWS for side in (row.theirs, row.ours)]
    assert [block for block in blocks if block in sides] == sides
    assert sum(node.tagname == "raw" for node in document.findall()) == len(ROWS)


def test_the_example_of_the_page_runs(coming_from):
    exec(publish_doctree(coming_from.INTRODUCTION).next_node(nodes.literal_block).astext(), {})  # noqa: S102


@pytest.mark.parametrize("key", ["torch: LinearLR", "timm: TanhLRScheduler, cycles"])
def test_both_curves_are_drawn(coming_from, key):
    (row,) = (row for row in ROWS if row.key == key)
    drawn = ElementTree.fromstring(coming_from.picture(row))
    texts = {"".join(element.itertext()) for element in drawn.iter("text")}
    assert {row.library, "ours", "update", f"{row.num_updates - 1:,}"} <= texts
    curves = {
        path.get("class"): path.get("d").count("L")
        for path in drawn.iter("path")
        if path.get("class") in ("wide", "thin") and "L" in path.get("d")
    }
    assert curves["wide"] == curves["thin"] > 40
