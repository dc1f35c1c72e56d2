"""The exact values of every scheduled field and group, for every update."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_accelerated.checks import same, whole, wrong_kind
from pytorch_accelerated.preview.columns import (
    MOST_ROWS,
    Column,
    Columns,
    Held,
    PreviewRow,
    alike,
    entries,
    named,
)
from pytorch_accelerated.preview.drawing import html_table
from pytorch_accelerated.preview.overlay import (
    PlanDifference,
    cells_of,
    differences,
    ends_of,
    groups_of,
    named_plans,
    side_by_side,
)
from pytorch_accelerated.schedules.track import aligned

if TYPE_CHECKING:
    from pandas import DataFrame

    from pytorch_accelerated.preview.comparison import Recorded
    from pytorch_accelerated.preview.plot import Loss, Picture

_MOST_COLUMNS = 6  # of a table that goes right; one of more goes down


class Preview(Columns):
    """What each update runs with: field, group, update → value.

    Args:
        columns: Field → for each parameter group, its values update by update.
        first_update: The update that the first value belongs to.
        group_names: What the groups are called; their indices by default.
        phases: Field → for each group, the rows of its schedule's table, where they are known.
        num_updates_per_epoch: For showing updates in epochs as well.
        position: How many updates have been made when the preview was taken.
        updates: The updates that there are values for, if they are but a sample.
        ends: Field → for each group, what holds from the horizon on, where all plans have ended.

    Example:
        >>> from pytorch_accelerated.preview import preview
        >>> from pytorch_accelerated.schedules import cosine, linear
        >>> planned = preview(linear(2, start=0.0) >> cosine(4, end=0.0), base=0.8)
        >>> list(planned["value"][0])
        [0.0, 0.4, 0.8, 0.682842712474619, 0.3999999999999999, 0.117157287525381]
        >>> print(planned)
        phase       from  to  value
        linear      0     1   0 → 0.4
        cosine      2     5   0.8 → 0.117157
        then holds  6         0
    """

    def value(self, field: str, num_updates: int, group: int | str = 0) -> Held:
        """Return what update ``num_updates`` runs with.

        Args:
            field: The field, such as ``lr``.
            num_updates: The update, one of ``updates``, or a later one where the plan has ended.
            group: The index or the name of the parameter group.

        Raises:
            KeyError: If there is no such field.
            ValueError: If there is no such update or group.
        """
        columns = self[field]
        update = whole("num_updates", num_updates)
        is_later = bool(self.ends) and update >= self.num_updates
        if update not in self.updates and not is_later:
            which = f"updates {self.first_update} to {self.num_updates - 1}"
            if self.first_update <= update < self.num_updates:
                which = f"{len(self.updates):,} of {which}, which are in updates; ask the schedule"
            raise ValueError(f"num_updates={num_updates!r}: the preview has {which}.")
        index = self.groups.index(group) if group in self.groups else group
        if not isinstance(index, int) or not 0 <= index < len(columns):
            raise ValueError(f"group={group!r}: there are {', '.join(self.groups)}.")
        return self.ends[field][index] if is_later else columns[index][self.place(update)]

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
            None if isinstance(self.updates, range) else self.updates,
            {**self.ends, **other.ends} if self.ends and other.ends else None,
        )

    def overlay(self, *others: Preview, names: Sequence[str] | None = None) -> Overlay:
        """Return this preview and others side by side, in one picture and one table.

        Args:
            *others: Previews of other plans, in the same unit. A shorter one is drawn to the end
                of the longest with what it holds in the end.
            names: What the plans are called; A, B, C, … by default.

        Example:
            >>> from pytorch_accelerated.preview import preview
            >>> from pytorch_accelerated.schedules import cosine, linear
            >>> both = preview(linear(4, end=0.0)).overlay(preview(linear(2, end=0.0)))
            >>> print(both)
            field  plan  first differs from A  largest difference  at the end
            value  B     at 1: 0.75 → 0.5      0.5 at 2            0
        """
        for other in others:
            if not isinstance(other, Preview):
                raise wrong_kind("others", other, "a preview. Write plan.overlay(preview(other)).")
        return Overlay(named_plans([self, *others], names))

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
            ends=self.ends,
        )

    # Out ------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, list[list[Held]]]:
        """Return field → for each update, the values of all groups."""
        return {
            field: [list(values) for values in zip(*columns, strict=True)]
            for field, columns in self._columns.items()
        }

    def named_columns(self) -> Iterator[tuple[str, Sequence[float | None]]]:
        """Yield the name and the numbers of each column of `to_csv`, entries of tuples apart."""
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
        headers, columns = zip(*self.named_columns(), strict=True) if len(self) else ((), ())
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
        try:
            from pandas import DataFrame, Index
        except ImportError as error:
            raise ImportError("A frame needs pandas: pip install pandas") from error
        index = Index(self.updates, name="update")
        frame: DataFrame = DataFrame(dict(self.named_columns()), index=index)
        return frame

    def plot(
        self,
        applied: Recorded | None = None,
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

        text = page(self, self.html_table(), title=title, log=log)
        Path(path).write_text(text, encoding="utf-8")

    # The table ------------------------------------------------------------------------------

    def table(self, width: int | None = None) -> str:
        """Return the phases as text: phase, from update, to update, first → last value of each.

        Fields stand side by side where the lines are no longer than ``width`` characters, or,
        without a width, up to six of them; else one below the other.
        """
        if not len(self):
            return "no updates"
        if width is None:
            return self._table(len(self._table_columns) <= _MOST_COLUMNS)
        wide = self._table(True)
        return wide if max(map(len, wide.splitlines())) <= width else self._table(False)

    def html_table(self) -> str:
        """Return the phases as a table in HTML."""
        headers, rows = self._cells()
        return html_table(["phase", "from", "to", *headers], [(*a, *b) for a, b in rows])

    def _table(self, is_wide: bool) -> str:
        headers, rows = self._cells()
        lines = [("phase", "from", "to", *(headers if is_wide else ["field", "values"]))]
        for place, cells in rows:
            if is_wide or not any(cells):
                cells = cells if is_wide else ["", ""]
                lines.append((*place, *cells))
                continue
            for header, cell in zip(headers, cells, strict=True):
                lines.append((*place, header, cell))
                place = ("", "", "")
        return aligned(lines, 0)

    def _cells(self) -> tuple[list[str], list[tuple[tuple[str, str, str], list[str]]]]:
        """Return what the table says: headers, and for each phase its name, from, to, and values.

        Of more than 40 phases the last line says how many are left out.
        """
        columns = self._table_columns
        rows = [
            (
                (row.phase, str(row.first), str(row.last)),
                [self._span(c, row) for _, c, _ in columns],
            )
            for row in self.rows[:MOST_ROWS]
        ]
        if len(self.rows) > MOST_ROWS:
            more = f"… and {len(self.rows) - MOST_ROWS} more"
            rows.append(((more, "", ""), [""] * len(columns)))
        if self.tail:
            ends = [end for *_, end in columns]
            rows.append((("then holds", str(self.num_updates), ""), ends))
        return [header for header, *_ in columns], rows

    @cached_property
    def _table_columns(self) -> list[tuple[str, Column, str]]:
        """Headers, columns and what holds then, once for groups that hold the same values."""
        result: list[tuple[str, Column, str]] = []
        for field, columns in self._columns.items():
            found = alike(zip(self.groups, columns, strict=False))
            for names, column in found:
                header = field if len(found) == 1 else f"{field}[{named(names)}]"
                ends = self.ends_of(field, names)
                result.append((header, column, ", ".join(map(value_text, ends))))
        return result

    def _span(self, column: Column, row: PreviewRow) -> str:
        first, last = column[self.place(row.first)], column[self.place(row.last)]
        return (
            value_text(first) if same(first, last) else f"{value_text(first)} → {value_text(last)}"
        )

    def __str__(self) -> str:
        """Return the table."""
        return self.table()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the picture and the table."""
        from pytorch_accelerated.preview.svg import picture

        return picture(self, self.unit) + self.html_table() if len(self) else "<p>no updates</p>"

    def __repr__(self) -> str:
        return (
            f"<Preview of {', '.join(self.fields)} for {len(self.groups)} "
            f"group{'s' * (len(self.groups) != 1)}, updates {self.first_update} to "
            f"{self.num_updates - 1}>"
        )


class Overlay(Preview):
    """Several plans as one preview, whose groups are the plans; see :meth:`Preview.overlay`.

    Pictures, pages and files are made as of any preview; the table says where the plans differ.

    Args:
        plans: The plans by name, in one unit.
    """

    def __init__(self, plans: Mapping[str, Columns]) -> None:
        columns = side_by_side(plans)
        first, *_ = plans.values()
        start = max(plan.first_update for plan in plans.values())
        ends = ends_of(plans, list(columns))
        super().__init__(
            columns,
            start,
            groups_of(plans),
            num_updates_per_epoch=first.num_updates_per_epoch,
            ends=ends,
        )
        self.unit = first.unit
        self.plans = dict(plans)

    @cached_property
    def differences(self) -> tuple[PlanDifference, ...]:
        """How each other plan's fields and groups differ from the first plan's."""
        return differences(self.plans, self._columns, self.ends)

    @cached_property
    def _labels(self) -> dict[str, list[list[tuple[int, str]]]]:
        return {
            field: [
                labels
                for plan in self.plans.values()
                if field in plan.fields
                for labels in plan._labels[field]
            ]
            for field in self.fields
        }

    def table(self, width: int | None = None) -> str:
        """Return the differences as text: where values first differ, the largest, the ends."""
        return aligned(cells_of(self.differences, next(iter(self.plans))), 0)

    def html_table(self) -> str:
        """Return the differences as a table in HTML."""
        headers, *lines = cells_of(self.differences, next(iter(self.plans)))
        return html_table(headers, lines)


def value_text(value: Held) -> str:
    """Return a value in six digits."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"({', '.join(map(value_text, value))})"
    return f"{value:.6g}"
