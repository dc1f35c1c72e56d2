"""A state is a position, from which a run continues exactly."""

from __future__ import annotations

import copy
import io
import json
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
from tests.recording import Recorder, adamw, held, parameters, sgd, train, used_in
from tests.schedulers.examples import (
    Example,
)
from tests.schedulers.laws import (
    bases,
    every_stateful,
    every_stateless,
    optimizer_for,
    positions,
    value,
)


def through_json(state: dict[str, Any]) -> Any:
    return json.loads(json.dumps(state))


def through_torch(state: dict[str, Any]) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def without_bases(optimizer_state: Any) -> Any:
    """Return what restorers bring back that leave out the keys an optimizer does not have."""
    groups = [
        {key: held for key, held in group.items() if not key.startswith("initial_")}
        for group in optimizer_state["param_groups"]
    ]
    return {**optimizer_state, "param_groups": groups}


def restored(
    example: Example, saved: tuple[Any, Any], own_bases: list[float], order: str
) -> tuple[Any, Any]:
    """Return fresh objects that went through a restore in the given order."""
    optimizer_state, scheduler_state = saved
    optimizer = optimizer_for(own_bases)
    if order == "optimizer without bases":
        optimizer_state = without_bases(optimizer_state)
    if order in ("optimizer before construction", "optimizer without bases"):
        optimizer.load_state_dict(optimizer_state)
        scheduler = example.make(optimizer)
        scheduler.load_state_dict(scheduler_state)
    elif order == "optimizer first":
        scheduler = example.make(optimizer)
        optimizer.load_state_dict(optimizer_state)
        scheduler.load_state_dict(scheduler_state)
    else:
        scheduler = example.make(optimizer)
        scheduler.load_state_dict(scheduler_state)
        optimizer.load_state_dict(optimizer_state)
    return optimizer, scheduler


@every_stateful
@pytest.mark.parametrize(
    ("order", "through"),
    [
        ("optimizer before construction", through_torch),
        ("optimizer without bases", through_json),
        ("optimizer first", through_json),
        ("scheduler first", through_torch),
    ],
)
@settings(max_examples=5, deadline=None)
@given(own_bases=bases, position=st.integers(0, 40))
def test_law_3_a_restored_run_goes_on_exactly(
    example: Example, order: str, through: Any, own_bases: list[float], position: int
) -> None:
    straight = used_in(optimizer_for(own_bases), example.make, 45, example.field)
    optimizer = optimizer_for(own_bases)
    scheduler = example.make(optimizer)
    train(optimizer, scheduler, position)
    saved = copy.deepcopy(optimizer.state_dict()), through(scheduler.state_dict())

    optimizer, scheduler = restored(example, saved, own_bases, order)
    assert held(optimizer, example.field) == straight[position]
    assert scheduler.num_updates == position
    recorder = Recorder(optimizer, example.field)
    train(optimizer, scheduler, 45 - position)
    assert [*recorder.used, held(optimizer, example.field)] == straight[position:]


@every_stateless
@settings(max_examples=15, deadline=None)
@given(own_bases=bases, num_updates=positions)
def test_law_3_a_stateless_one_goes_on_from_an_optimizer_without_bases(
    example: Example, own_bases: list[float], num_updates: int
) -> None:
    optimizer = optimizer_for(own_bases)
    scheduler = example.make(optimizer)
    scheduler.step_update(num_updates)
    fresh = optimizer_for(own_bases)
    fresh.load_state_dict(without_bases(optimizer.state_dict()))
    resumed = example.make(fresh)
    resumed.load_state_dict(through_json(scheduler.state_dict()))
    assert held(fresh, example.field) == held(optimizer, example.field)
    resumed.step_update(num_updates + 1)
    assert held(fresh, example.field) == value(example, own_bases, num_updates + 1)


def test_law_3_bases_that_are_lost_after_the_construction_come_back_too() -> None:
    optimizer = adamw([0.4, 0.8])
    scheduler = ParamScheduler(optimizer, lr=linear(10, end=0.0), beta2=linear(10, end=0.0))
    train(optimizer, scheduler, 5)
    fresh = adamw([0.4])
    resumed = ParamScheduler(fresh, lr=linear(10, end=0.0), beta2=linear(10, end=0.0))
    fresh.add_param_group({"params": parameters(1), "lr": 0.8})
    fresh.load_state_dict(without_bases(optimizer.state_dict()))
    resumed.load_state_dict(scheduler.state_dict())
    assert [group["initial_lr"] for group in fresh.param_groups] == [0.4, 0.8]
    assert [group["initial_betas"][1] for group in fresh.param_groups] == [0.999, 0.999]
    train(fresh, resumed, 1)
    assert held(fresh) == [linear(10, end=0.0)(6, base=base) for base in (0.4, 0.8)]


def test_law_3_a_base_that_is_given_on_purpose_counts() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=linear(10, end=0.0))
    train(optimizer, scheduler, 5)
    state = scheduler.state_dict()
    other = ParamScheduler(fresh := sgd([0.6]), lr=linear(10, end=0.0))
    with pytest.warns(SchedulerWarning, match=r"lr=0.3 is due .* held 0.2"):
        other.load_state_dict(state)
    fresh.param_groups[0].update(lr=0.2, initial_lr=0.2)
    again = ParamScheduler(fresh, lr=linear(10, end=0.0))
    with pytest.warns(SchedulerWarning, match=r"lr=0.1 is due .* held 0.2"):
        again.load_state_dict(state)
    assert again.base_lr_values == [0.2]


def test_law_3_a_lost_base_stays_away_if_the_rest_of_the_state_is_refused() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=linear(10, end=0.0))
    train(optimizer, scheduler, 5)
    state = scheduler.state_dict()
    fresh = sgd([0.2])
    resumed = ParamScheduler(fresh, lr=linear(10, end=0.0))
    for base in (-0.4, float("inf"), [0.4], True, "0.4"):
        with pytest.raises(ValueError, match="lr"):
            resumed.load_state_dict({**state, "base_values": {"lr": [base]}})
        assert resumed.base_lr_values == [0.2]
    resumed.load_state_dict(state)
    assert resumed.base_lr_values == [0.4]


def test_law_3_the_constructor_wins_and_a_warning_says_both_values() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=linear(10, end=0.0))
    train(optimizer, scheduler, 10)
    longer = ParamScheduler(fresh := sgd([0.4]), lr=linear(20, end=0.0))
    with pytest.warns(SchedulerWarning) as caught:
        longer.load_state_dict(scheduler.state_dict())
    assert held(fresh) == [0.2]
    (message,) = [str(warning.message) for warning in caught]
    for part in ("update 10", "group 0", "lr=0.2", "0.0"):
        assert part in message
    train(fresh, longer, 10)
    assert held(fresh) == [0.0]


def test_law_3_an_equal_plan_is_restored_without_a_word() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=linear(10, end=0.0))
    train(optimizer, scheduler, 3)
    ParamScheduler(sgd([0.4]), lr=linear(10, end=0.0)).load_state_dict(scheduler.state_dict())
