"""Making a preview of a schedule, of a scheduler, or of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from pytorch_accelerated.checks import whole
from pytorch_accelerated.preview.of_schedules import bases_of, checked, of_schedule
from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedules import Schedule

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler

    from pytorch_accelerated.schedulers import AttributeScheduler, SchedulerBase

    Scheduler: TypeAlias = "SchedulerBase | AttributeScheduler | LRScheduler"


def preview(
    scheduler: Schedule | Scheduler | Sequence[Scheduler],
    num_updates: int | None = None,
    *,
    base: float | Sequence[float] = 1.0,
    num_updates_per_epoch: int | None = None,
    at: Sequence[float] | None = None,
) -> Preview:
    """Return the exact values that updates 0 … ``num_updates`` − 1 run with.

    Nothing real is touched. Built-in schedulers evaluate their schedules, by the very functions
    that training calls. A scheduler of your own or of PyTorch runs on copies of the optimizer's
    parameter groups, from the update where it is now; the preview's ``first_update`` says which.
    Several schedulers are shown from where all of them are.
    Of more than 20 million updates of built-in schedulers, such as a plan in tokens has, there is
    a sample, with the exact values; ``updates`` says of which.
    Of an :class:`~pytorch_accelerated.schedulers.AttributeScheduler` the fields are attributes and
    the groups targets, so it is previewed apart from an optimizer's schedulers; a setter that
    rounds or clips what it is given is not called.

    Args:
        scheduler: A scheduler of this library or of PyTorch, several for one optimizer, or a
            schedule.
        num_updates: How many updates the run has; by default the horizon, or, of a scheduler that
            runs on copies and is past it, as many again from where it is.
        base: For a schedule, the base value, or one for each parameter group.
        num_updates_per_epoch: For showing updates in epochs as well.
        at: For a scheduler by samples, items or seconds: where its clock was before each update,
            as ``ScheduleMonitorCallback.clocks`` has it. The preview is of these updates then, so
            there is no ``num_updates`` beside it.

    Raises:
        ValueError: If there is no horizon and no ``num_updates``, if fewer updates are asked for
            than have been made, if there are more than 20 million to run on copies, or if the
            scheduler has no plan because it follows a metric.
        TypeError: If something is neither a schedule nor a scheduler, or cannot be copied.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.preview import preview
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        >>> native = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> list(preview(native, num_updates=5)["lr"][0])
        [1.0, 1.0, 0.5, 0.5, 0.25]
        >>> optimizer.param_groups[0]["lr"]
        1.0
    """
    num_updates = checked(num_updates)
    if num_updates_per_epoch is not None:
        num_updates_per_epoch = whole("num_updates_per_epoch", num_updates_per_epoch, 1)
    if isinstance(scheduler, str):
        raise TypeError(
            f"scheduler={scheduler!r} is a string. For the schedule that it describes write "
            f"parse_schedule({scheduler!r}), from pytorch_accelerated.schedules.expression."
        )
    if at is not None and (isinstance(scheduler, Schedule) or num_updates is not None):
        instead = (
            "leave out num_updates" if num_updates is not None else "write [plan(n) for n in …]"
        )
        raise ValueError(f"at=… is where a scheduler's clock was before each update: {instead}.")
    if isinstance(scheduler, Schedule):
        result = of_schedule(scheduler, num_updates, bases_of(base))
    else:
        from pytorch_accelerated.preview.simulation import of_schedulers

        several = scheduler if isinstance(scheduler, Sequence) else [scheduler]
        result = of_schedulers(several, num_updates, at)
    result.num_updates_per_epoch = num_updates_per_epoch
    return result
