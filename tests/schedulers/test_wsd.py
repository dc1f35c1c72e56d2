"""WSDLrScheduler: tables by hand, 50 digits, checkpoints, continuation, and what it refuses."""

from __future__ import annotations

import copy
import gc
import json
import math
import weakref
from fractions import Fraction
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import mpmath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.placeholders import (
    TrainerPlaceholderValues,
    replace_trainer_placeholder_values,
)
from pytorch_accelerated.schedulers import CosineLrScheduler, SchedulerWarning, WSDLrScheduler
from pytorch_accelerated.schedulers.wsd_scheduler import estimate_checkpoint_steps
from tests.recording import Recorder, held, set_attributes, sgd, train, used_in


def approx(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=0.0)


def wsd(bases: tuple[float, ...] = (0.1,), **arguments: Any) -> WSDLrScheduler:
    return WSDLrScheduler(sgd(bases), **arguments)


# Values ------------------------------------------------------------------------------------


def test_one_period_of_a_hundred_updates_with_a_warmup_of_ten() -> None:
    used = used_in(
        sgd([0.1, 2.0]),
        lambda o: WSDLrScheduler(
            o, total_steps=100, num_warmup_steps=10, lr_min=0.01, decay_phase_ratio=0.25
        ),
        110,
    )
    assert used[0] == [1e-6, 1e-6]
    assert used[1] == [approx(1e-6 + (0.1 - 1e-6) / 10), approx(1e-6 + (2.0 - 1e-6) / 10)]
    assert used[9] == [approx(1e-6 + (0.1 - 1e-6) * 9 / 10), approx(1e-6 + (2.0 - 1e-6) * 0.9)]
    assert used[10:76] == [[0.1, 2.0]] * 66, "the base itself, exactly"
    for update, progress in ((76, 0.04), (84, 0.36), (99, 0.96)):
        factor = 0.01 + 0.99 * (1 - math.sqrt(progress))
        assert used[update] == [approx(0.1 * factor), approx(2.0 * factor)], update
    assert used[100:] == [[0.01 * 0.1, 0.01 * 2.0]] * 11, "the minimum itself, from the total on"


def test_the_inverse_proportional_decay() -> None:
    used = used_in(
        sgd([0.1]),
        lambda o: WSDLrScheduler(
            o, total_steps=20, decay_phase_ratio=0.2, lr_min=0.25, use_inverse_sqrt_decay=False
        ),
        20,
    )
    assert used[:17] == [[0.1]] * 17
    assert used[17:] == [[approx(0.1 / 1.75)], [approx(0.1 / 2.5)], [approx(0.1 / 3.25)], [0.025]]


def test_after_a_checkpoint_the_next_period_starts_at_the_base_again() -> None:
    used = used_in(
        sgd([1.0]), lambda o: WSDLrScheduler(o, total_steps=80, num_checkpoints=3, lr_min=0.0), 80
    )
    table = {
        **dict.fromkeys((0, 17, 18), 1.0),  # period 0 … 20, of which 2 decay
        19: 1 - math.sqrt(1 / 2),
        **dict.fromkeys((20, 21, 37, 38), 1.0),  # period 20 … 40
        39: 1 - math.sqrt(1 / 2),
        **dict.fromkeys((40, 41, 75, 76), 1.0),  # period 40 … 80, of which 4 decay
        77: 0.5,
        78: 1 - math.sqrt(2 / 4),
        79: 1 - math.sqrt(3 / 4),
        80: 0.0,
    }
    for update, value in table.items():
        assert used[update] == [approx(value)], update


def test_without_a_decay_the_base_is_kept_for_ever() -> None:
    for arguments in ({"decay_phase_ratio": 0.0}, {"decay_phase_ratio": 0.1}):
        used = used_in(sgd([0.1]), partial(WSDLrScheduler, total_steps=9, **arguments), 12)
        assert used == [[0.1]] * 13


def test_a_decay_over_the_whole_begins_at_the_base_when_warmup_is_over() -> None:
    used = used_in(
        sgd([1.0]),
        lambda o: WSDLrScheduler(
            o, total_steps=8, num_warmup_steps=4, decay_phase_ratio=1.0, lr_min=0.0
        ),
        8,
    )
    assert used[4:] == [
        [1.0],
        [0.5],
        [approx(1 - math.sqrt(0.5))],
        [approx(1 - math.sqrt(0.75))],
        [0.0],
    ]


def test_with_a_minimum_of_zero_the_inverse_decay_is_its_own_limit() -> None:
    used = used_in(
        sgd([0.1]),
        lambda o: WSDLrScheduler(
            o, total_steps=10, decay_phase_ratio=0.3, lr_min=0.0, use_inverse_sqrt_decay=False
        ),
        11,
    )
    assert used == [[0.1]] * 8 + [[0.0]] * 4


def test_a_ratio_is_the_decimal_that_was_written() -> None:
    assert int(100 * 0.29) == 28
    assert wsd(total_steps=100, decay_phase_ratio=0.29).get_decay_info()[0]["decay_steps"] == 29


@pytest.mark.parametrize(
    ("ratio", "total", "decay"),
    [
        (1 / 3, 2, 0),
        (1 / 3, 3, 1),
        (1 / 3, 4, 1),
        (1 / 3, 29, 9),
        (1 / 3, 30, 10),
        (1 / 3, 300, 100),
        (1 / 3, 3_000, 1_000),
        (2 / 3, 3, 2),
        (1 - 1 / 3, 3, 2),
        (2 / 3, 300, 200),
        (5 / 6, 300, 250),
        (1 / 7, 700, 100),
        (0.333, 3_000, 999),
        (0.3333333, 3_000, 999),
    ],
)
def test_a_ratio_is_the_fraction_that_was_written(ratio: float, total: int, decay: int) -> None:
    (period,) = wsd(total_steps=total, decay_phase_ratio=ratio).get_decay_info()
    assert period["decay_steps"] == decay
    assert period["pre_decay_step"] == total - decay


@pytest.mark.parametrize("ratio", [1 / 3, 1 - 2 / 3])
def test_a_third_of_each_period_decays(ratio: float) -> None:
    scheduler = wsd(total_steps=600, num_checkpoints=2, decay_phase_ratio=ratio)
    assert [period["pre_decay_step"] for period in scheduler.get_decay_info()] == [200, 500]


def written(ratio: float) -> Fraction:
    """The decimal, or the simple fraction that it misses by no more than rounding."""
    simple = Fraction(ratio).limit_denominator(1000)
    return simple if simple and abs(ratio - simple) <= 1e-15 else Fraction(repr(ratio))


def exact(k: int, total: int, warmup: int, ratio: float, low: float, sqrt: bool, n: int) -> Any:
    """The definition for a base of 1, to 50 digits."""
    if k < warmup:
        start = mpmath.mpf(1e-6)
        return start + (1 - start) * k / warmup
    start = 0
    for halving in reversed(range(n)):
        end = total >> halving
        if end == 0:
            continue
        pre = max(end - int(written(ratio) * (end - start)), warmup)
        m = mpmath.mpf(low)
        if k < end or (end == total and pre < end):
            t = min(mpmath.mpf(1), mpmath.mpf(max(k - pre, 0)) / (end - pre)) if pre < end else 0
            if sqrt:
                return m + (1 - m) * (1 - mpmath.sqrt(t))
            if t == 0:
                return mpmath.mpf(1)
            return 1 / (t / m + 1 - t) if m else mpmath.mpf(0)
        start = end
    return mpmath.mpf(1)


@settings(max_examples=300, deadline=None)
@given(
    total=st.integers(1, 5) | st.integers(1, 10**6),
    ratio=st.sampled_from([0.0, 1.0, 1 - 1e-16, 0.1, 0.25, 1 / 3, 2 / 3]) | st.floats(0.0, 1.0),
    low=st.sampled_from([0.0, 1.0, 1e-6]) | st.floats(1e-9, 1.0),
    sqrt=st.booleans(),
    n=st.integers(1, 6),
    data=st.data(),
)
def test_every_value_is_within_1e_12_of_50_digits(
    total: int, ratio: float, low: float, sqrt: bool, n: int, data: st.DataObject
) -> None:
    if n > 1:
        ratio /= 3
    first = estimate_checkpoint_steps(total, n)[0]
    warmup = data.draw(st.integers(0, first), "warmup")
    scheduler = wsd(
        (1.0,),
        total_steps=total,
        num_warmup_steps=warmup,
        decay_phase_ratio=ratio,
        lr_min=low,
        use_inverse_sqrt_decay=sqrt,
        num_checkpoints=n,
    )
    edges = {0, warmup, *scheduler.get_checkpoint_steps()}
    edges |= {period["pre_decay_step"] for period in scheduler.get_decay_info()}
    edge = data.draw(st.sampled_from(sorted(edges)), "edge")
    k = max(0, edge + data.draw(st.integers(-2, 2) | st.integers(-total, total), "from it"))
    (value,) = scheduler.get_updated_values(k)
    with mpmath.workdps(50):
        expected = exact(k, total, warmup, ratio, low, sqrt, n)
        assert abs(value - expected) <= mpmath.mpf(1e-12) * expected


# Lengths and checkpoints -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total", "count", "steps"),
    [
        (100_000, 1, [100_000]),
        (100_000, 2, [50_000, 100_000]),
        (200_000, 4, [25_000, 50_000, 100_000, 200_000]),
        (103, 3, [25, 51, 103]),
        (3, 2, [1, 3]),
        (3, 3, [1, 3]),
        (1, 4, [1]),
        (7, 10**9, [1, 3, 7]),
    ],
)
def test_checkpoints_double_and_the_last_is_the_total(
    total: int, count: int, steps: list[int]
) -> None:
    assert estimate_checkpoint_steps(total, count) == steps
    assert wsd(total_steps=total, num_checkpoints=count).get_checkpoint_steps() == steps


def test_three_checkpoints_are_estimated_by_default() -> None:
    assert estimate_checkpoint_steps(400) == [100, 200, 400]


@given(total=st.integers(1, 10**7), count=st.integers(1, 40))
@example(total=1, count=1)
def test_checkpoints_rise_and_double_up_to_rounding(total: int, count: int) -> None:
    steps = estimate_checkpoint_steps(total, count)
    assert steps[-1] == total
    assert len(steps) == min(count, total.bit_length())
    assert all(later - 2 * step in (0, 1) for step, later in pairwise(steps))


@pytest.mark.parametrize(("total", "count"), [(0, 1), (-4, 2), (10, 0), (10, -1), (2.5, 1)])
def test_there_is_no_checkpoint_without_updates(total: Any, count: int) -> None:
    with pytest.raises(ValueError, match=r"total_steps|num_checkpoints"):
        estimate_checkpoint_steps(total, count)


def test_the_total_comes_from_updates_or_from_epochs() -> None:
    assert wsd(total_steps=30).total_steps == 30
    assert wsd(num_epochs=3, num_update_steps_per_epoch=10).total_steps == 30
    assert wsd(num_epochs=2.5, num_update_steps_per_epoch=10).total_steps == 25
    assert WSDLrScheduler(sgd(), 3, 10).total_steps == 30


@pytest.mark.parametrize(
    ("total", "warmup"), [(1, 0), (99, 0), (100, 1), (199, 1), (200, 2), (100_000, 1000)]
)
def test_none_warms_up_over_one_percent(total: int, warmup: int) -> None:
    assert wsd(total_steps=total, num_warmup_steps=None).num_warmup_steps == warmup


def test_there_is_no_warmup_by_default() -> None:
    scheduler = wsd(total_steps=1000)
    assert scheduler.num_warmup_steps == 0
    assert held(scheduler.optimizer) == [0.1]


# Questions ---------------------------------------------------------------------------------


def test_it_tells_its_periods() -> None:
    scheduler = wsd(total_steps=200, num_checkpoints=2, num_warmup_steps=10)
    first = {"period_start": 0, "period_end": 100, "decay_steps": 10, "pre_decay_step": 90}
    second = {"period_start": 100, "period_end": 200, "decay_steps": 10, "pre_decay_step": 190}
    assert scheduler.get_decay_info() == [first, second]
    for num_updates, period in ((0, first), (99, first), (100, first), (101, second)):
        assert scheduler.get_phase_info(num_updates) == period
    assert scheduler.get_phase_info(200) == scheduler.get_phase_info(10**9) == second
    with pytest.raises(ValueError, match="num_updates=-1"):
        scheduler.get_phase_info(-1)


def test_the_current_step_counts_completed_updates() -> None:
    scheduler = wsd(total_steps=8, num_checkpoints=2)
    for count in range(10):
        assert scheduler.get_current_step() == count
        assert scheduler.get_current_phase_info() == scheduler.get_phase_info(count)
        train(scheduler.optimizer, scheduler, 1)


def test_the_pre_decay_step_is_the_last_moment_at_the_base() -> None:
    scheduler = wsd(total_steps=100, num_checkpoints=2, decay_phase_ratio=0.2)
    for period in scheduler.get_decay_info():
        pre = period["pre_decay_step"]
        assert scheduler.get_updated_values(pre) == [0.1]
        assert scheduler.get_updated_values(pre + 1)[0] < 0.1


def test_answers_are_copies_and_questions_change_nothing() -> None:
    scheduler = wsd(total_steps=100, num_checkpoints=2)
    state = scheduler.state_dict()
    for answer in (
        scheduler.get_checkpoint_steps(),
        scheduler.get_decay_info(),
        scheduler.get_updated_values(3),
    ):
        answer.clear()
    for info in (
        scheduler.get_phase_info(3),
        scheduler.get_current_phase_info(),
        *scheduler.get_decay_info(),
    ):
        info.clear()
    fresh = wsd(total_steps=100, num_checkpoints=2)
    for k in (99, 3, 100, 0, 49, 50):
        assert scheduler.get_updated_values(k) == fresh.get_updated_values(k)
    assert scheduler.get_decay_info() == fresh.get_decay_info()
    assert scheduler.get_checkpoint_steps() == [50, 100]
    assert scheduler.state_dict() == state


def test_having_been_asked_does_not_keep_it_alive() -> None:
    gc.disable()
    try:
        scheduler = wsd(total_steps=100, num_checkpoints=2)
        scheduler.get_phase_info(3)
        scheduler.get_updated_values(3)
        references = weakref.ref(scheduler), weakref.ref(scheduler.optimizer)
        del scheduler
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


# State -------------------------------------------------------------------------------------


def saved_at(position: int, **arguments: Any) -> tuple[Any, Any]:
    scheduler = wsd(**arguments)
    train(scheduler.optimizer, scheduler, position)
    optimizer_state = copy.deepcopy(scheduler.optimizer.state_dict())
    return optimizer_state, json.loads(json.dumps(scheduler.state_dict()))


def test_the_count_is_in_the_state_and_the_plan_is_not() -> None:
    _, state = saved_at(7, total_steps=100, num_warmup_steps=10)
    assert state["num_updates"] == 7
    assert state["attributes"] == [["_continuation", None]]


def test_the_constructor_decides_on_everything_but_the_position() -> None:
    _, state = saved_at(59, total_steps=60, num_warmup_steps=10, decay_phase_ratio=0.1)
    longer = wsd(
        total_steps=600,
        num_warmup_steps=20,
        decay_phase_ratio=0.3,
        lr_min=0.5,
        use_inverse_sqrt_decay=False,
        num_checkpoints=2,
        warmup_starting_lr=0.01,
    )
    plan = {name: value for name, value in vars(longer).items() if name[0] != "_"}
    with pytest.warns(SchedulerWarning, match=r"lr=0.1 is due by the schedule given now"):
        longer.load_state_dict(state)
    assert {name: vars(longer)[name] for name in plan} == plan
    assert longer.get_current_step() == 59
    assert longer.get_checkpoint_steps() == [300, 600]
    assert held(longer.optimizer) == [0.1]


def test_another_recipes_position_can_be_gone_on_from() -> None:
    optimizer = sgd([0.1])
    cosine = CosineLrScheduler(optimizer, 5, 10)
    train(optimizer, cosine, 25)
    scheduler = wsd(total_steps=100, is_continuation_from_checkpoint=True)
    with pytest.warns(SchedulerWarning, match="due by the schedule given now"):
        scheduler.load_state_dict(cosine.state_dict())
    assert scheduler.get_current_step() == 25
    assert held(scheduler.optimizer) == [0.1]


# Continuation ------------------------------------------------------------------------------


def test_a_continuation_has_no_warmup() -> None:
    make = partial(
        WSDLrScheduler, total_steps=10, num_warmup_steps=5, is_continuation_from_checkpoint=True
    )
    assert make(sgd()).num_warmup_steps == 0
    assert used_in(sgd([0.1]), make, 3) == [[0.1]] * 4


@pytest.mark.parametrize("order", ["optimizer first", "scheduler first"])
def test_the_main_branch_goes_on_from_a_pre_decay_checkpoint_to_a_longer_total(
    order: str,
) -> None:
    states = saved_at(90, total_steps=100, num_warmup_steps=10)
    optimizer = sgd([0.1])
    scheduler = WSDLrScheduler(optimizer, total_steps=200, is_continuation_from_checkpoint=True)
    pairs = list(zip((optimizer, scheduler), states, strict=True))
    for target, state in pairs if order == "optimizer first" else reversed(pairs):
        target.load_state_dict(state)
    recorder = Recorder(optimizer)
    assert scheduler.get_current_step() == 90
    train(optimizer, scheduler, 110)
    decay = [[approx(0.1 * (1e-6 + (1 - 1e-6) * (1 - math.sqrt(t / 20))))] for t in range(20)]
    assert recorder.used == [[0.1]] * 90 + decay
    assert held(optimizer) == [0.1 * 1e-6]


def test_no_decay_begins_before_the_position_that_a_run_is_continued_from() -> None:
    _, state = saved_at(95, total_steps=100, num_checkpoints=2)
    plan = {"total_steps": 200, "num_checkpoints": 2, "lr_min": 0.0}
    scheduler = wsd(**plan, is_continuation_from_checkpoint=True)
    assert scheduler.get_decay_info()[0]["pre_decay_step"] == 90
    scheduler.load_state_dict(state)
    assert scheduler.get_decay_info() == [
        {"period_start": 0, "period_end": 100, "decay_steps": 5, "pre_decay_step": 95},
        {"period_start": 100, "period_end": 200, "decay_steps": 10, "pre_decay_step": 190},
    ]
    assert held(scheduler.optimizer) == [0.1]
    assert scheduler.get_updated_values(96) == [approx(0.1 * (1 - math.sqrt(1 / 5)))]
    assert scheduler.get_updated_values(100) == [0.1]

    not_continued = wsd(**plan)
    with pytest.warns(SchedulerWarning, match="due by the schedule given now"):
        not_continued.load_state_dict(state)
    assert held(not_continued.optimizer) == [approx(0.1 * (1 - math.sqrt(5 / 10)))]


@pytest.mark.parametrize("position", [95, 96, 98, 99, 100, 101, 190, 195, 200])
def test_a_continued_run_resumes_exactly_where_it_was(position: int) -> None:
    _, state = saved_at(95, total_steps=100, num_checkpoints=2)
    arguments: dict[str, Any] = {
        "total_steps": 200,
        "num_checkpoints": 2,
        "is_continuation_from_checkpoint": True,
    }
    scheduler = wsd(**arguments)
    scheduler.load_state_dict(state)
    recorder = Recorder(scheduler.optimizer)
    train(scheduler.optimizer, scheduler, position - 95)
    middle = json.loads(json.dumps(scheduler.state_dict()))
    train(scheduler.optimizer, scheduler, 205 - position)

    resumed = wsd(**arguments)
    resumed.load_state_dict(middle)
    assert resumed.get_decay_info() == scheduler.get_decay_info()
    again = Recorder(resumed.optimizer)
    train(resumed.optimizer, resumed, 205 - position)
    assert again.used == recorder.used[position - 95 :]


def test_a_continued_run_can_be_continued_again() -> None:
    first = wsd(total_steps=200, is_continuation_from_checkpoint=True)
    first.load_state_dict(saved_at(95, total_steps=105, decay_phase_ratio=0.0)[1])
    train(first.optimizer, first, 100)
    second = wsd(total_steps=210, decay_phase_ratio=0.5, is_continuation_from_checkpoint=True)
    with pytest.warns(SchedulerWarning, match=r"lr=0.1 is due"):
        second.load_state_dict(first.state_dict())
    assert second.get_current_phase_info()["pre_decay_step"] == 195
    assert held(second.optimizer) == [0.1]


def test_after_a_checkpoint_a_continuation_starts_the_next_period() -> None:
    _, state = saved_at(100, total_steps=100, num_checkpoints=2)
    scheduler = wsd(total_steps=200, num_checkpoints=3, is_continuation_from_checkpoint=True)
    with pytest.warns(SchedulerWarning, match=r"lr=0.1 is due .* the checkpoint held 1e-07"):
        scheduler.load_state_dict(state)
    assert held(scheduler.optimizer) == [0.1]
    assert scheduler.get_decay_info() == wsd(total_steps=200, num_checkpoints=3).get_decay_info()


def test_a_damaged_continuation_changes_nothing() -> None:
    scheduler = wsd(total_steps=200, is_continuation_from_checkpoint=True)
    train(scheduler.optimizer, scheduler, 3)
    state = scheduler.state_dict()
    damaged = copy.deepcopy(state)
    damaged["num_updates"] = 7
    set_attributes(damaged, _continuation=["__dict__", ["start", -5], ["total_steps", 200]])
    with pytest.raises(ValueError, match="_continuation start"):
        scheduler.load_state_dict(damaged)
    assert scheduler.state_dict() == state


def test_a_restore_that_fails_leaves_the_plan_as_it_was() -> None:
    _, state = saved_at(95, total_steps=100, num_checkpoints=2)
    state["values"] = [["lr", [0.05]]]
    scheduler = wsd(total_steps=200, num_checkpoints=2, is_continuation_from_checkpoint=True)
    planned = scheduler.get_decay_info(), scheduler.get_updated_values(95)
    with pytest.raises(SchedulerWarning, match=r"the checkpoint held 0\.05"):
        scheduler.load_state_dict(state)  # warnings are errors here
    assert (scheduler.get_decay_info(), scheduler.get_updated_values(95)) == planned
    assert (scheduler.get_current_step(), held(scheduler.optimizer)) == (0, [0.1])


# The factory -------------------------------------------------------------------------------

RUN = SimpleNamespace(
    run_config=SimpleNamespace(
        num_epochs=5,
        num_update_steps_per_epoch=20,
        num_local_update_steps_per_epoch=20,
        max_num_train_steps=100,
    )
)


def made_for_the_run(**arguments: Any) -> WSDLrScheduler:
    factory = WSDLrScheduler.create_scheduler_fn(**arguments)
    scheduler = replace_trainer_placeholder_values(RUN, factory)(sgd([0.1]))
    assert isinstance(scheduler, WSDLrScheduler)
    return scheduler


def test_the_factory_fills_in_the_runs_lengths_and_warms_up_over_one_percent() -> None:
    scheduler = made_for_the_run()
    assert (scheduler.total_steps, scheduler.num_warmup_steps) == (100, 1)
    assert made_for_the_run(num_warmup_epochs=0).num_warmup_steps == 0
    assert made_for_the_run(num_warmup_epochs=0.25).num_warmup_steps == 5
    tenth = TrainerPlaceholderValues.NUM_EPOCHS / 10
    assert made_for_the_run(num_warmup_epochs=tenth).num_warmup_steps == 10


def test_the_factory_hands_on_every_argument() -> None:
    arguments: dict[str, Any] = {
        "decay_phase_ratio": 0.2,
        "lr_min": 0.3,
        "warmup_starting_lr": 0.01,
        "use_inverse_sqrt_decay": False,
        "num_checkpoints": 2,
        "is_continuation_from_checkpoint": True,
    }
    scheduler = made_for_the_run(**arguments)
    for name, value in arguments.items():
        assert getattr(scheduler, name) == value, name


def test_the_factory_uses_its_own_updates_per_epoch_outside_the_trainer() -> None:
    make = WSDLrScheduler.create_scheduler_fn(
        total_num_epochs=4, num_update_steps_per_epoch=10, num_warmup_epochs=1
    )
    used = used_in(sgd([0.1]), make, 40)
    assert used[0] == [1e-6]
    assert used[9] != [0.1]
    assert used[10] == [0.1]
    assert used[40] == [1e-7]


# Errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["total_steps=None", "either total_steps"]),
        ({"num_epochs": 3}, ["num_epochs=3", "num_update_steps_per_epoch=None"]),
        ({"num_update_steps_per_epoch": 3}, ["num_epochs=None"]),
        ({"num_epochs": 3, "total_steps": 9}, ["num_epochs=3", "total_steps=9"]),
        (
            {"num_epochs": 3, "num_update_steps_per_epoch": 3, "total_steps": 9},
            ["write either total_steps, or both"],
        ),
        ({"num_epochs": 0, "num_update_steps_per_epoch": 3}, ["num_epochs=0", "above 0"]),
        ({"num_epochs": -1, "num_update_steps_per_epoch": 3}, ["num_epochs=-1", "above 0"]),
        ({"num_epochs": 0.5, "num_update_steps_per_epoch": 3}, ["num_epochs=0.5", "1.5 updates"]),
        ({"num_epochs": 3, "num_update_steps_per_epoch": 0}, ["num_update_steps_per_epoch=0"]),
        ({"total_steps": 0}, ["total_steps=0", "at least 1"]),
        ({"total_steps": -5}, ["total_steps=-5"]),
        ({"total_steps": math.nan}, ["total_steps=nan", "finite", "whole number"]),
        ({"total_steps": -math.inf}, ["total_steps=-inf", "finite"]),
        ({"total_steps": 9.5}, ["total_steps=9.5", "fractional"]),
        ({"total_steps": 9, "num_warmup_steps": -1}, ["num_warmup_steps=-1"]),
        ({"total_steps": 9, "num_warmup_steps": 10}, ["num_warmup_steps=10", "ends at update 9"]),
        (
            {"total_steps": 100, "num_warmup_steps": 51, "num_checkpoints": 2},
            ["num_warmup_steps=51", "ends at update 50 of 100"],
        ),
        ({"total_steps": 9, "decay_phase_ratio": -0.1}, ["decay_phase_ratio=-0.1", "negative"]),
        ({"total_steps": 9, "decay_phase_ratio": 1.1}, ["decay_phase_ratio=1.1", "above 1"]),
        ({"total_steps": 9, "decay_phase_ratio": math.nan}, ["decay_phase_ratio=nan", "finite"]),
        (
            {"total_steps": 9, "decay_phase_ratio": 0.34, "num_checkpoints": 2},
            ["decay_phase_ratio=0.34", "num_checkpoints=2", "at most 1/3"],
        ),
        ({"total_steps": 9, "lr_min": -1e-9}, ["lr_min=-1e-09", "negative"]),
        ({"total_steps": 9, "lr_min": 1.5}, ["lr_min=1.5", "above 1"]),
        ({"total_steps": 9, "lr_min": math.inf}, ["lr_min=inf"]),
        ({"total_steps": 9, "num_checkpoints": 0}, ["num_checkpoints=0", "at least 1"]),
        ({"total_steps": 9, "num_checkpoints": 1.5}, ["num_checkpoints=1.5", "fractional"]),
        ({"total_steps": 9, "warmup_starting_lr": -1.0}, ["warmup_starting_lr=-1.0"]),
        (
            {"total_steps": 9, "warmup_starting_lr": 0.5, "num_warmup_steps": 1},
            ["warmup_starting_lr=0.5", "every parameter group", "0.3"],
        ),
    ],
)
def test_nonsense_is_a_value_error_that_says_what_is_allowed(
    arguments: dict[str, Any], words: list[str]
) -> None:
    optimizer = sgd([0.1, 0.3])
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError) as caught:  # noqa: PT011  all words are looked for below
        WSDLrScheduler(optimizer, **arguments)
    for word in words:
        assert word in str(caught.value)
    assert optimizer.state_dict() == before


@pytest.mark.parametrize("name", ["total_steps", "decay_phase_ratio", "lr_min", "num_checkpoints"])
@pytest.mark.parametrize("value", ["10", [10], True])
def test_something_that_is_no_number_is_a_type_error(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=name):
        wsd(**{"total_steps": 9} | {name: value})


@pytest.mark.parametrize("name", ["use_inverse_sqrt_decay", "is_continuation_from_checkpoint"])
def test_a_flag_is_true_or_false(name: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}='false' has to be True or False"):
        wsd(total_steps=9, **{name: "false"})


def test_a_start_above_the_base_does_not_matter_without_warmup() -> None:
    wsd((1e-7,), total_steps=10)
    wsd((1e-7,), total_steps=10, num_warmup_steps=5, is_continuation_from_checkpoint=True)


def test_a_start_may_be_above_the_base_of_some_groups() -> None:
    scheduler = wsd((1e-7, 0.1), total_steps=10, num_warmup_steps=2)
    assert scheduler.get_updated_values(0) == [1e-6, 1e-6]
    assert scheduler.get_updated_values(2) == [1e-7, 0.1]
