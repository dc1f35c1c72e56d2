"""One scheduler step per optimizer update, and a schedule ends exactly with its run: law 8."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytorch_accelerated import TrainerPlaceholderValues as T
from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    StatelessParamScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import cosine, linear
from tests.trainer.tiny import Record, make_trainer, ones

BASE = 0.1
PLAN = linear(0.3, start=0.1) >> cosine(end=0.0)


@dataclass(frozen=True)
class Run:
    """How long a run is, in each of the ways to say it."""

    samples: int
    batch_size: int
    accumulation: int
    epochs: int
    limit: int | None

    @property
    def per_epoch(self) -> int:
        batches = -(-self.samples // self.batch_size)
        return -(-batches // self.accumulation)

    @property
    def num_updates(self) -> int:
        made = self.epochs * self.per_epoch
        return made if self.limit is None else min(made, self.limit)

    def train(self, create_scheduler_fn: Any) -> tuple[Any, list[float]]:
        """Return the trainer, and what each update ran with and what is left."""
        trainer = make_trainer(record := Record(), lr=BASE)
        trainer.train(
            ones(self.samples),
            num_epochs=self.epochs,
            per_device_batch_size=self.batch_size,
            gradient_accumulation_steps=self.accumulation,
            max_num_train_steps=self.limit,
            create_scheduler_fn=create_scheduler_fn,
        )
        assert trainer.num_updates == self.num_updates
        return trainer, [*record.used, trainer.optimizer.param_groups[0]["lr"]]


runs = st.builds(
    Run,
    samples=st.integers(1, 12),
    batch_size=st.integers(1, 4),
    accumulation=st.integers(1, 5),
    epochs=st.integers(1, 4),
    limit=st.none() | st.integers(1, 30),
)
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def planned(plan: Any, run: Run) -> list[float]:
    fitted = plan.over(run.num_updates, run.per_epoch)
    return [fitted(k, base=BASE) for k in range(run.num_updates + 1)]


def stateless(optimizer: Any, num_updates: int) -> StatelessParamScheduler:
    return StatelessParamScheduler(optimizer, lr=PLAN.over(num_updates))


FACTORIES = {
    "schedule": (ParamScheduler.create_scheduler_fn(lr=PLAN), PLAN),
    "stateless": (partial(stateless, num_updates=T.MAX_NUM_TRAIN_STEPS), PLAN),
    "cosine": (CosineLrScheduler.create_scheduler_fn(lr_min=0.0), cosine(end=0.0)),
    "plateau": (
        PlateauLrScheduler.create_scheduler_fn(warmup=linear(start=0.0)),
        linear(start=0.0),
    ),
}


@pytest.mark.parametrize("name", FACTORIES)
@quick
@given(run=runs)
def test_a_schedule_steps_with_each_update_and_ends_with_the_run(name: str, run: Run) -> None:
    create, plan = FACTORIES[name]
    trainer, values = run.train(create)
    assert values == planned(plan, run)
    assert getattr(trainer.scheduler, "num_updates", run.num_updates) == run.num_updates


@quick
@given(
    run=runs,
    warmup=st.floats(0.01, 0.9),
    end=st.floats(0.0, 2.0),
    count=st.integers(1, 3),
    peak=st.floats(0.5, 1.0),
)
def test_a_schedule_of_any_shares_ends_with_the_run(
    run: Run, warmup: float, end: float, count: int, peak: float
) -> None:
    plan = linear(warmup, start=0.0) >> peak * cosine(end=end).repeat(count)
    _, values = run.train(ParamScheduler.create_scheduler_fn(lr=plan))
    assert values == planned(plan, run)


@quick
@given(run=runs, num_checkpoints=st.integers(1, 3))
def test_the_last_decay_ends_with_the_run(run: Run, num_checkpoints: int) -> None:
    arguments: dict[str, Any] = {
        "lr_min": 0.01,
        "decay_phase_ratio": 1.0 if num_checkpoints == 1 else 1 / 3,
        "num_checkpoints": num_checkpoints,
    }
    trainer, values = run.train(
        WSDLrScheduler.create_scheduler_fn(num_warmup_epochs=0, **arguments)
    )
    twin = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=BASE)
    straight = WSDLrScheduler(twin, total_steps=run.num_updates, num_warmup_steps=0, **arguments)
    expected = [twin.param_groups[0]["lr"]]
    for _ in range(run.num_updates):
        twin.step()
        straight.step()
        expected.append(twin.param_groups[0]["lr"])
    assert values == expected
    if num_checkpoints == 1:
        assert values[-1] == 0.01 * BASE
    assert trainer.scheduler.num_updates == run.num_updates


@quick
@given(run=runs)
def test_an_attribute_steps_next_to_a_rate(run: Run) -> None:
    dropout = torch.nn.Dropout(p=0.4)
    given = []

    class Notes:
        def __init__(self, optimizer: Any) -> None:
            given.append(dropout.p)

        def step(self) -> None:
            given.append(dropout.p)

    trainer, values = run.train(
        [
            ParamScheduler.create_scheduler_fn(lr=PLAN),
            AttributeScheduler.create_scheduler_fn(dropout, p=linear(end=0.0)),
            Notes,
        ]
    )
    assert values == planned(PLAN, run)
    assert given == [linear(run.num_updates, end=0.0)(k, base=0.4) for k in range(len(values))]
    assert [one.num_updates for one in trainer.scheduler[:2]] == [run.num_updates] * 2
