"""Reading, checking, writing and comparing one field of an optimizer's parameter groups.

Nothing else touches a group. The base value of a field lives in the group itself, under
``initial_<field>``, so that restoring the optimizer restores it. What was left in each group is
remembered here, so that whatever somebody else wrote since is noticed.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pytorch_accelerated.schedulers.held import (
    ANYTHING,
    Value,
    is_number,
    mark_of,
    own_tensor,
    plain,
    put,
)
from pytorch_accelerated.schedulers.naming import Label, chosen, field_missing

Group: TypeAlias = dict[str, Any]


class ParamGroupFieldError(KeyError, ValueError):
    """A parameter group has no such field.

    It is a ``KeyError``, as for any missing key, and a ``ValueError``, as for any bad argument.
    """

    __str__ = ValueError.__str__  # KeyError would show the message's repr


class Field:
    """One field of every parameter group, or one entry of a tuple field such as ``betas``."""

    def __init__(
        self,
        key: str,
        index: int | None = None,
        name: str | None = None,
        keeps_integers: bool = False,
        by_key: Mapping[str | int, Any] | None = None,
    ) -> None:
        self.key = key
        #: The entry of a tuple that is meant; None for the whole value.
        self.index = index
        #: What users call it.
        self.name = name or key
        #: Whether an integer that is held stays one, and so takes whole values only.
        self.keeps_integers = keeps_integers
        self.initial_key = f"initial_{key}"
        #: What there is for some of the groups, by their keys; None if the field is for all.
        self.by_key = by_key
        #: Of that, what there is for each group; None for one that is left alone.
        self.chosen: list[Any] = []
        #: The places of the groups that are left alone.
        self.left_out: frozenset[int] = frozenset()
        self.labels: Sequence[Label] = ()
        self.last = []
        #: The base value of each group, as it was when they were last looked at one by one.
        self.seen: list[Value] = []
        #: What groups held at first, where neither the base nor the first value explains it.
        self.found: dict[int, Value] = {}
        #: The groups that somebody was warned of.
        self.told: set[int] = set()
        #: Whether each group held what was left there, when that was last compared.
        self.is_as_left = False
        #: Whether all groups held floats, when they were last looked at one by one.
        self.holds_floats = False
        # In C, these take 0.9 times the time of a loop over the groups.
        self._held_in, self._base_in = itemgetter(key), itemgetter(self.initial_key)

    @property
    def last(self) -> list[Any]:
        """For each group something that equals what was left there; empty before the first time.

        Floats that the quick way left are not kept but computed again: see ``quick.py``.
        """
        if self.formula is None or not self.holds_floats:
            return self._last
        offset, scale = self.formula
        return [offset + scale * base for base in self.seen]

    @last.setter
    def last(self, marks: list[Any]) -> None:
        self._last = marks
        #: Offset and scale that made what was left, if the quick way may continue from there.
        self.formula: tuple[float, float] | None = None

    # Groups --------------------------------------------------------------------------------

    def choose(self, labels: Sequence[Label]) -> None:
        """Find out which of the groups the field is for; some may have come since."""
        known = {(label.owner, label.place): i for i, label in enumerate(self.labels)}
        order = [known.get((label.owner, label.place)) for label in labels]
        is_more = len(self.last) == len(known) < len(labels)
        if is_more and [*range(len(known))] != order[: len(known)]:
            self._follow(order)
        if self.by_key is not None:
            self.chosen = chosen(self.name, self.by_key, labels)
            self.left_out = frozenset(i for i, one in enumerate(self.chosen) if one is None)
        self.labels = labels

    def _follow(self, order: list[int | None]) -> None:
        """Follow groups to other places: one was added to an optimizer before the last."""
        last, seen, found, told = self.last, self.seen, self.found, self.told
        self.last = [ANYTHING if was is None else last[was] for was in order]
        self.seen = [None if was is None else seen[was] for was in order]
        self.found = {i: found[was] for i, was in enumerate(order) if was in found}
        self.told = {i for i, was in enumerate(order) if was in told}

    def called(self, index: int) -> str:
        """Return what messages call a group."""
        if index < len(self.labels):
            return self.labels[index].text
        return f"parameter group {index}"

    def starting(self, index: int) -> str:
        """Return the same, to start a line with."""
        name = self.called(index)
        return name[0].upper() + name[1:]

    # Base values ---------------------------------------------------------------------------

    def adopt(self, groups: Sequence[Group]) -> list[Group]:
        """Keep the value of each group that is seen for the first time as its base value.

        Return the groups that were new. If any group cannot be scheduled, none is changed.
        """
        own = [(i, group) for i, group in enumerate(groups) if i not in self.left_out]
        missing = [i for i, group in own if self.key not in group]
        if missing:
            raise self._missing_in(missing, own)
        new = [(i, group) for i, group in own if self.initial_key not in group]
        bases = [self._base(i, group) for i, group in new]
        for (_, group), base in zip(new, bases, strict=True):
            group[self.initial_key] = base
        return [group for _, group in new]

    def _missing_in(self, missing: list[int], own: list[tuple[int, Group]]) -> Exception:
        if self.labels and len(missing) < len(own):
            there, lacking = (
                [self.labels[i] for i, _ in own if (i in missing) == is_missing]
                for is_missing in (False, True)
            )
            return ParamGroupFieldError(field_missing(self.name, self.key, there, lacking))
        index, group = own[0]
        known = ", ".join(sorted(key for key in group if key != "params"))
        return ParamGroupFieldError(
            f"{self.starting(index)} has no field {self.key!r} to schedule. It has: {known}."
        )

    def _base(self, index: int, group: Group) -> Value:
        held = group[self.key]
        entries = held if isinstance(held, tuple | list) else (held,)
        are_floats = [not isinstance(x, Tensor) or x.is_floating_point() for x in entries]
        if not entries or not all(are_floats) or not all(map(is_number, entries)):
            why = (
                "only numbers, float tensors of no dimensions, and tuples of them can be scheduled."
            )
            raise TypeError(f"{self._holding(held, index)}: {why}")
        if self.index is not None and (entries is not held or self.index >= len(entries)):
            where = self._holding(held, index)
            raise ParamGroupFieldError(f"{where}, which has no entry {self.index}.")
        return plain(held)

    def _holding(self, held: Any, index: int) -> str:
        return f"{self.name}: field {self.key!r} of {self.called(index)} holds {held!r}"

    def bases(self, groups: Sequence[Group]) -> list[Value]:
        """Return the base value of each group, in plain numbers; None if it is left alone."""
        if self.left_out:
            return [
                None if i in self.left_out else self.entry(plain(group[self.initial_key]))
                for i, group in enumerate(groups)
            ]
        bases = list(map(self._base_in, groups))
        if bases == self.seen:
            return self.seen[:]
        # PyTorch's own schedulers leave an int or a copy of a tensor where they found one.
        return [self.entry(plain(base)) for base in bases]

    def set_base(self, index: int, group: Group, base: Any) -> None:
        """Check a base value and put it in the place of the one that the group has."""
        base = self.checked_one(base, index, self.entry(group[self.key]))
        if self.index is not None:
            entries = [*group[self.initial_key]]
            entries[self.index] = base
            base = tuple(entries)
        group[self.initial_key] = base

    # Reading and comparing -----------------------------------------------------------------

    def held(self, groups: Sequence[Group]) -> list[Value]:
        """Return what each group holds now, as it is; None if it is left alone."""
        if not self.left_out:
            return [self.entry(group[self.key]) for group in groups]
        return [
            None if i in self.left_out else self.entry(group[self.key])
            for i, group in enumerate(groups)
        ]

    def entry(self, whole: Value) -> Value:
        """Return what is meant of the value of a key: all of it, or one entry."""
        return whole if self.index is None else whole[self.index]

    def find(self, groups: Sequence[Group], values: Sequence[Any], new: Iterable[Group]) -> None:
        """Note what groups hold at first that neither the base nor the first value explains.

        Then either the optimizer was restored and a state is about to be loaded, or somebody
        changed the value by hand; which of the two is known at the next call.
        """
        are_new = set(map(id, new))
        rows = zip(groups, self.held(groups), self.bases(groups), values, strict=True)
        for i, (group, held, base, value) in enumerate(rows):
            if id(group) not in are_new and plain(held) not in (base, value):
                self.found[i] = plain(held)

    def surprises(self, groups: Sequence[Group], values: Sequence[Any]) -> Iterator[str]:
        """Yield a line for each value that somebody else wrote, once for each group.

        ``values`` are those that replace what is held.
        """
        held, last, bases = self.held(groups), self.last, self.bases(groups)
        if len(held) < len(last):
            return  # groups were taken out, and nobody knows whose value was whose
        for i, (now, mark) in enumerate(zip(held, last or held, strict=False)):
            if (i not in self.found and mark == now) or i in self.told:
                continue
            self.told.add(i)
            if i in self.found:
                yield (
                    f"{self.starting(i)} held {self.name}={self.found[i]!r} when the "
                    "scheduler was made, but its base value counts, "
                    f"{self.initial_key}={bases[i]!r}."
                )
            else:
                yield (
                    f"{self.starting(i)} held {self.name}={plain(now)!r}, though the "
                    f"scheduler had put {plain(getattr(mark, 'value', mark))!r} there; "
                    f"{plain(values[i])!r} replaces it."
                )
        self.found = {}

    # Checking ------------------------------------------------------------------------------

    def checked(self, returned: Any, groups: Sequence[Group]) -> list[Value]:
        """Return one checked value for each group from what ``get_updated_values`` returned.

        That is one value for all groups, or an iterable with one for each.
        """
        held = self.held(groups)
        self.is_as_left = not self.found and self.last == held
        if is_number(returned):
            values = [returned] * len(groups)
        elif isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
            raise TypeError(
                f"{returned!r} came for field {self.name!r}, which is not a number. Return one "
                "value for all groups, an iterable with one for each, or None for no change."
            )
        else:
            values = list(returned)
            holds_tuples = any(isinstance(now, tuple | list) for now in held)
            if holds_tuples and values and all(map(is_number, values)):
                values = [tuple(values)] * len(groups)
        if len(values) != len(groups):
            raise ValueError(
                f"{len(values)} values came for field {self.name!r}, but there are {len(groups)} "
                "parameter groups. Return one value for all groups, or one for each."
            )
        return [
            None if index in self.left_out else self.checked_one(value, index, now)
            for index, (value, now) in enumerate(zip(values, held, strict=True))
        ]

    def checked_one(self, value: Any, index: int, held: Any) -> Value:
        """Return a value for one group, as what the group holds has to be."""
        if isinstance(held, tuple | list):
            is_one = is_number(value) or isinstance(value, str | bytes)
            if is_one or not isinstance(value, Iterable):
                raise TypeError(self._refused(repr(value), index, f"holds {len(held)} numbers."))
            entries = tuple(value)
            if len(entries) != len(held):
                came = f"{len(entries)} numbers"
                raise ValueError(self._refused(came, index, f"holds {len(held)}."))
            rows = zip(entries, held, strict=True)
            return tuple(self.checked_one(entry, index, target) for entry, target in rows)
        if isinstance(held, Tensor) and isinstance(value, Tensor) and value.device.type != "cpu":
            # Looking at a value on an accelerator would stall it, so it is copied unseen.
            return value.detach().clone()
        if not is_number(value):
            raise TypeError(self._refused(repr(value), index, "is not a number."))
        number = plain(value)
        largest = torch.finfo(held.dtype).max if isinstance(held, Tensor) else math.inf
        if not math.isfinite(number) or abs(number) > largest:
            why = "has to be finite, also as what the group holds."
            raise ValueError(self._refused(repr(value), index, why))
        if not (self.keeps_integers and isinstance(held, numbers.Integral)):
            return number
        if not math.isclose(number, round(number), rel_tol=1e-9, abs_tol=1e-9):
            why = (
                f"holds the integer {held!r}, so it has to be whole. Write .rounded() after a "
                "schedule of absolute values, or make it a float before."
            )
            raise ValueError(self._refused(repr(value), index, why))
        return round(number)

    def _refused(self, came: str, index: int, why: str) -> str:
        return f"{came} came for field {self.name!r} of {self.called(index)}, which {why}"

    # Writing -------------------------------------------------------------------------------

    def write_as_usual(self, groups: Sequence[Group], returned: Any) -> bool:
        """Write a list of floats to groups that hold the floats left there; else return False.

        Nearly every step is like that. Everything here looks at all groups at once, in C: looking
        at each value in Python takes four times the time.
        """
        if not self.holds_floats or type(returned) is not list or self.found or self.formula:
            return False
        held = list(map(self._held_in, groups))
        if self._last != held:
            return False
        # A tensor may equal the float that was there, but has to be filled, not replaced. The sum
        # of floats is a float, which is seen in a fifth of the time that looking at types takes.
        if (
            type(sum(held)) is not float
            or list(map(type, returned)).count(float) != len(held)
            or len(returned) != len(held)
            or not math.isfinite(sum(returned))
        ):
            return False
        key = self.key
        for group, value in zip(groups, returned):  # noqa: B905  as many, as was checked
            group[key] = value
        self._last = returned[:]
        return True

    def write(
        self, groups: Sequence[Group], values: list[Value], all_defaults: Iterable[Group] = ()
    ) -> None:
        """Put a checked value into each group; a tensor stays the tensor it is.

        PyTorch hands one tensor to all groups that were given none of their own, and keeps it in
        the optimizer's ``defaults`` for groups to come. The first group keeps it; the others, and
        the defaults, get copies of their own here, or each value would overwrite the one before.
        """
        key = self.key
        taken: dict[int, Value] = {}
        with torch.no_grad():  # a rate may require a gradient
            for group, value in zip(groups, values, strict=True):
                held = group.get(key)
                if value is not None:
                    group[key] = self._filled(held, group[self.initial_key], taken, value)
                elif isinstance(held, Tensor | tuple):  # of which others may hold the tensor
                    group[key] = self._filled(held, held, taken)
            for defaults in all_defaults if taken else ():
                if key in defaults:
                    defaults[key] = self._filled(held := defaults[key], held, taken)
        self.look_at(groups, values)

    def _filled(self, held: Any, base: Value, taken: dict[int, Value], value: Value = None) -> Any:
        """Return what a group has to hold for a value, or without one, with tensors of its own."""
        if not isinstance(held, tuple | list):
            return (
                own_tensor(held, base, taken)
                if value is None
                else put(own_tensor(held, base, taken), value)
            )
        entries = [*held]
        for i in range(len(held)) if self.index is None else (self.index,):
            entries[i] = own_tensor(held[i], base[i], taken)
            if value is not None:
                entries[i] = put(entries[i], value[i] if self.index is None else value)
        return tuple(entries)

    def look_at(self, groups: Sequence[Group], values: Sequence[Value]) -> None:
        """Remember what was written just now, the bases, and whether all groups hold floats."""
        held = self.held(groups)
        self.last = list(map(mark_of, held, values))
        self.seen = self.bases(groups)
        self.holds_floats = self.index is None and all(type(value) is float for value in held)
