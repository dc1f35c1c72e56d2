"""Warmup, cosine annealing, cooldown, for the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch.optim import Optimizer

from pytorch_accelerated.checks import finite, whole
from pytorch_accelerated.placeholders import TrainerPlaceholderValues
from pytorch_accelerated.schedulers.for_runs import HORIZON, PER_EPOCH, show_arguments
from pytorch_accelerated.schedulers.param_scheduler import ParamScheduler
from pytorch_accelerated.schedules import absolute, constant, cosine, linear
from pytorch_accelerated.schedules.terms import exact


class CosineLrScheduler(ParamScheduler):
    """Linear warmup, cosine annealing, and a cooldown at the minimum, for the learning rate.

    With T, W and C the updates of the whole, of warmup and of cooldown, and update k:

    * ``start + (base − start) · k / W`` for k < W,
    * ``min + (base − min) · (1 + cos(π · p^k_decay)) / 2`` with ``p = (k − W) / (T − W − C)``
      for W ≤ k < T − C,
    * ``min`` from T − C on, also past T.

    ``base`` is what the group held in ``lr`` at first, and is reached exactly at k = W where there
    is anything to anneal, W < T − C.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        total_num_epochs: Epochs of the whole, warmup and cooldown included.
        num_update_steps_per_epoch: Optimizer updates in an epoch.
        k_decay: The power of the progress; above 1 the rate stays high for longer.
        lr_min: The minimum, in the units of the learning rate.
        min_lr_ratio: The minimum as a multiple of each group's base; wins over ``lr_min``.
        num_warmup_epochs: Epochs of warmup.
        warmup_starting_lr: Where warmup starts, in the units of the learning rate.
        warmup_starting_lr_ratio: Where warmup starts, as a multiple of each group's base; wins
            over ``warmup_starting_lr``.
        num_cooldown_epochs: Epochs at the minimum at the end.

    Raises:
        ValueError: If a number is negative or not finite, there are no epochs or updates, an
            epoch count does not make a whole number of updates, warmup and cooldown exceed the
            whole, or the minimum or the start of warmup is above a group's base value.
        TypeError: If something is not a number.

    References:
        SGDR (here without restarts), Loshchilov and Hutter, arXiv:1608.03983; k-decay, Zhang and
        Li, arXiv:2004.05909.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import CosineLrScheduler
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> scheduler = CosineLrScheduler(
        ...     optimizer,
        ...     total_num_epochs=10,
        ...     num_update_steps_per_epoch=10,
        ...     num_warmup_epochs=2,
        ...     num_cooldown_epochs=2,
        ... )
        >>> [round(scheduler.get_updated_values(k)[0], 6) for k in (0, 10, 20, 50, 80, 100)]
        [1e-06, 0.050001, 0.1, 0.05, 1e-06, 1e-06]
    """

    _own_attributes = ParamScheduler._own_attributes | {
        "total_iterations",
        "warmup_iterations",
        "num_cooldown_iterations",
        "k_decay",
        "lr_min",
        "lr_min_ratio",
        "warmup_lr_init",
        "warmup_lr_ratio",
    }

    def __init__(
        self,
        optimizer: Optimizer,
        total_num_epochs: float,
        num_update_steps_per_epoch: int,
        k_decay: float = 1.0,
        lr_min: float = 1e-6,
        min_lr_ratio: float | None = None,
        num_warmup_epochs: float = 0,
        warmup_starting_lr: float = 1e-6,
        warmup_starting_lr_ratio: float | None = None,
        num_cooldown_epochs: float = 0,
    ) -> None:
        steps = whole("num_update_steps_per_epoch", num_update_steps_per_epoch, 1)
        self.total_iterations = updates_in(
            "total_num_epochs", total_num_epochs, steps, is_total=True
        )
        self.warmup_iterations = updates_in("num_warmup_epochs", num_warmup_epochs, steps)
        self.num_cooldown_iterations = updates_in("num_cooldown_epochs", num_cooldown_epochs, steps)
        self.k_decay = finite("k_decay", k_decay)
        if self.k_decay <= 0.0:
            raise ValueError(f"k_decay={k_decay!r} has to be above 0; 1 is the plain cosine.")
        self.lr_min = not_negative("lr_min", lr_min)
        self.lr_min_ratio = None if min_lr_ratio is None else share("min_lr_ratio", min_lr_ratio)
        self.warmup_lr_init = not_negative("warmup_starting_lr", warmup_starting_lr)
        self.warmup_lr_ratio = (
            None
            if warmup_starting_lr_ratio is None
            else share("warmup_starting_lr_ratio", warmup_starting_lr_ratio)
        )
        annealing = self.total_iterations - self.warmup_iterations - self.num_cooldown_iterations
        if annealing < 0:
            raise ValueError(
                f"num_warmup_epochs={num_warmup_epochs!r} and num_cooldown_epochs="
                f"{num_cooldown_epochs!r} are longer than total_num_epochs={total_num_epochs}, "
                "which includes both."
            )
        minimum: Any = self.lr_min_ratio
        if minimum is None:
            minimum = absolute(self.lr_min)
        start: Any = self.warmup_lr_ratio
        if start is None:
            start = absolute(self.warmup_lr_init)
        super().__init__(
            optimizer,
            lr=linear(self.warmup_iterations, start=start, end=1.0)
            >> cosine(annealing, end=minimum, k=self.k_decay)
            >> constant(self.num_cooldown_iterations),
        )
        for index, base in enumerate(self.base_lr_values):
            if self.lr_min_ratio is None and self.lr_min > base:
                raise ValueError(
                    f"lr_min={lr_min!r} is above the base value {base!r} of parameter group "
                    f"{index}. Write a smaller lr_min, or a min_lr_ratio of at most 1."
                )
            above = self.warmup_lr_ratio is None and self.warmup_lr_init > base
            if self.warmup_iterations and above:
                raise ValueError(
                    f"warmup_starting_lr={warmup_starting_lr!r} is above the base value {base!r} "
                    f"of parameter group {index}. Write a smaller one, or a "
                    "warmup_starting_lr_ratio of at most 1."
                )

    @classmethod
    def create_scheduler_fn(
        cls, *arguments: Any, **keywords: Any
    ) -> Callable[[Optimizer], CosineLrScheduler]:
        """Return a factory for :meth:`Trainer.train`, which fills in the run's own lengths.

        Its arguments are those of the class, without the optimizer; the epochs and the updates in
        one are the run's by default. Then only warmup and cooldown, which are in epochs, need to
        know how many updates an epoch has.

        Example:
            >>> from pytorch_accelerated.schedulers import CosineLrScheduler
            >>> create_scheduler_fn = CosineLrScheduler.create_scheduler_fn(num_warmup_epochs=5)
        """
        own = _ARGUMENTS.bind_partial(*arguments, **keywords).arguments
        return in_epochs(cls, own, _OF_THE_RUN, ("num_warmup_epochs", "num_cooldown_epochs"))


_OF_THE_RUN = {
    "total_num_epochs": TrainerPlaceholderValues.NUM_EPOCHS,
    "num_update_steps_per_epoch": PER_EPOCH,
}
_ARGUMENTS = show_arguments(CosineLrScheduler, _OF_THE_RUN)


def in_epochs(
    make: Callable[..., Any],
    own: dict[str, Any],
    of_the_run: Mapping[str, Any],
    others: Sequence[str],
) -> Callable[[Optimizer], Any]:
    """Return a factory that calls ``make`` with lengths in epochs, those of the run by default.

    A whole run needs no more than its horizon, unless there are ``others`` in epochs, too.
    """
    if any(own.get(name, default) != default for name, default in of_the_run.items()):
        return partial(make, **{**of_the_run, **own})
    own = {name: value for name, value in own.items() if name not in of_the_run}
    steps = PER_EPOCH if any(own.get(name) for name in others) else 1
    return partial(_over_epochs, make, horizon=HORIZON, steps=steps, **own)


def _over_epochs(make: Any, optimizer: Optimizer, *, horizon: Any, steps: Any, **own: Any) -> Any:
    from fractions import Fraction  # on use: its import takes 5 ms

    lengths = {
        "total_num_epochs": Fraction(horizon, steps),
        "num_update_steps_per_epoch": steps,
    }
    return make(optimizer, **lengths, **own)


def updates_in(
    name: str, epochs: object, num_updates_per_epoch: int, is_total: bool = False
) -> int:
    """Return the updates in so many epochs; raise if that is not a whole number, or not a total."""
    from fractions import Fraction  # on use: its import takes 5 ms

    number = epochs if isinstance(epochs, Fraction) else exact(finite(name, epochs))
    if number < 0 or (is_total and number == 0):
        least = "above 0" if is_total else "0 or more"
        raise ValueError(f"{name}={epochs!r} has to be {least}.")
    updates = number * num_updates_per_epoch
    if updates.denominator != 1:
        raise ValueError(
            f"{name}={epochs!r} at {num_updates_per_epoch} updates per epoch are "
            f"{float(updates)!r} updates, which is not a whole number. Write a fraction that gives "
            f"one, such as Fraction({round(updates)}, {num_updates_per_epoch})."
        )
    return int(updates)


def not_negative(name: str, value: object) -> float:
    """Return ``value`` as a float; raise if it is negative or not a finite number."""
    number = finite(name, value)
    if number < 0.0:
        raise ValueError(f"{name}={value!r} is negative; it has to be 0 or more.")
    return number


def share(name: str, value: object) -> float:
    """Return ``value`` as a float; raise if it is not a number in [0, 1]."""
    number = not_negative(name, value)
    if number > 1.0:
        raise ValueError(f"{name}={value!r} is above 1; it is a share and has to be in [0, 1].")
    return number
