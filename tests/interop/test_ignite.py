"""Ignite: a scheduler steps in a handler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from ignite.handlers.param_scheduler import LRScheduler

from tests.interop.plan import BASE, NUM_UPDATES, make_scheduler, planned
from tests.recording import Recorder, held


class Run:
    def __init__(self, accumulation: int = 1) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=BASE)
        self.recorder = Recorder(self.optimizer)
        self.scheduler = make_scheduler(self.optimizer)
        self.accumulation = accumulation
        self.engine = Engine(self.update)
        self.engine.add_event_handler(
            Events.ITERATION_COMPLETED(every=accumulation), lambda: self.scheduler.step()
        )

    def update(self, engine: Engine, batch: Any) -> None:
        (self.model(batch).square().mean() / self.accumulation).backward()
        if engine.state.iteration % self.accumulation == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def used(self) -> list[float]:
        return [values[0] for values in self.recorder.used] + held(self.optimizer)

    def objects(self) -> dict[str, Any]:
        return {"engine": self.engine, "optimizer": self.optimizer, "scheduler": self.scheduler}


def batches(count: int) -> list[torch.Tensor]:
    return [torch.ones(2, 1)] * count


@pytest.mark.parametrize(("accumulation", "epochs"), [(1, 2), (1, 1), (4, 2)])
def test_each_update_runs_with_the_planned_value(accumulation: int, epochs: int) -> None:
    run = Run(accumulation)
    run.engine.run(batches(NUM_UPDATES // epochs * accumulation), max_epochs=epochs)
    assert run.used() == planned()


def test_going_on_from_a_checkpoint(tmp_path: Path) -> None:
    first = Run()
    saver = Checkpoint(first.objects(), DiskSaver(tmp_path, require_empty=False), n_saved=None)
    first.engine.add_event_handler(Events.EPOCH_COMPLETED, saver)
    first.engine.run(batches(4), max_epochs=1)
    assert first.used() == planned(0, 4)

    second = Run()
    (path,) = tmp_path.glob("*.pt")
    Checkpoint.load_objects(second.objects(), torch.load(path, weights_only=True))
    second.engine.run(batches(4), max_epochs=2)
    assert second.used() == planned(4)


def test_ignites_own_wrapper_is_refused_and_the_message_says_what_to_write() -> None:
    run = Run()
    engine = Engine(run.update)
    engine.add_event_handler(Events.ITERATION_STARTED, LRScheduler(run.scheduler))
    with pytest.raises(AttributeError, match=r"Events.ITERATION_COMPLETED"):
        engine.run(batches(2))
