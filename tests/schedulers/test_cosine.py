"""CosineLrScheduler: tables by hand, 50 digits, and what it refuses."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import CosineLrScheduler
from tests.recording import adamw, sgd, used_in

HALF_MINUS = (1 + math.cos(math.pi * 29 / 60)) / 2  # one update before the middle of 60


def approx(value: float) -> Any:
    return pytest.approx(value, rel=1e-12, abs=0.0)


def test_ten_epochs_of_ten_with_warmup_and_cooldown() -> None:
    used = used_in(
        sgd([0.1]),
        lambda o: CosineLrScheduler(
            o, 10, 10, num_warmup_epochs=2, num_cooldown_epochs=2, lr_min=0.001
        ),
        120,
    )
    table = {
        0: 1e-6,
        1: 1e-6 + (0.1 - 1e-6) / 20,
        10: 1e-6 + (0.1 - 1e-6) / 2,
        19: 1e-6 + (0.1 - 1e-6) * 19 / 20,
        21: 0.001 + 0.099 * (1 + math.cos(math.pi / 60)) / 2,
        49: 0.001 + 0.099 * HALF_MINUS,
        50: 0.001 + 0.099 / 2,
        79: 0.001 + 0.099 * (1 + math.cos(math.pi * 59 / 60)) / 2,
    }
    for update, value in table.items():
        assert used[update] == [approx(value)], update
    assert used[20] == [0.1], "the base value itself, exactly"
    assert used[80:] == [[0.001]] * 41, "the minimum itself, from the end of annealing on"
    assert max(max(values) for values in used) == 0.1
    steps = [abs(b[0] - a[0]) for a, b in pairwise(used)]
    assert max(steps) < 0.006, "no jump at either joint"


def test_without_warmup_it_starts_at_the_base_and_ends_at_the_minimum() -> None:
    used = used_in(sgd([0.1]), lambda o: CosineLrScheduler(o, 1, 10, lr_min=0.0), 10)
    assert used[0] == [0.1]
    assert used[5] == [approx(0.05)]
    assert used[9] == [approx(0.1 * (1 - math.cos(math.pi / 10)) / 2)]
    assert used[10] == [0.0]


def test_ratios_are_of_each_groups_own_base_and_win() -> None:
    used = used_in(
        sgd([0.1, 1.0]),
        lambda o: CosineLrScheduler(
            o,
            4,
            5,
            lr_min=0.05,
            min_lr_ratio=0.01,
            num_warmup_epochs=1,
            warmup_starting_lr=0.07,
            warmup_starting_lr_ratio=0.5,
        ),
        20,
    )
    assert used[0] == [0.05, 0.5]
    assert used[4] == [approx(0.09), approx(0.9)]
    assert used[5] == [0.1, 1.0]
    assert used[20] == [0.001, 0.01]
    assert max(values[0] for values in used) == 0.1


def test_k_decay_raises_the_progress_to_a_power() -> None:
    used = used_in(sgd([1.0]), lambda o: CosineLrScheduler(o, 1, 4, k_decay=2.0, lr_min=0.0), 4)
    for update in range(4):
        value = (1 + math.cos(math.pi * (update / 4) ** 2)) / 2
        assert used[update] == [approx(value)]


def test_epochs_may_be_fractions_that_make_whole_updates() -> None:
    used = used_in(
        sgd([0.1]), lambda o: CosineLrScheduler(o, 2.5, 4, num_warmup_epochs=0.5, lr_min=0.0), 10
    )
    assert used[2] == [0.1]
    assert used[9] != [0.0]
    assert used[10] == [0.0]


def test_warmup_and_cooldown_may_fill_the_whole() -> None:
    used = used_in(
        sgd([0.1]),
        lambda o: CosineLrScheduler(o, 2, 3, num_warmup_epochs=1, num_cooldown_epochs=1),
        6,
    )
    assert used[2] == [approx(1e-6 + (0.1 - 1e-6) * 2 / 3)]
    assert used[3:] == [[1e-6]] * 4


def exact(
    k: int, total: int, warmup: int, cooldown: int, power: float, base: float, start: Any, low: Any
) -> mpmath.mpf:
    """The definition, to 50 digits."""
    if k < warmup:
        return start + (mpmath.mpf(base) - start) * k / warmup
    annealing = total - warmup - cooldown
    if k - warmup >= annealing:
        return low
    progress = (mpmath.mpf(k - warmup) / annealing) ** mpmath.mpf(power)
    return low + (mpmath.mpf(base) - low) * (1 + mpmath.cos(mpmath.pi * progress)) / 2


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_it_is_within_1e_12_of_50_digits(data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, 2000), "updates per epoch")
    total = data.draw(st.integers(1, 500), "epochs")
    warmup = data.draw(st.integers(0, total), "warmup")
    cooldown = data.draw(st.integers(0, total - warmup), "cooldown")
    base = data.draw(st.floats(1e-5, 10.0), "base")
    power = data.draw(st.sampled_from([1.0, 1.0, 0.5, 1.5, 2.0, 3.0]), "k_decay")
    low_ratio = data.draw(st.none() | st.floats(0.0, 1.0), "min_lr_ratio")
    low = data.draw(st.sampled_from([0.0, 1e-9, 1e-6]), "lr_min")
    start_ratio = data.draw(st.none() | st.floats(0.0, 1.0), "warmup_starting_lr_ratio")
    edge = data.draw(st.sampled_from([0, warmup * steps, (total - cooldown) * steps]))
    k = max(0, edge + data.draw(st.integers(-3, 3) | st.integers(-steps * total, steps * total)))
    scheduler = CosineLrScheduler(
        adamw([base]),
        total,
        steps,
        k_decay=power,
        lr_min=low,
        min_lr_ratio=low_ratio,
        num_warmup_epochs=warmup,
        warmup_starting_lr_ratio=start_ratio,
        num_cooldown_epochs=cooldown,
    )
    with mpmath.workdps(50):
        expected = exact(
            k,
            total * steps,
            warmup * steps,
            cooldown * steps,
            power,
            base,
            mpmath.mpf(1e-6 if start_ratio is None else mpmath.mpf(start_ratio) * base),
            mpmath.mpf(low if low_ratio is None else mpmath.mpf(low_ratio) * base),
        )
        (value,) = scheduler.get_updated_values(k)
        assume(expected == 0 or expected > 1e-300)
        assert abs(value - expected) <= mpmath.mpf(1e-12) * expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"total_num_epochs": 0}, ["total_num_epochs=0", "above 0"]),
        ({"total_num_epochs": -3}, ["total_num_epochs=-3", "has to be above 0", "above 0"]),
        ({"total_num_epochs": float("nan")}, ["total_num_epochs=nan", "finite"]),
        ({"total_num_epochs": float("inf")}, ["total_num_epochs=inf", "finite"]),
        ({"total_num_epochs": 0.05}, ["total_num_epochs=0.05", "0.5 updates", "whole"]),
        ({"num_update_steps_per_epoch": 0}, ["num_update_steps_per_epoch=0", "at least 1"]),
        ({"num_update_steps_per_epoch": -1}, ["num_update_steps_per_epoch=-1"]),
        ({"num_update_steps_per_epoch": float("nan")}, ["steps_per_epoch=nan", "not finite"]),
        ({"num_update_steps_per_epoch": float("inf")}, ["steps_per_epoch=inf", "not finite"]),
        ({"num_update_steps_per_epoch": -float("inf")}, ["steps_per_epoch=-inf", "not finite"]),
        ({"num_update_steps_per_epoch": 2.5}, ["num_update_steps_per_epoch=2.5", "fractional"]),
        ({"k_decay": 0.0}, ["k_decay=0.0", "above 0"]),
        ({"k_decay": float("nan")}, ["k_decay=nan"]),
        ({"total_num_epochs": 1 / 3}, ["total_num_epochs=0.333", "Fraction(3, 10)"]),
        ({"lr_min": -1e-9}, ["lr_min=-1e-09", "negative"]),
        ({"lr_min": float("inf")}, ["lr_min=inf", "finite"]),
        ({"lr_min": 0.2}, ["lr_min=0.2", "above the base value 0.1", "group 0"]),
        ({"min_lr_ratio": 1.5}, ["min_lr_ratio=1.5", "above 1"]),
        ({"min_lr_ratio": -0.5}, ["min_lr_ratio=-0.5"]),
        ({"num_warmup_epochs": -1}, ["num_warmup_epochs=-1", "0 or more"]),
        ({"num_warmup_epochs": 0.25}, ["num_warmup_epochs=0.25", "2.5 updates"]),
        (
            {"total_num_epochs": Fraction(5, 2), "num_warmup_epochs": 3},
            ["longer than total_num_epochs=5/2,"],
        ),
        ({"num_warmup_epochs": 11}, ["num_warmup_epochs=11", "longer than", "total_num_epochs=10"]),
        (
            {"num_warmup_epochs": 6, "num_cooldown_epochs": 5},
            ["num_warmup_epochs=6", "num_cooldown_epochs=5", "longer than"],
        ),
        ({"warmup_starting_lr": -1.0}, ["warmup_starting_lr=-1.0"]),
        (
            {"warmup_starting_lr": 0.3, "num_warmup_epochs": 1},
            ["warmup_starting_lr=0.3", "above the base value 0.1"],
        ),
        ({"warmup_starting_lr_ratio": 2.0}, ["warmup_starting_lr_ratio=2.0"]),
        ({"num_cooldown_epochs": float("nan")}, ["num_cooldown_epochs=nan"]),
    ],
)
def test_nonsense_is_a_value_error_that_says_what_is_allowed(
    arguments: dict[str, Any], words: list[str]
) -> None:
    optimizer = sgd([0.1, 0.3])
    before = optimizer.state_dict()
    usual: dict[str, Any] = {"total_num_epochs": 10, "num_update_steps_per_epoch": 10}
    with pytest.raises(ValueError) as caught:  # noqa: PT011  all words are looked for below
        CosineLrScheduler(optimizer, **usual | arguments)
    for word in words:
        assert word in str(caught.value)
    assert optimizer.state_dict() == before


@pytest.mark.parametrize("value", ["10", None, True, [10]])
def test_something_that_is_no_number_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="total_num_epochs"):
        CosineLrScheduler(sgd(), value, 10)


def test_a_start_above_the_base_does_not_matter_without_warmup() -> None:
    CosineLrScheduler(sgd([1e-7]), 2, 2, lr_min=0.0, warmup_starting_lr=1e-6)


def test_its_attributes_tell_the_plan() -> None:
    scheduler = CosineLrScheduler(
        sgd([0.1]), 10, 10, num_warmup_epochs=2, num_cooldown_epochs=1, min_lr_ratio=0.1
    )
    assert scheduler.total_iterations == 100
    assert scheduler.warmup_iterations == 20
    assert scheduler.num_cooldown_iterations == 10
    assert (scheduler.lr_min, scheduler.lr_min_ratio) == (1e-6, 0.1)
    assert (scheduler.warmup_lr_init, scheduler.warmup_lr_ratio) == (1e-6, None)
    assert scheduler.k_decay == 1.0


def test_the_factory_waits_for_the_optimizer_and_the_runs_lengths() -> None:
    make = CosineLrScheduler.create_scheduler_fn(
        total_num_epochs=4, num_update_steps_per_epoch=5, num_warmup_epochs=1, lr_min=0.01
    )
    used = used_in(sgd([0.1]), make, 20)
    assert used[5] == [0.1]
    assert used[20] == [0.01]
