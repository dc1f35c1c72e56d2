"""A picture of the metrics of a run, with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from pytorch_accelerated.preview.curves import COLOURS, INK, dashes_of, spans_decades
from pytorch_accelerated.preview.plot import PANEL, WIDTH, Picture, tidy

_LOSS = "loss"


def plot_metrics(metrics: Mapping[str, Sequence[float]], log: bool | None = None) -> Picture:
    """Draw metrics, each a value for each epoch: all losses together, others one by one.

    Raises:
        ValueError: There are none.
    """
    losses = [name for name in metrics if _LOSS in name]
    panels = [losses, *([name] for name in metrics if _LOSS not in name)]
    panels = [names for names in panels if names]
    if not panels:
        raise ValueError("the history holds no numbers to draw: train first.")
    figure = Picture(figsize=(WIDTH, PANEL * len(panels) + 0.7))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for panel, names in zip(axes, panels, strict=True):
        values = [metrics[name] for name in names]
        finite = [[one for one in of_one if math.isfinite(one)] for of_one in values]
        if log or (log is None and spans_decades([one for one in finite if one])):
            panel.set_yscale("log")
        for name, of_one, colour, dashes in zip(
            names, values, COLOURS * len(names), dashes_of(len(names)), strict=False
        ):
            marker = "o" if len(of_one) == 1 else None
            (line,) = panel.plot(
                range(1, len(of_one) + 1), of_one, color=colour, linewidth=1.8, marker=marker
            )
            if dashes:
                line.set_dashes([length / 2 for length in dashes])
            line.set_label(name.removesuffix("_epoch"))
        if len(names) > 1:
            panel.legend(frameon=False, fontsize=8, labelcolor=INK)
        panel.set_ylabel(_LOSS if len(names) > 1 else names[0].removesuffix("_epoch"), color=INK)
        tidy(panel)
    axes[-1].set_xlabel("epoch", color=INK)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels(axes)
    return figure
