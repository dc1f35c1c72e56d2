"""Pictures of previews, with matplotlib and without its global state."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pytorch_accelerated.preview.comparison import Applied, applied_columns, compare
from pytorch_accelerated.preview.curves import (
    COLOURS,
    SHARED,
    colours,
    curves,
    drawable,
    finite,
    kept_points,
    packed,
    spans_decades,
)
from pytorch_accelerated.preview.values import Column, Preview, PreviewRow, named

if TYPE_CHECKING:
    from pytorch_accelerated.preview.lr_range import LrRange

Loss: TypeAlias = "Sequence[float] | Mapping[int, float]"

_INK, _QUIET, _LINE, _SHADE = "#1f2933", "#616e7c", "#cbd2d9", "#f1f4f8"
_MOST_SHADED = 40
_MOST_LABELS = 16
_WIDTH, _PANEL = 9.0, 2.5
_STEPS = [1, 2, 5, 10]
_CHARACTER = 0.0095  # about how wide a letter of a phase's name is, as a share of a panel
_UPRIGHT = 0.02  # and how wide a name that is written upwards
_RISE = 0.026  # and how high each of its letters
_MOST_UPRIGHT = 24


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=110)
        return data.getvalue()


def plot(
    preview: Preview,
    applied: Applied | None = None,
    loss: Loss | None = None,
    *,
    fields: Sequence[str] | None = None,
    log: bool | None = None,
    title: str | None = None,
) -> Picture:
    """Draw a preview; see :meth:`Preview.plot`."""
    shown = list(preview.fields if fields is None else fields)
    for field in shown:
        preview[field]  # an unknown one says which there are
    count = len(shown) + (loss is not None)
    figure = Picture(figsize=(_WIDTH, _PANEL * count + 0.7), layout="constrained")
    axes: list[Axes] = list(figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0])
    panels: list[_Panel] = []
    has_own = any(len(curves(preview.groups, preview[field])) > 1 for field in shown)
    for field, panel in zip(shown, axes, strict=False):
        theirs = None if applied is None else applied_columns(applied, field)
        first_applied = applied.first_update if isinstance(applied, Preview) else 0
        panels.append(_Panel(panel, preview, field, log, has_own))
        panels[-1].draw(theirs, first_applied)
    if loss is not None:
        _draw_loss(axes[-1], loss, preview.first_update, log)
    for panel in axes:
        _tidy(panel)
        _mark_position(panel, preview, panels[0] if panel is axes[0] else None)
    _x_axes(axes, preview)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=_INK)
    if applied is not None:
        note = f"planned: wide · applied: thin · {compare(preview, applied)}"
        text = "\n".join(textwrap.wrap(note, 120))
        figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color=_QUIET)
    figure.align_ylabels(axes)
    return figure


class _Panel:
    """One field: its phases, its groups' lines, and their names."""

    def __init__(
        self, axes: Axes, preview: Preview, field: str, log: bool | None, has_own: bool
    ) -> None:
        self.axes = axes
        self.preview = preview
        self.rows = preview.rows_of(field)
        self.curves = curves(preview.groups, preview[field])
        # Where groups have colours, a curve of all of them has none of theirs.
        is_of_all = len(self.curves) == 1 and len(self.curves[0][0]) == len(preview.groups)
        shared = has_own and is_of_all and len(preview.groups) > 1
        self.colours = [SHARED] if shared else colours(len(self.curves))
        values = [values for _, values in self.curves]
        has_logarithms = any(drawable(value, True) for curve in values for value in curve)
        self.is_log = has_logarithms and (spans_decades(values) if log is None else log)
        self.names = _names(self.rows, preview.first_update, len(preview))
        axes.set_ylabel(field, color=_INK)
        if self.is_log:
            axes.set_yscale("log")

    def draw(self, applied: Sequence[Column] | None, first_applied: int) -> None:
        """Draw the plan, and what was applied thinly over it."""
        style = {"linewidth": 1.8} if applied is None else {"linewidth": 5.5, "alpha": 0.35}
        drawn = [values for _, values in self.curves]
        for (_, values), colour in zip(self.curves, self.colours, strict=True):
            self._line(values, self.preview._drawn_updates, colour, style)
        if applied is not None:
            own = {
                name: colour
                for (names, _), colour in zip(self.curves, self.colours, strict=True)
                for name in names
            }
            for names, values in curves(self.preview.groups, applied):
                updates = range(first_applied, first_applied + len(values))
                self._line(values, updates, own.get(names[0], _INK), {"linewidth": 1.2})
                drawn.append(values)
        self._limit(drawn)
        self._shade()
        if len(self.curves) > 1:
            self._name()

    def _line(
        self, values: Sequence[float], updates: Sequence[int], colour: Any, style: dict[str, Any]
    ) -> None:
        at = kept_points(values, [row.first - updates[0] for row in self.rows])
        y = [values[k] if drawable(values[k], self.is_log) else math.nan for k in at]
        if len(values) <= 40:
            style = {**style, "marker": "o", "markersize": 7 if len(values) == 1 else 3.5}
        self.axes.plot([updates[k] for k in at], y, color=colour, solid_joinstyle="round", **style)

    def _limit(self, drawn: Sequence[Sequence[float]]) -> None:
        """Leave room for the phases' names above the curves."""
        values = [value for curve in drawn for value in (*_ends(curve, self.is_log),)]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        longest = max((len(name.text) for name in self.names if name.is_upright), default=0)
        share = min(0.06 + _RISE * longest, 0.3)
        above = max(0.2, 1.05 * share / (1.0 - share))
        if self.is_log and low > 0.0:
            decades = max(math.log10(high) - math.log10(low), 0.3)
            self.axes.set_ylim(low * 10 ** (-0.06 * decades), high * 10 ** (above * decades))
            return
        span = max((high - low) or abs(high) or 1.0, 1e-300)
        if low >= 0.0 and low < 0.5 * span:
            self.axes.set_ylim(-0.04 * span, high + above * span)
        else:
            self.axes.set_ylim(low - 0.06 * span, high + above * span)

    def _shade(self) -> None:
        for name in self.names:
            self._phase_name(name)
        if len(self.rows) > _MOST_SHADED:
            return
        for index, row in enumerate(self.rows):
            left, right = row.first - 0.5, row.last + 0.5
            if index % 2:
                self.axes.axvspan(left, right, color=_SHADE, linewidth=0, zorder=0)
            if index:
                self.axes.axvline(left, color=_LINE, linewidth=0.8, zorder=0.5)

    def _phase_name(self, name: _Name) -> None:
        preview = self.preview
        x = preview.first_update - 0.5 + name.middle * len(preview)
        self.axes.text(
            x,
            0.965,
            name.text,
            rotation=90 if name.is_upright else 0,
            transform=self.axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=8,
            color=_QUIET,
        )

    def _name(self) -> None:
        """Write the groups' names to the right of their lines' ends, none over another."""
        numbers = [finite(values) for _, values in self.curves]
        order = sorted(
            range(len(numbers)), key=lambda i: (self._height(numbers[i][-1]), sum(numbers[i]))
        )
        hidden = len(order) - _MOST_LABELS
        if hidden > 0:
            order = [*order[: _MOST_LABELS // 2], *order[-_MOST_LABELS // 2 :]]
        wanted = [self._height(numbers[i][-1]) for i in order]
        heights = spread(wanted, 0.088)
        for i, end, height in zip(order, wanted, heights, strict=True):
            self.axes.annotate(
                self._text(self.curves[i][0]),
                xy=(1.0, end),
                xytext=(1.025, height),
                xycoords="axes fraction",
                textcoords="axes fraction",
                va="center",
                fontsize=8,
                color=self.colours[i],
                arrowprops={
                    "arrowstyle": "-",
                    "color": self.colours[i],
                    "linewidth": 0.7,
                    "shrinkA": 1,
                    "shrinkB": 0,
                    "relpos": (0.0, 0.5),
                },
            )
        if hidden > 0:
            self.axes.text(
                1.025,
                heights[-1] + 0.1,
                f"and {hidden} more between",
                transform=self.axes.transAxes,
                fontsize=8,
                color=_QUIET,
            )

    def _text(self, names: list[str]) -> str:
        text = named(names)
        return f"group {text}" if text.isdigit() and len(self.curves) <= 6 else text

    def free_height(self, update: int) -> float:
        """Return the height, as a share, at which a text next to ``update`` is far from lines."""
        first, count = self.preview.first_update, len(self.preview)
        near = range(-count // 10, count // 10 + 1, max(1, count // 50))
        at = {min(max(update - first + step, 0), count - 1) for step in near}
        near_values = [finite([values[k] for k in at]) for _, values in self.curves]
        taken = [self._height(value) for values in near_values for value in values] or [0.0]
        place = (update - first) / max(1, count)
        upright = [n for n in self.names if n.is_upright and abs(n.middle - place) < 0.15]
        floor = min((0.84 - _RISE * len(name.text) for name in upright), default=1.0)
        free = [y for y in (0.05, 0.3, 0.55, 0.8) if y <= floor] or [0.05]
        return max(free, key=lambda y: min(abs(y - other) for other in taken))

    def _height(self, value: float) -> float:
        """Return where a value is, as a share of the panel's height."""
        low, high = self.axes.get_ylim()
        value = min(max(value, low), high)
        if self.is_log:
            value, low, high = (math.log10(max(one, low)) for one in (value, low, high))
        return (value - low) / (high - low)


class _Name(NamedTuple):
    """A phase's name: the band that it is for and its middle, as shares of the panel's width."""

    text: str
    left: float
    right: float
    middle: float
    is_upright: bool

    @property
    def width(self) -> float:
        return _UPRIGHT if self.is_upright else len(self.text) * _CHARACTER


def _names(rows: Sequence[PreviewRow], first_update: int, count: int) -> list[_Name]:
    """Return the phases' names: level where there is room for that, and upright elsewhere."""
    if len(rows) > _MOST_SHADED:
        return [_Name(f"{len(rows)} phases", 0.0, 1.0, 0.5, False)]

    def is_narrow(row: PreviewRow) -> bool:
        return len(row.phase) * _CHARACTER * count >= row.last + 1 - row.first

    names: list[_Name] = []
    for (phase, narrow), alike in groupby(rows, key=lambda row: (row.phase, is_narrow(row))):
        same = list(alike)
        for some in [same] if narrow else [[row] for row in same]:
            left = (some[0].first - first_update) / count
            right = (some[-1].last + 1 - first_update) / count
            text = phase if len(some) == 1 else f"{len(some)} × {phase}"
            is_upright = len(text) * _CHARACTER >= right - left
            if is_upright and len(text) > _MOST_UPRIGHT:
                text = text[: _MOST_UPRIGHT - 1] + "…"
            names.append(_Name(text, left, right, (left + right) / 2, is_upright))
    while True:
        middles = side_by_side([name.middle for name in names], [name.width for name in names])
        pushed_out = [
            i
            for i, (name, middle) in enumerate(zip(names, middles, strict=True))
            if not name.is_upright
            and not name.left <= middle - name.width / 2 <= name.right - name.width
        ]
        if not pushed_out:
            return [n._replace(middle=x) for n, x in zip(names, middles, strict=True)]
        names[pushed_out[0]] = names[pushed_out[0]]._replace(is_upright=True)


def side_by_side(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """Return middles from 0 to 1 so that nothing overlaps, near the ``wanted`` ones, which rise.

    Example:
        >>> [round(middle, 3) for middle in side_by_side([0.0, 0.01, 0.5], [0.02, 0.02, 0.1])]
        [0.01, 0.03, 0.5]
    """
    places = [end - width / 2 for end, width in zip(accumulate(widths), widths, strict=True)]
    blocks: list[list[float]] = []  # how far to move what touches
    for want, place in zip(wanted, places, strict=True):
        blocks.append([want - place])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    room = max(1.0 - sum(widths), 0.0)
    moves = [min(max(fmean(block), 0.0), room) for block in blocks for _ in block]
    return [place + move for place, move in zip(places, moves, strict=True)]


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return heights at least ``gap`` apart, near the ``wanted`` ones, which have to rise.

    Example:
        >>> [round(height, 3) for height in spread([0.1, 0.1, 0.9], gap=0.2)]
        [0.0, 0.2, 0.9]
    """
    blocks: list[tuple[float, int]] = []  # the middle of each run of touching labels, its length
    for height in wanted:
        middle, count = height, 1
        while blocks and middle - blocks[-1][0] < gap * (count + blocks[-1][1]) / 2:
            other, more = blocks.pop()
            middle = (middle * count + other * more) / (count + more)
            count += more
        # Neither below the floor nor into what is there already.
        blocks.append((max(middle, gap * (count - 1) / 2), count))
    return [middle + gap * (i - (count - 1) / 2) for middle, count in blocks for i in range(count)]


def _ends(curve: Sequence[float], log: bool) -> tuple[float, ...]:
    values = finite(curve)
    if not (len(values) and drawable(min(values), log) and drawable(max(values), log)):
        values = [value for value in values if drawable(value, log)]
    return (min(values), max(values)) if len(values) else ()


def _draw_loss(axes: Axes, loss: Loss, first_update: int, log: bool | None) -> None:
    if isinstance(loss, Mapping):
        x, y = [int(update) for update in loss], packed(loss.values())
    else:
        y = packed(loss)
        x = [first_update + k for k in range(len(y))]
    axes.set_ylabel("loss", color=_INK)
    if log or (log is None and spans_decades([y])):
        axes.set_yscale("log")
    y = packed(value if drawable(value, log=False) else math.nan for value in y)  # a gap
    at = kept_points(y, ())
    window = max(1, len(y) // 50)
    many = window > 1
    style: dict[str, Any] = {"linewidth": 0.6, "alpha": 0.35} if many else {"linewidth": 1.5}
    axes.plot([x[k] for k in at], [y[k] for k in at], color=_INK, **style)
    if many:
        smooth = _running_mean(y, window)
        at = kept_points(smooth, ())
        axes.plot([x[k] for k in at], [smooth[k] for k in at], color=_INK, linewidth=1.5)
        text = f"thick: mean of {window} updates around"
        axes.text(
            0.995,
            0.95,
            text,
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=8,
            color=_QUIET,
        )


def _running_mean(values: Sequence[float], window: int) -> Sequence[float]:
    """Return the mean of the values up to half a ``window`` away from each position.

    NaN and infinity are left out: one of them would spread to the mean of all that follows.
    """
    sums = [0.0, *accumulate(value if math.isfinite(value) else 0.0 for value in values)]
    counts = [0, *accumulate(map(math.isfinite, values))]
    half = window // 2
    spans = ((max(0, k - half), min(len(values), k + half + 1)) for k in range(len(values)))
    return packed(
        (sums[stop] - sums[start]) / (counts[stop] - counts[start])
        if counts[stop] > counts[start]
        else math.nan
        for start, stop in spans
    )


def _tidy(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_LINE)
    axes.tick_params(colors=_QUIET, labelsize=8, length=3)
    axes.grid(axis="y", color=_LINE, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(numticks=7))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(which="minor", color=_LINE, length=2)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, axes)))


def _tick(value: float, axes: Axes) -> str:
    """Return a tick's text: one exponent for a linear axis, one style for a logarithmic one."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        if value > 0.0 and not 1e-4 <= low < high < 1e5:
            exponent = math.floor(math.log10(value) + 1e-9)
            return f"{value / 10.0**exponent:.6g}e{exponent}"
        return f"{value:.6g}"
    largest = max(abs(low), abs(high))
    if value and not 1e-3 <= largest < 1e5:
        exponent = math.floor(math.log10(largest))
        return f"{value / 10.0**exponent:.6g}e{exponent}"
    return f"{value:.6g}"


def _mark_position(axes: Axes, preview: Preview, named_in: _Panel | None) -> None:
    position = preview.position
    if not position or not preview.first_update <= position <= preview.num_updates:
        return
    axes.axvline(position, color=_INK, linewidth=1.0, linestyle=(0, (3, 3)))
    if named_in is not None:
        to_left = position - preview.first_update > 0.85 * len(preview)
        axes.annotate(
            f"now: {position:,}",
            xy=(position, named_in.free_height(position)),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if to_left else 4, 0),
            textcoords="offset points",
            ha="right" if to_left else "left",
            fontsize=8,
            color=_INK,
        )


def _x_axes(axes: Sequence[Axes], preview: Preview) -> None:
    bottom = axes[-1]
    bottom.set_xlim(preview.first_update - 0.5, preview.first_update + max(len(preview), 1) - 0.5)
    bottom.set_xlabel("update", color=_INK)
    if len(preview) <= 1:
        bottom.set_xticks([preview.first_update])
    else:
        bottom.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=_STEPS))
    bottom.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    size = preview.num_updates_per_epoch
    if size:
        both_ways: Any = (lambda update: update / size, lambda epoch: epoch * size)
        top = axes[0].secondary_xaxis("top", functions=both_ways)
        top.set_xlabel("epoch", color=_INK)
        top.xaxis.set_major_locator(MaxNLocator(9, steps=_STEPS))
        top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        top.tick_params(colors=_QUIET, labelsize=8, length=3)
        top.spines["top"].set_color(_LINE)


def plot_lr_range(found: LrRange) -> Picture:
    """Draw the loss over the learning rate; see :meth:`LrRange.plot`."""
    figure = Picture(figsize=(_WIDTH * 0.75, 3.6), layout="constrained")
    axes = figure.subplots()
    rates = found.learning_rates
    axes.set_xscale("log")
    axes.plot(rates, found.losses, color=_INK, linewidth=0.7, alpha=0.35)
    axes.plot(rates, found.smoothed, color=COLOURS[0], linewidth=1.8)
    low, high = min(found.losses), max(found.smoothed[0], *found.smoothed)
    # Where the loss has diverged it would leave no room for the rest.
    top = min(high, found.smoothed[0] + 0.5 * (found.smoothed[0] - low or abs(low) or 1.0))
    span = (top - low) or 1.0
    axes.set_ylim(low - 0.08 * span, top + 0.15 * span)
    if found.suggestion is not None:
        level = found.smoothed[rates.index(found.suggestion)]
        axes.axvline(found.suggestion, color=_LINE, linewidth=1.0, zorder=0.5)
        axes.plot([found.suggestion], [level], marker="o", markersize=7, color=COLOURS[1])
        axes.annotate(
            f"{found.suggestion:.2g}: steepest",
            xy=(found.suggestion, level),
            xytext=(-9, -6),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=9,
            color=COLOURS[1],
        )
    _tidy(axes)
    axes.set_xlabel("learning rate", color=_INK)
    axes.set_ylabel("loss", color=_INK)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("thin: each batch · thick: smoothed", loc="right", fontsize=8, color=_QUIET)
    return figure
