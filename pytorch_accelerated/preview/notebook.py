"""What a notebook shows of a schedule."""

from __future__ import annotations

import base64
from html import escape

from pytorch_accelerated.schedules import Schedule


def html_of(schedule: Schedule) -> str:
    """Return the schedule's picture, its code, and its table.

    There is no picture before the lengths are in updates, without an end, or without matplotlib.
    """
    text = f"<pre>{escape(repr(schedule))}\n\n{escape(str(schedule))}</pre>"
    if schedule.is_relative or schedule.horizon is None:
        return text
    try:
        data = schedule.plot()._repr_png_()
    except ImportError:
        return text
    picture = base64.b64encode(data).decode("ascii")
    return f'<img alt="The schedule" width="800" src="data:image/png;base64,{picture}">{text}'
