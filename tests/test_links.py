"""Links lead somewhere; ``make docs`` checks the references between the documentation's pages.

External links are checked for their form alone: tests open no connection.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
TEXTS = [
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("examples/*.md"), *sorted(DOCS.rglob("*.rst"))]
    if not {"_build", "_generated"} & set(path.parts)
]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links_of(path: Path) -> list[str]:
    """Return the targets of links and pictures: addresses, and files with or without an anchor."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return re.findall(r"\]\(([^)\s]*)[^)]*\)", without_code(text))
    links = re.findall(r"`[^`<]*<([^`>]+)>`__?(?!\w)", text)
    pictures = re.findall(r"^\.\. (?:image|figure):: (\S+)", text, flags=re.MULTILINE)
    # Sphinx makes those, and warns of one that it did not make.
    return links + [picture for picture in pictures if "_generated" not in picture]


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that a hosting site makes of headings, and of targets in the text."""
    if path.suffix == ".rst":
        return {name.lower() for name in re.findall(r"(?<!\w)_`([^`]+)`", path.read_text("utf-8"))}
    headings = re.findall(r"^#+ (.+?)\s*$", without_code(path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problem_of(link: str, page: Path) -> str | None:
    """Say what is wrong with a link on a page."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        is_whole = re.fullmatch(r"(?:[\w-]+\.)+[a-z]{2,}", parts.netloc) is not None
        return None if parts.scheme == "https" and is_whole else "no https address"
    target = page if not parts.path else (page.parent / parts.path).resolve()
    if not target.exists():
        return "no such file"
    if ROOT not in (target, *target.parents):
        return "outside the project"
    if parts.fragment and parts.fragment not in anchors_of(target):
        return f"no such heading; there are {sorted(anchors_of(target))}"
    return None


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    problems = {link: problem_of(link, page) for link in links_of(page)}
    assert {link: problem for link, problem in problems.items() if problem} == {}


def test_links_are_found_and_what_is_wrong_with_them_is_seen(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    assert "docs/trainer.rst" in links_of(readme)
    assert "../images/preview-page.png" in links_of(DOCS / "tasks" / "see_the_schedule.rst")
    assert any(link.startswith("https://github.com/") for link in links_of(DOCS / "failures.rst"))
    for link in (
        "docs/nowhere.rst",
        "#no-heading",
        "http://example.org",
        "https://example",
        "/etc",
    ):
        assert problem_of(link, readme) is not None, link
    assert problem_of("#see-a-schedule", readme) is None
    assert problem_of("docs/failures.rst#f01", readme) is None
    assert problem_of("docs/failures.rst#f00", readme) is not None


def test_every_page_of_the_documentation_is_reached_from_the_readme_or_a_toctree() -> None:
    entries = set()
    for page in DOCS.rglob("*.rst"):
        for block in re.findall(r"\.\. toctree::\n((?:[ ]+.*\n|\n)+)", page.read_text("utf-8")):
            for entry in re.findall(r"^ +([\w/]+)$", block, re.MULTILINE):
                entries.add((page.parent / f"{entry}.rst").resolve())
    pages = {page for page in TEXTS if page.suffix == ".rst"} - {DOCS / "index.rst"}
    assert pages - entries == set()
