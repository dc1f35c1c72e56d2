"""Ignite: a scheduler steps in a handler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import Checkpoint, DiskSaver
from ignite.handlers.param_scheduler import LRScheduler
from ignite.handlers.tensorboard_logger import TensorboardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pytorch_accelerated.integrations.ignite import ScheduleMonitor
from pytorch_accelerated.schedulers import ParamScheduler, SchedulerWarning
from tests.interop.plan import BASE, DECAY, NUM_UPDATES, PLAN, TEXTS, planned, planned_decay
from tests.recording import Recorder, held


class Run:
    def __init__(self, accumulation: int = 1, events: Any = ()) -> None:
        self.model = torch.nn.Linear(1, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=BASE, weight_decay=DECAY)
        self.recorder = Recorder(self.optimizer)
        self.decays = Recorder(self.optimizer, "weight_decay")
        self.scheduler = ParamScheduler(self.optimizer, horizon=NUM_UPDATES, **TEXTS)
        self.accumulation = accumulation
        self.engine = Engine(self.update)
        self.monitor = ScheduleMonitor(self.optimizer, self.scheduler)
        self.monitor.attach(self.engine)
        for event in events or [Events.ITERATION_COMPLETED(every=accumulation)]:
            self.engine.add_event_handler(event, lambda: self.scheduler.step())

    def update(self, engine: Engine, batch: Any) -> None:
        (self.model(batch).square().mean() / self.accumulation).backward()
        if engine.state.iteration % self.accumulation == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()

    def used(self) -> list[float]:
        return [values[0] for values in self.recorder.used] + held(self.optimizer)

    def used_decay(self) -> list[float]:
        decays = [*self.decays.used, held(self.optimizer, "weight_decay")]
        return [values[0] for values in decays]

    def objects(self) -> dict[str, Any]:
        return {"engine": self.engine, "optimizer": self.optimizer, "scheduler": self.scheduler}


def batches(count: int) -> list[torch.Tensor]:
    return [torch.ones(2, 1)] * count


@pytest.mark.parametrize(("accumulation", "epochs"), [(1, 2), (1, 1), (4, 2)])
def test_each_update_runs_with_the_planned_value(accumulation: int, epochs: int) -> None:
    run = Run(accumulation)
    run.engine.run(batches(NUM_UPDATES // epochs * accumulation), max_epochs=epochs)
    assert (run.used(), run.used_decay()) == (planned(), planned_decay())
    assert run.monitor.summary() == "applied == planned (8 updates, 16 values)"
    assert len(run.optimizer._optimizer_step_pre_hooks) == 2  # those of the recorders


@pytest.mark.parametrize("position", [3, 4])
def test_going_on_from_a_checkpoint(position: int, tmp_path: Path) -> None:
    # Four updates an epoch: one checkpoint in mid-epoch, one at its end.
    first = Run()
    saver = Checkpoint(first.objects(), DiskSaver(tmp_path, require_empty=False), n_saved=None)
    first.engine.add_event_handler(Events.ITERATION_COMPLETED(once=position), saver)
    first.engine.run(batches(4), max_epochs=2)
    assert first.used() == planned()

    second = Run()
    (path,) = tmp_path.glob("*.pt")
    Checkpoint.load_objects(second.objects(), torch.load(path, weights_only=True))
    second.engine.run(batches(4), max_epochs=2)
    assert (second.used(), second.used_decay()) == (planned(position), planned_decay(position))
    assert second.monitor.applied["lr"] == [[value] for value in planned(position)[:-1]]


def test_the_monitor_tells_ignites_loggers(tmp_path: Path) -> None:
    run = Run()
    with TensorboardLogger(tmp_path) as logger:
        logger.attach_output_handler(
            run.engine, Events.ITERATION_COMPLETED, "training", metric_names="all"
        )
        run.engine.run(batches(NUM_UPDATES))
    events = EventAccumulator(str(tmp_path)).Reload()
    for name, values in (("lr", planned()), ("weight_decay", planned_decay())):
        for title in ("plan", "applied"):
            logged = [event.value for event in events.Scalars(f"training/{title}/{name}")]
            assert logged == torch.tensor(values[:-1]).tolist()
    assert run.engine.state.schedules["lr"] == repr(PLAN)


@pytest.mark.parametrize(
    ("events", "diagnosis"),
    [
        ([Events.EPOCH_COMPLETED], "as if once an epoch"),
        ([Events.ITERATION_STARTED], "before the first update"),
        ([Events.ITERATION_COMPLETED] * 2, "2 times an update"),
    ],
)
def test_the_monitor_finds_a_mistake(events: Any, diagnosis: str) -> None:
    run = Run(events=events)
    with pytest.warns(SchedulerWarning, match=diagnosis) as caught:
        run.engine.run(batches(4), max_epochs=2)
    assert len(caught) == 1
    assert diagnosis in run.monitor.summary()


def test_ignites_own_wrapper_is_refused_and_the_message_says_what_to_write() -> None:
    run = Run()
    engine = Engine(run.update)
    engine.add_event_handler(Events.ITERATION_STARTED, LRScheduler(run.scheduler))
    with pytest.raises(AttributeError, match=r"Events.ITERATION_COMPLETED"):
        engine.run(batches(2))
