"""Whether values that a run recorded, in a CSV file or for TensorBoard, are those of a plan."""

from __future__ import annotations

import csv
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pytorch_accelerated.checks import finite
from pytorch_accelerated.preview.from_text import preview_of_text
from pytorch_accelerated.preview.values import Preview

# What numbers the lines of a CSV file: of ours, of Lightning's, of what TensorBoard exports.
_STEPS = ("update", "step", "Step")
_EVENTS = "tfevents"  # in the name of each file for TensorBoard

#: Each step and its value, in a CSV file as text, which may be empty; and that by column, or tag.
_Rows: TypeAlias = Sequence[tuple[int, "str | float | None"]]
_Columns: TypeAlias = Mapping[str, _Rows]


def compare_recorded(
    path: Path,
    text: str,
    base: object = None,
    num_updates: int | None = None,
    num_updates_per_epoch: int | None = None,
    tolerance: float = 0.0,
    columns: Iterable[str] = (),
    first_step: int = 0,
) -> tuple[bool, str]:
    """Return whether the columns of a file are as planned, and a line for each column.

    A CSV file has the columns that :meth:`Preview.to_csv` writes; ``step`` is as good as
    ``update``, and without them the lines are those of step 0, 1, 2, …. What is empty is not
    compared. A file for TensorBoard, or a folder of
    them, has tags for columns; its values are in single precision, to which the plan is rounded.
    ``columns`` are names in the file for those of the plan, ``lr=train/learning_rate``, and
    ``first_step`` is the file's number for update 0.
    """
    tolerance = finite("tolerance", tolerance)
    if tolerance < 0.0:
        raise ValueError(f"tolerance={tolerance!r} has to be 0 or more.")
    is_single = path.is_dir() or _EVENTS in path.name
    recorded = _read_events(path) if is_single else _read_csv(path)
    if num_updates is None:
        last = max(step for rows in recorded.values() for step, _ in rows)
        num_updates = max(1, last - first_step + 1)
    planned = preview_of_text(text, base, num_updates, num_updates_per_epoch)
    planned.check_is_whole()
    found = []
    names = _names(path, recorded, planned, columns)
    for name, plan in planned.named_columns():
        rows = _numbers(path, names[name], recorded[names[name]], first_step)
        found.append(_line(name, rows, plan, tolerance, is_single))
    return all(is_same for is_same, _ in found), "\n".join(line for _, line in found)


def _read_csv(path: Path) -> _Columns:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = [*csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV file: {error}.") from None
    if not lines:
        raise ValueError(f"{path} has no lines with values below one with the columns' names.")
    steps = []
    counter = next((name for name in _STEPS if name in lines[0]), "update")
    for place, line in enumerate(lines):
        step = line.get(counter, place)
        try:
            steps.append(int(step))
        except (TypeError, ValueError):
            step = repr(step)
        if len(steps) == place or steps[-1] < 0:
            raise ValueError(f"{path}: {counter} {step} in line {place + 2} is not a whole number.")
    return {
        name: [(step, line[name]) for step, line in zip(steps, lines, strict=True)]
        for name in lines[0]
        if name
    }


def _read_events(path: Path) -> _Columns:
    """Return the scalars that TensorBoard finds in a file, or in the files of a folder."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError:
        raise ValueError(
            f"{path} is for TensorBoard, which reads it but is not installed: pip install "
            "tensorboard."
        ) from None
    if not path.exists():
        raise FileNotFoundError(f"{path}: No such file or directory.")
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    found = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    for tag in events.Tags()["tensors"]:  # as which some writers write scalars
        values = [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        if all(value.size == 1 and value.dtype.kind == "f" for _, value in values):
            found[tag] = [(step, float(value.item())) for step, value in values]
    if not found:
        raise ValueError(f"{path} has no scalars that TensorBoard could read.")
    return found


def _names(
    path: Path, recorded: _Columns, planned: Preview, given: Iterable[str]
) -> dict[str, str]:
    """Return the name in the file for each column of the plan."""
    names = {name: name for name, _ in planned.named_columns()}
    for one in given:
        name, _, column = one.partition("=")
        if name not in names and len(names) == 1:
            (name,), column = names, one
        if name not in names:
            raise ValueError(
                f"--column {one}: the plan has the columns {', '.join(names)}. Write, for example, "
                f"--column {next(iter(names))}=NAME."
            )
        names[name] = column
    for name, column in names.items():
        if column not in recorded:
            raise ValueError(
                f"{path} has no column {column!r}, but {', '.join(recorded)}. Write --column "
                f"{name}=… for one of these."
            )
    return names


def _numbers(path: Path, column: str, rows: _Rows, first_step: int) -> Iterator[tuple[int, float]]:
    """Yield each update that has a value, and the value."""
    for step, value in rows:
        if value is None or value == "":
            continue
        try:
            yield step - first_step, float(value)
        except ValueError:
            raise ValueError(
                f"{path}: {value!r} in column {column!r} at update {step} is not a number."
            ) from None


def _single(value: float) -> float:
    (rounded,) = struct.unpack("f", struct.pack("f", value))
    return float(rounded)


def _line(
    name: str,
    rows: Iterable[tuple[int, float]],
    plan: Sequence[float | None],
    tolerance: float,
    is_single: bool,
) -> tuple[bool, str]:
    num_values, largest, parted = 0, 0.0, ""
    for update, value in rows:
        num_values += 1
        if not 0 <= update < len(plan):
            parted = parted or f"the plan has {len(plan)} updates, recorded is {update}"
            continue
        planned = plan[update]
        assert planned is not None  # a schedule has a value at each update
        if value == (_single(planned) if is_single else planned):
            continue
        largest = max(largest, abs(value - planned)) if value == value else math.nan
        if not math.isclose(value, planned, rel_tol=tolerance):
            parted = parted or f"first at update {update}: planned {planned!r}, recorded {value!r}"
    is_same = not parted and num_values > 0
    detail = parted or f"{num_values} values"
    verdict = "as planned" if is_same else "not as planned"
    return is_same, f"{name}: {verdict} ({detail}; largest difference {largest:g})"
