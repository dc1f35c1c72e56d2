"""A scheduler's metric that nothing can record is refused before the first epoch."""

from __future__ import annotations

import pytest
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pytorch_accelerated.callbacks import LogMetricsCallback, ModelEmaCallback, TrainerCallback
from pytorch_accelerated.schedulers import PlateauLrScheduler
from pytorch_accelerated.trainer import DEFAULT_CALLBACKS, Trainer
from tests.trainer.tiny import Record, linear_decay, make_trainer, ones


class Recording(TrainerCallback):
    def on_train_epoch_end(self, trainer, **kwargs):
        trainer.run_history.update_metric("accuracy", 0.5)


class RecordsItself(Trainer):
    def eval_epoch_end(self):
        self.run_history.update_metric("accuracy", 0.5)


def listening(optimizer):
    return [ReduceLROnPlateau(optimizer), linear_decay(8)(optimizer)]


@pytest.mark.parametrize("create", [ReduceLROnPlateau, PlateauLrScheduler, listening])
@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        ("eval_los_epoch", {}, "Write scheduler_metric='eval_loss_epoch'"),
        ("eval_loss", {}, "Write scheduler_metric='eval_loss_epoch'"),
        ("accuracy", {}, "'train_loss_epoch', 'eval_loss_epoch'"),
        ("eval_loss_epoch", {"eval_dataset": None}, "Write scheduler_metric='train_loss_epoch'"),
        ("train_grad_norm_epoch", {}, "'train_loss_epoch', 'eval_loss_epoch'"),
    ],
)
def test_it_is_found_at_the_start(create, metric, options, message):
    trainer = make_trainer(*DEFAULT_CALLBACKS)
    trainer.train(ones(2), 1)
    options = {"eval_dataset": ones(2), **options}
    with pytest.raises(ValueError, match=rf"^scheduler_metric='{metric}' .*{message}"):
        trainer.train(ones(2), 1, create_scheduler_fn=create, scheduler_metric=metric, **options)
    assert trainer.num_updates == 0
    assert trainer.run_history.get_metric_values("train_loss_epoch") != []


@pytest.mark.parametrize(
    ("trainer", "metric", "options"),
    [
        (make_trainer, "eval_loss_epoch", {}),
        (make_trainer, "train_loss_epoch", {"eval_dataset": None}),
        (make_trainer, "train_grad_norm_epoch", {"gradient_clip_norm": 1.0}),
        (lambda: make_trainer(Recording()), "accuracy", {}),
        (lambda: make_trainer(kind=RecordsItself), "accuracy", {}),
    ],
)
def test_what_can_be_recorded_is_waited_for(trainer, metric, options):
    options = {"eval_dataset": ones(2), **options}
    trainer = trainer()
    trainer.train(
        ones(2), 1, create_scheduler_fn=ReduceLROnPlateau, scheduler_metric=metric, **options
    )
    assert trainer.num_updates == 1


def test_the_average_of_a_model_has_a_metric(tmp_path):
    trainer = make_trainer(LogMetricsCallback(), ModelEmaCallback(save_path=tmp_path / "ema.pt"))
    trainer.train(
        ones(2),
        1,
        eval_dataset=ones(2),
        create_scheduler_fn=ReduceLROnPlateau,
        scheduler_metric="ema_model_eval_loss_epoch",
    )
    assert trainer.num_updates == 1


def test_a_metric_that_no_scheduler_waits_for_is_not_looked_at():
    trainer = make_trainer(Record())
    trainer.train(ones(2), 1, create_scheduler_fn=linear_decay(1), scheduler_metric="accuracy")
    assert trainer.num_updates == 1
