"""What a run counts besides updates, where a plan or a limit is in it: samples, items, seconds."""

from __future__ import annotations

from typing import Any

import torch

from pytorch_accelerated.run.processes import warn

#: Clock → the argument that limits it.
LIMITS = {"samples": "max_samples", "items": "max_items", "seconds": "max_time"}


class Counts:
    """Counts over all processes, update by update; what no plan or limit is in is not counted.

    An update that mixed precision skips counts for nothing. Time is the first process's.
    """

    def __init__(self, run: Any, names: list[str]) -> None:
        self.names = names
        limits = {name: getattr(run.config, LIMITS[name]) for name in names}
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}
        self._measure = run.trainer.seconds
        self._began = self._measure() - (run.loop.seconds or 0.0)
        self.drop_window()

    def note(self, batch_size: Any, num_items: Any) -> None:
        """Take a batch of the window at hand into account."""
        if "items" in self.names and num_items is None:
            raise ValueError(
                "this run counts items, but calculate_train_batch_loss did not say how many the "
                "batch has: return them as num_items_in_batch"
            )
        self._samples.append(batch_size)
        self._items.append(num_items)

    def drop_window(self) -> None:
        """Forget the batches of a window that no update was made of."""
        self._samples: list[Any] = []
        self._items: list[Any] = []

    def add_window(self, loop: Any, processes: Any) -> None:
        """Count the update that was made of the window at hand."""
        found = {
            "samples": sum(self._samples) if "samples" in self.names else 0,
            "items": sum(self._items) if "items" in self.names else 0,
            "seconds": self._measure() - self._began if processes.is_main else 0.0,
        }
        self.drop_window()
        numbers = [float(found[name]) for name in self.names]
        if processes.count > 1:
            ours = torch.tensor(numbers, dtype=torch.float64, device=processes.device)
            numbers = processes.sum(ours).tolist()
        for name, number in zip(self.names, numbers, strict=True):
            # Those that share a batch have each counted it.
            number = number if name == "seconds" else number * processes.shares / processes.count
            value = number if name == "seconds" else getattr(loop, name) + round(number)
            setattr(loop, name, value)

    def spent(self, loop: Any) -> str | None:
        """Return which limit is reached, if one is."""
        for name, limit in self.limits.items():
            if getattr(loop, name) >= limit:
                return LIMITS[name]
        return None


def begin(run: Any) -> Counts | None:
    """Count from the loop's position on what limits and schedulers are in, if there is any."""
    loop, clocks = run.loop, run.schedulers.clocks
    names = []
    for name, argument in LIMITS.items():
        if getattr(run.config, argument) is None and name not in clocks:
            setattr(loop, name, None)  # from here on it would be wrong
            continue
        names.append(name)
        if getattr(loop, name) is None:
            if loop.num_updates and run.processes.is_main:
                warn(
                    f"{name} were not counted in the run that this one continues, after "
                    f"{loop.num_updates} updates: they are counted from 0 on"
                )
            setattr(loop, name, 0.0 if name == "seconds" else 0)
    return Counts(run, names) if names else None


def warn_if_data_ended_early(run: Any, num_batches: int | None) -> None:
    """Warn of limits that schedules were planned for, but that the data were too few for."""
    loop, config = run.loop, run.config
    planned: dict[str, tuple[Any, Any]] = {}
    limit, asked = config.max_num_train_steps, run.plan and run.plan.max_num_train_steps
    # With a length, the limit on updates is no more than the epochs have.
    if num_batches is None and limit is not None and not (run.is_enough or run.has_reached_limit()):
        planned["max_num_train_steps"] = limit, loop.num_updates
    is_over = loop.epoch < config.num_epochs or (asked and loop.num_updates >= asked)
    if run.counts is not None and not (is_over or run.counts.spent(loop)):
        for name, limit in run.counts.limits.items():
            planned[LIMITS[name]] = limit, getattr(loop, name)
    if planned:
        limits = ", ".join(f"{name}={limit}" for name, (limit, _) in planned.items())
        instead = ", ".join(f"{name}={max(1, int(done))}" for name, (_, done) in planned.items())
        warn(
            f"the training data ended after {loop.num_updates} updates, but the run was planned "
            f"for {limits}: schedules have not come to their end. Give more epochs, or write "
            f"{instead}"
        )
