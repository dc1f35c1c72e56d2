"""What is planned for the groups of an optimizer, in short, and whether each update ran with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from pytorch_accelerated.schedulers.clocks import UPDATES, clock_of
from pytorch_accelerated.schedulers.held import plain
from pytorch_accelerated.schedulers.plans import FieldSchedules
from pytorch_accelerated.schedulers.scheduler_base import SchedulerBase
from pytorch_accelerated.schedules import PhaseRow
from pytorch_accelerated.text import chosen

_MOST_ENDS = 5  # of the phases of a plan,
_MOST_GROUPS = 2  # and plans of one field, that a line has room for


def _plans_of(scheduler: Any) -> list[FieldSchedules]:
    """Return the schedules of a scheduler, if they alone say its values."""
    if not isinstance(scheduler, SchedulerBase) or not scheduler._bases_live_in_groups:
        return []
    if scheduler._planned(1, scheduler.optimizer.param_groups) is None:
        return []
    return list(getattr(scheduler, "_schedules", ()))


class PlanCheck:
    """Compares what updates run with to what is planned for them, and keeps none of the values.

    What is not compared: schedulers whose values no schedule says, and fields that hold tensors,
    since reading one would wait for its device.

    Attributes:
        num_updates: How many updates ran with the values that were planned for them.
        difference: The first difference, in words, if there was one.
    """

    def __init__(self, schedulers: Iterable[Any]) -> None:
        self.num_updates = 0
        self.difference = ""
        self._plans = [
            (one, own, clock_of(one))
            for one in schedulers
            for own in _plans_of(one)
            if not any(isinstance(held, Tensor) for held in _held(one, own))
        ]

    def note(self, update: int, clocks: Mapping[str, float]) -> None:
        """Compare what the groups hold; ``clocks`` say where an update began that just ended."""
        if self.difference or not self._plans:
            return
        for scheduler, own, clock in self._plans:
            groups = scheduler.optimizer.param_groups
            if len(groups) != scheduler._num_groups:
                return  # one that was added since has no plan before the scheduler sees it
            held = own.field.held(groups)
            position: Any = update if clock == UPDATES else clocks[clock]
            planned = own.values(position, own.field.bases(groups), groups)
            if held != planned:
                pairs = zip(planned, held, strict=True)
                index = next(i for i, (mine, theirs) in enumerate(pairs) if mine != theirs)
                self.difference = (
                    f"first at update {update}, {own.field.name} of {own.field.called(index)}: "
                    f"planned {planned[index]!r}, applied {plain(held[index])!r}"
                )
                return
        self.num_updates += 1

    def __str__(self) -> str:
        if self.difference:
            return f"applied != planned: {self.difference}"
        return f"applied == planned ({self.num_updates:,} updates)" if self.num_updates else ""


def _held(scheduler: Any, own: FieldSchedules) -> Iterator[Any]:
    for held in own.field.held(scheduler.optimizer.param_groups):
        yield from held if isinstance(held, tuple) else (held,)


def plan_in_short(schedulers: Sequence[Any], groups: Sequence[dict[str, Any]]) -> str:
    """Return what is planned for each field, such as ``lr 0 → 3e-3 → 3e-5``.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import ParamScheduler
        >>> optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=1e-3)
        >>> plan = ParamScheduler(optimizer, lr="linear(5, start=0.0) >> cosine(20, end=0.1)")
        >>> plan_in_short([plan], optimizer.param_groups)
        'lr 0 → 1e-3 → 1e-4'
    """
    texts = {}
    others = []
    for scheduler in schedulers:
        plans = _plans_of(scheduler)
        for own in plans:
            texts[own.field.name] = _of_field(own, scheduler.optimizer.param_groups)
        if not plans:
            others.append(type(scheduler).__name__)
    if others:
        texts["" if "lr" in texts else "lr"] = f"by {' and '.join(others)}"
    elif "lr" not in texts:
        rates = dict.fromkeys(chosen(plain(group["lr"])) for group in groups if "lr" in group)
        texts = {"lr": _listed([*rates]), **texts} if rates else texts
    return ", ".join(f"{field} {text}".strip() for field, text in texts.items())


def _of_field(own: FieldSchedules, groups: Sequence[dict[str, Any]]) -> str:
    names: dict[str, list[str]] = {}
    rows = zip(own.of(groups), own.field.bases(groups), own.field.labels, strict=True)
    for schedule, base, label in rows:
        if schedule is not None:
            text = _of_phases(schedule.phases, base)
            names.setdefault(text, []).append(label.name)
    is_for_all = len(names) == 1 and sum(map(len, names.values())) == len(groups)
    return _listed(
        [text if is_for_all else f"{text} ({_listed(own)})" for text, own in names.items()]
    )


def _of_phases(rows: Sequence[PhaseRow], base: float) -> str:
    """Return the ends of all phases, one after the other, for a base value."""
    texts: list[str] = []
    for end in (end for row in rows for end in (row.start, row.end)):
        text = "…" if end is None else chosen(end.offset + end.scale * base)
        if texts[-1:] != [text]:
            texts.append(text)
    if len(texts) > _MOST_ENDS:
        texts = [*texts[: _MOST_ENDS - 2], "…", texts[-1]]
    return " → ".join(texts)


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _MOST_GROUPS
    return ", ".join(texts[:_MOST_GROUPS]) + (f" and {more} more" if more > 0 else "")
