"""Every code block in the documentation and the README runs."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def blocks_of(path: Path) -> list[tuple[int, str]]:
    """Return line number and code of each Python block in a page."""
    text = path.read_text()
    if path.suffix == ".md":
        pattern = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
    else:
        pattern = re.compile(
            r"^\.\. code-block:: python\n(?:[ ]+:.*\n)*\n(?P<code>(?:[ ]{3,}.*\n|\n)+)",
            re.MULTILINE,
        )
    return [
        (text[: match.start("code")].count("\n") + 1, textwrap.dedent(match["code"]))
        for match in pattern.finditer(text)
    ]


PAGES = [
    path
    for path in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.rst"))]
    if "_build" not in path.parts and blocks_of(path)
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run_one_after_another(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for line, code in blocks_of(page):
        padded = "\n" * (line - 1) + code  # so that a traceback shows the page's own line
        exec(compile(padded, os.fspath(page), "exec"), names)  # noqa: S102
