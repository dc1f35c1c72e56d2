"""What the functions of Transformers' ``get_scheduler`` do, in our vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pytorch_accelerated.integrations.laying import warmed, waves
from pytorch_accelerated.schedules import (
    Schedule,
    constant,
    cosine,
    from_function,
    inverse_sqrt,
    linear,
    polynomial,
    sqrt,
)


def schedule_of_lambda(function: Callable[[int], float], num_updates: int) -> Schedule:
    """Return what the function of a ``LambdaLR`` says, or the function itself as a schedule."""
    schedule = None
    rule = function.func if isinstance(function, partial) else function
    if getattr(rule, "__module__", "").startswith("transformers."):
        known = _RULES.get(rule.__name__)
        keywords = function.keywords if isinstance(function, partial) else {}
        schedule = known and known(num_updates, **keywords)
    return schedule or from_function(function)


def _rest(num_updates: int, done: int) -> int:
    return max(1, num_updates - done)


def _constant(num_updates: int) -> Schedule:
    return constant(num_updates)


def _constant_with_warmup(num_updates: int, num_warmup_steps: int) -> Schedule:
    return warmed(num_warmup_steps, 0.0, constant(_rest(num_updates, num_warmup_steps)))


def _linear(num_updates: int, num_warmup_steps: int, num_training_steps: int) -> Schedule:
    rest = linear(num_training_steps - num_warmup_steps, start=1.0, end=0.0)
    return warmed(num_warmup_steps, 0.0, rest)


def _cosine(
    num_updates: int,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float,
    min_lr_rate: float = 0.0,
) -> Schedule | None:
    rest = waves(num_training_steps - num_warmup_steps, float(num_cycles), min_lr_rate)
    return rest and warmed(num_warmup_steps, 0.0, rest)


def _restarts(
    num_updates: int, num_warmup_steps: int, num_training_steps: int, num_cycles: float
) -> Schedule | None:
    period, left = divmod(num_training_steps - num_warmup_steps, num_cycles)
    if left or num_cycles != int(num_cycles):
        return None
    rest = cosine(int(period), start=1.0, end=0.0)
    rest = rest.repeat(int(num_cycles)) if num_cycles > 1 else rest
    return warmed(num_warmup_steps, 0.0, rest)


def _polynomial(
    num_updates: int,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float,
    power: float,
    lr_init: float,
) -> Schedule:
    length, end = num_training_steps - num_warmup_steps, lr_end / lr_init
    line = linear(length, start=1.0, end=end)
    rest = line if power == 1 else polynomial(length, start=1.0, end=end, power=float(power))
    return warmed(num_warmup_steps, 0.0, rest)


def _inverse_sqrt(num_updates: int, num_warmup_steps: int, timescale: int) -> Schedule:
    rest = inverse_sqrt(_rest(num_updates, num_warmup_steps), timescale=timescale, start=1.0)
    return warmed(num_warmup_steps, 0.0, rest)


def _one_ahead(
    num_updates: int,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float,
    min_lr_rate: float = 0.0,
    warmup_lr_rate: float | None = None,
) -> Schedule | None:
    """Return the cosine whose warmup is over at the last of its updates, not after it."""
    length = num_warmup_steps
    rest = waves(num_training_steps - length, float(num_cycles), min_lr_rate)
    if rest is None or length < 2:
        return None
    return warmed(length - 1, 1.0 / length if warmup_lr_rate is None else warmup_lr_rate, rest)


def _warmup_stable_decay(
    num_updates: int,
    num_warmup_steps: int,
    num_stable_steps: int,
    num_decay_steps: int,
    warmup_type: str,
    decay_type: str,
    min_lr_ratio: float,
    num_cycles: float,
) -> Schedule | None:
    low = float(min_lr_ratio)
    rises = {
        "linear": linear(num_warmup_steps, start=low, end=1.0),
        "cosine": cosine(num_warmup_steps, start=low, end=1.0),
        "1-sqrt": polynomial(num_warmup_steps, start=low, end=1.0, power=0.5),
    }
    falls = {
        "linear": linear(num_decay_steps, start=1.0, end=low),
        "cosine": waves(num_decay_steps, float(num_cycles), low),
        "1-sqrt": sqrt(num_decay_steps, start=1.0, end=low),
    }
    fall = falls[decay_type]
    if fall is None:
        return None
    rest = constant(num_stable_steps, value=1.0) >> fall if num_stable_steps else fall
    if fall(num_decay_steps) != low:
        rest = rest >> constant(0, value=low)
    return rises[warmup_type] >> rest if num_warmup_steps else rest


# The name of their function → the schedule for its keywords, None where it has to stay a function.
_RULES: dict[str, Callable[..., Schedule | None]] = {
    "_get_constant_lambda": _constant,
    "_get_constant_schedule_with_warmup_lr_lambda": _constant_with_warmup,
    "_get_linear_schedule_with_warmup_lr_lambda": _linear,
    "_get_cosine_schedule_with_warmup_lr_lambda": _cosine,
    "_get_cosine_with_hard_restarts_schedule_with_warmup_lr_lambda": _restarts,
    "_get_polynomial_decay_schedule_with_warmup_lr_lambda": _polynomial,
    "_get_inverse_sqrt_schedule_lr_lambda": _inverse_sqrt,
    "_get_cosine_with_min_lr_schedule_with_warmup_lr_rate_lambda": _one_ahead,
    "_get_wsd_scheduler_lambda": _warmup_stable_decay,
}
