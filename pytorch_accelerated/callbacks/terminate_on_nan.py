"""Ending a run whose loss is not a number any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import StopTrainingError, TrainerCallback
from pytorch_accelerated.checks import whole


@dataclass(eq=False, repr=False)
class TerminateOnNaNCallback(TrainerCallback):
    """Ends the run after a NaN or infinity in a loss.

    Looking at each loss would make the host wait for the device at every step. So losses are
    gathered on the device, reduced to one flag over all processes every ``check_every`` training
    batches, and that flag is looked at ``check_every`` batches later, when its copy has long
    arrived; at the end of an epoch all that is outstanding is looked at. A run thus continues for
    at most two times ``check_every`` batches after the first bad loss, and all processes stop at
    the same batch. Evaluation looks at the end of its epoch.

    Args:
        check_every: Number of training batches between two looks.

    Attributes:
        triggered: Whether a NaN or infinity ended the latest run.

    Raises:
        TypeError: ``check_every`` is not an integer.
        ValueError: It is below 1.
    """

    check_every: int = 100

    triggered: bool = field(default=False, init=False)
    _on_its_way: _HostCopy | None = field(default=None, init=False)
    _losses = cached_property(lambda self: list[torch.Tensor]())

    def __post_init__(self) -> None:
        self.check_every = whole("check_every", self.check_every, minimum=1)

    def check_for_nan_after_batch(
        self, batch_output: dict[str, Any], step: int | None = None
    ) -> None:
        """Gather the loss of a batch, ``batch_output["loss"]``; it is looked at later."""
        self._losses.append(torch.as_tensor(batch_output["loss"]).detach().reshape(-1))

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._losses.clear()
        self.triggered, self._on_its_way = False, None

    on_evaluation_run_start = on_training_run_start

    def on_train_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], step: int, **kwargs: Any
    ) -> None:
        self.check_for_nan_after_batch(batch_output, step)
        if (step + 1) % self.check_every == 0:
            arrived, self._on_its_way = self._on_its_way, _HostCopy(self._found(trainer))
            if arrived is not None and arrived.value():
                self._stop("training")

    def on_eval_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], **kwargs: Any
    ) -> None:
        self.check_for_nan_after_batch(batch_output)

    def on_eval_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        self._look_now(trainer, "training")  # what came before is not the evaluation's

    def on_train_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._look_now(trainer, "training")

    def on_eval_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._look_now(trainer, "evaluation")

    def _found(self, trainer: Any) -> torch.Tensor:
        """Return whether a gathered loss of any process is bad, on the device."""
        count = torch.zeros((), device=trainer.device)
        if self._losses:
            count = (~torch.cat(self._losses).isfinite()).sum().to(count)
            self._losses.clear()
        if trainer.run.num_processes > 1:
            count = trainer.run.accelerator.reduce(count, reduction="sum")
        return count > 0

    def _look_now(self, trainer: Any, phase: str) -> None:
        arrived, self._on_its_way = self._on_its_way, None
        if bool(self._found(trainer)) or (arrived is not None and arrived.value()):
            self._stop(phase)

    def _stop(self, phase: str) -> None:
        self.triggered = True
        raise StopTrainingError(
            f"Stopping: a loss in {phase} is NaN or infinite. Look for a too high learning rate, "
            f"a division by zero or a log of zero; torch.autograd.set_detect_anomaly(True) "
            f"tells the operation"
        )


class _HostCopy:
    """A flag on its way from the device to the host."""

    def __init__(self, flag: torch.Tensor) -> None:
        self._host = torch.empty((), dtype=flag.dtype, pin_memory=flag.is_cuda)
        self._host.copy_(flag, non_blocking=True)
        self._event = torch.cuda.Event() if flag.is_cuda else None  # type: ignore[no-untyped-call]
        if self._event is not None:
            self._event.record()

    def value(self) -> bool:
        if self._event is not None:
            self._event.synchronize()
        return bool(self._host)
