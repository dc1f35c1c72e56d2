"""Warmup, stable, decay, with checkpoints on the way, for the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch.optim import Optimizer

from pytorch_accelerated.checks import whole
from pytorch_accelerated.placeholders import TrainerPlaceholderValues
from pytorch_accelerated.schedulers.cosine_scheduler import (
    in_epochs,
    not_negative,
    share,
    updates_in,
)
from pytorch_accelerated.schedulers.for_runs import (
    arguments_of,
    show_arguments,
)
from pytorch_accelerated.schedulers.param_scheduler import ParamScheduler
from pytorch_accelerated.schedulers.plans import FieldSchedules
from pytorch_accelerated.schedulers.state import check_count
from pytorch_accelerated.schedules import (
    Schedule,
    Sequence,
    absolute,
    constant,
    inverse_proportional,
    linear,
    sqrt,
)
from pytorch_accelerated.schedules.terms import exact


class WSDLrScheduler(ParamScheduler):
    """Linear warmup, a stable phase, and a decay before each checkpoint, for the learning rate.

    The checkpoints divide the run into periods, each of which ends with a decayed model. With W
    the updates of warmup, a period from s to e with ``D = int((e − s) · decay_phase_ratio)``,
    m the minimum as a fraction of the base, and update k:

    * ``start + (base − start) · k / W`` for k < W,
    * ``base`` for s ≤ k < e − D,
    * ``base · (m + (1 − m) · (1 − √t))`` or ``base / (t / m + 1 − t)`` with
      ``t = (k − (e − D)) / D`` for e − D ≤ k < e,
    * ``base`` again at k = e, where the next period starts; ``base · m`` from the last e on, also
      past it (``base`` if D is 0, as nothing decays then).

    For m = 0 the second formula is its own limit: base at t = 0, and 0 for t > 0. No decay begins
    before the end of warmup: it is shorter then.

    **Continuing.** The state is a position, and the arguments given now count: to continue to a
    longer total, make the scheduler with a larger ``total_steps`` and load the state. With
    ``is_continuation_from_checkpoint`` there is no warmup, and the run continues at the base value
    whatever is planned around the position: no decay begins before it. The count continues as well;
    to count anew, with ``total_steps`` updates still to come, do not load the scheduler's state.
    With ``num_checkpoints=1`` the stable phase lasts right up to the last decay.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        num_epochs: Epochs of the whole, warmup included; together with the next one.
        num_update_steps_per_epoch: Optimizer updates in an epoch.
        total_steps: Updates of the whole, instead of the two before.
        num_warmup_steps: Updates of warmup; None for int(1 % of the total).
        decay_phase_ratio: The share of each period that decays, in [0, 1]; with several
            checkpoints at most 1/3.
        lr_min: The minimum, as a fraction of each group's base value, in [0, 1].
        warmup_starting_lr: Where warmup starts, in the units of the learning rate.
        use_inverse_sqrt_decay: Whether to decay by the first formula ("1 − sqrt") or the second
            (inverse proportional).
        num_checkpoints: How many periods; see :func:`estimate_checkpoint_steps`.
        is_continuation_from_checkpoint: Whether this continues from a checkpoint, without warmup.

    Raises:
        ValueError: If the total is not given in one of the two ways, a number is out of its
            range, warmup is longer than the first period, or (with a warmup) it starts above
            the base value of every group.
        TypeError: If something is not a number, or a count not an integer.

    References:
        WSD, Hu et al., arXiv:2404.06395; the "1 − sqrt" decay, Hägele et al., arXiv:2405.18392;
        several periods in one run and the inverse proportional decay (WSD-S), Wen et al.,
        arXiv:2410.05192.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import WSDLrScheduler
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> scheduler = WSDLrScheduler(
        ...     optimizer, total_steps=200, num_warmup_steps=10, num_checkpoints=2, lr_min=0.0
        ... )
        >>> scheduler.get_checkpoint_steps()
        [100, 200]
        >>> [round(scheduler.get_updated_values(k)[0], 4) for k in (0, 10, 90, 99, 100, 190, 200)]
        [0.0, 0.1, 0.1, 0.0051, 0.1, 0.1, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        num_epochs: float | None = None,
        num_update_steps_per_epoch: int | None = None,
        total_steps: int | None = None,
        num_warmup_steps: int | None = 0,
        decay_phase_ratio: float = 0.1,
        lr_min: float = 1e-6,
        warmup_starting_lr: float = 1e-6,
        use_inverse_sqrt_decay: bool = True,
        num_checkpoints: int = 1,
        is_continuation_from_checkpoint: bool = False,
    ) -> None:
        self.total_steps = _total(num_epochs, num_update_steps_per_epoch, total_steps)
        self.decay_phase_ratio = share("decay_phase_ratio", decay_phase_ratio)
        self.lr_min = share("lr_min", lr_min)
        self.warmup_starting_lr = not_negative("warmup_starting_lr", warmup_starting_lr)
        self.use_inverse_sqrt_decay = _flag("use_inverse_sqrt_decay", use_inverse_sqrt_decay)
        self.num_checkpoints = whole("num_checkpoints", num_checkpoints, 1)
        self.is_continuation_from_checkpoint = _flag(
            "is_continuation_from_checkpoint", is_continuation_from_checkpoint
        )
        if num_warmup_steps is None:
            num_warmup_steps = self.total_steps // 100
        self.num_warmup_steps = whole("num_warmup_steps", num_warmup_steps)
        self._continuation: dict[str, int] | None = None
        if self.is_continuation_from_checkpoint:
            self.num_warmup_steps = 0
            self._continuation = {"start": 0, "total_steps": self.total_steps}
        if self.num_checkpoints > 1 and 3 * exact(self.decay_phase_ratio) > 1:
            raise ValueError(
                f"decay_phase_ratio={decay_phase_ratio!r} with num_checkpoints={num_checkpoints!r} "
                "leaves too little of each period stable; it has to be at most 1/3 with several "
                "checkpoints."
            )
        first = self.get_checkpoint_steps()[0]
        if self.num_warmup_steps > first:
            raise ValueError(
                f"num_warmup_steps={num_warmup_steps!r} is longer than the first period, which "
                f"ends at update {first} of {self.total_steps}. Write a smaller number, or fewer "
                "checkpoints."
            )
        super().__init__(optimizer, lr=self._schedule(self._continuation))
        highest = max(self.base_lr_values)
        if self.num_warmup_steps and self.warmup_starting_lr > highest:
            raise ValueError(
                f"warmup_starting_lr={warmup_starting_lr!r} is above the base value of every "
                f"parameter group, of which the highest is {highest!r}. Write a smaller one."
            )

    # _continuation is left out on purpose: it belongs to the state.
    _own_attributes = ParamScheduler._own_attributes | arguments_of(__init__)

    def _schedule(self, continuation: Mapping[str, int] | None) -> Schedule:
        parts: list[Schedule] = []
        if self.num_warmup_steps:
            start = absolute(self.warmup_starting_lr)
            parts.append(linear(self.num_warmup_steps, start=start, end=1.0))
        position = self.num_warmup_steps
        for period in self._periods(continuation):
            parts.append(constant(period["pre_decay_step"] - position, value=1.0))
            parts.extend(self._decay(period["decay_steps"]))
            position = period["period_end"]
        return Sequence(tuple(parts))

    def _decay(self, num_updates: int) -> list[Schedule]:
        if num_updates == 0:
            return []
        if self.use_inverse_sqrt_decay:
            return [sqrt(num_updates, start=1.0, end=self.lr_min)]
        if self.lr_min == 0.0:
            return [constant(1, value=1.0), constant(num_updates - 1, value=0.0)]
        return [inverse_proportional(num_updates, start=1.0, end=self.lr_min)]

    def _periods(self, continuation: Mapping[str, int] | None) -> list[dict[str, int]]:
        continued_at = continuation["start"] if continuation else 0
        ratio = exact(self.decay_phase_ratio)
        periods = []
        start = 0
        for end in self.get_checkpoint_steps():
            stable_from = continued_at if start <= continued_at < end else 0
            pre_decay_step = max(
                end - int((end - start) * ratio), stable_from, self.num_warmup_steps
            )
            periods.append(
                {
                    "period_start": start,
                    "period_end": end,
                    "decay_steps": end - pre_decay_step,
                    "pre_decay_step": pre_decay_step,
                }
            )
            start = end
        return periods

    def get_checkpoint_steps(self) -> list[int]:
        """Return the updates at which the periods end, each with a decayed model."""
        return estimate_checkpoint_steps(self.total_steps, self.num_checkpoints)

    def get_decay_info(self) -> list[dict[str, int]]:
        """Return, for each period, where it starts, ends and begins to decay, in updates.

        Returns:
            Dictionaries with ``period_start``, ``period_end``, ``decay_steps`` (how many updates
            decay) and ``pre_decay_step`` (after how many updates the decay begins: the moment
            for a checkpoint to continue from).
        """
        return self._periods(self._continuation)

    def get_phase_info(self, num_updates: int) -> dict[str, int]:
        """Return the period that a number of updates made belongs to.

        Args:
            num_updates: How many updates have been made; the end of a period belongs to it, and
                anything past the last one to the last.

        Returns:
            As one entry of :meth:`get_decay_info`.
        """
        num_updates = whole("num_updates", num_updates)
        periods = self.get_decay_info()
        return next((p for p in periods if p["period_end"] >= num_updates), periods[-1])

    def get_current_step(self) -> int:
        """Return how many updates have been made."""
        return self.num_updates

    def get_current_phase_info(self) -> dict[str, int]:
        """Return the period that the updates made so far belong to."""
        return self.get_phase_info(self.num_updates)

    def _restore(self, checked: dict[str, Any]) -> None:
        saved = checked["attributes"].pop("_continuation", None)
        continuation = None
        if self.is_continuation_from_checkpoint:
            # A state of this very continuation is resumed; any other one is continued from.
            start = checked["num_updates"]
            if isinstance(saved, Mapping) and saved.get("total_steps") == self.total_steps:
                start = saved.get("start")
                check_count("_continuation start", start)
            else:
                checked["plan"] = []  # another one is what was asked for
            continuation = {"start": start, "total_steps": self.total_steps}
        own = FieldSchedules(self._fields["lr"], self._schedule(continuation))
        vars(self).update(_schedules=[own], _continuation=continuation)
        super()._restore(checked)

    @classmethod
    def create_scheduler_fn(
        cls, *arguments: Any, **keywords: Any
    ) -> Callable[[Optimizer], WSDLrScheduler]:
        """Return a factory for :meth:`Trainer.train`, which fills in the run's own lengths.

        Its arguments are those of the class, without the optimizer, but ``total_num_epochs``, the
        run's by default, in place of the total, and ``num_warmup_epochs``, None for 1 % of the
        total, in place of the updates of warmup.

        Example:
            >>> from pytorch_accelerated.schedulers import WSDLrScheduler
            >>> create_scheduler_fn = WSDLrScheduler.create_scheduler_fn(num_checkpoints=2)
        """
        own = _ARGUMENTS.bind_partial(*arguments, **keywords).arguments
        return in_epochs(partial(_in_updates, cls), own, _OF_THE_RUN, ("num_warmup_epochs",))


_OF_THE_RUN = {
    "total_num_epochs": TrainerPlaceholderValues.NUM_EPOCHS,
    "num_update_steps_per_epoch": TrainerPlaceholderValues.PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH,
}
_ARGUMENTS = show_arguments(
    WSDLrScheduler,
    {**_OF_THE_RUN, "num_warmup_epochs": None},
    left_out=("num_epochs", "total_steps", "num_warmup_steps"),
)


def estimate_checkpoint_steps(total_steps: int, num_checkpoints: int = 3) -> list[int]:
    """Return the updates at which checkpoints are due: each twice the one before, up to the total.

    ``step(i) = ⌊total / 2^(n − 1 − i)⌋`` for i = 0, …, n − 1. Those that would be 0 are left out,
    so a short run has fewer.

    Args:
        total_steps: Updates of the whole, at least one.
        num_checkpoints: How many checkpoints, at least one.

    Raises:
        ValueError: If a number is below 1.
        TypeError: If a number is not an integer.

    Example:
        >>> from pytorch_accelerated.schedulers.wsd_scheduler import estimate_checkpoint_steps
        >>> estimate_checkpoint_steps(200_000, num_checkpoints=4)
        [25000, 50000, 100000, 200000]
    """
    total_steps = whole("total_steps", total_steps, 1)
    num_checkpoints = whole("num_checkpoints", num_checkpoints, 1)
    halvings = range(min(num_checkpoints, total_steps.bit_length()))
    return [total_steps >> halving for halving in reversed(halvings)]


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}={value!r} has to be True or False.")
    return value


def _in_updates(
    cls: type[WSDLrScheduler],
    optimizer: Optimizer,
    *,
    total_num_epochs: float,
    num_update_steps_per_epoch: int,
    num_warmup_epochs: float | None = None,
    **own: Any,
) -> WSDLrScheduler:
    steps = whole("num_update_steps_per_epoch", num_update_steps_per_epoch, 1)
    total = updates_in("total_num_epochs", total_num_epochs, steps, is_total=True)
    warmup = None
    if num_warmup_epochs is not None:
        warmup = updates_in("num_warmup_epochs", num_warmup_epochs, steps)
    return cls(optimizer, total_steps=total, num_warmup_steps=warmup, **own)


def _total(
    num_epochs: float | None, num_update_steps_per_epoch: int | None, total_steps: int | None
) -> int:
    by_epoch = (num_epochs, num_update_steps_per_epoch)
    if total_steps is None and None not in by_epoch:
        steps = whole("num_update_steps_per_epoch", num_update_steps_per_epoch, 1)
        return updates_in("num_epochs", num_epochs, steps, is_total=True)
    if total_steps is not None and by_epoch == (None, None):
        return whole("total_steps", total_steps, 1)
    raise ValueError(
        f"num_epochs={num_epochs!r}, num_update_steps_per_epoch={num_update_steps_per_epoch!r} and "
        f"total_steps={total_steps!r}: write either total_steps, or both of the others."
    )
