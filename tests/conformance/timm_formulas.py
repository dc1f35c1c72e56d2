"""timm's schedules from their documented closed forms, where timm itself cannot be installed.

Each factory takes timm's arguments and returns the value at update t for a base value. What timm
counts in epochs is counted in updates here.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

Formula = Callable[[int, float], float]


def _after_warmup(
    decay: Formula, warmup_t: int, warmup_lr_init: float, warmup_prefix: bool
) -> Formula:
    """Rise by equal steps to the base value for ``warmup_t`` updates, then decay.

    With ``warmup_prefix`` the decay's own clock starts after the warmup, else at update 0.
    """

    def value(t: int, base: float) -> float:
        if t < warmup_t:
            return warmup_lr_init + t * (base - warmup_lr_init) / warmup_t
        return decay(t - warmup_t if warmup_prefix else t, base)

    return value


def _in_cycles(
    fall: Callable[[float, float], float],
    t_initial: int,
    lr_min: float,
    cycle_mul: float,
    cycle_decay: float,
    cycle_limit: int,
) -> Formula:
    """Fall from the base value to ``lr_min`` by ``fall(position, length)``, in each cycle anew.

    Cycle i takes ``t_initial · cycle_mul**i`` updates and starts at ``cycle_decay**i · base``.
    """

    def value(t: int, base: float) -> float:
        begin, length = 0.0, float(t_initial)
        for cycle in range(cycle_limit):
            if t < begin + length:
                peak = base * cycle_decay**cycle
                return lr_min + (peak - lr_min) * fall(t - begin, length)
            begin += length
            length *= cycle_mul
        return lr_min

    return value


def CosineLRScheduler(  # noqa: N802  timm's name
    optimizer: object,
    t_initial: int,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    k_decay: float = 1.0,
) -> Formula:
    def fall(t: float, length: float) -> float:
        return (1 + math.cos(math.pi * t**k_decay / length**k_decay)) / 2

    cycles = _in_cycles(fall, t_initial, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _after_warmup(cycles, warmup_t, warmup_lr_init, warmup_prefix)


def TanhLRScheduler(  # noqa: N802  timm's name
    optimizer: object,
    t_initial: int,
    lb: float = -7.0,
    ub: float = 3.0,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
) -> Formula:
    def fall(t: float, length: float) -> float:
        return (1 - math.tanh(lb * (1 - t / length) + ub * t / length)) / 2

    cycles = _in_cycles(fall, t_initial, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _after_warmup(cycles, warmup_t, warmup_lr_init, warmup_prefix)


def PolyLRScheduler(  # noqa: N802  timm's name
    optimizer: object,
    t_initial: int,
    power: float = 0.5,
    lr_min: float = 0.0,
    cycle_mul: float = 1.0,
    cycle_decay: float = 1.0,
    cycle_limit: int = 1,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = False,
    k_decay: float = 1.0,
) -> Formula:
    def fall(t: float, length: float) -> float:
        return (1 - t**k_decay / length**k_decay) ** power

    cycles = _in_cycles(fall, t_initial, lr_min, cycle_mul, cycle_decay, cycle_limit)
    return _after_warmup(cycles, warmup_t, warmup_lr_init, warmup_prefix)


def StepLRScheduler(  # noqa: N802  timm's name
    optimizer: object,
    decay_t: int,
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
) -> Formula:
    def steps(t: int, base: float) -> float:
        return base * decay_rate ** (t // decay_t)

    return _after_warmup(steps, warmup_t, warmup_lr_init, warmup_prefix)


def MultiStepLRScheduler(  # noqa: N802  timm's name
    optimizer: object,
    decay_t: list[int],
    decay_rate: float = 1.0,
    warmup_t: int = 0,
    warmup_lr_init: float = 0.0,
    warmup_prefix: bool = True,
) -> Formula:
    def steps(t: int, base: float) -> float:
        # The count is taken at t + 1, so each drop comes one update before its milestone.
        return base * decay_rate ** bisect_right(decay_t, t + 1)

    return _after_warmup(steps, warmup_t, warmup_lr_init, warmup_prefix)
