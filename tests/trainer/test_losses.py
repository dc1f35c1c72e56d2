"""A loss is one number, in whatever shape it comes."""

from __future__ import annotations

import pytest
import torch

from pytorch_accelerated.trainer import DEFAULT_CALLBACKS, Trainer
from tests.trainer.tiny import Scale, make_trainer, numbers, ones

SHAPES = [(1,), (1, 1), (1, 1, 1)]


def shaped(shape):
    return lambda outputs, targets: outputs.mean().reshape(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "options", [{}, {"gradient_accumulation_steps": 2}, {"gradient_clip_norm": 1.0}]
)
def test_a_loss_with_one_element_is_a_number(shape, options, tmp_path):
    trainers = [make_trainer(*DEFAULT_CALLBACKS, loss=loss) for loss in (shaped(()), shaped(shape))]
    for trainer in trainers:
        folder = tmp_path / str(trainers.index(trainer))
        trainer.train(
            numbers(1.0, 2.0, 3.0, 5.0),
            2,
            eval_dataset=ones(3),
            per_device_batch_size=1,
            seed=0,
            checkpoint_dir=folder,
            **options,
        )
        trainer.evaluate(ones(2))
    plain, other = trainers
    assert torch.equal(plain.model.weight, other.model.weight)
    for name in plain.run_history.get_metric_names():
        assert other.run_history.get_metric_values(name) == plain.run_history.get_metric_values(
            name
        )


def test_trackers_take_a_loss_of_any_shape(tmp_path):
    trainer = make_trainer(loss=shaped((1,)), log_with="tensorboard", project_dir=tmp_path)
    trainer.train(ones(4), 1, per_device_batch_size=1)
    assert trainer.num_updates == 4


def test_the_steps_get_a_loss_without_dimensions():
    class Watching(Trainer):
        def backward_step(self, loss):
            shapes.append(loss.shape)
            super().backward_step(loss)

    shapes: list[torch.Size] = []
    make_trainer(loss=shaped((1,)), kind=Watching).train(ones(2), 1, per_device_batch_size=1)
    assert shapes == [torch.Size([])] * 2


def test_items_weigh_a_loss_of_any_shape():
    class Items(Trainer):
        def calculate_train_batch_loss(self, batch):
            return {**super().calculate_train_batch_loss(batch), "num_items_in_batch": 2}

    trainer = make_trainer(loss=shaped((1,)), kind=Items, model=Scale())
    trainer.train(ones(2), 1, per_device_batch_size=1, gradient_accumulation_steps=2)
    assert trainer.model.weight.item() == pytest.approx(-0.1)


@pytest.mark.parametrize("shape", [(), *SHAPES])
def test_so_are_the_counts_that_come_with_it(shape):
    class Counting(Trainer):
        def calculate_train_batch_loss(self, batch):
            counts = dict.fromkeys(("batch_size", "num_items_in_batch"), torch.full(shape, 2))
            return {**super().calculate_train_batch_loss(batch), **counts}

    trainer = make_trainer(kind=Counting)
    trainer.train(ones(4), 1, per_device_batch_size=2, gradient_accumulation_steps=2)
    assert trainer.model.weight.item() == pytest.approx(-0.1)
    assert trainer.run_history.get_latest_metric("train_loss_epoch") == 0


def test_a_batch_size_of_several_numbers_is_refused():
    class Wrong(Trainer):
        def calculate_train_batch_loss(self, batch):
            return {**super().calculate_train_batch_loss(batch), "batch_size": torch.ones(2)}

    with pytest.raises(ValueError, match="has to be the number of samples"):
        make_trainer(kind=Wrong).train(ones(2), 1)


@pytest.mark.parametrize("loss", [torch.ones(2), torch.ones(0), 1.0, None, [torch.ones(1)]])
def test_anything_else_is_refused_with_what_came(loss):
    class Wrong(Trainer):
        def calculate_train_batch_loss(self, batch):
            return {"loss": loss, "batch_size": 1}

    with pytest.raises(TypeError, match="calculate_train_batch_loss returned the loss"):
        make_trainer(kind=Wrong).train(ones(2), 1)
