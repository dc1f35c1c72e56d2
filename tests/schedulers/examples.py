"""Every kind of scheduler that exists, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    SchedulerBase,
    StatefulSchedulerBase,
    StatelessParamScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import absolute, constant, cosine, exponential, linear


class MilestoneLrScheduler(StatefulSchedulerBase):
    def __init__(self, optimizer, gamma=0.5, epoch_milestones=(2, 4, 5), num_steps_per_epoch=100):
        super().__init__(optimizer, param_group_field="lr")
        self.milestones = set(num_steps_per_epoch * milestone for milestone in epoch_milestones)
        self.gamma = gamma

    def get_updated_values(self, num_updates: int):
        if num_updates in self.milestones:
            lr_values = [group[self.param_group_field] for group in self.optimizer.param_groups]
            updated_lrs = [lr * self.gamma for lr in lr_values]
            return updated_lrs


class StepWdScheduler(StatefulSchedulerBase):
    def __init__(self, optimizer, n=1000, gamma=1.1):
        super().__init__(optimizer, param_group_field="weight_decay")
        self.n = n
        self.gamma = gamma

    def get_updated_values(self, num_updates: int):
        if num_updates % self.n == 0 and num_updates > 0:
            wd_values = [group[self.param_group_field] for group in self.optimizer.param_groups]
            updated_wd_values = [wd * self.gamma for wd in wd_values]
            return updated_wd_values


class InverseLrScheduler(StatefulSchedulerBase):
    """A pure one of a user's, whose attributes exist only after ``super().__init__()``."""

    def __init__(self, optimizer: Optimizer, timescale: int = 10) -> None:
        super().__init__(optimizer)
        self.timescale = timescale

    def get_updated_values(self, num_updates: int) -> Any:
        factor = 1 / (1 + num_updates / self.timescale)
        return (factor * base for base in self.base_lr_values)


class InverseLrStateless(SchedulerBase):
    """The stateless twin of :class:`InverseLrScheduler`."""

    def __init__(self, optimizer: Optimizer, timescale: int = 10) -> None:
        super().__init__(optimizer)
        self.timescale = timescale

    def get_updated_values(self, num_updates: int) -> Any:
        factor = 1 / (1 + num_updates / self.timescale)
        return [factor * base for base in self.base_lr_values]


@dataclass(frozen=True)
class Example:
    """A scheduler, the field to watch, and (if it is pure) what its values do not depend on."""

    name: str
    make: Callable[[Optimizer], Any]
    field: str = "lr"
    pure: bool = True
    built_in: bool = True
    horizon: int | None = None

    def __repr__(self) -> str:
        return self.name


def _cosine(optimizer: Optimizer) -> CosineLrScheduler:
    return CosineLrScheduler(optimizer, 6, 5, num_warmup_epochs=1, num_cooldown_epochs=2)


def _cosine_by_ratio(optimizer: Optimizer) -> CosineLrScheduler:
    return CosineLrScheduler(
        optimizer,
        4,
        7,
        k_decay=1.5,
        min_lr_ratio=0.01,
        num_warmup_epochs=1,
        warmup_starting_lr_ratio=0.1,
    )


def _several_fields(optimizer: Optimizer) -> ParamScheduler:
    return ParamScheduler(
        optimizer,
        lr=linear(5, start=absolute(1e-4)) >> constant(5) >> cosine(20, end=0.0),
        weight_decay=exponential(25, end=0.01),
        beta1=linear(10, end=absolute(0.5)),
    )


def _repeated(optimizer: Optimizer) -> ParamScheduler:
    return ParamScheduler(optimizer, weight_decay=cosine(5).repeat(3, length=2.0, peak=0.5))


def _wsd(optimizer: Optimizer) -> WSDLrScheduler:
    return WSDLrScheduler(
        optimizer,
        total_steps=40,
        num_warmup_steps=4,
        decay_phase_ratio=0.25,
        lr_min=0.01,
        num_checkpoints=2,
    )


def _wsd_continued(optimizer: Optimizer) -> WSDLrScheduler:
    return WSDLrScheduler(
        optimizer,
        total_steps=30,
        decay_phase_ratio=1.0,
        lr_min=0.1,
        use_inverse_sqrt_decay=False,
        is_continuation_from_checkpoint=True,
    )


def _plateau(optimizer: Optimizer) -> PlateauLrScheduler:
    return PlateauLrScheduler(optimizer, warmup=linear(7, start=0.0) >> cosine(10, end=0.1))


STATEFUL = (
    Example("cosine", _cosine, horizon=30),
    Example("cosine by ratio", _cosine_by_ratio, horizon=28),
    Example("several fields: lr", _several_fields, horizon=30),
    Example("several fields: betas", _several_fields, field="betas", horizon=30),
    Example("repeated", _repeated, field="weight_decay", horizon=35),
    Example("wsd", _wsd, horizon=40),
    Example("wsd continued", _wsd_continued, horizon=30),
    Example("plateau", _plateau, horizon=17),
    Example(
        "user's milestones",
        lambda o: MilestoneLrScheduler(o, num_steps_per_epoch=4),
        pure=False,
        built_in=False,
    ),
    Example(
        "user's weight decay",
        lambda o: StepWdScheduler(o, n=6),
        field="weight_decay",
        pure=False,
        built_in=False,
    ),
    Example("user's inverse", InverseLrScheduler, built_in=False),
)

STATELESS = (
    Example("stateless inverse", InverseLrStateless, built_in=False),
    Example(
        "stateless schedule",
        lambda o: StatelessParamScheduler(o, lr=linear(5, start=0.1) >> cosine(15)),
        horizon=20,
    ),
)
