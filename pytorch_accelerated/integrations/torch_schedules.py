"""What each of torch's schedulers does, in our vocabulary."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from torch.optim import lr_scheduler as theirs

from pytorch_accelerated.integrations.laying import (
    floor,
    geometric,
    joined,
    lasting,
    repeated,
    stairs,
)
from pytorch_accelerated.integrations.transformers_schedules import schedule_of_lambda
from pytorch_accelerated.schedules import (
    Absolute,
    Schedule,
    absolute,
    constant,
    cosine,
    linear,
    milestones,
    polynomial,
)

# Their scheduler, a group's index and how many updates are wanted → the group's schedule.
Builder = Callable[[Any, int, int], Schedule]


def schedules_of(other: Any, num_updates: int) -> dict[str, list[Schedule]]:
    """Return each field's schedules, one for each parameter group."""
    for part in other._schedulers if isinstance(other, theirs.ChainedScheduler) else [other]:
        if part.last_epoch != 0:
            raise ValueError(
                f"other was stepped already: its last_epoch={part.last_epoch}, but has to be 0. "
                "Make it anew, as the run did at its beginning."
            )
    groups = range(len(other.optimizer.param_groups))
    found = {"lr": [_rate(other, index, num_updates) for index in groups]}
    if type(other) in _MOMENTUM and other.cycle_momentum:
        field = "beta1" if other.use_beta1 else "momentum"
        build = _MOMENTUM[type(other)]
        found[field] = [build(other, index, num_updates) for index in groups]
    return found


def advance(other: Any, update: int) -> None:
    """Put the values for an update in force, after those for the one before it."""
    if update:
        other.step()


def _rate(other: Any, index: int, num_updates: int) -> Schedule:
    if type(other) not in _RATE:
        raise TypeError(
            f"other is a {type(other).__name__}, whose rule is not known. Known are "
            f"{', '.join(sorted(kind.__name__ for kind in _RATE))}. Write its rule as "
            "from_function(lambda k: …), a multiple of the base value at update k."
        )
    return _RATE[type(other)](other, index, num_updates)


def _multiple(value: float, base: float) -> float | Absolute:
    return value / base if base else absolute(value)


def _multiplicative(other: Any, index: int, num_updates: int) -> Schedule:
    factors = [other.lr_lambdas[index](k) for k in range(1, num_updates)]
    values = list(itertools.accumulate(factors, initial=1.0, func=lambda a, b: a * b))
    if len(set(factors)) == 1:
        return geometric(num_updates, factors[0])
    return stairs(values)


def _step(other: Any, index: int, num_updates: int) -> Schedule:
    if other.step_size == 1:
        return geometric(num_updates, other.gamma)
    return repeated(constant(other.step_size), num_updates, other.gamma)


def _multi_step(other: Any, index: int, num_updates: int) -> Schedule:
    counts = sorted(other.milestones.items())
    powers = itertools.accumulate(count for _, count in counts)
    return milestones({at: other.gamma**n for (at, _), n in zip(counts, powers, strict=True)})


def _warm_restarts(other: Any, index: int, num_updates: int) -> Schedule:
    period = cosine(other.T_0, start=1.0, end=floor(other.eta_min))
    if other.T_mult == 1:
        return period.repeat()
    count, end = 1, other.T_0
    while end < num_updates:
        end += other.T_0 * other.T_mult**count
        count += 1
    return period.repeat(count, length=float(other.T_mult))


def _sequential(other: Any, index: int, num_updates: int) -> Schedule:
    edges = [0, *other._milestones, max(num_updates, other._milestones[-1] + 1)]
    parts = []
    for part, (begin, end) in zip(other._schedulers, itertools.pairwise(edges), strict=True):
        parts.append(lasting(_rate(part, index, end - begin), end - begin))
    return joined(parts)


def _chained(other: Any, index: int, num_updates: int) -> Schedule:
    whole, *parts = (_rate(part, index, num_updates) for part in other._schedulers)
    for part in parts:
        whole = whole * part
    return whole


def _cycle(
    other: Any,
    start: float,
    turn: float,
    unit: Callable[[float], float | Absolute],
    num_updates: int,
) -> Schedule:
    if other._scale_fn_custom is not None:
        raise ValueError(
            "other is a CyclicLR with a scale_fn of its own, which no expression is known for. "
            "Write from_function(lambda k: …), a multiple of the base value at update k."
        )
    up = round(other.step_ratio * other.total_size)
    down = round(other.total_size) - up
    if other.mode == "triangular":
        there = linear(up, start=unit(start), end=unit(turn))
        return (there >> linear(down, end=unit(start))).repeat()
    hill = linear(up, start=unit(0.0), end=unit(abs(turn - start))) >> linear(down, end=unit(0.0))
    if other.mode == "triangular2":
        hills = repeated(hill, num_updates, 0.5)
    else:
        hills = hill.repeat() * geometric(num_updates, other.gamma)
    return constant(num_updates, value=unit(start)) + (hills if turn > start else -1.0 * hills)


def _cyclic(other: Any, index: int, num_updates: int) -> Schedule:
    base = other.optimizer.param_groups[index]["initial_lr"]
    low, high = other.base_lrs[index], other.max_lrs[index]
    return _cycle(other, low, high, lambda value: _multiple(value, base), num_updates)


def _cyclic_momentum(other: Any, index: int, num_updates: int) -> Schedule:
    low, high = other.base_momentums[index], other.max_momentums[index]
    return _cycle(other, high, low, absolute, num_updates)


def _one_cycle(other: Any, values: Callable[[str], float | Absolute], end: str) -> Schedule:
    """Join its phases; ``values`` gives what each of a group's keys stands for."""
    curve = cosine if other._anneal_func_type == "cos" else linear
    parts: list[Schedule] = []
    begin = 0
    for phase in other._schedule_phases:
        joint = round(phase["end_step"])
        start, stop = values(phase[f"start_{end}"]), values(phase[f"end_{end}"])
        parts.append(
            constant(joint - begin, value=start)
            if start == stop
            else curve(joint - begin, start=start, end=stop)
        )
        begin = joint
    return joined(parts)


def _one_cycle_rate(other: Any, index: int, num_updates: int) -> Schedule:
    group = other.optimizer.param_groups[index]
    return _one_cycle(other, lambda key: _multiple(group[key], group["initial_lr"]), "lr")


def _one_cycle_momentum(other: Any, index: int, num_updates: int) -> Schedule:
    group = other.optimizer.param_groups[index]
    return _one_cycle(other, lambda key: absolute(group[key]), "momentum")


_RATE: dict[type, Builder] = {
    theirs.LambdaLR: lambda other, index, num_updates: schedule_of_lambda(
        other.lr_lambdas[index], num_updates
    ),
    theirs.MultiplicativeLR: _multiplicative,
    theirs.StepLR: _step,
    theirs.MultiStepLR: _multi_step,
    theirs.ConstantLR: lambda other, *_: milestones({0: other.factor, other.total_iters: 1.0}),
    theirs.LinearLR: lambda other, *_: linear(
        other.total_iters, start=other.start_factor, end=other.end_factor
    ),
    theirs.ExponentialLR: lambda other, _, num_updates: geometric(num_updates, other.gamma),
    theirs.PolynomialLR: lambda other, *_: polynomial(
        other.total_iters, start=1.0, end=0.0, power=float(other.power)
    ),
    theirs.CosineAnnealingLR: lambda other, *_: cosine(
        other.T_max, start=1.0, end=floor(other.eta_min)
    ),
    theirs.CosineAnnealingWarmRestarts: _warm_restarts,
    theirs.SequentialLR: _sequential,
    theirs.ChainedScheduler: _chained,
    theirs.CyclicLR: _cyclic,
    theirs.OneCycleLR: _one_cycle_rate,
}
_MOMENTUM: dict[type, Builder] = {
    theirs.CyclicLR: _cyclic_momentum,
    theirs.OneCycleLR: _one_cycle_momentum,
}
