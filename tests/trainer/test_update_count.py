from functools import partial

import pytest
import torch

from pytorch_accelerated import TrainerPlaceholderValues as T
from tests.trainer.tiny import Record, Stream, make_trainer, ones


def lambda_lr(optimizer, total, log):
    log.append(total)
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 - k / total)


@pytest.mark.parametrize(
    ("samples", "batch", "accumulate", "epochs", "limit", "per_epoch", "updates", "last_epoch"),
    [
        (8, 2, 1, 1, None, 4, 4, 2),
        (8, 2, 1, 3, None, 4, 12, 4),
        (9, 2, 1, 2, None, 5, 10, 3),  # the last batch of an epoch is smaller
        (12, 2, 4, 2, None, 2, 4, 3),  # windows of 4 and 2 batches
        (2, 2, 4, 3, None, 1, 3, 4),  # an epoch is shorter than a window
        (10, 1, 3, 1, None, 4, 4, 2),  # windows of 3, 3, 3 and 1
        (20, 2, 1, 3, 25, 10, 25, 4),  # the limit on updates comes first, within epoch 3
        (20, 2, 1, 1, 25, 10, 10, 2),  # the limit on epochs comes first
        (20, 2, 1, 3, 20, 10, 20, 3),  # the limit falls on the end of an epoch
        (20, 2, 1, 3, 1, 10, 1, 2),
        (12, 2, 4, 5, 3, 2, 3, 3),
    ],
)
def test_a_run_makes_as_many_updates_as_planned(
    samples, batch, accumulate, epochs, limit, per_epoch, updates, last_epoch
):
    totals, record = [], Record()
    trainer = make_trainer(record, lr=1.0)
    trainer.train(
        ones(samples),
        num_epochs=epochs,
        per_device_batch_size=batch,
        gradient_accumulation_steps=accumulate,
        max_num_train_steps=limit,
        create_scheduler_fn=partial(
            lambda_lr, total=T.NUM_EPOCHS * T.NUM_UPDATE_STEPS_PER_EPOCH, log=totals
        ),
    )
    assert trainer.num_updates == updates
    assert trainer.run_config.num_update_steps_per_epoch == per_epoch
    assert trainer.run_config.num_local_update_steps_per_epoch == per_epoch
    assert trainer.run_config.max_num_train_steps == updates
    assert trainer.run_history.current_epoch == last_epoch
    assert totals == [updates]
    # Update k ran with value(k), and the schedule ended with the run.
    assert record.used == [1 - k / updates for k in range(updates)]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0


def test_the_limit_on_updates_is_said_only_if_it_cut_the_run(capsys):
    trainer = make_trainer()
    trainer.train(ones(8), num_epochs=2, per_device_batch_size=2, max_num_train_steps=8)
    assert "max_num_train_steps" not in capsys.readouterr().out
    trainer.train(ones(8), num_epochs=2, per_device_batch_size=2, max_num_train_steps=3)
    assert "max_num_train_steps is reached: 3 updates" in capsys.readouterr().out


@pytest.mark.parametrize("accumulate", [1, 3])
def test_data_without_a_length_trains_every_batch(accumulate):
    trainer = make_trainer(record := Record())
    trainer.train(
        Stream(ones(10)), 2, per_device_batch_size=2, gradient_accumulation_steps=accumulate
    )
    assert trainer.num_updates == 2 * -(-5 // accumulate)
    assert record.gradients == [1.0] * trainer.num_updates
    assert trainer.run_config.num_update_steps_per_epoch is None
    assert trainer.run_config.max_num_train_steps is None


def test_data_without_a_length_is_planned_by_the_limit_on_updates():
    totals = []
    trainer = make_trainer()
    trainer.train(
        Stream(ones(10)),
        9,
        per_device_batch_size=2,
        max_num_train_steps=12,
        create_scheduler_fn=partial(lambda_lr, total=T.MAX_NUM_TRAIN_STEPS, log=totals),
    )
    assert trainer.num_updates == 12
    assert totals == [12]
    with pytest.raises(ValueError, match="NUM_UPDATE_STEPS_PER_EPOCH is not known"):
        trainer.train(
            Stream(ones(10)),
            1,
            create_scheduler_fn=partial(lambda_lr, total=T.NUM_UPDATE_STEPS_PER_EPOCH, log=totals),
        )


def test_a_second_run_counts_its_own_updates():
    trainer = make_trainer()
    trainer.train(ones(8), 2, per_device_batch_size=2)
    trainer.train(
        ones(8), 2, per_device_batch_size=2, max_num_train_steps=7, reset_run_history=False
    )
    assert trainer.num_updates == 7
    assert trainer.run_history.current_epoch == 5


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("num_epochs", 0),
        ("num_epochs", 1.5),
        ("num_epochs", True),
        ("max_num_train_steps", 0),
        ("gradient_accumulation_steps", 0),
        ("gradient_clip_value", 0.0),
        ("gradient_clip_norm", float("nan")),
        ("seed", -1),
        ("seed", 0.5),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(argument, value):
    with pytest.raises((TypeError, ValueError), match=f"^{argument}={value} .*has to be"):
        make_trainer().train(**{"train_dataset": ones(4), "num_epochs": 1, argument: value})


def test_a_subclass_may_keep_a_count_of_its_own():
    from pytorch_accelerated import Trainer

    class Counting(Trainer):
        def train_epoch_start(self):
            super().train_epoch_start()
            self.num_updates = (self.run_history.current_epoch - 1) * len(self._train_dataloader)

        def scheduler_step(self):
            self.num_updates += 1
            self.scheduler.step_update(num_updates=self.num_updates)

    class Stateless:
        def __init__(self, optimizer):
            self.asked = []

        def step_update(self, num_updates):
            self.asked.append(num_updates)

    trainer = make_trainer(kind=Counting)
    trainer.train(ones(8), 5, per_device_batch_size=2, max_num_train_steps=6,
                  create_scheduler_fn=Stateless)  # fmt: skip
    assert trainer.scheduler.asked == [0, 1, 2, 3, 4, 5, 6]
    assert trainer.num_updates == 6
