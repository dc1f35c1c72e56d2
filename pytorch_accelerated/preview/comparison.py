"""Whether what ran is what was planned, bit for bit."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias

from pytorch_accelerated.checks import same, wrong_kind
from pytorch_accelerated.preview.columns import Columns, entries, named

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
        num_values: How many values were compared: updates times fields times groups,
            without groups that have no plan for the field.
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
        for update in dict.fromkeys(update for *_, update in self.joined):
            own = [(field, group) for field, group, other in self.joined if other == update]
            fields, groups = (list(dict.fromkeys(column)) for column in zip(*own, strict=True))
            who = f"group {groups[0]} has" if len(groups) == 1 else f"groups {named(groups)} have"
            yield f"{who} values from update {update} on ({', '.join(fields)})"


def compare(planned: Columns, applied: Recorded) -> Comparison:
    """Say whether every planned value was applied, bit for bit, or where the first one was not.

    A field that was planned but not recorded is a difference. One that was recorded but not
    planned is not, and neither is one that has no values before a group was added; the result
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
    if not isinstance(planned, Columns):
        raise wrong_kind("planned", planned, "a preview. Write planned=scheduler.preview().")
    for one in (planned, applied):
        if isinstance(one, Columns):
            one.check_is_whole()
    recorded = recorded_columns(planned, applied)
    start = applied.first_update if isinstance(applied, Columns) else 0
    first = max(planned.first_update, start)
    found: list[Difference] = []
    mismatches: list[str] = []
    joined: list[tuple[str, str, int]] = []
    num_updates = num_values = 0
    for field in planned.fields:
        if field not in recorded:
            mismatches.append(f"no values of {field!r} were applied")
            continue
        counts = len(planned[field]), len(recorded[field])
        if counts[0] != counts[1]:
            mismatches.append(
                f"{field!r} was planned for {counts[0]} groups and applied to {counts[1]}"
            )
        columns = zip(planned.groups, planned[field], recorded[field], strict=False)
        for group, mine, theirs in columns:
            stop = start + len(theirs)
            last = max(first, min(planned.num_updates, stop))
            of_plan = mine[first - planned.first_update : last - planned.first_update]
            of_run = theirs[first - start : last - start]
            # A group that was added later, or a field that was scheduled later, has none before.
            missing = next((at for at, value in enumerate(of_run) if value is not None), 0)
            if any(value is not None for value in of_plan[:missing]):
                joined.append((field, group, first + missing))
                of_plan, of_run = of_plan[missing:], of_run[missing:]
            num_updates = max(num_updates, len(of_plan))
            num_values += sum(one is not None for one in of_plan)
            at = _first_difference(of_plan, of_run)
            if at is not None:
                update = last - len(of_plan) + at
                found.append(Difference(update, field, group, of_plan[at], of_run[at]))
            if (planned.first_update, planned.num_updates) != (first, last):
                mismatches.append(
                    f"updates {planned.first_update} to {planned.num_updates - 1} were planned, "
                    f"{start} to {stop - 1} applied"
                )
            elif stop > planned.num_updates:
                mismatches.append(f"{planned.num_updates} updates were planned, {stop} applied")
    return Comparison(
        num_updates,
        num_values,
        min(found, key=lambda one: one.update, default=None),
        "; ".join(dict.fromkeys(mismatches)),
        tuple(field for field in recorded if field not in planned.fields),
        tuple(joined),
    )


def recorded_columns(planned: Columns, applied: Recorded) -> dict[str, list[Sequence[Any]]]:
    """Return field → for each group the applied values.

    A group that was added while the run went on has None for the updates before. A tuple of which
    entries were planned is taken apart.
    """
    if isinstance(applied, Columns):
        return {field: [*applied[field]] for field in applied.fields}
    if not isinstance(applied, Mapping):
        raise wrong_kind("applied", applied, "a preview, or field → what each update ran with.")
    names = {}
    if any(field not in applied for field in planned.fields):
        from pytorch_accelerated.schedulers.plans import field_of

        owns = map(field_of, planned.fields)
        names = {(own.key, own.index): own.name for own in owns if own.index is not None}
    result: dict[str, list[Sequence[Any]]] = {}
    for field, rows in applied.items():
        try:
            columns: list[Sequence[Any]] = [list(one) for one in zip_longest(*rows)] or [[]]
        except TypeError:
            raise TypeError(
                f"applied[{field!r}] has to hold for each update a list with the values of all "
                "groups."
            ) from None
        if field not in {key for key, _ in names}:
            result[field] = columns
            continue
        sizes = (len(value) for column in columns for value in column if value is not None)
        for index in range(max(sizes, default=0)):
            name = names.get((field, index), f"{field}[{index}]")
            result[name] = [entries(column, index) for column in columns]
    return result


def _first_difference(planned: Sequence[Any], applied: Sequence[Any]) -> int | None:
    are_arrays = isinstance(planned, array) and isinstance(applied, array)
    if are_arrays and planned.tobytes() == applied.tobytes():  # type: ignore[attr-defined]
        return None  # quicker than value by value
    pairs = zip(planned, applied, strict=True)
    return next((at for at, (mine, theirs) in enumerate(pairs) if not same(mine, theirs)), None)
