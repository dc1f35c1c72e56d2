"""Values update by update, for each field and group, and the stretches that they lie in."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypeAlias

from pytorch_accelerated.checks import same
from pytorch_accelerated.schedules import PhaseRow

Held: TypeAlias = "float | tuple[float, ...] | None"  # None where a group has no such field
Column: TypeAlias = "Sequence[Held]"

MOST_ROWS = 40
_HOLDS = "holds"


class PreviewRow(NamedTuple):
    """One line of a preview's table: updates ``first`` … ``last`` run in one phase."""

    phase: str
    first: int
    last: int


class Columns:
    """What each update runs with, as tables and pictures need it; see :class:`Preview`.

    ``updates`` are those that there are values for: all from ``first_update`` on, a ``range``, or
    a sample of too many, a list.
    """

    #: What positions count, one of them.
    unit = "update"

    def __init__(
        self,
        columns: Mapping[str, Sequence[Column]],
        first_update: int = 0,
        group_names: Sequence[str] = (),
        phases: Mapping[str, Sequence[Sequence[PhaseRow]]] | None = None,
        num_updates_per_epoch: int | None = None,
        position: int | None = None,
        updates: Sequence[int] | None = None,
        ends: Mapping[str, Sequence[Held]] | None = None,
    ) -> None:
        self._columns = {field: list(groups) for field, groups in columns.items()}
        sizes = {len(column) for groups in self._columns.values() for column in groups}
        if len(sizes) != 1:
            raise ValueError(f"The columns have to be of one length; there are {sorted(sizes)}.")
        last_update = first_update + sizes.pop()
        self.updates = range(first_update, last_update) if updates is None else updates
        self.first_update = first_update
        count = max(map(len, self._columns.values()))
        has_names = len(set(group_names)) == len(group_names) == count
        self.groups = tuple(group_names) if has_names else tuple(map(str, range(count)))
        self._phases = dict(phases or {})
        self.num_updates_per_epoch = num_updates_per_epoch
        self.position = position
        #: Field → for each group, what holds from ``num_updates`` on; empty if the plan goes on.
        self.ends = dict(ends or {})

    @property
    def fields(self) -> tuple[str, ...]:
        """The scheduled fields."""
        return tuple(self._columns)

    @property
    def num_updates(self) -> int:
        """The update after the last one that is shown."""
        return self.updates[-1] + 1 if self.updates else self.first_update

    def __len__(self) -> int:
        return self.num_updates - self.first_update

    def place(self, update: int) -> int:
        """Return where an update is in the columns, or in a sample the next one."""
        return bisect_left(self.updates, update)

    def check_is_whole(self) -> None:
        """Raise if this is a sample."""
        if not isinstance(self.updates, range):
            raise ValueError(
                f"The preview has {len(self.updates):,} of its {len(self):,} updates, but a "
                "comparison needs each. Write a smaller num_updates=…."
            )

    def __getitem__(self, field: str) -> list[Column]:
        """Return the values of ``field``: for each group a sequence, as of ``updates``."""
        if field not in self._columns:
            raise KeyError(f"{field!r} is not scheduled; there are {', '.join(self.fields)}.")
        return self._columns[field]

    @property
    def tail(self) -> tuple[int, ...]:
        """The updates at which pictures show what holds in the end: the first, and a later one."""
        if not self.ends or not self.rows or self.rows[-1].phase == _HOLDS:
            return ()
        return self.num_updates, self.num_updates + max(1, len(self) // 25)

    def ends_of(self, field: str, names: Sequence[str]) -> list[float]:
        """Return the different values that these groups hold in the end, where pictures show it."""
        ends = zip(self.groups, self.ends[field] if self.tail else (), strict=False)
        found = dict.fromkeys(end for name, end in ends if name in names)
        return [end for end in found if isinstance(end, float)]

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
                if len(starts) > MOST_ROWS // 2:
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
        if not len(self):
            return ()
        everything = [labels for groups in labels_by_field.values() for labels in groups]
        joints = {start for labels in everything for start, _ in labels} | {self.first_update}
        starts = sorted(joint for joint in joints if self.first_update <= joint < self.num_updates)
        ends = [*starts[1:], self.num_updates]
        return tuple(
            PreviewRow(_phase_at(labels_by_field, start), start, end - 1)
            for start, end in zip(starts, ends, strict=True)
        )


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
            if _equal(column, other):
                names.append(name)
                break
        else:
            result.append(([name], column))
    return result


def _equal(one: Column, other: Column) -> bool:
    if isinstance(one, array) and isinstance(other, array):  # quicker than value by value
        return memoryview(one).cast("B") == memoryview(other).cast("B")
    return same(one, other)


def entries(column: Column, index: int) -> list[float | None]:
    """Return one entry of each tuple in a column."""
    return [None if value is None else value[index] for value in column]  # type: ignore[index]


def named(names: list[str]) -> str:
    """Return a short text for a list of groups."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, … {names[-1]}"


def group_text(text: str) -> str:
    """Return the short text of groups, which says so where it is a number."""
    return f"group {text}" if text.isdigit() else text
