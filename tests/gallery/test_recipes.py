"""Failures known from timm, DeepSpeed and earlier recipes, by the ids of the table."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytorch_accelerated import TrainerPlaceholderValues
from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    StatefulSchedulerBase,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    from_function,
    linear,
    milestones,
)
from pytorch_accelerated.trainer import replace_trainer_placeholder_values
from tests.gallery.test_pytorch import COMPOSITIONS, through_json, used
from tests.recording import Recorder, adamw, held, sgd, train


def test_f23_the_cosine_starts_where_the_warmup_ends() -> None:
    optimizer = sgd([1.0])
    values = used(optimizer, CosineLrScheduler(optimizer, 20, 1, num_warmup_epochs=5), 20)
    assert max(values) == values[5] == 1.0
    assert values[:6] == sorted(values[:6])
    assert values[5:] == sorted(values[5:], reverse=True)


def test_f24_a_milestone_is_the_first_update_with_the_new_value() -> None:
    optimizer = sgd([1.0])
    values = used(optimizer, ParamScheduler(optimizer, lr=milestones({3: 0.1})), 4)
    assert values == [1.0, 1.0, 1.0, 0.1, 0.1]


def test_f39_one_update_at_most_uses_the_start_and_the_base_is_reached() -> None:
    optimizer = sgd([0.1])
    scheduler = CosineLrScheduler(optimizer, 10, 2, num_warmup_epochs=2, warmup_starting_lr=0.0)
    values = used(optimizer, scheduler, 20)
    assert values.count(0.0) == 1
    assert max(values) == 0.1


def test_f40_a_plan_is_checked_against_what_the_field_may_be() -> None:
    optimizer = adamw([0.1], betas=(0.9, 0.95))
    for plan in (constant(1, value=absolute(1.9)), linear(4, end=2.0), linear(4, end=-0.1)):
        with pytest.raises(ValueError, match=r"beta1: .* at least 0 and below 1"):
            ParamScheduler(optimizer, beta1=plan)
    assert held(optimizer, "betas") == [(0.9, 0.95)]
    assert "initial_betas" not in optimizer.param_groups[0]
    train(optimizer, ParamScheduler(optimizer, beta1=linear(4, end=0.5)), 4)
    assert held(optimizer, "betas") == [(0.45, 0.95)]


def test_f42_the_first_update_asks_for_the_first_value() -> None:
    asked: list[int] = []

    def function(num_updates: int) -> float:
        asked.append(num_updates)
        return 1.0

    optimizer = sgd([0.1])
    train(optimizer, ParamScheduler(optimizer, lr=from_function(function)), 3)
    assert sorted(set(asked)) == [0, 1, 2, 3]


def test_f43_a_scheduler_of_ones_own_needs_one_method() -> None:
    class Own(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> Any:
            return 0.5**num_updates

    optimizer = sgd([0.1])
    assert used(optimizer, Own(optimizer), 3) == [1.0, 0.5, 0.25, 0.125]


def test_f44_the_cooldown_starts_when_it_is_due() -> None:
    optimizer = sgd([0.1])
    scheduler = CosineLrScheduler(
        optimizer, 10, 10, lr_min=0.001, num_warmup_epochs=2, num_cooldown_epochs=2
    )
    values = used(optimizer, scheduler, 100)
    assert values[80] == 0.001 < values[79]
    assert set(values[80:]) == {0.001}
    assert max(before - after for before, after in pairwise(values)) < 0.003


def test_f45_a_warmup_ratio_is_of_the_base() -> None:
    optimizer = sgd([0.1])
    scheduler = CosineLrScheduler(
        optimizer, 10, 2, num_warmup_epochs=2, warmup_starting_lr_ratio=0.5
    )
    values = used(optimizer, scheduler, 20)
    assert values[0] == 0.05
    assert max(values) == 0.1


def test_f46_no_value_is_used_twice_and_the_floor_is_left() -> None:
    plan = linear(10, end=0.0)
    optimizer = sgd([0.1])
    assert used(optimizer, ParamScheduler(optimizer, lr=plan), 10) == [
        plan(k, base=0.1) for k in range(11)
    ]
    assert held(optimizer) == [0.0]


class Returns(StatefulSchedulerBase):
    def __init__(self, optimizer: Any, returned: Any) -> None:
        super().__init__(optimizer)
        self.returned = [returned]

    def get_updated_values(self, num_updates: int) -> Any:
        return self.returned[0] if num_updates else None


@pytest.mark.parametrize(
    "values",
    [(0.3, 0.4), (rate for rate in (0.3, 0.4)), np.array([0.3, 0.4])],
    ids=["tuple", "generator", "array"],
)
def test_f47_any_values_of_the_right_number_are_taken(values: Any) -> None:
    optimizer = sgd([0.1, 0.2])
    Returns(optimizer, values).step()
    assert held(optimizer) == [0.3, 0.4]
    assert all(type(value) is float for value in held(optimizer))


@pytest.mark.parametrize("values", [[0.3], [0.3, 0.4, 0.5], np.array([0.3])])
def test_f47_a_wrong_number_of_values_is_refused(values: Any) -> None:
    optimizer = sgd([0.1, 0.2])
    scheduler = Returns(optimizer, values)
    with pytest.raises(ValueError, match=rf"{len(values)} values .* 2 parameter groups"):
        scheduler.step()
    assert held(optimizer) == [0.1, 0.2]


EVERY_CLASS = {
    "schedule": lambda o, n: ParamScheduler(o, lr=linear(n // 2, start=0.0) >> cosine(n - n // 2)),
    "cosine": lambda o, n: CosineLrScheduler(o, n, 1, num_warmup_epochs=1),
    "wsd": lambda o, n: WSDLrScheduler(o, total_steps=n, num_warmup_steps=3, num_checkpoints=2),
    "plateau": lambda o, n: PlateauLrScheduler(o, warmup=linear(n, start=0.1)),
}


@pytest.mark.parametrize("make", EVERY_CLASS.values(), ids=EVERY_CLASS)
@pytest.mark.parametrize("position", [0, 1, 30, 59, 60])
def test_f51_every_state_restores_the_position(make: Any, position: int) -> None:
    optimizer = sgd([0.1])
    scheduler = make(optimizer, 60)
    train(optimizer, scheduler, position)
    resumed = make(fresh := sgd([0.1]), 60)
    resumed.load_state_dict(through_json(scheduler.state_dict()))
    assert used(fresh, resumed, 65 - position) == used(optimizer, scheduler, 65 - position)


@pytest.mark.parametrize("num_updates", [1, 2, 5, 100])
@pytest.mark.parametrize("num_checkpoints", [1, 2, 3])
def test_f52_the_last_period_ends_with_the_run(num_updates: int, num_checkpoints: int) -> None:
    optimizer = sgd([0.1])
    scheduler = WSDLrScheduler(
        optimizer,
        total_steps=num_updates,
        num_checkpoints=num_checkpoints,
        decay_phase_ratio=1 / 3,
        lr_min=0.5,
    )
    assert scheduler.get_checkpoint_steps()[-1] == num_updates
    assert scheduler.get_decay_info()[-1]["period_end"] == num_updates
    values = used(optimizer, scheduler, num_updates + 3)
    decays = scheduler.get_decay_info()[-1]["decay_steps"] > 0
    assert values[num_updates:] == [0.05 if decays else 0.1] * 4


def test_f53_importing_seeds_nothing() -> None:
    code = """
import random, numpy, torch
def states():
    numbers = numpy.random.get_state()[1].tolist()
    return [random.getstate(), numbers, torch.get_rng_state().tolist()]
before = states()
import pytorch_accelerated, pytorch_accelerated.schedulers, pytorch_accelerated.trainer
assert states() == before
"""
    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_f54_placeholders_are_numbers_with_arithmetic() -> None:
    trainer = SimpleNamespace(run_config=SimpleNamespace(num_epochs=10))
    factory = partial(dict, total=(TrainerPlaceholderValues.NUM_EPOCHS + 1) * 2)
    assert replace_trainer_placeholder_values(trainer, factory)() == {"total": 22}
    hostile = SimpleNamespace(name="NUM_EPOCHS", value="__import__('os').abort()")
    factory = partial(dict, total=hostile)
    assert replace_trainer_placeholder_values(trainer, factory)() == {"total": hostile}


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_f37_groups_keep_their_ratio(name: str) -> None:
    optimizer = sgd([1.0, 0.1])
    recorder = Recorder(optimizer)
    train(optimizer, ParamScheduler(optimizer, lr=COMPOSITIONS[name]), 20)
    assert all(fast == pytest.approx(10 * slow) for fast, slow in recorder.used)


@pytest.mark.parametrize("make", EVERY_CLASS.values(), ids=EVERY_CLASS)
def test_f64_no_group_takes_over_the_rate_of_another(make: Any) -> None:
    optimizer = sgd([1.0, 0.1])
    recorder = Recorder(optimizer)
    train(optimizer, make(optimizer, 20), 12)
    assert all(fast > slow > 0 for fast, slow in recorder.used[4:])
