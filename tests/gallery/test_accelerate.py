"""Failures known from Accelerate on one process, by the ids of the table."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from tests.interop.accelerate_loop import make_accelerator
from tests.recording import Recorder

peer = pytest.mark.peer


def run(make: Any, num_batches: int, accumulation: int = 1) -> list[float]:
    """What the updates of a prepared scheduler run with, and what is left."""
    accelerator = make_accelerator(accumulation)
    model = torch.nn.Linear(1, 1)
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    recorder = Recorder(inner)
    model, optimizer, scheduler = accelerator.prepare(model, inner, make(inner))
    for _ in range(num_batches):
        with accelerator.accumulate(model):
            accelerator.backward(model(torch.ones(2, 1)).mean())
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    return [values[0] for values in recorder.used] + [inner.param_groups[0]["lr"]]


def test_f27_a_plan_counts_updates_under_accumulation() -> None:
    def make(optimizer: Any) -> Any:
        return ParamScheduler(optimizer, lr=linear(4, end=0.0))

    assert run(make, num_batches=16, accumulation=4) == [1.0, 0.75, 0.5, 0.25, 0.0]


@peer
def test_f27_peer_accelerate_ends_far_above_the_end() -> None:
    def make(optimizer: Any) -> Any:
        return lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=16)

    assert run(make, num_batches=16, accumulation=4)[-1] == pytest.approx(0.75)


def test_f28_the_floor_is_held_past_the_end() -> None:
    plan = linear(3, start=0.04) >> cosine(7, end=0.0)
    values = run(lambda optimizer: ParamScheduler(optimizer, lr=plan), num_batches=20)
    assert values == [plan(k) for k in range(21)]
    assert set(values[10:]) == {0.0}


@peer
def test_f28_peer_accelerate_freezes_one_cycle_on_its_rebound() -> None:
    def make(optimizer: Any) -> Any:
        return lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)

    values = run(make, num_batches=20)
    assert values[-1] > 1_000 * values[9]
    assert len(set(values[10:])) == 1


@peer
def test_f30_peer_accelerate_divides_a_short_window_by_the_full_length() -> None:
    accelerator = make_accelerator(3)
    model = torch.nn.Linear(1, 1)
    loader = torch.utils.data.DataLoader(torch.ones(5, 1))
    model, loader = accelerator.prepare(model, loader)
    gradients = []
    for batch in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(batch).mean())
            if accelerator.sync_gradients:
                gradients.append(float(model.weight.grad))
                model.zero_grad()
    assert gradients == pytest.approx([1.0, 2 / 3])
