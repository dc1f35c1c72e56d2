"""Whether values that a run recorded in a CSV file are those of a plan."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from pytorch_accelerated.checks import finite
from pytorch_accelerated.preview.from_text import preview_of_text
from pytorch_accelerated.preview.values import Preview

_UPDATE = "update"
_Rows: TypeAlias = list[tuple[int, dict[str, str]]]


def compare_csv(
    path: Path,
    text: str,
    base: object = None,
    num_updates: int | None = None,
    num_updates_per_epoch: int | None = None,
    tolerance: float = 0.0,
) -> tuple[bool, str]:
    """Return whether the columns of a file are as planned, and a line for each column.

    The file has the columns that :meth:`Preview.to_csv` writes; lines without ``update`` are those
    of update 0, 1, 2, …. What is empty is not compared.
    """
    tolerance = finite("tolerance", tolerance)
    if tolerance < 0.0:
        raise ValueError(f"tolerance={tolerance!r} has to be 0 or more.")
    rows = _read(path)
    if num_updates is None:
        num_updates = max(update for update, _ in rows) + 1
    planned = preview_of_text(text, base, num_updates, num_updates_per_epoch)
    found = [*_lines(path, rows, planned, tolerance)]
    return all(is_same for is_same, _ in found), "\n".join(line for _, line in found)


def _read(path: Path) -> _Rows:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = [*csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV file: {error}.") from None
    if not lines:
        raise ValueError(f"{path} has no lines with values below one with the columns' names.")
    rows = []
    for place, line in enumerate(lines):
        update = line.get(_UPDATE, place)
        try:
            rows.append((int(update), line))
        except (TypeError, ValueError):
            update = repr(update)
        if len(rows) == place or rows[-1][0] < 0:
            raise ValueError(f"{path}: update {update} in line {place + 2} is not a whole number.")
    return rows


def _lines(
    path: Path, rows: _Rows, planned: Preview, tolerance: float
) -> Iterator[tuple[bool, str]]:
    there = [name for name in rows[0][1] if name]
    for name, column in planned.named_columns():
        if name not in there:
            raise ValueError(
                f"{path} has no column {name!r}, but {', '.join(there)}. Write the plan for one of "
                "these, such as lr=…."
            )
        num_values, largest, parted = 0, 0.0, ""
        for update, line in rows:
            if not line[name]:
                continue
            try:
                value = float(line[name])
            except ValueError:
                raise ValueError(
                    f"{path}: {line[name]!r} in column {name!r} at update {update} is not a number."
                ) from None
            num_values += 1
            if update >= len(column):
                parted = parted or f"the plan has {len(column)} updates, recorded is {update}"
                continue
            plan = column[update]
            assert plan is not None  # a schedule has a value at each update
            if value == plan:
                continue
            largest = max(largest, abs(value - plan)) if value == value else math.nan
            if not math.isclose(value, plan, rel_tol=tolerance):
                parted = parted or f"first at update {update}: planned {plan!r}, recorded {value!r}"
        is_same = not parted and num_values > 0
        detail = parted or f"{num_values} values"
        yield (
            is_same,
            (
                f"{name}: {'as planned' if is_same else 'not as planned'} ({detail}; largest "
                f"difference {largest:g})"
            ),
        )
