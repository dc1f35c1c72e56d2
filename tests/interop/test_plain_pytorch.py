"""Loops of plain PyTorch: each update runs with exactly the value that is planned for it."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import (
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.checkpoint.stateful import Stateful
from torch.optim import lr_scheduler

from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    CosineLrScheduler,
    ParamScheduler,
    SchedulerWarning,
    StatefulSchedulerBase,
    StatelessParamScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import constant, from_function, linear
from tests.interop.plan import BASE, NUM_UPDATES, PLAN, make_scheduler, planned
from tests.recording import Recorder, adamw, held, sgd, train, update


def used(recorder: Recorder) -> list[Any]:
    """What the only group ran with in each update, and what it holds now."""
    return [values[0] for values in recorder.used]


def test_the_plan_is_what_a_hand_would_compute() -> None:
    by_hand = [0.025, 0.05, 0.075, *(0.05 * (1 + math.cos(math.pi * k / 5)) for k in range(6))]
    assert planned() == pytest.approx(by_hand, abs=1e-12)


def test_bare_loop() -> None:
    optimizer = sgd([BASE])
    recorder = Recorder(optimizer)
    scheduler = make_scheduler(optimizer)
    train(optimizer, scheduler, NUM_UPDATES)
    assert [*used(recorder), *held(optimizer)] == planned()
    assert scheduler.get_last_lr() == [0.0]


# Gradient scaling --------------------------------------------------------------------------


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("overflows", [(), (0, 1), (0, 3, 4, 9), (2, 5)])
def test_grad_scaler_that_skips_updates(overflows: tuple[int, ...], fused: bool) -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter], lr=BASE, fused=fused)
    scheduler = make_scheduler(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)

    made = []
    for index in range(NUM_UPDATES + len(overflows)):
        before, rate = parameter.detach().clone(), optimizer.param_groups[0]["lr"]
        factor = math.inf if index in overflows else 1.0
        scaler.scale((parameter * factor).sum()).backward()
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if scaler.get_scale() >= scale:
            scheduler.step()
        optimizer.zero_grad()
        if not torch.equal(before, parameter.detach()):
            made.append(rate)
    assert [*made, *held(optimizer)] == planned()


# Closures and several optimizers -----------------------------------------------------------


def test_lbfgs_closures() -> None:
    parameter = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = torch.optim.LBFGS([parameter], lr=BASE, max_iter=4)
    scheduler = make_scheduler(optimizer)
    seen: list[list[float]] = []

    def closure() -> torch.Tensor:
        seen[-1].append(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        loss = (parameter**4).sum()
        loss.backward()
        return loss

    for _ in range(NUM_UPDATES):
        seen.append([])
        optimizer.step(closure)
        scheduler.step()
    assert [len(set(rates)) for rates in seen] == [1] * NUM_UPDATES
    assert max(map(len, seen)) > 1, "the closure is called several times an update"
    assert [rates[0] for rates in seen] == planned()[:-1]
    assert held(optimizer) == [0.0]


def test_several_optimizers_each_count_their_own_updates() -> None:
    often, seldom = sgd([BASE]), adamw([2 * BASE])
    recorders = Recorder(often), Recorder(seldom)
    schedulers = make_scheduler(often), make_scheduler(seldom)
    for index in range(2 * NUM_UPDATES):
        update(often)
        schedulers[0].step()
        if index % 2:
            update(seldom)
            schedulers[1].step()
    assert used(recorders[0]) == planned(stop=2 * NUM_UPDATES - 1)
    assert used(recorders[1]) == planned(base=2 * BASE)[:-1]


# Fields of all kinds -----------------------------------------------------------------------


class Every(StatefulSchedulerBase):
    """Puts one of ``values`` in force for each update, whatever kind they are."""

    def __init__(self, optimizer: Any, field: str, values: list[Any]) -> None:
        super().__init__(optimizer, field)
        self.values = values

    def get_updated_values(self, num_updates: int) -> Any:
        return self.values[min(num_updates, len(self.values) - 1)]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("betas", [(0.9, 0.99), (0.8, 0.98), (0.7, 0.97)]),
        ("dropout", [0.5, 0.25, 0.0]),
    ],
)
def test_tuple_and_custom_fields(field: str, values: list[Any]) -> None:
    optimizer = adamw([BASE])
    optimizer.param_groups[0].setdefault("dropout", 0.75)
    recorder = Recorder(optimizer, field)
    train(optimizer, Every(optimizer, field, values), 3)
    assert used(recorder) == values
    assert type(optimizer.param_groups[0][field]) is type(values[0])


@pytest.mark.parametrize("beta", ["beta1", "beta2"])
def test_one_entry_of_the_betas(beta: str) -> None:
    optimizer = adamw([BASE], betas=(0.8, 0.9))
    recorder = Recorder(optimizer, "betas")
    train(optimizer, ParamScheduler(optimizer, **{beta: linear(4, end=0.5)}), 4)
    index = ("beta1", "beta2").index(beta)
    plan = [linear(4, end=0.5)(k, base=(0.8, 0.9)[index]) for k in range(4)]
    assert [betas[index] for betas in used(recorder)] == plan
    assert {betas[1 - index] for betas in used(recorder)} == {(0.9, 0.8)[index]}


@pytest.mark.parametrize("as_tensor", [False, True])
def test_fused_optimizers(as_tensor: bool) -> None:
    rate = torch.tensor(BASE, dtype=torch.float64) if as_tensor else BASE
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter], lr=rate, fused=True)
    recorder = Recorder(optimizer)
    moved = []
    scheduler = make_scheduler(optimizer)
    for _ in range(NUM_UPDATES):
        before = parameter.detach().clone()
        update(optimizer)
        scheduler.step()
        moved.append(float((before - parameter.detach())[0]))
    assert used(recorder) == planned()[:-1]
    # With equal gradients, Adam moves by the learning rate in each update.
    assert moved == pytest.approx(planned()[:-1], rel=1e-4)


def test_schedule_free_with_a_warmup() -> None:
    schedulefree = pytest.importorskip("schedulefree")
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = schedulefree.AdamWScheduleFree([parameter], lr=BASE)
    optimizer.train()
    warmup = linear(4, start=0.0)
    scheduler = ParamScheduler(optimizer, lr=warmup)
    applied = []
    for _ in range(8):
        update(optimizer)
        scheduler.step()
        applied.append(optimizer.param_groups[0]["scheduled_lr"])
    assert applied == [warmup(k, base=BASE) for k in range(8)]
    assert applied[4:] == [BASE] * 4
    assert torch.isfinite(parameter).all()


# PyTorch's own schedulers ------------------------------------------------------------------


def test_beside_a_native_scheduler_in_a_chain() -> None:
    optimizer = sgd([BASE], weight_decay=0.4)
    rates, decays = Recorder(optimizer), Recorder(optimizer, "weight_decay")
    native = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    ours = ParamScheduler(optimizer, weight_decay=linear(4, end=0.0))
    chain = lr_scheduler.ChainedScheduler([native, ours], optimizer=optimizer)
    train(optimizer, chain, 2)
    saved = copy.deepcopy((optimizer.state_dict(), chain.state_dict()))
    train(optimizer, chain, 2)
    assert used(rates) == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    assert used(decays) == [linear(4, end=0.0)(k, base=0.4) for k in range(4)]

    fresh = sgd([BASE], weight_decay=0.4)
    resumed = lr_scheduler.ChainedScheduler(
        [
            lr_scheduler.ExponentialLR(fresh, gamma=0.5),
            ParamScheduler(fresh, weight_decay=linear(4, end=0.0)),
        ],
        optimizer=fresh,
    )
    fresh.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    decays = Recorder(fresh, "weight_decay")
    train(fresh, resumed, 2)
    assert used(decays) == [linear(4, end=0.0)(k, base=0.4) for k in (2, 3)]


def test_a_chain_over_one_field_is_not_silent() -> None:
    optimizer = sgd([BASE])
    native = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    chain = lr_scheduler.ChainedScheduler([native, make_scheduler(optimizer)], optimizer=optimizer)
    update(optimizer)
    with pytest.warns(SchedulerWarning, match="another scheduler"):
        chain.step()


@pytest.mark.parametrize("position", [0, 1])
def test_sequential_lr_is_refused_and_the_message_says_what_to_write(position: int) -> None:
    optimizer = sgd([BASE])
    members: list[Any] = [lr_scheduler.ConstantLR(optimizer, factor=1.0)]
    members.insert(position, CosineLrScheduler(optimizer, 2, 2))
    with pytest.raises(AttributeError, match=r"SequentialLR.* a >> b"):
        lr_scheduler.SequentialLR(optimizer, members, milestones=[2])


def test_the_function_of_a_native_scheduler_is_a_schedule() -> None:
    def halve(num_updates: int) -> float:
        return 0.5**num_updates

    optimizer, other = sgd([BASE]), sgd([BASE])
    native = lr_scheduler.LambdaLR(other, halve)
    ours = ParamScheduler(optimizer, lr=linear(2, start=0.5) >> from_function(halve))
    recorder, expected = Recorder(optimizer), Recorder(other)
    train(optimizer, ours, 6)
    train(other, native, 4)
    assert used(recorder)[:2] == [0.05, 0.1 * 0.75]
    assert used(recorder)[2:] == used(expected)


def test_a_native_scheduler_may_go_on_after_ours_was_dropped() -> None:
    optimizer = sgd([BASE])
    train(optimizer, make_scheduler(optimizer), 3)
    native = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    recorder = Recorder(optimizer)
    train(optimizer, native, 3)
    assert used(recorder) == [0.1, 0.05, 0.025]


@pytest.mark.parametrize("base", [1, torch.tensor(0.25)])
def test_after_a_native_scheduler_whose_base_is_no_float(base: Any) -> None:
    def make(optimizer: Any) -> Any:
        return CosineLrScheduler(optimizer, 2, 4, lr_min=0.0)

    number, plan = float(base), make(sgd([1.0])).schedules["lr"]
    expected = [plan(k, base=number) for k in range(9)]
    optimizer = sgd([copy.deepcopy(base)])
    train(optimizer, lr_scheduler.LinearLR(optimizer, total_iters=2), 3)
    scheduler = make(optimizer)
    assert scheduler.base_lr_values == [number]
    assert [type(value) for value in scheduler.base_lr_values] == [float]
    recorder = Recorder(optimizer)
    train(optimizer, scheduler, 4)
    saved = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    train(optimizer, scheduler, 4)
    assert [*used(recorder), *held(optimizer)] == pytest.approx(expected, rel=1e-6)

    fresh = sgd([copy.deepcopy(base)])
    fresh.load_state_dict(saved[0])
    resumed = make(fresh)
    resumed.load_state_dict(json.loads(json.dumps(saved[1])))
    later = {"params": [torch.nn.Parameter(torch.ones(2))], "lr": base, "initial_lr": base}
    fresh.add_param_group(later)
    train(fresh, resumed, 1)
    assert held(fresh) == pytest.approx([expected[5]] * 2, rel=1e-6)
    train(fresh, resumed, 3)
    assert held(fresh) == [0.0, 0.0]


# torch.distributed.checkpoint --------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        make_scheduler,
        lambda optimizer: CosineLrScheduler(optimizer, 2, 4, num_warmup_epochs=1),
        lambda optimizer: WSDLrScheduler(optimizer, total_steps=8, num_checkpoints=2),
        lambda optimizer: Every(optimizer, "lr", [0.1 / (k + 1) for k in range(8)]),
    ],
    ids=["schedule", "cosine", "wsd", "user's"],
)
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_distributed_checkpoint(make: Any, tmp_path: Path) -> None:
    optimizer = sgd([BASE])
    recorder = Recorder(optimizer)
    scheduler = make(optimizer)
    assert isinstance(scheduler, Stateful)
    train(optimizer, scheduler, 3)
    dcp.save({"scheduler": scheduler}, checkpoint_id=tmp_path, no_dist=True)
    train(optimizer, scheduler, 5)

    fresh = sgd([BASE])
    resumed = make(fresh)
    dcp.load({"scheduler": resumed}, checkpoint_id=tmp_path, no_dist=True)
    assert resumed.num_updates == 3
    rest = Recorder(fresh)
    train(fresh, resumed, 5)
    assert used(recorder)[3:] == used(rest)


def loaded(scheduler: Any, saved: Any, path: Path) -> Any:
    dcp.save({"scheduler": saved}, checkpoint_id=path, no_dist=True)
    dcp.load({"scheduler": scheduler}, checkpoint_id=path, no_dist=True)
    return scheduler


class Remembering(Every):
    """Keeps in a dictionary what it did, under names that come as it runs."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer, "lr", [0.1, 0.05])
        self.history: dict[str, Any] = {}
        self.best: Any = None

    def get_updated_values(self, num_updates: int) -> Any:
        self.history[f"update {num_updates}"] = {"seen": (num_updates, [0.5])}
        self.best = None if num_updates < 2 else {num_updates}
        return super().get_updated_values(num_updates)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_distributed_checkpoint_of_dictionaries_that_grow(tmp_path: Path) -> None:
    scheduler = Remembering(optimizer := sgd([BASE]))
    train(optimizer, scheduler, 3)
    resumed = loaded(Remembering(sgd([BASE])), scheduler, tmp_path)
    assert resumed.history == {f"update {k}": {"seen": (k, [0.5])} for k in range(4)}
    assert resumed.best == {3}


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        (
            lambda o: WSDLrScheduler(o, total_steps=100),
            lambda o: WSDLrScheduler(o, total_steps=200, is_continuation_from_checkpoint=True),
            0.1,
        ),
        (
            lambda o: CosineLrScheduler(o, 2, 5, lr_min=0.0),
            lambda o: WSDLrScheduler(o, total_steps=200),
            0.1,
        ),
        (
            lambda o: ParamScheduler(o, lr=linear(10, end=0.0)),
            lambda o: ParamScheduler(o, lr=linear(10, end=0.0), weight_decay=linear(10)),
            0.05,
        ),
    ],
    ids=["a continuation", "another recipe", "a field more"],
)
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.filterwarnings("ignore::pytorch_accelerated.schedulers.SchedulerWarning")
def test_distributed_checkpoint_of_another_plan(
    before: Any, after: Any, value: float, tmp_path: Path
) -> None:
    scheduler = before(optimizer := adamw([BASE]))
    train(optimizer, scheduler, 5)
    resumed = loaded(after(fresh := adamw([BASE])), scheduler, tmp_path)
    assert resumed.num_updates == 5
    assert held(fresh) == [value]


@pytest.mark.parametrize("position", [None, 2])
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_distributed_checkpoint_of_a_stateless_scheduler(
    position: int | None, tmp_path: Path
) -> None:
    scheduler = StatelessParamScheduler(optimizer := sgd([BASE]), lr=PLAN)
    other = StatelessParamScheduler(fresh := sgd([BASE]), lr=PLAN)
    if position is None:
        other.step_update(5)
    else:
        scheduler.step_update(position)
    loaded(other, scheduler, tmp_path)
    assert held(fresh) == held(optimizer) == [BASE if position is None else planned()[position]]
    assert other.state_dict()["num_updates"] == position


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_distributed_checkpoint_of_attributes(tmp_path: Path) -> None:
    one, two = torch.nn.Dropout(0.4), torch.nn.Dropout(0.4)
    two.momentum = 0.8
    scheduler = AttributeScheduler(one, p=linear(4, end=0.0))
    scheduler.step()
    resumed = AttributeScheduler(two, p=linear(4, end=0.0), momentum=linear(4, end=0.0))
    loaded(resumed, scheduler, tmp_path)
    assert (two.p, two.momentum) == pytest.approx((0.3, 0.6))


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_distributed_checkpoint_of_an_optimizer_that_has_no_scheduler_yet(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=BASE)
    scheduler = make_scheduler(optimizer)
    train(optimizer, scheduler, 2)
    state = {"optimizer": get_optimizer_state_dict(model, optimizer), "scheduler": scheduler}
    dcp.save(state, checkpoint_id=tmp_path, no_dist=True)

    optimizer = torch.optim.AdamW(model.parameters(), lr=BASE)
    state = {"optimizer": get_optimizer_state_dict(model, optimizer)}
    dcp.load(state, checkpoint_id=tmp_path, no_dist=True)
    set_optimizer_state_dict(model, optimizer, state["optimizer"])
    assert "initial_lr" not in optimizer.param_groups[0]
    resumed = make_scheduler(optimizer)
    dcp.load({"scheduler": resumed}, checkpoint_id=tmp_path, no_dist=True)
    assert held(optimizer) == planned()[2:3]
    recorder = Recorder(optimizer)
    train(optimizer, resumed, NUM_UPDATES - 2)
    assert [*used(recorder), *held(optimizer)] == planned()[2:]


def test_a_constant_schedule_is_no_obstacle_to_others() -> None:
    optimizer = sgd([BASE], momentum=0.9)
    scheduler = ParamScheduler(optimizer, lr=PLAN, momentum=constant(1))
    train(optimizer, scheduler, NUM_UPDATES)
    assert held(optimizer, "momentum") == [0.9]
