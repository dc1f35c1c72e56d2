"""What optax's optimizers run their updates with; printed as JSON."""

from __future__ import annotations

import json
import warnings
from typing import Any

import jax.numpy as jnp
import optax


def with_micro_batches() -> list[float]:
    """The size of each update, with four micro-batches to an update and a schedule of four."""
    schedule = optax.linear_schedule(1.0, 0.0, 4)
    transform = optax.chain(optax.sgd(schedule), optax.apply_every(4))
    gradient = jnp.ones(())
    state = transform.init(gradient)
    applied = []
    for _ in range(8):
        step, state = transform.update(gradient, state)
        applied.append(-float(step))
    return applied


def asked_by_schedule_free() -> list[int]:
    """The counts that schedule-free asks a learning rate for."""
    asked = []

    def schedule(count: Any) -> float:
        asked.append(int(count))
        return 0.1

    transform = optax.contrib.schedule_free(optax.sgd(0.1), learning_rate=schedule)
    params = jnp.ones(())
    state = transform.init(params)
    for _ in range(2):
        _, state = transform.update(params, state, params)
    return asked


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # apply_every is to go
        runs = {"with_micro_batches": with_micro_batches(), "asked": asked_by_schedule_free()}
    print(json.dumps(runs))
