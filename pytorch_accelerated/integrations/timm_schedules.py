"""What each of timm's schedulers does, in our vocabulary."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

from pytorch_accelerated.integrations.laying import floor, repeated, stairs, uncovered, warmed
from pytorch_accelerated.schedules import (
    Affine,
    Schedule,
    absolute,
    constant,
    cosine,
    exponential,
    linear,
    milestones,
    polynomial,
    power,
    power_law,
    sqrt,
    tanh,
)

# Their scheduler and how many updates are wanted → the schedule after the warmup.
Builder = Callable[[Any, int], Schedule]


def schedules_of(other: Any, num_updates: int) -> dict[str, list[Schedule]]:
    """Return the field's schedules, one for each parameter group; k counts what theirs counts."""
    kind = type(other).__name__
    if kind not in _RULES:
        raise TypeError(
            f"other is a {kind} of timm, whose rule is not known. Known are {', '.join(_RULES)}."
        )
    if other.noise_range_t is not None:
        raise ValueError(
            f"other adds noise to its values (noise_range_t={other.noise_range_t!r}), which no "
            "schedule says."
        )
    schedule = _with_warmup(other, _RULES[kind](other, num_updates))
    scales = [group.get("lr_scale", 1.0) for group in other.optimizer.param_groups]
    field = other.param_group_field
    return {field: [schedule if scale == 1.0 else scale * schedule for scale in scales]}


def advance(other: Any, update: int) -> None:
    """Put the values for an update, or an epoch, in force."""
    (other.step if other.t_in_epochs else other.step_update)(update)


def _with_warmup(other: Any, rest: Schedule) -> Schedule:
    length, start = other.warmup_t, absolute(other.warmup_lr_init)
    if getattr(other, "warmup_prefix", True) or not length:
        return warmed(length, start, rest)
    end = Affine(*rest.coefficients(length)) if type(other).__name__ == "TanhLRScheduler" else 1.0
    return uncovered(linear(length, start=start, end=end), rest, length)


def _cycles(other: Any, period: Schedule) -> Schedule:
    if other.cycle_limit == 1:
        return period
    growth, peak = float(other.cycle_mul), float(other.cycle_decay)
    return period.repeat(other.cycle_limit, length=growth, peak=peak)


def _cosine(other: Any, num_updates: int) -> Schedule:
    end, k = floor(other.lr_min), float(other.k_decay)
    return _cycles(other, cosine(other.t_initial, start=1.0, end=end, k=k))


def _poly(other: Any, num_updates: int) -> Schedule:
    end, length = floor(other.lr_min), other.t_initial
    if other.k_decay == 1.0:
        exponent = float(other.power)
        return _cycles(other, polynomial(length, start=1.0, end=end, power=exponent))
    if other.power == 1.0:
        exponent = float(other.k_decay)
        return _cycles(other, power(length, start=1.0, end=end, exponent=exponent))
    raise ValueError(
        f"other is a PolyLRScheduler with power={other.power!r} and k_decay={other.k_decay!r}; "
        "there is an expression where one of them is 1."
    )


def _tanh(other: Any, num_updates: int) -> Schedule:
    """Return the tangent that theirs cuts off: it never quite reaches its two ends."""
    first, last = ((1.0 - math.tanh(x)) / 2.0 for x in (other.lb, other.ub))
    low, limits = other.lr_min, {"lower": float(other.lb), "upper": float(other.ub)}
    growth = float(other.cycle_mul)

    def in_cycles(period: Schedule, peak: float = 1.0) -> Schedule:
        if other.cycle_limit == 1:
            return period
        return period.repeat(other.cycle_limit, length=growth, peak=peak)

    values = in_cycles(tanh(other.t_initial, start=first, end=last, **limits))
    if other.cycle_decay != 1.0 and other.cycle_limit > 1:
        values = values * in_cycles(constant(other.t_initial), float(other.cycle_decay))
    if low:
        ends = absolute(low * (1.0 - first)), absolute(low * (1.0 - last))
        values = values + in_cycles(tanh(other.t_initial, start=ends[0], end=ends[1], **limits))
    return values >> constant(0, value=floor(low))


def _step(other: Any, num_updates: int) -> Schedule:
    length, rate = other.decay_t, float(other.decay_rate)
    if rate == 1.0:
        return constant(num_updates)
    if length == int(length):
        return repeated(constant(int(length)), num_updates, rate)
    return stairs([rate ** (k // length) for k in range(num_updates)])


def _multi_step(other: Any, num_updates: int) -> Schedule:
    counts = itertools.accumulate(other.decay_t, lambda count, _: count + 1, initial=0)
    pairs = zip(other.decay_t, itertools.islice(counts, 1, None), strict=True)
    return milestones({max(0, math.ceil(at) - 1): other.decay_rate**count for at, count in pairs})


def _stable_decay(other: Any, num_updates: int) -> Schedule:
    length, low = other.t_initial, other.lr_min
    stable = constant(length)
    if other.stable_fn != "constant":
        exponent = -0.5 if other.stable_fn == "rsqrt" else -float(other.stable_power)
        stable = power_law(length, timescale=other.stable_timescale, start=1.0, exponent=exponent)
        if low:
            raise ValueError(
                f"other is a WSDLRScheduler with stable_fn={other.stable_fn!r} and "
                f"lr_min={low!r}: which of both is higher differs between groups."
            )
    before = length - other.decay_t
    fall = _fall(other, low)
    if other.stable_fn == "constant":
        return constant(before) >> fall if before else fall
    return stable * (constant(before) >> fall if before else fall)


def _fall(other: Any, low: float) -> Schedule:
    length, end = other.decay_t, floor(low)
    if other.decay_fn == "exp" and not low:
        ratio = float(other.decay_ratio)
        fall = exponential(length, start=1.0, end=ratio)
        return 1.0 / (1.0 - ratio) * fall + constant(length, value=-ratio / (1.0 - ratio))
    falls = {
        "linear": linear(length, start=1.0, end=end),
        "1-sqrt": sqrt(length, start=1.0, end=end),
        "cosine": cosine(length, start=1.0, end=end),
        "power": power(length, start=1.0, end=end, exponent=float(other.decay_power)),
    }
    if other.decay_fn not in falls:
        raise ValueError(
            f"other is a WSDLRScheduler with decay_fn={other.decay_fn!r} and lr_min={low!r}, for "
            f"which no expression is known; there are {', '.join(falls)}, and exp down to 0."
        )
    return falls[other.decay_fn]


_RULES: dict[str, Builder] = {
    "CosineLRScheduler": _cosine,
    "PolyLRScheduler": _poly,
    "TanhLRScheduler": _tanh,
    "StepLRScheduler": _step,
    "MultiStepLRScheduler": _multi_step,
    "WSDLRScheduler": _stable_decay,
}
