"""What several plans are together: columns side by side, and where their values differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from pytorch_accelerated.checks import entries as listed
from pytorch_accelerated.preview.columns import Column, Columns, Held, entries


@dataclass(frozen=True)
class PlanDifference:
    """How a plan's values of one field and group differ from the first plan's.

    Values are pairs: the first plan's, and the other's.

    Attributes:
        field: The field, with the group if there are several: ``lr``, ``lr/head``, ``betas[0]``.
        plan: The name of the other plan.
        first_update: The first update with another value, None if there is none.
        first_values: The values there.
        largest_update: Where the values are furthest apart.
        largest_values: The values there.
        last_values: What holds in the end, or else the values of the last update of both.
        only_in: The name of the only plan that has such a field and group, if it is one.
    """

    field: str
    plan: str
    first_update: int | None = None
    first_values: tuple[float, float] | None = None
    largest_update: int | None = None
    largest_values: tuple[float, float] | None = None
    last_values: tuple[float, float] | None = None
    only_in: str = ""

    @property
    def is_same(self) -> bool:
        """Whether both plans have the same values, bit for bit."""
        return self.first_update is None and not self.only_in


def named_plans(plans: Sequence[Columns], names: Sequence[str] | None) -> dict[str, Columns]:
    """Return plans by their names, by default A, B, …, all from the first update that all show."""
    given = listed("names", [*ascii_uppercase] if names is None else names, "['mine', 'theirs']")
    own = given if names is not None else given[: len(plans)]
    if not all(isinstance(name, str) and name for name in own) or len(set(own)) != len(plans):
        raise ValueError(
            f"names={own!r} has to be {len(plans)} different texts, one for each plan."
            if names is not None
            else f"{len(plans)} plans are too many; {len(ascii_uppercase)} have names by default."
        )
    units = dict.fromkeys(plan.unit for plan in plans)
    if len(units) > 1:
        raise ValueError(f"The plans are in {' and in '.join(f'{one}s' for one in units)}.")
    if not all(isinstance(plan.updates, range) for plan in plans):
        raise ValueError(
            "A preview of more than 20 million updates is a sample, which cannot be compared "
            "update by update. Write a smaller num_updates=…."
        )
    first = max(plan.first_update for plan in plans)
    if first >= min(plan.num_updates for plan in plans):
        raise ValueError("The previews have no update in common.")
    return dict(zip(own, plans, strict=True))


def side_by_side(plans: Mapping[str, Columns]) -> dict[str, list[Column]]:
    """Return field → a column for each plan and group, as long as the longest plan.

    What a plan holds in the end follows its last update; there is None where nothing is known.
    """
    first = max(plan.first_update for plan in plans.values())
    last = max(plan.num_updates for plan in plans.values())
    fields = dict.fromkeys(field for plan in plans.values() for field in plan.fields)
    result: dict[str, list[Column]] = {field: [] for field in fields}
    for field, columns in result.items():
        for plan in plans.values():
            own = plan[field] if field in plan.fields else []
            for index in range(len(plan.groups)):
                if index >= len(own):
                    columns.append([None] * (last - first))
                    continue
                column = own[index][first - plan.first_update :]
                end = plan.ends[field][index] if plan.ends else None
                rest = last - plan.num_updates
                columns.append([*column, *[end] * rest] if rest else column)
    return result


def ends_of(plans: Mapping[str, Columns], fields: Sequence[str]) -> dict[str, list[Held]]:
    """Return field → what each plan and group holds in the end; nothing if one has no end."""
    if not all(plan.ends for plan in plans.values()):
        return {}
    return {
        field: [
            (plan.ends.get(field) or [None] * len(plan.groups))[index]
            for plan in plans.values()
            for index in range(len(plan.groups))
        ]
        for field in fields
    }


def groups_of(plans: Mapping[str, Columns]) -> list[str]:
    """Return what the groups of all plans are called: A, or A/0 and A/1."""
    return [
        name if len(plan.groups) == 1 else f"{name}/{group}"
        for name, plan in plans.items()
        for group in plan.groups
    ]


def differences(
    plans: Mapping[str, Columns],
    columns: Mapping[str, Sequence[Column]],
    ends: Mapping[str, Sequence[Held]],
) -> tuple[PlanDifference, ...]:
    """Compare every plan with the first one, field by field and group by group."""
    start = max(plan.first_update for plan in plans.values())
    reference, *others = plans
    found = []
    for field, of_field in columns.items():
        numbers = _numbers(field, plans, of_field, ends.get(field, ()))
        for other in others:
            mine, theirs = numbers[reference], numbers[other]
            for name in dict.fromkeys([*mine, *theirs]):
                if name in mine and name in theirs:
                    found.append(_difference(name, other, mine[name], theirs[name], start))
                else:
                    only = reference if name in mine else other
                    found.append(PlanDifference(name, other, only_in=only))
    return tuple(found)


def _numbers(
    field: str, plans: Mapping[str, Columns], columns: Sequence[Column], ends: Sequence[Held]
) -> dict[str, dict[str, Sequence[float | None]]]:
    """Return for each plan the numbers by group and entry, with what holds in the end as last."""
    result: dict[str, dict[str, Sequence[float | None]]] = {name: {} for name in plans}
    owners = [(name, plan, group) for name, plan in plans.items() for group in plan.groups]
    for index, (name, plan, group) in enumerate(owners):
        column = [*columns[index], *ends[index : index + 1]]
        value = next((value for value in column if value is not None), None)
        place = f"/{group}" if len(plan.groups) > 1 else ""
        if isinstance(value, tuple):
            for entry in range(len(value)):
                result[name][f"{field}[{entry}]{place}"] = entries(column, entry)
        elif value is not None:
            result[name][f"{field}{place}"] = column  # type: ignore[assignment]
    return result


def _difference(
    field: str,
    plan: str,
    mine: Sequence[float | None],
    theirs: Sequence[float | None],
    start: int,
) -> PlanDifference:
    pairs = [
        (update, (one, other))
        for update, (one, other) in enumerate(zip(mine, theirs, strict=True), start)
        if one is not None and other is not None
    ]
    if not pairs:
        return PlanDifference(field, plan)
    last = pairs[-1][1]
    parted = [(update, pair) for update, pair in pairs if pair[0] != pair[1]]
    if not parted:
        return PlanDifference(field, plan, last_values=last)
    largest = max(parted, key=lambda one: abs(one[1][0] - one[1][1]))
    return PlanDifference(field, plan, *parted[0], *largest, last)


def cells_of(found: Sequence[PlanDifference], reference: str) -> list[tuple[str, ...]]:
    """Return the cells of a table: what its columns are, and a line for each difference."""
    first_differs = f"first differs from {reference}"
    lines: list[tuple[str, ...]] = [
        ("field", "plan", first_differs, "largest difference", "at the end")
    ]
    for one in found:
        if one.only_in:
            lines.append((one.field, one.plan, f"only in {one.only_in}", "", ""))
            continue
        first, largest = "nowhere", "0"
        if one.first_values and one.largest_values:
            first = f"at {one.first_update}: {_pair(one.first_values)}"
            size = abs(one.largest_values[0] - one.largest_values[1])
            largest = f"{size:.6g} at {one.largest_update}"
        lines.append((one.field, one.plan, first, largest, _pair(one.last_values)))
    return lines


def _pair(values: tuple[float, float] | None) -> str:
    if values is None:
        return ""
    one, other = values
    return f"{one:.6g}" if one == other else f"{one:.6g} → {other:.6g}"
