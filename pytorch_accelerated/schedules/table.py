"""The table of a schedule's phases, as text."""

from __future__ import annotations

from pytorch_accelerated.schedules.base import Affine, Schedule

_MOST_ROWS = 40


def phase_table(schedule: Schedule) -> str:
    """Return a table of the schedule's phases: from, to, start, end, shape.

    ``to`` is the update at which the end is reached, which is the next phase's first.
    """
    rows = schedule.phases
    head = ("length", "", "start", "end", "shape") if schedule.is_relative else _HEAD
    lines = [head]
    for row in rows[:_MOST_ROWS]:
        last = "" if row.last is None and schedule.is_relative else str(row.last)
        first = str(row.first)
        last = "…" if row.last is None and not schedule.is_relative else last
        lines.append((first, last, value_text(row.start), value_text(row.end), row.shape))
    if schedule.is_relative:
        lines = [(first, start, end, shape) for first, _, start, end, shape in lines]
    if len(rows) > _MOST_ROWS:
        lines.append((f"… {len(rows) - _MOST_ROWS} more",) + ("",) * (len(lines[0]) - 1))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


_HEAD = ("from", "to", "start", "end", "shape")


def value_text(value: Affine | None) -> str:
    """Return an end as text: a multiple of the base, or an absolute value."""
    if value is None:
        return ""
    if value.offset == 0.0:
        return f"{value.scale:g}"
    return f"{value.offset:g} absolute" + (f" + {value.scale:g}" if value.scale else "")
