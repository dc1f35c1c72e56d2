"""The schedule that another library's scheduler runs."""

from __future__ import annotations

import copy
import math
import warnings
from types import FunctionType
from typing import Any

import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pytorch_accelerated.checks import whole
from pytorch_accelerated.integrations import (
    ignite_schedules,
    optax_schedules,
    timm_schedules,
    torch_schedules,
)
from pytorch_accelerated.integrations.laying import stairs
from pytorch_accelerated.preview.simulation import one_within_another
from pytorch_accelerated.schedules import Affine, Schedule
from pytorch_accelerated.schedules.terms import as_endpoint

#: How far values may differ, as a part of a group's largest value, and those in single precision.
TOLERANCE = 1e-9
SINGLE = 1e-5


class Recognised(dict[str, "Schedule | list[Schedule]"]):
    """Field → schedule, or a list with one for each group where they differ.

    Attributes:
        difference: The biggest difference between a value of theirs and of ours, over all updates
            that were compared.
    """

    difference: float = 0.0


def schedule_from(
    other: Any, num_updates: int, num_updates_per_epoch: int | None = None
) -> Recognised:
    """Return the schedules that another library's scheduler runs, compared at every update.

    It takes the schedulers of torch, with the functions of Transformers' ``get_scheduler``, of timm
    and of Ignite, and the schedules of optax. A copy of ``other`` is run through all updates, on
    groups without its parameters; neither ``other`` nor its optimizer is changed. Of our values
    v(k) and theirs w(k), for k = 0 to ``num_updates - 1`` and for each group,
    ``abs(v(k) - w(k)) <= 1e-9 * max(abs(w))``. Where optax computes in single precision, it is
    1e-5 in the place of 1e-9.

    Args:
        other: A scheduler that was not stepped yet, of one of their own classes, or a schedule of
            optax. timm's are told of every update, of update 0, too.
        num_updates: How many updates the run has.
        num_updates_per_epoch: How many updates an epoch has, where ``other`` is stepped once an
            epoch, so that its value stays for the whole of it.

    Returns:
        A dictionary that ``ParamScheduler`` takes as keywords; that of an optax schedule has the
        key ``lr``. Multiples are of the ``initial_lr`` that ``other`` noted in each group, which is
        its first value for some of their classes and not its peak. What is not a multiple in
        theirs is absolute: momenta, and all of Ignite's and optax's. Its ``difference`` is the
        biggest that was found.

    Raises:
        TypeError: If ``other`` is not a scheduler of a known class.
        ValueError: If ``other`` was stepped already, or counts epochs and ``num_updates_per_epoch``
            is missing, or if no expression of ours gives its values.

    Example:
        >>> import torch
        >>> from torch.optim.lr_scheduler import CosineAnnealingLR
        >>> from pytorch_accelerated.integrations import schedule_from
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> schedule_from(CosineAnnealingLR(optimizer, T_max=100), num_updates=100)
        {'lr': cosine(100, start=1.0, end=0.0)}
    """
    whole("num_updates", num_updates, minimum=1)
    num_steps, per_step = num_updates, 1
    if num_updates_per_epoch is not None:
        per_step = whole("num_updates_per_epoch", num_updates_per_epoch, minimum=1)
        num_steps = math.ceil(num_updates / per_step)
    elif getattr(other, "t_in_epochs", False):
        raise ValueError(
            "other counts epochs (t_in_epochs=True). Write schedule_from(scheduler, num_updates=…, "
            "num_updates_per_epoch=…)."
        )
    *_, other = one_within_another(other, "scheduler")  # in Accelerate's wrapper
    library = _library(other)
    by_field = library.schedules_of(other, num_steps)
    tolerance, groups = TOLERANCE, [dict[str, Any]()]
    if library is optax_schedules:
        values, are_doubles = optax_schedules.values_of(other, num_steps)
        recorded, tolerance = {"lr": [values]}, TOLERANCE if are_doubles else SINGLE
    else:
        optimizer = ignite_schedules.optimizer_of(other)
        groups = optimizer.param_groups
        recorded = _values(library, other, optimizer, num_steps, list(by_field))
    found = Recognised()
    for field, schedules in by_field.items():
        for index, schedule in enumerate(schedules):
            base = float(groups[index].get(f"initial_{field}", groups[index].get(field, 0.0)))
            difference, parted = _difference(schedule, base, recorded[field][index], tolerance)
            if parted:
                k, theirs = parted
                raise ValueError(
                    f"other is not {schedule!r}, which was the nearest: at update {k * per_step}, "
                    f"{field} of group {index} is {theirs!r}, but would be {schedule(k, base)!r}. "
                    f"If the run ends before, write num_updates={k * per_step}."
                )
            found.difference = max(found.difference, difference)
        if num_updates_per_epoch is not None:
            schedules = [_held(schedule, num_steps, per_step) for schedule in schedules]
        first = schedules[0]
        found[field] = first if all(one == first for one in schedules) else schedules
    return found


def _library(other: Any) -> Any:
    """Return the module that knows the library of a scheduler."""
    if isinstance(other, LRScheduler):
        return torch_schedules
    kind = other if isinstance(other, FunctionType) else type(other)
    library = (kind.__module__ or "").partition(".")[0]
    known = {"timm": timm_schedules, "ignite": ignite_schedules, "optax": optax_schedules}
    if library not in known:
        raise TypeError(
            f"other={other!r} is not a scheduler of torch, timm or Ignite, nor a schedule of "
            "optax. Write schedule_from(scheduler, num_updates=…) with the scheduler itself."
        )
    return known[library]


def _difference(
    schedule: Schedule, base: float, series: list[float], tolerance: float
) -> tuple[float, tuple[int, float] | None]:
    """Return the largest difference, and the first place and value that is too far away."""
    bound = tolerance * max(map(abs, series))
    differences = [abs(schedule(k, base) - theirs) for k, theirs in enumerate(series)]
    parted = next((k for k, one in enumerate(differences) if not one <= bound), None)
    return max(differences), None if parted is None else (parted, series[parted])


def _held(schedule: Schedule, num_steps: int, per_step: int) -> Schedule:
    """Return a schedule of epochs as one of updates, with each value for a whole epoch."""
    ends = [as_endpoint(Affine(*schedule.coefficients(k))) for k in range(num_steps)]
    return stairs(ends, per_step)


def _values(
    library: Any, other: Any, optimizer: Any, num_steps: int, fields: list[str]
) -> dict[str, list[list[float]]]:
    """Record by field each group's values before each update, on a copy."""
    bare = _without_parameters(optimizer)
    scheduler = copy.deepcopy(other, {id(optimizer): bare})
    recorded: dict[str, list[list[float]]] = {field: [] for field in fields}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the copy's optimizer makes no updates, as it warns
        for update in range(num_steps):
            library.advance(scheduler, update)
            for field, values in recorded.items():
                values.append([_number(group, field) for group in bare.param_groups])
    return {field: [*map(list, zip(*values, strict=True))] for field, values in recorded.items()}


def _number(group: dict[str, Any], field: str) -> float:
    return float(group["betas"][0] if field == "beta1" else group[field])


def _without_parameters(optimizer: Any) -> Optimizer:
    groups: list[dict[str, Any]] = [
        {**copy.deepcopy({k: v for k, v in group.items() if k != "params"}), "params": [one]}
        for group in optimizer.param_groups
        for one in [torch.zeros(1)]
    ]
    bare = SGD(groups, lr=0.0)
    bare.defaults = dict(getattr(optimizer, "defaults", {}))
    return bare
