"""A warmup, then reductions where a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, SupportsFloat

from torch import Tensor
from torch.optim import Optimizer

from pytorch_accelerated.checks import whole, wrong_kind
from pytorch_accelerated.schedulers.cosine_scheduler import not_negative
from pytorch_accelerated.schedulers.for_runs import arguments_of, for_the_run, show_arguments
from pytorch_accelerated.schedulers.param_scheduler import ParamScheduler
from pytorch_accelerated.schedulers.plans import Plan, checked_plan, schedules_in
from pytorch_accelerated.schedulers.state import check_count, damaged
from pytorch_accelerated.schedules import constant

_COUNTS = ("num_bad_reports", "cooldown_counter", "num_reductions")


class PlateauLrScheduler(ParamScheduler):
    """A warmup, then a reduction whenever a metric has stopped improving, in one object.

    Call :meth:`step` after each optimizer update, and :meth:`report` with the metric after each
    evaluation. With r the reductions so far, v(k) the warmup's value at update k (the base value
    from its end on), and update k:

    ``value(k) = max(v(k) · factor^r, min(v(k), min_lr))``

    So a reduction never goes below ``min_lr``, and never lifts a warmup that is still below it.
    A report counts as *bad* unless it is better than the best one so far by more than the
    threshold; NaN is never better. One bad report more than ``patience`` in a row makes a
    reduction, which is in force at once. Reports made before the warmup is over do not count.

    As with PyTorch's ``ReduceLROnPlateau``, ``step(metric)`` is a report; without a warmup it may
    be the only call. There is no ``eps``: the floor is reached exactly.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        mode: ``"min"`` if a lower metric is better, ``"max"`` if a higher one is.
        factor: What a reduction multiplies the rate with, at least 0 and below 1.
        patience: How many bad reports in a row are let pass.
        threshold: By how much a report has to be better than the best so far.
        threshold_mode: ``"rel"`` for a threshold relative to the best so far (its absolute value,
            so that a negative metric works too), ``"abs"`` for one in the metric's units.
        cooldown: How many reports after a reduction never count as bad.
        min_lr: The floor, in the units of the field; a list has one for each group, of which the
            last also holds for groups that are added later.
        warmup: A schedule with an end, or several as for :class:`ParamScheduler`; none by default.
        param_group_field: The field that is reduced: the learning rate, or any other.

    Raises:
        ValueError: If a number or name is not one of those allowed, or the warmup has no end.
        TypeError: If something is not a number, a count not an integer, or the warmup not a
            schedule.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.schedulers import PlateauLrScheduler
        >>> from pytorch_accelerated.schedules import linear
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> scheduler = PlateauLrScheduler(
        ...     optimizer, patience=1, factor=0.5, warmup=linear(2, start=0.0)
        ... )
        >>> for loss in (3.0, 2.0, 1.0, 1.0, 1.0):
        ...     optimizer.step()
        ...     scheduler.step()
        ...     reduced = scheduler.report(loss)
        ...     print(optimizer.param_groups[0]["lr"])
        0.05
        0.1
        0.1
        0.1
        0.05
    """

    _kind_of_state = "plateau"

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Iterable[float] = 0.0,
        warmup: Plan | None = None,
        param_group_field: str = "lr",
    ) -> None:
        self.mode = _one_of("mode", mode, "min", "max")
        self.factor = not_negative("factor", factor)
        if self.factor >= 1.0:
            raise ValueError(f"factor={factor!r} has to be below 1: it reduces the rate.")
        self.patience = whole("patience", patience)
        self.threshold = not_negative("threshold", threshold)
        self.threshold_mode = _one_of("threshold_mode", threshold_mode, "rel", "abs")
        self.cooldown = whole("cooldown", cooldown)
        self.min_lr: float | list[float] = (
            [not_negative("min_lr", floor) for floor in min_lr]
            if isinstance(min_lr, Iterable) and getattr(min_lr, "ndim", 1) != 0
            else not_negative("min_lr", min_lr)
        )
        #: The best metric reported so far; None before the first.
        self.best: float | None = None
        #: How many reports in a row were no improvement.
        self.num_bad_reports = 0
        #: How many reports to come never count as bad.
        self.cooldown_counter = 0
        #: How many times the rate was reduced.
        self.num_reductions = 0
        if warmup is None:
            warmup = constant(0)
        if not isinstance(param_group_field, str):
            raise wrong_kind("param_group_field", param_group_field, "a name, such as 'lr'.")
        plans: dict[str, Any] = {param_group_field: checked_plan("warmup", warmup)}
        super().__init__(optimizer, **plans)
        self._starts_at = 0
        for schedule in schedules_in(self.schedules[param_group_field]):
            if schedule.horizon is None:
                raise ValueError(
                    f"warmup={schedule!r} never ends, so no reduction would ever follow it. Give "
                    "it a length, for example from_function(f, length=1_000)."
                )
            self._starts_at = max(self._starts_at, schedule.horizon)
        bases = self.base_lr_values
        if isinstance(self.min_lr, list) and len(self.min_lr) != len(bases):
            raise ValueError(
                f"min_lr={self.min_lr!r} has {len(self.min_lr)} numbers, but there are "
                f"{len(bases)} parameter groups. Write one number for all groups, or one for each."
            )

    _own_attributes = ParamScheduler._own_attributes | {"_starts_at"} | arguments_of(__init__)

    def get_updated_values(self, num_updates: int) -> list[float]:
        """Return the values for update ``num_updates``, with the reductions made so far."""
        values: list[float] = super().get_updated_values(num_updates)
        if not self.num_reductions:
            return values
        share = self.factor**self.num_reductions
        floors = self._floors(len(values))
        return [
            None if value is None else max(value * share, min(value, floor))
            for value, floor in zip(values, floors, strict=True)
        ]

    def _floors(self, count: int) -> list[float]:
        if not isinstance(self.min_lr, list):
            return [self.min_lr] * count
        return (self.min_lr + self.min_lr[-1:] * count)[:count]

    def step(  # type: ignore[override]
        self, metrics: SupportsFloat | None = None, epoch: int | None = None
    ) -> None:
        """Put the values for the next update in force; call it after each optimizer update.

        Args:
            metrics: A metric; with one, this is a :meth:`report` and no update, as in PyTorch's
                ``ReduceLROnPlateau``.
            epoch: As in PyTorch's schedulers, a count to go to instead of the next one.

        Raises:
            ValueError: If there is both a metric and a count, or one of them makes no sense.
        """
        if metrics is None:
            super().step(epoch)
        elif epoch is None:
            self.report(metrics)
        else:
            raise ValueError(
                f"step(metrics={metrics!r}, epoch={epoch!r}): a metric is reported, or a count "
                "gone to, not both at once."
            )

    def report(self, metric: SupportsFloat) -> bool:
        """Take note of a metric, and reduce the rate if it is on a plateau.

        Args:
            metric: A number, or a tensor of one element. NaN counts as bad.

        Returns:
            Whether the rate was reduced.

        Raises:
            TypeError: If ``metric`` is not a number; then nothing has changed.
        """
        value = _metric(metric)
        if self.num_updates < self._starts_at:
            return False
        before = self._memory()
        if self._is_better(value):
            self.best = value
            self.num_bad_reports = 0
        else:
            self.num_bad_reports += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_reports = 0
        if self.num_bad_reports <= self.patience:
            return False
        self.num_bad_reports = 0
        self.cooldown_counter = self.cooldown
        self.num_reductions += 1
        try:
            self.step_update(self.num_updates)
        except BaseException:
            vars(self).update(before)
            raise
        return True

    def _is_better(self, metric: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.best is None:
            return sign * metric < math.inf
        best = sign * self.best
        if self.threshold_mode == "abs":
            return sign * metric < best - self.threshold
        # Relative to |best|: times 1 − threshold, a negative best would be easier to beat, not
        # harder, and every report an improvement.
        margin = 1.0 - self.threshold if best >= 0.0 else 1.0 + self.threshold
        return sign * metric < best * margin

    def _memory(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("best", *_COUNTS)}

    def _restore(self, checked: dict[str, Any]) -> None:
        if not self._has_values_of_its_own:
            memory = checked["attributes"]
            for name in _COUNTS:
                check_count(name, memory.get(name))
            best = memory.get("best")
            if best is not None and not (type(best) in (int, float) and best == best):
                raise damaged("best", best, "a number, or None before the first report")
        super()._restore(checked)

    @classmethod
    def create_scheduler_fn(
        cls, *arguments: Any, **keywords: Any
    ) -> Callable[[Optimizer], PlateauLrScheduler]:
        """Return a factory for :meth:`Trainer.train`; a relative warmup gets the run's horizon.

        Its arguments are those of the class, without the optimizer; the warmup's length may be a
        share of the run, or ``epochs(n)``.

        Example:
            >>> from pytorch_accelerated.schedulers import PlateauLrScheduler
            >>> from pytorch_accelerated.schedules import epochs, linear
            >>> create_scheduler_fn = PlateauLrScheduler.create_scheduler_fn(
            ...     patience=2, warmup=linear(epochs(1), start=0.0)
            ... )
        """
        own = _ARGUMENTS.bind_partial(*arguments, **keywords).arguments
        return for_the_run(cls, {"warmup": own.pop("warmup", None)}, **own)


_ARGUMENTS = show_arguments(PlateauLrScheduler, {})


def _one_of(name: str, value: str, *allowed: str) -> str:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} has to be {' or '.join(map(repr, allowed))}.")
    return value


def _metric(value: Any) -> float:
    if not isinstance(value, bool | str | bytes):
        try:
            return float(value.detach() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            pass
    raise TypeError(f"metric={value!r} has to be a number, or a tensor of one element.")
