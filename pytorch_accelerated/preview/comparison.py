"""Whether what ran is what was planned, bit for bit."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias

from pytorch_accelerated.checks import same
from pytorch_accelerated.preview.columns import Columns, named

Recorded: TypeAlias = "Columns | Mapping[str, Sequence[Sequence[Any]]]"


@dataclass(frozen=True)
class Difference:
    """Where planned and applied values first differ."""

    update: int
    field: str
    group: str
    planned: Any
    applied: Any

    def __str__(self) -> str:
        return (
            f"first at update {self.update}, field {self.field!r}, group {self.group}: "
            f"planned {self.planned!r}, applied {self.applied!r}"
        )


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found; true if everything is equal.

    Attributes:
        num_updates: How many updates were compared.
        num_values: How many values were compared: updates times fields times groups.
        difference: The first difference between values, if there is one.
        mismatch: What else does not fit, such as the number of updates, in words.
        unplanned: The fields that were recorded, but not planned, so that nothing could be
            compared; ``betas[0]`` if of the betas only ``beta2`` was planned.
        joined: Field, group and update where there are values only from that update on, as the
            group was added then, or the field scheduled; what was planned before is not compared.
    """

    num_updates: int
    num_values: int
    difference: Difference | None = None
    mismatch: str = ""
    unplanned: tuple[str, ...] = ()
    joined: tuple[tuple[str, str, int], ...] = ()

    def __bool__(self) -> bool:
        return self.difference is None and not self.mismatch

    def __str__(self) -> str:
        notes = list(self._joined_texts())
        if self.unplanned:
            notes.append(f"recorded, but not planned: {', '.join(self.unplanned)}")
        if self:
            text = f"applied == planned ({self.num_updates} updates, {self.num_values} values)"
            return "; ".join([text, *notes])
        parts = (str(self.difference or ""), self.mismatch, *notes)
        return f"applied != planned: {'; '.join(part for part in parts if part)}"

    def _joined_texts(self) -> Iterator[str]:
        groups: dict[tuple[int, str], list[str]] = {}  # by update and fields
        for group in dict.fromkeys(group for _, group, _ in self.joined):
            own = [(field, update) for field, name, update in self.joined if name == group]
            for update in dict.fromkeys(update for _, update in own):
                fields = ", ".join(field for field, other in own if other == update)
                groups.setdefault((update, fields), []).append(group)
        for (update, fields), names in groups.items():
            who = f"group {names[0]} has" if len(names) == 1 else f"groups {named(names)} have"
            yield f"{who} values from update {update} on ({fields})"


def compare(planned: Columns, applied: Recorded) -> Comparison:
    """Say whether every planned value was applied, bit for bit, or where the first one was not.

    A field that was planned but not recorded is a difference. One that was recorded but not
    planned is none, and neither is one that has no values before a group was added; the result
    names both.

    Args:
        planned: The preview.
        applied: What ran: another preview, or field → for each update from 0 on the values of
            all groups, which is what ``ScheduleMonitorCallback.applied`` holds. Planned entries
            of tuples, such as ``beta1``, are found there under the tuple's name.

    Example:
        >>> from pytorch_accelerated.preview import compare, preview
        >>> from pytorch_accelerated.schedules import linear
        >>> planned = preview(linear(4, end=0.0))
        >>> print(compare(planned, {"value": [[1.0], [0.75], [0.5], [0.25]]}))
        applied == planned (4 updates, 4 values)
        >>> print(compare(planned, {"value": [[1.0], [1.0], [0.5], [0.25]]}))
        applied != planned: first at update 1, field 'value', group 0: planned 0.75, applied 1.0
        >>> print(compare(planned, {"value": [[1.0], [0.75], [0.5], [0.25]], "eps": [[0.1]] * 4}))
        applied == planned (4 updates, 4 values); recorded, but not planned: eps
    """
    first_applied = applied.first_update if isinstance(applied, Columns) else 0
    first = max(planned.first_update, first_applied)
    found: list[Difference] = []
    mismatches: list[str] = []
    joined: list[tuple[str, str, int]] = []
    num_updates = num_values = 0
    for field in planned.fields:
        columns = recorded_columns(applied, field)
        if columns is None:
            mismatches.append(f"no values of {field!r} were applied")
            continue
        if len(columns) != len(planned[field]):
            mismatches.append(
                f"{field!r} was planned for {len(planned[field])} groups and applied to "
                f"{len(columns)}"
            )
        for group, mine, theirs in zip(planned.groups, planned[field], columns, strict=False):
            last = min(planned.num_updates, first_applied + len(theirs))
            begin = max(first, min(first_applied + _num_missing(theirs), last))
            before = mine[first - planned.first_update : begin - planned.first_update]
            if all(value is None for value in before):  # so there was nothing to apply
                begin = first
            else:
                joined.append((field, group, begin))
            of_plan = mine[begin - planned.first_update : max(0, last - planned.first_update)]
            of_run = theirs[begin - first_applied : max(0, last - first_applied)]
            num_updates = max(num_updates, len(of_plan))
            num_values += len(of_plan)
            at = _first_difference(of_plan, of_run)
            if at is not None:
                found.append(Difference(begin + at, field, group, of_plan[at], of_run[at]))
            if (planned.first_update, planned.num_updates) != (first, last):
                mismatches.append(
                    f"updates {planned.first_update} to {planned.num_updates - 1} were planned, "
                    f"{first_applied} to {first_applied + len(theirs) - 1} applied"
                )
            elif first_applied + len(theirs) > planned.num_updates:
                mismatches.append(
                    f"{planned.num_updates} updates were planned, "
                    f"{first_applied + len(theirs)} applied"
                )
    difference = min(found, key=lambda one: one.update, default=None)
    return Comparison(
        num_updates,
        num_values,
        difference,
        "; ".join(dict.fromkeys(mismatches)),
        tuple(_unplanned(planned, applied)),
        tuple(joined),
    )


def _unplanned(planned: Columns, applied: Recorded) -> Iterator[str]:
    """Yield what was recorded and not planned: fields, or entries of a tuple."""
    others = applied.fields if isinstance(applied, Columns) else applied
    for field in (other for other in others if other not in planned.fields):
        from pytorch_accelerated.schedulers.param_scheduler import field_of

        entries = {own.index for own in map(field_of, planned.fields) if own.key == field}
        if not entries:
            yield field
            continue
        rows = [] if isinstance(applied, Columns) else applied[field]
        sizes = [len(value) for row in rows for value in row if isinstance(value, tuple | list)]
        yield from (f"{field}[{i}]" for i in range(max(sizes, default=0)) if i not in entries)


def recorded_columns(applied: Recorded, field: str) -> list[Sequence[Any]] | None:
    """Return for each group the applied values of a field; None if there are none.

    A group that was added while the run went on has None for the updates before.
    """
    if isinstance(applied, Columns):
        return [*applied[field]] if field in applied.fields else None
    if field in applied:
        return [list(column) for column in zip_longest(*applied[field])] or [[]]
    from pytorch_accelerated.schedulers.param_scheduler import field_of

    whole = field_of(field)
    if whole.index is None or whole.key not in applied:
        return None
    return [
        [value if value is None else value[whole.index] for value in column]
        for column in zip_longest(*applied[whole.key])
    ] or [[]]


def _num_missing(applied: Sequence[Any]) -> int:
    """Return how many updates ran before the first value was recorded, if there is one."""
    return next((at for at, value in enumerate(applied) if value is not None), 0)


def _first_difference(planned: Sequence[Any], applied: Sequence[Any]) -> int | None:
    if (
        isinstance(planned, array)
        and isinstance(applied, array)
        and (planned.tobytes() == applied.tobytes())
    ):
        return None
    pairs = zip(planned, applied, strict=True)
    return next((at for at, (mine, theirs) in enumerate(pairs) if not same(mine, theirs)), None)
