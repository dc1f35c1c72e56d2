"""A run that follows another one in the same Trainer."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.optim import lr_scheduler

from pytorch_accelerated.callbacks import ScheduleMonitorCallback
from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    SchedulerWarning,
)
from pytorch_accelerated.schedules import linear
from tests.trainer.tiny import Record, make_trainer, ones

COSINE = CosineLrScheduler.create_scheduler_fn()


def test_a_second_run_applies_the_same_values_without_a_warning():
    record = Record()
    trainer = make_trainer(record)
    for _ in range(2):
        trainer.train(ones(16), num_epochs=2, create_scheduler_fn=COSINE)
    assert record.used[:4] == record.used[4:]
    assert record.used[0] == 0.1
    assert trainer.optimizer.param_groups[0]["lr"] == 1e-6


def test_a_second_run_may_schedule_another_field():
    trainer = make_trainer()
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=COSINE)
    decay = ParamScheduler.create_scheduler_fn(weight_decay=linear(end=0.0))
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=decay)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.1


def test_a_value_that_was_changed_between_two_runs_is_not_ignored_silently():
    trainer = make_trainer()
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=COSINE)
    trainer.optimizer.param_groups[0]["lr"] = 0.7
    with pytest.warns(SchedulerWarning, match=r"held lr=0\.7 .* initial_lr=0\.1"):
        trainer.train(ones(16), num_epochs=2, create_scheduler_fn=COSINE)


NATIVE = {
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 4),
    "linear": lambda o: lr_scheduler.LinearLR(o, 0.5, 0.1, 4),
    "steps": lambda o: lr_scheduler.StepLR(o, 1),
    "in sequence": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o, 0.5, 9), lr_scheduler.ExponentialLR(o, 0.5)], [2]
    ),
    "chained": lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(o, 0.5)], o),
    "on plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=10.0),
}


@pytest.mark.parametrize("is_tensor", [False, True])
@pytest.mark.parametrize("name", NATIVE)
def test_a_second_run_with_a_scheduler_of_pytorchs_applies_the_same_values(name, is_tensor):
    monitor = ScheduleMonitorCallback(fields=["lr"])
    trainer = make_trainer(monitor)
    group = trainer.optimizer.param_groups[0]
    if is_tensor:
        group["lr"] = torch.tensor(group["lr"])
    rates = []
    for _ in range(2):
        lr = group["lr"]
        trainer.train(ones(8), num_epochs=4, create_scheduler_fn=NATIVE[name])
        rates.append([lr for (lr,) in monitor.applied["lr"]])
        assert (trainer.optimizer.param_groups[0]["lr"] is lr) == is_tensor
    assert float(group["initial_lr"]) == pytest.approx(0.1)
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1


def test_after_a_scheduler_of_pytorchs_ours_begins_at_the_base_value():
    record = Record()
    trainer = make_trainer(record)
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=NATIVE["cosine"])
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=COSINE)
    assert record.used[4] == 0.1


def test_a_value_that_was_changed_after_a_scheduler_of_pytorchs_stays():
    record = Record()
    trainer = make_trainer(record)
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=NATIVE["steps"])
    trainer.optimizer.param_groups[0]["lr"] = 0.7
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=NATIVE["steps"])
    assert record.used[4] == 0.7


def test_without_a_scheduler_the_values_in_force_stay():
    trainer = make_trainer()
    trainer.train(ones(16), num_epochs=2, create_scheduler_fn=COSINE)
    trainer.train(ones(16), num_epochs=1)
    assert trainer.scheduler is None
    assert trainer.optimizer.param_groups[0]["lr"] == 1e-6


def test_our_plateau_scheduler_gets_its_metric_at_each_epochs_end():
    trainer = make_trainer()
    create = partial(PlateauLrScheduler, factor=0.5, patience=0, threshold=10.0)
    # The first report is the best so far; the two after it are no improvement.
    trainer.train(ones(16), num_epochs=3, eval_dataset=ones(4), create_scheduler_fn=create)
    assert trainer.scheduler.num_reductions == 2
    assert trainer.optimizer.param_groups[0]["lr"] == 0.025
