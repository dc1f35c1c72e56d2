"""Previews as one page that works offline, with plotly's script inside."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from typing import Any

try:
    from plotly.offline import get_plotlyjs
except ImportError as error:
    raise ImportError("A page needs plotly: pip install 'pytorch-accelerated[html]'") from error

from pytorch_accelerated.preview.columns import Columns
from pytorch_accelerated.preview.drawing import panels

_MOST_POINTS = 4000


def page(preview: Columns, table: str, *, title: str | None = None, log: bool | None = None) -> str:
    """Return the page of a preview, with its table in HTML; see :meth:`Preview.save_html`."""
    drawings = panels(preview, log, _MOST_POINTS)
    drawn = max((len(curve["x"]) for panel in drawings for curve in panel["curves"]), default=0)
    drawn -= len(preview.tail)
    data = {
        "panels": drawings,
        "groups": list(preview.groups),
        "first": preview.first_update,
        "end": preview.num_updates,
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
        "TABLE": table,
        "DATA": _as_script(data),
        "PLOTLY": get_plotlyjs(),
    }
    # Split once, so that nothing inside a part is taken for a place to fill.
    pieces = template.split("%%")
    return "".join(parts[one] if i % 2 else one for i, one in enumerate(pieces))


def _as_script(data: Any) -> str:
    """Return data as JavaScript that no text in it can break out of."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
