"""What a notebook shows of a schedule."""

from __future__ import annotations

import base64
from html import escape

from pytorch_accelerated.preview.sampled import plot_sample, shown_of
from pytorch_accelerated.schedules import Schedule

_MOST_UPDATES = 100_000  # of which every one is looked at


def html_of(schedule: Schedule) -> str:
    """Return the schedule's picture, its code, and its table.

    There is no picture before the lengths are in updates, without an end, or without matplotlib.
    """
    text = f"<pre>{escape(repr(schedule))}\n\n{escape(str(schedule))}</pre>"
    if schedule.is_relative or schedule.horizon is None:
        return text
    try:
        is_long = schedule.horizon > _MOST_UPDATES
        shown = shown_of(schedule.horizon)
        picture = plot_sample(schedule, shown) if is_long else schedule.plot()
    except ImportError:
        return text
    data = base64.b64encode(picture._repr_png_()).decode("ascii")
    return f'<img alt="The schedule" width="800" src="data:image/png;base64,{data}">{text}'
