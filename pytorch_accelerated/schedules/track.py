"""The one form in which every schedule is evaluated and shown: pieces laid end to end."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

from pytorch_accelerated.checks import whole
from pytorch_accelerated.schedules import arrays
from pytorch_accelerated.schedules.terms import ONE, Affine

_CHUNK = 4096  # keeps what is in flight small; the values themselves are packed
_CHUNK_OF_ARRAYS = 1 << 20  # a phase of a million updates in one, as each sine is needed twice
_FEW = 512  # which are as fast one by one, without the 50 µs that arrays take at least
_MOST_ROWS = 40  # of a table

# Offset and scale; and those at each update.
Coefficients: TypeAlias = tuple[float, float]
Curve: TypeAlias = Callable[[int], Coefficients]
# First update, the one after the last, and the curve of the positions in between.
Segment: TypeAlias = tuple[int, float, Curve]
# The least and the greatest value, for a base.
Bounds: TypeAlias = Callable[[float], tuple[float, float]]


def anything(base: float) -> tuple[float, float]:
    """Return the bounds of a user's code, of which nobody can know any."""
    return -math.inf, math.inf


def between(*values: Affine) -> Bounds:
    """Return the bounds of what lies between these values."""

    def bounds(base: float) -> tuple[float, float]:
        for_base = [offset + scale * base for offset, scale in values]
        return min(for_base), max(for_base)

    return bounds


class Piece(NamedTuple):
    """A stretch of updates, in the terms of its own position 0 … length − 1."""

    length: int | None  # None: it never ends
    curve: Curve
    end: Affine | None  # what it leaves behind
    label: str  # "" continues the row of the piece before
    bounds: Bounds = anything  # between which values it stays
    reached: tuple[Affine, ...] = ()  # what it has at some update, found without a user's code


def holding(value: Affine, length: int, label: str) -> Piece:
    """Return the piece in which one value holds."""
    return Piece(length, _constant(value), value, label, between(value), (value,))


def _constant(value: Affine) -> Curve:
    def curve(_: int) -> Coefficients:
        return value

    return arrays.taking_arrays(curve, lambda _: curve)


class PhaseRow(NamedTuple):
    """One line of a schedule's table: what runs from one update to the next one's start.

    ``first`` and ``last`` are updates, or texts such as ``5 %`` before :meth:`Schedule.over`;
    ``last`` is the update at which ``end`` is reached, None if the phase has no end.
    """

    first: int | str
    last: int | str | None
    start: Affine | None
    end: Affine | None
    shape: str


class Track:
    """Pieces laid end to end."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self.pieces = list(pieces)
        self.starts: list[int] = []
        self.curves: list[Curve] = []
        self.horizon: int | None = None  # the update from which on the last value holds
        self.last: Segment = (0, 0, lambda _: ONE)  # the segment that was asked for last
        position, end = 0, ONE
        for piece in self.pieces:
            if piece.length != 0:
                self.starts.append(position)
                self.curves.append(piece.curve)
            if piece.length is None or piece.end is None:
                return
            position, end = position + piece.length, piece.end
        self.horizon = position
        self.starts.append(position)
        self.curves.append(_constant(end))

    def segment(self, num_updates: int) -> Segment:
        """Return the stretch of updates around ``num_updates`` that one curve covers.

        It is ``(start, stop, curve)``: ``curve(k − start)`` is offset and scale at each update k
        with start ≤ k < stop, so that a caller need not look for the piece each time.
        """
        if num_updates < 0:
            whole("num_updates", num_updates)
        after = bisect_right(self.starts, num_updates)
        stop = self.starts[after] if after < len(self.starts) else math.inf
        self.last = self.starts[after - 1], stop, self.curves[after - 1]
        return self.last

    def columns(self, num_updates: int, bases: Sequence[float]) -> list[array[float]]:
        """Return the values at updates 0 … ``num_updates`` − 1, for each base."""
        columns = [array("d") for _ in bases]
        are_many = num_updates >= _FEW and arrays.help_with(num_updates * len(bases))
        functions = arrays.Functions()
        update, most = 0, _CHUNK_OF_ARRAYS
        while update < num_updates:
            start, stop, curve = self.segment(update)
            end = int(min(stop, num_updates, update + most))
            most = _CHUNK_OF_ARRAYS
            make = getattr(curve, "make", None) if are_many and end - update >= _FEW else None
            if make is None:
                end = min(end, update + _CHUNK)
            elif update == start:  # where some curves branch
                make, end = None, update + 1
            positions = range(update - start, end - start)
            if make is None:
                _append(columns, bases, curve, positions)
            elif not arrays.append(columns, bases, make(functions), positions):
                most = (end - update) // 2
                continue
            update = end
        return columns

    @cached_property
    def rows(self) -> tuple[PhaseRow, ...]:
        """The rows of the table."""
        shown = [piece for piece in self.pieces if piece.length != 0] or self.pieces[:1]
        rows: list[PhaseRow] = []
        for first, piece in zip(self.starts, shown, strict=False):
            last = None if piece.length is None else first + piece.length
            if piece.label:
                start = piece.end if piece.length == 0 else Affine(*piece.curve(0))
                rows.append(PhaseRow(first, last, start, piece.end, piece.label))
            else:
                rows[-1] = rows[-1]._replace(last=last, end=piece.end)
        return tuple(rows)

    @property
    def reached(self) -> set[Affine]:
        """Values that the schedule has at some update, the extremes if they are known."""
        return {value for piece in self.pieces for value in piece.reached}

    def bounds(self, base: float) -> tuple[float, float]:
        """Return between which values the schedule stays, for a base value."""
        each = {piece.bounds for piece in self.pieces}  # of the periods of a repeat, once
        found = [value for bounds in each for value in bounds(base)]
        return (min(found), max(found)) if all(map(math.isfinite, found)) else anything(base)


def _append(
    columns: list[array[float]], bases: Sequence[float], curve: Curve, positions: Sequence[int]
) -> None:
    """Append the values at these positions to the columns, one by one."""
    if len(bases) == 1:
        base, values = bases[0], []
        for position in positions:  # 0.95 times the time that map and a list take
            offset, scale = curve(position)
            values.append(offset + scale * base)
        columns[0].fromlist(values)
    else:
        coefficients = list(map(curve, positions))
        for column, base in zip(columns, bases, strict=True):
            column.fromlist([offset + scale * base for offset, scale in coefficients])


def phase_table(rows: Sequence[PhaseRow], is_relative: bool) -> str:
    """Return the table of phases as text."""
    return aligned(phase_lines(rows, is_relative), len(rows) - _MOST_ROWS)


def phase_lines(rows: Sequence[PhaseRow], is_relative: bool) -> list[tuple[str, ...]]:
    """Return headers and lines: from, to, start, end, shape; or length, start, end, shape.

    ``to`` is the update at which the end is reached; it is the next phase's first.
    """
    lines: list[tuple[str, ...]] = [
        (*(("length",) if is_relative else ("from", "to")), "start", "end", "shape")
    ]
    for row in rows[:_MOST_ROWS]:
        first, last = str(row.first), "…" if row.last is None else str(row.last)
        if is_relative and isinstance(row.first, int):  # a part that has its updates already
            first = str(row.last - row.first) if isinstance(row.last, int) else last
        place = (first,) if is_relative else (first, last)
        lines.append((*place, _end_text(row.start), _end_text(row.end), row.shape))
    return lines


def aligned(lines: Sequence[tuple[str, ...]], num_hidden: int) -> str:
    """Return rows of cells as lines of text with aligned columns, and how many more there are."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text + [f"… and {num_hidden} more phases"] * (num_hidden > 0))


def _end_text(value: Affine | None) -> str:
    """Return an end as text: a multiple of the base, or an absolute value."""
    if value is None:
        return ""
    if value.offset == 0.0:
        return f"{value.scale:g}"
    return f"{value.offset:g} absolute" + (f" + {value.scale:g}" if value.scale else "")
