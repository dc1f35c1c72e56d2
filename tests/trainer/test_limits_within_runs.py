"""Limits on batches hold for an evaluation that a callback asks for within a run."""

from __future__ import annotations

import pytest

from pytorch_accelerated.callbacks import (
    LimitBatchesCallback,
    LimitEvalStepsCallback,
    TrainerCallback,
)
from pytorch_accelerated.trainer import Trainer
from pytorch_accelerated.utils import LimitBatches
from tests.trainer.tiny import make_trainer, ones


class Counting(Trainer):
    batches = 0

    def calculate_eval_batch_loss(self, batch):
        self.batches += 1
        return super().calculate_eval_batch_loss(batch)


class EvaluateAt(TrainerCallback):
    def __init__(self, event):
        setattr(self, event, self._evaluate)

    def _evaluate(self, trainer, **kwargs):
        before = trainer.batches
        trainer.evaluate(ones(6), per_device_batch_size=1)
        self.made = trainer.batches - before


EVENTS = ["on_train_epoch_end", "on_update_end", "on_training_run_end"]


def limited_by_the_environment(*callbacks):
    with LimitBatches(2):
        return make_trainer(*callbacks, kind=Counting)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda *c: make_trainer(LimitBatchesCallback(2), *c, kind=Counting), 2),
        (lambda *c: make_trainer(*c, LimitBatchesCallback(2), kind=Counting), 2),
        (limited_by_the_environment, 2),
        (lambda *c: make_trainer(LimitBatchesCallback(9), *c, kind=Counting), 6),
        (lambda *c: make_trainer(LimitEvalStepsCallback(2, False), *c, kind=Counting), 2),
        (lambda *c: make_trainer(LimitEvalStepsCallback(2), *c, kind=Counting), 6),
        (lambda *c: make_trainer(*c, kind=Counting), 6),
    ],
)
def test_a_limit_holds_within_a_run_as_outside(event, make, expected):
    callback = EvaluateAt(event)
    trainer = make(callback)
    trainer.train(ones(3), 1, eval_dataset=ones(4), per_device_batch_size=1)
    assert callback.made == expected
    before = trainer.batches
    trainer.evaluate(ones(6), per_device_batch_size=1)
    assert trainer.batches - before == expected


def test_the_runs_own_evaluation_keeps_its_limit():
    trainer = make_trainer(
        LimitEvalStepsCallback(2, False), EvaluateAt("on_update_end"), kind=Counting
    )
    trainer.train(ones(1), 1, eval_dataset=ones(6), per_device_batch_size=1)
    assert trainer.batches == 2 + 2
