"""timm: our scheduler on its parameter groups and optimizers, and its schedulers in the Trainer."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import TensorDataset

from pytorch_accelerated.schedulers import ParamScheduler, StatelessParamScheduler
from pytorch_accelerated.schedules import absolute, cosine, linear
from pytorch_accelerated.trainer import TrainerWithTimmScheduler
from tests.conformance.timm_parts import timm_part
from tests.interop.plan import BASE
from tests.recording import Recorder, held, train

NUM_UPDATES = 12
SCALES = [0.25, 0.25, 0.5, 0.5, 1.0, 1.0]


class Layers(torch.nn.Sequential):
    """Thirteen layers; the last is what timm takes for the head."""

    pretrained_cfg = {"classifier": "12"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(*[torch.nn.Linear(2, 2) for _ in range(13)])


def layer_wise(name: str) -> torch.optim.Optimizer:
    optim = timm_part("optim")
    groups = optim.param_groups_layer_decay(Layers(), weight_decay=0.05, layer_decay=0.5)
    optimizer: torch.optim.Optimizer = optim.create_optimizer_v2(groups, opt=name, lr=BASE)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    return optimizer


@pytest.mark.parametrize("name", ["adamw", "lion", "laprop"])
def test_layer_wise_scales_give_the_rates_of_their_own_scheduler(name: str) -> None:
    theirs = layer_wise(name)
    assert held(theirs, "lr_scale") == SCALES
    their_scheduler = timm_part("scheduler").CosineLRScheduler(
        theirs, t_initial=8, warmup_t=4, warmup_prefix=True, t_in_epochs=False
    )
    their_rates = Recorder(theirs)
    for k in range(NUM_UPDATES):
        their_scheduler.step_update(k)
        theirs.step()

    ours = layer_wise(name)
    # Their schedulers multiply what they write by the scale; here it becomes part of the base.
    for group in ours.param_groups:
        group["lr"] *= group["lr_scale"]
    our_rates = Recorder(ours)
    scheduler = ParamScheduler(ours, lr=linear(4, start=0.0) >> cosine(8, end=0.0))
    train(ours, scheduler, NUM_UPDATES)

    assert len(our_rates.used) == len(their_rates.used) == NUM_UPDATES
    for our_row, their_row in zip(our_rates.used, their_rates.used, strict=True):
        assert our_row == pytest.approx(their_row, rel=1e-12)
    assert our_rates.used[4] == [BASE * scale for scale in SCALES]
    assert held(ours, "lr_scale") == SCALES


def run_of_the_trainer(t_in_epochs: bool) -> list[float]:
    """Run 3 epochs of 4 updates with timm's own cosine, and return the rates of all updates."""
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE)
    recorder = Recorder(optimizer)
    TrainerWithTimmScheduler(
        model, loss_func=torch.nn.functional.mse_loss, optimizer=optimizer, callbacks=()
    ).train(
        TensorDataset(torch.ones(8, 1), torch.zeros(8, 1)),
        num_epochs=3,
        per_device_batch_size=2,
        create_scheduler_fn=lambda optimizer: timm_part("scheduler").CosineLRScheduler(
            optimizer, t_initial=3 if t_in_epochs else 12, lr_min=0.01, t_in_epochs=t_in_epochs
        ),
    )
    return [values[0] for values in recorder.used]


def test_the_trainer_runs_their_schedule_by_updates() -> None:
    planned = cosine(12, end=absolute(0.01))
    assert run_of_the_trainer(t_in_epochs=False) == pytest.approx(
        [planned(k, base=BASE) for k in range(12)], rel=1e-12
    )


def test_the_trainer_runs_their_schedule_by_epochs() -> None:
    planned = cosine(3, end=absolute(0.01))
    assert run_of_the_trainer(t_in_epochs=True) == pytest.approx(
        [planned(k // 4, base=BASE) for k in range(12)], rel=1e-12
    )


def test_the_trainer_runs_theirs_next_to_others() -> None:
    def theirs(optimizer: torch.optim.Optimizer) -> object:
        return timm_part("scheduler").CosineLRScheduler(
            optimizer, t_initial=12, lr_min=0.01, t_in_epochs=False
        )

    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=BASE, momentum=0.9, weight_decay=0.5)
    recorders = {field: Recorder(optimizer, field) for field in ("lr", "weight_decay", "momentum")}
    decay, momentum = linear(12, end=0.0), linear(12, end=0.5)
    TrainerWithTimmScheduler(
        model, loss_func=torch.nn.functional.mse_loss, optimizer=optimizer, callbacks=()
    ).train(
        TensorDataset(torch.ones(8, 1), torch.zeros(8, 1)),
        num_epochs=3,
        per_device_batch_size=2,
        create_scheduler_fn=[
            theirs,
            ParamScheduler.create_scheduler_fn(weight_decay=decay),
            lambda optimizer: StatelessParamScheduler(optimizer, momentum=momentum),
        ],
    )
    used = {field: [values[0] for values in recorder.used] for field, recorder in recorders.items()}
    planned = cosine(12, end=absolute(0.01))
    assert used["lr"] == pytest.approx([planned(k, base=BASE) for k in range(12)], rel=1e-12)
    assert used["weight_decay"] == [decay(k, base=0.5) for k in range(12)]
    assert used["momentum"] == [momentum(k, base=0.9) for k in range(12)]
