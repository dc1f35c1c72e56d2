"""One line of ours gives every value of each recipe, up to the difference that the page states."""

import importlib
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from tests.conformance.recipes import RECIPES
from tests.conformance.recording import largest_difference, our_schedule


@pytest.mark.parametrize("row", RECIPES, ids=lambda row: row.name)
def test_every_update_has_the_value_of_the_formula(row):
    assert largest_difference(row) <= row.tolerance


def test_each_recipe_is_from_somewhere_and_is_compared_up_to_its_end():
    assert len({row.key for row in RECIPES}) == len(RECIPES)
    for row in RECIPES:
        assert "https://" in row.source
        horizon = our_schedule(row).horizon
        assert horizon is None or horizon < row.num_updates


def test_the_page_has_both_sides_and_the_source_of_each(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    some = RECIPES[5:7]
    document = publish_doctree(
        importlib.import_module("recipes").page(some),
        settings_overrides={"report_level": 2, "halt_level": 2},
    )
    blocks = [block.astext() for block in document.findall() if block.tagname == "literal_block"]
    assert blocks == [side for row in some for side in (row.theirs, row.ours)]
    assert document.astext().count("Largest difference: ") == len(some)
    links = {node["refuri"] for node in document.findall() if node.tagname == "reference"}
    assert "https://github.com/pytorch/torchtitan" in links
