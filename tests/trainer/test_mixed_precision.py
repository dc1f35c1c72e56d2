"""Gradient scaling, on CPU: the real scaler, which skips updates whose gradients overflow."""

import pytest
import torch
from accelerate import Accelerator

from pytorch_accelerated import Trainer
from tests.trainer.tiny import Record, Trace, linear_decay, make_trainer, ones


class Scaled(Trainer):
    """Overflows at chosen batches."""

    overflow_at: tuple[int, ...] = ()
    batches = 0

    def _create_accelerator(self):
        accelerator = Accelerator()
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        return accelerator

    def calculate_train_batch_loss(self, batch):
        output = super().calculate_train_batch_loss(batch)
        if self.batches in self.overflow_at:
            output["loss"] = output["loss"] * float("inf")
        self.batches += 1
        return output


def test_skipped_updates_are_not_counted_nor_scheduled():
    trainer = make_trainer(record := Record(), trace := Trace(), kind=Scaled, lr=1.0)
    trainer.overflow_at = (0, 1, 4)
    trainer.train(ones(16), 1, per_device_batch_size=2, create_scheduler_fn=linear_decay(8))
    assert trainer.num_updates == 5
    assert record.used == [1 - k / 8 for k in range(5)]
    assert trainer.optimizer.param_groups[0]["lr"] == 1 - 5 / 8
    assert trace.names.count("on_train_step_end") == 8
    assert trace.names.count("on_update_end") == 5


def test_a_run_limited_in_updates_makes_up_for_skipped_ones():
    trainer = make_trainer(record := Record(), kind=Scaled, lr=1.0)
    trainer.overflow_at = (0, 3)
    trainer.train(
        ones(8), 3, per_device_batch_size=2, max_num_train_steps=6,
        create_scheduler_fn=linear_decay(6),
    )  # fmt: skip
    assert record.used == [1 - k / 6 for k in range(6)]
    assert trainer.batches == 8


def test_a_window_is_skipped_as_a_whole():
    trainer = make_trainer(record := Record(), kind=Scaled, lr=1.0)
    trainer.overflow_at = (1,)
    trainer.train(ones(12), 1, per_device_batch_size=2, gradient_accumulation_steps=3)
    assert trainer.num_updates == 1
    assert record.gradients == [1.0]


def test_the_second_run_scales_and_unscales_by_one_scaler():
    trainer = make_trainer(record := Record(), kind=Scaled, lr=1.0)
    optimizer = trainer.optimizer
    for overflow in ((0, 1), ()):
        trainer.overflow_at, trainer.batches = overflow, 0
        trainer.train(ones(8), 1, per_device_batch_size=2)
        assert trainer.optimizer is optimizer
    assert record.gradients == [1.0] * (2 + 4)


@pytest.mark.parametrize("limits", [{"gradient_clip_value": 0.5}, {"gradient_clip_norm": 0.5}])
def test_the_norm_of_a_skipped_update_is_not_recorded(limits):
    trainer = make_trainer(kind=Scaled)
    trainer.overflow_at = (1,)
    trainer.train(ones(8), 1, per_device_batch_size=2, **limits)
    norms = trainer.run_history.get_metric_values("train_grad_norm_epoch")
    assert all(0 < norm < float("inf") for norm in norms)
    assert len(norms) == ("gradient_clip_norm" in limits)
