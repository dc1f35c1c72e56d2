"""Failures known from Ignite, by the ids of the table."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import param_scheduler as theirs

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import linear
from tests.recording import Recorder, held, sgd, update

peer = pytest.mark.peer


def run(optimizer: Any, attach: Any, num_batches: int, accumulation: int = 1) -> list[list[Any]]:
    """What each group runs its updates with."""

    def process(engine: Engine, batch: Any) -> None:
        if engine.state.iteration % accumulation == 0:
            update(optimizer)

    engine = Engine(process)
    attach(engine)
    recorder = Recorder(optimizer)
    engine.run([0] * num_batches)
    return recorder.used


@peer
def test_f05_peer_ignite_resumes_with_the_old_length() -> None:
    def make(optimizer: Any, length: int) -> Any:
        return theirs.CosineAnnealingScheduler(optimizer, "lr", 1.0, 0.0, cycle_size=length)

    short = make(optimizer := sgd([1.0]), 10)
    run(optimizer, lambda e: e.add_event_handler(Events.ITERATION_STARTED, short), 10)
    longer = make(fresh := sgd([1.0]), 20)
    longer.load_state_dict(short.state_dict())
    used = run(fresh, lambda e: e.add_event_handler(Events.ITERATION_STARTED, longer), 5)
    assert used[0] == [1.0]  # of a cosine that would be half done
    assert used[-1] == pytest.approx([0.6545], abs=1e-4)


@peer
def test_f22_peer_ignite_replaces_a_tensor_by_a_float() -> None:
    optimizer = sgd([torch.tensor(0.1)])
    scheduler = theirs.LinearCyclicalScheduler(optimizer, "lr", 0.1, 0.0, cycle_size=8)
    run(optimizer, lambda e: e.add_event_handler(Events.ITERATION_STARTED, scheduler), 3)
    assert type(optimizer.param_groups[0]["lr"]) is float


def test_f29_a_handler_of_updates_counts_updates() -> None:
    optimizer = sgd([1.0])
    scheduler = ParamScheduler(optimizer, lr=linear(4, end=0.0))
    used = run(
        optimizer,
        lambda engine: engine.add_event_handler(
            Events.ITERATION_COMPLETED(every=4), lambda: scheduler.step()
        ),
        num_batches=16,
        accumulation=4,
    )
    assert used == [[1.0], [0.75], [0.5], [0.25]]
    assert held(optimizer) == [0.0]


@peer
def test_f29_peer_ignite_counts_micro_batches() -> None:
    optimizer = sgd([1.0])
    scheduler = theirs.PiecewiseLinear(optimizer, "lr", [(0, 1.0), (4, 0.0)])
    used = run(
        optimizer,
        lambda engine: engine.add_event_handler(Events.ITERATION_STARTED, scheduler),
        num_batches=16,
        accumulation=4,
    )
    assert used == [[0.25], [0.0], [0.0], [0.0]]


def test_f36_the_first_update_runs_with_the_first_value() -> None:
    optimizer = sgd([1.0])
    warmup = linear(4, start=0.01)
    scheduler = ParamScheduler(optimizer, lr=warmup)
    used = run(
        optimizer,
        lambda e: e.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler.step()),
        num_batches=6,
    )
    assert used == [[warmup(k)] for k in range(6)]
    assert used[0] == [0.01]


@peer
def test_f36_peer_ignite_starts_a_warmup_one_update_late() -> None:
    optimizer = sgd([1.0])
    warmup = theirs.create_lr_scheduler_with_warmup(
        torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0), 0.01, 4
    )
    used = run(optimizer, lambda e: e.add_event_handler(Events.ITERATION_COMPLETED, warmup), 3)
    assert used[0] == [1.0]
    assert used[1] == pytest.approx([0.01])


@peer
def test_f37_peer_ignite_gives_all_groups_one_value() -> None:
    optimizer = sgd([1.0, 0.1])
    scheduler = theirs.CosineAnnealingScheduler(optimizer, "lr", 1.0, 0.0, cycle_size=20)
    used = run(optimizer, lambda e: e.add_event_handler(Events.ITERATION_STARTED, scheduler), 3)
    assert all(fast == slow for fast, slow in used)
