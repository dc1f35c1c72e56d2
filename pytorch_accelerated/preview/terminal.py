"""Previews drawn in characters, with plotext."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_lowercase

import plotext

from pytorch_accelerated.preview.columns import Columns, group_text, named
from pytorch_accelerated.preview.curves import (
    curves,
    drawable,
    even_ticks,
    kept_points,
    spans_decades,
    with_peak,
)

_HEIGHT = 15
_MOST_POINTS = 600
_NUM_LETTERS = 3  # on each of several curves


def sketch(
    preview: Columns, width: int = 80, *, log: bool | None = None, ascii: bool = False
) -> str:
    """Return the fields of a preview as text, one below the other, ``width`` characters wide.

    ``log`` says whether the scales are logarithmic; by default, they are where values span
    decades. ``ascii`` says that curves are of stars. There is no colour: letters on the curves
    name the groups, which is readable on every background.
    """
    if not len(preview):
        return "no updates"
    return "\n".join(_panel(preview, field, width, log, ascii) for field in preview.fields)


def _panel(preview: Columns, field: str, width: int, log: bool | None, ascii: bool) -> str:
    figure = plotext.figure
    figure.clear()  # the only one there is; it is left empty, too
    figure.theme("colorless")
    figure.canvas("default")
    figure.plot_size(width, _HEIGHT)
    groups = curves(preview.groups, preview[field])
    values = [column for _, column in groups]
    is_log = spans_decades(values) if log is None else log
    drawn: list[float] = []
    for names, column in groups:
        joints = [preview.place(row.first) for row in preview.rows_of(field)]
        kept = kept_points(column, joints, _MOST_POINTS)
        kept = [k for k in kept if drawable(column[k], is_log)]
        heights = [math.log10(column[k]) if is_log else column[k] for k in kept]
        if not kept:
            continue
        updates = [preview.updates[k] for k in kept]
        for end in preview.ends_of(field, names)[:1]:
            if drawable(end, is_log):
                updates += preview.tail
                heights += [math.log10(end) if is_log else end] * 2
        drawn += heights
        signal = figure.signal(updates, heights, marker="*" if ascii else "braille")
        signal.lines()
        figure.draw(signal)
    title = field
    if 1 < len(groups) <= len(ascii_lowercase):
        letters = list(zip(_letters([names for names, _ in groups]), groups, strict=False))
        title += "   " + ", ".join(
            named(names) if names == [letter] else f"{letter}: {group_text(named(names))}"
            for letter, (names, _) in letters
        )
        for place, (letter, (_, column)) in enumerate(letters, 1):
            for step in range(_NUM_LETTERS):
                k = int((step + place / (len(groups) + 1)) / _NUM_LETTERS * len(column))
                if drawable(column[k], is_log):
                    height = math.log10(column[k]) if is_log else column[k]
                    figure.draw(figure.text(preview.updates[k], height, letter))
    figure.title(title if len(title) <= width else f"{title[: width - 1]}…")
    figure.label("update")
    last = preview.tail[0] if preview.tail else preview.num_updates - 1
    ticks = even_ticks(preview.first_update, last, whole=True)
    figure.ruler("x").ticks(ticks, [f"{update:,.0f}" for update in ticks])
    if drawn:
        places = with_peak(even_ticks(min(drawn), max(drawn), whole=is_log), max(drawn))
        figure.ruler("y").ticks(places, [f"{10.0**y if is_log else y:.3g}" for y in places])
    text = str(figure.build().string(colorless=True))
    figure.clear()
    return "\n".join(line.rstrip() for line in text.splitlines())


def _letters(curves: Sequence[list[str]]) -> Sequence[str]:
    """Return a letter for each curve: the groups' names, where these are letters."""
    firsts = [names[0] for names in curves]
    return firsts if all(len(one) == 1 and one.isalpha() for one in firsts) else ascii_lowercase
