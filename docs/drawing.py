"""Curves and formulas as SVG within the page, which takes the page's colours, light or dark."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from matplotlib import rc_context
from matplotlib.textpath import TextPath

LEFT, RIGHT, TOP, BOTTOM = 44, 20, 10, 24  # around the frame, within the picture
LETTERS = "MLQC"  # by matplotlib's codes 1, 2, 3, 4; 79 closes a path


def chart(
    curves: Mapping[str, Sequence[float]],
    description: str,
    *,
    size: tuple[int, int] = (480, 170),
    updates: Sequence[int] | None = None,
    ends: tuple[float, float] | None = None,
    holds: bool = False,
) -> str:
    """Draw values over updates: the first curve wide, a second one thin over it.

    Args:
        curves: Values by the name of the curve; names are shown if there are several.
        description: What a reader who does not see the picture is told.
        size: Width and height.
        updates: The updates of the values; 0, 1, 2, … by default.
        ends: The lowest and the highest value on the axis; of the curves by default.
        holds: Whether the last value is what holds from there on, drawn dotted.
    """
    width, height = size
    updates = range(max(map(len, curves.values()))) if updates is None else updates
    numbers = [value for values in curves.values() for value in values]
    low, high = ends or (min(0.0, *numbers), max(numbers))
    right, bottom = width - RIGHT, height - BOTTOM - (18 if len(curves) > 1 else 0)
    last = updates[-1] * (1.07 if holds else 1.0) or 1

    def x(update: float) -> float:
        return LEFT + (right - LEFT) * update / last

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * (value - low) / (high - low or 1.0)

    parts = [
        f'<svg class="chart" width="{width}" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(description)}</title>",
    ]
    for value in (low, (low + high) / 2, high):
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{right}"/>')
        parts.append(_text(f"{value:.3g}", LEFT - 6, y(value) + 4, "end"))
    parts.append(_text("0", LEFT, bottom + 16, "middle"))
    parts.append(_text("update", (LEFT + x(updates[-1])) / 2, bottom + 16, "middle"))
    parts.append(_text(f"{updates[-1]:,}", x(updates[-1]), bottom + 16, "middle"))
    for index, (name, values) in enumerate(curves.items()):
        kind = "wide" if index < len(curves) - 1 else "thin"
        points = ((x(at), y(value)) for at, value in zip(updates, values, strict=False))
        parts.append(f'<path class="{kind}" d="{_line(points)}"/>')
        if holds:
            stop = f"M{x(updates[-1]):.1f} {y(values[-1]):.1f}H{right}"
            parts.append(f'<path class="{kind} holds" d="{stop}"/>')
        if len(curves) > 1:
            at = LEFT + 4 + index * 120
            parts.append(f'<path class="{kind}" d="M{at} {height - 5}h22"/>')
            parts.append(_text(name, at + 28, height - 1, "start"))
    return "".join([*parts, "</svg>"])


def _text(text: str, x: float, y: float, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(points: Iterable[tuple[float, float]]) -> str:
    """Join points, once each at the resolution of half a unit."""
    seen = dict.fromkeys((round(2 * x) / 2, round(y, 1)) for x, y in points)
    return "M" + "\nL".join(f"{x:g} {y:g}" for x, y in seen)


def formula(latex: str) -> str:
    """Set a formula, by matplotlib, which knows the common part of LaTeX's mathematics."""
    with rc_context({"mathtext.fontset": "cm"}):
        path = TextPath((0, 0), f"${' '.join(latex.split())}$", size=20)
    outline = ""
    for points, code in path.iter_segments(curves=True, simplify=False):
        outline += "Z" if code == path.CLOSEPOLY else LETTERS[code - 1]
        if code != path.CLOSEPOLY:
            outline += " ".join(
                f"{value * sign:.4g}" for value, sign in zip(points, (1, -1) * 3, strict=False)
            )
    box = path.get_extents()
    frame = f"{box.x0 - 1:.1f} {-box.y1 - 1:.1f} {box.width + 2:.1f} {box.height + 2:.1f}"
    return (
        f'<svg class="formula" viewBox="{frame}" role="img" style="width:{box.width / 18:.2f}em">'
        f'<title>{escape(latex)}</title><path d="{outline}"/></svg>'
    )


def raw(html: str) -> str:
    """Return reStructuredText that puts HTML into the page."""
    return f".. raw:: html\n\n{textwrap.indent(html, '   ')}\n"
