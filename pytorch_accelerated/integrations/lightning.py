"""What Lightning's ``configure_optimizers`` returns, and a callback that compares."""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from pytorch_accelerated.integrations.monitors import Monitor
from pytorch_accelerated.schedulers import ParamScheduler

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.callbacks import GradientAccumulationScheduler
except ModuleNotFoundError:  # it is there under its other name
    from pytorch_lightning import Callback, LightningModule, Trainer  # type: ignore[assignment]
    from pytorch_lightning.callbacks import (  # type: ignore[assignment]
        GradientAccumulationScheduler,
    )

__all__ = ["ScheduleMonitor", "scheduled"]


def scheduled(
    module: LightningModule,
    optimizer: Optimizer,
    *,
    horizon: int | None = None,
    num_updates_per_epoch: int | None = None,
    **schedules: Any,
) -> dict[str, Any]:
    """Return what ``configure_optimizers`` has to, with schedules stepped after each update.

    Lightning's Trainer says how many updates the run has. With manual optimization only you know,
    and call ``self.lr_schedulers().step()`` after each update yourself.

    Args:
        module: The module whose ``configure_optimizers`` this is called in.
        optimizer: The optimizer whose parameter groups are scheduled.
        horizon: How many updates the run has, where Lightning does not know or another number is
            planned for.
        num_updates_per_epoch: How many updates an epoch has, if ``horizon`` is given.
        **schedules: Field → schedule, as for
            :class:`~pytorch_accelerated.schedulers.ParamScheduler`.

    Returns:
        A dictionary with the optimizer and its scheduler; with manual optimization of several
        optimizers, return a list of such dictionaries.

    Raises:
        ValueError: If a schedule is a share of a run whose length Lightning does not know: one
            without an end, over a stream, with a ``GradientAccumulationScheduler``, or with manual
            optimization.

    Example:
        >>> import lightning, torch
        >>> from pytorch_accelerated.integrations.lightning import scheduled
        >>> class Module(lightning.LightningModule):
        ...     def configure_optimizers(self):
        ...         optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
        ...         return scheduled(self, optimizer, lr="linear(0.05, start=0.0) >> cosine()")
    """
    if horizon is None and module.automatic_optimization and not _changes_windows(module.trainer):
        trainer = module.trainer
        # Neither number is finite for a stream or a run without an end; some are −1.
        horizon = _known(trainer.estimated_stepping_batches)
        num_updates_per_epoch = _known(
            trainer.num_training_batches / trainer.accumulate_grad_batches
        )
    scheduler = ParamScheduler(
        optimizer, horizon=horizon, num_updates_per_epoch=num_updates_per_epoch, **schedules
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _changes_windows(trainer: Any) -> bool:
    """Return whether windows of accumulation change on the way, which Lightning does not count."""
    return any(isinstance(one, GradientAccumulationScheduler) for one in trainer.callbacks)


def _known(number: float) -> int | None:
    return math.ceil(number) if 0 < number < math.inf else None


class ScheduleMonitor(Monitor, Callback):
    """Records what each update of a Trainer ran with beside the plan, and warns where they part.

    The Trainer's loggers get ``plan/…`` and ``applied/…`` every ``log_every_n_steps`` updates, and
    the text of the plan with the hyperparameters, as ``schedules``.

    Raises:
        ValueError: When training starts, if the module has no scheduler, or several optimizers with
            one each.

    Example:
        >>> from pytorch_accelerated.integrations.lightning import ScheduleMonitor
        >>> monitor = ScheduleMonitor()  # Trainer(…, callbacks=[monitor])
        >>> monitor.summary()
        'no update was recorded'
    """

    _logged = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to record, where the checkpoint that was loaded left off."""
        schedulers = [one.scheduler for one in trainer.lr_scheduler_configs]
        if len(trainer.optimizers) > 1 and len(schedulers) > 1:
            raise ValueError(
                f"ScheduleMonitor is for one scheduler, but there are {len(schedulers)} for "
                f"{len(trainer.optimizers)} optimizers. Make one ParamScheduler([…], lr=…) for all "
                "that make each update together. Else make a Monitor of "
                "pytorch_accelerated.integrations.monitors for each, and call its "
                "begin(optimizer, scheduler) in on_train_start, and its end() in on_train_end."
            )
        self.begin(trainer.optimizers, schedulers)
        self._logged = trainer.global_step
        for logger in trainer.loggers:
            logger.log_hyperparams({"schedules": self.text})

    def on_train_batch_end(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        """Log the planned and applied values of an update, under its number."""
        if trainer.global_step == self._logged:
            return  # the batch only accumulated gradients
        self._logged = trainer.global_step
        if trainer.log_every_n_steps and self._logged % trainer.log_every_n_steps == 0:
            for logger in trainer.loggers:
                logger.log_metrics(self.metrics(), step=self._logged - 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop recording, and log the summary."""
        self.end()

    def on_exception(self, *args: Any, **kwargs: Any) -> None:
        """Stop recording, and log the summary."""
        self.end()
