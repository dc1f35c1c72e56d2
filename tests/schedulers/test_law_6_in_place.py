"""A tensor stays that tensor; floats and tuples stay what they are."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import (
    ParamScheduler,
    SchedulerWarning,
)
from pytorch_accelerated.schedules import linear
from tests.recording import Recorder, adamw, held, parameters, plain, train, update
from tests.schedulers.examples import (
    Example,
)
from tests.schedulers.laws import (
    Returns,
    bases,
    dtypes,
    every_one,
    every_stateful,
    fill_with_tensors,
    optimizer_for,
    step,
)


@every_stateful
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_law_6_a_tensor_stays_that_very_tensor(example: Example, dtype: torch.dtype) -> None:
    rates = [torch.tensor(base, dtype=dtype) for base in (0.5, 0.25)]
    optimizer = adamw(rates, weight_decay=0.3, capturable=False, foreach=False)
    scheduler = example.make(optimizer)
    floats = example.make(other := optimizer_for([0.5, 0.25]))
    for _ in range(12):
        update(optimizer)
        scheduler.step()
        update(other)
        floats.step()
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            assert group["lr"] is rate
            assert rate.dtype is dtype
        assert held(optimizer) == pytest.approx(held(other), rel=1e-6)


@every_one
@settings(max_examples=10, deadline=None)
@given(own_bases=bases, num_updates=st.integers(0, 40), data=st.data())
def test_law_6_each_group_keeps_its_kind_of_field(
    example: Example, own_bases: list[float], num_updates: int, data: st.DataObject
) -> None:
    optimizer = optimizer_for(own_bases)
    kinds = [data.draw(dtypes) for _ in own_bases]
    for group, dtype in zip(optimizer.param_groups, kinds, strict=True):
        if dtype is not None:
            fill_with_tensors(group, dtype)
    before = [fields_of(group) for group in optimizer.param_groups]
    scheduler = example.make(optimizer)
    others = [optimizer_for(own_bases, dtype) for dtype in kinds]
    twins = [example.make(other) for other in others]
    for k in range(1, num_updates + 1):
        for one in (scheduler, *twins):
            step(one, k)
    for index, (dtype, first, group) in enumerate(
        zip(kinds, before, optimizer.param_groups, strict=True)
    ):
        now = fields_of(group)
        assert type(group["betas"]) is tuple
        if dtype is None:
            assert [type(number) for number in now] == [float] * 4
        else:
            assert all(one is other for one, other in zip(now, first, strict=True))
            assert {number.dtype for number in now} == {dtype}
        same = fields_of(others[index].param_groups[index])
        assert list(map(plain, now)) == list(map(plain, same))


def fields_of(group: dict[str, Any]) -> list[Any]:
    return [group["lr"], group["weight_decay"], *group["betas"]]


def sharing(*names: str) -> torch.optim.Adam:
    """Adam with a group for each name, all of which hold the one tensor of its defaults."""
    groups = [
        {"params": [p], "name": n} for p, n in zip(parameters(len(names)), names, strict=True)
    ]
    betas = (torch.tensor(0.5, dtype=torch.float64), torch.tensor(0.99))
    rate = torch.tensor(0.5, dtype=torch.float64)
    return torch.optim.Adam(groups, lr=rate, betas=betas, capturable=False, foreach=False)


def test_law_6_groups_that_share_a_tensor_run_each_by_its_own_schedule() -> None:
    optimizer = sharing("a", "b", "c")
    rate, (beta1, beta2) = optimizer.defaults["lr"], optimizer.defaults["betas"]
    down, up = linear(10, end=0.0), linear(10, end=1.5)
    scheduler = ParamScheduler(
        optimizer, lr={"a": down, "b": up, "c": down}, beta1=[down, up, down]
    )
    recorder = Recorder(optimizer)
    train(optimizer, scheduler, 10)
    assert recorder.used == [[s(k, base=0.5) for s in (down, up, down)] for k in range(10)]
    assert [betas[0] for betas in held(optimizer, "betas")] == [0.0, 0.75, 0.0]
    first = optimizer.param_groups[0]
    assert first["lr"] is rate
    assert first["betas"][0] is beta1
    assert all(group["betas"][1] is beta2 for group in optimizer.param_groups)


def test_law_6_a_failing_constructor_leaves_a_shared_tensor_shared() -> None:
    optimizer = sharing("a", "b")
    rate = optimizer.defaults["lr"]
    with pytest.raises(ValueError, match="below 1"):
        ParamScheduler(optimizer, lr=linear(10), beta1=linear(10, end=3.0))
    assert all(group["lr"] is rate for group in optimizer.param_groups)
    assert optimizer.defaults["lr"] is rate


def test_law_4_a_group_added_later_has_the_base_of_the_defaults_not_a_decayed_tensor() -> None:
    optimizer = sharing("a")
    scheduler = ParamScheduler(optimizer, lr=linear(10, end=0.0), beta1=linear(10, end=0.0))
    rate = optimizer.param_groups[0]["lr"]
    train(optimizer, scheduler, 5)
    optimizer.add_param_group({"params": parameters(1)})
    optimizer.add_param_group({"params": parameters(1)})
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [linear(10, end=0.0)(6, base=0.5)] * 3
    assert [betas[0] for betas in held(optimizer, "betas")] == held(optimizer)
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.5] * 3
    assert optimizer.param_groups[0]["lr"] is rate


def test_law_6_groups_that_share_a_tensor_again_after_a_restore_are_parted_again() -> None:
    optimizer = sharing("a", "b")
    down, up = linear(10, end=0.0), linear(10, end=1.5)
    scheduler = ParamScheduler(optimizer, lr=[down, up])
    train(optimizer, scheduler, 2)
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][1]["lr"] = state["param_groups"][0]["lr"]
    optimizer.load_state_dict(state)
    with pytest.warns(SchedulerWarning, match="group 1 held lr=0.4"):
        train(optimizer, scheduler, 1)
    train(optimizer, scheduler, 2)
    assert held(optimizer) == [down(5, base=0.5), up(5, base=0.5)]


@every_stateful
def test_law_6_plain_fields_get_plain_values(example: Example) -> None:
    optimizer = optimizer_for([0.1, 0.2])
    train(optimizer, example.make(optimizer), 9)
    for group in optimizer.param_groups:
        assert type(group["lr"]) is float
        assert type(group["weight_decay"]) is float
        assert type(group["betas"]) is tuple
        assert [type(beta) for beta in group["betas"]] == [float, float]


def test_law_6_a_whole_tuple_can_be_scheduled() -> None:
    optimizer = adamw([0.1, 0.2])
    scheduler = Returns(optimizer, [0.8, 0.95], field="betas")
    scheduler.step()
    assert held(optimizer, "betas") == [(0.8, 0.95), (0.8, 0.95)]
    scheduler.returned[0] = [(0.7, 0.9), [0.6, 0.8]]
    scheduler.step()
    assert held(optimizer, "betas") == [(0.7, 0.9), (0.6, 0.8)]
    scheduler.returned[0] = 0.9
    with pytest.raises(TypeError, match="holds 2 numbers"):
        scheduler.step()
