"""A scheduler that configuration files can build."""

from __future__ import annotations

from torch.optim import Optimizer

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedulers.plans import schedules_by_field


class ConfiguredScheduler(ParamScheduler):
    """A :class:`~pytorch_accelerated.schedulers.ParamScheduler` made of numbers and text alone.

    Configuration files build it: those of LightningCLI, which names it as ``class_path``, and of
    Hydra, which names it as ``_target_``. Its state is that of a ``ParamScheduler``.

    Args:
        optimizer: The optimizer whose parameter groups are scheduled.
        schedules: Field → schedule as text, such as ``{"lr": "linear(0.1) >> cosine()"}``.
        horizon: How many updates the run has. Plans with shares of the run need it.
        num_updates_per_epoch: How many updates an epoch has. Plans with ``epochs(…)`` need it.

    Raises:
        TypeError: If ``schedules`` is not a dictionary with names of fields.
        ValueError: If a text is not a schedule, or needs a ``horizon`` or
            ``num_updates_per_epoch`` that was not given; and as for ``ParamScheduler``.

    Example:
        >>> import torch
        >>> from pytorch_accelerated.integrations import ConfiguredScheduler
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> scheduler = ConfiguredScheduler(
        ...     optimizer, {"lr": "linear(0.1, start=0.0) >> cosine()"}, horizon=100
        ... )
        >>> scheduler.schedules["lr"]
        linear(10, start=0.0) >> cosine(90)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedules: dict[str, str],
        horizon: int | None = None,
        num_updates_per_epoch: int | None = None,
    ) -> None:
        super().__init__(
            optimizer,
            horizon=horizon,
            num_updates_per_epoch=num_updates_per_epoch,
            **schedules_by_field(schedules),
        )
