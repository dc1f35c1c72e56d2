"""The laws, for ParamScheduler over schedules that are composed at random."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import weakref
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.preview import preview
from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    ParamScheduler,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import Schedule, from_function
from tests.recording import Recorder, adamw, held, parameters, sgd, train, update, used_in
from tests.strategies import clock_readings, decay, mappings, schedules

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FIELD = "eps"  # any finite value is legal there, and no update divides by it: SGD ignores it


def optimizer_for(bases: list[float]):
    optimizer = sgd([0.1] * len(bases))
    for group, base in zip(optimizer.param_groups, bases, strict=True):
        group[FIELD] = base
    return optimizer


def scheduler_of(plan: Schedule):
    return lambda optimizer: ParamScheduler(optimizer, **{FIELD: plan})


plans = schedules(depth=4)
bases = st.lists(st.floats(1e-3, 10.0), min_size=1, max_size=2)


def updates_around(plan: Schedule) -> int:
    """How many updates to make: past the end, or as many as a test can afford."""
    return min(40, (plan.horizon if plan.horizon is not None else 20) + 2)


@quick
@given(plan=plans, own_bases=bases)
def test_update_k_runs_with_the_plans_value_k(plan: Schedule, own_bases: list[float]) -> None:
    count = updates_around(plan)
    used = used_in(optimizer_for(own_bases), scheduler_of(plan), count, FIELD)
    assert used == [[plan(k, base) for base in own_bases] for k in range(count + 1)]


@quick
@given(plan=plans, own_bases=bases, data=st.data())
def test_a_restored_run_goes_on_exactly_in_either_order(
    plan: Schedule, own_bases: list[float], data: st.DataObject
) -> None:
    count = updates_around(plan)
    position = data.draw(st.integers(0, count))
    straight = used_in(optimizer_for(own_bases), scheduler_of(plan), count, FIELD)
    optimizer = optimizer_for(own_bases)
    scheduler = scheduler_of(plan)(optimizer)
    train(optimizer, scheduler, position)
    saved = copy.deepcopy(optimizer.state_dict()), json.loads(json.dumps(scheduler.state_dict()))
    fresh = optimizer_for(own_bases)
    resumed = scheduler_of(plan)(fresh)
    pairs = list(zip((fresh, resumed), saved, strict=True))
    for target, state in data.draw(st.permutations(pairs)):
        target.load_state_dict(state)
    recorder = Recorder(fresh, FIELD)
    train(fresh, resumed, count - position)
    assert [*recorder.used, held(fresh, FIELD)] == straight[position:]


@quick
@given(plan=plans, order=st.lists(st.integers(0, 200), min_size=1, max_size=6))
def test_stateless_and_preview_agree_in_any_order(plan: Schedule, order: list[int]) -> None:
    optimizer = optimizer_for([0.5, 2.0])
    scheduler = StatelessParamScheduler(optimizer, **{FIELD: plan})
    for k in order:
        scheduler.step_update(k)
        assert held(optimizer, FIELD) == [plan(k, 0.5), plan(k, 2.0)]
    planned = scheduler_of(plan)(optimizer_for([0.5, 2.0])).preview(max(order) + 1)
    for k in order:
        assert [column[k] for column in planned[FIELD]] == [plan(k, 0.5), plan(k, 2.0)]


@quick
@given(plan=plans, position=st.integers(0, 12))
def test_a_late_group_follows_the_plan_from_its_own_base(plan: Schedule, position: int) -> None:
    optimizer = optimizer_for([0.5])
    scheduler = scheduler_of(plan)(optimizer)
    train(optimizer, scheduler, position)
    optimizer.add_param_group({"params": parameters(1), "lr": 0.1, FIELD: 3.0})
    update(optimizer)
    scheduler.step()
    assert held(optimizer, FIELD) == [plan(position + 1, 0.5), plan(position + 1, 3.0)]


@quick
@given(plan=plans, further=st.integers(0, 10**9))
def test_past_the_horizon_the_last_value_holds(plan: Schedule, further: int) -> None:
    assume(plan.horizon is not None)
    optimizer = optimizer_for([0.5])
    StatelessParamScheduler(optimizer, **{FIELD: plan}).step_update(plan.horizon + further)
    offset, scale = plan.final
    assert held(optimizer, FIELD) == [offset + scale * 0.5]


@quick
@given(plan=plans)
def test_copies_go_on_by_themselves_and_all_is_freed_at_once(plan: Schedule) -> None:
    optimizer = adamw([0.1])
    optimizer.param_groups[0]["clip"] = 0.5
    scheduler = ParamScheduler(optimizer, clip=plan)
    train(optimizer, scheduler, 3)
    for other, twin in (
        copy.deepcopy((optimizer, scheduler)),
        pickle.loads(pickle.dumps((optimizer, scheduler))),
    ):
        twin.step()
        assert held(other, "clip") == [plan(4, 0.5)]
    assert held(optimizer, "clip") == [plan(3, 0.5)]
    gc.disable()  # what is freed now has no cycles
    try:
        references = weakref.ref(optimizer), weakref.ref(scheduler)
        del optimizer, scheduler, other, twin
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


@quick
@given(plan=plans, own_bases=bases, data=st.data())
def test_a_tensor_stays_that_very_tensor_and_holds_the_plans_value(
    plan: Schedule, own_bases: list[float], data: st.DataObject
) -> None:
    optimizer = optimizer_for(own_bases)
    dtypes = [data.draw(st.sampled_from([None, torch.float32, torch.float64])) for _ in own_bases]
    for group, dtype in zip(optimizer.param_groups, dtypes, strict=True):
        group[FIELD] = group[FIELD] if dtype is None else torch.tensor(group[FIELD], dtype=dtype)
    before = [group[FIELD] for group in optimizer.param_groups]
    started = held(optimizer, FIELD)
    scheduler = scheduler_of(plan)(optimizer)
    for k in range(updates_around(plan) + 1):
        for group, dtype, first, base in zip(
            optimizer.param_groups, dtypes, before, started, strict=True
        ):
            if dtype is None:
                assert type(group[FIELD]) is float
                assert group[FIELD] == plan(k, base)
            else:
                assert group[FIELD] is first
                assert first.dtype is dtype
                assert torch.equal(first, torch.tensor(plan(k, base), dtype=dtype))
        scheduler.step()


# Mappings, and several optimizers ------------------------------------------------------------

# The keys that match each group, from the most exact one on.
MATCHING = (
    ("SGD/0", "SGD", "SGD/*", "*"),
    ("SGD/1", "SGD", "SGD/*", "*"),
    ("SGD.1/0", "SGD.1", "SGD", "*"),
)


@quick
@given(by_key=mappings(), position=st.integers(0, 12), data=st.data())
def test_several_optimizers_run_by_the_most_exact_key_also_after_a_resume(
    by_key: dict[str, Schedule], position: int, data: st.DataObject
) -> None:
    def make() -> Any:
        optimizers = optimizer_for([0.5, 2.0]), optimizer_for([3.0])
        return optimizers, ParamScheduler(optimizers, **{FIELD: by_key})

    def due(k: int) -> list[float]:
        plans = [next((by_key[key] for key in keys if key in by_key), None) for keys in MATCHING]
        rows = zip(plans, (0.5, 2.0, 3.0), strict=True)
        return [base if plan is None else plan(k, base) for plan, base in rows]

    def now(optimizers: Any) -> list[float]:
        return [value for one in optimizers for value in held(one, FIELD)]

    optimizers, scheduler = make()
    planned = scheduler.preview(position + 2)[FIELD]
    for k in range(position + 1):
        assert now(optimizers) == due(k) == [column[k] for column in planned]
        scheduler.step()
    states = [copy.deepcopy(one.state_dict()) for one in optimizers]
    states.append(json.loads(json.dumps(scheduler.state_dict())))
    others, resumed = make()
    pairs = list(zip((*others, resumed), states, strict=True))
    for target, state in data.draw(st.permutations(pairs)):
        target.load_state_dict(state)
    assert now(others) == due(position + 1)


# Clocks --------------------------------------------------------------------------------------


@quick
@given(plan=schedules(depth=3), readings=clock_readings(), data=st.data())
def test_each_update_runs_with_the_plans_value_where_its_clock_was(
    plan: Schedule, readings: tuple[str, list[Any]], data: st.DataObject
) -> None:
    clock, places = readings

    def make() -> Any:
        optimizer = optimizer_for([0.5, 2.0])
        scheduler: Any = ParamScheduler(optimizer, **{FIELD: plan}, clock=clock)
        return optimizer, scheduler

    def due(place: Any) -> list[float]:
        offset, scale = plan.coefficients(place)
        return [offset + scale * base for base in (0.5, 2.0)]

    optimizer, scheduler = make()
    stateless = StatelessParamScheduler(optimizer_for([0.5, 2.0]), **{FIELD: plan}, clock=clock)
    position = data.draw(st.integers(0, len(places)))
    for at, place in enumerate([0, *places]):
        if at == position:  # restored, in either order
            states = optimizer.state_dict(), json.loads(json.dumps(scheduler.state_dict()))
            pairs = list(zip(make(), copy.deepcopy(states), strict=True))
            for target, state in data.draw(st.permutations(pairs)):
                target.load_state_dict(state)
            (optimizer, _), (scheduler, _) = pairs
        if at:
            scheduler.step(place)
        stateless.step_update(place)
        assert held(optimizer, FIELD) == due(place) == held(stateless.optimizer, FIELD)
        assert scheduler.num_updates == place
    planned = preview(scheduler, at=[0, *places])[FIELD]
    assert [list(row) for row in zip(*planned, strict=True)] == [due(n) for n in (0, *places)]


# AttributeScheduler ------------------------------------------------------------------------


class Target:
    def __init__(self, weight: Any) -> None:
        self.weight = weight


def targets_for(own_bases: list[float], dtype: torch.dtype | None = None) -> list[Target]:
    return [
        Target(base if dtype is None else torch.tensor(base, dtype=dtype)) for base in own_bases
    ]


def weights(targets: list[Target]) -> list[float]:
    return [float(target.weight) for target in targets]


def attribute_run(plan: Schedule, own_bases: list[float], count: int) -> list[list[float]]:
    """What targets hold from construction on, and after each of ``count`` steps."""
    targets = targets_for(own_bases)
    scheduler = AttributeScheduler(targets, weight=plan)
    values = [weights(targets)]
    for _ in range(count):
        scheduler.step()
        values.append(weights(targets))
    return values


@quick
@given(plan=plans, own_bases=bases)
def test_an_attribute_holds_the_plans_value_k(plan: Schedule, own_bases: list[float]) -> None:
    count = updates_around(plan)
    expected = [[plan(k, base) for base in own_bases] for k in range(count + 1)]
    assert attribute_run(plan, own_bases, count) == expected
    asked = AttributeScheduler(targets_for(own_bases), weight=plan)
    for k in reversed(range(count + 1)):
        assert asked.get_updated_values(k) == {"weight": expected[k]}
    if plan.horizon is not None:
        (last,) = asked.get_updated_values(plan.horizon).values()
        assert asked.get_updated_values(plan.horizon + 10**9) == {"weight": last}


@quick
@given(plan=plans, own_bases=bases, data=st.data())
def test_a_restored_attribute_goes_on_exactly(
    plan: Schedule, own_bases: list[float], data: st.DataObject
) -> None:
    count = updates_around(plan)
    position = data.draw(st.integers(0, count))
    straight = attribute_run(plan, own_bases, count)
    scheduler = AttributeScheduler(targets_for(own_bases), weight=plan)
    for _ in range(position):
        scheduler.step()
    state = json.loads(json.dumps(scheduler.state_dict()))
    resumed = AttributeScheduler(fresh := targets_for(own_bases), weight=plan)
    resumed.load_state_dict(state)
    assert resumed.num_updates == position
    for k in range(position, count):
        assert weights(fresh) == straight[k]
        resumed.step()
    assert weights(fresh) == straight[count]


@quick
@given(
    plan=plans,
    own_bases=bases,
    dtype=st.sampled_from([torch.float32, torch.float64]),
    position=st.integers(0, 12),
)
def test_an_attributes_tensor_is_filled_and_its_copy_goes_on_by_itself(
    plan: Schedule, own_bases: list[float], dtype: torch.dtype, position: int
) -> None:
    targets = targets_for(own_bases, dtype)
    started, before = weights(targets), [target.weight for target in targets]
    scheduler = AttributeScheduler(targets, weight=plan)
    for _ in range(position):
        scheduler.step()

    def due(k: int) -> list[float]:
        return [torch.tensor(plan(k, base), dtype=dtype).item() for base in started]

    assert weights(targets) == due(position)
    for target, tensor in zip(targets, before, strict=True):
        assert target.weight is tensor
        assert tensor.dtype is dtype
    for others, twin in (
        copy.deepcopy((targets, scheduler)),
        pickle.loads(pickle.dumps((targets, scheduler))),
    ):
        twin.step()
        assert weights(others) == due(position + 1)
    assert weights(targets) == due(position)
    gc.disable()  # what is freed now has no cycles
    try:
        references = weakref.ref(scheduler), weakref.ref(targets[0])
        del scheduler, targets, target, others, twin
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


@quick
@given(
    own_bases=bases,
    at=st.integers(1, 12),
    bad=st.sampled_from([math.nan, math.inf, "0.1", None, [0.1], 1j]),
    data=st.data(),
)
def test_an_attributes_bad_value_is_named_and_nothing_changes(
    own_bases: list[float], at: int, bad: Any, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(own_bases) - 1))
    gives = [bad]
    fine, own = from_function(decay), from_function(lambda k: gives[0] if k >= at else 0.5)
    targets = targets_for(own_bases)
    scheduler = AttributeScheduler(
        targets, weight=[own if i == index else fine for i in range(len(own_bases))]
    )
    for _ in range(at - 1):
        scheduler.step()
    before = weights(targets)
    with pytest.raises((ValueError, TypeError)) as caught:
        scheduler.step()
    for word in ("AttributeScheduler", "weight", f"target {index}", f"update {at}"):
        assert word in str(caught.value)
    assert (weights(targets), scheduler.num_updates) == (before, at - 1)
    gives[0] = 0.25
    scheduler.step()
    assert targets[index].weight == 0.25 * own_bases[index]
