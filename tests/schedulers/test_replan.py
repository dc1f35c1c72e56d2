"""Another plan in the middle of a run, and the position of another library's scheduler."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import pytest
import torch

from pytorch_accelerated.schedulers import (
    ParamScheduler,
    SchedulerWarning,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import cosine, linear
from tests.recording import Recorder, held, parameters, sgd, train

DOWN = linear(8, end=0.0)


@pytest.mark.usefixtures("warn_always")
def test_the_next_update_runs_with_the_new_plan() -> None:
    optimizer = sgd([0.4, 4.0])
    scheduler = ParamScheduler(optimizer, lr=DOWN, weight_decay=DOWN)
    recorder = Recorder(optimizer)
    train(optimizer, scheduler, 4)
    new = linear(4, end=0.5) >> linear(2, end=0.0)  # 0.5 at update 4, as the old one
    scheduler.replan(lr=new)
    train(optimizer, scheduler, 4)
    plans = [DOWN] * 4 + [new] * 4
    assert recorder.used == [[plan(k, 0.4), plan(k, 4.0)] for k, plan in enumerate(plans)]
    assert scheduler.schedules == {"lr": new, "weight_decay": DOWN}
    assert scheduler.preview().value("lr", 5, "0") == new(5, 0.4)


def test_a_jump_is_told_with_both_values() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=DOWN)
    train(optimizer, scheduler, 4)
    with pytest.warns(SchedulerWarning) as caught:
        scheduler.replan(lr="linear(end=0.0)", horizon=16)
    (message,) = caught
    assert "at update 4:\nParameter group 0 held lr=0.2; by the new plan it is 0.3" in str(
        message.message
    )
    assert (held(optimizer), scheduler.num_updates) == ([pytest.approx(0.3)], 4)


def test_the_state_knows_and_the_plan_given_at_the_resume_counts() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=DOWN)
    train(optimizer, scheduler, 4)
    scheduler.replan(lr=linear(4, end=0.5) >> linear(2, end=0.0))
    train(optimizer, scheduler, 1)
    state = json.loads(json.dumps(scheduler.state_dict()))
    with pytest.warns(SchedulerWarning, match=r"was linear\(4, end=0.5\) >> .* is linear\(8"):
        ParamScheduler(other := sgd([0.4]), lr=DOWN).load_state_dict(state)
    assert held(other) == [DOWN(5, 0.4)]


@pytest.mark.parametrize(
    ("schedules", "error", "words"),
    [
        ({"momentum": DOWN}, ValueError, "replan(momentum=…): scheduled are lr. Write one"),
        ({}, ValueError, "scheduled are lr"),
        ({"lr": "cosine("}, ValueError, "lr: 'cosine(' is not"),
        ({"lr": {"head": DOWN}}, ValueError, "no parameter group is called 'head'"),
        ({"lr": linear(8, end=-1.0)}, ValueError, "out of range"),
    ],
)
def test_a_plan_that_is_refused_changes_nothing(schedules: Any, error: Any, words: str) -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=DOWN)
    train(optimizer, scheduler, 2)
    before = repr((optimizer.state_dict(), scheduler.state_dict()))
    with pytest.raises(error, match=re.escape(words)):
        scheduler.replan(**schedules)
    assert repr((optimizer.state_dict(), scheduler.state_dict())) == before
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [DOWN(3, 0.4)]


def test_before_the_first_update_the_first_value_of_the_old_plan_is_no_surprise() -> None:
    scheduler = ParamScheduler(optimizer := sgd([0.4]), lr=linear(4, start=0.0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler.replan(lr=DOWN)
    (message,) = caught
    assert "held lr=0.0; by the new plan it is 0.4" in str(message.message)
    assert held(optimizer) == [0.4]


def test_a_group_that_was_added_to_the_first_of_several_is_no_surprise() -> None:
    first, last = sgd([0.4]), sgd([0.2])
    scheduler = ParamScheduler([first, last], lr=DOWN)
    scheduler.step()
    first.add_param_group({"params": parameters(1), "lr": 1.0})
    with pytest.warns(SchedulerWarning) as caught:
        scheduler.replan(lr=DOWN)
    (message,) = caught  # of the one value that is another now
    assert "'SGD/1' held lr=1.0; by the new plan it is 0.875" in str(message.message)
    assert held(first) + held(last) == [DOWN(1, base) for base in (0.4, 1.0, 0.2)]


def test_what_was_written_by_hand_before_is_warned_of() -> None:
    scheduler = ParamScheduler(optimizer := sgd([0.4]), lr=DOWN)
    train(optimizer, scheduler, 2)
    optimizer.param_groups[0]["lr"] = 0.3
    with pytest.warns(SchedulerWarning) as caught:
        scheduler.replan(lr=linear(4, end=0.0))
    assert "held lr=0.3, though the scheduler had put" in str(caught[0].message)


def test_a_stateless_one_writes_nothing_before_it_is_asked() -> None:
    scheduler = StatelessParamScheduler(optimizer := sgd([0.4]), lr=DOWN)
    scheduler.replan(lr=linear(4, end=0.0))
    assert held(optimizer) == [0.4]
    scheduler.step_update(2)
    assert held(optimizer) == [0.2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_run_with_a_scheduler_of_pytorch_is_taken_over(order: Any) -> None:
    optimizer = sgd([0.4])
    theirs = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 - k / 8)
    train(optimizer, theirs, 3)
    states = optimizer.state_dict(), theirs.state_dict()
    fresh = sgd([0.4])
    scheduler = ParamScheduler(fresh, lr=DOWN)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in order:
            (fresh, scheduler)[i].load_state_dict(states[i])
    (message,) = caught
    assert "position is taken, update 3. If it was stepped once an epoch" in str(message.message)
    train(fresh, scheduler, 2)
    assert (held(fresh), scheduler.num_updates) == ([DOWN(5, 0.4)], 5)


def test_a_count_alone_is_a_position_and_nonsense_is_refused() -> None:
    scheduler = ParamScheduler(optimizer := sgd([0.4]), lr=cosine(8))
    with pytest.warns(SchedulerWarning, match="at update 6:"):
        scheduler.load_state_dict({"num_updates": 6})
    assert held(optimizer) == [cosine(8)(6, 0.4)]
    for count in (-1, 2.5, "3", True):
        with pytest.raises(ValueError, match=r"'last_epoch' is .*a count"):
            scheduler.load_state_dict({"last_epoch": count})
    assert scheduler.num_updates == 6
