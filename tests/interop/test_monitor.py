"""The monitor in a loop of one's own: what it records, and which mistakes it finds."""

from __future__ import annotations

import contextlib
import gc
import math
import re
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch.optim import lr_scheduler

import pytorch_accelerated
from pytorch_accelerated import monitor
from pytorch_accelerated.integrations.monitors import Monitor
from pytorch_accelerated.preview import compare
from pytorch_accelerated.schedulers import (
    ParamScheduler,
    PlateauLrScheduler,
    SchedulerWarning,
    StatefulSchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import constant, linear
from tests.interop.plan import BASE, NUM_UPDATES, PLAN, make_scheduler, planned
from tests.recording import Recorder, adamw, sgd, train, update

RATES = planned()


def watched(optimizer: Any, schedulers: Any, loop: Callable[[], None]) -> tuple[Any, list[str]]:
    """Run a loop; return its monitor, and what that and the schedulers warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with monitor(optimizer, schedulers) as m:
            loop()
    return m, [str(one.message) for one in caught if one.category is SchedulerWarning]


def hooks_of(optimizer: Any) -> int:
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


def test_a_right_loop_is_proved_right() -> None:
    optimizer = adamw([BASE, 2 * BASE], weight_decay=0.4, betas=(0.8, 0.9))
    optimizer.param_groups[1]["name"] = "head"
    rates, decays = Recorder(optimizer), Recorder(optimizer, "weight_decay")
    hooks = hooks_of(optimizer)
    decay, beta = linear(NUM_UPDATES, end=0.0), linear(4, end=0.5)
    scheduler = ParamScheduler(optimizer, lr=PLAN, weight_decay=decay, beta1=beta)
    with monitor(optimizer, scheduler) as m:
        assert m.summary() == "no update was recorded"
        assert (m.differences, m.metrics()) == ([], {})
        train(optimizer, scheduler, NUM_UPDATES)
        assert hooks_of(optimizer) == hooks + 1
    assert hooks_of(optimizer) == hooks
    train(optimizer, scheduler, 1)

    assert m.applied["lr"] == [
        [PLAN(k, base=BASE), PLAN(k, base=2 * BASE)] for k in range(NUM_UPDATES)
    ]
    assert m.applied["lr"] == rates.used[:-1]
    assert m.applied["weight_decay"] == decays.used[:-1]
    assert m.applied["beta1"] == [[beta(k, base=0.8)] * 2 for k in range(NUM_UPDATES)]
    assert m.differences == []
    assert m.summary() == f"applied == planned ({NUM_UPDATES} updates, {6 * NUM_UPDATES} values)"
    assert compare(scheduler.preview(), m.applied)
    assert m.planned.groups == ("0", "head")
    assert m.text == {"lr": repr(PLAN), "weight_decay": repr(decay), "beta1": repr(beta)}
    last = NUM_UPDATES - 1
    assert m.metrics() == {
        f"{title}/{field}/{group}": plan(last, base=base)
        for title in ("plan", "applied")
        for field, plan, bases in (
            ("lr", PLAN, (BASE, 2 * BASE)),
            ("weight_decay", decay, (0.4, 0.4)),
            ("beta1", beta, (0.8, 0.8)),
        )
        for group, base in zip(("0", "head"), bases, strict=True)
    }


# Mistakes ----------------------------------------------------------------------------------


def once_an_epoch(optimizer: Any, scheduler: Any) -> None:
    for _ in range(2):
        for _ in range(4):
            update(optimizer)
        scheduler.step()


def twice_an_update(optimizer: Any, scheduler: Any) -> None:
    for _ in range(NUM_UPDATES):
        update(optimizer)
        scheduler.step()
        scheduler.step()


def before_the_optimizer(optimizer: Any, scheduler: Any) -> None:
    for _ in range(NUM_UPDATES):
        scheduler.step()
        update(optimizer)


def once_for_each_of_four_processes(optimizer: Any, scheduler: Any) -> None:
    for _ in range(NUM_UPDATES):
        update(optimizer)
        for _ in range(4):
            scheduler.step()


def sometimes_twice(optimizer: Any, scheduler: Any) -> None:
    for index in range(NUM_UPDATES):
        update(optimizer)
        scheduler.step()
        if index == 2:
            scheduler.step()


def by_hand(optimizer: Any, scheduler: Any) -> None:
    for index in range(NUM_UPDATES):
        if index == 5:
            optimizer.param_groups[0]["lr"] = 0.125
        update(optimizer)
        scheduler.step()


def native(optimizer: Any) -> Any:
    return lr_scheduler.LambdaLR(optimizer, lambda k: PLAN(k))


@pytest.mark.parametrize("make", [make_scheduler, native])
@pytest.mark.parametrize(
    ("loop", "positions", "looks_like"),
    [
        (once_an_epoch, [0, 0, 0, 0, 1, 1, 1, 1], r"0 times in 1 update, as if once an epoch"),
        (twice_an_update, [0, 2, 4, 6, 8, 8, 8, 8], r"2 times an update: .*for each process"),
        (before_the_optimizer, [1, 2, 3, 4, 5, 6, 7, 8], r"before the first update"),
        (once_for_each_of_four_processes, [0, 4, *[8] * 6], r"4 times an update: .*each process"),
        (sometimes_twice, [0, 1, 2, 4, 5, 6, 7, 8], r"stepped 4 times in 3 updates, but"),
        (by_hand, [0, 1, 2, 3, 4, None, 6, 7], r"something else writes to the field"),
    ],
)
def test_a_mistake_is_found_at_the_first_difference(
    make: Callable[[Any], Any], loop: Any, positions: list[int | None], looks_like: str
) -> None:
    optimizer = sgd([BASE])
    scheduler = make(optimizer)
    m, warned = watched(optimizer, scheduler, lambda: loop(optimizer, scheduler))
    applied = [0.125 if at is None else RATES[at] for at in positions]
    different = [k for k in range(NUM_UPDATES) if applied[k] != RATES[k]]
    first = different[0]
    (warning,) = [one for one in warned if one.startswith("Monitor")]
    place, what, mistake = warning.split("\n")
    assert place == f"Monitor at update {first}:"
    assert what == (
        f"Parameter group 0: lr={RATES[first]!r} was planned, but the update ran with "
        f"{applied[first]!r}."
    )
    assert re.search(looks_like, mistake)
    assert m.applied == {"lr": [[value] for value in applied]}
    assert [(one.update, one.planned, one.applied) for one in m.differences] == [
        (k, RATES[k], applied[k]) for k in different
    ]
    assert m.summary().startswith(f"applied != planned: first at update {first}, field 'lr'")
    assert m.summary().endswith(mistake)


def test_two_schedulers_on_one_field_are_something_else_that_writes() -> None:
    optimizer = sgd([BASE])
    ours, other = make_scheduler(optimizer), ParamScheduler(optimizer, lr=constant(1))

    def loop() -> None:
        for _ in range(3):
            update(optimizer)
            ours.step()
            other.step()

    m, warned = watched(optimizer, ours, loop)
    assert warned[0].startswith("Monitor at update 0:")
    assert "something else writes" in m.summary()


def test_one_that_is_told_too_little_and_one_that_is_not_told_at_first() -> None:
    def run(offset: int, is_told_at_first: bool) -> tuple[Any, list[str]]:
        optimizer = sgd([BASE])
        scheduler = StatelessParamScheduler(optimizer, lr=PLAN)
        if is_told_at_first:
            scheduler.step_update(0)

        def loop() -> None:
            for index in range(NUM_UPDATES):
                update(optimizer)
                scheduler.step_update(index + offset)

        return watched(optimizer, scheduler, loop)

    m, warned = run(1, True)
    assert ([values[0] for values in m.applied["lr"]], warned) == (RATES[:-1], [])
    for offset, is_told_at_first, first in [(0, True, 1), (1, False, 0)]:
        m, (warning,) = run(offset, is_told_at_first)
        assert m.differences[0].update == first
        assert "after each update and before the first" in warning


# Schedulers and loops of all kinds ---------------------------------------------------------


def test_a_native_scheduler_and_the_fields_that_it_cycles() -> None:
    optimizer = sgd([BASE], momentum=0.9, weight_decay=0.1)
    rates, momenta = Recorder(optimizer), Recorder(optimizer, "momentum")
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, total_steps=6)
    with monitor(optimizer, scheduler) as m:
        train(optimizer, scheduler, 5)
    assert m.applied == {"lr": rates.used, "momentum": momenta.used}
    assert m.summary() == "applied == planned (5 updates, 10 values)"
    assert re.fullmatch(r"OneCycleLR\(.*total_steps=6.*\)", m.text["lr"])


def test_a_native_scheduler_that_counts_its_steps_out_does_not_end_the_run() -> None:
    optimizer = sgd([BASE])
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.4, total_steps=3)

    def loop() -> None:
        for _ in range(3):
            for _ in range(3):
                update(optimizer)
            scheduler.step()

    m, (warning,) = watched(optimizer, scheduler, loop)
    assert "once an epoch" in warning
    assert len(m.applied["lr"]) == 9


def test_several_schedulers_of_one_optimizer() -> None:
    optimizer = sgd([BASE], weight_decay=0.4)
    rates = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    decays = ParamScheduler(optimizer, weight_decay=linear(4, end=0.0))
    with monitor(optimizer, [rates, decays]) as m:
        for _ in range(4):
            update(optimizer)
            rates.step()
            decays.step()
    assert m.applied["lr"] == [[0.1], [0.05], [0.025], [0.0125]]
    assert m.applied["weight_decay"] == [[0.4], [0.30000000000000004], [0.2], [0.1]]
    assert m.summary() == "applied == planned (4 updates, 8 values)"
    assert m.text == {"lr": "ExponentialLR(gamma=0.5)", "weight_decay": "linear(4, end=0.0)"}

    _, (warning,) = watched(optimizer, [rates, decays], lambda: train(optimizer, decays, 2))
    assert "ExponentialLR was stepped 0 times in 1 update" in warning


class Drawn(StatefulSchedulerBase):
    """Draws its values: looking ahead must not change what is drawn."""

    def get_updated_values(self, num_updates: int) -> float:
        return float(torch.rand(()))


def test_what_training_draws_stays_the_same() -> None:
    def run(is_watched: bool) -> list[Any]:
        torch.manual_seed(3)
        optimizer = sgd([BASE])
        scheduler = Drawn(optimizer)
        recorder = Recorder(optimizer)
        if is_watched:  # and warned of: nobody can plan it
            watched(optimizer, scheduler, lambda: train(optimizer, scheduler, 3))
        else:
            train(optimizer, scheduler, 3)
        return recorder.used

    assert run(True) == run(False)


def test_going_on_from_a_state_the_plan_begins_there() -> None:
    optimizer = sgd([BASE])
    train(optimizer, make_scheduler(optimizer), 3)
    state = optimizer.state_dict()
    fresh = sgd([BASE])
    scheduler = make_scheduler(fresh)
    scheduler.step_update(3)
    fresh.load_state_dict(state)
    with monitor(fresh, scheduler) as m:
        train(fresh, scheduler, NUM_UPDATES - 3)
    assert (m.first_update, m.planned.first_update) == (3, 3)
    assert [values[0] for values in m.applied["lr"]] == RATES[3:-1]
    assert m.summary() == "applied == planned (5 updates, 5 values)"


@pytest.mark.parametrize("before", [0, 2])
def test_going_back_to_a_state_within_the_loop_is_called_that(before: int) -> None:
    optimizer = sgd([BASE])
    scheduler = make_scheduler(optimizer)
    train(optimizer, scheduler, before)
    state = scheduler.state_dict()

    def loop() -> None:
        train(optimizer, scheduler, 3)
        scheduler.load_state_dict(state)
        train(optimizer, scheduler, 1)

    m, (warning,) = watched(optimizer, scheduler, loop)
    assert warning.startswith(f"Monitor at update {before + 3}:")
    assert warning.endswith("was restored within the loop: begin to monitor after that.")
    assert len(m.differences) == 1


def test_groups_that_a_plan_leaves_alone_belong_to_others() -> None:
    optimizer = sgd([BASE, 0.4, 0.4], weight_decay=0.1)
    scheduler = ParamScheduler(optimizer, lr={0: PLAN}, weight_decay=linear(8, end=0.0))
    other = ParamScheduler(optimizer, lr={1: linear(4, end=0.0)})

    def loop() -> None:
        for _ in range(3):
            update(optimizer)
            scheduler.step()
            other.step()
            optimizer.param_groups[2]["lr"] += 0.5

    m, warned = watched(optimizer, scheduler, loop)
    assert (m.applied["lr"], warned) == ([[RATES[k], None, None] for k in range(3)], [])
    m, warned = watched(optimizer, [scheduler, other], loop)
    rates = [[RATES[k], linear(4, end=0.0)(k, base=0.4), None] for k in range(3, 6)]
    assert (m.applied["lr"], m.differences, warned) == (rates, [], [])


def test_only_values_are_counted() -> None:
    optimizer = sgd([BASE, BASE])
    optimizer.param_groups[1]["size"] = 8.0
    scheduler = ParamScheduler(optimizer, size={1: linear(4, end=0.0)})
    m, _ = watched(optimizer, scheduler, lambda: train(optimizer, scheduler, 4))
    assert m.summary() == "applied == planned (4 updates, 4 values)"
    scheduler = ParamScheduler(optimizer, lr={0: PLAN})
    m, _ = watched(optimizer, scheduler, lambda: train(optimizer, scheduler, 4))
    assert m.summary() == "applied == planned (4 updates, 4 values)"


def test_a_zero_of_the_other_sign_is_warned_of_too() -> None:
    optimizer = sgd([BASE])
    scheduler = ParamScheduler(optimizer, lr=linear(1, end=0.0))

    def loop() -> None:
        train(optimizer, scheduler, 2)
        optimizer.param_groups[0]["lr"] = -0.0
        update(optimizer)

    m, warned = watched(optimizer, scheduler, loop)
    assert len(m.differences) == len(warned) == 1


def test_several_optimizers_that_make_each_update_together() -> None:
    first, second = sgd([BASE], momentum=0.9), adamw([2 * BASE])
    momentum = linear(4, end=0.5)
    scheduler = ParamScheduler([first, second], lr=PLAN, momentum={"SGD": momentum})

    def loop(steps_between: int) -> None:
        for _ in range(4):
            update(first)
            for _ in range(steps_between):
                scheduler.step()
            update(second)
            scheduler.step()

    m, warned = watched([first, second], scheduler, lambda: loop(0))
    assert m.applied == {
        "lr": [[PLAN(k, base=BASE), PLAN(k, base=2 * BASE)] for k in range(4)],
        "momentum": [[momentum(k, base=0.9), None] for k in range(4)],
    }
    assert (m.differences, warned) == ([], [])
    assert m.metrics()["applied/lr/AdamW/0"] == PLAN(3, base=2 * BASE)

    m, (warning,) = watched(scheduler.optimizer, scheduler, lambda: loop(1))
    assert warning.startswith("Monitor at update 4:\nParameter group 'AdamW/0': lr=")
    assert [one.group for one in m.differences[:1]] == ["AdamW/0"]

    # One that makes no update meanwhile is shown with what it holds.
    m, _ = watched([first, second], scheduler, lambda: train(first, scheduler, 2))
    assert len(m.applied["lr"]) == 2


def test_a_group_that_joins() -> None:
    optimizer = sgd([BASE])
    scheduler = make_scheduler(optimizer)
    with monitor(optimizer, scheduler) as m:
        train(optimizer, scheduler, 2)
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 0.4})
        scheduler.step_update(2)
        train(optimizer, scheduler, 2)
    rows = [[RATES[k], None if k < 2 else PLAN(k, base=0.4)] for k in range(4)]
    assert m.applied["lr"] == rows
    assert (m.differences, bool(m.metrics())) == ([], True)
    assert m.summary() == "applied == planned (4 updates, 6 values)"


@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_a_gradient_scaler_skips_are_none(fused: bool) -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter], lr=BASE, fused=fused)
    scheduler = make_scheduler(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    with monitor(optimizer, scheduler) as m:
        for index in range(NUM_UPDATES + 2):
            factor = math.inf if index in (0, 4) else 1.0
            scaler.scale((parameter * factor).sum()).backward()
            scale = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            if scaler.get_scale() >= scale:
                scheduler.step()
            optimizer.zero_grad()
    assert m.summary() == f"applied == planned ({NUM_UPDATES} updates, {NUM_UPDATES} values)"


def test_a_tensor_holds_the_plan_as_far_as_it_can() -> None:
    optimizer = torch.optim.Adam(
        [torch.nn.Parameter(torch.ones(2))], lr=torch.tensor(BASE), fused=True
    )
    scheduler = make_scheduler(optimizer)
    with monitor(optimizer, scheduler) as m:
        train(optimizer, scheduler, NUM_UPDATES)
    assert m.differences == []
    assert m.applied["lr"] == [[torch.tensor(value).item()] for value in RATES[:-1]]


# What it takes and what it leaves ----------------------------------------------------------


def test_the_hook_goes_when_the_loop_fails_too_and_nothing_stays_behind() -> None:
    optimizer = sgd([BASE])
    scheduler = make_scheduler(optimizer)

    with contextlib.suppress(ZeroDivisionError), monitor(optimizer, scheduler) as m:
        train(optimizer, scheduler, 2)
        raise ZeroDivisionError
    assert hooks_of(optimizer) == 0
    assert m.summary() == "applied == planned (2 updates, 2 values)"
    gone = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer, scheduler, m
        assert gone() is None
    finally:
        gc.enable()


COUNTS = [5, 3, 8, 2]  # items of four batches


def in_items(mistake: str = "") -> tuple[Any, list[str], list[list[float]]]:
    """A loop with a plan in items, beside one in updates; its monitor, warnings and real rates."""
    optimizer = adamw([BASE, 2 * BASE], weight_decay=0.4)
    rates = Recorder(optimizer)
    scheduler = ParamScheduler(optimizer, lr=linear(16, end=0.0), clock="items")
    decays = StatelessParamScheduler(optimizer, weight_decay=linear(4, end=0.0), clock="seconds")
    other = ParamScheduler(optimizer, beta1=linear(4, end=0.5))
    decays.step_update(0)

    def loop() -> None:
        done = 0
        for at, count in enumerate(COUNTS):
            if mistake == "written" and at == 2:
                optimizer.param_groups[1]["lr"] = 0.5
            optimizer.step()
            done += count
            if mistake != "not told" or at != 1:
                scheduler.step(2 if mistake == "of a batch" else done)
            decays.step_update(0.25 * (at + 1))
            other.step()

    m, warned = watched(optimizer, [scheduler, decays, other], loop)
    return m, warned, rates.used


def test_a_plan_in_another_unit_is_compared_where_its_clock_was() -> None:
    m, warned, rates = in_items()
    assert m.summary() == "applied == planned (4 updates, 24 values)"
    assert (m.differences, warned) == ([], [])
    assert m.clocks == {"items": [0, 5, 8, 16], "seconds": [0, 0.25, 0.5, 0.75]}
    assert m.applied["lr"] == rates
    assert rates == [[linear(16, end=0.0)(n, b) for b in (BASE, 2 * BASE)] for n in (0, 5, 8, 16)]


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (
            "of a batch",
            r"at update 2:\nThe clock of ParamScheduler was at 2 items before .* not in",
        ),
        (
            "not told",
            r"at update 2:\nThe clock of ParamScheduler was at 5 items .* and at 5 before",
        ),
        (
            "written",
            r"at update 2:\nParameter group 1.*\nThe schedulers were stepped with each update, so",
        ),
    ],
)
def test_mistakes_with_a_clock_are_found(mistake: str, text: str) -> None:
    m, warned, _ = in_items(mistake)
    (found,) = (one for one in warned if one.startswith("Monitor"))
    assert re.search(text, found)
    assert m.summary().endswith(found.splitlines()[-1])
    assert bool(m.differences) == (mistake == "written")


def test_a_mock_has_optimizers_without_end() -> None:
    with pytest.raises(TypeError, match=r"optimizer=<Mock id=.*> is a Mock, but has to be an opti"):
        Monitor().begin(Mock(), make_scheduler(sgd([BASE])))


def test_what_has_no_plan_says_so() -> None:
    optimizer, other = sgd([BASE]), sgd([BASE])
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau.*there is no plan"):
        monitor(optimizer, lr_scheduler.ReduceLROnPlateau(optimizer)).__enter__()
    with pytest.raises(ValueError, match=r"PlateauLrScheduler follows a metric.*is no plan"):
        monitor(other, PlateauLrScheduler(sgd([BASE]))).__enter__()
    with pytest.raises(ValueError, match="ParamScheduler schedules other parameter groups"):
        monitor(optimizer, make_scheduler(other)).__enter__()
    with pytest.raises(ValueError, match=r"scheduler=\[\] is empty"):
        monitor(optimizer, []).__enter__()
    with pytest.raises(TypeError, match=r"optimizer=3 is an int, but has to be an optimizer of"):
        monitor(3, make_scheduler(optimizer)).__enter__()
    for no_scheduler in (3, PLAN, None):
        with pytest.raises(TypeError, match="but has to be a scheduler of this library or of"):
            monitor(optimizer, no_scheduler).__enter__()
    assert hooks_of(optimizer) == 0


def test_it_is_the_packages_own_and_loads_on_use() -> None:
    assert "monitor" in pytorch_accelerated.__all__
    code = "import sys, pytorch_accelerated; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
