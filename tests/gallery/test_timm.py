"""Failures that timm's schedulers still have, by the ids of the table."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.conformance.timm_parts import timm_part
from tests.recording import Recorder, held, parameters, sgd, update

peer = pytest.mark.peer


def theirs(optimizer: Any, name: str = "CosineLRScheduler", **settings: Any) -> Any:
    return getattr(timm_part("scheduler"), name)(optimizer, **settings)


def used(optimizer: Any, scheduler: Any, epochs: int) -> list[float]:
    """What each of some epochs runs with, stepped as in timm's own training script."""
    recorder = Recorder(optimizer)
    for epoch in range(epochs):
        update(optimizer)
        scheduler.step(epoch + 1)
    return [values[0] for values in recorder.used]


@peer
def test_f07_peer_timm_never_schedules_a_later_group() -> None:
    optimizer = sgd([1.0])
    scheduler = theirs(optimizer, t_initial=10)
    optimizer.add_param_group({"params": parameters(1), "lr": 0.3})
    scheduler.step(5)
    assert held(optimizer) == [pytest.approx(0.5), 0.3]


@peer
def test_f14_peer_timm_ignores_a_new_rate() -> None:
    optimizer = sgd([0.1])
    theirs(optimizer, t_initial=10)
    optimizer.param_groups[0]["lr"] = 0.01
    theirs(optimizer, t_initial=10)
    assert held(optimizer) == [0.1]


@peer
def test_f22_peer_timm_replaces_a_tensor_by_another() -> None:
    rate = torch.tensor(0.1)
    optimizer = sgd([rate])
    theirs(optimizer, t_initial=10).step(3)
    assert optimizer.param_groups[0]["lr"] is not rate


@peer
def test_f23_peer_timm_never_reaches_the_base() -> None:
    optimizer = sgd([1.0])
    values = used(optimizer, theirs(optimizer, t_initial=20, warmup_t=5), 20)
    assert max(values) == values[5] == pytest.approx(0.8536, abs=1e-4)


@peer
def test_f24_peer_timm_decays_one_epoch_early() -> None:
    optimizer = sgd([1.0])
    scheduler = theirs(optimizer, "MultiStepLRScheduler", decay_t=[3], decay_rate=0.1)
    assert used(optimizer, scheduler, 5) == pytest.approx([1.0, 1.0, 0.1, 0.1, 0.1])
