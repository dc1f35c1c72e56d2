"""Every group is scheduled, and nothing that somebody else wrote is ignored."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    SchedulerWarning,
)
from pytorch_accelerated.schedules import linear
from tests.recording import Recorder, held, parameters, sgd, train, update, used_in
from tests.schedulers.examples import (
    Example,
)
from tests.schedulers.laws import (
    bases,
    dtypes,
    every_plan,
    every_pure,
    every_stateful,
    fill_with_tensors,
    optimizer_for,
    step,
    value,
)


@every_pure
@pytest.mark.parametrize("position", [0, 1, 7, 30])
def test_law_4_a_group_added_later_follows_the_same_plan_from_its_own_base(
    example: Example, position: int
) -> None:
    optimizer = optimizer_for([0.1])
    scheduler = example.make(optimizer)
    train(optimizer, scheduler, position)
    optimizer.add_param_group({"params": parameters(1), "lr": 0.7})
    update(optimizer)
    scheduler.step()
    for k in range(position + 1, position + 5):
        assert held(optimizer, example.field) == value(example, [0.1, 0.7], k)
        update(optimizer)
        scheduler.step()


@every_plan
@settings(max_examples=10, deadline=None)
@given(
    own_bases=bases,
    dtype=dtypes,
    events=st.lists(
        st.tuples(st.integers(1, 12), st.floats(1e-3, 10.0) | st.just("load")), max_size=4
    ),
)
def test_law_4_groups_come_and_are_replaced_at_any_time(
    example: Example, own_bases: list[float], dtype: torch.dtype | None, events: list[Any]
) -> None:
    optimizer = optimizer_for(own_bases, dtype)
    scheduler = example.make(optimizer)
    all_bases, k = list(own_bases), 0
    for num_steps, event in [*events, (3, "load")]:
        for _ in range(num_steps):
            k += 1
            step(scheduler, k)
        if event == "load":
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        else:
            optimizer.add_param_group({"params": parameters(1), "lr": event, "weight_decay": 0.3})
            if dtype is not None:
                fill_with_tensors(optimizer.param_groups[-1], dtype)
            all_bases.append(event)
        k += 1
        step(scheduler, k)
        assert held(optimizer, example.field) == value(example, all_bases, k, dtype)


@every_stateful
def test_law_4_groups_replaced_by_loading_the_optimizer_are_still_scheduled(
    example: Example,
) -> None:
    straight = used_in(optimizer_for([0.1, 0.2]), example.make, 20, example.field)
    optimizer = optimizer_for([0.1, 0.2])
    recorder = Recorder(optimizer, example.field)
    scheduler = example.make(optimizer)
    for _ in range(20):
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        update(optimizer)
        scheduler.step()
    assert [*recorder.used, held(optimizer, example.field)] == straight


def test_law_4_the_base_lives_in_the_group_alone() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=linear(4, end=0.0))
    optimizer.param_groups[0]["initial_lr"] = 4.0
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [3.0]
    assert scheduler.base_lr_values == [4.0]


def test_law_4_a_value_changed_by_hand_is_replaced_with_a_message() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=linear(4, end=0.0))
    optimizer.param_groups[0]["lr"] = 0.05
    update(optimizer)
    with pytest.warns(SchedulerWarning, match=r"group 0 held lr=0.05.*0\.4.*0\.3"):
        scheduler.step()
    assert held(optimizer) == pytest.approx([0.3])


def test_law_4_two_schedulers_on_one_field_are_not_silent() -> None:
    optimizer = sgd([0.4])
    first = ParamScheduler(optimizer, lr=linear(4, end=0.0))
    second = ParamScheduler(optimizer, lr=linear(8, end=0.0))
    update(optimizer)
    first.step()
    with pytest.warns(SchedulerWarning, match="another scheduler"):
        second.step()


def test_law_4_building_twice_equals_building_once() -> None:
    optimizer = sgd([0.4])
    CosineLrScheduler(optimizer, 5, 2, num_warmup_epochs=1)
    used = used_in(optimizer, lambda o: CosineLrScheduler(o, 5, 2, num_warmup_epochs=1), 10)
    assert used == used_in(
        sgd([0.4]), lambda o: CosineLrScheduler(o, 5, 2, num_warmup_epochs=1), 10
    )


def test_law_4_a_rate_changed_between_two_schedulers_is_not_ignored_silently() -> None:
    optimizer = sgd([0.4])
    train(optimizer, CosineLrScheduler(optimizer, 5, 2), 3)
    optimizer.param_groups[0]["lr"] = 0.01
    second = CosineLrScheduler(optimizer, 5, 2)
    update(optimizer)
    with pytest.warns(SchedulerWarning, match=r"held lr=0.01 .* initial_lr=0.4"):
        second.step()


def test_law_4_a_rate_changed_while_resuming_is_not_ignored_silently() -> None:
    optimizer = sgd([0.4])
    scheduler = CosineLrScheduler(optimizer, 5, 2)
    train(optimizer, scheduler, 3)
    fresh = sgd([0.4])
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    fresh.param_groups[0]["lr"] = 0.01
    resumed = CosineLrScheduler(fresh, 5, 2)
    with pytest.warns(SchedulerWarning, match=r"held lr=0.01, set by hand"):
        resumed.load_state_dict(scheduler.state_dict())
    assert held(fresh) == held(optimizer)
