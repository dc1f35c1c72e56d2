"""Reading, checking and writing one field of an optimizer's parameter groups.

Nothing else touches a group. The base value of a field lives in the group itself, under
``initial_<field>``, so that restoring the optimizer restores it.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

Group: TypeAlias = dict[str, Any]
Value: TypeAlias = Any  # a float, a bool, or a tuple of floats; user code may hand over tensors


class ParamGroupFieldError(KeyError, ValueError):
    """A parameter group has no such field.

    It is a ``KeyError``, as for any missing key, and a ``ValueError``, as for any bad argument.
    """

    __str__ = ValueError.__str__  # KeyError would show the message's repr


class Field:
    """One field of every parameter group, or one entry of a tuple field such as ``betas``.

    Args:
        key: The key in the parameter groups.
        index: The entry of a tuple that is meant; None for the whole value.
        name: What users call it, if it is not the key.
    """

    __slots__ = ("index", "initial_key", "key", "name")

    def __init__(self, key: str, index: int | None = None, name: str | None = None) -> None:
        self.key = key
        self.index = index
        self.name = name or key
        self.initial_key = f"initial_{key}"

    def adopt(self, groups: Sequence[Group]) -> list[Group]:
        """Keep the value of each group that is seen for the first time as its base value.

        Returns the groups that were new. If any group cannot be scheduled, none is changed.
        """
        new = [(i, group) for i, group in enumerate(groups) if self.initial_key not in group]
        bases = [self._base(i, group) for i, group in new]
        for (_, group), base in zip(new, bases, strict=True):
            group[self.initial_key] = base
        return [group for _, group in new]

    def forget(self, groups: Iterable[Group]) -> None:
        """Take the base values out of ``groups`` again."""
        for group in groups:
            group.pop(self.initial_key, None)

    def _base(self, index: int, group: Group) -> Value:
        if self.key not in group:
            known = ", ".join(sorted(key for key in group if key != "params"))
            raise ParamGroupFieldError(
                f"Parameter group {index} has no field {self.key!r} to schedule. It has: {known}."
            )
        base = plain(group[self.key])
        self._check_kind(base, group, index)
        return base

    def _check_kind(self, base: Value, group: Group, index: int) -> None:
        held = group[self.key]
        entries = base if isinstance(base, tuple) else (base,)
        if not entries or not all(isinstance(entry, float | bool) for entry in entries):
            raise TypeError(
                f"Field {self.key!r} of parameter group {index} holds {held!r}: only numbers and "
                "tuples of numbers can be scheduled."
            )
        for entry in held if isinstance(held, tuple | list) else (held,):
            if isinstance(entry, Tensor) and not entry.is_floating_point():
                raise TypeError(
                    f"Field {self.key!r} of parameter group {index} is a tensor of {entry.dtype}, "
                    "which would cut off every value that is put there. Use a float tensor."
                )
        if self.index is not None and not (isinstance(base, tuple) and self.index < len(base)):
            raise ParamGroupFieldError(
                f"{self.name}: field {self.key!r} of parameter group {index} holds {held!r}, "
                f"which has no entry {self.index}."
            )

    def bases(self, groups: Sequence[Group]) -> list[Value]:
        """Return the base value of each group, in plain numbers."""
        # PyTorch's own schedulers leave an int or a copy of a tensor where they found one.
        wholes = [group[self.initial_key] for group in groups]
        return [self.entry(base if type(base) is float else plain(base)) for base in wholes]

    def bases_to_be(self, groups: Sequence[Group]) -> list[Value]:
        """Return the base value of each group, also of those that were not adopted yet."""
        return [self.entry(group.get(self.initial_key, group[self.key])) for group in groups]

    def held(self, groups: Sequence[Group]) -> list[Value]:
        """Return what each group holds now, as it is."""
        return [self.entry(group[self.key]) for group in groups]

    def entry(self, whole: Value) -> Value:
        """Return what is meant of the value of a key: all of it, or one entry."""
        return whole if self.index is None else whole[self.index]

    def set_base(self, group: Group, base: Any, where: str) -> None:
        """Check a base value and put it in the place of the one that the group has.

        Args:
            group: The group.
            base: Its base value from now on.
            where: Scheduler and group, for messages.
        """
        base = self._checked_one(base, group, where)
        if self.index is not None:
            entries = [*group[self.initial_key]]
            entries[self.index] = base
            base = tuple(entries)
        group[self.initial_key] = base

    def checked(self, returned: Any, groups: Sequence[Group], where: str) -> list[Value]:
        """Return one checked value for each group from what ``get_updated_values`` returned.

        Args:
            returned: One value for all groups, or an iterable with one for each.
            groups: The groups that they are for.
            where: Scheduler and update, for messages.
        """
        tuples = self.index is None and any(isinstance(g[self.key], tuple | list) for g in groups)
        values = self._one_for_each(returned, len(groups), tuples, where)
        if len(values) != len(groups):
            raise ValueError(
                f"{where}: {len(values)} values came for field {self.name!r}, but there are "
                f"{len(groups)} parameter groups. Return one value for all groups, or one for each."
            )
        return [
            self._checked_one(value, group, f"{where}, parameter group {i}")
            for i, (value, group) in enumerate(zip(values, groups, strict=True))
        ]

    def _one_for_each(self, returned: Any, count: int, tuples: bool, where: str) -> list[Any]:
        if _is_number(returned):
            return [returned] * count
        if isinstance(returned, str | bytes | Mapping) or not isinstance(returned, Iterable):
            raise TypeError(
                f"{where}: {returned!r} came for field {self.name!r}, which is no number. Return "
                "one value for all groups, an iterable with one for each, or None for no change."
            )
        values = list(returned)
        if tuples and values and all(map(_is_number, values)):
            return [tuple(values)] * count
        return values

    def _checked_one(self, value: Any, group: Group, where: str) -> Value:
        held = group[self.key]
        if self.index is not None or not isinstance(held, tuple | list):
            target = held if self.index is None else held[self.index]
            return self._checked_number(value, target, where)
        if _is_number(value) or isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise TypeError(
                f"{where}: {value!r} came for field {self.name!r}, which holds {len(held)} numbers."
            )
        entries = tuple(value)
        if len(entries) != len(held):
            raise ValueError(
                f"{where}: {len(entries)} numbers came for field {self.name!r}, which holds "
                f"{len(held)}."
            )
        return tuple(
            self._checked_number(entry, target, where)
            for entry, target in zip(entries, held, strict=True)
        )

    def _checked_number(self, value: Any, target: Any, where: str) -> Value:
        if isinstance(target, bool):
            if not isinstance(value, bool):
                raise TypeError(
                    f"{where}: {value!r} came for field {self.name!r}, which holds True or False."
                )
            return value
        if isinstance(value, Tensor) and isinstance(target, Tensor) and value.device.type != "cpu":
            # Looking at a value on an accelerator would stall it, so it is copied unseen.
            return value.detach().clone()
        if not _is_number(value):
            raise TypeError(f"{where}: {value!r} came for field {self.name!r}, which is no number.")
        number = float(plain(value))
        if not math.isfinite(number):
            raise ValueError(
                f"{where}: {number!r} came for field {self.name!r}, which has to be finite."
            )
        if abs(number) > largest(target):
            raise ValueError(
                f"{where}: {number!r} came for field {self.name!r}, which holds a tensor of "
                f"{target.dtype}, where it would be infinite."
            )
        return number

    def write(
        self, groups: Sequence[Group], values: Sequence[Value], defaults: Group | None = None
    ) -> None:
        """Put a checked value into each group; a tensor stays the tensor it is.

        PyTorch hands one tensor to all groups that were given none of their own, and keeps it in
        the optimizer's defaults for groups to come. The first group keeps it; the others, and the
        defaults, get copies of their own here, or each value would overwrite the one before.

        Args:
            groups: The groups.
            values: A value for each.
            defaults: What the optimizer gives to a group that is added.
        """
        key = self.key
        taken: dict[int, Value] = {}
        for group, value in zip(groups, values, strict=True):
            held = group[key]
            if type(held) is float and self.index is None:
                group[key] = value
                continue
            own = self._own(held, group[self.initial_key], taken)
            if self.index is not None:
                entries = [*own]
                entries[self.index] = _put(own[self.index], value)
                group[key] = tuple(entries)
            elif isinstance(held, tuple | list):
                group[key] = tuple(map(_put, own, value))
            else:
                group[key] = _put(own, value)
        if taken and defaults and key in defaults:
            defaults[key] = self._own(held := defaults[key], held, taken)

    def _own(self, held: Any, base: Value, taken: dict[int, Value]) -> Any:
        """Return ``held`` with copies, which hold the base, of the tensors that are ``taken``."""
        if not isinstance(held, tuple | list):
            return _copied_if_taken(held, base, taken)
        scheduled = [i for i in range(len(held)) if self.index in (None, i)]
        if not any(isinstance(held[i], Tensor) for i in scheduled):
            return held
        entries = [*held]
        for i in scheduled:
            entries[i] = _copied_if_taken(held[i], base[i], taken)
        return tuple(entries)

    def mark(self, groups: Sequence[Group], values: Sequence[Value]) -> list[Any]:
        """Return something to compare later, to see whether anybody else wrote to the field.

        Args:
            groups: The groups.
            values: What was written to them just now.
        """
        return list(map(mark, self.held(groups), values))


def largest(held: Any) -> float:
    """Return the largest number that can be written where ``held`` is held."""
    return torch.finfo(held.dtype).max if isinstance(held, Tensor) else sys.float_info.max


def plain(value: Any) -> Any:
    """Return a held value as plain Python numbers: a float, a bool, or a tuple of them."""
    if isinstance(value, tuple | list):
        return tuple(map(plain, value))
    if isinstance(value, bool):
        return value
    if isinstance(value, Tensor):
        value = value.detach()
    if not _is_number(value):
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def copied(value: Any) -> Any:
    """Return a held value so that later updates do not change it."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def same(held: Any, mark: Any) -> bool:
    """Say whether a held value is still what it was when ``mark`` was taken."""
    if isinstance(held, tuple | list):
        return isinstance(mark, tuple) and len(held) == len(mark) and all(map(same, held, mark))
    if not isinstance(mark, TensorMark):
        return bool(held == mark)
    if held is mark.tensor and held._version == mark.version:
        return True
    # Replaced (by restoring the optimizer) or written to: rare, so looking at it is fine.
    value = torch.as_tensor(mark.value, dtype=mark.tensor.dtype)
    return bool(torch.equal(torch.as_tensor(held).cpu(), value.cpu()))


class TensorMark:
    """A tensor, what was written to it, and its version, which writing in place moves on.

    The version is compared without making the host wait for a device.
    """

    __slots__ = ("tensor", "value", "version")

    def __init__(self, tensor: Tensor, value: Any, version: int) -> None:
        self.tensor = tensor
        self.value = value
        self.version = version


def mark(held: Any, value: Any) -> Any:
    """Return something to compare a held value with later, see :func:`same`.

    Args:
        held: What is held.
        value: What was written there just now.
    """
    if isinstance(held, Tensor):
        return TensorMark(held, value, held._version)
    if isinstance(held, tuple | list):
        return tuple(map(mark, held, value))
    return held


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.ndim == 0 and value.dtype != torch.bool
    if isinstance(value, numbers.Real):
        return True
    # NumPy's and other libraries' scalars and 0-d arrays.
    return getattr(value, "shape", None) == () and hasattr(value, "__float__")


def _copied_if_taken(held: Any, base: Value, taken: dict[int, Value]) -> Any:
    if not isinstance(held, Tensor):
        return held
    if id(held) not in taken:
        taken[id(held)] = base
        return held
    return _put(copied(held).requires_grad_(held.requires_grad), taken[id(held)])


def _put(held: Any, value: Value) -> Value:
    if not isinstance(held, Tensor):
        return value
    with torch.no_grad():
        held.copy_(value) if isinstance(value, Tensor) else held.fill_(value)
    return held
