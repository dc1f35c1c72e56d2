"""Gradient scaling, on CPU: the real scaler, which skips updates whose gradients overflow."""

import pytest
import torch
from accelerate import Accelerator

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import TrainerCallback
from tests.trainer.tiny import (
    Record,
    Scale,
    Stream,
    Trace,
    linear_decay,
    make_trainer,
    mean_output,
    numbers,
    ones,
)


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


def train_scaled(*callbacks, overflow_at=(), samples=8, num_epochs=2, **kwargs):
    """Batches of 2; returns the Trainer and its records."""
    trainer = make_trainer(record := Record(), trace := Trace(), *callbacks, kind=Scaled, lr=1.0)
    trainer.overflow_at = overflow_at
    trainer.train(ones(samples), num_epochs, per_device_batch_size=2, **kwargs)
    return trainer, record, trace


def test_skipped_updates_are_neither_counted_nor_scheduled_and_made_up_at_the_end():
    trainer, record, trace = train_scaled(
        overflow_at=(0, 1, 5), create_scheduler_fn=linear_decay(8)
    )
    assert trainer.num_updates == trainer.run_config.max_num_train_steps == 8
    assert record.used == [1 - k / 8 for k in range(8)]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0
    assert trainer.batches == trace.names.count("on_train_step_end") == 11
    assert trace.names.count("on_update_end") == 8
    assert trace.names.count("on_train_epoch_end") == trainer.run_history.current_epoch - 1 == 2


@pytest.mark.parametrize("clip", [None, 10.0])
def test_a_fused_optimizer_that_skips_updates_itself_is_noticed(clip):
    model = Scale()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, fused=True)
    record, weights = Record(), []

    class Weights(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            weights.append(model.weight.item())

    trainer = Scaled(model, mean_output, optimizer, callbacks=[record, Weights()])
    trainer.overflow_at = (0, 1, 5)
    trainer.train(
        ones(8),
        2,
        per_device_batch_size=2,
        create_scheduler_fn=linear_decay(8),
        gradient_clip_norm=clip,
    )
    assert trainer.num_updates == 8
    assert trainer.batches == 11
    assert record.used == [1 - k / 8 for k in range(8)]
    assert len({*weights}) == len(weights) == 8  # each of the updates moved it


def test_only_the_last_epoch_goes_on_and_through_the_data_as_often_as_it_takes():
    trainer, _, trace = train_scaled(overflow_at=(0, 4, 5, 6, 7, 9, 10, 11))
    steps, end = "on_train_step_end", "on_train_epoch_end"
    events = [name for name in trace.names if name in (steps, end)]
    assert events == [steps] * 4 + [end] + [steps] * 12 + [end]
    assert trainer.num_updates == 8


def test_what_is_skipped_in_a_window_is_made_up_by_a_window():
    trainer, record, _ = train_scaled(
        overflow_at=(1,), samples=12, num_epochs=1, gradient_accumulation_steps=3
    )
    assert trainer.num_updates == 2
    assert trainer.batches == 9
    assert record.gradients == [1.0] * 2


def test_a_run_whose_gradients_never_are_finite_ends_and_says_so():
    with pytest.warns(UserWarning, match="ends after 4 of 8 updates: mixed precision skips all"):
        trainer, _, trace = train_scaled(overflow_at=range(4, 100))
    assert trainer.num_updates == 4
    assert trainer.batches == 12
    assert trace.names.count("on_train_epoch_end") == 2


def test_data_that_can_be_read_once_is_not_made_up_for():
    class Once(torch.utils.data.IterableDataset):
        def __init__(self):
            self.samples = iter(ones(8))

        def __iter__(self):
            return self.samples

        def __len__(self):
            return 8

    trainer = make_trainer(kind=Scaled)
    trainer.overflow_at = (0,)
    with (
        pytest.warns(UserWarning, match="gave 0 batches"),
        pytest.warns(UserWarning, match="ends after 3 of 4 updates"),
    ):
        trainer.train(Once(), 1, per_device_batch_size=2)
    assert trainer.num_updates == 3


def test_no_more_is_made_up_for_than_was_skipped_where_a_limit_is_out_of_reach():
    trainer = make_trainer(record := Record(), kind=Scaled)
    trainer.overflow_at = (0, 3, 4)
    with pytest.warns(UserWarning, match=r"ended after 4 updates.*max_num_train_steps=100"):
        trainer.train(Stream(ones(8)), 1, per_device_batch_size=2, max_num_train_steps=100)
    assert trainer.num_updates == len(record.used) == 4
    assert trainer.batches == 7


@pytest.mark.parametrize("saved_at", [*range(1, 9)])
def test_a_run_goes_on_from_any_update_to_make_up_for_skipped_ones(saved_at, tmp_path):
    class SaveAt(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == saved_at:
                trainer.save_training_state(tmp_path / "state")

    def train(callback, batches=0, **kwargs):
        trainer = make_trainer(record := Record(), callback, kind=Scaled, lr=0.01)
        trainer.overflow_at, trainer.batches = (1, 4, 6, 9), batches
        trainer.train(
            numbers(*range(1, 9)), 2, per_device_batch_size=2, seed=3,
            create_scheduler_fn=linear_decay(8), **kwargs,
        )  # fmt: skip
        return trainer, record

    straight, record = train(SaveAt())
    assert record.used == [0.01 * (1 - k / 8) for k in range(8)]
    batches_done = [1, 3, 4, 6, 8, 9, 11, 12][saved_at - 1]
    resumed, rest = train(Trace(), batches_done, resume=tmp_path / "state")
    assert rest.used == record.used[saved_at:]
    assert rest.gradients == record.gradients[saved_at:]
    assert resumed.batches == straight.batches == 12
    assert resumed.num_updates == 8
    losses = [
        trainer.run_history.get_metric_values("train_loss_epoch") for trainer in (straight, resumed)
    ]
    assert losses[0] == losses[1]
    assert torch.equal(resumed.model.weight, straight.model.weight)


def test_a_run_limited_in_updates_makes_up_for_skipped_ones():
    trainer = make_trainer(record := Record(), kind=Scaled, lr=1.0)
    trainer.overflow_at = (0, 3)
    trainer.train(
        ones(8), 3, per_device_batch_size=2, max_num_train_steps=6,
        create_scheduler_fn=linear_decay(6),
    )  # fmt: skip
    assert record.used == [1 - k / 6 for k in range(6)]
    assert trainer.batches == 8


def test_the_second_run_scales_and_unscales_by_one_scaler():
    trainer = make_trainer(record := Record(), kind=Scaled, lr=1.0)
    optimizer = trainer.optimizer
    for overflow in ((0, 1), ()):
        trainer.overflow_at, trainer.batches = overflow, 0
        trainer.train(ones(8), 1, per_device_batch_size=2)
        assert trainer.optimizer is optimizer
    assert record.gradients == [1.0] * (4 + 4)


@pytest.mark.parametrize("limits", [{"gradient_clip_value": 0.5}, {"gradient_clip_norm": 0.5}])
def test_the_norm_of_a_skipped_update_is_not_recorded(limits):
    trainer = make_trainer(kind=Scaled)
    trainer.overflow_at = (1,)
    trainer.train(ones(8), 1, per_device_batch_size=2, **limits)
    norms = trainer.run_history.get_metric_values("train_grad_norm_epoch")
    assert all(0 < norm < float("inf") for norm in norms)
    assert len(norms) == ("gradient_clip_norm" in limits)
