"""What to draw of a preview: the curves that differ, and of a long one fewer exact points."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from colorsys import hsv_to_rgb
from typing import Any

from pytorch_accelerated.preview.columns import Column, alike, entries

_LARGEST = 1e120  # on a drawing's axis


def kept_points(values: Sequence[float], joints: Iterable[int], most: int = 2000) -> list[int]:
    """Return about ``most`` positions to draw: both ends, joints, and extremes of every stretch."""
    count = len(values)
    if count <= most:
        return list(range(count))
    kept = {0, count - 1}
    for joint in list(joints)[:most]:
        kept.update(side for side in (joint - 1, joint) if 0 <= side < count)
    step = -(-count // max(1, most // 2))
    for start in range(0, count, step):
        stretch = values[start : start + step]
        numbers = finite(stretch)
        if numbers:
            kept.add(start + stretch.index(min(numbers)))
            kept.add(start + stretch.index(max(numbers)))
        if len(numbers) < len(stretch):  # one of those that are not shows the gap
            kept.add(start + next(i for i, x in enumerate(stretch) if not math.isfinite(x)))
    return sorted(kept)


def finite(values: Sequence[float]) -> Sequence[float]:
    """Return the values without NaN and infinity, with which nothing can be drawn or compared."""
    # A sum shows quickly that there are none; where it overflows, each value is looked at.
    return values if math.isfinite(sum(values)) else array("d", filter(math.isfinite, values))


def drawable(value: float, log: bool) -> bool:
    """Say whether a value has a place on an axis: beyond these, libraries' arithmetic overflows."""
    return (1.0 / _LARGEST if log else -_LARGEST) <= value <= _LARGEST


def spans_decades(curves: Sequence[Sequence[float]]) -> bool:
    """Say whether values are easier to read on a logarithmic scale.

    That is so if the middle 60 % of them, or the highest ones of different curves, are a factor
    of 50 apart. A short warmup from, or a floor at, nearly nothing does not count.
    """
    curves = [finite(curve) for curve in curves]
    highest = [max(curve, default=0.0) for curve in curves]
    if any(value < 0.0 for curve in curves for value in [min(curve, default=0.0)]):
        return False
    if not highest or min(highest) <= 0.0:
        return False
    if max(highest) >= 50.0 * min(highest):
        return True
    for curve in curves:
        ordered = sorted(curve if len(curve) <= 4000 else curve[:: len(curve) // 4000])
        zeros = bisect_left(ordered, 5e-324)
        positive = ordered[zeros:]
        low, high = (positive[int(share * (len(positive) - 1))] for share in (0.2, 0.8))
        if zeros <= len(ordered) // 5 and high >= 50.0 * low:
            return True
    return False


def curves(
    groups: Sequence[str], columns: Sequence[Column]
) -> list[tuple[list[str], Sequence[float]]]:
    """Return names and numbers of what differs; entries of tuples are curves of their own.

    Where a group has no value there is NaN. What has no number at all is left out.
    """
    single: list[tuple[str, Column]] = []
    for name, column in zip(groups, columns, strict=False):
        value = next((value for value in column if value is not None), None)
        if isinstance(value, tuple | list):
            single += [(f"{name}[{i}]", _numbers(entries(column, i))) for i in range(len(value))]
        else:
            single.append((name, _numbers(column)))  # type: ignore[arg-type]
    return [(names, column) for names, column in alike(single) if finite(column)]  # type: ignore


def _numbers(column: Sequence[float | None]) -> array[float]:
    if isinstance(column, array):
        return column
    return array("d", (math.nan if value is None else value for value in column))


# Okabe and Ito's colours, which colour-blind people tell apart as well, the light ones darkened:
# a picture has no background of its own, so that each has to be seen on white and on black.
COLOURS = ("#0077BB", "#D55E00", "#009E73", "#CC79A7", "#BF8400", "#3B9BCF")
INK = "#767B82"  # of what is written, and of a curve that all groups share; 4.3 : 1 on both
SHADE = 0.1  # how opaque the ink of every other phase is
LINES = 0.35  # and that of axes and joints
#: Lengths of strokes and gaps for a line that is 2 wide: curves are told apart without colour.
DASHES: tuple[tuple[float, ...], ...] = (
    *((), (10.0, 4.0), (10.0, 3.0, 2.0, 3.0), (4.0, 3.0)),
    *((12.0, 3.0, 2.0, 3.0, 2.0, 3.0), (18.0, 4.0)),
)


def colours_of(found: Sequence[tuple[list[str], Any]], groups: Sequence[str]) -> list[str]:
    """Return a colour for each curve; one that all groups share has none of theirs."""
    count = len(found)
    if count == 1 < len(groups) == len(found[0][0]):
        return [INK]
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    # A ramp from blue to yellow, as the order of many curves tells more than their hue.
    ramp = (hsv_to_rgb(0.62 - 0.48 * i / (count - 1), 0.75, 0.8) for i in range(count))
    return ["#" + "".join(f"{round(255 * part):02X}" for part in colour) for colour in ramp]


def dashes_of(count: int) -> list[tuple[float, ...]]:
    """Return the strokes of each of so many curves; neighbours differ."""
    return [DASHES[index % len(DASHES)] for index in range(count)]


def ticks(low: float, high: float, is_log: bool) -> list[float]:
    """Return what an axis of values is labelled with: the peak, and round numbers below it."""
    if not is_log:
        return with_peak(even_ticks(low, high), high)
    ends = math.log10(low), math.log10(high)
    return [
        *(10.0**power for power in with_peak(even_ticks(*ends, whole=True), ends[1])[:-1]),
        high,
    ]


def even_ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Return round numbers between ``low`` and ``high``, about five."""
    if high - low < 1e-300:  # a step between them would be no number
        return [low]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    if whole:
        step = max(1.0, step)
    # An end that is a round number but for its last bits has its tick.
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)] or [low, high]


def with_peak(ticks: list[float], peak: float) -> list[float]:
    """Return the ticks with one at the peak, in place of those that are too near to it."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 0.0
    return [*(tick for tick in ticks if tick <= peak - 0.4 * step and tick < peak), peak]
