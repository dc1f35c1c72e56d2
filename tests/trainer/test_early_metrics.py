"""Metrics that are recorded while a run is prepared are the run's, like all others."""

from __future__ import annotations

import pytest
import torch

from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.tracking import InMemoryRunHistory, RunHistory
from pytorch_accelerated.trainer import Trainer
from tests.trainer.tiny import make_trainer, ones

EARLY = ["on_prepare_start", "on_prepare_end"]


class RecordAt(TrainerCallback):
    def __init__(self, *events):
        self.number = 0
        for event in events:
            setattr(self, event, self._record)

    def _record(self, trainer, **kwargs):
        self.number += 1
        trainer.run_history.update_metric("early", self.number)


class RecordsInHooks(Trainer):
    """Records wherever a subclass may do so before the first event of a training run."""

    def create_train_dataloader(self, batch_size, train_dl_kwargs=None):
        self.run_history.update_metric("size", len(self.train_dataset))
        return super().create_train_dataloader(batch_size, train_dl_kwargs)

    def create_scheduler(self):
        self.run_history.update_metric("scheduled", 1)
        return super().create_scheduler()


class Bare(RunHistory):
    """What the base class demands, and no state."""

    def __init__(self):
        self.values, self.epoch, self.prefix = {}, 1, ""

    def get_metric_names(self):
        return list(self.values)

    def get_metric_values(self, metric_name):
        return list(self.values.get(metric_name, []))

    def get_latest_metric(self, metric_name):
        return self.values[metric_name][-1]

    def set_metric_name_prefix(self, prefix=""):
        self.prefix = prefix

    @property
    def metric_name_prefix(self):
        return self.prefix

    def update_metric(self, metric_name, metric_value):
        self.values.setdefault(metric_name, []).append(metric_value)

    def delete_metric(self, metric_name):
        self.values.pop(metric_name, None)

    @property
    def current_epoch(self):
        return self.epoch

    def increment_epoch(self):
        self.epoch += 1

    def set_epoch(self, epoch):
        self.epoch = epoch

    def reset(self):
        self.values, self.epoch = {}, 1


@pytest.mark.parametrize("kind", [InMemoryRunHistory, Bare])
def test_metrics_recorded_before_the_run_begins_are_kept(kind):
    trainer = make_trainer(RecordAt(*EARLY, "on_training_run_start"), run_history=kind())
    trainer.train(ones(2), 1)
    assert trainer.run_history.get_metric_values("early") == [1, 2, 3]
    assert trainer.run_history.get_metric_names()[0] == "early"
    trainer.train(ones(2), 1)  # which forgets the metrics of the first run, not its own
    assert trainer.run_history.get_metric_values("early") == [4, 5, 6]
    assert len(trainer.run_history.get_metric_values("train_loss_epoch")) == 1
    assert trainer.run_history.current_epoch == 2


def test_metrics_recorded_in_hooks_are_kept():
    trainer = make_trainer(kind=RecordsInHooks)
    for _ in range(2):
        trainer.train(ones(3), 1, create_scheduler_fn=scheduler)
        assert trainer.run_history.get_metric_values("size") == [3]
        assert trainer.run_history.get_metric_values("scheduled") == [1]


def scheduler(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1.0)


def test_a_history_that_is_not_reset_has_each_once():
    trainer = make_trainer(RecordAt(*EARLY))
    trainer.train(ones(2), 1)
    trainer.train(ones(2), 1, reset_run_history=False)
    assert trainer.run_history.get_metric_values("early") == [1, 2, 3, 4]


def test_a_resumed_run_keeps_what_the_checkpoint_has_and_what_is_new(tmp_path):
    for epochs, expected in ((1, [1, 2]), (2, [1, 2, 1, 2, 3])):
        trainer = make_trainer(RecordAt(*EARLY, "on_resume_start"))
        options = {"checkpoint_dir": tmp_path, "resume": "auto"}
        if epochs == 2:
            with pytest.warns(UserWarning, match="num_epochs: 1 before, 2 now"):
                trainer.train(ones(2), epochs, **options)
        else:
            trainer.train(ones(2), epochs, **options)
        assert trainer.run_history.get_metric_values("early") == expected


def test_a_prefix_that_a_callback_sets_is_no_metric():
    class Prefixed(TrainerCallback):
        def on_prepare_start(self, trainer, **kwargs):
            trainer.run_history.set_metric_name_prefix("a/")
            trainer.run_history.update_metric("early", 1)
            trainer.run_history.set_metric_name_prefix()

    trainer = make_trainer(Prefixed())
    trainer.train(ones(2), 1)
    assert trainer.run_history.get_metric_values("a/early") == [1]


def test_what_is_refused_keeps_the_metrics_before_it():
    trainer = make_trainer(RecordAt(*EARLY))
    trainer.train(ones(2), 1)
    with pytest.raises(TypeError):
        trainer.train(ones(2), 1, create_scheduler_fn="cosine")
    assert trainer.run_history.get_metric_values("early")[:2] == [1, 2]
    assert len(trainer.run_history.get_metric_values("train_loss_epoch")) == 1
