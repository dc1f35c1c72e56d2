"""A state says what plan it is from: another one is reported, once, and the same one never."""

from __future__ import annotations

import functools
import json
import warnings
from typing import Any

import pytest
import torch

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    StatelessParamScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    from_function,
    linear,
    milestones,
    phase,
)
from tests.recording import adamw, held, parameters, sgd, train


def power(base: float) -> Any:
    return from_function(lambda k: base**k)


def curve(exponent: int) -> Any:
    return lambda p: p**exponent


class Half:
    def __call__(self, k: int) -> float:
        return 0.5


PLANS = {
    "phases": lambda: linear(4, start=0.0) >> constant(10) >> cosine(6, end=0.1),
    "function": lambda: power(0.99),
    "within others": lambda: 0.5 * (linear(4) >> from_function(lambda k: 0.9**k, 9)).repeat(2),
    "partial": lambda: from_function(functools.partial(max, 0.5)),
    "object": lambda: from_function(Half()),
    "absolute function": lambda: from_function(lambda k: absolute(0.1 / (1 + k))),
    "own curve": lambda: phase(8, curve(2), end=0.0),
    "table": lambda: from_function([1.0, 0.5, 0.25, 0.125].__getitem__),
    "by index": lambda: [linear(4), power(0.5)],
    "by name": lambda: {"b": linear(4), "a": power(0.5)},
}


def two_groups(*names: str) -> torch.optim.Optimizer:
    optimizer = sgd([0.4, 0.8])
    for group, name in zip(optimizer.param_groups, names or ("a", "b"), strict=True):
        group["name"] = name
    return optimizer


def state_at(scheduler: Any, num_updates: int) -> Any:
    train(scheduler.optimizer, scheduler, num_updates)
    return json.loads(json.dumps(scheduler.state_dict()))


def said(scheduler: Any, state: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler.load_state_dict(state)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("position", [0, 3])
def test_the_same_plan_is_restored_without_a_word(name: str, position: int) -> None:
    state = state_at(ParamScheduler(two_groups(), lr=PLANS[name]()), position)
    assert said(ParamScheduler(two_groups(), lr=PLANS[name]()), state) == []


def test_an_object_elsewhere_in_memory_is_the_same_plan() -> None:
    # An object's text has its place in memory, which no two processes share.
    first, second = PLANS["object"](), PLANS["object"]()
    assert repr(first) != repr(second)
    assert (
        said(
            ParamScheduler(two_groups(), lr=second),
            state_at(ParamScheduler(two_groups(), lr=first), 2),
        )
        == []
    )


CHANGES = {
    "length": (linear(10, end=0.0), linear(12, end=0.0), ["linear(10", "linear(12"]),
    "later phase": (
        constant(50) >> linear(9),
        constant(50) >> cosine(9),
        ["linear(9)", "cosine(9)"],
    ),
    "function": (power(0.99), from_function(lambda k: 1 / (1 + k)), ["lambda"]),
    "milestones": (milestones({9: 0.1}), milestones({8: 0.1}), ["{9: 0.1}", "{8: 0.1}"]),
}


@pytest.mark.parametrize("kind", [ParamScheduler, StatelessParamScheduler])
@pytest.mark.parametrize("name", CHANGES)
def test_another_plan_is_reported_once_and_counts(name: str, kind: Any) -> None:
    before, now, words = CHANGES[name]
    state = json.loads(json.dumps(kind(sgd([0.4]), lr=before).state_dict()))
    scheduler = kind(sgd([0.4]), lr=now)
    (message,) = said(scheduler, state)
    at = " at update 0" if kind is ParamScheduler else ""  # the other was told of no update yet
    assert message.startswith(f"{kind.__name__}{at}:\nlr: ")
    for word in words:
        assert word in message
    assert scheduler.schedules == {"lr": now}


def test_position_and_plan_after_a_change() -> None:
    state = state_at(WSDLrScheduler(sgd([0.4]), total_steps=100), 50)
    longer = WSDLrScheduler(optimizer := sgd([0.4]), total_steps=1_000)
    (message,) = said(longer, state)
    assert "at update 50" in message
    assert "constant(90" in message
    assert "constant(900" in message
    assert longer.num_updates == 50
    train(optimizer, longer, 850)
    assert held(optimizer) == [0.4]


def test_values_and_plan_are_said_in_one_warning() -> None:
    state = state_at(ParamScheduler(sgd([0.4]), lr=linear(10, end=0.0)), 5)
    (message,) = said(ParamScheduler(sgd([0.4]), lr=linear(20, end=0.0)), state)
    assert message.splitlines() == [
        "ParamScheduler at update 5:",
        "lr: the checkpoint's schedule was linear(10, end=0.0), but the one given now is "
        "linear(20, end=0.0).",
        "Parameter group 0: lr=0.30000000000000004 is due by the schedule given now, but the "
        "checkpoint held 0.2.",
        "The schedule given now counts.",
    ]


def test_each_field_and_group_is_told_apart() -> None:
    before = ParamScheduler(adamw([0.4, 0.8]), lr=[linear(4), linear(5)], weight_decay=linear(9))
    now = ParamScheduler(adamw([0.4, 0.8]), lr=[linear(4), linear(6)], weight_decay=cosine(9))
    (message,) = said(now, state_at(before, 0))
    _, of_lr, of_decay, _ = message.splitlines()
    assert of_lr.startswith("lr of parameter group 1: ")
    assert of_decay.startswith("weight_decay: the checkpoint's schedule was linear(9)")


def test_one_schedule_for_all_groups_is_that_of_each() -> None:
    state = state_at(ParamScheduler(two_groups(), lr=linear(4)), 0)
    (message,) = said(ParamScheduler(two_groups(), lr=[linear(4), linear(5)]), state)
    assert "group 1: the checkpoint's schedule was linear(4)" in message
    assert "group 0" not in message


def test_a_state_is_made_although_a_later_group_has_no_schedule() -> None:
    scheduler = ParamScheduler(sgd([0.4]), lr=[linear(4)])
    scheduler.optimizer.add_param_group({"params": parameters(1), "lr": 0.1})
    assert [row[:2] for row in scheduler.state_dict()["plan"]] == [["lr", 0]]


def test_a_group_that_came_without_a_schedule_gets_one_by_a_new_scheduler() -> None:
    optimizer = sgd([0.4])
    optimizer.param_groups[0]["name"] = "a"
    scheduler = ParamScheduler(optimizer, lr=[linear(4)])
    train(optimizer, scheduler, 1)
    optimizer.add_param_group({"params": parameters(1), "lr": 0.1, "name": "b"})
    with pytest.raises(ValueError, match=r"1 schedules .* load this one's state_dict\(\)"):
        scheduler.step()
    state = scheduler.state_dict()
    other = ParamScheduler(optimizer, lr=[linear(4), constant(1)])
    assert said(other, state) == []
    assert other.num_updates == 1
    assert held(optimizer) == [linear(4)(1, base=0.4), 0.1]
    train(optimizer, other, 1)
    assert held(optimizer) == [linear(4)(2, base=0.4), 0.1]


def test_another_function_under_the_same_name_is_told_by_the_values_in_force() -> None:
    state = state_at(ParamScheduler(sgd([0.4]), lr=power(0.5)), 2)
    (message,) = said(ParamScheduler(optimizer := sgd([0.4]), lr=power(0.25)), state)
    assert message.splitlines() == [
        "ParamScheduler at update 2:",
        "Parameter group 0: lr=0.025 is due by the schedule given now, but the checkpoint held "
        "0.1.",
        "The schedule given now counts.",
    ]
    assert held(optimizer) == [0.025]


def test_a_state_that_says_nothing_of_its_plan_is_restored() -> None:
    state = state_at(ParamScheduler(sgd([0.4]), lr=linear(10, end=0.0)), 5)
    del state["plan"]
    scheduler = ParamScheduler(optimizer := sgd([0.4]), lr=linear(10, end=0.0))
    assert said(scheduler, state) == []
    assert held(optimizer) == [0.2]


@pytest.mark.parametrize(
    "plan",
    [
        None,
        3,
        "plan",
        {"lr": "linear(3)"},
        [3],
        [["lr", None]],
        [["lr", None, "linear(3)", []]],
        [["lr", "a", "linear(3)"]],
        [["lr", True, "linear(3)"]],
        [[3, None, "linear(3)"]],
        [["lr", None, 3]],
    ],
)
def test_a_damaged_plan_is_refused_and_nothing_changes(plan: Any) -> None:
    state = state_at(ParamScheduler(sgd([0.4]), lr=linear(10, end=0.0)), 5) | {"plan": plan}
    scheduler = ParamScheduler(optimizer := sgd([0.4]), lr=linear(10, end=0.0))
    with pytest.raises(ValueError, match="The state's 'plan' is"):
        scheduler.load_state_dict(state)
    assert (held(optimizer), scheduler.num_updates) == ([0.4], 0)


def test_long_plans_are_cut_in_a_warning() -> None:
    before = milestones({k: 1 / k for k in range(1, 200)})
    state = state_at(ParamScheduler(sgd([0.4]), lr=before), 0)
    (message,) = said(ParamScheduler(sgd([0.4]), lr=linear(4)), state)
    assert len(message) < 500
    assert "milestones({1: 1.0" in message


def test_a_continuation_has_another_plan_on_purpose() -> None:
    state = state_at(WSDLrScheduler(sgd([0.4]), total_steps=100), 90)
    longer = WSDLrScheduler(sgd([0.4]), total_steps=300, is_continuation_from_checkpoint=True)
    assert said(longer, state) == []
    again = WSDLrScheduler(sgd([0.4]), total_steps=300, is_continuation_from_checkpoint=True)
    assert said(again, state_at(longer, 20)) == []


def test_recipes_and_the_schedules_that_they_are_made_of() -> None:
    recipe = CosineLrScheduler(sgd([0.4]), 2, 4, lr_min=0.0)
    state = state_at(recipe, 3)
    assert said(ParamScheduler(sgd([0.4]), **recipe.schedules), state) == []


def test_the_warmup_of_a_plateau() -> None:
    state = state_at(PlateauLrScheduler(sgd([0.4]), warmup=linear(4, start=0.0)), 4)
    assert said(PlateauLrScheduler(sgd([0.4]), warmup=linear(4, start=0.0)), state) == []
    (message,) = said(PlateauLrScheduler(sgd([0.4]), warmup=linear(3, start=0.0)), state)
    assert "linear(4, start=0.0)" in message


def test_subclasses_with_values_of_their_own() -> None:
    class Doubled(ParamScheduler):
        def get_updated_values(self, num_updates: int) -> Any:
            return [2 * value for value in super().get_updated_values(num_updates)]

    state = state_at(Doubled(sgd([0.4]), lr=linear(10, end=0.0)), 5)
    assert said(Doubled(sgd([0.4]), lr=linear(10, end=0.0)), state) == []
    (message,) = said(Doubled(sgd([0.4]), lr=linear(20, end=0.0)), state)
    assert "linear(20, end=0.0)" in message


class Doubled(ParamScheduler):
    """Has values of its own, which depend on what it remembers."""

    def __init__(self, optimizer: Any, **schedules: Any) -> None:
        super().__init__(optimizer, **schedules)
        self.factor = 1.0

    def get_updated_values(self, num_updates: int) -> Any:
        return [self.factor * value for value in super().get_updated_values(num_updates)]


def test_a_subclass_with_values_of_its_own_goes_on_with_those_of_the_plan_given_now() -> None:
    before = Doubled(sgd([0.4]), lr=linear(10, end=0.0))
    before.factor = 2.0
    state = state_at(before, 5)
    assert dict(state["values"])["lr"] == [0.4]
    now = Doubled(optimizer := sgd([0.4]), lr=linear(20, end=0.0))
    (message,) = said(now, state)
    assert "lr=0.6000000000000001 is due by the schedule given now" in message
    assert held(optimizer) == [2 * linear(20, end=0.0)(5, base=0.4)]
    train(optimizer, now, 1)
    assert held(optimizer) == [2 * linear(20, end=0.0)(6, base=0.4)]


def test_a_subclass_that_changes_nothing_at_an_update_has_the_saved_value_there() -> None:
    class Sometimes(ParamScheduler):
        def get_updated_values(self, num_updates: int) -> Any:
            return None if num_updates % 2 else super().get_updated_values(num_updates)

    state = state_at(Sometimes(sgd([0.4]), lr=linear(10, end=0.0)), 5)
    now = Sometimes(optimizer := sgd([0.4]), lr=linear(20, end=0.0))
    said(now, state)
    assert held(optimizer) == dict(state["values"])["lr"] == [linear(10, end=0.0)(4, base=0.4)]


def test_a_restore_that_fails_by_another_plan_leaves_a_subclass_as_it_was() -> None:
    before = Doubled(sgd([0.4]), lr=linear(10, end=0.0))
    before.factor = 2.0
    state = state_at(before, 5)
    state["attributes"] = [["factor", "two"]]
    now = Doubled(optimizer := sgd([0.4]), lr=linear(20, end=0.0))
    own = now.state_dict()
    with pytest.raises(TypeError):
        now.load_state_dict(state)
    assert (now.state_dict(), held(optimizer)) == (own, [0.4])


def test_a_stateless_scheduler_goes_on_with_the_plan_given_now() -> None:
    before = StatelessParamScheduler(sgd([0.1]), lr=cosine(100))
    assert before.state_dict()["num_updates"] is None
    before.step_update(60)
    state = json.loads(json.dumps(before.state_dict()))
    longer = StatelessParamScheduler(optimizer := sgd([0.1]), lr=cosine(200))
    (message,) = said(longer, state)
    assert message.startswith("StatelessParamScheduler at update 60:")
    assert "is due by the schedule given now, but the checkpoint held" in message
    assert held(optimizer) == [cosine(200)(60, base=0.1)]
    again = StatelessParamScheduler(sgd([0.1]), lr=cosine(200))
    assert said(again, longer.state_dict()) == []


def test_a_stateless_scheduler_that_was_told_no_update_yet() -> None:
    state = StatelessParamScheduler(sgd([0.1]), lr=linear(10, start=0.0)).state_dict()
    other = StatelessParamScheduler(optimizer := sgd([0.1]), lr=linear(20, start=0.0))
    (message,) = said(other, state)
    assert message.splitlines()[0] == "StatelessParamScheduler:"
    assert message.endswith("The schedule given now counts from the next update on.")
    assert held(optimizer) == [0.1]
    same = StatelessParamScheduler(optimizer := sgd([0.1]), lr=linear(10, start=0.0))
    assert said(same, state) == []
    assert held(optimizer) == [0.1]


@pytest.mark.parametrize("num_updates", [-1, 1.5, "3", True, 2**70])
def test_a_stateless_schedulers_damaged_count_is_refused(num_updates: Any) -> None:
    scheduler = StatelessParamScheduler(sgd([0.1]), lr=linear(10, start=0.0))
    state = scheduler.state_dict()
    with pytest.raises(ValueError, match="num_updates"):
        scheduler.load_state_dict({**state, "num_updates": num_updates})
    assert scheduler.state_dict() == state
