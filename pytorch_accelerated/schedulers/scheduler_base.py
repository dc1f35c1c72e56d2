"""The two bases of all schedulers: when they are called, what they write, what they save."""

from __future__ import annotations

import inspect
import math
import numbers
import sys
import warnings
from abc import ABCMeta, abstractmethod
from array import array
from collections.abc import (
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, NoReturn, TypeAlias

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pytorch_accelerated import door
from pytorch_accelerated.checks import whole
from pytorch_accelerated.schedulers.groups import Doubt, Field, Group, called, copied, plain
from pytorch_accelerated.schedulers.plain_state import (
    NotPlainError,
    from_pairs,
    from_plain,
    like,
    saved_count,
    to_pairs,
    to_plain,
)

Due: TypeAlias = "list[tuple[Field, list[Any]]]"
Planned: TypeAlias = "dict[Field, list[array[float]]]"

_STATE_FORMAT = 1
_STATE_KEYS = {"format", "kind", "base_values", "values", "attributes"}
_PACKAGE = __name__.partition(".")[0] + "."


class SchedulerWarning(UserWarning):
    """Something that a scheduler noticed about an optimizer or a checkpoint, and what it did."""


class _SchedulerMeta(ABCMeta):
    """Ends construction after the outermost ``__init__``, when a subclass's attributes exist."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        scheduler: Any = cls.__new__(cls, *args, **kwargs)  # type: ignore[arg-type]
        try:
            scheduler.__init__(*args, **kwargs)
            scheduler._finish_construction()
        except BaseException:
            scheduler._forget_new_groups()
            raise
        return scheduler

    @property
    def __signature__(cls) -> inspect.Signature:
        # Otherwise help(), editors and configuration tools show that of __call__ above.
        signature = inspect.signature(cls.__init__)  # type: ignore[misc]
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class SchedulerBase(metaclass=_SchedulerMeta):
    """A scheduler that is told how many optimizer updates have been made.

    Call :meth:`step_update` after each optimizer update with the number of updates made so far;
    it puts the values for the next update into the parameter groups. Nothing is written before.

    To make one of your own, override :meth:`get_updated_values`.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        param_group_field: The key in the parameter groups, such as ``lr`` or ``weight_decay``.

    Raises:
        KeyError: If a parameter group does not have the field (also a ``ValueError``).
        TypeError: If ``optimizer`` has no parameter groups, or the field holds no numbers.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import SchedulerBase
        >>> class Halving(SchedulerBase):
        ...     def get_updated_values(self, num_updates):
        ...         return [base * 0.5**num_updates for base in self.base_lr_values]
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.8)
        >>> scheduler = Halving(optimizer)
        >>> scheduler.step_update(num_updates=3)
        >>> optimizer.param_groups[0]["lr"]
        0.1
    """

    #: What the bases keep for themselves; everything else that is plain is a subclass's state.
    _own_attributes: ClassVar[frozenset[str]] = frozenset(
        {
            "optimizer",
            "param_group_field",
            "_fields",
            "_num_updates",
            "_num_groups",
            "_new_groups",
            "_was_stepped",
        }
    )

    #: The update whose values are in force; None before there is one.
    _num_updates: int | None = None
    _bases_live_in_groups = True
    _num_groups = 0
    #: Groups that got a base value since the last step, and the key that it is under.
    _new_groups: tuple[tuple[Group, str], ...] = ()

    def __init__(self, optimizer: Optimizer, param_group_field: str = "lr") -> None:
        if not isinstance(param_group_field, str):
            raise TypeError(
                f"param_group_field={param_group_field!r} has to be a key of the parameter "
                "groups, such as 'lr'."
            )
        self._attach(optimizer, [Field(param_group_field)])

    def _attach(self, optimizer: Optimizer, fields: list[Field]) -> None:
        if not isinstance(getattr(optimizer, "param_groups", None), list):
            raise TypeError(
                f"optimizer={optimizer!r} has no list of param_groups. Hand over the optimizer "
                "itself, for example torch.optim.AdamW(model.parameters())."
            )
        self.optimizer = optimizer
        self.param_group_field = fields[0].name
        self._fields = {field.name: field for field in fields}
        self._adopt(fields)

    def _adopt(self, fields: Iterable[Field]) -> None:
        """Keep as its base value what each group holds that has none yet."""
        self._num_groups = len(self.optimizer.param_groups)
        for field in fields:
            new = field.adopt(self.optimizer.param_groups)
            self._new_groups += tuple((group, field.initial_key) for group in new)

    def _forget_new_groups(self, known: tuple[tuple[Group, str], ...] = ()) -> None:
        """Take the base values out again that groups got, after something has failed."""
        for group, initial_key in self._new_groups[len(known) :]:
            group.pop(initial_key, None)
            self._num_groups = 0
        self._new_groups = known

    def _finish_construction(self) -> None:
        if "_fields" not in vars(self):
            raise TypeError(
                f"{type(self).__name__}.__init__ has to call "
                "super().__init__(optimizer, param_group_field=…)."
            )
        for field in self._fields.values():
            field.seen = field.bases(self.optimizer.param_groups)

    @property
    def base_lr_values(self) -> list[Any]:
        """The base value of the field, in each parameter group."""
        return self._bases(self._fields[self.param_group_field])

    def _bases(self, field: Field) -> list[Any]:
        try:
            return field.bases(self.optimizer.param_groups)
        except KeyError:  # the optimizer was restored from a state that has none
            self._adopt([field])
            return field.bases(self.optimizer.param_groups)

    @abstractmethod
    def get_updated_values(self, num_updates: int) -> Any:
        """Return the values for update ``num_updates``; this is what a subclass overrides.

        Args:
            num_updates: How many optimizer updates have been made, from 0.

        Returns:
            One value for all parameter groups, an iterable with a value for each, or None for no
            change. A mapping from fields to such values schedules several fields at once.
        """

    def step_update(self, num_updates: int) -> None:
        """Put the values for update ``num_updates`` in force, in all groups or in none.

        A scheduler that counts goes on from there.

        Args:
            num_updates: How many optimizer updates have been made, zero or more.

        Raises:
            ValueError: If ``num_updates`` is negative or fractional, a value is not finite, or
                there are more or fewer values than groups.
            TypeError: If a value is no number.
        """
        if type(num_updates) is not int or num_updates < 0:
            num_updates = whole("num_updates", num_updates)
        groups, since, before = self.optimizer.param_groups, self._new_groups, self._num_updates
        self._num_updates = num_updates  # first: code of a subclass may look at it
        try:
            if len(groups) != self._num_groups:
                self._adopt(self._fields.values())
            returned = self.get_updated_values(num_updates)
            field = self._fields[self.param_group_field]
            if type(returned) is list and field.is_usual(returned, groups):
                field.write(groups, returned)  # as below, without the calls
            elif returned is not None:
                due = self._checked(returned, num_updates)
                self._warn_of_changed(due, num_updates)
                self._write(due)
        except BaseException:
            self._num_updates = before
            self._forget_new_groups(since)
            raise
        if since or self._new_groups:
            self._new_groups = ()

    def preview(self, num_updates: int | None = None) -> Any:
        """Return the exact values that updates 0 … ``num_updates`` − 1 run with.

        The optimizer is not touched. Built-in schedulers evaluate their schedules; one of your
        own runs on copies of the parameter groups, from where it is now.

        Args:
            num_updates: How many updates the run has; by default the schedules' horizon.

        Returns:
            A :class:`~pytorch_accelerated.preview.Preview`.

        Raises:
            ValueError: If there is no horizon and no ``num_updates``.

        Example:
            >>> import torch
            >>> from pytorch_accelerated.schedulers import ParamScheduler
            >>> from pytorch_accelerated.schedules import cosine, linear
            >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
            >>> scheduler = ParamScheduler(optimizer, lr=linear(5, start=0.0) >> cosine(10))
            >>> print(scheduler.preview())
            phase   from  to  lr
            linear  0     4   0 → 0.08
            cosine  5     14  0.1 → 0.00244717
        """
        return door.preview().preview(self, num_updates)

    def plot(self, num_updates: int | None = None, **options: Any) -> Any:
        """Draw all scheduled fields with matplotlib, and where the run is now.

        Args:
            num_updates: How many updates the run has; by default the schedules' horizon.
            **options: As for :meth:`pytorch_accelerated.preview.Preview.plot`, such as
                ``applied`` and ``loss`` for what was recorded.

        Returns:
            A ``matplotlib.figure.Figure``: a notebook shows it, ``savefig(path)`` writes it.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: If there is no horizon and no ``num_updates``.
        """
        return self.preview(num_updates).plot(**options)

    def _num_planned_updates(self) -> int | None:
        """Return how many updates this is planned for; None if nobody can know."""
        return None

    def _planned(self, num_updates: int, groups: Sequence[Group]) -> Planned | None:
        """Return the values of updates 0 … ``num_updates`` − 1 by field and group.

        None stands for a scheduler that may look at what it wrote before, which has to be run.
        """
        return None

    def _due(self, num_updates: int) -> Due:
        """Return the checked values for update ``num_updates``, for every field that changes."""
        return self._checked(self.get_updated_values(num_updates), num_updates)

    def _checked(self, returned: Any, num_updates: int | None) -> Due:
        rows = returned if isinstance(returned, Mapping) else {self.param_group_field: returned}
        groups = self.optimizer.param_groups
        due: Due = []
        try:
            for name, values in rows.items():
                if values is not None:
                    field = self._fields.get(name) or Field(name)
                    if name not in self._fields:
                        self._adopt([field])
                    due.append((field, field.checked(values, groups)))
        except (TypeError, ValueError) as error:
            at = "in a state" if num_updates is None else f"at update {num_updates}"
            raise_named(f"{type(self).__name__} {at}", error)
        return due

    def _write(self, due: Due) -> None:
        groups, defaults = self.optimizer.param_groups, getattr(self.optimizer, "defaults", None)
        for field, values in due:
            self._fields.setdefault(field.name, field)
            field.write(groups, values, defaults)

    def _put_bases_back(self) -> None:
        """End as if nothing had been scheduled, where nobody else has written since."""
        groups = self.optimizer.param_groups
        for field in self._fields.values():
            if field.last:
                bases = field.checked(field.bases(groups), groups)
                if field.is_as_left:
                    field.write(groups, bases)

    def _doubts(
        self, field: Field, values: Sequence[Any], new_groups: Iterable[Group] = ()
    ) -> list[Any]:
        """Return what each group holds; a :class:`Doubt` if it is neither base nor value(0).

        Then either the optimizer was restored and a state is about to be loaded, or somebody
        changed the value by hand; which of the two is known at the next call.
        """
        groups, new = self.optimizer.param_groups, set(map(id, new_groups))
        rows = zip(groups, field.held(groups), field.bases(groups), values, strict=True)
        return [
            held if id(group) in new or plain(held) in (base, value) else Doubt(plain(held))
            for group, held, base, value in rows
        ]

    def _warn_of_changed(self, due: Due, num_updates: int) -> None:
        """Warn of values that somebody else wrote, once for each field and group."""
        groups = self.optimizer.param_groups
        lines: list[str] = []
        for field, values in due:
            if field.is_as_left:
                continue
            if not field.last:
                # What a stateless scheduler finds later than at the start may be a restored value.
                field.last = self._doubts(field, values) if num_updates == 0 else []
            held = field.held(groups)
            if len(held) < len(field.last):
                continue  # groups were taken out, and nobody knows whose value was whose
            for i, (now, mark) in enumerate(zip(held, field.last, strict=False)):
                if mark == now or i in field.told:
                    continue
                field.told.add(i)
                if isinstance(mark, Doubt):
                    lines.append(
                        f"{called(groups[i], i)} held {field.name}={mark.held!r} when the "
                        "scheduler was made, but its base value counts, "
                        f"{field.initial_key}={field.bases(groups)[i]!r}."
                    )
                else:
                    lines.append(
                        f"{called(groups[i], i)} held {field.name}={plain(now)!r}, though the "
                        f"scheduler had put {plain(getattr(mark, 'value', mark))!r} there; "
                        f"{plain(values[i])!r} replaces it."
                    )
        if lines:
            self._warn(
                num_updates,
                lines,
                "Something else writes to the field: another scheduler, a restored optimizer, or "
                "code of yours. To change the plan, change the group's initial_… value; to start "
                "from the value held, delete that before making the scheduler. Each group is "
                "named once.",
            )

    def _warn(self, num_updates: int | None, lines: list[str], advice: str) -> None:
        at = "" if num_updates is None else f" at update {num_updates}"
        warn_at_the_caller(f"{type(self).__name__}{at}:", lines, advice)

    # State ---------------------------------------------------------------------------------

    @property
    def _state_kind(self) -> str:
        """What a state has to be of, to be loaded here."""
        return type(self).__qualname__

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state as plain values, fit for JSON.

        It holds the count (of a scheduler that has one), the values in force, the base values, and
        the plain attributes (numbers, strings, enum members, and the standard containers of them)
        that the subclass has set; others, such as functions, the constructor makes again.
        """
        groups = self.optimizer.param_groups
        bases: dict[str, list[Any]] = {}
        values: dict[str, list[Any]] = {}
        for name, field in self._fields.items():
            # A group that was added since the last step has no base yet.
            wholes = [group.get(field.initial_key, group[field.key]) for group in groups]
            bases[name] = [_listed(field.entry(plain(base))) for base in wholes]
            values[name] = [_listed(plain(held)) for held in field.held(groups)]
        return {
            "format": _STATE_FORMAT,
            "kind": self._state_kind,
            "base_values": to_pairs(bases),
            "values": to_pairs(values),
            "attributes": to_pairs(self._plain_attributes()),
            **self._position(),
        }

    def _plain_attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        lost: list[str] = []
        for name, value in vars(self).items():
            if name in self._own_attributes or self._is_cached(name):
                continue
            try:
                attributes[name] = to_plain(value.value if isinstance(value, Enum) else value)
            except NotPlainError as error:
                if isinstance(value, MutableMapping | MutableSequence | MutableSet):
                    lost.append(f"{name} is a {type(value).__name__} that is not saved: {error}")
        if lost:
            self._warn(
                self._position().get("num_updates"),
                lost,
                "A resumed run has what the constructor makes. Keep plain values in it, or "
                "override state_dict() and load_state_dict().",
            )
        return attributes

    def _is_cached(self, name: str) -> bool:
        """Say whether an attribute is computed on use, so that it is no state."""
        return isinstance(getattr(type(self), name, None), cached_property)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state, and put the values that are due there in force.

        Args:
            state_dict: What :meth:`state_dict` returned, also after JSON.

        Raises:
            ValueError: If the state is of another kind of scheduler or damaged; then nothing has
                changed.
        """
        state = self._checked_state(state_dict)
        groups, before = self.optimizer.param_groups, dict(vars(self))
        keys = {field.initial_key for field in self._fields.values()}
        bases = [(group, key, group.get(key)) for group in groups for key in keys]
        try:
            self._adopt(self._fields.values())
            self._bring_back_bases(state)
            self._restore(state)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            for group, key, base in bases:
                group.pop(key, None) if base is None else group.update({key: base})
            raise
        for field in self._fields.values():
            field.seen = field.bases(groups)
        self._new_groups = ()

    def _checked_state(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict={state_dict!r} is no dictionary.")
        kind = state_dict.get("kind", self._state_kind)
        if kind != self._state_kind:  # what another class has besides is not the point then
            raise ValueError(
                f"The state is of {kind!r}, but this scheduler is a {type(self).__name__}, which "
                f"loads states of {self._state_kind!r}."
            )
        mine = _STATE_KEYS | self._position().keys()
        name = type(self).__name__
        missing, extra = mine - state_dict.keys(), state_dict.keys() - mine
        if missing or extra:
            raise ValueError(
                f"This is no state of {name}: "
                + "; ".join(
                    f"{what} {', '.join(sorted(map(repr, keys)))}"
                    for what, keys in (("it lacks", missing), ("it also has", extra))
                    if keys
                )
                + "."
            )
        if type(state_dict["format"]) is not int or state_dict["format"] != _STATE_FORMAT:
            raise ValueError(
                f"The state has format {state_dict['format']!r}, but this version reads format "
                f"{_STATE_FORMAT}."
            )
        state = dict(state_dict)
        for key in ("base_values", "values", "attributes"):
            state[key] = from_pairs(key, state[key])
        for key in ("base_values", "values"):
            for field, values in state[key].items():
                if not _is_row(values):
                    raise ValueError(
                        f"The state's {key.replace('_', ' ')} for field {field!r} are {values!r}, "
                        "but have to be a list with a finite number, or a list of them, for each "
                        "parameter group."
                    )
        self._check_fields(state["values"])
        state["attributes"] = {
            attribute: self._read(attribute, value)
            for attribute, value in state["attributes"].items()
            if not self._is_cached(attribute)
        }
        if "num_updates" in state:
            state["num_updates"] = saved_count("num_updates", state["num_updates"])
        return state

    def _check_fields(self, values: Mapping[str, Any]) -> None:
        """Raise if a state lacks a field of this scheduler, or has one that is none of its own."""
        missing = self._fields.keys() - values.keys()
        groups = self.optimizer.param_groups
        # A field that is scheduled only later is known by its base in a restored optimizer.
        extra = [
            name
            for name in values.keys() - self._fields.keys()
            if not all(Field(name).initial_key in group for group in groups)
        ]
        for fields, what in ((missing, "have no field"), (extra, "have a field")):
            if fields:
                names = ", ".join(map(repr, sorted(fields)))
                raise ValueError(
                    f"The state's values {what} {names}, but {type(self).__name__} schedules "
                    f"{', '.join(map(repr, self._fields)) or 'no field yet'}. If a field was added "
                    "to the scheduler, take a state that was saved since; restore the optimizer "
                    "first."
                )

    def _read(self, attribute: str, value: Any) -> Any:
        if not self._may_be_restored(attribute):
            raise ValueError(
                f"The state has an attribute {attribute!r}, which no state of "
                f"{type(self).__name__} can set."
            )
        try:
            return like(from_plain(value), vars(self).get(attribute))
        except Exception as error:
            raise ValueError(
                f"The state's attribute {attribute!r} is {value!r}, which cannot be read: {error}"
            ) from error

    def _may_be_restored(self, name: str) -> bool:
        on_class = getattr(type(self), name, None)
        is_code = callable(on_class) or hasattr(on_class, "__get__")
        is_name = name.isidentifier() and not name.startswith("__")
        return is_name and name not in self._own_attributes and not is_code

    def _position(self) -> dict[str, Any]:
        return {}

    def _bring_back_bases(self, state: Mapping[str, Any]) -> None:
        """Put the state's base values where a restored optimizer came without.

        Not every way of restoring an optimizer brings back the keys that are none of its own. A
        group without a base that held the very value of the state is of such an optimizer.
        """
        new = {(id(group), key) for group, key in self._new_groups}
        for name, field in self._fields.items():
            groups = self.optimizer.param_groups
            saved = (state[key].get(name, ()) for key in ("values", "base_values"))
            rows = zip(groups, field.bases(groups), *saved, strict=False)
            for i, (group, found, value, base) in enumerate(rows):
                is_lost = (id(group), field.initial_key) in new and _alike(found, value)
                if is_lost or not self._bases_live_in_groups:
                    field.set_base(i, group, plain(base))
                if is_lost:
                    field.seen[i : i + 1] = [plain(base)]

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on from a checked state."""
        vars(self).update(state["attributes"])
        if "num_updates" in state:
            vars(self)["_num_updates"] = state["num_updates"]
        due = self._due_from(state)
        self._warn_of_replaced(due, state)
        self._write(due)

    def _due_from(self, state: dict[str, Any]) -> Due:
        """Return what is due after a state was loaded: what was in force when it was saved."""
        return self._checked(state["values"], None)

    def _warn_of_replaced(self, due: Due, state: dict[str, Any]) -> None:
        """Warn of values that neither this scheduler nor the checkpoint explains."""
        groups = self.optimizer.param_groups
        lines: list[str] = []
        for field, values in due:
            bases, last = field.bases(groups), field.last
            saved = state["values"].get(field.name, values)
            lines += [
                f"{called(groups[i], i)} had {field.initial_key}={seen!r} when the scheduler was "
                f"made; now it has {base!r}, which counts."
                for i, (seen, base) in enumerate(zip(field.seen, bases, strict=False))
                if seen != base
            ]
            for i, now in enumerate(field.held(groups)):
                mark = last[i] if i < len(last) else None
                held = mark.held if isinstance(mark, Doubt) else plain(now)
                known = [bases[i], values[i], *saved[i : i + 1]]
                if mark != now and not any(_alike(held, value) for value in known):
                    lines.append(
                        f"{called(groups[i], i)} held {field.name}={held!r}, set by hand since; "
                        f"{plain(values[i])!r} replaces it."
                    )
        if lines:
            self._warn(
                state.get("num_updates"),
                lines,
                "To change the rate of a resumed run, change the group's initial_… value.",
            )


class StatefulSchedulerBase(SchedulerBase, LRScheduler):
    """A scheduler that counts the optimizer updates itself.

    The values for update 0 are in force as soon as it is constructed. Call :meth:`step` after
    each optimizer update: the *n*-th call puts the values for update *n* in force. It is a
    ``torch.optim.lr_scheduler.LRScheduler`` and serves wherever one of those does, but leaves no
    hooks on the optimizer.

    To make one of your own, override :meth:`SchedulerBase.get_updated_values`.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        param_group_field: The key in the parameter groups, such as ``lr`` or ``weight_decay``.

    Raises:
        KeyError: If a parameter group does not have the field (also a ``ValueError``).
        TypeError: If ``optimizer`` has no parameter groups, or the field holds no numbers.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import StatefulSchedulerBase
        >>> class Halving(StatefulSchedulerBase):
        ...     def get_updated_values(self, num_updates):
        ...         return [base * 0.5**num_updates for base in self.base_lr_values]
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.8)
        >>> scheduler = Halving(optimizer)
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        >>> optimizer.param_groups[0]["lr"]
        0.1
    """

    _num_updates: int = 0
    _was_stepped = False

    def __init__(self, optimizer: Optimizer, param_group_field: str = "lr") -> None:
        # LRScheduler.__init__ patches optimizer.step, so it is left out on purpose.
        SchedulerBase.__init__(self, optimizer, param_group_field)

    def _finish_construction(self) -> None:
        super()._finish_construction()
        # A subclass may have stepped or loaded a state in its own constructor already.
        if self._num_updates or any(field.last for field in self._fields.values()):
            return
        due = self._due(0)
        new = [group for group, _ in self._new_groups]
        doubts = [self._doubts(field, values, new) for field, values in due]
        self._write(due)
        for (field, _), marks in zip(due, doubts, strict=True):
            for i, mark in enumerate(marks):
                if isinstance(mark, Doubt):
                    field.last[i] = mark

    @property
    def num_updates(self) -> int:
        """How many optimizer updates have been made: how many times :meth:`step` was called."""
        return self._num_updates

    def step(self, epoch: int | None = None) -> None:
        """Put the values for the next update in force; call it after each optimizer update.

        Args:
            epoch: As in PyTorch's schedulers, a count to go to instead of the next one.

        Raises:
            ValueError: As in :meth:`SchedulerBase.step_update`; the count stays as it was.
        """
        if not self._was_stepped:
            _warn_if_stepped_for_each_process(self)
            self._was_stepped = True
        self.step_update(self._num_updates + 1 if epoch is None else whole("epoch", epoch))

    def _position(self) -> dict[str, Any]:
        return {"num_updates": self._num_updates}

    # What frameworks know of PyTorch's own schedulers ----------------------------------------

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the learning rate that each parameter group holds now."""
        return [copied(g["lr"]) for g in self.optimizer.param_groups if "lr" in g]

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate that each parameter group holds now."""
        return self.get_last_lr()

    @property
    def base_lrs(self) -> list[float | Tensor]:  # type: ignore[override]
        """The base learning rate of each parameter group."""
        return [
            group.get("initial_lr", copied(group["lr"]))
            for group in self.optimizer.param_groups
            if "lr" in group
        ]

    @property
    def last_epoch(self) -> int:
        """PyTorch's name for :attr:`num_updates`."""
        return self._num_updates

    @last_epoch.setter
    def last_epoch(self, value: int) -> None:
        raise AttributeError(
            f"last_epoch={value!r} cannot be set on {type(self).__name__}: moving the count alone "
            "would leave the optimizer with another update's values. SequentialLR and Ignite's "
            "LRScheduler do that. Instead of SequentialLR, write one schedule after the other: "
            "a >> b; with Ignite, call step() in a handler of Events.ITERATION_COMPLETED; to go "
            "to a count, call step(count)."
        )

    @property
    def _step_count(self) -> int:
        # Accelerate adds to it, and stops a scheduler with total_steps once it is above them.
        return 1

    @_step_count.setter
    def _step_count(self, value: int) -> None:
        pass

    @property
    def _last_lr(self) -> list[float | Tensor]:  # type: ignore[override]
        return self.get_last_lr()


def _warn_if_stepped_for_each_process(scheduler: StatefulSchedulerBase) -> None:
    """Warn if the caller is Accelerate's wrapper, which steps once for each process."""
    accelerate = sys.modules.get("accelerate.scheduler")
    frame = sys._getframe(1)
    while accelerate is not None and frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is accelerate.AcceleratedScheduler.step.__code__:
            wrapper = frame.f_locals["self"]
            count = accelerate.AcceleratorState().num_processes
            if wrapper.step_with_optimizer and not wrapper.split_batches and count > 1:
                scheduler._warn(
                    scheduler.num_updates,
                    [f"Accelerate calls step() {count} times an update, once for each process."],
                    "The schedule counts updates, so it would end too early. Leave it out of "
                    "accelerator.prepare(…), and call its step() only "
                    "`if accelerator.sync_gradients and not "
                    "accelerator.optimizer_step_was_skipped`.",
                )
            return


def raise_named(where: str, error: TypeError | ValueError) -> NoReturn:
    """Raise an error again that says where it is from, unless it may be made of no text."""
    if type(error) not in (TypeError, ValueError):
        raise error
    raise type(error)(f"{where}: {error}") from error


def warn_at_the_caller(head: str, lines: list[str], advice: str) -> None:
    """Warn of what ``lines`` say, at the line of code that called the library."""
    shown = lines[:8] + ([f"… and {len(lines) - 8} more."] if len(lines) > 8 else [])
    text = "\n".join([head, *shown, advice])
    warnings.warn(text, SchedulerWarning, stacklevel=_levels_to_the_caller())


def _levels_to_the_caller() -> int:
    """Return the stack level at which a warning points at the code that called the library."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def _is_row(values: object) -> bool:
    """Say whether ``values`` are what a state holds of a field: numbers, or tuples of them."""
    return isinstance(values, list | tuple) and all(
        _is_row(value) or (isinstance(value, numbers.Real) and math.isfinite(plain(value)))
        for value in values
    )


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _alike(one: Any, other: Any) -> bool:
    """Say whether two held values are the same, up to what a tensor's precision does to them."""
    one, other = plain(one), plain(other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other)
