"""The laws, for ParamScheduler over schedules that are composed at random."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import ParamScheduler, StatelessParamScheduler
from pytorch_accelerated.schedules import Schedule
from tests.recording import Recorder, adamw, held, parameters, sgd, train, update, used_in
from tests.strategies import schedules

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
