"""On a GPU: no synchronization with it, and captured updates see the new value."""

from __future__ import annotations

import pytest
import torch

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import linear

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

DECAY = linear(8, end=0.0)


def optimizer_with_a_tensor_rate() -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    parameter = torch.nn.Parameter(torch.ones(2, device="cuda"))
    rate = torch.tensor(0.1, device="cuda")
    return parameter, torch.optim.Adam([parameter], lr=rate, capturable=True)


def test_stepping_does_not_synchronize() -> None:
    parameter, optimizer = optimizer_with_a_tensor_rate()
    scheduler = ParamScheduler(optimizer, lr=DECAY)
    scheduler.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(4):
            parameter.grad = torch.ones_like(parameter)
            optimizer.step()
            scheduler.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert optimizer.param_groups[0]["lr"].item() == pytest.approx(DECAY(5, base=0.1))


def test_a_captured_update_sees_the_new_value() -> None:
    parameter, optimizer = optimizer_with_a_tensor_rate()
    scheduler = ParamScheduler(optimizer, lr=DECAY)
    parameter.grad = torch.ones_like(parameter)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        optimizer.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    moved = []
    for _ in range(8):
        before = parameter.detach().clone()
        graph.replay()
        scheduler.step()
        moved.append((before - parameter.detach())[0].item())
    # With equal gradients, Adam moves by the learning rate in each update.
    assert moved == pytest.approx([DECAY(k, base=0.1) for k in range(8)], rel=1e-3)
