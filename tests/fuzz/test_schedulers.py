"""Anything at all handed to schedulers: right values, or a documented error and no change."""

from __future__ import annotations

import copy
import itertools
import json
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    SchedulerWarning,
    StatefulSchedulerBase,
    StatelessParamScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import Schedule, cosine, linear
from tests.fuzz.hostile import ANYTHING, DOCUMENTED, NUMBERS, PLAIN, SCALARS
from tests.recording import adamw, held, parameters, set_attributes, sgd, train
from tests.strategies import schedules

fuzz = settings(max_examples=40, deadline=None)


def snapshot(optimizer: Any) -> Any:
    """Everything that the groups hold, so that two snapshots can be compared."""
    return [
        {key: repr(value) for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
    ]


@contextmanager
def all_or_nothing(optimizer: Any) -> Iterator[list[BaseException]]:
    """Let documented errors pass, and check that they say something and changed nothing."""
    before = snapshot(optimizer)
    errors: list[BaseException] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield errors
        except DOCUMENTED as error:
            errors.append(error)
    for error in errors:
        assert len(str(error)) > 15, repr(error)
        assert snapshot(optimizer) == before, repr(error)
    for group in optimizer.param_groups:
        assert type(group["lr"]) is float
        assert math.isfinite(group["lr"])
        assert all(math.isfinite(beta) for beta in group.get("betas", ()))


# Constructors ------------------------------------------------------------------------------


COSINE = {
    "total_num_epochs": SCALARS,
    "num_update_steps_per_epoch": SCALARS,
    "k_decay": SCALARS,
    "lr_min": SCALARS,
    "min_lr_ratio": SCALARS,
    "num_warmup_epochs": SCALARS,
    "warmup_starting_lr": SCALARS,
    "warmup_starting_lr_ratio": SCALARS,
    "num_cooldown_epochs": SCALARS,
}
WSD = {
    "num_epochs": SCALARS,
    "num_update_steps_per_epoch": SCALARS,
    "total_steps": SCALARS,
    "num_warmup_steps": SCALARS,
    "decay_phase_ratio": SCALARS,
    "lr_min": SCALARS,
    "warmup_starting_lr": SCALARS,
    "num_checkpoints": SCALARS,
}
PLATEAU = {
    "mode": SCALARS,
    "factor": SCALARS,
    "patience": SCALARS,
    "threshold": SCALARS,
    "threshold_mode": SCALARS,
    "cooldown": SCALARS,
    "min_lr": ANYTHING,
    "warmup": ANYTHING,
}


@pytest.mark.parametrize(
    ("make", "fixed", "arguments"),
    [
        (CosineLrScheduler, {"total_num_epochs": 4, "num_update_steps_per_epoch": 3}, COSINE),
        (WSDLrScheduler, {}, WSD),
        (WSDLrScheduler, {"total_steps": 12}, WSD),
        (PlateauLrScheduler, {}, PLATEAU),
    ],
    ids=["cosine", "wsd", "wsd of a length", "plateau"],
)
@given(data=st.data())
@fuzz
def test_arguments_of_the_recipes(make: Any, fixed: Any, arguments: Any, data: Any) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(arguments)), max_size=3, unique=True))
    given_now = {**fixed, **{name: data.draw(arguments[name], name) for name in names}}
    optimizer = sgd([0.1, 0.2])
    with all_or_nothing(optimizer) as errors:
        scheduler = make(optimizer, **given_now)
    if not errors:
        # What was accepted works, up to the end of whatever it is and past it.
        for num_updates in (0, 1, 7, 10**6):
            scheduler.step_update(num_updates)
            assert all(0.0 <= rate <= 0.2 for rate in held(optimizer))


@given(
    optimizer_field=st.sampled_from(["lr", "weight_decay", "momentum", "beta1", "eps", "fused"])
    | st.text(max_size=4),
    plan=ANYTHING | schedules(depth=2) | st.lists(schedules(depth=1), max_size=3),
)
@fuzz
def test_fields_and_plans(optimizer_field: str, plan: Any) -> None:
    assume(optimizer_field not in ("optimizer", "self"))
    optimizer = adamw([0.1, 0.2])
    with all_or_nothing(optimizer) as errors:
        scheduler = ParamScheduler(optimizer, **{optimizer_field: plan})
    if not errors:
        assert isinstance(scheduler.schedules[optimizer_field], Schedule | tuple | dict)


@given(optimizer=ANYTHING)
@fuzz
def test_things_that_are_no_optimizer(optimizer: Any) -> None:
    for make in (
        lambda: ParamScheduler(optimizer, lr=linear(3, end=0.0)),
        lambda: CosineLrScheduler(optimizer, 2, 3),
        lambda: WSDLrScheduler(optimizer, total_steps=4),
    ):
        with pytest.raises(TypeError, match="param_groups"):
            make()


# Steps -------------------------------------------------------------------------------------


@given(schedule=schedules(depth=3), asked=st.lists(SCALARS, min_size=1, max_size=4))
@fuzz
def test_updates_that_are_asked_for(schedule: Schedule, asked: list[Any]) -> None:
    for make in (ParamScheduler, StatelessParamScheduler):
        optimizer = sgd([0.1, 0.2])
        with all_or_nothing(optimizer) as errors:
            scheduler = make(optimizer, lr=schedule)
        if errors:
            continue
        for num_updates in asked:
            with all_or_nothing(optimizer) as errors:
                scheduler.step_update(num_updates)
            if not errors:
                count = int(num_updates)
                assert held(optimizer) == [schedule(count, base=base) for base in (0.1, 0.2)]


@given(counts=st.lists(SCALARS, min_size=1, max_size=6))
@fuzz
def test_counts_that_are_stepped_to(counts: list[Any]) -> None:
    plan = linear(3, start=0.5) >> cosine(5)
    optimizer = sgd([0.1])
    scheduler = ParamScheduler(optimizer, lr=plan)
    expected = 0
    for count in counts:
        with all_or_nothing(optimizer) as errors:
            scheduler.step(count)
        if not errors:
            expected = expected + 1 if count is None else int(count)
        assert scheduler.num_updates == expected
        assert held(optimizer) == [plan(expected, base=0.1)]


class Returns(StatefulSchedulerBase):
    """A user's scheduler, with whatever may come back from a user's code."""

    def __init__(self, optimizer: Any, field: str = "lr") -> None:
        super().__init__(optimizer, field)
        self.returned = [None]

    def get_updated_values(self, num_updates: int) -> Any:
        return self.returned[0]


@pytest.mark.parametrize("field", ["lr", "betas"])
@given(returned=st.lists(ANYTHING, min_size=1, max_size=3))
@fuzz
def test_values_that_a_subclass_returns(field: str, returned: list[Any]) -> None:
    optimizer = adamw([0.1, 0.2])
    scheduler = Returns(optimizer, field)
    count = 0
    for value in returned:
        scheduler.returned[0] = value
        with all_or_nothing(optimizer) as errors:
            scheduler.step()
        count += not errors
        assert scheduler.num_updates == count
        for group in optimizer.param_groups:
            assert type(group["betas"]) is tuple
            assert len(group["betas"]) == 2


@given(metrics=st.lists(ANYTHING, max_size=8))
@fuzz
def test_metrics_of_all_kinds(metrics: list[Any]) -> None:
    optimizer = sgd([0.1])
    scheduler = PlateauLrScheduler(optimizer, patience=1, factor=0.5, min_lr=0.01)
    for metric in metrics:
        with all_or_nothing(optimizer):
            scheduler.report(metric)
        assert 0.01 <= optimizer.param_groups[0]["lr"] <= 0.1
        json.dumps(scheduler.state_dict(), allow_nan=True)


# States ------------------------------------------------------------------------------------


class Own(StatefulSchedulerBase):
    """A user's scheduler with attributes of its own."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer)
        self.milestones = {3, 5}
        self.names = ("one", {"two": [1.5, None]})

    def get_updated_values(self, num_updates: int) -> Any:
        if num_updates in self.milestones:
            return [group["lr"] * 0.5 for group in self.optimizer.param_groups]
        return None


EVERY = {
    "schedule": lambda optimizer: ParamScheduler(optimizer, lr=linear(8, end=0.0)),
    "several": lambda optimizer: ParamScheduler(
        optimizer, lr=linear(8, end=0.0), beta1=linear(8, end=0.5)
    ),
    "cosine": lambda optimizer: CosineLrScheduler(optimizer, 2, 4, num_warmup_epochs=1),
    "wsd": lambda optimizer: WSDLrScheduler(optimizer, total_steps=8, num_checkpoints=2),
    "plateau": lambda optimizer: PlateauLrScheduler(optimizer, warmup=linear(2, start=0.0)),
    "user's": Own,
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


def state_after(make: Any, num_updates: int) -> dict[str, Any]:
    optimizer = adamw([0.1, 0.2])
    scheduler = make(optimizer)
    train(optimizer, scheduler, num_updates)
    state: dict[str, Any] = json.loads(json.dumps(scheduler.state_dict()))
    return state


def is_sound(scheduler: Any, optimizer: Any) -> None:
    """Check that a scheduler that has loaded something can be used."""
    rates = held(optimizer)
    assert all(type(rate) is float and math.isfinite(rate) for rate in rates)
    assert scheduler.get_last_lr() == rates
    assert scheduler.num_updates >= 0


@every
@given(state=PLAIN | st.dictionaries(st.text(max_size=5), PLAIN, max_size=3))
@fuzz
def test_a_state_that_is_none_is_refused(make: Any, state: Any) -> None:
    optimizer = adamw([0.1, 0.2])
    scheduler = make(optimizer)
    own = scheduler.state_dict()
    with all_or_nothing(optimizer) as errors:
        scheduler.load_state_dict(state)
    assert errors
    assert scheduler.state_dict() == own


def places(state: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything in a state."""
    inner = state.items() if isinstance(state, dict) else enumerate(state)
    found = [path] if path else []
    for key, value in inner if isinstance(state, dict | list) else ():
        found += places(value, (*path, key)) if isinstance(value, dict | list) else [(*path, key)]
    return found


#: Entries that a state may be given besides its own: other fields, names of methods, anything.
EXTRA = st.text(max_size=6) | st.sampled_from(
    ["weight_decay", "betas", "params", "step", "optimizer", "_fields", "_num_updates", "__class__"]
)
#: What stands for a value that JSON does not have, with anything inside.
TAGGED = st.builds(
    lambda tag, inner: [f"__{tag}__", *inner],
    st.sampled_from(["list", "tuple", "set", "dict", "float"]),
    st.lists(PLAIN, max_size=2),
)


@st.composite
def damaged(draw: Any, state: Any) -> Any:
    """A state with something missing, added, replaced or swapped for another's."""
    state = copy.deepcopy(state)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(places(state)))
        parent = state
        for key in path[:-1]:
            parent = parent[key]
        kind = draw(st.sampled_from(["remove", "replace", "add"]))
        if kind == "remove":
            del parent[path[-1]]
        elif kind == "replace":
            parent[path[-1]] = draw(ANYTHING | TAGGED)
        elif isinstance(parent, dict):
            parent[
                draw(st.text(max_size=6) | st.sampled_from(["step", "optimizer", "_fields"]))
            ] = draw(PLAIN)
        else:
            parent.append(draw(PLAIN))
        if not places(state):
            break
    return state


@every
@given(data=st.data(), position=st.integers(0, 9))
@settings(max_examples=80, deadline=None)
def test_a_damaged_state_is_refused_or_restores_something_sound(
    make: Any, data: Any, position: int
) -> None:
    state = data.draw(damaged(state_after(make, position)))
    optimizer = adamw([0.1, 0.2])
    scheduler = make(optimizer)
    own = scheduler.state_dict()
    with all_or_nothing(optimizer) as errors:
        scheduler.load_state_dict(state)
    if errors:
        assert scheduler.state_dict() == own
    is_sound(scheduler, optimizer)
    if isinstance(scheduler, ParamScheduler):
        # Whatever came, the plan is the constructor's, so the value is the plan's.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = held(optimizer)
            scheduler.step_update(scheduler.num_updates)
        assert held(optimizer) == before


# A run may go on with another schedule, so each of these takes a position from any of them.
SCHEDULES = ("schedule", "several", "cosine", "wsd")
PAIRS = list(itertools.permutations(EVERY, 2))
SHARING = [pair for pair in PAIRS if {*pair} <= {*SCHEDULES}]


@pytest.mark.parametrize(("name", "other"), [pair for pair in PAIRS if pair not in SHARING])
def test_a_state_of_another_class_is_refused_by_name(name: str, other: str) -> None:
    state = state_after(EVERY[other], 3)
    optimizer = adamw([0.1, 0.2])
    scheduler = EVERY[name](optimizer)
    with all_or_nothing(optimizer) as errors:
        scheduler.load_state_dict(state)
    assert repr(state["kind"]) in str(errors[0])
    assert type(scheduler).__name__ in str(errors[0])


@pytest.mark.parametrize(("name", "other"), SHARING)
def test_a_state_of_another_schedule_is_taken_with_its_position_and_both_are_named(
    name: str, other: str
) -> None:
    state = state_after(EVERY[other], 3)
    optimizer = adamw([0.1, 0.2])
    scheduler = EVERY[name](optimizer)
    plans = [repr(EVERY[kind](adamw([0.1, 0.2])).schedules["lr"]) for kind in (other, name)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler.load_state_dict(state)
    assert scheduler.num_updates == 3
    for k in range(3, 10):
        straight = adamw([0.1, 0.2])
        EVERY[name](straight).step(k)
        assert held(optimizer) == held(straight)
        assert held(optimizer, "betas") == held(straight, "betas")
        scheduler.step()
    if {name, other} == {"schedule", "several"}:
        assert plans[0] == plans[1]
        assert not caught
        return
    (warning,) = caught
    assert warning.category is SchedulerWarning
    said = "lr: the checkpoint's schedule was {}, but the one given now is {}."
    for part in (f"{type(scheduler).__name__} at update 3", said.format(*plans)):
        assert part in str(warning.message)


@every
@pytest.mark.parametrize("number", [0, 2, "1", None, 1.5])
def test_a_state_of_another_version_is_refused_by_number(make: Any, number: Any) -> None:
    optimizer = adamw([0.1, 0.2])
    scheduler = make(optimizer)
    state = {**state_after(make, 3), "format": number}
    with all_or_nothing(optimizer) as errors:
        scheduler.load_state_dict(state)
    assert repr(number) in str(errors[0])


@pytest.mark.parametrize("name", [name for name in EVERY if name != "user's"])
@pytest.mark.parametrize("extra", ["step", "optimizer", "_fields", "__class__", "num_updates"])
def test_an_extra_attribute_is_refused_by_name(name: str, extra: str) -> None:
    state = state_after(EVERY[name], 3)
    set_attributes(state, **{extra: 1})
    optimizer = adamw([0.1, 0.2])
    scheduler = EVERY[name](optimizer)
    own = scheduler.state_dict()
    with all_or_nothing(optimizer) as errors:
        scheduler.load_state_dict(state)
    assert f"attribute {extra}" in str(errors[0])
    assert scheduler.state_dict() == own


@every
def test_a_native_state_is_a_position_for_schedules_alone(make: Any) -> None:
    native = torch.optim.lr_scheduler.ExponentialLR(sgd([0.1]), gamma=0.5).state_dict()
    optimizer = adamw([0.1, 0.2])
    scheduler = make(optimizer)
    if not scheduler._has_values_of_its_own:
        with pytest.warns(SchedulerWarning, match="the position is taken"):
            scheduler.load_state_dict(native)
        return
    with all_or_nothing(optimizer) as errors:
        scheduler.load_state_dict(native)
    assert "'gamma'" in str(errors[0])


@given(rates=st.lists(NUMBERS, min_size=1, max_size=3))
@fuzz
def test_rates_that_an_optimizer_may_hold(rates: list[Any]) -> None:
    optimizer = sgd([0.1] * len(rates))
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    before = snapshot(optimizer)
    try:
        ParamScheduler(optimizer, lr=linear(4, end=0.5)).step()
    except DOCUMENTED as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert len(message) > 15
        assert snapshot(optimizer) == before
    else:
        assert all(math.isfinite(rate) and rate >= 0 for rate in held(optimizer))


def test_a_group_that_cannot_be_scheduled_is_left_alone() -> None:
    optimizer = sgd([0.1])
    scheduler = ParamScheduler(optimizer, lr=linear(4, end=0.5))
    optimizer.add_param_group({"params": parameters(1), "lr": 0.2})
    optimizer.param_groups[1]["lr"] = -1.0
    with all_or_nothing(optimizer) as errors:
        scheduler.step()
    assert "group 1" in str(errors[0])
    assert scheduler.num_updates == 0


def test_fields_that_come_with_bad_values_are_left_alone() -> None:
    optimizer = sgd([0.1])
    scheduler = Returns(optimizer)
    scheduler.returned[0] = {"weight_decay": 0.5, "lr": math.nan}
    with all_or_nothing(optimizer) as errors:
        scheduler.step()
    assert "nan" in str(errors[0])
    assert list(dict(scheduler.state_dict()["values"])) == ["lr"]
