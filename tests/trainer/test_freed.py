"""A Trainer, its model and its accelerator are freed at once, without the garbage collector.

What a cycle keeps alive lingers: persistent workers of the data loaders, most of all.
"""

from __future__ import annotations

import gc
import weakref
from contextlib import contextmanager

import pytest
from torch.utils.data import DataLoader

from pytorch_accelerated.callbacks import (
    ModelEmaCallback,
    SaveBestModelCallback,
    StepBasedEvaluationCallback,
)
from pytorch_accelerated.schedulers import CosineLrScheduler
from pytorch_accelerated.trainer import DEFAULT_CALLBACKS, Trainer
from tests.trainer.tiny import StopAt, make_trainer, ones


class WithWorkers(Trainer):
    """Notes its loaders, whose persistent workers live as long as they do."""

    def create_train_dataloader(self, batch_size, train_dl_kwargs=None):
        loader = DataLoader(self.train_dataset, batch_size, num_workers=1, persistent_workers=True)
        self.note = weakref.ref(loader)
        return loader


@contextmanager
def no_garbage_collector():
    make_trainer()  # the first optimizer has torch import more, which keeps the frames in a cycle
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def train(trainer, **options):
    options = {"create_scheduler_fn": CosineLrScheduler.create_scheduler_fn(), **options}
    trainer.train(ones(8), 2, ones(4), per_device_batch_size=2, **options)


def plainly(folder):
    trainer = make_trainer()
    train(trainer)
    return trainer


def with_checkpoints_and_evaluation(folder):
    trainer = make_trainer(*DEFAULT_CALLBACKS)
    train(trainer, checkpoint_dir=folder, checkpoint_every=3, gradient_accumulation_steps=2)
    trainer.evaluate()
    trainer.save_training_state(folder / "state")
    trainer.load_training_state(folder / "state")
    return trainer


def with_a_resume(folder):
    train(make_trainer(), checkpoint_dir=folder, max_num_train_steps=3)
    trainer = make_trainer()
    train(trainer, checkpoint_dir=folder, resume="auto")
    return trainer


def with_callbacks_that_evaluate(folder):
    trainer = make_trainer(
        StepBasedEvaluationCallback(2),
        ModelEmaCallback(save_path=folder / "ema.pt"),
        SaveBestModelCallback(save_path=folder / "best.pt"),
    )
    train(trainer, checkpoint_dir=folder)
    trainer.evaluate(ones(2))
    return trainer


def stopped_within_a_window(folder):
    trainer = make_trainer(StopAt("on_train_step_end", times=3))
    train(trainer, checkpoint_dir=folder, gradient_accumulation_steps=2)
    return trainer


def ended_by_an_error(folder):
    def fail(trainer, **kwargs):
        raise OSError("the disk is gone")

    callback = StopAt("on_training_run_end")
    callback.on_train_step_end = fail
    trainer = make_trainer(callback)
    with pytest.raises(OSError, match="the disk is gone"):
        train(trainer, checkpoint_dir=folder)
    return trainer


def with_workers(folder):
    trainer = make_trainer(kind=WithWorkers)
    train(trainer, checkpoint_dir=folder)
    return trainer


RUNS = [
    plainly,
    with_checkpoints_and_evaluation,
    with_a_resume,
    with_callbacks_that_evaluate,
    stopped_within_a_window,
    ended_by_an_error,
    with_workers,
]


@pytest.mark.filterwarnings("ignore:.*this run differs:UserWarning")
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.__name__)
def test_a_trainer_is_freed_without_the_garbage_collector(run, tmp_path):
    with no_garbage_collector():
        trainer = run(tmp_path)
        freed = {
            "trainer": weakref.ref(trainer),
            "model": weakref.ref(trainer.model),
            "optimizer": weakref.ref(trainer.optimizer),
            "scheduler": weakref.ref(trainer.scheduler),
            "accelerator": weakref.ref(trainer.run.accelerator),
            "run": weakref.ref(trainer.run),
            "loader": getattr(trainer, "note", weakref.ref(trainer)),
        }
        del trainer
        alive = [name for name, reference in freed.items() if reference() is not None]
        assert not alive
