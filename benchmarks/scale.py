"""What grows, and what does not, with updates, groups, phases, callbacks and epochs."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from benchmarks.measure import Makers, Measured, clock, once, repeated, resident_bytes
from benchmarks.stepping import TOTAL, WARMUP, optimizer_of

WINDOW = 50  # updates or epochs whose time is taken together
BEGINNING = 600  # … and how many of them a run that only begins has


def scheduler_of(optimizer: Any) -> Any:
    from pytorch_accelerated.schedulers import ParamScheduler
    from pytorch_accelerated.schedules import cosine, linear

    schedule = linear(WARMUP, start=0.0) >> cosine(TOTAL - WARMUP, end=0.0)
    return ParamScheduler(optimizer, lr=schedule)


def stepped(updates: int) -> Any:
    scheduler = scheduler_of(optimizer_of(1))
    for _ in range(updates):
        scheduler.step()
    return scheduler


def steps_after(points: Iterable[int]) -> Makers:
    """Return the step of schedulers that have made so many steps."""
    return {f"{n:,} updates": lambda n=n: repeated(stepped(n).step) for n in points}


def bytes_of_steps(first: int, last: int) -> int:
    """Return the bytes that Python holds more after ``last`` steps than after ``first``."""
    scheduler = stepped(first)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(last - first):
        scheduler.step()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown


def constructions(counts: Iterable[int]) -> Makers:
    """Return the seconds for a group, of the construction of schedulers with so many groups."""

    def make(groups: int) -> Measured:
        optimizer = optimizer_of(groups)

        def construct() -> None:
            for group in optimizer.param_groups:
                group.pop("initial_lr", None)
            scheduler_of(optimizer)

        run = repeated(construct)
        return lambda: run() / groups

    return {f"{groups:,} groups": partial(make, groups) for groups in counts}


def bytes_of_a_scheduler(groups: int) -> int:
    optimizer = optimizer_of(groups)
    tracemalloc.start()
    scheduler = scheduler_of(optimizer)
    for _ in range(2):  # from the second one on, steps remember what they wrote
        scheduler.step()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held


# The Trainer --------------------------------------------------------------------------------


class Listens:
    """A callback that is called twice an update, and does nothing."""

    def on_train_step_end(self, trainer: Any, **kwargs: Any) -> None:
        pass

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        pass


class Same(IterableDataset[Any]):
    """The same batch again and again, so that the data costs next to nothing."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat((torch.ones(1, 1), torch.ones(1, 1)), self._size)


class Windows:
    """Seconds of what is counted just before some points, and the memory there.

    With ``anew``, which returns the same of another run that only begins, each is compared with
    what that gives right then, so that the machine's own moods count for nothing.
    """

    def __init__(self, points: Sequence[int], anew: Measured | None = None) -> None:
        self._first = {point - 10 * WINDOW for point in points}
        self._points = set(points)
        self._anew = anew
        self._count = 0
        self._took: list[float] = []
        self._began = 0.0
        self._is_in = False
        self.seconds: dict[int, float] = {}
        self.ratios: dict[int, float] = {}
        self.memory: dict[int, int] = {}

    def _counted(self) -> None:
        self._count += 1
        if self._is_in and self._count % WINDOW == 0:
            now = clock()
            self._took.append((now - self._began) / WINDOW)
            self._began = now
        if self._count in self._points:
            self._is_in = False
            seconds = self.seconds[self._count] = statistics.median(self._took)
            self.memory[self._count] = resident_bytes()
            if self._anew is not None:
                self.ratios[self._count] = seconds / self._anew()
        if self._count in self._first:
            self._is_in, self._took, self._began = True, [], clock()


class WindowsOfUpdates(Windows):
    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        self._counted()


class WindowsOfEpochs(Windows):
    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        self._counted()


def _trained(
    dataset: Dataset[Any], epochs: int, windows: Windows, more: Sequence[Any] = ()
) -> Windows:
    from pytorch_accelerated.callbacks import get_default_callbacks
    from pytorch_accelerated.schedulers import ParamScheduler
    from pytorch_accelerated.schedules import cosine
    from pytorch_accelerated.trainer import Trainer

    class LoopAlone(Trainer):
        """Computes nothing, so that a million updates take a minute."""

        loss = torch.ones((), requires_grad=True)

        def calculate_train_batch_loss(self, batch: Any) -> dict[str, Any]:
            return {"loss": self.loss, "batch_size": 1}

        def backward_step(self, loss: Any) -> None:
            pass

        def optimizer_step(self) -> None:
            pass

        def optimizer_zero_grad(self) -> None:
            pass

    model = nn.Linear(1, 1)
    trainer = LoopAlone(
        model,
        None,
        torch.optim.SGD(model.parameters(), lr=1e-4),
        callbacks=[*get_default_callbacks(), *more, windows],
    )
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        trainer.train(
            dataset,
            num_epochs=epochs,
            create_scheduler_fn=ParamScheduler.create_scheduler_fn(lr=cosine(end=0.0)),
            train_dataloader_kwargs={"batch_size": None},
        )
    return windows


def with_callbacks(counts: Iterable[int]) -> Makers:
    """Return the seconds of an update of the loop alone, with so many callbacks more."""

    def make(count: int) -> Measured:
        def measured() -> float:
            more = [Listens() for _ in range(count)]
            windows = WindowsOfUpdates([BEGINNING])
            return _trained(Same(BEGINNING), 1, windows, more).seconds[BEGINNING]

        return measured

    return {f"{count} callbacks more": partial(make, count) for count in counts}


def updates_of_a_run(points: Sequence[int]) -> Windows:
    """Train one epoch of as many updates as the last point says."""

    def anew() -> float:
        (seconds,) = _trained(Same(BEGINNING), 1, WindowsOfUpdates([BEGINNING])).seconds.values()
        return seconds

    return _trained(Same(max(points)), 1, WindowsOfUpdates(points, anew))


def epochs_of_a_run(points: Sequence[int]) -> Windows:
    """Train as many epochs of one update as the last point says."""

    def anew() -> float:
        (seconds,) = _trained(Same(1), BEGINNING, WindowsOfEpochs([BEGINNING])).seconds.values()
        return seconds

    return _trained(Same(1), max(points), WindowsOfEpochs(points, anew))


def bytes_of_history(history: Any, first: int, last: int) -> float:
    """Return the bytes that a metric and epoch takes, from epoch ``first`` to ``last``."""

    def record(epochs: int) -> None:
        for epoch in range(epochs):
            history.update_metric("train_loss_epoch", 1.0 / (epoch + 1))
            history.increment_epoch()

    record(first)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    record(last - first)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown / (last - first)


def history_on_disk(folder: Path) -> Any:
    from pytorch_accelerated.tracking import OnDiskRunHistory

    return OnDiskRunHistory(folder / "history.jsonl")


def history_in_memory() -> Any:
    from pytorch_accelerated.tracking import InMemoryRunHistory

    return InMemoryRunHistory()


# Previews -----------------------------------------------------------------------------------


def preview(updates: int) -> Measured:
    """Return the preview of so many updates of one field and group."""
    return once(partial(scheduler_of(optimizer_of(1)).preview, updates))


def values_at_once(updates: int) -> dict[str, Makers]:
    """Return curve → its values at so many updates, one by one as without NumPy, and at once."""
    from pytorch_accelerated.schedules import arrays, constant, cosine, exponential, linear

    def one_by_one(schedule: Any) -> None:
        with mock.patch.object(arrays, "help_with", return_value=False):
            schedule.values(updates)

    samples = {
        "linear": linear(updates, end=0.0),
        "cosine": cosine(updates, end=0.0),
        "constant": constant(updates, value=0.5),
        "exponential": exponential(updates, end=0.01),  # which gains least of all curves
    }
    return {
        name: {
            "one by one": lambda schedule=schedule: once(partial(one_by_one, schedule)),
            "at once": lambda schedule=schedule: once(partial(schedule.values, updates)),
        }
        for name, schedule in samples.items()
    }


def is_preview_exact(updates: int) -> bool:
    """Say whether a preview is equal, bit for bit, to what training writes."""
    planned = scheduler_of(optimizer_of(1)).preview(updates)["lr"][0]
    scheduler = scheduler_of(optimizer_of(1))
    (group,) = scheduler.optimizer.param_groups
    for value in planned:
        if group["lr"].hex() != float(value).hex():
            return False
        scheduler.step()
    return True
