"""Previews drawn in characters, with plotext."""

from __future__ import annotations

import math

import plotext

from pytorch_accelerated.preview.columns import Columns, named
from pytorch_accelerated.preview.curves import curves, drawable, kept_points, spans_decades

_HEIGHT = 15
_MOST_POINTS = 600


def sketch(
    preview: Columns, width: int = 80, *, log: bool | None = None, colour: bool = False
) -> str:
    """Return the fields of a preview as text, one below the other, ``width`` characters wide.

    ``log`` says whether the scales are logarithmic; by default, they are where values span
    decades. ``colour`` says whether to use a terminal's colours.
    """
    if not len(preview):
        return "no updates"
    return "\n".join(_panel(preview, field, width, log, colour) for field in preview.fields)


def _panel(preview: Columns, field: str, width: int, log: bool | None, colour: bool) -> str:
    figure = plotext.figure
    figure.clear()  # the only one there is; it is left empty, too
    figure.theme("default" if colour else "colorless")
    figure.canvas("default")
    figure.plot_size(width, _HEIGHT)
    groups = curves(preview.groups, preview[field])
    values = [column for _, column in groups]
    is_log = spans_decades(values) if log is None else log
    drawn: list[float] = []
    for names, column in groups:
        joints = [row.first - preview.first_update for row in preview.rows_of(field)]
        kept = kept_points(column, joints, _MOST_POINTS)
        kept = [k for k in kept if drawable(column[k], is_log)]
        heights = [math.log10(column[k]) if is_log else column[k] for k in kept]
        if not kept:
            continue
        drawn += heights
        signal = figure.signal([preview.first_update + k for k in kept], heights, marker="braille")
        signal.lines()
        if len(groups) > 1:
            signal.label(named(names))
        figure.draw(signal)
    figure.title(field)
    figure.label("update")
    updates = even_ticks(preview.first_update, preview.num_updates - 1, whole=True)
    figure.ruler("x").ticks(updates, [f"{update:,.0f}" for update in updates])
    if drawn:
        places = even_ticks(min(drawn), max(drawn), whole=is_log)
        figure.ruler("y").ticks(places, [f"{10.0**y if is_log else y:.3g}" for y in places])
    text = str(figure.build().string(colorless=not colour))
    figure.clear()
    return text if colour else "\n".join(line.rstrip() for line in text.splitlines())


def even_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return round numbers between ``low`` and ``high``, about five."""
    if high - low < 1e-300:  # a step between them would be no number
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [n * step for n in range(first, last + 1)] or [low, high]
