"""Formulas of libraries that the tests do not install, written down from what their sources say.

Each function takes the arguments of their class, as far as the rows of the table use them, and
returns the value that update k has for a base value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Value = Callable[[int, float], float]


def _half_cosine(progress: float) -> float:
    return (1.0 + math.cos(math.pi * progress)) / 2.0


def _between(start: float, end: float, progress: float) -> float:
    return start + (end - start) * progress


# OLMo-core: a scheduler is asked for the rate of a step of so many --------------------------------


def _olmo(warmup_steps: int, after: Value) -> Value:
    return lambda k, base: base * k / warmup_steps if k < warmup_steps else after(k, base)


def constant_with_warmup(warmup_steps: int) -> Value:
    return _olmo(warmup_steps, lambda k, base: base)


def olmo_wsd(warmup_steps: int, decay_steps: int, max_steps: int) -> Value:
    return _olmo(warmup_steps, lambda k, base: base * min(1.0, max(0, max_steps - k) / decay_steps))


def linear_with_warmup(warmup_steps: int, alpha_f: float, t_max: int) -> Value:
    def after(k: int, base: float) -> float:
        done = min(1.0, (k - warmup_steps) / (t_max - warmup_steps))
        return _between(base, alpha_f * base, done)

    return _olmo(warmup_steps, after)


def inv_sqrt_with_warmup(warmup_steps: int, alpha_f: float) -> Value:
    return _olmo(
        warmup_steps,
        lambda k, base: base * (alpha_f + (1.0 - alpha_f) * math.sqrt(warmup_steps / k)),
    )


def cos_with_warmup(warmup_steps: int, alpha_f: float, t_max: int) -> Value:
    def after(k: int, base: float) -> float:
        done = min(1.0, (k - warmup_steps) / (t_max - warmup_steps))
        return base * (alpha_f + (1.0 - alpha_f) * _half_cosine(done))

    return _olmo(warmup_steps, after)


def cos_with_warmup_and_linear_decay(
    warmup_steps: int, alpha_f: float, decay_steps: int, max_steps: int
) -> Value:
    cosine = cos_with_warmup(warmup_steps, alpha_f, max_steps)

    def value(k: int, base: float) -> float:
        begin = max_steps - decay_steps
        if k < begin:
            return cosine(k, base)
        return cosine(begin, base) * max(0, max_steps - k) / decay_steps

    return value


def sequential_scheduler(schedulers: Sequence[Value], schedulers_max_steps: Sequence[int]) -> Value:
    def value(k: int, base: float) -> float:
        for scheduler, max_steps in zip(schedulers, schedulers_max_steps, strict=False):
            if k <= max_steps:
                return scheduler(k, base)
            base, k = scheduler(max_steps, base), k - max_steps
        return schedulers[-1](k, base)

    return value


# Megatron-LM: the base is the group's max_lr; of weight decay it counts for nothing ---------------


def megatron(**arguments: Any) -> Value:
    return (megatron_weight_decay if "start_wd" in arguments else megatron_lr)(**arguments)


def megatron_lr(
    min_lr: float,
    lr_warmup_steps: int,
    lr_decay_steps: int,
    lr_decay_style: str,
    wsd_decay_steps: int = 0,
    lr_wsd_decay_style: str = "",
) -> Value:
    shapes: dict[str, Callable[[float], float]] = {
        "linear": lambda p: 1.0 - p,
        "cosine": _half_cosine,
        "exponential": lambda p: 2.0 * 0.5**p - 1.0,
        "minus_sqrt": lambda p: 1.0 - math.sqrt(p),
    }

    def value(k: int, base: float) -> float:
        if k <= lr_warmup_steps:
            return base * k / lr_warmup_steps
        if k > lr_decay_steps:
            return min_lr
        if lr_decay_style == "inverse-square-root":
            return max(min_lr, base * math.sqrt(lr_warmup_steps / k))
        begin, shape = lr_warmup_steps, lr_decay_style
        if lr_decay_style == "WSD":
            begin, shape = lr_decay_steps - wsd_decay_steps, lr_wsd_decay_style
        progress = max(0, k - begin) / (lr_decay_steps - begin)
        return min_lr + (base - min_lr) * shapes[shape](progress)

    return value


def megatron_weight_decay(
    start_wd: float, end_wd: float, wd_incr_steps: int, wd_incr_style: str
) -> Value:
    def value(k: int, base: float) -> float:
        progress = min(1.0, k / wd_incr_steps)
        if wd_incr_style == "cosine":
            progress = _half_cosine(1.0 - progress)
        return _between(start_wd, end_wd, progress)

    return value


# Levanter: warmup, cycles of stable and decay, and a cooldown from where they end -----------------


def power_lr_schedule(batch_size: int, seq_length: int, a: float, b: float) -> Value:
    def value(k: int, base: float) -> float:
        return base if k == 0 else min(base, batch_size * a * (k * batch_size * seq_length) ** b)

    return value


class AdamConfig:
    """The part of their configuration that the rows use; all lengths are in updates."""

    def __init__(
        self,
        warmup: int,
        lr_schedule: str | Value,
        min_lr_ratio: float = 0.1,
        cycles: int = 1,
        rewarmup: int = 0,
        decay: int | None = None,
        cooldown: int = 0,
    ) -> None:
        self.warmup, self.rewarmup, self.cooldown = warmup, rewarmup, cooldown
        self.cycles, self.decay, self.min_lr_ratio = cycles, decay, min_lr_ratio
        self.lr_schedule = lr_schedule

    def lr_scheduler(self, num_train_steps: int) -> Value:
        end = num_train_steps - self.cooldown
        length, lowest = end // self.cycles, self.min_lr_ratio

        def decayed(k: int, num_updates: int, base: float) -> float:
            if callable(self.lr_schedule):
                return self.lr_schedule(k, base)
            return base * _between(1.0, lowest, k / num_updates)

        def value(k: int, base: float) -> float:
            cycle = min(k // length, self.cycles - 1)
            position = min(k - cycle * length, length)
            rise = self.rewarmup if cycle else self.warmup
            fall = length - rise if self.decay is None else self.decay
            if position < rise:
                return base * _between(lowest if cycle else 0.0, 1.0, position / rise)
            if k < end or not self.cooldown:
                return decayed(max(0, position - (length - fall)), fall, base)
            done = min(1.0, (k - end) / self.cooldown)
            return _between(decayed(fall, fall, base), lowest * base, done)

        return value


# MMEngine: a scheduler changes the value from update begin to update end - 1, then leaves it ------


def mmengine(configs: Sequence[dict[str, Any]]) -> Value:
    """Run several over one another: each takes the value that it finds at its beginning."""

    def value(k: int, base: float) -> float:
        held = base
        for config in configs:
            begin, end = config.get("begin", 0), config.get("end", 10**9)
            if k >= begin:
                held = _mm_changed(config, held, min(k, end - 1) - begin, end - 1 - begin)
        return held

    return value


def _mm_changed(config: dict[str, Any], held: float, k: int, last: int) -> float:
    """Return what a scheduler makes of a value k updates after its beginning."""
    kind, lowest = config["type"], config.get("eta_min", 0.0)
    if kind.startswith("Linear"):
        return held * _between(config["start_factor"], 1.0, k / last)
    if kind.startswith("Poly"):
        return lowest + (held - lowest) * (1.0 - k / last) ** config["power"]
    periods, weights = config.get("periods", [config.get("T_max")]), config.get("restart_weights")
    index = 0
    while config.get("periods") and k >= periods[index] and index + 1 < len(periods):
        k, index = k - periods[index], index + 1
    k = min(k, periods[index] - 1) if weights else k
    highest = held * (weights[index] if weights else 1.0)
    return lowest + (highest - lowest) * _half_cosine(k / periods[index])


# Keras ------------------------------------------------------------------------------------------


def keras_polynomial_decay(
    initial_learning_rate: float,
    decay_steps: int,
    end_learning_rate: float,
    power: float,
    cycle: bool,
) -> Value:
    """With ``cycle`` the decay is made as many times longer as keeps update k within it."""
    height = initial_learning_rate - end_learning_rate

    def value(k: int, base: float) -> float:
        length = decay_steps * (max(1, math.ceil(k / decay_steps)) if cycle else 1)
        return end_learning_rate + height * (1.0 - k / length) ** power

    return value


# Composer: times are stretched by a ratio and rounded down, but those of a warmup -----------------

Stretchable = Callable[[float], Value]


def composer_trainer(schedulers: Stretchable, scale_schedule_ratio: float) -> Value:
    return schedulers(scale_schedule_ratio)


def _batches(time: str, ratio: float = 1.0) -> int:
    return int(int(time.removesuffix("ba")) * ratio)


def composer_multi_step(milestones: Sequence[str], gamma: float) -> Stretchable:
    def stretched(ratio: float) -> Value:
        return lambda k, base: base * gamma ** sum(k >= _batches(m, ratio) for m in milestones)

    return stretched


def composer_cosine_with_warmup(t_warmup: str, t_max: str, alpha_f: float) -> Stretchable:
    def stretched(ratio: float) -> Value:
        return cos_with_warmup(_batches(t_warmup), alpha_f, _batches(t_max, ratio))

    return stretched


def composer_warm_restarts(t_0: str) -> Stretchable:
    def stretched(ratio: float) -> Value:
        period = _batches(t_0, ratio)
        return lambda k, base: base * _half_cosine(k % period / period)

    return stretched


#: What the rows of each library are written in.
NAMES: dict[str, dict[str, Any]] = {
    "formula": {"math": math},
    "olmo-core": {
        "ConstantWithWarmup": constant_with_warmup,
        "WSD": olmo_wsd,
        "LinearWithWarmup": linear_with_warmup,
        "InvSqrtWithWarmup": inv_sqrt_with_warmup,
        "CosWithWarmup": cos_with_warmup,
        "CosWithWarmupAndLinearDecay": cos_with_warmup_and_linear_decay,
        "SequentialScheduler": sequential_scheduler,
    },
    "megatron": {"OptimizerParamScheduler": megatron},
    "levanter": {"AdamConfig": AdamConfig, "PowerLrSchedule": power_lr_schedule},
    "mmengine": {"dict": dict},
    "keras": {"PolynomialDecay": keras_polynomial_decay},
    "composer": {
        "Trainer": composer_trainer,
        "MultiStepScheduler": composer_multi_step,
        "CosineAnnealingWithWarmupScheduler": composer_cosine_with_warmup,
        "CosineAnnealingWarmRestartsScheduler": composer_warm_restarts,
    },
}


def formula(library: str, source: str) -> Value:
    """Return the formula of a row's call."""
    made = eval(f"({source})", dict(NAMES[library]))
    return mmengine(made) if isinstance(made, list) else made
