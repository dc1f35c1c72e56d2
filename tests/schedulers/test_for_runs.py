"""Factories for the Trainer: they ask a run for what they need, and show what they take."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytorch_accelerated import Trainer
from pytorch_accelerated.placeholders import replace_trainer_placeholder_values
from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import constant, cosine, epochs, linear
from tests.recording import held, sgd, train

SHARES = linear(0.1, start=0.0) >> cosine()


def run_of(horizon: int | None, per_epoch: int | None) -> Any:
    config = SimpleNamespace(
        num_epochs=3,
        num_update_steps_per_epoch=per_epoch,
        num_local_update_steps_per_epoch=per_epoch,
        max_num_train_steps=horizon,
    )
    return SimpleNamespace(run_config=config)


def made(factory: Any, horizon: int | None, per_epoch: int | None) -> Any:
    return replace_trainer_placeholder_values(run_of(horizon, per_epoch), factory)(sgd([0.5]))


WITHOUT_EPOCHS = {
    "shares": lambda: ParamScheduler.create_scheduler_fn(lr=SHARES),
    "shares by name": lambda: ParamScheduler.create_scheduler_fn(lr={0: SHARES}),
    "shares in a list": lambda: ParamScheduler.create_scheduler_fn(lr=[SHARES]),
    "cosine": lambda: CosineLrScheduler.create_scheduler_fn(lr_min=0.0),
    "cosine without warmup": lambda: CosineLrScheduler.create_scheduler_fn(num_warmup_epochs=0),
    "wsd": lambda: WSDLrScheduler.create_scheduler_fn(),
    "wsd without warmup": lambda: WSDLrScheduler.create_scheduler_fn(num_warmup_epochs=0),
    "attributes": lambda: AttributeScheduler.create_scheduler_fn(torch.nn.Dropout(0.5), p=SHARES),
    "plateau": lambda: PlateauLrScheduler.create_scheduler_fn(warmup=linear(0.5, start=0.0)),
}


@pytest.mark.parametrize("name", WITHOUT_EPOCHS)
def test_a_run_whose_epochs_have_no_length_needs_only_the_horizon(name: str) -> None:
    scheduler = made(WITHOUT_EPOCHS[name](), horizon=20, per_epoch=None)
    planned = 10 if name == "plateau" else 20
    assert scheduler._num_planned_updates() == planned


WITH_EPOCHS = {
    "epochs": lambda: ParamScheduler.create_scheduler_fn(
        lr=linear(epochs(1), start=0.0) >> cosine()
    ),
    "cosine with warmup": lambda: CosineLrScheduler.create_scheduler_fn(num_warmup_epochs=1),
    "cosine with cooldown": lambda: CosineLrScheduler.create_scheduler_fn(num_cooldown_epochs=1),
    "wsd with warmup": lambda: WSDLrScheduler.create_scheduler_fn(num_warmup_epochs=1),
    "attributes": lambda: AttributeScheduler.create_scheduler_fn(
        torch.nn.Dropout(0.5), p=linear(epochs(1)) >> constant()
    ),
}


@pytest.mark.parametrize("name", WITH_EPOCHS)
def test_epochs_need_to_know_how_many_updates_one_has(name: str) -> None:
    with pytest.raises(ValueError, match=r"NUM_UPDATE_STEPS_PER_EPOCH is not known.* in epochs"):
        made(WITH_EPOCHS[name](), horizon=20, per_epoch=None)
    assert made(WITH_EPOCHS[name](), horizon=20, per_epoch=7)._num_planned_updates() == 20


@pytest.mark.parametrize(("horizon", "total"), [(8, "2,"), (7, "7/4,")])
def test_a_warmup_that_is_longer_than_the_run_names_the_runs_epochs(horizon, total) -> None:
    with pytest.raises(ValueError, match=f"num_warmup_epochs=5.*total_num_epochs={total}"):
        made(CosineLrScheduler.create_scheduler_fn(num_warmup_epochs=5), horizon, per_epoch=4)


@pytest.mark.parametrize("horizon", [15, 20, 21])
@pytest.mark.parametrize("cls", [CosineLrScheduler, WSDLrScheduler])
def test_a_recipe_ends_with_the_run_wherever_that_ends(cls: Any, horizon: int) -> None:
    # Of epochs and updates in one, either may be another after a resume; their product is not.
    scheduler = made(cls.create_scheduler_fn(lr_min=0.0), horizon, per_epoch=7)
    assert scheduler.schedules["lr"].horizon == horizon
    train(scheduler.optimizer, scheduler, horizon)
    assert held(scheduler.optimizer) == [0.0]


def test_a_schedule_in_updates_asks_for_nothing() -> None:
    scheduler = ParamScheduler.create_scheduler_fn(lr=linear(4, end=0.0))(sgd([0.5]))
    assert scheduler._num_planned_updates() == 4


class Stream(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter([(torch.ones(2), torch.ones(1))] * 40)


class EndlessBatches:
    """A batch sampler without a length."""

    batch_size = 2

    def __iter__(self) -> Any:
        return iter([[0, 1]] * 20)


@pytest.mark.parametrize("factory", [WITHOUT_EPOCHS["shares"], WITHOUT_EPOCHS["cosine"]])
@pytest.mark.parametrize("unsized", ["stream", "batch sampler"])
def test_a_run_on_data_without_a_length_ends_with_its_schedule(factory: Any, unsized: str) -> None:
    pairs = torch.utils.data.TensorDataset(torch.ones(2, 2), torch.ones(2, 1))
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, torch.nn.functional.mse_loss, optimizer, callbacks=())
    is_stream = unsized == "stream"
    trainer.train(
        Stream() if is_stream else pairs,
        num_epochs=1,
        max_num_train_steps=20,
        per_device_batch_size=2 if is_stream else None,
        train_dataloader_kwargs=None if is_stream else {"batch_sampler": EndlessBatches()},
        create_scheduler_fn=factory(),
    )
    assert trainer.num_updates == 20
    assert optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize("cls", [CosineLrScheduler, WSDLrScheduler, PlateauLrScheduler])
def test_a_factory_shows_the_arguments_of_its_class_and_refuses_others(cls: Any) -> None:
    shown = inspect.signature(cls.create_scheduler_fn).parameters
    of_class = inspect.signature(cls).parameters
    renamed = {"total_num_epochs", "num_warmup_epochs"}
    assert set(shown) - renamed <= set(of_class) - {"optimizer"}
    assert len(shown) >= 8
    with pytest.raises(TypeError, match="'no_such'"):
        cls.create_scheduler_fn(no_such=1)
