"""Pictures of previews, with matplotlib and without its global state."""

from __future__ import annotations

import io
import math
import textwrap
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import Locator, MaxNLocator, NullFormatter, NullLocator
except ImportError as error:
    raise ImportError(
        "A picture needs matplotlib: pip install 'pytorch-accelerated[plot]'"
    ) from error

from pytorch_accelerated.checks import entries, wrong_kind
from pytorch_accelerated.preview.columns import Column, Columns, PreviewRow, group_text, named
from pytorch_accelerated.preview.comparison import Recorded, compare, recorded_columns
from pytorch_accelerated.preview.curves import (
    COLOURS,
    INK,
    LINES,
    SHADE,
    colours_of,
    curves,
    dashes_of,
    drawable,
    finite,
    kept_points,
    spans_decades,
    ticks,
)

Loss: TypeAlias = "Sequence[float] | Mapping[int, float]"

_MOST_SHADED = 40
_MOST_LABELS = 16
WIDTH, PANEL = 9.0, 2.5
_LETTER = 0.0095  # about how wide a letter of a phase's name is, as a share of a panel
_LINE = 0.02  # and how wide a name that is written upwards, where it does not fit otherwise
_ROOM = 0.35  # above the curves, for
_MOST_UPRIGHT = 10  # letters
_SMALL: dict[str, Any] = {"fontsize": 8, "color": INK}


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself, without a background of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(facecolor="none", layout="constrained", **options)

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=110)
        return data.getvalue()


def plot(
    made: Columns,
    applied: Recorded | None = None,
    loss: Loss | None = None,
    *,
    fields: Sequence[str] | None = None,
    log: bool | None = None,
    title: str | None = None,
) -> Picture:
    """Draw a preview; see :meth:`Preview.plot`."""
    shown = entries("fields", made.fields if fields is None else fields, example="['lr']")
    count = len(shown) + (loss is not None)
    figure = Picture(figsize=(WIDTH, PANEL * count + 0.7))
    axes: list[Axes] = list(figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0])
    recorded = {} if applied is None else recorded_columns(made, applied)
    first_applied = applied.first_update if isinstance(applied, Columns) else 0
    for field, panel in zip(shown, axes, strict=False):
        _Panel(panel, made, field, log).draw(recorded.get(field), first_applied)
    if loss is not None:
        _draw_loss(axes[-1], loss, made.first_update, log)
    for panel in axes:
        tidy(panel)
    _x_axes(axes, made)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    if applied is not None:
        note = f"planned: wide · applied: thin · {compare(made, applied)}"
        text = "\n".join(textwrap.wrap(note, 120))
        figure.supxlabel(text, x=0.01, ha="left", **_SMALL)
    figure.align_ylabels(axes)
    return figure


class _Panel:
    """One field: its phases, its groups' lines, and their names."""

    def __init__(self, axes: Axes, made: Columns, field: str, log: bool | None) -> None:
        self.axes = axes
        self.made, self.field = made, field
        self.rows = made.rows_of(field)
        self.curves = curves(made.groups, made[field])
        self.colours = colours_of(self.curves, made.groups)
        self.dashes = dashes_of(len(self.curves))
        self.drawn: list[float] = []
        values = [values for _, values in self.curves]
        has_logarithms = any(drawable(value, True) for curve in values for value in curve)
        self.is_log = has_logarithms and (spans_decades(values) if log is None else log)
        axes.set_ylabel(field, color=INK)
        if self.is_log:
            axes.set_yscale("log")

    def draw(self, applied: Sequence[Column] | None, first_applied: int) -> None:
        """Draw the plan, and what was applied thinly over it."""
        styles = {
            name: {"color": colour, "linestyle": (0, [d / 2 for d in dashes]) if dashes else "-"}
            for (names, _), colour, dashes in zip(
                self.curves, self.colours, self.dashes, strict=True
            )
            for name in names
        }
        for names, values in self.curves:
            style = {**styles[names[0]], "linewidth": 1.8}
            if applied is not None:
                style |= {"linestyle": "-", "linewidth": 5.5, "alpha": 0.35}
            self._line(values, self.made.updates, style)
            self._draw_ends(names, values[-1], style["color"])
        for names, values in curves(self.made.groups, applied or ()):
            updates = range(first_applied, first_applied + len(values))
            own = styles.get(names[0], {"color": INK})
            self._line(values, updates, {**own, "linewidth": 1.2})
        self._label_values()
        self._shade()
        if len(self.curves) > 1:
            self._name([styles[names[0]] for names, _ in self.curves])

    def _line(self, values: Sequence[float], updates: Sequence[int], style: dict[str, Any]) -> None:
        at = kept_points(values, [bisect_left(updates, row.first) for row in self.rows])
        y = [values[k] if drawable(values[k], self.is_log) else math.nan for k in at]
        if len(values) <= 40:
            style = {**style, "marker": "o", "markersize": 7 if len(values) == 1 else 3.5}
        self.drawn += finite(y)
        self.axes.plot([updates[k] for k in at], y, solid_joinstyle="round", **style)

    def _label_values(self) -> None:
        """Label the axis of values, with the peak and without what is above it."""
        if self.drawn:
            self.axes.yaxis.set_major_locator(_Ticks(max(self.drawn), self.is_log))
            self.axes.yaxis.set_minor_locator(NullLocator())
            self.axes.yaxis.set_major_formatter("{x:.4g}")

    def _draw_ends(self, names: list[str], last: float, colour: Any) -> None:
        """Show dotted what holds after the last update, and say what it is for a single curve."""
        ends = self.made.ends_of(self.field, names)
        for end in filter(lambda end: drawable(end, self.is_log), ends):
            x = [self.made.num_updates - 1, *self.made.tail]
            self.drawn.append(end)
            self.axes.plot(x, [last, end, end], color=colour, linewidth=1.8, linestyle=":")
            if len(self.curves) == 1:
                place: Any = self.axes.get_yaxis_transform()
                text = f" {end:.4g}"
                self.axes.annotate(text, (1.0, end), xycoords=place, va="center", **_SMALL)

    def _shade(self) -> None:
        """Shade every other phase, and name those that are wide enough above the curves."""
        low, high = self.axes.get_ylim()
        top = high ** (1 + _ROOM) / low**_ROOM if self.is_log else high + _ROOM * (high - low)
        self.axes.set_ylim(low, top)
        rows = [*self.rows]
        total = len(self.made)
        if self.made.tail:
            rows.append(PreviewRow("then holds", *self.made.tail))
            total = rows[-1].last - self.made.first_update
        for index, row in enumerate(rows if len(rows) <= _MOST_SHADED else ()):
            left, right = row.first - 0.5, row.last + 0.5
            if index % 2:
                self.axes.axvspan(left, right, color=INK, alpha=SHADE, linewidth=0, zorder=0)
            if index:
                self.axes.axvline(left, color=INK, alpha=LINES, linewidth=0.8, zorder=0.5)
            width = (right - left) / total
            is_upright = len(row.phase) * _LETTER > width
            if width > _LINE:
                self.axes.text(
                    (left + right) / 2,
                    0.965,
                    row.phase[: _MOST_UPRIGHT if is_upright else None],
                    rotation=90 if is_upright else 0,
                    transform=self.axes.get_xaxis_transform(),
                    ha="center",
                    va="top",
                    **_SMALL,
                )

    def _name(self, styles: list[dict[str, Any]]) -> None:
        """List the groups beside the panel, in the order in which their curves end."""
        numbers = [finite(values) for _, values in self.curves]
        heights = [(values[-1], sum(values)) for values in numbers]
        order = sorted(range(len(styles)), key=heights.__getitem__, reverse=True)
        hidden = len(order) - _MOST_LABELS
        if hidden > 0:
            order = [*order[: _MOST_LABELS // 2], *order[-_MOST_LABELS // 2 :]]
        self.axes.legend(
            [Line2D([], [], linewidth=1.8, **styles[i]) for i in order],
            [self._text(self.curves[i][0]) for i in order],
            title=f"{hidden} between are left out" if hidden > 0 else None,
            title_fontsize=8,
            fontsize=8,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            labelcolor=INK,
            handlelength=2.8,
            labelspacing=0.2,
        )

    def _text(self, names: list[str]) -> str:
        text = named(names)
        if len(self.curves) > 6:
            return text
        ends = ", ".join(f"{end:.4g}" for end in self.made.ends_of(self.field, names))
        return group_text(text) + (f", then {ends}" if ends else "")


class _Ticks(Locator):
    """The peak, and about five round numbers below it, however far the view is zoomed in."""

    def __init__(self, peak: float, is_log: bool) -> None:
        self.peak, self.is_log = peak, is_log

    def __call__(self) -> Any:
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Any:
        low, high = sorted((vmin, vmax))
        return ticks(low, min(high, self.peak), self.is_log) if low < self.peak else [self.peak]


def _draw_loss(axes: Axes, loss: Loss, first_update: int, log: bool | None) -> None:
    if not isinstance(loss, Iterable):
        raise wrong_kind("loss", loss, "a loss for each update, or a mapping from updates.")
    values = list(loss.values() if isinstance(loss, Mapping) else loss)
    try:
        y = array("d", values)
    except TypeError:
        bad = next(one for one in values if not hasattr(one, "__float__"))
        raise wrong_kind("loss", bad, "made of numbers.") from None
    updates = loss if isinstance(loss, Mapping) else range(first_update, first_update + len(y))
    x = [int(update) for update in updates]
    axes.set_ylabel("loss", color=INK)
    if log or (log is None and spans_decades([y])):
        axes.set_yscale("log")
    y = array("d", [value if drawable(value, log=False) else math.nan for value in y])  # a gap
    at = kept_points(y, ())
    axes.plot([x[k] for k in at], [y[k] for k in at], color=INK, linewidth=0.7)


def tidy(axes: Axes) -> None:
    """Draw frame and grid lightly, and few ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=INK, alpha=LINES)
    axes.patch.set_visible(False)
    axes.tick_params(colors=INK, labelsize=8, length=3)
    axes.grid(axis="y", color=INK, linewidth=0.5, alpha=LINES / 2)
    axes.set_axisbelow(True)


def _x_axes(axes: Sequence[Axes], made: Columns) -> None:
    bottom, position = axes[-1], made.position
    last = made.tail[-1] if made.tail else made.first_update + max(len(made), 1) - 1
    bottom.set_xlim(made.first_update - 0.5, last + 0.5)
    text = made.unit
    if position and made.first_update <= position <= made.num_updates:
        text = f"{made.unit} (now: {position:,})"
        for panel in axes:
            panel.axvline(position, color=INK, linewidth=1.0, linestyle=(0, (3, 3)))
    bottom.set_xlabel(text, color=INK)
    if len(made) <= 1:
        bottom.set_xticks([made.first_update])
    else:
        bottom.xaxis.set_major_locator(MaxNLocator(9, integer=True, steps=[1, 2, 5, 10]))
    bottom.xaxis.set_major_formatter("{x:,.0f}")
    size = made.num_updates_per_epoch
    if size:
        both_ways: Any = (lambda update: update / size, lambda epoch: epoch * size)
        top = axes[0].secondary_xaxis("top", functions=both_ways)
        top.set_xlabel("epoch", color=INK)
        top.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10]))
        top.tick_params(colors=INK, labelsize=8, length=3)
        top.spines["top"].set(color=INK, alpha=LINES)


def plot_lr_range(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
) -> Picture:
    """Draw the loss over the learning rate; see :meth:`LrRange.plot`."""
    figure = Picture(figsize=(6.75, 3.6))
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.plot(rates, losses, color=INK, linewidth=0.7, alpha=0.35)
    axes.plot(rates, smoothed, color=COLOURS[0], linewidth=1.8)
    low, high = min(losses), max(smoothed[0], *smoothed)
    # Where the loss has diverged it would leave no room for the rest.
    top = min(high, smoothed[0] + 0.5 * (smoothed[0] - low or abs(low) or 1.0))
    span = (top - low) or 1.0
    axes.set_ylim(low - 0.08 * span, top + 0.15 * span)
    if suggestion is not None:
        level = smoothed[rates.index(suggestion)]
        axes.axvline(suggestion, color=INK, alpha=LINES, linewidth=1.0, zorder=0.5)
        axes.plot([suggestion], [level], marker="o", markersize=7, color=COLOURS[1])
        axes.annotate(
            f"{suggestion:.2g}: steepest",
            xy=(suggestion, level),
            xytext=(-9, -6),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=9,
            color=COLOURS[1],
        )
    tidy(axes)
    axes.set_xlabel("learning rate", color=INK)
    axes.set_ylabel("loss", color=INK)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("thin: each batch · thick: smoothed", loc="right", fontsize=8, color=INK)
    return figure
