"""Small helpers around training: fewer batches, one process at a time, workers' seeds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from accelerate import PartialState

from pytorch_accelerated.callbacks import limit
from pytorch_accelerated.callbacks.limit import (
    DataLoaderSlice,
    LimitBatches,
    get_limit_batches_from_env,
)
from pytorch_accelerated.ema import ModelEma
from pytorch_accelerated.run.data import worker_init_fn
from pytorch_accelerated.run.processes import leave_group_at_exit, remove_padding, runs_on_cpu

__all__ = [
    "LIMIT_BATCHES_ENV_VAR",
    "DataLoaderSlice",
    "LimitBatches",
    "ModelEma",
    "get_limit_batches_from_env",
    "local_process_zero_first",
    "local_process_zero_only",
    "remove_padding",
    "worker_init_fn",
    "world_process_zero_only",
]

LIMIT_BATCHES_ENV_VAR = limit.LIMIT_BATCHES_ENV_VAR
"""Environment variable that limits the batches of every epoch; read when a Trainer is made."""

P = ParamSpec("P")
R = TypeVar("R")


def _process_state() -> PartialState:
    # Without this argument, a first use before any Accelerator was made would settle for one
    # process even if several were launched on CPU.
    state = PartialState(cpu=runs_on_cpu())
    leave_group_at_exit()
    return state


def _alone(is_the_one: str, function: Callable[P, R]) -> Callable[P, R | None]:
    @functools.wraps(function)
    def on_one_process(*args: P.args, **kwargs: P.kwargs) -> R | None:
        state = _process_state()
        try:
            return function(*args, **kwargs) if getattr(state, is_the_one) else None
        finally:
            state.wait_for_everyone()

    return on_one_process


def local_process_zero_only(function: Callable[P, R]) -> Callable[P, R | None]:
    """Decorate a function to run on each machine's first process while the others wait.

    Args:
        function: What to run; on the other processes the result is ``None``.
    """
    return _alone("is_local_main_process", function)


def world_process_zero_only(function: Callable[P, R]) -> Callable[P, R | None]:
    """Decorate a function to run on the very first process while all others wait.

    Args:
        function: What to run; on the other processes the result is ``None``.
    """
    return _alone("is_main_process", function)


def local_process_zero_first(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function to run on each machine's first process, then on the others.

    Args:
        function: What to run, such as a download into a cache; every process gets its result.
    """

    @functools.wraps(function)
    def first_one_then_others(*args: P.args, **kwargs: P.kwargs) -> R:
        state = _process_state()
        if not state.is_local_main_process:
            state.wait_for_everyone()
            return function(*args, **kwargs)
        try:
            return function(*args, **kwargs)
        finally:
            state.wait_for_everyone()

    return first_one_then_others
