"""Making a preview of a schedule, of a scheduler, or of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pytorch_accelerated.preview.values import Preview
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.lengths import finite, whole

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import LRScheduler

    from pytorch_accelerated.preview.comparison import Applied
    from pytorch_accelerated.preview.plot import Picture
    from pytorch_accelerated.schedulers import AttributeScheduler, SchedulerBase

    Scheduler: TypeAlias = "SchedulerBase | AttributeScheduler | LRScheduler"

MOST_UPDATES = 20_000_000  # of which every value is held in memory


def preview(
    scheduler: Schedule | Scheduler | Sequence[Scheduler],
    num_updates: int | None = None,
    *,
    base: float | Sequence[float] = 1.0,
    num_updates_per_epoch: int | None = None,
) -> Preview:
    """Return the exact values that updates 0 … ``num_updates`` − 1 run with.

    Nothing real is touched. Built-in schedulers evaluate their schedules, by the very functions
    that training calls. A scheduler of your own or of PyTorch runs on copies of the optimizer's
    parameter groups, from the update where it is now; the preview's ``first_update`` says which.
    Several schedulers are shown from where all of them are.
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

    Raises:
        ValueError: If there is no horizon and no ``num_updates``, if fewer updates are asked for
            than have been made, if they are more than 20 million, or if the scheduler has no plan
            because it follows a metric.
        TypeError: If something is no schedule or scheduler, or cannot be copied.

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
    if num_updates is not None:
        num_updates = whole("num_updates", num_updates, 1)
    if num_updates_per_epoch is not None:
        num_updates_per_epoch = whole("num_updates_per_epoch", num_updates_per_epoch, 1)
    if isinstance(scheduler, str):
        raise TypeError(
            f"scheduler={scheduler!r} is a string. For the schedule that it describes write "
            f"parse_schedule({scheduler!r}), from pytorch_accelerated.schedules.expression."
        )
    if isinstance(scheduler, Schedule):
        result = _of_schedule(scheduler, num_updates, base)
    else:
        from pytorch_accelerated.preview.simulation import of_schedulers

        several = scheduler if isinstance(scheduler, Sequence) else [scheduler]
        result = of_schedulers(several, num_updates)
    result.num_updates_per_epoch = num_updates_per_epoch
    return result


def _of_schedule(
    schedule: Schedule, num_updates: int | None, base: float | Sequence[float]
) -> Preview:
    bases = _bases(base)
    schedule.coefficients(0)  # one that is still relative says so
    num_updates = updates_of(schedule, num_updates, schedule.horizon)
    check_number(num_updates)
    columns = schedule._columns(num_updates, bases)
    phases = schedule._rows_within(num_updates)
    return Preview({"value": columns}, phases={"value": [phases] * len(bases)})


def _bases(base: float | Sequence[float]) -> list[float]:
    bases = [finite("base", one) for one in (base if isinstance(base, Sequence) else [base])]
    if not bases:
        raise ValueError("base=[] is empty: write a base value for each parameter group.")
    return bases


def plot_schedule(
    schedule: Schedule,
    num_updates: int | None = None,
    base: float | Sequence[float] = 1.0,
    applied: Applied | None = None,
    **options: Any,
) -> Picture:
    """Draw a schedule; see :meth:`Schedule.plot`. A plan that is too long is sampled."""
    from pytorch_accelerated.preview.sampled import Sampled, shown_of

    if num_updates is None and schedule.horizon is not None:
        num_updates = shown_of(schedule.horizon)
    if num_updates is None or applied is not None or num_updates <= MOST_UPDATES:
        return preview(schedule, num_updates, base=base).plot(applied, **options)
    schedule.coefficients(0)  # one that is still relative says so
    return Sampled(schedule, whole("num_updates", num_updates), _bases(base)).plot(**options)


def check_number(num_updates: int) -> None:
    """Raise if so many updates are too many to show."""
    if num_updates > MOST_UPDATES:
        raise ValueError(
            f"{num_updates:,} updates are too many to show; {MOST_UPDATES:,} are allowed. Write a "
            "smaller num_updates=…, or draw the schedule with its plot(), which looks at a few "
            "of its updates."
        )


def updates_of(what: object, num_updates: int | None, horizon: int | None) -> int:
    """Return how many updates to show; raise if nothing says so."""
    number = horizon if num_updates is None else num_updates
    if number is None:
        name = repr(what) if isinstance(what, Schedule) else f"{type(what).__name__}"
        raise ValueError(
            f"{name} does not say how many updates it is for: write num_updates=…, for example "
            "the number of updates in the run."
        )
    return max(number, 1)
