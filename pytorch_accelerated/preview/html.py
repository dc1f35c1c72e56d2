"""Previews as one page that works offline, with plotly's script inside."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

try:
    from plotly.offline import get_plotlyjs
except ImportError as error:
    raise ImportError("A page needs plotly: pip install 'pytorch-accelerated[html]'") from error

from pytorch_accelerated.preview.columns import Columns, PreviewRow, named
from pytorch_accelerated.preview.curves import colours_of, curves, kept_points, spans_decades

_MOST_POINTS = 4000
_MOST_SHADED = 200


def page(preview: Columns, *, title: str | None = None, log: bool | None = None) -> str:
    """Return the page of a preview; see :meth:`Preview.save_html`."""
    panels = [_panel(preview, field, log) for field in preview.fields]
    drawn = max((len(curve["x"]) for panel in panels for curve in panel["curves"]), default=0)
    drawn -= len(preview.tail)
    data = {
        "panels": panels,
        "groups": list(preview.groups),
        "first": preview.first_update,
        "last": preview.tail[-1] if preview.tail else preview.num_updates - 1,
        "perEpoch": preview.num_updates_per_epoch,
        "position": preview.position or None,
    }
    note = f"All {len(preview):,} updates are drawn."
    if 0 < drawn < len(preview):
        note = (
            f"Of {len(preview):,} updates up to {drawn:,} are drawn for each curve, with their "
            "exact values: both sides of every joint, the highest and lowest of every stretch."
        )
    heading = title or f"{', '.join(preview.fields)} over {len(preview):,} updates"
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": escape(heading),
        "NOTE": escape(note),
        "TABLE": escape(str(preview)),
        "DATA": _as_script(data),
        "PLOTLY": get_plotlyjs(),
    }
    # Split once, so that nothing inside a part is taken for a place to fill.
    pieces = template.split("%%")
    return "".join(parts[one] if i % 2 else one for i, one in enumerate(pieces))


def _panel(preview: Columns, field: str, log: bool | None) -> dict[str, Any]:
    found = curves(preview.groups, preview[field])
    rows = preview.rows_of(field)
    shaded = list(rows if len(rows) <= _MOST_SHADED else ())
    if preview.tail:
        shaded.append(PreviewRow("then holds", *preview.tail))
    values = [column for _, column in found]
    colours = colours_of(found, preview.groups)
    return {
        "field": field,
        "log": spans_decades(values) if log is None else log,
        "phases": [[row.phase, row.first, row.last] for row in shaded],
        "curves": [
            _curve(preview, names, column, colour, rows, preview.ends_of(field, names))
            for (names, column), colour in zip(found, colours, strict=True)
        ],
    }


def _curve(
    preview: Columns,
    names: list[str],
    column: Sequence[float],
    colour: str,
    rows: Any,
    ends: Sequence[float],
) -> dict[str, Any]:
    first = preview.first_update
    at = kept_points(column, [row.first - first for row in rows], _MOST_POINTS)
    points = [(first + k, column[k]) for k in at]
    points += [(update, end) for end in ends[:1] for update in preview.tail]
    return {
        "groups": names,
        "label": "all groups" if len(names) == len(preview.groups) > 1 else named(names),
        "colour": colour,
        "x": [update for update, _ in points],
        # JSON has no NaN and no infinity; None is a gap.
        "y": [value if math.isfinite(value) else None for _, value in points],
        "text": [repr(value) for _, value in points],
    }


def _as_script(data: Any) -> str:
    """Return data as JavaScript that no text in it can break out of."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
