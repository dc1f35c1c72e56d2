"""What a preview's page and its picture in a notebook are drawn from: numbers and names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from pytorch_accelerated.preview.columns import Columns, PreviewRow, named
from pytorch_accelerated.preview.curves import (
    colours_of,
    curves,
    dashes_of,
    drawable,
    kept_points,
    spans_decades,
    ticks,
)

_MOST_SHADED = 200
# Notebooks have rules of their own for cells, which break numbers and push them to the right.
_CELL = 'style="white-space: nowrap; text-align: left"'


def panels(preview: Columns, log: bool | None, most: int) -> list[dict[str, Any]]:
    """Return for each field its phases, its ticks, and about ``most`` points of each curve."""
    return [_panel(preview, field, log, most) for field in preview.fields]


def _panel(preview: Columns, field: str, log: bool | None, most: int) -> dict[str, Any]:
    found = curves(preview.groups, preview[field])
    rows = preview.rows_of(field)
    shaded = list(rows if len(rows) <= _MOST_SHADED else ())
    if preview.tail:
        shaded.append(PreviewRow("then holds", *preview.tail))
    drawn = [
        _curve(preview, names, column, rows, preview.ends_of(field, names), most)
        for names, column in found
    ]
    for curve, colour, dashes in zip(
        drawn, colours_of(found, preview.groups), dashes_of(len(found)), strict=True
    ):
        curve |= {"colour": colour, "dashes": dashes}
    values = [y for curve in drawn for y in curve["y"] if y is not None]
    return {
        "field": field,
        "log": spans_decades([column for _, column in found]) if log is None else log,
        "ticks": {name: _ticks(values, name == "log") for name in ("linear", "log")},
        "phases": [[row.phase, row.first, row.last] for row in shaded],
        "curves": drawn,
    }


def _ticks(values: Sequence[float], is_log: bool) -> list[float]:
    shown = [value for value in values if drawable(value, is_log)]
    return ticks(min(shown), max(shown), is_log) if shown else []


def _curve(
    preview: Columns,
    names: list[str],
    column: Sequence[float],
    rows: Sequence[PreviewRow],
    ends: Sequence[float],
    most: int,
) -> dict[str, Any]:
    updates = preview.updates
    at = kept_points(column, [preview.place(row.first) for row in rows], most)
    points = [(updates[k], column[k]) for k in at]
    points += [(update, end) for end in ends[:1] for update in preview.tail]
    return {
        "groups": names,
        "label": "all groups" if len(names) == len(preview.groups) > 1 else named(names),
        "x": [update for update, _ in points],
        # JSON has no NaN and no infinity; None is a gap.
        "y": [value if math.isfinite(value) else None for _, value in points],
        "text": [repr(value) for _, value in points],
    }


def html_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in HTML."""
    head = "".join(f"<th {_CELL}>{escape(name)}</th>" for name in headers)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td {_CELL} data-name="{escape(name)}">{escape(cell)}</td>'
            for name, cell in zip(headers, cells, strict=True)
        )
        + "</tr>\n"
        for cells in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"
    return f'<div style="overflow-x: auto">{table}</div>'
