"""What a scheduler's step costs: linear warmup and cosine annealing, a rate for each group."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.measure import Makers, Measured, repeated
from benchmarks.reference import Reference

GROUPS = (1, 8, 64, 512, 4096)
WARMUP, TOTAL = 1_000, 100_000_000  # what is measured is not the time past the end


def optimizer_of(
    groups: int, tensors: bool = False, distinct: int | None = None
) -> torch.optim.Optimizer:
    """Return an optimizer with another learning rate for each group, as layer-wise decay has.

    With ``distinct``, the groups take turns with so many rates, as head and backbone have them.
    """
    rates = [1e-3 * 0.9999 ** (i % (distinct or groups)) for i in range(groups)]
    return torch.optim.SGD(
        [
            {"params": [torch.zeros(1)], "lr": torch.tensor(rate) if tensors else rate}
            for rate in rates
        ],
        momentum=0.9,
    )


def factor(update: int) -> float:
    if update < WARMUP:
        return update / WARMUP
    return 0.5 * (1.0 + math.cos(math.pi * ((update - WARMUP) / (TOTAL - WARMUP))))


def by_hand(groups: int, tensors: bool = False, distinct: int | None = None) -> Callable[[], None]:
    """Return the limit: one shared factor, and a multiplication and a store for each group."""
    optimizer = optimizer_of(groups, tensors, distinct)
    bases = [float(group["lr"]) for group in optimizer.param_groups]
    update = 0

    def step() -> None:
        nonlocal update
        update += 1
        now = factor(update)
        for group, base in zip(optimizer.param_groups, bases):  # noqa: B905  the quickest way
            group["lr"] = now * base

    def fill() -> None:
        nonlocal update
        update += 1
        now = factor(update)
        for group, base in zip(optimizer.param_groups, bases):  # noqa: B905
            group["lr"].fill_(now * base)

    return fill if tensors else step


def param_scheduler(
    groups: int, tensors: bool = False, distinct: int | None = None
) -> Callable[[], None]:
    return scheduled(optimizer_of(groups, tensors, distinct))


def scheduled(optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Return the step of our scheduler on an optimizer."""
    from pytorch_accelerated.schedulers import ParamScheduler
    from pytorch_accelerated.schedules import cosine, linear

    schedule = linear(WARMUP, start=0.0) >> cosine(TOTAL - WARMUP, end=0.0)
    return ParamScheduler(optimizer, lr=schedule).step


def one_line_subclass(groups: int) -> Callable[[], None]:
    """Return the step of a scheduler of a user's own, made in the way that is documented."""
    from pytorch_accelerated.schedulers import StatefulSchedulerBase

    class Own(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> list[float]:
            return [base * factor(num_updates) for base in self.base_lr_values]

    return Own(optimizer_of(groups)).step


def cosine_lr_scheduler(groups: int) -> Callable[[], None]:
    """Return the step of ours, or of the reference if that is what the name imports."""
    from pytorch_accelerated.schedulers import CosineLrScheduler

    return CosineLrScheduler(
        optimizer_of(groups),
        total_num_epochs=TOTAL // WARMUP,
        num_update_steps_per_epoch=WARMUP,
        num_warmup_epochs=1,
        lr_min=0.0,
        warmup_starting_lr=0.0,
    ).step


def torch_cosine(groups: int) -> Callable[[], None]:
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer_of(groups), TOTAL)
    return scheduler.step


def torch_sequential(groups: int) -> Callable[[], None]:
    optimizer = optimizer_of(groups)
    parts = [
        torch.optim.lr_scheduler.LinearLR(optimizer, 1e-9, total_iters=WARMUP),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, TOTAL - WARMUP),
    ]
    return torch.optim.lr_scheduler.SequentialLR(optimizer, parts, [WARMUP]).step


def torch_lambda(
    groups: int, tensors: bool = False, distinct: int | None = None
) -> Callable[[], None]:
    optimizer = optimizer_of(groups, tensors, distinct)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor).step


def transformers_cosine(groups: int) -> Callable[[], None]:
    from transformers import get_cosine_schedule_with_warmup

    return get_cosine_schedule_with_warmup(optimizer_of(groups), WARMUP, TOTAL).step


def ignite_cosine(groups: int) -> Callable[[], None]:
    from ignite.handlers import CosineAnnealingScheduler, create_lr_scheduler_with_warmup
    from ignite.handlers.param_scheduler import ParamGroupScheduler

    optimizer = optimizer_of(groups)
    schedulers = [
        create_lr_scheduler_with_warmup(
            CosineAnnealingScheduler(
                optimizer, "lr", group["lr"], 0.0, 2 * TOTAL, param_group_index=index
            ),
            warmup_start_value=0.0,
            warmup_duration=WARMUP,
        )
        for index, group in enumerate(optimizer.param_groups)
    ]
    return partial(ParamGroupScheduler(schedulers), None)


def timm_cosine(groups: int) -> Callable[[], None]:
    from tests.conformance.timm_parts import timm_part

    scheduler = timm_part("scheduler").CosineLRScheduler(
        optimizer_of(groups),
        t_initial=TOTAL,
        warmup_t=WARMUP,
        warmup_lr_init=0.0,
        t_in_epochs=False,
    )
    update = 0

    def step() -> None:
        nonlocal update
        update += 1
        scheduler.step_update(update)

    return step


def optax_cosine(groups: int) -> Callable[[], Any]:
    """Return a function that calls the schedule: JAX has no groups to write to."""
    import jax
    import optax

    schedule = jax.jit(optax.warmup_cosine_decay_schedule(0.0, 1e-3, WARMUP, TOTAL))
    update = 0

    def step() -> float:
        nonlocal update
        update += 1
        return float(schedule(update))

    return step


def candidates(groups: int, reference: Reference | None = None) -> Makers:
    """Return what is compared, the limit first."""
    steps: dict[str, Callable[[int], Callable[[], object]]] = {
        "by hand (the limit)": by_hand,
        "ParamScheduler": param_scheduler,
        "CosineLrScheduler": cosine_lr_scheduler,
        "a one-line subclass": one_line_subclass,
        "torch CosineAnnealingLR": torch_cosine,
        "torch SequentialLR": torch_sequential,
        "torch LambdaLR": torch_lambda,
        "transformers cosine": transformers_cosine,
        "timm CosineLRScheduler": timm_cosine,
    }
    if groups <= 8:
        # Beyond, a step of its warmup takes longer than all the others together.
        steps["ignite cosine"] = ignite_cosine
    if groups == 1:
        steps["optax, value alone"] = optax_cosine
    makers: Makers = {name: partial(_measured, make, groups) for name, make in steps.items()}
    if reference is not None:
        makers["reference CosineLrScheduler"] = partial(reference.candidate, "step", groups)
    return makers


def tensor_candidates(groups: int) -> Makers:
    """Return what is compared where learning rates are tensors; the limit is torch's fill_."""
    return {
        "fill_ by hand (the limit)": lambda: repeated(by_hand(groups, tensors=True)),
        "ParamScheduler": lambda: repeated(param_scheduler(groups, tensors=True)),
        "torch LambdaLR": lambda: _measured(partial(torch_lambda, tensors=True), groups),
    }


def few_rates(groups: int) -> Makers:
    """Return what is compared where the groups have two rates between them."""
    return {
        "by hand (the limit)": lambda: repeated(by_hand(groups, distinct=2)),
        "ParamScheduler": lambda: repeated(param_scheduler(groups, distinct=2)),
        "torch LambdaLR": lambda: _measured(partial(torch_lambda, distinct=2), groups),
    }


def of_adamw(groups: int) -> Makers:
    """Return the update of a model of a million weights, and the scheduler's step after it."""
    layers = [torch.nn.Linear(256, 256) for _ in range(16)]
    size = len(layers) // groups
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for layer in layers[i : i + size] for p in layer.parameters()]}
            for i in range(0, len(layers), size)
        ],
        lr=1e-4,
    )
    for layer in layers:
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
    return {
        "AdamW.step": lambda: repeated(optimizer.step, 0.02),
        "ParamScheduler": lambda: repeated(scheduled(optimizer)),
    }


def _measured(make: Callable[[int], Callable[[], object]], groups: int) -> Measured:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that no optimizer update was made
        return repeated(make(groups))
