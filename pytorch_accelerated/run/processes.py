"""What a run does as one of several processes: add up, decide alike, stop together."""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import (
    broadcast_object_list,
    gather_object,
    is_torch_xla_available,
    parse_flag_from_env,
    recursively_apply,
)
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pytorch_accelerated.callbacks.base import StopTrainingError
from pytorch_accelerated.sharded import is_sharded, is_split, reshard
from pytorch_accelerated.tracking import LossTracker

# Updates between two exchanges in which several processes agree on whether one of them stopped.
STOP_CHECK_INTERVAL = 16

_PACKAGE = f"{__name__.partition('.')[0]}."


def warn(message: str) -> None:
    """Warn at the line of code that called the library, whatever lies in between."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


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


class Processes:
    """The processes of a run, seen from one of them.

    A stop that comes from a callback, or from a hook at the start or end of something, is kept
    until the update at hand is made, so that no update is half done, and no event left out. One
    process may stop while the others continue to their next collective operation, which would
    then wait for ever. So several look together: every `STOP_CHECK_INTERVAL` updates, and wherever
    an epoch begins or ends. In the methods that calculate a batch's loss, a stop comes at once, and
    all processes have to raise it at the same batch.

    Attributes:
        count: How many there are.
        device: The device of this one.
        is_main: Whether this is the first of all.
        shares: Among how many the data is shared out: all, but for those of tensor parallel, which
            compute one and the same together.
        share: Which share this one gets.
        stop: What is to end the run, if they have not agreed on it yet.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        world = os.environ.get("WORLD_SIZE", "1")
        if accelerator.num_processes == 1 and world.isdecimal() and int(world) > 1:
            raise RuntimeError(
                f"{world} processes were launched (WORLD_SIZE), but Accelerate has joined none of "
                f"them: each would train a model of its own. To train on CPU, set the environment "
                f"variable ACCELERATE_USE_CPU=1 for all processes; if the script makes an "
                f"Accelerator or a PartialState before its Trainer, give cpu=True there"
            )
        leave_group_at_exit()
        self.accelerator = accelerator
        self.count: int = accelerator.num_processes
        self.device: torch.device = accelerator.device
        self.is_main: bool = accelerator.is_main_process
        self.shares, self.share = self.count, accelerator.process_index
        self.stop: StopTrainingError | None = None

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count == 1:
            return tensor
        total: Tensor = self.accelerator.reduce(tensor, reduction="sum")
        return total

    def mean_loss(self, tracker: LossTracker) -> float:
        """Mean over the samples of all processes."""
        total, count = self.sum(tracker.totals(self.device)).tolist()
        if count == 0:
            raise ValueError("the data loader gave no batch in this epoch, so there is no loss")
        return float(total / count)

    def from_main(self, values: list[Any]) -> list[Any]:
        """What the first process has."""
        if self.count > 1:
            broadcast_object_list(values)
        return values

    def each(self, value: Any) -> list[Any]:
        """What each process has."""
        return gather_object([value]) if self.count > 1 else [value]

    def to_main(self, value: Any) -> list[Any]:
        """What each process has, told to the first one only; the others have an empty list."""
        if self.count == 1:
            return [value]
        told: list[Any] | None = [None] * self.count if self.is_main else None
        torch.distributed.gather_object(value, told)
        return told or []

    # Stopping together

    def agree_on_stop(self) -> None:
        """End the run on all processes if one of them wants to."""
        wants_stop = self.stop is not None
        if self.count > 1:
            wants_stop = bool(self.sum(torch.tensor(int(wants_stop), device=self.device)).item())
        if wants_stop:
            messages = self.each(None if self.stop is None else str(self.stop))
            self.stop = None
            raise StopTrainingError(next(text for text in messages if text is not None))

    @contextmanager
    def main_for_all(self) -> Iterator[bool]:
        """Give whether this is the main process; what goes wrong there is raised in all of them."""
        error = None
        try:
            yield self.is_main
        except Exception as failure:
            error = failure
        if self.count > 1:
            (message,) = self.from_main([error and f"{type(error).__name__}: {error}"])
            if error is None and message is not None:
                raise RuntimeError(f"in the main process: {message}")
        if error is not None:
            raise error

    def before_workers_start(self, loader: Any) -> None:
        """Let a collective operation's thread end before a data loader forks its workers.

        When gloo is done, its thread gives back Python objects, for which it takes a lock of the
        interpreter. Before Python 3.12, a process that is forked just then waits for that lock
        for ever: under load, one in some hundred epochs.
        """
        has_workers = getattr(loader, "num_workers", 0)
        if has_workers and self.count > 1 and sys.version_info < (3, 12):
            time.sleep(0.01)


def gather(accelerator: Accelerator, tensor: Any, padding_value: float | None) -> Any:
    """Return tensors of all processes, joined along their first dimension; see `Trainer.gather`."""
    if padding_value is None:
        return accelerator.gather(tensor)

    def joined(one: Tensor) -> Tensor:
        one = one[None] if one.dim() == 0 else one
        if accelerator.num_processes > 1:
            lengths = accelerator.gather(torch.tensor([len(one)], device=one.device)).tolist()
            filled = one.new_zeros((max(lengths), *one.shape[1:]))
            filled[: len(one)] = one
            parts = accelerator.gather(filled).split(max(lengths))
            one = torch.cat([part[:n] for part, n in zip(parts, lengths, strict=True)])
        return remove_padding(one, padding_value)

    return recursively_apply(joined, tensor)


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


@contextmanager
def evaluated_alike(model: nn.Module) -> Iterator[None]:
    """Have all processes evaluate with the first one's buffers, and different numbers of batches.

    Distributed training sends these before each forward pass, also in evaluation. Here that is
    done once; the processes of a sharded model get them only here.
    """
    model = getattr(model, "_orig_mod", model)
    if is_sharded(model):
        for buffer in model.buffers():
            if not is_split(buffer):
                torch.distributed.broadcast(buffer, 0)
        try:
            yield
        finally:
            reshard(model)
        return
    if not isinstance(model, DistributedDataParallel) or not model.broadcast_buffers:
        yield
        return
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, 0)
    # A forward pass without gradients changes the latter, on those processes that make one.
    before = model.broadcast_buffers, model.require_forward_param_sync
    model.broadcast_buffers = False
    try:
        yield
    finally:
        model.broadcast_buffers, model.require_forward_param_sync = before


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
