"""The ten laws, each over every scheduler that exists."""

from __future__ import annotations

import copy
import gc
import io
import json
import math
import pickle
import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    SchedulerWarning,
    StatefulSchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import from_function, linear
from tests.recording import Recorder, adamw, held, parameters, plain, sgd, train, update, used_in
from tests.schedulers.examples import (
    STATEFUL,
    STATELESS,
    Example,
    InverseLrScheduler,
    InverseLrStateless,
)

every_stateful = pytest.mark.parametrize("example", STATEFUL, ids=repr)
every_pure = pytest.mark.parametrize("example", [e for e in STATEFUL if e.pure], ids=repr)
every_built_in = pytest.mark.parametrize("example", [e for e in STATEFUL if e.built_in], ids=repr)
every_stateless = pytest.mark.parametrize("example", STATELESS, ids=repr)
every_one = pytest.mark.parametrize("example", STATEFUL + STATELESS, ids=repr)
every_plan = pytest.mark.parametrize(
    "example", [e for e in STATEFUL + STATELESS if e.built_in], ids=repr
)

bases = st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=3)
positions = st.integers(0, 50)
dtypes = st.sampled_from([None, torch.float32, torch.float64])


def optimizer_for(own_bases: list[float], dtype: torch.dtype | None = None) -> torch.optim.AdamW:
    """Return an optimizer whose scheduled fields are floats, or tensors of a type."""
    optimizer = adamw(own_bases, weight_decay=0.3)
    for group in optimizer.param_groups if dtype else ():
        fill_with_tensors(group, dtype)
    return optimizer


def fill_with_tensors(group: dict[str, Any], dtype: torch.dtype) -> None:
    group["lr"], group["weight_decay"], *betas = (
        torch.tensor(number, dtype=dtype)
        for number in (group["lr"], group["weight_decay"], *group["betas"])
    )
    group["betas"] = tuple(betas)


def step(scheduler: Any, num_updates: int) -> None:
    """Put the values for update ``num_updates`` in force, one after the last ones."""
    if hasattr(scheduler, "step"):
        scheduler.step()
    else:
        scheduler.step_update(num_updates)


def contents(optimizer: Any) -> Any:
    """Return all that the groups hold, and which tensors it is in."""
    return repr(
        [
            [(key, id(value) if isinstance(value, torch.Tensor) else None, plain(value))]
            for group in optimizer.param_groups
            for key, value in group.items()
            if key != "params"
        ]
    )


def value(
    example: Example, own_bases: list[float], num_updates: int, dtype: torch.dtype | None = None
) -> list[Any]:
    """Return the value of update ``num_updates``, asked of a scheduler that never stepped."""
    optimizer = optimizer_for(own_bases, dtype)
    scheduler = example.make(optimizer)
    scheduler.step_update(num_updates)
    return held(optimizer, example.field)


# 1. Update k runs with value(k) ------------------------------------------------------------


@every_pure
@settings(max_examples=15, deadline=None)
@given(own_bases=bases, num_updates=positions)
def test_law_1_update_k_runs_with_value_k(
    example: Example, own_bases: list[float], num_updates: int
) -> None:
    used = used_in(optimizer_for(own_bases), example.make, num_updates, example.field)
    assert used == [value(example, own_bases, k) for k in range(num_updates + 1)]


@every_stateful
def test_law_1_the_count_is_how_often_step_was_called(example: Example) -> None:
    optimizer = optimizer_for([0.1])
    scheduler = example.make(optimizer)
    for count in range(4):
        assert scheduler.num_updates == count
        update(optimizer)
        scheduler.step()


@every_stateless
def test_law_1_a_stateless_scheduler_writes_nothing_before_it_is_asked(example: Example) -> None:
    optimizer = optimizer_for([0.1, 0.2])
    scheduler = example.make(optimizer)
    assert held(optimizer) == [0.1, 0.2]
    scheduler.step_update(3)
    assert held(optimizer) != [0.1, 0.2]


@given(own_bases=bases, num_updates=positions)
def test_law_1_stateful_and_stateless_agree(own_bases: list[float], num_updates: int) -> None:
    used = used_in(optimizer_for(own_bases), InverseLrScheduler, num_updates)
    optimizer = optimizer_for(own_bases)
    stateless = InverseLrStateless(optimizer)
    for k in range(num_updates + 1):
        stateless.step_update(k)
        assert held(optimizer) == used[k]


# 2. Pure -----------------------------------------------------------------------------------


@every_pure
@settings(max_examples=15, deadline=None)
@given(own_bases=bases, order=st.lists(positions, min_size=2, max_size=8))
def test_law_2_any_update_can_be_asked_for_in_any_order(
    example: Example, own_bases: list[float], order: list[int]
) -> None:
    optimizer = optimizer_for(own_bases)
    scheduler = example.make(optimizer)
    for k in order:
        scheduler.step_update(k)
        assert held(optimizer, example.field) == value(example, own_bases, k)


@every_built_in
def test_law_2_asking_for_values_changes_nothing(example: Example) -> None:
    optimizer = optimizer_for([0.1, 0.2])
    scheduler = example.make(optimizer)
    before = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    one = scheduler.get_updated_values(17)
    assert scheduler.get_updated_values(17) == one
    assert (optimizer.state_dict(), scheduler.state_dict()) == before


# 3. State is a position --------------------------------------------------------------------


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
    "order",
    [
        "optimizer before construction",
        "optimizer without bases",
        "optimizer first",
        "scheduler first",
    ],
)
@pytest.mark.parametrize("through", [through_json, through_torch])
@settings(max_examples=6, deadline=None)
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


# 4. Every group is scheduled ---------------------------------------------------------------


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


# 5. All or nothing -------------------------------------------------------------------------


class Returns(StatefulSchedulerBase):
    """A user's scheduler that returns whatever it was given, from the first step on."""

    def __init__(self, optimizer: Any, returned: Any, field: str = "lr") -> None:
        super().__init__(optimizer, field)
        self.returned = [returned]

    def get_updated_values(self, num_updates: int) -> Any:
        return self.returned[0] if num_updates else None


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [
        ([0.1], ValueError, ["1 values", "2 parameter groups"]),
        ([0.1, 0.2, 0.3], ValueError, ["3 values", "2 parameter groups"]),
        ([], ValueError, ["0 values"]),
        ([0.3, float("nan")], ValueError, ["nan", "group 1", "finite"]),
        ([0.3, float("inf")], ValueError, ["inf", "group 1"]),
        (float("nan"), ValueError, ["nan"]),
        (["0.1", 0.2], TypeError, ["'0.1'", "group 0"]),
        ("0.1", TypeError, ["'0.1'"]),
        (object(), TypeError, ["not a number"]),
        ([0.3, None], TypeError, ["None", "group 1"]),
        ([0.3, [0.1]], TypeError, ["[0.1]", "group 1"]),
    ],
)
def test_law_5_a_bad_value_is_named_and_nothing_changes(
    returned: Any, error: type[Exception], words: list[str]
) -> None:
    optimizer = sgd([0.1, 0.2])
    scheduler = Returns(optimizer, returned)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error) as caught:
        scheduler.step()
    for word in [*words, "Returns", "update 1", "lr"]:
        assert word in str(caught.value)
    assert optimizer.state_dict() == before
    assert scheduler.num_updates == 0


class Spoiled:
    """Spoils a scheduler's values at will, as an override of its class that goes wrong may do."""

    def __init__(self, scheduler: Any) -> None:
        spoiled = self
        self.by: Any = None

        class Override(type(scheduler)):  # type: ignore[misc]
            def get_updated_values(self, num_updates: int) -> Any:
                values = super().get_updated_values(num_updates)
                return values if spoiled.by is None else spoiled.by(values)

        scheduler.__class__ = Override


NO_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf, "0.1", None, [0.1], b"1"])


@every_one
@settings(max_examples=15, deadline=None)
@given(own_bases=bases, position=st.integers(0, 30), dtype=dtypes, data=st.data())
def test_law_5_whatever_a_scheduler_returns_a_bad_value_is_named_and_nothing_changes(
    example: Example,
    own_bases: list[float],
    position: int,
    dtype: torch.dtype | None,
    data: st.DataObject,
) -> None:
    optimizer = optimizer_for(own_bases, dtype)
    scheduler = example.make(optimizer)
    spoiled = Spoiled(scheduler)
    for k in range(1, position + 1):
        step(scheduler, k)
    words: list[str] = ["Override", f"update {position + 1}"]

    def spoil(values: Any) -> Any:
        rows = values if isinstance(values, dict) else {scheduler.param_group_field: values}
        name = data.draw(st.sampled_from(sorted(rows)))
        # Of None, no change, something else is made as well.
        row = held(optimizer, name) if rows[name] is None else list(rows[name])
        if data.draw(st.booleans()):
            row = row + row[:1] if data.draw(st.booleans()) else row[:-1]
            words.extend([f"{len(row)} values", f"{len(own_bases)} parameter groups"])
        else:
            index, bad = data.draw(st.integers(0, len(row) - 1)), data.draw(NO_NUMBERS)
            row[index] = bad
            words.extend([f"parameter group {index}", repr(bad)])
        words.append(repr(name))
        return {**rows, name: row}

    spoiled.by = spoil
    before = contents(optimizer), scheduler.state_dict()
    with pytest.raises((ValueError, TypeError)) as caught:
        step(scheduler, position + 1)
    for word in words:
        assert word in str(caught.value)
    assert (contents(optimizer), scheduler.state_dict()) == before

    spoiled.by = None
    step(scheduler, position + 1)
    twin = example.make(other := optimizer_for(own_bases, dtype))
    for k in range(1, position + 2):
        step(twin, k)
    assert held(optimizer, example.field) == held(other, example.field)


@every_plan
@settings(max_examples=15, deadline=None)
@given(own_bases=bases, position=st.integers(0, 30), dtype=dtypes, data=st.data())
def test_law_5_a_base_that_is_no_number_any_more_is_named_and_nothing_changes(
    example: Example,
    own_bases: list[float],
    position: int,
    dtype: torch.dtype | None,
    data: st.DataObject,
) -> None:
    optimizer = optimizer_for(own_bases, dtype)
    scheduler = example.make(optimizer)
    for k in range(1, position + 1):
        step(scheduler, k)
    index = data.draw(st.integers(0, len(own_bases) - 1))
    field, bad = data.draw(st.sampled_from(sorted(scheduler.schedules))), data.draw(NO_NUMBERS)
    key = "initial_betas" if field == "beta1" else f"initial_{field}"
    group = optimizer.param_groups[index]
    base, group[key] = group[key], bad
    if field == "beta1":
        group[key] = (bad, base[1])
    before = contents(optimizer)
    with pytest.raises((ValueError, TypeError)) as caught:
        step(scheduler, position + 1)
    named = f"parameter group {index}"
    for word in (type(scheduler).__name__, field, named, f"update {position + 1}"):
        assert word in str(caught.value)
    assert contents(optimizer) == before
    assert getattr(scheduler, "num_updates", position) == position

    group[key] = base
    step(scheduler, position + 1)
    twin = example.make(other := optimizer_for(own_bases, dtype))
    for k in range(1, position + 2):
        step(twin, k)
    assert held(optimizer, example.field) == held(other, example.field)


@settings(deadline=None)
@given(at=st.integers(1, 20), bad=NO_NUMBERS, each=st.booleans(), dtype=dtypes)
def test_law_5_a_function_that_gives_no_number_is_named_with_its_field_and_scheduler(
    at: int, bad: Any, each: bool, dtype: torch.dtype | None
) -> None:
    own = from_function(lambda k: bad if k >= at else 0.5)
    for kind in (ParamScheduler, StatelessParamScheduler):
        optimizer = optimizer_for([0.1, 0.2], dtype)
        scheduler: Any = kind(
            optimizer, weight_decay=linear(30), lr=[linear(30), own] if each else own
        )
        for k in range(1, at):
            step(scheduler, k)
        before = contents(optimizer), scheduler.state_dict()
        with pytest.raises((ValueError, TypeError)) as caught:
            step(scheduler, at)
        group = ["parameter group 1"] if each else []
        for word in (kind.__name__, "lr", *group, "from_function", f"update {at}"):
            assert word in str(caught.value)
        assert (contents(optimizer), scheduler.state_dict()) == before


@pytest.mark.parametrize(
    "returned",
    [
        [0.3, 0.4],
        (0.3, 0.4),
        {0: 0.3, 1: 0.4}.values(),
        torch.tensor([0.3, 0.4], dtype=torch.float64),
        torch.tensor([0.3, 0.4], dtype=torch.float64).numpy(),
        [torch.tensor(0.3, dtype=torch.float64), 0.4],
    ],
    ids=["list", "tuple", "view", "tensor", "array", "mixed"],
)
def test_law_5_any_iterable_of_values_is_accepted(returned: Any) -> None:
    optimizer = sgd([0.1, 0.2])
    Returns(optimizer, returned).step()
    assert held(optimizer) == [0.3, 0.4]
    assert all(type(group["lr"]) is float for group in optimizer.param_groups)


def test_law_5_a_generator_is_accepted() -> None:
    optimizer = sgd([0.1, 0.2])
    Returns(optimizer, (x for x in (0.3, 0.4))).step()
    assert held(optimizer) == [0.3, 0.4]


def test_law_5_a_missing_field_is_found_before_any_group_is_touched() -> None:
    optimizer = sgd([0.1, 0.2])
    optimizer.param_groups[0]["dropout"] = 0.5
    before = copy.deepcopy(optimizer.state_dict())
    for error in (KeyError, ValueError):
        with pytest.raises(error, match="group 1 has no field 'dropout'"):
            Returns(optimizer, 0.1, field="dropout")
    assert optimizer.state_dict() == before


def test_law_5_a_constructor_that_fails_leaves_no_trace() -> None:
    class Failing(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> Any:
            raise RuntimeError("no values today")

    optimizer = sgd([0.1])
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(RuntimeError, match="no values today"):
        Failing(optimizer)
    with pytest.raises(ValueError, match="lr_min"):
        CosineLrScheduler(optimizer, 1, 1, lr_min=1.0)
    assert optimizer.state_dict() == before


# 6. In place where it matters --------------------------------------------------------------


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


# 7. Past the horizon -----------------------------------------------------------------------


@every_built_in
@settings(max_examples=10, deadline=None)
@given(own_bases=bases, further=st.integers(0, 10**9))
def test_law_7_past_the_horizon_the_last_value_holds(
    example: Example, own_bases: list[float], further: int
) -> None:
    assert example.horizon is not None
    last = value(example, own_bases, example.horizon)
    assert value(example, own_bases, example.horizon + further) == last


@every_one
@pytest.mark.parametrize("num_updates", [-1, -100, 1.5])
def test_law_7_a_negative_or_fractional_update_is_refused(
    example: Example, num_updates: float
) -> None:
    optimizer = optimizer_for([0.1])
    scheduler = example.make(optimizer)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match="num_updates"):
        scheduler.step_update(num_updates)
    assert optimizer.state_dict() == before


# 9. No side effects on import --------------------------------------------------------------


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_law_9_schedulers_load_neither_accelerate_nor_plotting_and_seed_nothing() -> None:
    run_python(
        """
import logging, random, sys
import numpy, torch
before = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
handlers = list(logging.root.handlers), logging.root.level, dict(logging.root.manager.loggerDict)
import pytorch_accelerated.schedulers
after = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
assert before == after
assert handlers == (logging.root.handlers, logging.root.level, logging.root.manager.loggerDict)
for name in ("accelerate", "matplotlib", "plotly", "pandas", "rich", "pytorch_accelerated.trainer"):
    assert name not in sys.modules, name
"""
    )


def test_law_9_the_package_alone_loads_neither_torch_nor_accelerate() -> None:
    run_python(
        """
import sys
import pytorch_accelerated
import pytorch_accelerated.schedules
for name in ("torch", "numpy", "accelerate", "rich"):
    assert name not in sys.modules, name
"""
    )


# 10. No hooks left behind ------------------------------------------------------------------


@every_one
def test_law_10_nothing_is_patched_and_all_is_freed_without_the_collector(
    example: Example,
) -> None:
    gc.collect()
    gc.disable()
    try:
        optimizer = sgd([0.1, 0.2], weight_decay=0.3, momentum=0.9)
        if example.field == "betas" or "several" in example.name:
            optimizer = optimizer_for([0.1, 0.2])
        attributes = {name: value for name, value in vars(optimizer).items() if callable(value)}
        scheduler = example.make(optimizer)
        scheduler.step_update(3)
        scheduler.state_dict()
        assert {n: v for n, v in vars(optimizer).items() if callable(v)} == attributes
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_load_state_dict_post_hooks
        references = weakref.ref(optimizer), weakref.ref(scheduler)
        del optimizer, scheduler, attributes
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("example", [e for e in STATEFUL if "user" not in e.name], ids=repr)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["copy", "pickle"]
)
def test_law_10_copies_go_on_by_themselves(example: Example, copied: Any) -> None:
    straight = used_in(optimizer_for([0.1, 0.2]), example.make, 20, example.field)
    optimizer = optimizer_for([0.1, 0.2])
    scheduler = example.make(optimizer)
    train(optimizer, scheduler, 8)
    other, twin = copied((optimizer, scheduler))
    assert twin.optimizer is other
    recorder = Recorder(other, example.field)
    train(other, twin, 12)
    assert [*recorder.used, held(other, example.field)] == straight[8:]
    assert scheduler.num_updates == 8
    assert held(optimizer, example.field) == straight[8]


@every_plan
@settings(max_examples=10, deadline=None)
@given(own_bases=bases, position=st.integers(0, 40), dtype=dtypes)
def test_law_10_wherever_it_is_a_scheduler_is_copied_and_freed(
    example: Example, own_bases: list[float], position: int, dtype: torch.dtype | None
) -> None:
    optimizer = optimizer_for(own_bases, dtype)
    attributes = {name: value for name, value in vars(optimizer).items() if callable(value)}
    hooks = [name for name in vars(optimizer) if name.endswith("_hooks")]
    scheduler = example.make(optimizer)
    for k in range(1, position + 1):
        step(scheduler, k)
    scheduler.state_dict()
    assert {n: v for n, v in vars(optimizer).items() if callable(v)} == attributes
    assert len(hooks) >= 5
    assert not any(getattr(optimizer, name) for name in hooks)

    before = contents(optimizer)
    for other, twin in (
        copy.deepcopy((optimizer, scheduler)),
        pickle.loads(pickle.dumps((optimizer, scheduler))),
    ):
        assert twin.optimizer is other
        for k in range(position + 1, position + 4):
            step(twin, k)
            assert held(other, example.field) == value(example, own_bases, k, dtype)
    assert contents(optimizer) == before

    gc.disable()  # what is freed now has no cycles
    try:
        references = weakref.ref(optimizer), weakref.ref(scheduler)
        del optimizer, scheduler, attributes, other, twin
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()
