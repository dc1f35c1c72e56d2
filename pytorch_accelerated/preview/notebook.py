"""What notebooks show by themselves: a picture and a table, without a plotting library."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pytorch_accelerated.preview.columns import Columns
from pytorch_accelerated.preview.drawing import html_table, panels
from pytorch_accelerated.preview.make import preview
from pytorch_accelerated.preview.of_schedules import of_schedule
from pytorch_accelerated.preview.svg import svg
from pytorch_accelerated.preview.values import Preview, value_text
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.schedule import shown_phases
from pytorch_accelerated.schedules.track import phase_lines

_MOST_POINTS = 500
_MOST_VALUES = 100_000  # of a schedule of more there is a sample, which is there at once
_MOST_UPDATES = 1_000_000  # of a scheduler
_EXAMPLE = 10_000, 100  # the run that a relative schedule is shown for, and its epochs
_STYLE = 'style="width: 100%; max-width: 760px; display: block"'
_TABLE = '<div style="white-space: nowrap; overflow-x: auto">'


def html_of(schedule: Schedule) -> str:
    """Return a schedule's picture, its code, and its table.

    One with relative lengths is drawn over 0–100 % of a run where these are shares, else over an
    example of a run. Without an end there is no picture.
    """
    lines = phase_lines(shown_phases(schedule), schedule.is_relative)
    text = f"<pre>{escape(repr(schedule))}</pre>{_table(lines[0], lines[1:])}"
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
    return _picture(of_schedule(planned, None, [1.0], _MOST_VALUES), unit) + text


def html_of_preview(made: Preview) -> str:
    """Return a preview's picture and its table."""
    if not len(made):
        return "<p>no updates</p>"
    return _picture(made, "update") + f"{_TABLE}{made.html_table()}</div>"


def html_of_scheduler(scheduler: Any) -> str | None:
    """Return a scheduler's preview; None, for its ``repr``, if nobody knows how long it runs.

    Neither is there one of so many updates that a notebook would wait for it.
    """
    if (scheduler._num_planned_updates() or _MOST_UPDATES + 1) > _MOST_UPDATES:
        return None
    return html_of_preview(preview(scheduler))


def html_of_metrics(metrics: Mapping[str, Sequence[float]]) -> str:
    """Return a picture of metrics, which have a value for each epoch, and a table of them."""
    headers = ("metric", "values", "first", "lowest", "highest", "last")
    rows = [
        (
            name,
            str(len(values)),
            *map(value_text, (values[0], min(values), max(values), values[-1])),
        )
        for name, values in metrics.items()
    ]
    made = [Columns({name: [values]}, first_update=1) for name, values in metrics.items()]
    drawn = [panel for one in made for panel in panels(one, None, _MOST_POINTS)]
    for panel in drawn:
        panel["phases"] = []
    last = max((len(values) for values in metrics.values()), default=1)
    return _image(svg(drawn, 1, last, "epoch")) * bool(drawn) + _table(headers, rows)


def _picture(made: Columns, unit: str) -> str:
    drawn = panels(made, None, _MOST_POINTS)
    first: float = made.first_update
    last: float = made.tail[-1] if made.tail else made.num_updates - 1
    if unit.startswith("%"):
        share = len(made) / 100.0
        last = last / share
        for panel in drawn:
            panel["phases"] = [[name, a / share, b / share] for name, a, b in panel["phases"]]
            for curve in panel["curves"]:
                curve["x"] = [x / share for x in curve["x"]]
    return _image(svg(drawn, first, last, unit, made.position))


def _image(picture: str) -> str:
    # An image rather than SVG within the page, which notebooks that are not trusted take out.
    data = base64.b64encode(picture.encode()).decode("ascii")
    return f'<img alt="The picture" {_STYLE} src="data:image/svg+xml;base64,{data}">'


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"{_TABLE}{html_table(headers, rows)}</div>"
