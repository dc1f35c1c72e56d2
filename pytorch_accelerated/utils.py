"""Small helpers around training: fewer batches, one process at a time, workers' seeds."""

from __future__ import annotations

import functools
import itertools
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import is_torch_xla_available, parse_flag_from_env
from torch.utils.data import get_worker_info

from pytorch_accelerated import checks
from pytorch_accelerated.ema import ModelEma

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

P = ParamSpec("P")
R = TypeVar("R")

LIMIT_BATCHES_ENV_VAR = "PT_ACC_LIMIT_BATCHES"
"""Environment variable that limits the batches of every epoch; read when a Trainer is made."""


def get_limit_batches_from_env() -> int | None:
    """How many batches an epoch may have by the environment; ``None`` for no limit.

    Raises:
        ValueError: The variable holds neither a positive whole number nor ``none``.
    """
    text = os.environ.get(LIMIT_BATCHES_ENV_VAR, "none").strip()
    if text.lower() == "none":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise ValueError(
        f"the environment variable {LIMIT_BATCHES_ENV_VAR} is {text!r}: set it to a positive "
        f"whole number of batches, or to none"
    )


class LimitBatches:
    """Trainers made inside this context train and evaluate on a few batches an epoch.

    Contexts nest; leaving one restores what was set before.

    Args:
        num_batches: Number of batches of each epoch, per process.

    Raises:
        TypeError: It is not a whole number.
        ValueError: It is not positive.

    Example:
        >>> with LimitBatches(3):
        ...     get_limit_batches_from_env()
        3
        >>> get_limit_batches_from_env() is None
        True
    """

    def __init__(self, num_batches: int) -> None:
        self.num_batches = checks.whole("num_batches", num_batches, minimum=1)
        self._before: list[str | None] = []

    def __enter__(self) -> LimitBatches:
        self._before.append(os.environ.get(LIMIT_BATCHES_ENV_VAR))
        os.environ[LIMIT_BATCHES_ENV_VAR] = str(self.num_batches)
        return self

    def __exit__(self, *error: object) -> None:
        before = self._before.pop()
        if before is None:
            os.environ.pop(LIMIT_BATCHES_ENV_VAR, None)
        else:
            os.environ[LIMIT_BATCHES_ENV_VAR] = before


class DataLoaderSlice:
    """The first batches of a data loader, in every respect else like the loader itself.

    Args:
        dl: The data loader.
        slice_size: How many of its batches to give.

    Raises:
        TypeError: ``slice_size`` is not a whole number.
        ValueError: It is not positive.

    Example:
        >>> from torch.utils.data import DataLoader
        >>> loader = DataLoader(range(10), batch_size=2)
        >>> few, many = DataLoaderSlice(loader, 2), DataLoaderSlice(loader, 100)
        >>> [batch.tolist() for batch in few]
        [[0, 1], [2, 3]]
        >>> len(few), len(many)
        (2, 5)
    """

    def __init__(self, dl: Any, slice_size: int) -> None:
        self.dl = dl
        self.slice_size = checks.whole("slice_size", slice_size, minimum=1)

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.dl, self.slice_size)

    def __len__(self) -> int:
        return min(self.slice_size, len(self.dl))

    def __getattr__(self, name: str) -> Any:
        # While being copied or unpickled there is no loader yet.
        if name == "dl":
            raise AttributeError(name)
        return getattr(self.dl, name)


def runs_on_cpu() -> bool:
    """Whether Accelerate has to be told that this process computes on CPU.

    That is so if the user says it, by ``ACCELERATE_USE_CPU``, and for each of several processes
    on a machine that has nothing else: not told, Accelerate would have each of them train alone.
    """
    if parse_flag_from_env("ACCELERATE_USE_CPU"):
        return True
    accelerator = getattr(torch, "accelerator", torch.cuda)  # since PyTorch 2.6
    has_accelerator = accelerator.is_available() or is_torch_xla_available()
    return "LOCAL_RANK" in os.environ and not has_accelerator


def _process_state() -> PartialState:
    # Without this argument, a first use before any Accelerator was made would settle for one
    # process even if several were launched on CPU.
    state = PartialState(cpu=runs_on_cpu())
    leave_group_at_exit()
    return state


# Seconds that the end of the interpreter waits for operations which other processes never join.
LEAVE_TIMEOUT = 10.0


def leave_group_at_exit() -> None:
    """Have the end of the interpreter destroy the process group, if nobody else does so before.

    A thread of gloo gives back the tensors of an operation a moment after the operation is done,
    for which it takes a lock of the interpreter. Before Python 3.14 a thread that does so while
    the interpreter ends is terminated, and with it the process, by SIGABRT: under load, one in
    some ten launches that did all their work. Destroying the group joins its threads.
    """
    is_gloo = torch.distributed.is_available() and torch.distributed.is_initialized()
    if is_gloo and torch.distributed.get_backend() == "gloo":
        _register_leaving()


@functools.cache
def _register_leaving() -> None:
    is_over = threading.Event()

    def leave() -> None:
        is_over.wait()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    # No thread can be started while the interpreter ends, and the threads of gloo may wait for
    # processes that are busy or confused, so one that can be left behind waits from now on.
    thread = threading.Thread(target=leave, name="leave_group_at_exit", daemon=True)
    thread.start()

    def end() -> None:
        is_over.set()
        thread.join(LEAVE_TIMEOUT)  # at once in a forked process, which has no such thread
        # What a script holds, such as a distributed model or a group of its own, keeps threads
        # alive, but not busy: this is long enough to give back what they were working on.
        time.sleep(0.1)

    # Finalizers run after the functions that scripts register with atexit, which may still need
    # the group: weakref has registered its own since torch was imported.
    weakref.finalize(torch.distributed, end)


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


def worker_init_fn(worker_id: int) -> None:
    """Give a data loader's worker random streams that no worker of another process shares.

    PyTorch seeds each worker from the loader's generator, so a run that was seeded repeats its
    augmentations exactly. Processes of a distributed run that were seeded alike would draw the
    same ones, however; here the process's rank is mixed in. Outside a worker nothing happens.

    Args:
        worker_id: The worker's index; unused, since PyTorch's seed of the worker contains it.
    """
    worker, rank = get_worker_info(), int(os.environ.get("RANK", "0"))
    if worker is None or rank == 0:
        return
    # An odd constant near 2⁶⁴ divided by the golden ratio keeps the ranks' seeds far apart.
    seed = (worker.seed + rank * 0x9E3779B97F4A7C15) % 2**63
    random.seed(seed)
    torch.manual_seed(seed)
    try:
        import numpy as np
    except ImportError:
        return
    np.random.seed(seed % 2**32)


def remove_padding(tensor: torch.Tensor, pad_value: float) -> torch.Tensor:
    """Drop the entries of the first dimension that hold nothing but a padding value.

    Args:
        tensor: What was padded.
        pad_value: What it was padded with; may be NaN.

    Example:
        >>> remove_padding(torch.tensor([[1, 2], [-1, 3], [-1, -1]]), -1)
        tensor([[ 1,  2],
                [-1,  3]])
    """
    # An unsigned 255 is not −1, though PyTorch compares them as equal.
    numbers = tensor if tensor.is_floating_point() or tensor.is_complex() else tensor.long()
    is_padding = numbers.isnan() if pad_value != pad_value else numbers == pad_value
    if tensor.shape[1:].numel() == 0:
        return tensor  # entries that hold nothing hold no padding
    if tensor.dim() > 1:
        is_padding = is_padding.flatten(start_dim=1).all(dim=1)
    return tensor[~is_padding]
