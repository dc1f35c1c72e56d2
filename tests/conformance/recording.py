"""What each update runs with, on both sides of a row of the table.

Everything that steps an optimizer steps a real one, and a hook notes the values in its groups
right before each update.
"""

from __future__ import annotations

import inspect
import json
import math
import warnings
from functools import cache
from typing import Any

import torch
from torch.optim import SGD, Optimizer

from pytorch_accelerated import schedules
from pytorch_accelerated.schedulers import ParamScheduler
from tests.conformance.formulas import NAMES, formula
from tests.conformance.table import OPTAX, Row
from tests.conformance.timm_parts import timm_part
from tests.launching import printed_by

# One list per update, with one value per parameter group.
Values = list[list[float]]

VOCABULARY = {name: getattr(schedules, name) for name in schedules.__all__ if name.islower()}


def largest_difference(row: Row) -> float:
    """Return how far ours is from theirs at most, as a share of the base value."""
    sides = zip(our_values(row), their_values(row), strict=True)
    return max(
        abs(ours - theirs) / base
        for update in sides
        for ours, theirs, base in zip(*update, row.bases, strict=True)
    )


@cache
def our_schedule(row: Row) -> schedules.Schedule:
    schedule = eval(
        f"({row.ours})", {**VOCABULARY, "math": math, "range": range, "__builtins__": {}}
    )
    assert isinstance(schedule, schedules.Schedule)
    return schedule


@cache
def our_values(row: Row) -> Values:
    """Record our schedule on a real optimizer."""
    optimizer = _optimizer(row)
    recorded = _recorder(optimizer, row.field)
    scheduler = ParamScheduler(optimizer, **{row.field: our_schedule(row)})
    for _ in range(row.num_updates):
        optimizer.step()
        scheduler.step()
    return recorded


@cache
def their_values(row: Row) -> Values:
    """Record the other library's schedule on a real optimizer."""
    if row.library == "optax":
        values: Values = _optax()["values"][row.key]
        return values
    if row.library in NAMES:
        value = formula(row.library, row.theirs)
        return [[value(k, base) for base in row.bases] for k in range(row.num_updates)]
    optimizer = _optimizer(row)
    for group, scale in zip(optimizer.param_groups, row.lr_scales, strict=False):
        group.update(lr=row.bases[0], lr_scale=scale)
    recorded = _recorder(optimizer, row.field)
    if row.library == "ignite":
        _run_ignite(row, optimizer)
        return recorded
    scheduler = eval(f"({row.theirs})", {**names_of(row.library), "optimizer": optimizer})
    if row.library == "timm":
        for k in range(row.num_updates):
            if row.updates_per_epoch is None:
                scheduler.step_update(k)
            elif k % row.updates_per_epoch == 0:
                scheduler.step(k // row.updates_per_epoch)
            optimizer.step()
        return recorded
    for _ in range(row.num_updates):
        optimizer.step()
        scheduler.step()
    return recorded


def _optimizer(row: Row) -> Optimizer:
    groups = []
    for base in row.bases:
        parameter = torch.nn.Parameter(torch.zeros(1))
        parameter.grad = torch.zeros(1)
        groups.append({"params": [parameter], row.field: base})
    return SGD(groups, lr=0.1, momentum=0.9)


def _recorder(optimizer: Optimizer, field: str) -> Values:
    recorded: Values = []

    def note(*_: Any) -> None:
        recorded.append([group[field] for group in optimizer.param_groups])

    optimizer.register_step_pre_hook(note)
    return recorded


@cache
def names_of(library: str) -> dict[str, Any]:
    """Return the names that a call of the library's users is written in."""
    if library == "torch":
        return vars(torch.optim.lr_scheduler)
    if library == "timm":
        return vars(timm_part("scheduler"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what their imports deprecate is not ours to mend
        if library == "transformers":
            from transformers import optimization

            return vars(optimization)
        from ignite.handlers import param_scheduler

        return vars(param_scheduler)


def _run_ignite(row: Row, optimizer: Optimizer) -> None:
    """Let ignite's own engine call the scheduler before each of its iterations."""
    scheduler = eval(f"({row.theirs})", {**names_of("ignite"), "optimizer": optimizer})
    from ignite.engine import Engine, Events

    engine = Engine(lambda engine, batch: optimizer.step())
    engine.add_event_handler(Events.ITERATION_STARTED, scheduler)
    engine.run(range(row.num_updates))


def optax_names() -> set[str]:
    """Return the names of optax's functions that return a schedule."""
    return set(_optax()["names"])


@cache
def _optax() -> Any:
    """Return what this module prints: optax's names, and the values of its rows."""
    return printed_by("tests.conformance.recording", JAX_ENABLE_X64="1", JAX_PLATFORMS="cpu")


def _record_optax(row: Row) -> Values:
    """Run optax's SGD on a gradient of 1, so that each update is minus the learning rate."""
    import jax
    import jax.numpy as jnp
    import optax

    optimizer = optax.sgd(eval(f"({row.theirs})", {"optax": optax}))
    # optax counts in 32 bits, and a quotient of such counts has only single precision.
    state = jax.tree.map(lambda count: count.astype(jnp.int64), optimizer.init(jnp.float64(0)))

    def step(state: Any, _: None) -> tuple[Any, Any]:
        update, state = optimizer.update(jnp.float64(1.0), state)
        return state, -update

    _, values = jax.lax.scan(step, state, length=row.num_updates)
    return [[value] for value in values.tolist()]


def _optax_functions() -> list[str]:
    import optax

    return [
        name
        for name, function in inspect.getmembers(optax.schedules, inspect.isfunction)
        if inspect.get_annotations(function).get("return") == optax.Schedule
    ]


if __name__ == "__main__":
    output = {"names": _optax_functions(), "values": {row.key: _record_optax(row) for row in OPTAX}}
    print(json.dumps(output))
