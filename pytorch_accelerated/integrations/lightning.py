"""Lightning: what ``configure_optimizers`` returns, and a callback that compares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer

from pytorch_accelerated.schedulers import ParamScheduler

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

__all__ = ["scheduled"]


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
            without an end, over a stream, or with manual optimization.

    Example:
        >>> import lightning, torch
        >>> from pytorch_accelerated.integrations.lightning import scheduled
        >>> class Module(lightning.LightningModule):
        ...     def configure_optimizers(self):
        ...         optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3)
        ...         return scheduled(self, optimizer, lr="linear(0.05, start=0.0) >> cosine()")
    """
    if horizon is None and module.automatic_optimization:
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


def _known(number: float) -> int | None:
    return math.ceil(number) if 0 < number < math.inf else None
