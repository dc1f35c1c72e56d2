"""What notebooks show by themselves: a picture and a table, without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pytorch_accelerated.preview.columns import Columns
from pytorch_accelerated.preview.curves import finite
from pytorch_accelerated.preview.drawing import html_table, panels
from pytorch_accelerated.preview.make import preview
from pytorch_accelerated.preview.of_schedules import of_schedule
from pytorch_accelerated.preview.svg import MOST_POINTS, image, picture, svg
from pytorch_accelerated.preview.values import value_text
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.schedule import shown_phases
from pytorch_accelerated.schedules.track import phase_lines

_MOST_VALUES = 100_000  # of a schedule of more there is a sample, which is there at once
_MOST_UPDATES = 1_000_000  # of a scheduler
_EXAMPLE = 10_000, 100  # the run that a relative schedule is shown for, and its epochs


def html_of(schedule: Schedule) -> str:
    """Return a schedule's picture, its code, and its table.

    One with relative lengths is drawn over 0–100 % of a run where these are shares, else over an
    example of a run. Without an end there is no picture.
    """
    lines = phase_lines(shown_phases(schedule), schedule.is_relative)
    text = f"<pre>{escape(repr(schedule))}</pre>{html_table(lines[0], lines[1:])}"
    planned, (num_updates, per_epoch), unit = schedule, _EXAMPLE, "update"
    if schedule.is_relative:
        try:
            planned = schedule.over(num_updates, per_epoch)
            twice = schedule.over(2 * num_updates, per_epoch)
        except ValueError:  # parts in updates need a longer run
            return text
        if [2 * int(row.first) for row in planned.phases] == [int(p.first) for p in twice.phases]:
            unit = "% of the run"
        else:
            unit = f"update, in a run of {num_updates:,}, {per_epoch} an epoch"
    if planned.horizon is None:
        return text
    return picture(of_schedule(planned, None, [1.0], _MOST_VALUES), unit) + text


def html_of_scheduler(scheduler: Any) -> str | None:
    """Return a scheduler's preview; None, for its ``repr``, if nobody knows how long it runs.

    Neither is there one of so many updates that a notebook would wait for it.
    """
    if (scheduler._num_planned_updates() or _MOST_UPDATES + 1) > _MOST_UPDATES:
        return None
    return preview(scheduler)._repr_html_()


def html_of_metrics(metrics: Mapping[str, Sequence[object]]) -> str:
    """Return a picture of metrics, which have a value for each epoch, and a table of them.

    What is not a number is left out.
    """
    numbers = {
        name: [float(value) for value in values if isinstance(value, int | float)]
        for name, values in metrics.items()
    }
    numbers = {name: values for name, values in numbers.items() if values}
    if not numbers:
        return "<p>no metrics</p>"
    rows, drawn = [], []
    for name, values in numbers.items():
        known = finite(values) or values
        shown = (values[0], min(known), max(known), values[-1])
        rows.append((name, str(len(values)), *map(value_text, shown)))
        drawn += panels(Columns({name: [values]}, first_update=1), None, MOST_POINTS)
    for panel in drawn:
        panel["phases"] = []
    last = max(map(len, numbers.values()))
    headers = ("metric", "values", "first", "lowest", "highest", "last")
    return image(svg(drawn, 1, last, "epoch")) + html_table(headers, rows)
