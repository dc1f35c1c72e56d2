"""The documentation's page about known failures: ``python -m tests.gallery.page`` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.gallery.table import ROWS, Row

PAGE = Path(__file__).parent.parent.parent / "docs" / "failures.rst"

_HEAD = """\
Known failures, and what happens here
=====================================

What users of schedulers and training loops have run into elsewhere. Each is a test of this library,
named after its number. Where it says *shown*, another test shows that the library named still fails
in the version of the test environment, so this page stays true.

"""


def link_of(report: str) -> str:
    """Return the link to a report, such as ``owner/project#12``."""
    match = re.fullmatch(r"([\w.-]+)/([\w.-]+)([#!])(\d+)", report)
    if match is None:
        raise ValueError(f"{report!r} is not a report: write owner/project#1 or owner/project!1.")
    owner, project, kind, number = match.groups()
    path = "issues" if kind == "#" else "pull"
    return f"`{project} #{number} <https://github.com/{owner}/{project}/{path}/{number}>`__"


def where(row: Row) -> str:
    """Return where a failure was met: libraries, those shown to fail, and reports."""
    parts = [row.where]
    if row.peers:
        parts.append(f"(*shown*: {', '.join(row.peers)})")
    links = ", ".join(map(link_of, row.reports)) or "found by running"
    return f"{' '.join(parts)}: {links}"


def page() -> str:
    """Return the page."""
    return _HEAD + "\n".join(map(entry, ROWS))


def entry(row: Row) -> str:
    """Return what the page says of one failure."""
    return f"""\
_`{row.id}` {row.symptom}
   *Elsewhere:* {where(row)}

   *Here:* {row.here}
"""


if __name__ == "__main__":
    PAGE.write_text(page())
