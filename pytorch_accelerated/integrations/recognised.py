"""The schedule that another library's scheduler runs."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LRScheduler

from pytorch_accelerated.checks import whole
from pytorch_accelerated.integrations.torch_schedules import schedules_of_torch
from pytorch_accelerated.schedules import Schedule

#: How far values may differ, as a part of a group's largest value.
TOLERANCE = 1e-9


class Recognised(dict[str, "Schedule | list[Schedule]"]):
    """Field → schedule, or a list with one for each group where they differ.

    Attributes:
        difference: The biggest difference between a value of theirs and of ours, over all updates
            that were compared.
    """

    difference: float = 0.0


def schedule_from(other: LRScheduler, num_updates: int) -> Recognised:
    """Return the schedules that a scheduler of torch runs, compared at every update.

    A copy of ``other`` is stepped through all updates, on groups without its parameters; neither
    ``other`` nor its optimizer is changed. Of our values v(k) and theirs w(k), for k = 0 to
    ``num_updates - 1``, ``abs(v(k) - w(k)) <= 1e-9 * max(abs(w))`` in each group.

    Args:
        other: A scheduler that was not stepped yet, of one of torch's own classes.
        num_updates: How many updates the run has.

    Returns:
        A dictionary that ``ParamScheduler`` takes as keywords. Multiples are of the ``initial_lr``
        that ``other`` noted in each group, which is its first value for some of their classes and
        not its peak; momenta are absolute. Its ``difference`` is the biggest that was found.

    Raises:
        TypeError: If ``other`` is not a scheduler of a known class.
        ValueError: If ``other`` was stepped already, or if no expression of ours gives its values.

    Example:
        >>> import torch
        >>> from torch.optim.lr_scheduler import CosineAnnealingLR
        >>> from pytorch_accelerated.integrations import schedule_from
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> schedule_from(CosineAnnealingLR(optimizer, T_max=100), num_updates=100)
        {'lr': cosine(100, start=1.0, end=0.0)}
    """
    whole("num_updates", num_updates, minimum=1)
    if not isinstance(other, LRScheduler):
        raise TypeError(
            f"other={other!r} is not one of torch's schedulers. Write schedule_from(scheduler, "
            "num_updates=…) with the scheduler itself."
        )
    for part in other._schedulers if isinstance(other, ChainedScheduler) else [other]:
        if part.last_epoch != 0:
            raise ValueError(
                f"other was stepped already: its last_epoch={part.last_epoch}, but has to be 0. "
                "Make it anew, as the run did at its beginning."
            )
    by_field = schedules_of_torch(other, num_updates)
    recorded = _values(other, num_updates)
    found = Recognised()
    for field, schedules in by_field.items():
        for index, schedule in enumerate(schedules):
            group = other.optimizer.param_groups[index]
            base = group["initial_lr"] if field == "lr" else 0.0
            series = [values[index][field] for values in recorded]
            difference = _difference(field, index, schedule, base, series)
            found.difference = max(found.difference, difference)
        first = schedules[0]
        found[field] = first if all(one == first for one in schedules) else schedules
    return found


def _difference(
    field: str, index: int, schedule: Schedule, base: float, series: list[float]
) -> float:
    largest, bound = 0.0, TOLERANCE * max(map(abs, series))
    for k, theirs in enumerate(series):
        ours = schedule(k, base)
        if abs(ours - theirs) > bound:
            raise ValueError(
                f"other is not {schedule!r}, which was the nearest: at update {k}, {field} of "
                f"group {index} is {theirs!r}, but would be {ours!r}. If the run ends "
                f"before, write num_updates={k}."
            )
        largest = max(largest, abs(ours - theirs))
    return largest


def _values(other: LRScheduler, num_updates: int) -> list[list[dict[str, float]]]:
    """Record each group's values before each update, on a copy."""
    optimizer = _without_parameters(other.optimizer)
    scheduler = copy.deepcopy(other, {id(other.optimizer): optimizer})
    recorded = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the copy's optimizer makes no updates, as it warns
        for _ in range(num_updates):
            recorded.append([_numbers(group) for group in optimizer.param_groups])
            scheduler.step()
    return recorded


def _without_parameters(optimizer: Optimizer) -> Optimizer:
    groups: list[dict[str, Any]] = [
        {**copy.deepcopy({k: v for k, v in group.items() if k != "params"}), "params": [one]}
        for group in optimizer.param_groups
        for one in [torch.zeros(1)]
    ]
    bare = SGD(groups, lr=0.0)
    bare.defaults = dict(optimizer.defaults)
    return bare


def _numbers(group: dict[str, Any]) -> dict[str, float]:
    numbers = {"lr": float(group["lr"])}
    if "momentum" in group:
        numbers["momentum"] = float(group["momentum"])
    if "betas" in group:
        numbers["beta1"] = float(group["betas"][0])
    return numbers
