"""The table of a schedule's phases, as text."""

from __future__ import annotations

from collections.abc import Sequence

from pytorch_accelerated.schedules.track import PhaseRow
from pytorch_accelerated.schedules.value import Affine

_MOST_ROWS = 40


def phase_table(rows: Sequence[PhaseRow], is_relative: bool) -> str:
    """Return a table of phases: from, to, start, end, shape; or length, start, end, shape.

    ``to`` is the update at which the end is reached; it is the next phase's first.
    """
    lines: list[tuple[str, ...]]
    shown, hidden = rows[:_MOST_ROWS], len(rows) - _MOST_ROWS
    if is_relative:
        lines = [("length", "start", "end", "shape")]
        lines += [(_length(row), *_ends_and_shape(row)) for row in shown]
    else:
        lines = [("from", "to", "start", "end", "shape")]
        lines += [
            (str(row.first), "…" if row.last is None else str(row.last), *_ends_and_shape(row))
            for row in shown
        ]
    text = aligned(lines)
    return text if hidden <= 0 else f"{text}\n… and {hidden} more phases"


def aligned(lines: list[tuple[str, ...]]) -> str:
    """Return rows of cells as lines of text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _length(row: PhaseRow) -> str:
    if isinstance(row.first, int) and isinstance(row.last, int):
        return str(row.last - row.first)
    return "…" if row.last is None and isinstance(row.first, int) else str(row.first)


def _ends_and_shape(row: PhaseRow) -> tuple[str, str, str]:
    return value_text(row.start), value_text(row.end), row.shape


def value_text(value: Affine | None) -> str:
    """Return an end as text: a multiple of the base, or an absolute value."""
    if value is None:
        return ""
    if value.offset == 0.0:
        return f"{value.scale:g}"
    return f"{value.offset:g} absolute" + (f" + {value.scale:g}" if value.scale else "")
