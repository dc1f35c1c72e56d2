"""The picture of a test of learning rates."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import NullFormatter

from pytorch_accelerated.preview.curves import COLOURS
from pytorch_accelerated.preview.plot import INK, LINE, QUIET, Picture, tidy


def plot_lr_range(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
) -> Picture:
    """Draw the loss over the learning rate; see :meth:`LrRange.plot`."""
    figure = Picture(figsize=(6.75, 3.6), layout="constrained")
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
        axes.axvline(suggestion, color=LINE, linewidth=1.0, zorder=0.5)
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
    axes.set_title("thin: each batch · thick: smoothed", loc="right", fontsize=8, color=QUIET)
    return figure
