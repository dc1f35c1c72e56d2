"""Whether a loop runs each update with what is planned for it; the core of all monitors."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from torch.optim import Optimizer

from pytorch_accelerated.borrowed import randomness_kept
from pytorch_accelerated.checks import same, wrong_kind
from pytorch_accelerated.preview import Difference, Preview, compare
from pytorch_accelerated.preview.simulation import (
    Record,
    Twin,
    group_names,
    is_told,
    num_made,
    one_within_another,
    unwrapped,
)
from pytorch_accelerated.schedulers import PlateauLrScheduler, clocks, messages
from pytorch_accelerated.schedulers.clocks import UPDATES, clock_of
from pytorch_accelerated.schedulers.groups import Group
from pytorch_accelerated.schedulers.optimizers import each_of

logger = logging.getLogger(__name__)


class Monitor:
    """Records what each optimizer update ran with, beside what the schedulers' plan says.

    :func:`monitor` makes one for a loop of one's own; the monitors of other frameworks are
    subclasses, which call :meth:`begin` and :meth:`end`.

    The plan is what copies of the schedulers say, which are run beside the real ones. At the first
    update that ran with another value, a warning gives the update, the groups and both values, and
    says which mistake it looks like.
    """

    def __init__(self) -> None:
        self._optimizers: list[Optimizer] = []
        self._schedulers: list[Any] = []
        self._handles: list[Any] = []
        self._is_on = False
        self._twin: Twin | None = None
        self._mistake = ""

    def begin(self, optimizer: Any, scheduler: Any) -> None:
        """Begin to record, from the update that comes next.

        Args:
            optimizer: The optimizer, or several that make each update together.
            scheduler: The scheduler, or all schedulers of these groups.

        Raises:
            TypeError: If one of them is something else, or a scheduler cannot be copied.
            ValueError: If a scheduler follows a metric, so that it has no plan, or is for other
                groups.
        """
        self._unhook()
        self._is_on = False
        bare = map(_bare_optimizer, _several(optimizer))
        self._optimizers = [one for several in bare for one in each_of(several)]
        kind = "a scheduler of this library or of PyTorch, or a list of them."
        self._schedulers = [unwrapped(one, kind) for one in _several(scheduler)]
        if not self._schedulers:
            raise ValueError("scheduler=[] is empty: there is no plan to compare with.")
        ids = list(map(id, self._groups))
        for one in self._schedulers:
            if isinstance(one, PlateauLrScheduler):
                raise ValueError(
                    f"{type(one).__name__} follows a metric, so there is no plan to compare with."
                )
            if list(map(id, one.optimizer.param_groups)) != ids:
                raise ValueError(
                    f"{type(one).__name__} schedules other parameter groups than those of the "
                    "optimizer. Hand over the optimizer that the scheduler was made with."
                )
        self._twin = Twin(self._schedulers)
        counts = [num_made(one) for one in self._schedulers if clock_of(one) == UPDATES]
        self.first_update = max(counts, default=0)
        self._started_at = list(map(num_made, self._schedulers))
        #: Where each scheduler was before the last update and the one before: how many updates
        #: it had counted, or where its clock was.
        self._places: list[list[Any]] = []
        #: By clock of a plan in another unit than updates: where it was before each update.
        self.clocks: dict[str, list[Any]] = {}
        self._steps_before = [0 for _ in self._schedulers]
        self._steps = self._steps_before
        self._applied = Record(self._groups)
        #: For each optimizer, by place, what its groups held in the update at hand.
        self._ran: dict[int, list[Group]] = {}
        self._held: list[list[Group]] = []
        self._mistake = ""
        self._is_on = True
        self._hook()

    def end(self) -> None:
        """Stop recording, take the hooks away, and log the summary."""
        if self._is_on:
            if self._ran:
                self._finish_update()
            self._is_on = False
            self._unhook()
            logger.info(self.summary())

    def _hook(self) -> None:
        self._unhook()
        self._handles = [
            one.register_step_pre_hook(partial(self._note, place))
            for place, one in enumerate(self._optimizers)
        ]

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    # What was found ------------------------------------------------------------------------

    @property
    def planned(self) -> Preview:
        """What the plan says of the recorded updates."""
        return self._columns(self._begun.record)

    @property
    def applied(self) -> dict[str, list[list[Any]]]:
        """By planned field, for each recorded update in order: the values of all groups."""
        return self._columns(self._applied).to_dict() if self._twin else {}

    @property
    def differences(self) -> list[Difference]:
        """Every value that an update ran with and that was not the planned one, in order."""
        if self._twin is None:
            return []
        planned, applied = self.planned, self._columns(self._applied)
        return [
            Difference(update, field, group, mine[at], theirs[at])
            for at, update in enumerate(planned.updates)
            for field in planned.fields
            for group, mine, theirs in zip(
                planned.groups, planned[field], applied[field], strict=True
            )
            if not same(mine[at], theirs[at])
        ]

    def summary(self) -> str:
        """Return one line: ``applied == planned (N updates, …)``, or where they first differ."""
        if self._twin is None or not self._applied.num_updates:
            return "no update was recorded"
        comparison = compare(self.planned, self._columns(self._applied))
        return f"{comparison}. {self._mistake}" if self._mistake else str(comparison)

    @property
    def text(self) -> dict[str, str]:
        """By field, the plan as text, for the configuration of a run."""
        texts: dict[str, str] = {}
        for one in self._schedulers:
            plans = getattr(one, "schedules", None)
            plans = plans or {getattr(one, "param_group_field", "lr"): _Call(one)}
            texts |= {field: repr(plan) for field, plan in plans.items()}
        return texts

    def metrics(self) -> dict[str, float]:
        """Return what was planned for the last update and what it ran with, to be logged.

        The keys are ``plan/lr`` and ``applied/lr``, with the group's name behind it where there
        are several.
        """
        result: dict[str, float] = {}
        if self._twin is None or not self._applied.num_updates:
            return result
        groups = group_names(self._schedulers[0].optimizer)
        for title, record in (("plan", self._twin.record), ("applied", self._applied)):
            for field_name, (field, left_out) in self._twin.fields.items():
                for group, value in zip(groups, record.last(field, left_out), strict=True):
                    name = f"{title}/{field_name}{f'/{group}' if len(groups) > 1 else ''}"
                    if isinstance(value, tuple):
                        result |= {f"{name}[{i}]": entry for i, entry in enumerate(value)}
                    elif value is not None:
                        result[name] = value
        return result

    # Recording -----------------------------------------------------------------------------

    @property
    def _begun(self) -> Twin:
        if self._twin is None:
            raise ValueError("Nothing is planned before the monitor has begun.")
        return self._twin

    @property
    def _groups(self) -> list[Group]:
        return [group for one in self._optimizers for group in one.param_groups]

    def _columns(self, record: Record) -> Preview:
        fields = self._begun.fields.items()
        columns = {name: record.columns(field, left_out) for name, (field, left_out) in fields}
        return Preview(columns, self.first_update, group_names(self._schedulers[0].optimizer))

    def _note(self, place: int, optimizer: Any, *_: Any) -> None:
        found_inf = getattr(optimizer, "found_inf", None)
        if found_inf is not None and bool(found_inf):
            return  # a gradient scaler has a fused optimizer skip the update itself
        if place in self._ran:  # the others made no update meanwhile
            self._finish_update()
        if not self._ran:
            self._places = [*self._places[-1:], list(map(num_made, self._schedulers))]
            # One that makes no update now holds other values when the next one shows that.
            self._held = [
                self._applied.held(one.param_groups) if other != place else []
                for other, one in enumerate(self._optimizers)
            ]
        self._ran[place] = self._applied.held(optimizer.param_groups)
        if len(self._ran) == len(self._optimizers):
            self._finish_update()

    def _finish_update(self) -> None:
        update = self.first_update + self._applied.num_updates
        steps = [at - start for at, start in zip(self._places[-1], self._started_at, strict=True)]
        if not self._applied.num_updates:
            self._steps_before = steps
        rows = [row for place, held in enumerate(self._held) for row in self._ran.get(place, held)]
        self._ran = {}
        self._applied.note(rows)
        found = dict(zip(map(clock_of, self._schedulers), self._places[-1], strict=True))
        for unit in found.keys() - {UPDATES}:
            self.clocks.setdefault(unit, []).append(found[unit])
        self._plan(update)
        if not self._mistake:
            lines = list(self._differing())
            self._mistake = self._what_clocks_look_like()
            if lines and not self._mistake:
                self._mistake = self._what_it_looks_like(self._applied.num_updates - 1, steps)
            if self._mistake:
                messages.warn(type(self).__name__, clocks.at(update), lines, self._mistake)
        self._steps = steps

    def _plan(self, update: int) -> None:
        twin = self._begun
        # One whose steps were counted out, as of OneCycleLR, holds; its real step says the same.
        with nullcontext() if twin.is_planned else randomness_kept(), suppress(ValueError):
            twin.go_to(update, self._places[-1])
        twin.meet_groups_of(self._optimizers)
        twin.record.note(twin.stub.param_groups)

    def _differing(self) -> Iterator[str]:
        twin = self._begun
        for name, (field, left_out) in twin.fields.items():
            both = (record.last(field, left_out) for record in (twin.record, self._applied))
            for index, (planned, applied) in enumerate(zip(*both, strict=True)):
                if not same(planned, applied):
                    yield (
                        f"{field.starting(index)}: {name}={planned!r} was planned, but the update "
                        f"ran with {applied!r}."
                    )

    def _what_clocks_look_like(self) -> str:
        """Return what is wrong about a clock: between two updates it has to have moved on."""
        for scheduler, *places in zip(self._schedulers, *self._places, strict=True):
            unit, before, now = clock_of(scheduler), places[0], places[-1]
            if unit != UPDATES and len(places) == 2 and now <= before:
                return (
                    f"The clock of {type(scheduler).__name__} was at {now} {unit} before this "
                    f"update, and at {before} before the last one: after each update, call its "
                    f"step(n) with how many {unit} there were so far, not in the batch."
                )
        return ""

    def _what_it_looks_like(self, made: int, all_steps: list[int]) -> str:
        """Return which mistake explains that so many steps were made in ``made`` updates."""
        updates = "1 update" if made == 1 else f"{made} updates"
        rows = zip(self._schedulers, all_steps, self._steps, self._steps_before, strict=True)
        for scheduler, steps, latest, before in rows:
            name = type(scheduler).__name__
            if clock_of(scheduler) != UPDATES:
                continue
            if is_told(scheduler):
                if (told := scheduler._num_updates) != self.first_update + made:
                    return (
                        f"{name} was last told num_updates={told}, after {updates}: call "
                        "step_update(num_updates) with the number of updates made so far, after "
                        "each update and before the first. Where the plan is in another unit, such "
                        "as tokens, make it with clock='items'."
                    )
                continue
            if steps == made:
                continue
            if steps < latest:
                return f"{name} was restored within the loop: begin to monitor after that."
            if before and steps - made == before:
                return (
                    f"{name} was stepped before the first update: call its step() after the "
                    "optimizer's, if mixed precision did not skip that. If it was restored since, "
                    "begin to monitor after that."
                )
            if steps < made:
                return (
                    f"{name} was stepped {steps} times in {updates}, as if once an epoch: "
                    "call its step() after each update."
                )
            if made and steps % made == 0:
                return (
                    f"{name} was stepped {steps // made} times an update: call its step() once. "
                    "Accelerate steps a prepared scheduler once for each process; leave it out of "
                    "accelerator.prepare(…)."
                )
            return (
                f"{name} was stepped {steps} times in {updates}, but once an update counts. One "
                "that mixed precision skips does not count."
            )
        return (
            "The schedulers were stepped with each update, so something else writes to the field: "
            "another scheduler, a restored optimizer, or code of yours."
        )


class _Call:
    """A scheduler as the call that made it, as far as its arguments are plain."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def __repr__(self) -> str:
        held = vars(self.scheduler)
        shown = ", ".join(
            f"{name}={held[name]!r}"
            for name in inspect.signature(type(self.scheduler)).parameters
            if name != "last_epoch" and isinstance(held.get(name), int | float | str | list | tuple)
        )
        return f"{type(self.scheduler).__name__}({shown})"


def _several(one: Any) -> Sequence[Any]:
    return one if isinstance(one, list | tuple) else [one]


def _bare_optimizer(optimizer: Any) -> Optimizer:
    *_, bare = one_within_another(optimizer, "optimizer")  # in Accelerate's wrapper, or Lightning's
    if not isinstance(bare, Optimizer):
        raise wrong_kind("optimizer", optimizer, "an optimizer of PyTorch, or a list of them.")
    return bare


@contextmanager
def monitor(optimizer: Any, scheduler: Any) -> Iterator[Monitor]:
    """Watch whether each update of a loop runs with what is planned for it.

    The values are read by a hook of the optimizer as an update begins; the hook is taken away at
    the end of the block. A rate that is a tensor on a device is read with each update, which waits
    for that device.

    Args:
        optimizer: The optimizer, or a list of several that make each update together.
        scheduler: The scheduler of these groups, of this library or of PyTorch, or a list of all.

    Yields:
        The :class:`Monitor`: ``applied``, ``planned``, ``differences`` and ``summary()`` tell what
        was found, also afterwards.

    Raises:
        TypeError: If one of them is something else, or a scheduler cannot be copied.
        ValueError: If a scheduler follows a metric, so that it has no plan, or is for other groups.

    Example:
        >>> import torch
        >>> from pytorch_accelerated import monitor
        >>> from pytorch_accelerated.schedulers import ParamScheduler
        >>> from pytorch_accelerated.schedules import linear
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.4)
        >>> scheduler = ParamScheduler(optimizer, lr=linear(4, end=0.0))
        >>> with monitor(optimizer, scheduler) as m:
        ...     for _ in range(4):
        ...         optimizer.step()
        ...         scheduler.step()
        >>> print(m.summary())
        applied == planned (4 updates, 4 values)
        >>> m.applied
        {'lr': [[0.4], [0.30000000000000004], [0.2], [0.1]]}
    """
    result = Monitor()
    result.begin(optimizer, scheduler)
    try:
        yield result
    finally:
        result.end()
