"""The page "Coming from other libraries" shows every row of the table."""

import importlib.util
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from tests.conformance.table import ROWS

SOURCE = Path(__file__).parents[2] / "docs" / "coming_from.py"


@pytest.fixture(scope="module")
def coming_from():
    spec = importlib.util.spec_from_file_location("coming_from", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_both_sides_of_every_row(coming_from):
    document = publish_doctree(
        coming_from.page(ROWS), settings_overrides={"report_level": 2, "halt_level": 2}
    )
    blocks = [block.astext() for block in document.findall() if block.tagname == "literal_block"]
    sides = [side for row in ROWS for side in (row.theirs, row.ours)]
    assert [block for block in blocks if block in sides] == sides
    pictures = [image["uri"] for image in document.findall() if image.tagname == "image"]
    assert len(set(pictures)) == len(ROWS)


@pytest.mark.parametrize("key", ["torch: LinearLR", "timm: TanhLRScheduler, cycles"])
def test_both_curves_are_drawn(coming_from, key, tmp_path):
    (row,) = (row for row in ROWS if row.key == key)
    coming_from.draw(row, tmp_path / "one.svg")
    coming_from.draw(row, tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    texts = {"".join(e.itertext()).strip() for e in ElementTree.parse(tmp_path / "one.svg").iter()}
    assert {row.library, "ours", "update", "lr"} <= texts
