"""Mappings: which groups a key means, and that all others are left alone."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
import torch

from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    ParamGroupFieldError,
    ParamScheduler,
    PlateauLrScheduler,
    SchedulerWarning,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import absolute, constant, linear
from tests.recording import Recorder, adamw, held, parameters, sgd, train, update

DOWN = linear(4, end=0.0)
UP = linear(4, start=0.0)
HALF = constant(1, value=0.5)


def named(*names: str | None, lr: float = 0.4, **options: Any) -> torch.optim.SGD:
    optimizer = sgd([lr] * len(names), **options)
    for group, name in zip(optimizer.param_groups, names, strict=True):
        if name is not None:
            group["name"] = name
    return optimizer


def texts(optimizer: torch.optim.Optimizer) -> str:
    """All that the groups hold, but for the weights."""
    return repr([{**group, "params": None} for group in optimizer.param_groups])


# Keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "values"),
    [
        ({"mat*": DOWN}, [0.2, 0.2, 0.4, 0.4]),
        ({"mat.?": DOWN, "*": HALF}, [0.2, 0.2, 0.2, 0.2]),
        ({"*": DOWN, "mat*": HALF, "mat.a": UP}, [0.2, 0.2, 0.2, 0.2]),
        ({3: DOWN}, [0.4, 0.4, 0.4, 0.2]),
        ({"SGD/3": DOWN}, [0.4, 0.4, 0.4, 0.2]),
        ({"SGD": DOWN, "SGD/*": constant(1)}, [0.2, 0.2, 0.2, 0.2]),
        ({"*.b": DOWN, "m*": DOWN}, [0.2, 0.2, 0.4, 0.4]),
    ],
)
def test_a_key_is_a_name_an_index_a_class_or_a_pattern(plan: Any, values: list[float]) -> None:
    optimizer = named("mat.a", "mat.b", "bias", None)
    StatelessParamScheduler(optimizer, lr=plan).step_update(2)
    assert held(optimizer) == values


def test_the_most_exact_key_counts_whatever_their_order() -> None:
    plan = {"*": constant(1, value=0.1), "S*": constant(1, value=0.2)}
    plan |= {"SGD": constant(1, value=0.3), 1: constant(1, value=0.4)}
    plan |= {"head": constant(1, value=0.5)}
    for some in (plan, dict(reversed(plan.items()))):
        optimizer = named("head", "neck", None, lr=1.0)
        ParamScheduler(optimizer, lr=some)
        assert held(optimizer) == [0.5, 0.4, 0.3]
    optimizer = named("Stem", "neck", lr=1.0)
    ParamScheduler(optimizer, lr={"*": plan["*"], "S*": plan["S*"]})
    assert held(optimizer) == [0.2, 0.1]


def test_names_with_the_signs_of_patterns_are_names_first() -> None:
    optimizer = named("layer[0]", "layer0")
    ParamScheduler(optimizer, lr={"layer[0]": HALF})
    assert held(optimizer) == [0.2, 0.4]


# The others --------------------------------------------------------------------------------


def test_a_group_that_no_key_matches_is_never_touched() -> None:
    optimizer = named("a", "b", momentum=0.9)
    del optimizer.param_groups[1]["momentum"]
    before = texts(optimizer).partition("}, {")[2]
    plan = {"lr": {"a": DOWN}, "momentum": {"a": linear(2, start=absolute(0.5))}}
    scheduler = ParamScheduler(optimizer, **plan)
    for value in (0.5, 0.7, 0.9):
        assert optimizer.param_groups[0]["momentum"] == pytest.approx(value)
        scheduler.step()
    assert texts(optimizer).partition("}, {")[2] == before
    assert scheduler.get_updated_values(2) == {"lr": [0.2, None], "momentum": [0.9, None]}
    assert scheduler.base_lr_values == [0.4, None]
    # What is done there by hand is nobody's business here.
    optimizer.param_groups[1]["lr"] = 8.0
    scheduler.step()
    assert held(optimizer) == [0.0, 8.0]


def test_a_tensor_that_groups_share_is_not_changed_where_no_key_matches() -> None:
    rate = torch.tensor(0.4)
    for name, kept in (("a", 0), ("b", 1)):
        optimizer = torch.optim.SGD([{"params": parameters(1)} for _ in range(2)], lr=rate)
        optimizer.param_groups[0]["name"], optimizer.param_groups[1]["name"] = "a", "b"
        scheduler = ParamScheduler(optimizer, lr={name: DOWN})
        train(optimizer, scheduler, 2)
        assert held(optimizer)[kept] == pytest.approx(0.2)
        assert held(optimizer)[1 - kept] == pytest.approx(0.4)
        rate = torch.tensor(0.4)


def test_both_entries_of_betas_may_be_for_different_groups() -> None:
    optimizer = adamw([0.1] * 3, betas=(0.8, 0.9))
    scheduler = ParamScheduler(optimizer, beta1={0: DOWN}, beta2={1: DOWN, 0: UP})
    train(optimizer, scheduler, 2)
    assert held(optimizer, "betas") == [(0.4, 0.45), (0.8, 0.45), (0.8, 0.9)]
    fresh = adamw([0.1] * 3, betas=(0.8, 0.9))
    resumed = ParamScheduler(fresh, beta1={0: DOWN}, beta2={1: DOWN, 0: UP})
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert held(fresh, "betas") == held(optimizer, "betas")


def test_a_field_that_some_groups_lack_says_which_and_what_to_write() -> None:
    optimizer = named("muon", "decay", "norm", None)
    for index in (0, 3):
        optimizer.param_groups[index]["clip"] = 1.0
    before = texts(optimizer)
    expected = (
        "There is no field 'clip' to schedule in 'decay', 'norm'. To schedule it where it is, "
        "write clip={'muon': …, 'SGD/3': …}."
    )
    for plan in (DOWN, {"*": DOWN}):
        with pytest.raises(ParamGroupFieldError, match=re.escape(expected)):
            ParamScheduler(optimizer, lr=DOWN, clip=plan)
    assert texts(optimizer) == before


# Groups that are added ---------------------------------------------------------------------


def test_groups_that_are_added_are_matched_by_the_same_keys() -> None:
    optimizer = named("mat.0")
    scheduler = ParamScheduler(optimizer, lr={"mat*": DOWN})
    train(optimizer, scheduler, 1)
    for name in ("bias", "mat.1"):
        optimizer.add_param_group({"params": parameters(1), "lr": 8.0, "name": name})
    assert [row[1] for row in scheduler.state_dict()["plan"]] == [0, 2]
    assert [list(column) for column in scheduler.preview(2)["lr"]] == [
        [0.4, pytest.approx(0.3)],
        [8.0, 8.0],
        [8.0, 6.0],
    ]
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [0.2, 8.0, 4.0]


def test_a_group_that_is_added_and_matched_by_two_patterns_changes_nothing() -> None:
    optimizer = named("mat.0", "0.bias")
    scheduler = ParamScheduler(optimizer, lr={"mat*": DOWN, "*bias": UP})
    train(optimizer, scheduler, 1)
    optimizer.add_param_group({"params": parameters(1), "lr": 8.0, "name": "mat.bias"})
    update(optimizer)
    before = texts(optimizer)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"both match 'mat.bias'.* Write one for 'mat.bias'"):
            scheduler.step()
        assert (texts(optimizer), scheduler.num_updates) == (before, 1)
    optimizer.param_groups[2]["name"] = "mat"
    scheduler.step()
    assert held(optimizer) == [0.2, 0.2, 4.0]


# State, preview, other schedulers ----------------------------------------------------------


def test_a_state_says_none_where_nothing_is_scheduled_and_resumes_in_either_order() -> None:
    def make() -> Any:
        optimizer = named("a", None, "c")
        optimizer.param_groups[0]["clip"] = optimizer.param_groups[2]["clip"] = 0.9
        return optimizer, ParamScheduler(optimizer, lr={"a": DOWN, "*": UP}, clip={"c": DOWN})

    optimizer, scheduler = make()
    train(optimizer, scheduler, 2)
    state = json.loads(json.dumps(scheduler.state_dict()))
    assert dict(state["values"])["clip"] == [None, None, 0.45]
    assert dict(state["base_values"])["clip"] == [None, None, 0.9]
    for is_first in (False, True):
        fresh, resumed = make()
        if is_first:
            fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        resumed.load_state_dict(state)
        if not is_first:
            fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        recorder = Recorder(fresh)
        train(fresh, resumed, 2)
        assert recorder.used == [[0.2, 0.2, 0.2], [0.1, pytest.approx(0.3), pytest.approx(0.3)]]
        assert [group.get("clip") for group in fresh.param_groups] == [0.9, None, 0.0]


def test_a_resumed_plan_may_be_for_other_groups() -> None:
    optimizer = named("a", "b")
    scheduler = ParamScheduler(optimizer, lr={"a": DOWN})
    train(optimizer, scheduler, 2)
    fresh = named("a", "b")
    resumed = ParamScheduler(fresh, lr={"b": DOWN})
    resumed.load_state_dict(scheduler.state_dict())
    assert held(fresh) == [0.4, 0.2]
    both = ParamScheduler(other := named("a", "b"), lr={"a": DOWN, "*": UP})
    with pytest.warns(SchedulerWarning, match=r"lr of parameter group 0: .* linear\(4, start=0"):
        ParamScheduler(named("a", "b"), lr={"a": UP, "b": UP}).load_state_dict(
            {**scheduler.state_dict(), "values": [["lr", [0.2, None]]]}
        )
    both.load_state_dict(scheduler.state_dict())
    assert held(other) == [0.2, 0.2]


def test_the_preview_shows_what_a_group_holds_that_is_left_alone() -> None:
    optimizer = named("a", "b", momentum=0.9)
    del optimizer.param_groups[1]["momentum"]
    scheduler = ParamScheduler(optimizer, lr={"b": DOWN}, momentum={"a": HALF})
    preview = scheduler.preview(3)
    preview_headers = ["lr[a]", "lr[b]", "momentum[a]", "momentum[b]"]
    assert [list(column) for column in preview["lr"]] == [[0.4] * 3, [0.4, pytest.approx(0.3), 0.2]]
    assert [list(column) for column in preview["momentum"]] == [[0.45] * 3, [None] * 3]
    assert str(preview).splitlines()[0].split() == ["phase", "from", "to", *preview_headers]
    assert "none" in str(preview)
    assert preview.to_csv().splitlines()[1] == "0,0.4,0.4,0.45,"
    preview.plot()


def test_a_plateau_may_be_for_some_groups() -> None:
    optimizer = named("a", "b")
    scheduler = PlateauLrScheduler(optimizer, patience=0, factor=0.5, warmup={"a": constant(0)})
    assert [scheduler.report(1.0), scheduler.report(1.0)] == [False, True]
    assert held(optimizer) == [0.2, 0.4]


def test_attributes_of_some_targets() -> None:
    targets = [torch.nn.Dropout(0.4), torch.nn.Dropout(0.4), torch.nn.Linear(1, 1)]
    scheduler = AttributeScheduler(targets, p={"Dropout": DOWN, 1: UP})
    for _ in range(3):
        scheduler.step()
    assert [target.p for target in targets[:2]] == [pytest.approx(0.1), pytest.approx(0.3)]
    assert not hasattr(targets[2], "p")
    assert scheduler.schedules == {"p": (DOWN, UP, None)}
