"""Schedules in torchtitan's Trainer, in the place of its own container of schedulers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torchtitan.components.optimizer import LRSchedulersContainer

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedulers.naming import labels_of
from pytorch_accelerated.schedulers.plans import schedules_by_field

__all__ = ["ScheduledContainer"]


class ScheduledContainer(LRSchedulersContainer):  # type: ignore[misc]
    """Runs schedules on all optimizers of torchtitan's container; ``Config`` goes into a recipe.

    Its checkpoints hold the count of updates, as torchtitan's own do, so a job may resume with
    another parallelism, or from a checkpoint of torchtitan's own schedule.

    Args:
        optimizers: The container of optimizers.
        schedules: Field → schedule as text, as for
            :class:`~pytorch_accelerated.schedulers.ParamScheduler`.
        horizon: How many updates the run has.

    Example:
        >>> from pytorch_accelerated.integrations.torchtitan import ScheduledContainer
        >>> config = ScheduledContainer.Config(  # Trainer.Config(lr_scheduler=config, …)
        ...     schedules={"lr": "linear(200, start=0.0) >> cosine(end=0.1)"}
        ... )
    """

    @dataclass(kw_only=True, slots=True)
    class Config(LRSchedulersContainer.Config):  # type: ignore[misc]
        """The schedules, and ``total_steps`` where they are planned for more than the run."""

        schedules: dict[str, Any]

        def build(self, *, optimizers: Any, training_steps: int) -> ScheduledContainer:
            """Return the container for these optimizers; torchtitan calls this."""
            for field in fields(LRSchedulersContainer.Config):
                value = getattr(self, field.name)
                if field.name != "total_steps" and value != field.default:
                    raise ValueError(
                        f"{field.name}={value!r} does nothing beside schedules. Write into them "
                        "what it is to do."
                    )
            return ScheduledContainer(
                optimizers, self.schedules, self.total_steps or training_steps
            )

    def __init__(self, optimizers: Any, schedules: dict[str, Any], horizon: int) -> None:
        self.schedulers = [
            ParamScheduler(list(optimizers), horizon=horizon, **schedules_by_field(schedules))
        ]

    def get_metrics(self) -> dict[str, float]:
        """Return the learning rates in force, by optimizer and group, for torchtitan's loggers."""
        (scheduler,) = self.schedulers
        rates = zip(labels_of(scheduler.optimizer), scheduler.get_last_lr(), strict=True)
        return {f"lr/{label.name}": float(rate) for label, rate in rates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put the values that are due at the checkpoint's count in force."""
        (scheduler,) = self.schedulers
        # Whatever values are in force, as the optimizers were restored or not, those are due.
        values: list[Any] = [(field, []) for field in scheduler.schedules]
        position = {"num_updates": state_dict["last_epoch"], "values": values}
        scheduler.load_state_dict(scheduler.state_dict() | position)
