"""Failures known from PyTorch's own schedulers, by the ids of the table."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import io
import json
import math
import weakref
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.optim import lr_scheduler

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    SchedulerWarning,
    StatelessParamScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    exponential,
    from_function,
    linear,
    milestones,
)
from tests.recording import Recorder, adamw, held, parameters, sgd, train, update

peer = pytest.mark.peer


def halve(num_updates: int) -> float:
    return 0.5**num_updates


def shrink(num_updates: int) -> float:
    return 0.7**num_updates


COMPOSITIONS = {
    "sequence": linear(3, start=0.1) >> constant(1) >> cosine(6),
    "repeat": cosine(4, end=0.1).repeat(3, length=1.5, peak=0.5),
    "scaled": 0.5 * linear(8, end=0.0),
    "sum": linear(8, end=0.0) + constant(8, value=0.1),
    "product": linear(8, end=0.5) * cosine(8, end=0.5),
    "milestones": milestones({4: 0.1, 9: 0.01}),
    "function": linear(4, start=0.0) >> from_function(halve),
}

SCHEDULERS = {
    "schedule": lambda optimizer: ParamScheduler(optimizer, lr=COMPOSITIONS["sequence"]),
    "cosine": lambda optimizer: CosineLrScheduler(optimizer, 2, 5, num_warmup_epochs=1),
    "wsd": lambda optimizer: WSDLrScheduler(optimizer, total_steps=10, num_warmup_steps=2),
    "plateau": lambda optimizer: PlateauLrScheduler(optimizer, warmup=linear(5, start=0.1)),
}

every_scheduler = pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)


def used(optimizer: Any, scheduler: Any, num_updates: int, field: str = "lr") -> list[Any]:
    """What the first group runs its next updates with, and what is left then."""
    recorder = Recorder(optimizer, field)
    train(optimizer, scheduler, num_updates)
    return [values[0] for values in recorder.used] + held(optimizer, field)[:1]


def through_json(state: Any) -> Any:
    return json.loads(json.dumps(state))


@pytest.mark.parametrize("position", [0, 3, 4, 9])
@pytest.mark.parametrize("name", COMPOSITIONS)
def test_f01_a_count_alone_restores_every_composition(name: str, position: int) -> None:
    schedule = COMPOSITIONS[name]
    expected = [schedule(k, base=0.9) for k in range(position, position + 8)]
    optimizer = sgd([0.9])
    scheduler = ParamScheduler(optimizer, lr=schedule)
    scheduler.step(position)
    assert used(optimizer, scheduler, 7) == expected
    stateless = StatelessParamScheduler(other := sgd([0.9]), lr=schedule)
    stateless.step_update(position)
    assert held(other) == expected[:1]


@peer
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_f01_peer_pytorch_sequential_lr_restarts_its_first_member() -> None:
    def make(optimizer: Any, last_epoch: int) -> Any:
        members = [
            lr_scheduler.ConstantLR(optimizer, 0.1, 3, last_epoch=last_epoch),
            lr_scheduler.CosineAnnealingLR(optimizer, 10, last_epoch=last_epoch),
        ]
        return lr_scheduler.SequentialLR(optimizer, members, [3], last_epoch=last_epoch)

    straight = sgd([0.9])
    expected = used(straight, make(straight, -1), 8)
    restored = sgd([0.9])
    restored.param_groups[0]["initial_lr"] = 0.9
    assert used(restored, make(restored, 4), 2) != expected[5:8]


@every_scheduler
@pytest.mark.parametrize("order", ["optimizer first", "made after", "scheduler first"])
def test_f03_the_order_of_restoring_does_not_matter(make: Any, order: str) -> None:
    optimizer = sgd([0.9])
    scheduler = make(optimizer)
    train(optimizer, scheduler, 4)
    saved = copy.deepcopy(optimizer.state_dict()), through_json(scheduler.state_dict())
    expected = used(optimizer, scheduler, 8)

    fresh = sgd([0.9])
    if order == "made after":
        fresh.load_state_dict(saved[0])
    resumed = make(fresh)
    if order == "optimizer first":
        fresh.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    if order == "scheduler first":
        fresh.load_state_dict(saved[0])
    assert used(fresh, resumed, 8) == expected


@peer
def test_f03_peer_pytorch_a_warmup_made_after_restoring_scales_the_restored_rate() -> None:
    optimizer = sgd([1.0])
    scheduler = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5)
    train(optimizer, scheduler, 8)
    saved = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    assert held(optimizer) == pytest.approx([1.0])

    fresh = sgd([1.0])
    fresh.load_state_dict(saved[0])
    resumed = lr_scheduler.LinearLR(fresh, 0.1, total_iters=5)
    resumed.load_state_dict(saved[1])
    assert used(fresh, resumed, 4)[-1] == pytest.approx(0.1)


@every_scheduler
@pytest.mark.parametrize("position", [0, 1, 6, 10])
def test_f04_a_restored_value_is_in_force_at_once(make: Any, position: int) -> None:
    optimizer = sgd([0.9])
    scheduler = make(optimizer)
    train(optimizer, scheduler, position)
    resumed = make(fresh := sgd([0.9]))
    resumed.load_state_dict(through_json(scheduler.state_dict()))
    assert resumed.get_last_lr() == held(fresh) == held(optimizer)


@peer
def test_f04_peer_pytorch_reports_a_value_that_the_optimizer_does_not_hold() -> None:
    optimizer = sgd([1.0])
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    train(optimizer, scheduler, 8)
    fresh = sgd([1.0])
    resumed = lr_scheduler.CosineAnnealingLR(fresh, 10)
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.get_last_lr() == pytest.approx([0.0955], abs=1e-4)
    assert held(fresh) == [1.0]


def test_f05_a_longer_plan_goes_on_from_its_own_value() -> None:
    optimizer = sgd([1.0])
    short = ParamScheduler(optimizer, lr=cosine(10, end=0.0))
    train(optimizer, short, 10)
    longer = ParamScheduler(fresh := sgd([1.0]), lr=cosine(20, end=0.0))
    with pytest.warns(SchedulerWarning, match="due by the schedule given now") as caught:
        longer.load_state_dict(through_json(short.state_dict()))
    assert "was cosine(10, end=0.0), but the one given now is cosine(20" in str(caught[0].message)
    assert used(fresh, longer, 10) == [cosine(20, end=0.0)(k) for k in range(10, 21)]
    assert held(fresh) == [0.0]


def test_f05_another_plan_is_reported_where_the_values_are_still_the_same() -> None:
    short = WSDLrScheduler(optimizer := sgd([1.0]), total_steps=100)
    train(optimizer, short, 50)
    longer = WSDLrScheduler(fresh := sgd([1.0]), total_steps=1_000)
    with pytest.warns(SchedulerWarning, match=r"was .*constant\(90,.* is .*constant\(900,"):
        longer.load_state_dict(through_json(short.state_dict()))
    assert (held(fresh), longer.num_updates) == (held(optimizer), 50)


@peer
def test_f05_peer_pytorch_a_state_overwrites_the_new_length() -> None:
    optimizer = sgd([1.0])
    short = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    train(optimizer, short, 10)
    fresh = sgd([1.0])
    longer = lr_scheduler.CosineAnnealingLR(fresh, 20)
    fresh.load_state_dict(optimizer.state_dict())
    longer.load_state_dict(short.state_dict())
    assert used(fresh, longer, 10)[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("position", [0, 3])
def test_f06_another_function_is_reported_and_an_equal_one_resumes(position: int) -> None:
    def power(base: float) -> Any:
        return from_function(lambda k: base**k)

    scheduler = ParamScheduler(optimizer := sgd([1.0]), lr=power(0.5))
    train(optimizer, scheduler, position)
    state = through_json(scheduler.state_dict())
    others = [(from_function(lambda k: 1 / (1 + k)), "lr: .*from_function"), (linear(10), "lr: ")]
    if position > 0:  # before, it gives the same value under the same name
        others.append((power(0.7), "Parameter group 0: lr="))
    for another, words in others:
        other = ParamScheduler(sgd([1.0]), lr=another)
        with pytest.warns(SchedulerWarning, match=f"update {position}:\n{words}"):
            other.load_state_dict(state)
    equal = ParamScheduler(fresh := sgd([1.0]), lr=power(0.5))
    equal.load_state_dict(state)
    assert used(fresh, equal, 2) == [0.5**k for k in range(position, position + 3)]


@peer
def test_f06_peer_pytorch_switches_to_another_function_without_a_word() -> None:
    optimizer = sgd([1.0])
    scheduler = lr_scheduler.LambdaLR(optimizer, halve)
    train(optimizer, scheduler, 3)
    assert scheduler.state_dict()["lr_lambdas"] == [None]
    fresh = sgd([1.0])
    resumed = lr_scheduler.LambdaLR(fresh, shrink)
    fresh.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert used(fresh, resumed, 1) == pytest.approx([0.5**3, 0.7**4])


@pytest.mark.parametrize("name", COMPOSITIONS)
@pytest.mark.parametrize("position", [1, 4])
def test_f07_a_group_added_later_has_the_same_shape(name: str, position: int) -> None:
    schedule = COMPOSITIONS[name]
    optimizer = sgd([0.5])
    scheduler = ParamScheduler(optimizer, lr=schedule)
    train(optimizer, scheduler, position)
    optimizer.add_param_group({"params": parameters(1), "lr": 1.0})
    update(optimizer)
    scheduler.step()
    for k in range(position + 1, 12):
        assert held(optimizer) == [schedule(k, base=0.5), schedule(k, base=1.0)]
        update(optimizer)
        scheduler.step()


def test_f07_one_line_schedules_the_very_next_update_too() -> None:
    optimizer = sgd([0.5])
    scheduler = ParamScheduler(optimizer, lr=linear(10, start=0.0))
    train(optimizer, scheduler, 2)
    optimizer.add_param_group({"params": parameters(1), "lr": 1.0})
    assert held(optimizer) == [0.1, 1.0]  # without hooks nothing can have changed it
    scheduler.step(scheduler.num_updates)
    assert held(optimizer) == [0.1, 0.2]
    assert scheduler.num_updates == 2


@peer
def test_f07_peer_pytorch_drives_a_later_group_to_ten_times_its_rate() -> None:
    optimizer = sgd([1.0])
    scheduler = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5)
    optimizer.add_param_group({"params": parameters(1), "lr": 1.0})
    train(optimizer, scheduler, 5)
    assert held(optimizer) == pytest.approx([1.0, 10.0])


ONE_CYCLE = linear(3, start=0.04) >> cosine(7, end=absolute(1e-12))


def test_f08_the_floor_is_left_after_the_last_update() -> None:
    optimizer = sgd([1.0])
    scheduler = ParamScheduler(optimizer, lr=ONE_CYCLE)
    assert used(optimizer, scheduler, 10)[-1] == 1e-12
    assert set(used(optimizer, scheduler, 5)) == {1e-12}


@peer
def test_f08_peer_pytorch_one_cycle_rises_again_with_its_last_call() -> None:
    optimizer = sgd([0.04])
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=11)
    values = used(optimizer, scheduler, 10)
    assert values[-1] == pytest.approx(4e-6)  # total_steps has to count one call more
    exact = sgd([0.04])
    scheduler = lr_scheduler.OneCycleLR(exact, max_lr=1.0, total_steps=10)
    values = used(exact, scheduler, 10)
    assert values[-1] > 1_000 * values[-2]


def test_f09_calls_past_the_end_hold_the_last_value() -> None:
    optimizer = sgd([1.0])
    scheduler = ParamScheduler(optimizer, lr=ONE_CYCLE)
    train(optimizer, scheduler, 10)
    assert used(optimizer, scheduler, 10) == [1e-12] * 11


@peer
def test_f09_peer_pytorch_one_cycle_raises_past_its_end() -> None:
    optimizer = sgd([0.1])
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    train(optimizer, scheduler, 10)
    with pytest.raises(ValueError, match="total"):
        train(optimizer, scheduler, 1)


def test_f10_a_cosine_stays_at_its_floor() -> None:
    optimizer = sgd([1.0])
    scheduler = ParamScheduler(optimizer, lr=cosine(10, end=0.0))
    assert used(optimizer, scheduler, 20)[10:] == [0.0] * 11


@peer
def test_f10_peer_pytorch_a_cosine_climbs_back() -> None:
    optimizer = sgd([1.0])
    values = used(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 10), 20)
    assert values[20] == pytest.approx(1.0)


def test_f11_an_edited_value_does_not_bend_the_rest() -> None:
    optimizer = sgd([1.0])
    scheduler = ParamScheduler(optimizer, lr=cosine(10, end=0.0))
    train(optimizer, scheduler, 4)
    optimizer.param_groups[0]["lr"] = 0.01
    update(optimizer)
    with pytest.warns(SchedulerWarning, match=r"held lr=0\.01"):
        scheduler.step()
    assert used(optimizer, scheduler, 5) == [cosine(10, end=0.0)(k) for k in range(5, 11)]


def test_f11_a_value_far_out_equals_the_closed_form() -> None:
    scheduler = ParamScheduler(optimizer := sgd([1.0]), lr=cosine(3_000_000, end=0.0))
    scheduler.step(1_000_000)
    assert held(optimizer)[0] == pytest.approx((1 + math.cos(math.pi / 3)) / 2, rel=1e-15)


@peer
def test_f11_peer_pytorch_an_edited_value_bends_the_rest() -> None:
    optimizer = sgd([1.0])
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    train(optimizer, scheduler, 4)
    optimizer.param_groups[0]["lr"] = 0.01
    assert used(optimizer, scheduler, 2)[1] < 0.01


def test_f13_only_what_was_asked_for_changes() -> None:
    optimizer = adamw([0.1, 0.01], betas=(0.8, 0.99))
    scheduler = ParamScheduler(optimizer, lr=ONE_CYCLE)
    rates, betas = Recorder(optimizer), Recorder(optimizer, "betas")
    train(optimizer, scheduler, 8)
    for fast, slow in rates.used:
        assert fast == pytest.approx(10 * slow, rel=1e-6)
    assert {values for row in betas.used for values in row} == {(0.8, 0.99)}


@peer
def test_f13_peer_pytorch_one_cycle_flattens_groups_and_takes_the_betas() -> None:
    optimizer = adamw([0.1, 0.01], betas=(0.8, 0.99))
    lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    assert held(optimizer)[0] == held(optimizer)[1]
    assert held(optimizer, "betas") == [(0.95, 0.99)] * 2


@every_scheduler
def test_f14_making_it_twice_is_making_it_once(make: Any) -> None:
    once, twice = sgd([0.1]), sgd([0.1])
    make(twice)
    assert used(twice, make(twice), 10) == used(once, make(once), 10)


def test_f14_a_rate_changed_in_between_is_not_ignored_silently() -> None:
    optimizer = sgd([0.1])
    train(optimizer, ParamScheduler(optimizer, lr=cosine(10)), 3)
    optimizer.param_groups[0]["lr"] = 0.01
    second = ParamScheduler(optimizer, lr=cosine(10))
    with pytest.warns(SchedulerWarning, match=r"held lr=0\.01.*initial_lr=0\.1"):
        train(optimizer, second, 1)
    del optimizer.param_groups[0]["initial_lr"]
    optimizer.param_groups[0]["lr"] = 0.01
    third = ParamScheduler(optimizer, lr=cosine(10))
    assert used(optimizer, third, 10)[0] == 0.01


@peer
def test_f14_peer_pytorch_ignores_a_new_rate() -> None:
    optimizer = sgd([0.1])
    lr_scheduler.CosineAnnealingLR(optimizer, 10)
    optimizer.param_groups[0]["lr"] = 0.01
    lr_scheduler.LambdaLR(optimizer, lambda k: 1.0)
    assert held(optimizer) == [0.1]


def scaled_updates(optimizer: Any, scheduler: Any, step_always: bool) -> list[float]:
    """Six updates, of which the gradient scaler skips the first two; what the others used."""
    parameter = optimizer.param_groups[0]["params"][0]
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    recorder = Recorder(optimizer)
    for index in range(6):
        scaler.scale((parameter * (math.inf if index < 2 else 1.0)).sum()).backward()
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if step_always or scaler.get_scale() >= scale:
            scheduler.step()
        optimizer.zero_grad()
    return [values[0] for values in recorder.used]


def test_f15_skipped_updates_do_not_consume_the_schedule() -> None:
    plan = linear(4, start=0.1)
    optimizer = sgd([1.0])
    values = scaled_updates(optimizer, ParamScheduler(optimizer, lr=plan), step_always=False)
    assert values == [plan(k) for k in range(4)]


@peer
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*before.*optimizer.step")
def test_f15_peer_pytorch_skipped_updates_consume_the_schedule() -> None:
    optimizer = sgd([1.0])
    scheduler = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4)
    values = scaled_updates(optimizer, scheduler, step_always=True)
    assert values[:2] == pytest.approx([0.55, 0.775])


@pytest.mark.parametrize("how", ["compiled", "partial", "function"])
def test_f16_works_over_any_kind_of_step(how: str) -> None:
    optimizer = sgd([1.0])
    original = optimizer.step
    replacements = {
        "compiled": lambda: torch.compile(original, backend="eager"),
        "partial": lambda: functools.partial(original),
        "function": lambda: lambda closure=None: original(closure),
    }
    optimizer.step = replacements[how]()  # type: ignore[method-assign]
    replaced = optimizer.step
    scheduler = ParamScheduler(optimizer, lr=linear(4, end=0.0))
    train(optimizer, scheduler, 4)
    assert held(optimizer) == [0.0]
    assert optimizer.step is replaced


@peer
def test_f16_peer_pytorch_needs_a_plain_method() -> None:
    optimizer = sgd([1.0])
    optimizer.step = functools.partial(optimizer.step)  # type: ignore[method-assign]
    with pytest.raises(AttributeError, match="__func__"):
        lr_scheduler.LinearLR(optimizer)


def graphs_of(optimizer: Any, scheduler: Any) -> int:
    """How many graphs twelve updates of a compiled optimizer compile to."""
    torch._dynamo.reset()
    parameter = optimizer.param_groups[0]["params"][0]
    counter = CompileCounterWithBackend("eager")
    compiled = torch.compile(optimizer.step, backend=counter)
    for _ in range(12):
        parameter.grad = torch.ones_like(parameter)
        compiled()
        scheduler.step()
    return counter.frame_count


@pytest.mark.parametrize(("as_tensor", "graphs"), [(True, 1), (False, 2)])
def test_f17_a_new_value_recompiles_nothing(as_tensor: bool, graphs: int) -> None:
    rate = torch.tensor(0.1) if as_tensor else 0.1
    optimizer = adamw([rate])
    assert graphs_of(optimizer, ParamScheduler(optimizer, lr=linear(12, end=0.0))) <= graphs
    assert held(optimizer) == [0.0]


def adamw_of_tensors() -> torch.optim.AdamW:
    betas = torch.tensor(0.9), torch.tensor(0.99)
    return torch.optim.AdamW(parameters(1), lr=torch.tensor(0.1), betas=betas, foreach=False)


def test_f17_betas_that_are_tensors_recompile_nothing_either() -> None:
    optimizer = adamw_of_tensors()
    scheduler = ParamScheduler(optimizer, lr=linear(12, end=0.0), beta1=linear(12, end=0.5))
    assert graphs_of(optimizer, scheduler) == 1
    assert held(optimizer, "betas")[0] == pytest.approx((0.45, 0.99))


@peer
def test_f17_peer_pytorch_puts_floats_among_the_betas_and_compiles_again() -> None:
    optimizer = adamw_of_tensors()
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=20)
    assert graphs_of(optimizer, scheduler) == 2
    assert type(optimizer.param_groups[0]["betas"][0]) is float


@every_scheduler
def test_f18_the_optimizer_dies_with_its_last_user(make: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        optimizer = sgd([0.1])
        scheduler = make(optimizer)
        train(optimizer, scheduler, 12)
        scheduler.state_dict()
        alive = weakref.ref(optimizer)
        del optimizer, scheduler
        assert alive() is None
    finally:
        gc.enable()


def test_f19_reductions_may_follow_a_warmup() -> None:
    optimizer = sgd([1.0])
    warmup = linear(5, start=0.0)
    scheduler = PlateauLrScheduler(optimizer, warmup=warmup, patience=1, factor=0.5)
    recorder = Recorder(optimizer)
    for _ in range(9):
        train(optimizer, scheduler, 1)
        scheduler.report(1.0)
    values = [row[0] for row in recorder.used]
    assert values[:6] == [warmup(k) for k in range(6)]
    assert values[6:] + held(optimizer) == [1.0, 0.5, 0.5, 0.25]


@peer
def test_f19_peer_pytorch_a_sequence_takes_no_plateau() -> None:
    optimizer = sgd([1.0])
    members: list[Any] = [
        lr_scheduler.LinearLR(optimizer, 0.1),
        lr_scheduler.ReduceLROnPlateau(optimizer),
    ]
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        lr_scheduler.SequentialLR(optimizer, members, [5])


def test_f20_any_field_is_scheduled_by_the_same_shapes() -> None:
    optimizer = adamw([0.1], weight_decay=0.1, betas=(0.8, 0.99))
    scheduler = ParamScheduler(
        optimizer, weight_decay=linear(4, end=0.0), beta1=exponential(4, end=0.5)
    )
    betas = Recorder(optimizer, "betas")
    assert used(optimizer, scheduler, 4, "weight_decay") == pytest.approx(
        [0.1, 0.075, 0.05, 0.025, 0.0], abs=1e-15
    )
    assert betas.used[2][0] == (exponential(4, end=0.5)(2, base=0.8), 0.99)


@peer
def test_f20_peer_pytorch_has_nothing_for_weight_decay() -> None:
    assert "weight_decay" not in inspect.getsource(lr_scheduler)


def test_f21_each_group_may_have_a_plan_of_its_own() -> None:
    optimizer = sgd([0.1, 0.2])
    recorder = Recorder(optimizer)
    scheduler = ParamScheduler(optimizer, lr=[constant(1), cosine(8, end=0.0)])
    train(optimizer, scheduler, 8)
    assert recorder.used == [[0.1, cosine(8, end=0.0)(k, base=0.2)] for k in range(8)]


@peer
def test_f21_peer_pytorch_a_cosine_takes_one_length_for_all_groups() -> None:
    optimizer = sgd([0.1, 0.2])
    with pytest.raises(TypeError, match="list"):
        train(optimizer, lr_scheduler.CosineAnnealingLR(optimizer, [4, 8]), 1)  # type: ignore[arg-type]


@every_scheduler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_f22_a_tensor_stays_the_tensor_that_it_is(make: Any, dtype: torch.dtype) -> None:
    rate = torch.tensor(0.5, dtype=dtype)
    optimizer = adamw([rate])
    scheduler = make(optimizer)
    base = scheduler.base_lrs[0]
    train(optimizer, scheduler, 10)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.dtype is dtype
    assert scheduler.base_lrs[0] == base == 0.5


def test_f58_a_phase_without_updates_is_not_seen() -> None:
    optimizer = sgd([1.0])
    plan = linear(0, start=0.0, end=0.5) >> cosine(4, start=0.8, end=0.0)
    scheduler = ParamScheduler(optimizer, lr=plan)
    assert used(optimizer, scheduler, 4)[0] == 0.8


@every_scheduler
def test_f59_resuming_needs_no_hidden_key(make: Any) -> None:
    optimizer = sgd([0.9])
    scheduler = make(optimizer)
    train(optimizer, scheduler, 4)
    resumed = make(fresh := sgd([0.9]))
    resumed.load_state_dict(scheduler.state_dict())
    assert used(fresh, resumed, 5) == used(optimizer, scheduler, 5)


@peer
def test_f59_peer_pytorch_needs_a_key_in_every_group() -> None:
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.LinearLR(sgd([0.9]), last_epoch=3)


@every_scheduler
def test_f60_a_state_is_plain(make: Any) -> None:
    optimizer = sgd([0.9])
    scheduler = make(optimizer)
    train(optimizer, scheduler, 4)
    buffer = io.BytesIO()
    torch.save(scheduler.state_dict(), buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == scheduler.state_dict()
    assert through_json(scheduler.state_dict()) == scheduler.state_dict()


def test_f61_the_factor_given_now_counts() -> None:
    optimizer = sgd([1.0])
    scheduler = ParamScheduler(optimizer, lr=cosine(4, end=0.0).repeat(3, peak=0.5))
    train(optimizer, scheduler, 4)
    changed = ParamScheduler(fresh := sgd([1.0]), lr=cosine(4, end=0.0).repeat(3, peak=0.25))
    with pytest.warns(SchedulerWarning, match=r"lr=0\.25 .* held 0\.5"):
        changed.load_state_dict(scheduler.state_dict())
    assert held(fresh) == [0.25]
