"""What a run was asked to do, compared with what the run before was asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from pytorch_accelerated.run.loop_state import LoopState
from pytorch_accelerated.run.processes import warn


@dataclass(frozen=True)
class Plan:
    """What a run was asked to do, as far as it matters to a run that continues it.

    Batches and batch sizes are those of one process. What is not known is ``None``.
    """

    num_epochs: int
    max_num_train_steps: int | None
    num_batches_per_epoch: int | None
    per_device_batch_size: int | None
    gradient_accumulation_steps: int
    num_processes: int
    gradient_clip_value: float | None
    gradient_clip_norm: float | None
    mixed_precision: str
    optimizer: str

    @property
    def num_updates_per_epoch(self) -> int | None:
        """Updates in a whole epoch."""
        batches = self.num_batches_per_epoch
        return None if batches is None else self.updates_in(batches)

    def updates_in(self, num_batches: int) -> int:
        """Updates that so many batches are made into."""
        return math.ceil(num_batches / self.gradient_accumulation_steps)

    @property
    def _samples_per_batch(self) -> int:
        return (self.per_device_batch_size or 1) * self.num_processes

    def state_dict(self) -> dict[str, Any]:
        """Return all of it, as plain values."""
        return vars(self).copy()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Warn of where the plan of a checkpoint differs: this one counts."""
        for name, value in vars(self).items():
            if name in state and state[name] != value:
                warn(f"{name}: {state[name]!r} before, {value!r} now")


# Where these are the same, so are the batches of an epoch.
_OF_THE_DATA = (
    "num_batches_per_epoch",
    "per_device_batch_size",
    "gradient_accumulation_steps",
    "num_processes",
)


def transferred(loop: LoopState, before: Plan, now: Plan) -> LoopState:
    """The position of a run in the batches of another plan.

    The samples of the epoch that are done stay done, except that a part of an update is done
    again. Updates of the new plan are counted from those that the old one had planned to be done
    by then, so that schedules end with the run.
    """
    if all(getattr(now, name) == getattr(before, name) for name in _OF_THE_DATA):
        return replace(loop)
    total = now.num_batches_per_epoch
    if loop.batch == before.num_batches_per_epoch and total is not None:
        batch = total
    else:
        batch = loop.batch * before._samples_per_batch // now._samples_per_batch
        batch -= batch % now.gradient_accumulation_steps
        batch = batch if total is None else min(batch, total)
    num_replanned = loop.num_replanned
    if before.num_updates_per_epoch is not None and now.num_updates_per_epoch is not None:
        num_replanned += loop.epoch * (before.num_updates_per_epoch - now.num_updates_per_epoch)
        num_replanned += before.updates_in(loop.batch) - now.updates_in(batch)
    return replace(loop, batch=batch, num_replanned=num_replanned)


def check_not_behind(loop: LoopState, now: Plan) -> None:
    """Refuse a run that is shorter than what is done.

    Raises:
        ValueError: It has fewer epochs or updates.
    """
    done = f"{loop.num_updates} updates (epoch {loop.epoch + 1}, batch {loop.batch})"
    limit = now.max_num_train_steps
    if limit is not None and limit < loop.num_updates:
        raise ValueError(
            f"max_num_train_steps is {limit}, but the checkpoint has done {done}: give at least "
            f"{loop.num_updates}, or resume from an earlier checkpoint"
        )
    epochs_begun = loop.epoch + (loop.batch > 0)
    if now.num_epochs < epochs_begun:
        raise ValueError(
            f"num_epochs is {now.num_epochs}, but the checkpoint has done {done}: give at least "
            f"{epochs_begun}, or resume from an earlier checkpoint"
        )
