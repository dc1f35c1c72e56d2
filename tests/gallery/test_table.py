"""The table, its tests and its page agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.gallery.page import PAGE, link_of, page
from tests.gallery.table import ROWS

FOLDER = Path(__file__).parent


def gallery_tests() -> dict[str, set[str]]:
    """Name of each test of the gallery → the names of its marks."""
    found = {}
    for path in FOLDER.glob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_f"):
                found[node.name] = {ast.unparse(mark) for mark in node.decorator_list}
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_row_has_its_test_and_each_peer_that_fails_another(row) -> None:
    own = {name for name in gallery_tests() if name.startswith(f"test_{row.id.lower()}_")}
    shown = {name for name in own if "_peer_" in name}
    assert own - shown
    peers = {re.match(r"test_f\d\d_peer_([a-z]+)_", name)[1] for name in shown}
    assert peers == set(row.peers)


def test_each_test_belongs_to_a_row_and_each_about_a_peer_is_marked() -> None:
    ids = {row.id.lower() for row in ROWS}
    for name, marks in gallery_tests().items():
        assert name[5:8] in ids
        assert ("_peer_" in name) == bool(marks & {"peer", "pytest.mark.peer"})


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.gallery.page"


def test_what_the_readme_says_of_pytorch_is_shown_by_a_test() -> None:
    cited = re.findall(r"failures\.rst#(f\d\d)\)", (PAGE.parents[1] / "README.md").read_text())
    shown = {row.id.lower() for row in ROWS if "pytorch" in row.peers}
    assert len(cited) == 5
    assert {*cited} <= shown


def test_reports_are_linked() -> None:
    assert link_of("owner/a.b#12") == "`a.b #12 <https://github.com/owner/a.b/issues/12>`__"
    assert link_of("owner/a!3") == "`a #3 <https://github.com/owner/a/pull/3>`__"
    with pytest.raises(ValueError, match="owner/project"):
        link_of("a#3")
