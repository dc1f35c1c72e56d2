"""What a Trainer does as one of several processes: exchange values, fire events, stop together."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object, recursively_apply
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pytorch_accelerated.callbacks import CallbackHandler, StopTrainingError
from pytorch_accelerated.tracking import LossTracker

# Updates between two exchanges in which several processes agree on whether one of them stopped.
STOP_CHECK_INTERVAL = 16


class Processes:
    """The part of the Trainer that knows of other processes.

    A callback may stop a run on one process while the others go on to their next collective
    operation, which would then wait for ever. So with several processes a stop is kept until all
    of them look: every `STOP_CHECK_INTERVAL` updates, and wherever an epoch begins or ends.
    `StopTrainingError` may come from an event or a hook there. In the methods that calculate a
    batch's loss, all processes have to raise it at the same batch.
    """

    model: nn.Module
    callback_handler: CallbackHandler
    _accelerator: Accelerator
    _stop: StopTrainingError | None
    _unwrap: Callable[[], None]

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        device: torch.device = self._accelerator.device
        return device

    def gather(self, tensor: Any, padding_value: float | None = None) -> Any:
        """Tensors of all processes, joined along their first dimension, in every process.

        Args:
            tensor: A tensor, or lists, tuples and dicts of tensors.
            padding_value: Give one if the processes' first dimensions differ in length. It fills
                them up on the way; the result holds what was given, and no padding.
        """
        if padding_value is None or self._num_processes == 1:
            return self._accelerator.gather(tensor)
        return recursively_apply(self._gather_uneven, tensor, padding_value)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on the first process of each machine.

        Args:
            *args: As for `print`.
            **kwargs: As for `print`.
        """
        self._accelerator.print(*args, **kwargs)

    def get_model(self, keep_torch_compile: bool = True) -> nn.Module:
        """The model without Accelerate's wrappers.

        Args:
            keep_torch_compile: Whether to leave the wrapper of `torch.compile`.
        """
        model: nn.Module = self._accelerator.unwrap_model(
            self.model, keep_torch_compile=keep_torch_compile
        )
        return model

    def _run_until_stopped(
        self, body: Callable[[], None], end_hook: Callable[[], None], end_event: str
    ) -> None:
        try:
            body()
        except StopTrainingError as stop:
            self.print(stop)
            self._ending(lambda: self._fire("on_stop_training_error"))
        self._unwrap()
        self._ending(end_hook)
        self._ending(lambda: self._fire(end_event))

    def _ending(self, call: Callable[[], None]) -> None:
        """Call what comes when a run ends anyway, so that a stop is but a message."""
        try:
            call()
        except StopTrainingError as stop:
            self._stop = stop
        if self._stop is not None:
            self.print(self._stop)
            self._stop = None

    def _announce(self, hook: Callable[[], None] | None, event: str, **kwargs: Any) -> None:
        """Call a hook, then the event of the same place; then agree on whether to go on."""
        if hook is not None:
            self._hook(hook)
        self._fire(event, **kwargs)
        self._agree_on_stop()

    def _hook(self, hook: Callable[[], None]) -> None:
        try:
            hook()
        except StopTrainingError as stop:
            self._keep_stop(stop)

    def _fire(self, event: str, **kwargs: Any) -> None:
        try:
            self.callback_handler.call_event(event, self, **kwargs)
        except StopTrainingError as stop:
            self._keep_stop(stop)

    def _keep_stop(self, stop: StopTrainingError) -> None:
        if self._num_processes == 1:
            raise stop
        self._stop = self._stop or stop

    def _agree_on_stop(self) -> None:
        """End the run on all processes if one of them wants to."""
        if self._num_processes == 1:
            return
        wants_stop = torch.tensor(int(self._stop is not None), device=self.device)
        if self._accelerator.reduce(wants_stop).item():
            messages = gather_object([None if self._stop is None else str(self._stop)])
            self._stop = None
            raise StopTrainingError(next(text for text in messages if text is not None))

    def _before_workers_start(self, loader: Any) -> None:
        """Let a collective operation's thread end before a data loader forks its workers.

        When gloo is done, its thread gives back Python objects, for which it takes a lock of the
        interpreter. Before Python 3.12, a process that is forked just then waits for that lock
        for ever: under load, one in some hundred epochs.
        """
        has_workers = getattr(loader, "num_workers", 0)
        if has_workers and self._num_processes > 1 and sys.version_info < (3, 12):
            time.sleep(0.01)

    def _weights_are_finite(self) -> bool:
        """Whether no weight is a NaN or infinity; all processes find the same."""
        parameters = [parameter.detach() for parameter in self.model.parameters()]
        if not parameters:
            return True
        # Only finite numbers have a finite sum, which takes a tenth of the time; large ones may
        # have an infinite one.
        are_finite = torch.stack([parameter.sum().isfinite() for parameter in parameters]).all()
        if not are_finite:
            are_finite = torch.stack([parameter.isfinite().all() for parameter in parameters]).all()
        num_finite = are_finite.float()
        if self._num_processes > 1:
            # They have to decide alike, also if each holds a part of the weights.
            num_finite = self._accelerator.reduce(num_finite, reduction="sum")
        return bool(num_finite == self._num_processes)

    @property
    def _num_processes(self) -> int:
        num_processes: int = self._accelerator.num_processes
        return num_processes

    def _mean(self, tracker: LossTracker) -> float:
        """Mean over the samples of all processes."""
        totals = tracker.totals(self.device)
        if self._num_processes > 1:
            totals = self._accelerator.reduce(totals, reduction="sum")
        total, count = totals.tolist()
        if count == 0:
            raise ValueError("the data loader gave no batch in this epoch, so there is no loss")
        return float(total / count)

    def _gather_uneven(self, tensor: Tensor, padding_value: float) -> Tensor:
        tensor = tensor[None] if tensor.dim() == 0 else tensor
        lengths = self._accelerator.gather(torch.tensor([len(tensor)], device=tensor.device))
        lengths = lengths.tolist()
        padded = tensor.new_full((max(lengths), *tensor.shape[1:]), padding_value)
        padded[: len(tensor)] = tensor
        parts = self._accelerator.gather(padded).split(max(lengths))
        return torch.cat([part[:n] for part, n in zip(parts, lengths, strict=True)])


@contextmanager
def no_buffer_broadcast(model: nn.Module) -> Iterator[None]:
    """Let processes evaluate different numbers of batches.

    Distributed training sends the first process's buffers to the others before each forward
    pass, also in evaluation. Here that is done once.

    Args:
        model: The model, prepared or not.
    """
    model = getattr(model, "_orig_mod", model)
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
