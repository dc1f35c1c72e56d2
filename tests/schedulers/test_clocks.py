"""Plans in samples, items or seconds: the scheduler is told where the clock is."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from pytorch_accelerated.placeholders import replace_trainer_placeholder_values
from pytorch_accelerated.preview import preview
from pytorch_accelerated.run_config import TrainerRunConfig
from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    ParamScheduler,
    SchedulerWarning,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import (
    constant,
    cosine,
    epochs,
    from_function,
    linear,
    milestones,
)


def optimizer_of(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr)


PLAN = linear(100, start=0.0) >> constant(100) >> linear(200, end=0.0)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        *((0, 0.0), (1, 0.01), (99, 0.99), (100, 1.0), (101, 1.0), (199, 1.0), (200, 1.0)),
        *((202, 0.99), (398, 0.01), (400, 0.0), (401, 0.0), (10**12, 0.0)),
    ],
)
def test_the_value_is_the_plans_at_the_count_that_was_told(samples: int, expected: float) -> None:
    optimizer = optimizer_of()
    scheduler = ParamScheduler(optimizer, lr=PLAN, clock="samples")
    scheduler.step(samples)
    assert optimizer.param_groups[0]["lr"] == expected == PLAN(samples)
    assert scheduler.num_updates == scheduler.last_epoch == samples
    assert scheduler.get_last_lr() == [expected]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        *((0.0, 0.0), (0.5, 0.005), (99.5, 0.995), (100.0, 1.0), (199.99, 1.0), (200.5, 0.9975)),
        *((399.5, 0.0025), (400.0, 0.0), (400.25, 0.0)),
    ],
)
def test_seconds_have_fractions(seconds: float, expected: float) -> None:
    optimizer = optimizer_of()
    scheduler = ParamScheduler(optimizer, lr=PLAN, clock="seconds")
    scheduler.step(seconds)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-15)
    assert optimizer.param_groups[0]["lr"] == scheduler.get_updated_values(seconds)[0]
    saved = json.loads(json.dumps(scheduler.state_dict()))
    other = ParamScheduler(optimizer_of(), lr=PLAN, clock="seconds")
    other.load_state_dict(saved)
    assert other.num_updates == seconds
    assert other.get_last_lr() == scheduler.get_last_lr()


def test_a_loop_of_batches_that_differ() -> None:
    optimizer = optimizer_of(2.0)
    scheduler = ParamScheduler(
        optimizer, lr=cosine(end=0.1), horizon=1_000, clock="items", weight_decay=linear(500)
    )
    stateless = StatelessParamScheduler(optimizer_of(2.0), lr=cosine(1_000, end=0.1), clock="items")
    tokens = 0
    for batch in (7, 500, 33, 460, 80):
        rate = optimizer.param_groups[0]["lr"]
        assert rate == cosine(1_000, end=0.1)(tokens, base=2.0)
        optimizer.step()
        tokens += batch
        scheduler.step(tokens)
        stateless.step_update(tokens)
        assert stateless.optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    assert optimizer.param_groups[0]["lr"] == 0.2


def test_a_preview_at_readings_is_of_a_scheduler_and_of_those_alone() -> None:
    scheduler = ParamScheduler(optimizer_of(), lr=PLAN, clock="samples")
    (column,) = preview(scheduler, at=[50, 0, 300])["lr"]
    assert [*column] == [PLAN(50), PLAN(0), PLAN(300)]
    with pytest.raises(ValueError, match=r"at=… is where .*: leave out num_updates"):
        preview(scheduler, 5, at=[50])
    with pytest.raises(ValueError, match=r"at=… is where .*: write \[plan\(n\) for n in …\]"):
        preview(PLAN, at=[50])


def test_messages_say_where_the_clock_is() -> None:
    optimizer = optimizer_of()
    scheduler = ParamScheduler(optimizer, lr=PLAN, clock="samples")
    scheduler.step(64)
    optimizer.param_groups[0]["lr"] = 0.3
    with pytest.warns(SchedulerWarning, match="^ParamScheduler at 128 samples:"):
        scheduler.step(128)
    own = from_function(lambda seconds: 1.0 if seconds < 2.5 else math.nan)
    timed = ParamScheduler(optimizer_of(), lr=own, clock="seconds")
    with pytest.raises(ValueError, match=r"^ParamScheduler at 2\.5 seconds: lr: from_function"):
        timed.step(2.5)


def test_attributes_are_scheduled_by_samples_too() -> None:
    dropout = torch.nn.Dropout(p=0.4)
    scheduler = AttributeScheduler(dropout, p=milestones({64: 0.5}), clock="samples")
    scheduler.step(63)
    assert dropout.p == 0.4
    scheduler.step(64)
    assert dropout.p == 0.2


def test_a_clock_cannot_count_by_itself() -> None:
    scheduler = ParamScheduler(optimizer_of(), lr=PLAN, clock="samples")
    with pytest.raises(TypeError, match=r"Write step\(n\), where n is how many samples"):
        scheduler.step()
    with pytest.raises(ValueError, match="fractional"):
        scheduler.step(0.5)
    with pytest.raises(ValueError, match="too small"):
        scheduler.step(-1)
    seconds = ParamScheduler(optimizer_of(), lr=PLAN, clock="seconds")
    for wrong in (-0.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="epoch="):
            seconds.step(wrong)
    assert seconds.num_updates == scheduler.num_updates == 0
    with pytest.raises(ValueError, match=r"clock='tokens' has to be one of 'updates', 'samples'"):
        ParamScheduler(optimizer_of(), lr=PLAN, clock="tokens")


def test_a_state_is_one_of_its_clock() -> None:
    state = ParamScheduler(optimizer_of(), lr=PLAN, clock="samples").state_dict()
    for clock in ("updates", "items"):
        other = ParamScheduler(optimizer_of(), lr=PLAN, clock=clock)
        with pytest.raises(ValueError, match="The state is of 'schedules in samples'"):
            other.load_state_dict(state)
    told = StatelessParamScheduler(optimizer_of(), lr=PLAN, clock="samples")
    told.step_update(3)
    with pytest.raises(ValueError, match="The state is of 'StatelessParamScheduler in samples'"):
        StatelessParamScheduler(optimizer_of(), lr=PLAN).load_state_dict(told.state_dict())
    samples = ParamScheduler(optimizer_of(), lr=PLAN, clock="samples")
    with pytest.raises(ValueError, match="not a state"):  # the position of a library's own updates
        samples.load_state_dict({"last_epoch": 3})
    with pytest.raises(ValueError, match="has to be a count"):
        samples.load_state_dict({**state, "num_updates": 1.5})
    seconds = ParamScheduler(optimizer_of(), lr=PLAN, clock="seconds")
    for damaged in (-1.0, float("nan"), float("inf"), "1", None):
        with pytest.raises(ValueError, match="has to be a count"):
            seconds.load_state_dict({**seconds.state_dict(), "num_updates": damaged})


class _Run:
    def __init__(self, **limits: Any) -> None:
        fields = TrainerRunConfig.__dataclass_fields__
        self.run_config = TrainerRunConfig(**(dict.fromkeys(fields) | limits))
        self._train_dataloader = self._eval_dataloader = None


@pytest.mark.parametrize(
    ("clock", "limit"),
    [("samples", "max_samples"), ("items", "max_items"), ("seconds", "max_time")],
)
def test_shares_of_a_run_are_shares_of_its_limit(clock: str, limit: str) -> None:
    factory = ParamScheduler.create_scheduler_fn(
        lr=linear(0.1, start=0.0) >> cosine(end=0.0), clock=clock
    )
    run = _Run(**{limit: 10**10, "max_num_train_steps": 7})
    scheduler = replace_trainer_placeholder_values(run, factory)(optimizer_of())
    assert scheduler.clock == clock
    assert scheduler.schedules == {"lr": linear(10**9, start=0.0) >> cosine(9 * 10**9, end=0.0)}
    with pytest.raises(ValueError, match=rf"write train\(…, {limit}=…\)"):
        replace_trainer_placeholder_values(_Run(max_num_train_steps=7), factory)
    own = ParamScheduler.create_scheduler_fn(lr=linear(end=0.0), clock=clock, horizon=20)
    assert own(optimizer_of()).schedules == {"lr": linear(20, end=0.0)}
    with pytest.raises(ValueError, match=f"how many {clock} an epoch has"):
        ParamScheduler.create_scheduler_fn(lr=linear(epochs(1)) >> cosine(), clock=clock)
