"""What optax's schedules do, in our vocabulary; their values are absolute.

A schedule of optax is a function that another one made: its name says which, and the variables that
it holds are the arguments.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pytorch_accelerated.integrations.laying import geometric, joined, lasting, repeated, through
from pytorch_accelerated.schedules import (
    Schedule,
    absolute,
    constant,
    cosine,
    linear,
    maximum,
    milestones,
    minimum,
    polynomial,
)


def schedules_of(other: Any, num_updates: int) -> dict[str, list[Schedule]]:
    """Return the schedule under ``lr``, for what optax usually takes it for."""
    return {"lr": [_schedule(other, num_updates)]}


def values_of(other: Any, num_updates: int) -> tuple[list[float], bool]:
    """Return theirs for each update, as JAX computes them, and whether they are doubles."""
    import jax
    import jax.numpy as jnp

    values = jax.jit(jax.vmap(other))(jnp.arange(num_updates))
    return values.tolist(), values.dtype == jnp.float64


def _schedule(other: Any, num_updates: int) -> Schedule:
    maker, _, inner = getattr(other, "__qualname__", "").partition(".<locals>.")
    is_theirs = (getattr(other, "__module__", None) or "").partition(".")[0] == "optax"
    if is_theirs and inner == "<lambda>":  # constant_schedule, and one that has no steps
        (value,) = _held(other).values()
        return constant(num_updates, value=absolute(float(value)))
    if not is_theirs or maker not in _RULES:
        raise TypeError(
            f"other is, or has, {other!r}, whose rule is not known. Known are what "
            f"constant_schedule, {', '.join(_RULES)} of optax return, and all made of them."
        )
    return _RULES[maker](num_updates, **_held(other))


def _held(function: Any) -> dict[str, Any]:
    """Return the variables of its maker that a function holds, as far as they are set."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # one that the other arguments leave unset
            found[name] = cell.cell_contents
    return found


def _begun(begin: int, value: float, rest: Schedule) -> Schedule:
    return constant(begin, value=absolute(value)) >> rest if begin else rest


def _polynomial(
    num_updates: int,
    init_value: Any,
    end_value: Any,
    power: Any,
    transition_steps: int,
    transition_begin: int,
) -> Schedule:
    start, end = float(init_value), float(end_value)
    line = linear(transition_steps, start=absolute(start), end=absolute(end))
    if power != 1:
        line = polynomial(
            transition_steps, start=absolute(start), end=absolute(end), power=float(power)
        )
    return _begun(transition_begin, start, line)


def _cosine(
    num_updates: int, init_value: Any, decay_steps: float, alpha: Any, exponent: Any
) -> Schedule:
    start = float(init_value)
    end = absolute(start * float(alpha))
    return cosine(int(decay_steps), start=absolute(start), end=end, exponent=float(exponent))


def _exponential(
    num_updates: int,
    init_value: Any,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int,
    staircase: bool,
    end_value: Any,
    clip_fn: Any = None,  # as end_value says
) -> Schedule:
    start, length = float(init_value), max(1, num_updates - transition_begin)
    if staircase:
        step = constant(transition_steps, value=absolute(start))
        curve = repeated(step, length, float(decay_rate))
    else:
        factor = float(decay_rate) ** (1.0 / transition_steps)
        curve = geometric(length, factor, absolute(start))
    if end_value is not None:
        limit = maximum if decay_rate < 1.0 else minimum
        curve = limit(curve, absolute(float(end_value)))
    return _begun(transition_begin, start, curve)


def _piecewise_constant(
    num_updates: int, init_value: Any, boundaries_and_scales: dict[int, float] | None
) -> Schedule:
    changes = sorted((boundaries_and_scales or {}).items())
    scales = [scale for _, scale in changes]
    values = itertools.accumulate((float(init_value), *scales), operator.mul)
    updates = [0, *(update for update, _ in changes)]
    return milestones({k: absolute(value) for k, value in zip(updates, values, strict=True)})


def _interpolated(
    num_updates: int,
    init_value: Any,
    boundaries: tuple[int, ...],
    scales: tuple[float, ...],
    interpolate_fn: Callable[..., Any],
) -> Schedule:
    curve = cosine if "cosine" in interpolate_fn.__name__ else linear
    values = itertools.accumulate((float(init_value), *scales), operator.mul)
    return through(zip((0, *boundaries), values, strict=True), curve)


def _joined(num_updates: int, schedules: Any, boundaries: Any) -> Schedule:
    edges = [0, *boundaries, max([num_updates, *(edge + 1 for edge in boundaries)])]
    pairs = zip(schedules, itertools.pairwise(edges), strict=True)
    return joined(
        lasting(_schedule(part, end - begin), end - begin)
        for part, (begin, end) in pairs
        if end > begin
    )


# The name of the function that made theirs → the schedule for the variables that theirs holds.
_RULES: dict[str, Callable[..., Schedule]] = {
    "polynomial_schedule": _polynomial,
    "cosine_decay_schedule": _cosine,
    "exponential_decay": _exponential,
    "piecewise_constant_schedule": _piecewise_constant,
    "piecewise_interpolate_schedule": _interpolated,
    "join_schedules": _joined,
}
