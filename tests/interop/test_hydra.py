"""Hydra builds schedules and schedulers from configuration files, without ``_convert_``."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import (
    Absolute,
    absolute,
    constant,
    cosine,
    epochs,
    linear,
    milestones,
)
from pytorch_accelerated.schedules.curves import CURVES
from tests.interop.plan import BASE, NUM_UPDATES, planned
from tests.recording import Recorder, held, sgd, train

WARMUP = "{_target_: pytorch_accelerated.schedules.linear, length: 0.1, start: 0.0}"
DECAY = "{_target_: pytorch_accelerated.schedules.cosine, end: 0.1}"
SHORT = "{_target_: pytorch_accelerated.schedules.cosine, length: 4}"
BOTH = f"{{_target_: operator.rshift, _args_: [{WARMUP}, {DECAY}]}}"
PARAM = "pytorch_accelerated.schedulers.ParamScheduler"


def built(text: str, **more: Any) -> Any:
    return instantiate(OmegaConf.create(yaml.safe_load(text)), **more)


def optimizer() -> torch.optim.Optimizer:
    groups = [
        {"params": [torch.nn.Parameter(torch.ones(1))], "name": name} for name in ("body", "head")
    ]
    return torch.optim.SGD(groups, lr=1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (BOTH, linear(0.1, start=0.0) >> cosine(end=0.1)),
        (
            f"{{_target_: operator.rshift, _args_: [{BOTH}, {SHORT}]}}",
            linear(0.1, start=0.0) >> cosine(end=0.1) >> cosine(4),
        ),
        (
            f"{{_target_: pytorch_accelerated.schedules.Sequence, parts: [{WARMUP}, {DECAY}]}}",
            linear(0.1, start=0.0) >> cosine(end=0.1),
        ),
        (f"{{_target_: operator.mul, _args_: [0.5, {SHORT}]}}", 0.5 * cosine(4)),
        (f"{{_target_: operator.mul, _args_: [{SHORT}, {SHORT}]}}", cosine(4) * cosine(4)),
        (f"{{_target_: operator.add, _args_: [{SHORT}, {SHORT}]}}", cosine(4) + cosine(4)),
        (
            f"{{_target_: pytorch_accelerated.schedules.Schedule.repeat, _args_: [{SHORT}, 3]}}",
            cosine(4).repeat(3),
        ),
        (
            f"{{_target_: pytorch_accelerated.schedules.Schedule.over, _args_: [{WARMUP}, 50]}}",
            linear(5, start=0.0),
        ),
        (
            "{_target_: pytorch_accelerated.schedules.milestones, values: {30: 0.1, 60: 0.01}}",
            milestones({30: 0.1, 60: 0.01}),
        ),
        (
            "{_target_: pytorch_accelerated.schedules.Milestones, points: "
            "[[{_target_: pytorch_accelerated.schedules.epochs, number: 3},"
            " {_target_: pytorch_accelerated.schedules.absolute, value: 0.1}]]}",
            milestones({epochs(3): absolute(0.1)}),
        ),
        (
            "{_target_: pytorch_accelerated.schedules.constant,"
            " length: {_target_: pytorch_accelerated.schedules.epochs, number: 3},"
            " value: {_target_: pytorch_accelerated.schedules.absolute, value: 0.1}}",
            constant(epochs(3), value=absolute(0.1)),
        ),
        (
            "{_target_: pytorch_accelerated.schedules.phase, length: 4,"
            " shape: {_target_: pytorch_accelerated.schedules.curves.Cosine, k: 2.0}}",
            cosine(4, k=2.0),
        ),
    ],
)
def test_composed_schedules(text: str, expected: Any) -> None:
    made = built(text)
    assert made == expected
    assert pickle.loads(pickle.dumps(made)) == expected


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_every_curve(curve: Any) -> None:
    phase = curve.sample
    arguments = {
        name: value
        for name, value in {"length": phase.length, "start": phase.start, "end": phase.end}.items()
        if value is not None
    }
    arguments = {name: written(value) for name, value in arguments.items()}
    target = {"_target_": f"pytorch_accelerated.schedules.{curve.name}"}
    one = target | arguments | phase.shape._contents()
    assert instantiate(OmegaConf.create(one)) == phase
    after = {"_target_": "operator.rshift", "_args_": [one, one]}
    assert instantiate(OmegaConf.create(after)) == phase >> phase


def written(value: Any) -> Any:
    if isinstance(value, Absolute):
        return {"_target_": "pytorch_accelerated.schedules.absolute", "value": value.value}
    return value


GROUPS = [
    (f"[{BOTH}, {DECAY}]", [linear(0.1, start=0.0) >> cosine(end=0.1), cosine(end=0.1)]),
    (
        f"{{body: {BOTH}, head: {DECAY}}}",
        {"body": linear(0.1, start=0.0) >> cosine(end=0.1), "head": cosine(end=0.1)},
    ),
]


@pytest.mark.parametrize(("plans", "expected"), GROUPS)
def test_a_schedule_for_each_group_by_place_and_by_name(plans: str, expected: Any) -> None:
    make = built(f"{{_target_: {PARAM}.create_scheduler_fn, lr: {plans}}}")
    run = {"MAX_NUM_TRAIN_STEPS": 20, "NUM_UPDATE_STEPS_PER_EPOCH": 5}
    scheduler = make(
        optimizer(), **{name: value.resolve(run.get) for name, value in make.keywords.items()}
    )
    of_groups = expected if isinstance(expected, list) else list(expected.values())
    for update in range(20):
        rates = [group["lr"] for group in scheduler.optimizer.param_groups]
        assert rates == [one.over(20)(update) for one in of_groups]
        scheduler.step()


def test_a_configuration_file_says_the_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        """
scheduler:
  _target_: pytorch_accelerated.integrations.ConfiguredScheduler
  schedules:
    lr: linear(3, start=0.25) >> cosine(end=0.0)
    momentum: linear(epochs(2), start=0.0)
  horizon: 1_000
  num_updates_per_epoch: 4
"""
    )
    with initialize_config_dir(str(tmp_path), version_base=None):
        config = compose("plan", [f"scheduler.horizon={NUM_UPDATES}"])

    def run(state: Any, num_updates: int) -> Any:
        optimizer = sgd([BASE], momentum=0.9)
        scheduler = instantiate(config.scheduler, optimizer)
        if state is not None:
            scheduler.load_state_dict(state)
        recorders = Recorder(optimizer), Recorder(optimizer, "momentum")
        train(optimizer, scheduler, num_updates)
        rates, momenta = ([values[0] for values in recorder.used] for recorder in recorders)
        return scheduler, rates + held(optimizer), momenta

    warmup = [linear(8, start=0.0)(k, base=0.9) for k in range(NUM_UPDATES)]
    scheduler, rates, momenta = run(None, NUM_UPDATES)
    assert (rates, momenta) == (planned(), warmup)
    assert pickle.loads(pickle.dumps(scheduler)).state_dict() == scheduler.state_dict()
    scheduler, rates, momenta = run(None, 3)
    scheduler, rates, momenta = run(scheduler.state_dict(), NUM_UPDATES - 3)
    assert (rates, momenta) == (planned(3), warmup[3:])
    twin = ParamScheduler(sgd([BASE], momentum=0.9), **scheduler.schedules)
    twin.load_state_dict(scheduler.state_dict())
    assert twin.num_updates == NUM_UPDATES
