"""What cannot work is refused with a message that says what to write instead."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from pytorch_accelerated import Trainer
from pytorch_accelerated import TrainerPlaceholderValues as T
from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.schedulers import CosineLrScheduler
from pytorch_accelerated.schedules import cosine
from tests.trainer.tiny import Scale, make_trainer, mean_output, ones


def a_scheduler():
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    return CosineLrScheduler(optimizer, 1, 10)


@pytest.mark.parametrize(
    ("create", "error", "message"),
    [
        (a_scheduler(), TypeError, r"functools\.partial\(CosineLrScheduler, …\)"),
        (cosine(), TypeError, r"give ParamScheduler\.create_scheduler_fn\(lr=…\)"),
        ("cosine", TypeError, r"for example CosineLrScheduler\.create_scheduler_fn\(\)"),
        (CosineLrScheduler.create_scheduler_fn, TypeError, r"create_scheduler_fn without \(\)\?"),
        (lambda optimizer: None, TypeError, r"returned None.* Is a return missing\?"),
        (
            lambda optimizer: CosineLrScheduler(optimizer, T.NUM_EPOCHS, 10),
            TypeError,
            r"NUM_EPOCHS.*write create_scheduler_fn=functools\.partial",
        ),
    ],
)
def test_what_makes_no_scheduler(create, error, message):
    with pytest.raises(error, match=message):
        make_trainer().train(ones(4), 1, create_scheduler_fn=create)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (ones(0), ValueError, "train_dataset is empty"),
        (DataLoader(ones(4)), TypeError, "train_dataset is a DataLoader: give a data set"),
        (None, TypeError, "train_dataset is a NoneType: give a data set"),
        ([{"x": torch.ones(1)}], TypeError, "a batch is a dict.*override calculate_train_batch"),
        ([torch.ones(1)], TypeError, "a batch is a Tensor.*override calculate_train_batch_loss"),
    ],
)
def test_data_that_cannot_be_trained_on(data, error, message):
    with pytest.raises(error, match=message):
        make_trainer().train(data, 1)


def test_evaluation_data_that_is_a_loader():
    with pytest.raises(TypeError, match="eval_dataset is a DataLoader"):
        make_trainer().evaluate(DataLoader(ones(4)))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def test_a_loss_class_instead_of_an_instance():
    model = Scale()
    with pytest.raises(TypeError, match=r"is the class MSELoss: give an instance, MSELoss\(\)"):
        Trainer(model, nn.MSELoss, sgd(model))


@pytest.mark.parametrize("optimizer", [None, torch.optim.SGD])
def test_no_optimizer(optimizer):
    trainer = Trainer(Scale(), mean_output, optimizer, callbacks=())
    with pytest.raises(TypeError, match="training needs an optimizer"):
        trainer.train(ones(4), 1)
    if optimizer is None:
        trainer.evaluate(ones(4))


def test_an_optimizer_of_another_model():
    trainer = Trainer(Scale(), mean_output, sgd(Scale()), callbacks=())
    with pytest.warns(UserWarning, match="none of the parameters .* belongs to the model"):
        trainer.train(ones(4), 1)


def test_a_model_that_is_none():
    trainer = Trainer(lambda x: x, mean_output, sgd(Scale()), callbacks=())
    with pytest.raises(TypeError, match=r"give a torch\.nn\.Module"):
        trainer.train(ones(4), 1)


@pytest.mark.parametrize("callbacks", [TrainerCallback, TrainerCallback()])
def test_callbacks_that_are_no_list(callbacks):
    model = Scale()
    with pytest.raises(TypeError, match="give a list, also for a single one"):
        Trainer(model, mean_output, sgd(model), callbacks=callbacks)


def test_a_tracker_without_a_folder():
    with pytest.raises(ValueError, match="project_dir of the Trainer: give one"):
        make_trainer(log_with="tensorboard").train(ones(4), 1)


@pytest.mark.parametrize("change", [torch.Tensor.detach, torch.Tensor.item])
def test_a_loss_without_a_gradient(change):
    class Changed(Trainer):
        def calculate_train_batch_loss(self, batch):
            output = super().calculate_train_batch_loss(batch)
            return {**output, "loss": change(output["loss"])}

    with pytest.raises((ValueError, TypeError), match=r"no gradient|has to be a tensor"):
        make_trainer(kind=Changed).train(ones(4), 1)
