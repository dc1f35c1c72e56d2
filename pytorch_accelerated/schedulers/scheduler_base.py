"""The two bases of all schedulers: when they are called, what they write, what they save."""

from __future__ import annotations

import inspect
from abc import ABCMeta, abstractmethod
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pytorch_accelerated import door
from pytorch_accelerated.schedulers import clocks, messages, state
from pytorch_accelerated.schedulers.groups import Field, Group
from pytorch_accelerated.schedulers.held import copied
from pytorch_accelerated.schedulers.naming import labels_of
from pytorch_accelerated.schedulers.optimizers import OneOrMore, as_one, check_optimizer, each_of

Due: TypeAlias = "list[tuple[Field, list[Any]]]"
Planned: TypeAlias = "dict[Field, list[array[float] | None]]"


class SchedulerMeta(ABCMeta):
    """Ends construction after the outermost ``__init__``, when a subclass's attributes exist."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        scheduler: Any = cls.__new__(cls, *args, **kwargs)  # type: ignore[arg-type]
        try:
            inspect.signature(cls.__init__).bind(scheduler, *args, **kwargs)  # type: ignore[misc]
        except TypeError as error:
            raise messages.wrong_arguments(cls, error) from None
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


class SchedulerBase(metaclass=SchedulerMeta):
    """A scheduler that is told how many optimizer updates have been made.

    Call :meth:`step_update` after each optimizer update with the number of updates made so far;
    it puts the values for the next update into the parameter groups. Nothing is written before.

    To make one of your own, override :meth:`get_updated_values`.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled, or a list of several.
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
        {"optimizer", "param_group_field", "_fields", "_num_updates"}
        | {"_num_groups", "_new_groups", "_was_stepped", "_told_of"}
    )

    #: The update whose values are in force; None before there is one.
    _num_updates: int | None = None
    _is_counting = False
    _clock = clocks.UPDATES
    _bases_live_in_groups = True
    #: Whether its values are more than those of schedules.
    _has_values_of_its_own = True
    #: The attributes that are not saved, of which somebody was warned.
    _told_of: frozenset[str] = frozenset()
    #: What warnings advise, if not what is usual.
    _advice = ""
    _num_groups = 0
    #: Groups that got a base value since the last step, and the key that it is under.
    _new_groups: tuple[tuple[Group, str], ...] = ()

    def __init__(self, optimizer: OneOrMore, param_group_field: str = "lr") -> None:
        self._attach(optimizer, [Field(param_group_field)])

    def _attach(self, optimizer: OneOrMore, fields: list[Field]) -> None:
        self.optimizer: Optimizer = as_one(optimizer)
        check_optimizer("optimizer", self.optimizer)
        self.param_group_field = fields[0].name
        self._fields = {field.name: field for field in fields}
        self._adopt(fields)

    def _adopt(self, fields: Iterable[Field]) -> None:
        """Keep as its base value what each group holds that has none yet."""
        groups, labels = self.optimizer.param_groups, labels_of(self.optimizer)
        for field in fields:
            field.choose(labels)
            new = field.adopt(groups)
            self._new_groups += tuple((group, field.initial_key) for group in new)
        self._num_groups = len(groups)

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
        groups = self.optimizer.param_groups
        for field in self._fields.values():
            field.seen = field.bases(groups)
        # A subclass may have stepped or loaded a state in its own constructor already.
        is_in_force = self._num_updates or any(field.last for field in self._fields.values())
        if self._is_counting and not is_in_force:
            due = self._checked(self.get_updated_values(0), 0)
            for field, values in due:
                field.find(groups, values, [group for group, _ in self._new_groups])
            self._write(due)

    @property
    def base_lr_values(self) -> list[Any]:
        """The base value of the field, in each parameter group."""
        try:  # as in _bases, without the call
            return self._fields[self.param_group_field].bases(self.optimizer.param_groups)
        except KeyError:
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

        A scheduler that counts continues from there.

        Args:
            num_updates: How many optimizer updates have been made, zero or more.

        Raises:
            ValueError: If ``num_updates`` is negative or fractional, a value is not finite, or
                there are more or fewer values than groups.
            TypeError: If a value is not a number.
        """
        if type(num_updates) is not int or num_updates < 0:
            num_updates = clocks.position("num_updates", num_updates, self._clock)
        groups, since, before = self.optimizer.param_groups, self._new_groups, self._num_updates
        self._num_updates = num_updates  # first: code of a subclass may look at it
        try:
            if len(groups) != self._num_groups:
                self._adopt(self._fields.values())
            returned = self.get_updated_values(num_updates)
            field = self._fields[self.param_group_field]
            if not (returned is None or field.write_as_usual(groups, returned)):
                due = self._checked(returned, num_updates)
                messages.warn_of_changed(self, due, num_updates)
                self._write(due)
        except BaseException:
            self._num_updates = before
            self._forget_new_groups(since)
            raise
        if since or self._new_groups:
            self._new_groups = ()

    if not TYPE_CHECKING:  # which knows that there is none; with __getattr__ all would be slower

        @property
        def step(self) -> Any:
            """Say what to call instead: this scheduler does not count."""
            raise AttributeError(
                f"{type(self).__name__} has no step(): call step_update(num_updates) instead."
            )

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
            phase       from  to  lr
            linear      0     4   0 → 0.08
            cosine      5     14  0.1 → 0.00244717
            then holds  15        0
        """
        return door.preview().preview(self, num_updates)

    def plot(self, num_updates: int | None = None, **options: Any) -> Any:
        """Draw all scheduled fields with matplotlib, and where the run is now.

        It is ``preview(num_updates).plot(**options)``; see there what these are and what may be
        wrong.

        Returns:
            A ``matplotlib.figure.Figure``: a notebook shows it, ``savefig(path)`` writes it.
        """
        return self.preview(num_updates).plot(**options)

    def _repr_html_(self) -> Any:
        """Return what a notebook shows: the preview's picture and table, if there is an end."""
        return door.preview().html_of_scheduler(self)

    def _num_planned_updates(self) -> int | None:
        """Return how many updates this is planned for; None if nobody can know."""

    def _planned(self, num_updates: int, groups: Sequence[Group]) -> Planned | None:
        """Return the first values by field and group; None if only running the scheduler tells."""

    def _checked(self, returned: Any, num_updates: int | None) -> Due:
        """Return what ``get_updated_values`` returned, checked, for every field that changes."""
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
            at = "in a state" if num_updates is None else clocks.at(num_updates, self._clock)
            messages.raise_named(f"{type(self).__name__} {at}", error)
        return due

    def _write(self, due: Due) -> None:
        groups = self.optimizer.param_groups
        defaults = [getattr(one, "defaults", {}) for one in each_of(self.optimizer)]
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

    def _warn(self, num_updates: int | None, lines: list[str], advice: str) -> None:
        at = "" if num_updates is None else clocks.at(num_updates, self._clock)
        messages.warn(type(self).__name__, at, lines, self._advice or advice)

    # State ---------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state as plain values, fit for JSON.

        It holds the count, the values in force, the base values, and the plain attributes
        (numbers, strings, None, and lists, tuples, dicts and sets of them) that the subclass has
        set; others, such as functions, the constructor makes again.
        """
        return state.saved(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state, and put the values that are due there in force.

        Args:
            state_dict: What :meth:`state_dict` returned, also after JSON.

        Raises:
            ValueError: If the state is of another kind of scheduler or damaged; then nothing has
                changed.
        """
        state.load(self, state_dict)

    @property
    def _state_kind(self) -> str:
        """What a state has to be of, to be loaded here."""
        return type(self).__qualname__

    def _planned_rows(self) -> list[state.Row]:
        """Return field, group (None for all) and the schedule's text for all that is planned."""
        return []

    def _restore(self, checked: dict[str, Any]) -> None:
        """Continue from a checked state."""
        vars(self).update(checked["attributes"], _num_updates=checked["num_updates"])
        due = self._due_from(checked)
        state.warn_of_replaced(self, due, checked)
        self._write(due)

    def _due_from(self, checked: dict[str, Any]) -> Due:
        """Return what is due after a state was loaded: what was in force when it was saved."""
        return self._checked(checked["values"], None)


class StatefulSchedulerBase(SchedulerBase, LRScheduler):
    """A scheduler that counts the optimizer updates itself.

    The values for update 0 are in force as soon as it is constructed. Call :meth:`step` after
    each optimizer update: the *n*-th call puts the values for update *n* in force. It is a
    ``torch.optim.lr_scheduler.LRScheduler`` and serves wherever one of those does, but leaves no
    hooks on the optimizer.

    To make one of your own, override :meth:`SchedulerBase.get_updated_values`.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled, or a list of several.
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
    _is_counting = True
    _was_stepped = False

    def __init__(self, optimizer: OneOrMore, param_group_field: str = "lr") -> None:
        # LRScheduler.__init__ patches optimizer.step, so it is left out on purpose.
        SchedulerBase.__init__(self, optimizer, param_group_field)

    @property
    def num_updates(self) -> int:
        """How many optimizer updates have been made: how many times :meth:`step` was called."""
        return self._num_updates

    def step(self, epoch: float | None = None) -> None:
        """Put the values for the next update in force; call it after each optimizer update.

        Args:
            epoch: As in PyTorch's schedulers, a count to go to instead of the next one.

        Raises:
            ValueError: As in :meth:`SchedulerBase.step_update`; the count stays as it was.
        """
        if not self._was_stepped:
            messages.warn_if_called_for_each_process(self)
            self._was_stepped = True
        counts = epoch is None and self._clock == clocks.UPDATES
        given = self._num_updates + 1 if counts else clocks.position("epoch", epoch, self._clock)
        self.step_update(given)

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
        groups = [group for group in self.optimizer.param_groups if "lr" in group]
        return [group.get("initial_lr", copied(group["lr"])) for group in groups]

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
