"""torchtitan: its real containers of optimizers and schedulers, without its Trainer.

That one needs triton, and libraries older than those that the other frameworks here need.
"""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torchtitan.components.optimizer import LRSchedulersContainer, OptimizersContainer
from torchtitan.components.optimizer.optimizer import ParamGroupConfig

from pytorch_accelerated.integrations.torchtitan import ScheduledContainer
from pytorch_accelerated.schedules import linear
from tests.interop.plan import BASE, DECAY, NUM_UPDATES, TEXTS, planned, planned_decay
from tests.recording import Recorder, plain

CONFIG = ScheduledContainer.Config(
    schedules={**TEXTS, "beta1": {"Adam": "linear(4, end=0.5) >> constant()"}}
)


class Run:
    """Two stages of a model; the heads have an optimizer of another class and base rate."""

    def __init__(self, config: Any = CONFIG) -> None:
        parts = [torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)) for _ in "ab"]
        options = {"weight_decay": DECAY, "betas": (0.8, 0.9)}
        groups = [
            ParamGroupConfig(
                pattern=pattern, optimizer_name=name, optimizer_kwargs={"lr": rate, **options}
            )
            for pattern, name, rate in ((r"^0\.", "AdamW", BASE), (".*", "Adam", 2 * BASE))
        ]
        self.model_parts = parts
        self.optimizers = OptimizersContainer.Config(
            param_groups=groups, implementation="for-loop"
        ).build(model_parts=parts)
        self.schedulers = config.build(optimizers=self.optimizers, training_steps=NUM_UPDATES)
        self.recorders = {
            field: [Recorder(one, field) for one in self.optimizers]
            for field in ("lr", "weight_decay", "betas")
        }

    def train(self, num_updates: int) -> None:
        # The order of torchtitan's train_step.
        for _ in range(num_updates):
            self.optimizers.zero_grad()
            for part in self.model_parts:
                part(torch.ones(2, 1)).square().mean().backward()
            self.optimizers.step()
            self.schedulers.step()

    def used(self, field: str) -> list[list[Any]]:
        """What the updates of each optimizer ran with, and what is left."""
        return [
            [values[0] for values in recorder.used] + [plain(one.param_groups[0][field])]
            for recorder, one in zip(self.recorders[field], self.optimizers, strict=True)
        ]


def expected(start: int = 0, stop: int = NUM_UPDATES) -> dict[str, list[list[Any]]]:
    beta = linear(4, end=0.5)
    betas = [(beta(k, base=0.8), 0.9) for k in range(start, stop + 1)]
    return {
        "lr": [planned(start, stop), planned(start, stop, base=2 * BASE)] * 2,
        "weight_decay": [planned_decay(start, stop)] * 4,
        "betas": [[(0.8, 0.9)] * len(betas), betas] * 2,
    }


def test_each_update_runs_with_the_planned_values_fresh_and_resumed() -> None:
    straight = Run()
    straight.train(NUM_UPDATES)
    assert {field: straight.used(field) for field in straight.recorders} == expected()
    classes = ["AdamW", "Adam", "AdamW.1", "Adam.1"]
    assert straight.schedulers.get_metrics() == {f"lr/{name}/0": 0.0 for name in classes}

    first = Run()
    first.train(3)
    first.optimizers.zero_grad()
    file = io.BytesIO()
    torch.save([first.optimizers.state_dict(), first.schedulers.state_dict()], file)
    file.seek(0)
    optimizers, schedulers = torch.load(file, weights_only=True)
    for is_turned in (False, True):
        second = Run()
        loads = [
            lambda run: run.optimizers.load_state_dict(optimizers),
            lambda run: run.schedulers.load_state_dict(schedulers),
        ]
        for load in reversed(loads) if is_turned else loads:
            load(second)
        for recorders in second.recorders.values():
            for recorder in recorders:
                recorder.used.clear()  # of the empty update that makes a state to load into
        second.train(NUM_UPDATES - 3)
        assert {field: second.used(field) for field in second.recorders} == expected(3)


def test_a_checkpoint_of_its_own_container_is_taken() -> None:
    theirs = Run(LRSchedulersContainer.Config(warmup_steps=2))
    theirs.train(3)
    ours = Run()
    ours.schedulers.load_state_dict(theirs.schedulers.state_dict())
    assert ours.used("lr")[0] == planned(3, 3)


def test_settings_that_would_do_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="warmup_steps=10 does nothing beside schedules"):
        Run(ScheduledContainer.Config(schedules=TEXTS, warmup_steps=10))


def test_a_longer_plan_than_the_run() -> None:
    run = Run(ScheduledContainer.Config(schedules={"lr": "linear(end=0.0)"}, total_steps=16))
    run.train(NUM_UPDATES)
    assert run.used("lr")[0] == [linear(16, end=0.0)(k, base=BASE) for k in range(NUM_UPDATES + 1)]
