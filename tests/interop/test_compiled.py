"""Compiled updates: a new value costs no new graph where fields are tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import linear
from tests.recording import held

NUM_UPDATES = 50
DECAY = linear(NUM_UPDATES, end=0.5)


@pytest.fixture(autouse=True)
def _forget_graphs() -> None:
    torch._dynamo.reset()


def optimizer_with(lr: Any, **options: Any) -> tuple[torch.nn.Parameter, torch.optim.Optimizer]:
    parameter = torch.nn.Parameter(torch.ones(2))
    return parameter, torch.optim.AdamW([parameter], lr=lr, **options)


def graphs_of(compiled: Any, counter: Any, scheduler: Any, parameter: Any) -> int:
    """Make the updates; return how many graphs were compiled."""
    for _ in range(NUM_UPDATES):
        parameter.grad = torch.ones_like(parameter)
        compiled()
        scheduler.step()
    return int(counter.frame_count)


@pytest.mark.parametrize("compiled_first", [False, True])
def test_fifty_updates_with_a_tensor_rate_take_one_graph(compiled_first: bool) -> None:
    parameter, optimizer = optimizer_with(torch.tensor(0.1, dtype=torch.float64))
    counter = CompileCounterWithBackend("eager")
    if not compiled_first:
        scheduler = ParamScheduler(optimizer, lr=DECAY)
    compiled = torch.compile(optimizer.step, backend=counter)
    if compiled_first:
        scheduler = ParamScheduler(optimizer, lr=DECAY)
    before = parameter.detach().clone()
    assert graphs_of(compiled, counter, scheduler, parameter) == 1
    assert held(optimizer) == [0.05]
    # The graph reads the tensor: with equal gradients AdamW moves by about the rate each time.
    moved = float((before - parameter.detach())[0])
    assert moved == pytest.approx(sum(DECAY(k, base=0.1) for k in range(NUM_UPDATES)), rel=0.05)


UP = linear(NUM_UPDATES, end=1.5)


@pytest.mark.parametrize(
    ("run_first", "plans"),
    [
        (False, [DECAY, UP]),
        # PyTorch's graph does not notice that groups no longer share a tensor (2.x): one that ran
        # before goes on with the first group's for all, which is right where it is one plan.
        (True, [DECAY, DECAY]),
    ],
)
def test_a_compiled_step_over_groups_that_shared_a_tensor_follows_the_plan(
    run_first: bool, plans: Any
) -> None:
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups = [{"params": [parameter]} for parameter in parameters]
    optimizer = torch.optim.SGD(groups, lr=torch.tensor(0.1, dtype=torch.float64))
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(optimizer.step, backend=counter)

    def moved() -> list[float]:
        before = [parameter.detach().clone() for parameter in parameters]
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        compiled()
        pairs = zip(before, parameters, strict=True)
        return [float((was - now.detach())[0]) for was, now in pairs]

    if run_first:
        assert moved() == pytest.approx([0.1, 0.1])
    scheduler = ParamScheduler(optimizer, lr=plans)
    for k in range(NUM_UPDATES):
        assert moved() == pytest.approx([plan(k, base=0.1) for plan in plans], abs=1e-6)
        scheduler.step()
    assert counter.frame_count == 1


def test_fifty_updates_with_float_fields_take_at_most_two_graphs() -> None:
    parameter, optimizer = optimizer_with(0.1, weight_decay=0.1)
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(optimizer.step, backend=counter)
    scheduler = ParamScheduler(optimizer, weight_decay=DECAY)
    assert graphs_of(compiled, counter, scheduler, parameter) <= 2
    assert held(optimizer, "weight_decay") == [0.05]


def test_a_tensor_in_a_tuple_stays_what_the_graph_reads() -> None:
    betas = (torch.tensor(0.9), torch.tensor(0.99))
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter], lr=0.1, betas=betas, capturable=False, foreach=False)
    scheduler = ParamScheduler(optimizer, beta1=linear(4, end=0.5))
    for _ in range(4):
        scheduler.step()
    assert optimizer.param_groups[0]["betas"][0] is betas[0]
    assert float(betas[0]) == pytest.approx(0.45)


def test_a_scheduler_can_be_made_over_a_step_that_was_replaced() -> None:
    parameter, optimizer = optimizer_with(0.1)
    original = optimizer.step
    optimizer.step = lambda closure=None: original(closure)  # type: ignore[method-assign]
    replaced = optimizer.step
    scheduler = ParamScheduler(optimizer, lr=DECAY)
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    scheduler.step()
    assert optimizer.step is replaced
    assert held(optimizer) == [DECAY(1, base=0.1)]
