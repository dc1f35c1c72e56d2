"""The exact values of every scheduled field and group, for every update."""

from __future__ import annotations

import csv
import io
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pytorch_accelerated.schedules.base import PhaseRow
from pytorch_accelerated.schedules.lengths import whole
from pytorch_accelerated.schedules.table import aligned

if TYPE_CHECKING:
    from pandas import DataFrame

    from pytorch_accelerated.preview.comparison import Applied
    from pytorch_accelerated.preview.plot import Loss, Picture

Value: TypeAlias = "float | tuple[float, ...] | None"  # None where a group has no such field
Column: TypeAlias = "Sequence[Value]"

_MOST_ROWS = 40
_MOST_COLUMNS = 6
_HOLDS = "holds"


class PreviewRow(NamedTuple):
    """One line of a preview's table: updates ``first`` … ``last`` run in one phase."""

    phase: str
    first: int
    last: int


class Preview:
    """What each update runs with: field, group, update → value.

    Args:
        columns: Field → for each parameter group, its values update by update.
        first_update: The update that the first value belongs to.
        group_names: What the groups are called; their indices by default.
        phases: Field → for each group, the rows of its schedule's table, where they are known.
        num_updates_per_epoch: For showing updates in epochs as well.
        position: How many updates have been made when the preview was taken.

    Example:
        >>> from pytorch_accelerated.preview import preview
        >>> from pytorch_accelerated.schedules import cosine, linear
        >>> planned = preview(linear(2, start=0.0) >> cosine(4, end=0.0), base=0.8)
        >>> list(planned["value"][0])
        [0.0, 0.4, 0.8, 0.682842712474619, 0.3999999999999999, 0.117157287525381]
        >>> print(planned)
        phase   from  to  value
        linear  0     1   0 → 0.4
        cosine  2     5   0.8 → 0.117157
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[Column]],
        first_update: int = 0,
        group_names: Sequence[str] = (),
        phases: Mapping[str, Sequence[Sequence[PhaseRow]]] | None = None,
        num_updates_per_epoch: int | None = None,
        position: int | None = None,
    ) -> None:
        self._columns = {field: list(groups) for field, groups in columns.items()}
        self.first_update = first_update
        sizes = {len(column) for groups in self._columns.values() for column in groups}
        if len(sizes) != 1:
            raise ValueError(f"The columns have to be of one length; there are {sorted(sizes)}.")
        self._size = sizes.pop()
        count = max(map(len, self._columns.values()))
        has_names = len(set(group_names)) == len(group_names) == count
        self.groups = tuple(group_names) if has_names else tuple(map(str, range(count)))
        self._phases = dict(phases or {})
        self.num_updates_per_epoch = num_updates_per_epoch
        self.position = position

    @property
    def fields(self) -> tuple[str, ...]:
        """The scheduled fields."""
        return tuple(self._columns)

    @property
    def num_updates(self) -> int:
        """The update after the last one that is shown."""
        return self.first_update + self._size

    @property
    def updates(self) -> range:
        """The updates that are shown."""
        return range(self.first_update, self.num_updates)

    @property
    def _drawn_updates(self) -> Sequence[int]:
        """The updates that the columns have values for: all, but in a sample for drawing."""
        return self.updates

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, field: str) -> list[Column]:
        """Return the values of ``field``: for each group a sequence, from ``first_update`` on."""
        if field not in self._columns:
            raise KeyError(f"{field!r} is not scheduled; there are {', '.join(self.fields)}.")
        return self._columns[field]

    def value(self, field: str, num_updates: int, group: int | str = 0) -> Value:
        """Return what update ``num_updates`` runs with.

        Args:
            field: The field, such as ``lr``.
            num_updates: The update, one of :attr:`updates`.
            group: The index or the name of the parameter group.

        Raises:
            KeyError: If there is no such field.
            ValueError: If there is no such update or group.
        """
        columns = self[field]
        update = whole("num_updates", num_updates)
        if update not in self.updates:
            raise ValueError(
                f"num_updates={num_updates!r}: the preview has updates {self.first_update} to "
                f"{self.num_updates - 1}."
            )
        index = self.groups.index(group) if group in self.groups else group
        if not isinstance(index, int) or not 0 <= index < len(columns):
            raise ValueError(f"group={group!r}: there are {', '.join(self.groups)}.")
        return columns[index][update - self.first_update]

    def __or__(self, other: object) -> Preview:
        """Return the fields of both previews, which have to show the same updates and groups."""
        if not isinstance(other, Preview):
            return NotImplemented
        twice = [field for field in self.fields if field in other.fields]
        if twice:
            raise ValueError(f"Both previews have the field {twice[0]!r}.")
        if self.updates != other.updates or self.groups != other.groups:
            raise ValueError(
                "The previews show different updates or groups: "
                f"{self.updates} and {other.updates}, {self.groups} and {other.groups}."
            )
        return Preview(
            {**self._columns, **other._columns},
            self.first_update,
            self.groups,
            {**self._phases, **other._phases},
            self.num_updates_per_epoch or other.num_updates_per_epoch,
            self.position if other.position is None else other.position,
        )

    def _since(self, first_update: int) -> Preview:
        """Return the part from ``first_update`` on."""
        skipped = first_update - self.first_update
        if not skipped:
            return self
        return Preview(
            {field: [c[skipped:] for c in columns] for field, columns in self._columns.items()},
            first_update,
            self.groups,
            self._phases,
            self.num_updates_per_epoch,
            self.position,
        )

    # Out ------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list[list[Value]]]:
        """Return field → for each update, the values of all groups."""
        return {
            field: [list(values) for values in zip(*columns, strict=True)]
            for field, columns in self._columns.items()
        }

    def _flat(self) -> Iterator[tuple[str, Sequence[float | None]]]:
        """Yield a header and numbers, with the entries of tuples apart."""
        for field, columns in self._columns.items():
            for group, column in zip(self.groups, columns, strict=False):
                place = f"/{group}" if len(columns) > 1 else ""
                value = next((value for value in column if value is not None), None)
                if not isinstance(value, tuple):
                    yield f"{field}{place}", column  # type: ignore[misc]
                    continue
                for index in range(len(value)):
                    yield f"{field}[{index}]{place}", entries(column, index)

    def to_csv(self, path: str | PathLike[str] | None = None) -> str | None:
        """Write a line for each update, with a column for each field and group.

        Numbers are written so that reading them gives the same ones bit for bit.

        Args:
            path: The file to write; None returns the text instead.
        """
        headers, columns = zip(*self._flat(), strict=True) if self._size else ((), ())
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        epochs = self.num_updates_per_epoch
        writer.writerow(["update", *(["epoch"] if epochs else []), *headers])
        for update, *values in zip(self.updates, *columns, strict=True):
            writer.writerow([update, *([repr(update / epochs)] if epochs else []), *values])
        if path is None:
            return text.getvalue()
        Path(path).write_text(text.getvalue(), encoding="utf-8")
        return None

    def to_frame(self) -> DataFrame:
        """Return a pandas frame: a row for each update, a column for each field and group.

        Raises:
            ImportError: If pandas is not installed.
        """
        from pandas import DataFrame, RangeIndex

        index = RangeIndex(self.first_update, self.num_updates, name="update")
        return DataFrame(dict(self._flat()), index=index)

    def plot(
        self,
        applied: Applied | None = None,
        loss: Loss | None = None,
        *,
        fields: Sequence[str] | None = None,
        log: bool | None = None,
        title: str | None = None,
    ) -> Picture:
        """Draw the fields below one another over a shared axis of updates, with matplotlib.

        Phases are shaded and named, groups that differ are lines of their own. Of a long curve
        some 2000 exact points are drawn, among them every joint and every local extreme.

        Args:
            applied: What ran, in a form that :func:`compare` takes; drawn thin over the wide plan.
            loss: A loss for each update, or update → loss; drawn below the fields.
            fields: The fields to draw; all by default.
            log: Whether the scales are logarithmic; by default, where values span decades.
            title: A title.

        Returns:
            A ``matplotlib.figure.Figure``: a notebook shows it, ``savefig(path)`` writes it.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from pytorch_accelerated.preview.plot import plot

        return plot(self, applied, loss, fields=fields, log=log, title=title)

    def save_html(
        self, path: str | PathLike[str], *, title: str | None = None, log: bool | None = None
    ) -> None:
        """Write one page that works offline, with plotly.

        Hovering shows update, epoch, field, group and the exact value; curves can be zoomed, the
        scale switched, fields and groups turned on and off. Of a long curve some 4000 exact points
        are drawn, among them both sides of every joint and every local extreme; the page says so.

        Args:
            path: The file to write.
            title: A title.
            log: Whether the scales are logarithmic; by default, where values span decades.

        Raises:
            ImportError: If plotly is not installed.
        """
        from pytorch_accelerated.preview.html import page

        Path(path).write_text(page(self, title=title, log=log), encoding="utf-8")

    # The table ------------------------------------------------------------------------------

    @cached_property
    def _labels(self) -> dict[str, list[list[tuple[int, str]]]]:
        """Field → for each group, where a phase starts, and what it is called."""
        return {
            field: [
                self._named(self._phases[field][index])
                if field in self._phases
                else self._found(column)
                for index, column in enumerate(columns)
            ]
            for field, columns in self._columns.items()
        }

    def _named(self, rows: Sequence[PhaseRow]) -> list[tuple[int, str]]:
        labels = [(row.first, row.shape) for row in rows if isinstance(row.first, int)]
        if not rows:
            return [(0, _HOLDS)]
        last = rows[-1].last
        return [*labels, (last, _HOLDS)] if isinstance(last, int) else labels

    def _found(self, column: Column) -> list[tuple[int, str]]:
        """Phases of values that nobody has described: the stretches where they stay."""
        if not column:
            return []
        starts = [self.first_update]
        previous = column[0]
        for update, value in zip(self.updates, column, strict=True):
            if value != previous:
                starts.append(update)
                previous = value
                if len(starts) > _MOST_ROWS // 2:
                    return [(self.first_update, "varies")]
        return [(start, "constant") for start in starts]

    @cached_property
    def rows(self) -> tuple[PreviewRow, ...]:
        """The stretches between joints of any field or group, in order; no update is in two."""
        return self._rows(self._labels)

    def rows_of(self, field: str) -> tuple[PreviewRow, ...]:
        """The stretches between joints of one field's groups."""
        self[field]  # an unknown one says which there are
        return self._rows({field: self._labels[field]})

    def _rows(
        self, labels_by_field: Mapping[str, list[list[tuple[int, str]]]]
    ) -> tuple[PreviewRow, ...]:
        if not self._size:
            return ()
        everything = [labels for groups in labels_by_field.values() for labels in groups]
        joints = {start for labels in everything for start, _ in labels} | {self.first_update}
        starts = sorted(joint for joint in joints if joint in self.updates)
        ends = [*starts[1:], self.num_updates]
        return tuple(
            PreviewRow(_phase_at(labels_by_field, start), start, end - 1)
            for start, end in zip(starts, ends, strict=True)
        )

    def table(self) -> str:
        """Return the phases as text: phase, from update, to update, first → last value of each."""
        if not self._size:
            return "no updates"
        shown = self.rows[:_MOST_ROWS]
        columns = self._table_columns
        if len(columns) <= _MOST_COLUMNS:
            lines = [("phase", "from", "to", *(header for header, _ in columns))]
            lines += [
                (
                    row.phase,
                    str(row.first),
                    str(row.last),
                    *(self._span(column, row) for _, column in columns),
                )
                for row in shown
            ]
        else:
            lines = [("phase", "from", "to", "field", "values")]
            for row in shown:
                place = (row.phase, str(row.first), str(row.last))
                for header, column in columns:
                    lines.append((*place, header, self._span(column, row)))
                    place = ("", "", "")
        text = aligned(lines)
        hidden = len(self.rows) - len(shown)
        return text if hidden <= 0 else f"{text}\n… and {hidden} more phases"

    @cached_property
    def _table_columns(self) -> list[tuple[str, Column]]:
        """Headers and columns, once for groups that hold the same values."""
        result: list[tuple[str, Column]] = []
        for field, columns in self._columns.items():
            found = alike(zip(self.groups, columns, strict=False))
            for names, column in found:
                result.append((field if len(found) == 1 else f"{field}[{named(names)}]", column))
        return result

    def _span(self, column: Column, row: PreviewRow) -> str:
        first = column[row.first - self.first_update]
        last = column[row.last - self.first_update]
        is_one = first == last or (first != first and last != last)  # NaN equals nothing
        return value_text(first) if is_one else f"{value_text(first)} → {value_text(last)}"

    def __str__(self) -> str:
        """Return the table."""
        return self.table()

    def __repr__(self) -> str:
        return (
            f"<Preview of {', '.join(self.fields)} for {len(self.groups)} "
            f"group{'s' * (len(self.groups) != 1)}, updates {self.first_update} to "
            f"{self.num_updates - 1}>"
        )


def value_text(value: Value) -> str:
    """Return a value in six digits."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"({', '.join(map(value_text, value))})"
    return f"{value:.6g}"


def _phase_at(labels_by_field: Mapping[str, list[list[tuple[int, str]]]], update: int) -> str:
    by_field = {
        field: "/".join(dict.fromkeys(_label_at(labels, update) for labels in groups))
        for field, groups in labels_by_field.items()
    }
    if len(set(by_field.values())) == 1:
        return next(iter(by_field.values()))
    return ", ".join(f"{field} {label}" for field, label in by_field.items())


def _label_at(labels: list[tuple[int, str]], update: int) -> str:
    index = bisect_right(labels, update, key=lambda label: label[0]) - 1
    return labels[max(index, 0)][1]


def alike(curves: Iterable[tuple[str, Column]]) -> list[tuple[list[str], Column]]:
    """Return each curve once, with the names of all that are equal to it."""
    result: list[tuple[list[str], Column]] = []
    for name, column in curves:
        for names, other in result:
            if column == other or _same_bytes(column, other):
                names.append(name)
                break
        else:
            result.append(([name], column))
    return result


def _same_bytes(one: Column, other: Column) -> bool:
    """Say whether two arrays are the same with NaN, which equals nothing, taken for equal."""
    if not isinstance(one, array) or not isinstance(other, array):
        return False
    return memoryview(one).cast("B") == memoryview(other).cast("B")


def entries(column: Column, index: int) -> list[float | None]:
    """Return one entry of each tuple in a column."""
    return [None if value is None else value[index] for value in column]  # type: ignore[index]


def named(names: list[str]) -> str:
    """Return a short text for a list of groups."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, … {names[-1]}"
