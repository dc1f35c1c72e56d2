"""Ending a run whose loss is not a number any more."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import StopTrainingError, TrainerCallback
from pytorch_accelerated.checks import whole


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
    triggered: bool = False
    _is_bad: torch.Tensor | None = None
    _on_its_way: _HostCopy | None = None

    def __init__(self, check_every: int = 100) -> None:
        self.check_every = whole("check_every", check_every, minimum=1)

    @cached_property
    def _losses(self) -> list[torch.Tensor]:
        return []

    def _forget(self) -> None:
        self._losses.clear()
        self._is_bad = self._on_its_way = None

    def check_for_nan_after_batch(
        self, batch_output: dict[str, Any], step: int | None = None
    ) -> None:
        """Gather the loss of a batch, ``batch_output["loss"]``; it is looked at later."""
        loss = batch_output["loss"]
        self._losses.append(loss.detach() if torch.is_tensor(loss) else torch.tensor(loss))
        if len(self._losses) >= self.check_every:
            self._fold()

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self.triggered = False
        self._forget()

    on_evaluation_run_start = on_training_run_start

    def on_train_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], step: int, **kwargs: Any
    ) -> None:
        self.check_for_nan_after_batch(batch_output, step)
        if (step + 1) % self.check_every == 0:
            arrived, self._on_its_way = self._on_its_way, _HostCopy(self._reduced(trainer))
            if arrived is not None and arrived.value():
                self._stop("training")

    def on_eval_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], **kwargs: Any
    ) -> None:
        self.check_for_nan_after_batch(batch_output)

    def on_train_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._look_now(trainer, "training")

    def on_eval_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._look_now(trainer, "evaluation")

    def _fold(self) -> None:
        """Turn the gathered losses into one flag, on the device."""
        if self._losses:
            flat = torch.cat([loss.reshape(-1) for loss in self._losses])
            is_bad = (~flat.isfinite()).any()
            self._is_bad = is_bad if self._is_bad is None else self._is_bad | is_bad
            self._losses.clear()

    def _reduced(self, trainer: Any) -> torch.Tensor:
        """The flag over all processes, on the device."""
        self._fold()
        if self._is_bad is None:
            self._is_bad = torch.zeros((), dtype=torch.bool, device=trainer.device)
        if trainer.run.num_processes == 1:
            return self._is_bad
        count = self._is_bad.to(device=trainer.device, dtype=torch.float32)
        total: torch.Tensor = trainer.run.accelerator.reduce(count, reduction="sum")
        return total > 0

    def _look_now(self, trainer: Any, phase: str) -> None:
        is_bad = bool(self._reduced(trainer))
        self._forget()
        if is_bad:
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
