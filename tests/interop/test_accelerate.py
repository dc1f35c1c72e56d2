"""Plain Accelerate on one process; `test_two_processes` has the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pytorch_accelerated.schedulers import WSDLrScheduler
from tests.interop.accelerate_loop import make_accelerator, run
from tests.interop.plan import BASE, NUM_UPDATES, make_scheduler, planned
from tests.recording import Recorder

#: The recipe: leave the scheduler as it is, and step it when an update was made.
RECIPE = {"prepared": False, "guarded": True}


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_scheduler_stepped_when_an_update_was_made(
    prepared: bool, accumulation: int, linked: bool, split: bool
) -> None:
    result = run(
        prepared=prepared, guarded=True, linked=linked, split=split, accumulation=accumulation
    )
    assert result["used"] == planned()
    assert result["count"] == NUM_UPDATES
    assert result["warnings"] == []


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("made_from_wrapper", [False, True])
def test_a_prepared_scheduler_stepped_with_every_batch(
    accumulation: int, made_from_wrapper: bool
) -> None:
    result = run(
        prepared=True,
        guarded=False,
        accumulation=accumulation,
        made_from_wrapper=made_from_wrapper,
    )
    assert result["used"] == planned()
    assert result["last"] == [0.0]


def test_micro_batches_do_not_hold_back_a_scheduler_that_has_total_steps() -> None:
    # Accelerate counts micro-batches in `_step_count`, and compares it with `total_steps`.
    def make(optimizer: Any) -> WSDLrScheduler:
        return WSDLrScheduler(optimizer, total_steps=NUM_UPDATES, decay_phase_ratio=0.5, lr_min=0)

    plan = make(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=BASE))
    result = run(prepared=True, guarded=False, accumulation=4, make=make)
    assert result["used"] == [plan.get_updated_values(k)[0] for k in range(NUM_UPDATES + 1)]
    assert result["used"][-1] == 0.0


@pytest.mark.parametrize("options", [RECIPE, {"prepared": True, "guarded": False}])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_updates_that_the_gradient_scaler_skips(options: Any, accumulation: int) -> None:
    overflows = (0, 1, 5)
    result = run(**options, accumulation=accumulation, overflows=overflows)
    assert result["count"] == NUM_UPDATES
    assert result["used"][-1] == 0.0
    # Accelerate's scaler does not call step() for an update that it skips.
    assert result["used"] == planned()


@pytest.mark.parametrize("prepared", [False, True])
def test_going_on_from_a_saved_state(prepared: bool, tmp_path: Path) -> None:
    def objects() -> Any:
        accelerator = make_accelerator()
        model = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=BASE)
        scheduler = make_scheduler(optimizer)
        model, wrapped = accelerator.prepare(model, optimizer)
        if prepared:
            accelerator.prepare(scheduler)
        else:
            accelerator.register_for_checkpointing(scheduler)
        return accelerator, model, optimizer, wrapped, scheduler

    def train(objects: Any, num_updates: int) -> list[float]:
        accelerator, model, optimizer, wrapped, scheduler = objects
        recorder = Recorder(optimizer)
        for _ in range(num_updates):
            accelerator.backward(model(torch.ones(2, 1)).mean())
            wrapped.step()
            scheduler.step()
            wrapped.zero_grad()
        return [values[0] for values in recorder.used] + [optimizer.param_groups[0]["lr"]]

    first = objects()
    assert train(first, 3) == planned(0, 3)
    first[0].save_state(tmp_path)
    second = objects()
    second[0].load_state(tmp_path)
    assert train(second, NUM_UPDATES - 3) == planned(3)
