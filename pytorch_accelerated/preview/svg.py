"""Pictures in SVG, which notebooks show without a plotting library."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from pytorch_accelerated.preview.columns import Columns, group_text
from pytorch_accelerated.preview.curves import INK, LINES, SHADE, drawable, even_ticks
from pytorch_accelerated.preview.drawing import panels

_WIDTH, _PANEL, _GAP = 760, 150, 28
_LEFT, _TOP, _BOTTOM = 74, 20, 40
_NAMES, _END = 170, 64  # how wide what stands right of the curves is
_LETTER = 6.2
_MOST_NAMES = 9
MOST_POINTS = 500
_STYLE = 'style="width: 100%; max-width: 760px; display: block"'


def picture(made: Columns, unit: str) -> str:
    """Return the picture of a preview, over its updates or over percent of a run."""
    drawn = panels(made, None, MOST_POINTS)
    first: float = made.first_update
    last: float = made.tail[-1] if made.tail else made.num_updates - 1
    if unit.startswith("%"):
        share = len(made) / 100.0
        last = last / share
        for panel in drawn:
            # Phases reach half a unit beyond their first and last update.
            panel["phases"] = [
                [name, (a - 0.5) / share + 0.5, (b + 0.5) / share - 0.5]
                for name, a, b in panel["phases"]
            ]
            for curve in panel["curves"]:
                curve["x"] = [x / share for x in curve["x"]]
    return image(svg(drawn, first, last, unit, made.position))


def image(drawn: str) -> str:
    """Return what shows a picture in a page."""
    # An image rather than SVG within the page, which notebooks that are not trusted take out.
    data = base64.b64encode(drawn.encode()).decode("ascii")
    return f'<img alt="The picture" {_STYLE} src="data:image/svg+xml;base64,{data}">'


def svg(
    drawn: Sequence[Mapping[str, Any]],
    first: float,
    last: float,
    unit: str,
    position: float | None = None,
) -> str:
    """Return a picture of panels as :func:`panels` makes them, one below the other.

    ``position`` is where a run is now.

    It has no background, and ink that is read on white and on black.
    """
    has_names = any(len(panel["curves"]) > 1 for panel in drawn)
    right = _WIDTH - (_NAMES if has_names else _END)
    across = _Scale(first, last, _LEFT + 6, right - 6)
    height = _TOP + len(drawn) * (_PANEL + _GAP) - _GAP + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="{INK}">'
    ]
    for index, panel in enumerate(drawn):
        parts += _panel(panel, across, _TOP + index * (_PANEL + _GAP), right)
    bottom = height - _BOTTOM
    if position and first <= position <= last:
        x = across(position)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="{INK}" stroke-dasharray="3 3"/>')
        unit = f"{unit} (now: {position:,})"
    for tick in even_ticks(first, last, whole=True):
        parts.append(_text(across(tick), bottom + 15, f"{tick:,.0f}", "middle"))
    parts.append(_text((_LEFT + right) / 2, bottom + 32, unit, "middle"))
    return "".join([*parts, "</svg>"])


class _Scale:
    """Numbers from ``low`` to ``high``, or their logarithms, laid out from one place to another."""

    def __init__(
        self, low: float, high: float, start: float, end: float, is_log: bool = False
    ) -> None:
        self.is_log = is_log
        self.low, high = self._level(low), self._level(high)
        self.start, self.step = start, (end - start) / ((high - self.low) or 1.0)

    def _level(self, value: float) -> float:
        return math.log10(value) if self.is_log else value

    def __call__(self, value: float) -> float:
        return self.start + self.step * (self._level(value) - self.low)


def _panel(panel: Mapping[str, Any], across: _Scale, top: float, right: float) -> Iterator[str]:
    bottom = top + _PANEL
    places = panel["ticks"]["log" if panel["log"] else "linear"]
    is_log = panel["log"] and bool(places)
    values = [y for curve in panel["curves"] for y in curve["y"] if y is not None]
    shown = [y for y in [*values, *places] if drawable(y, is_log)] or [0.0]
    up = _Scale(min(shown), max(shown), bottom - 6, top + 8, is_log)
    for index, (name, first, last) in enumerate(panel["phases"]):
        x, end = across(first - 0.5), min(across(last + 0.5), right)
        x = max(x, _LEFT)
        if index % 2:
            yield (
                f'<rect x="{x:.1f}" y="{top}" width="{max(end - x, 0):.1f}" height="{_PANEL}" '
                f'opacity="{SHADE}"/>'
            )
        if index:
            yield _line(x, top, x, bottom)
        if len(name) * _LETTER < end - x:
            yield _text((x + end) / 2, top - 6, name, "middle")
    yield _line(_LEFT, top, _LEFT, bottom) + _line(_LEFT, bottom, right, bottom)
    for place in places:
        yield _text(_LEFT - 6, up(place) + 4, f"{place:.4g}", "end")
    middle = (top + bottom) / 2
    yield _text(14, middle, panel["field"], "middle", f'transform="rotate(-90 14 {middle})"')
    for curve in panel["curves"]:
        yield _curve(curve, across, up)
    yield from _names(panel["curves"], up, top, right)


def _curve(curve: Mapping[str, Any], across: _Scale, up: _Scale) -> str:
    commands, is_down = [], False
    for x, y in zip(curve["x"], curve["y"], strict=True):
        is_shown = y is not None and drawable(y, up.is_log)
        if is_shown:
            commands.append(f"{'L' if is_down else 'M'}{across(x):.1f} {up(y):.1f}")
        is_down = is_shown
    if len(commands) == 1:
        commands.append("h.1")  # a dot
    return f'<path d="{"".join(commands)}" fill="none" stroke-linejoin="round" {_look(curve)}/>'


def _look(curve: Mapping[str, Any]) -> str:
    dashes = " ".join(f"{length:g}" for length in curve["dashes"])
    return f'stroke="{curve["colour"]}" stroke-width="2" stroke-dasharray="{dashes or "none"}"'


def _names(
    drawn: Sequence[Mapping[str, Any]], up: _Scale, top: float, right: float
) -> Iterator[str]:
    """Name several curves beside the panel, and say where a single one ends."""
    if len(drawn) == 1:
        y = drawn[0]["y"][-1]
        if y is not None and drawable(y, up.is_log):
            yield _text(right + 4, up(y) + 4, f"{y:.4g}")
        return
    shown = drawn if len(drawn) <= _MOST_NAMES else drawn[: _MOST_NAMES - 1]
    for index, curve in enumerate(shown):
        y = top + 10 + 16 * index
        yield f'<path d="M{right + 10} {y}h26" {_look(curve)}/>'
        label = group_text(curve["label"])
        yield _text(right + 42, y + 4, label if len(label) <= 20 else f"{label[:19]}…")
    if len(shown) < len(drawn):
        y = top + 14 + 16 * len(shown)
        yield _text(right + 10, y, f"… and {len(drawn) - len(shown)} more")


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    path = f"M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"
    return f'<path d="{path}" stroke="{INK}" opacity="{LINES}"/>'


def _text(x: float, y: float, text: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
