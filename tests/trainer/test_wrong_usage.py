"""What cannot work is refused with a message that says what to write instead."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from pytorch_accelerated import Trainer
from pytorch_accelerated import TrainerPlaceholderValues as T
from pytorch_accelerated.callbacks import (
    EarlyStoppingCallback,
    LimitBatchesCallback,
    LimitEvalStepsCallback,
    LogToTrackersCallback,
    SaveTrainingStateCallback,
    StepBasedEvaluationCallback,
    TerminateOnNaNCallback,
    TrainerCallback,
)
from pytorch_accelerated.ema import ModelEma
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
        (cosine(), TypeError, r"example ParamScheduler\.create_scheduler_fn\(lr=…\)"),
        ("cosine", TypeError, r"for example CosineLrScheduler\.create_scheduler_fn\(\)"),
        (CosineLrScheduler.create_scheduler_fn, TypeError, r"create_scheduler_fn without \(\)\?"),
        (lambda optimizer: None, TypeError, r"returned None.* Is a return missing\?"),
        (
            CosineLrScheduler,
            TypeError,
            r"is the class CosineLrScheduler.*give CosineLrScheduler\.create_scheduler_fn\(\)",
        ),
        (
            torch.optim.lr_scheduler.StepLR,
            TypeError,
            r"is the class StepLR.*'step_size'.*give functools\.partial\(StepLR, …\)",
        ),
        ([], ValueError, r"create_scheduler_fn is \[\]: give .* or None for no scheduler"),
        (
            lambda optimizer: CosineLrScheduler(optimizer, T.NUM_EPOCHS, 10),
            TypeError,
            r"NUM_EPOCHS.*write create_scheduler_fn=functools\.partial",
        ),
        (
            lambda o: LambdaLR(o, lambda k: 1.0 if k < T.NUM_EPOCHS else 0.5),
            TypeError,
            r"^NUM_EPOCHS is a placeholder.* write create_scheduler_fn(?!.*write)",
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
        (DataLoader(ones(0)), ValueError, "train_dataset is empty"),
        ((torch.ones(3, 2), torch.ones(3)), TypeError, r"2 columns.*Write TensorDataset\("),
        (None, TypeError, "train_dataset is a NoneType: give a data set"),
        (5, TypeError, "train_dataset is an int: give a data set"),
        ("data.csv", TypeError, "train_dataset is a str: give a data set"),
        ([{"x": torch.ones(1)}], TypeError, "a batch is a dict.*override calculate_train_batch"),
        ([torch.ones(1)], TypeError, "a batch is a Tensor.*override calculate_train_batch_loss"),
    ],
)
def test_data_that_cannot_be_trained_on(data, error, message):
    with pytest.raises(error, match=message):
        make_trainer().train(data, 1)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (5, {}),
        (ones(0), {}),
        (ones(4), {"eval_dataset": 5}),
        (ones(4), {"create_scheduler_fn": "cosine"}),
        (ones(4), {"train_dataloader_kwargs": {"batch_size": 8, "drop_last": True}}),
        (ones(4), {"resume_from": "nowhere"}),
    ],
)
def test_what_is_refused_costs_no_metrics(data, wrong):
    trainer = make_trainer()
    trainer.train(ones(4), 2)
    before = trainer.run_history.state_dict()
    with pytest.raises((TypeError, ValueError, OSError)):
        trainer.train(data, 1, **wrong)
    assert trainer.run_history.state_dict() == before
    trainer.train(ones(4), 1)
    assert trainer.run_history.current_epoch == 2


def test_evaluation_data_that_is_empty():
    with pytest.raises(ValueError, match=r"^dataset is empty"):
        make_trainer().evaluate([])
    with pytest.raises(ValueError, match=r"^eval_dataset is empty"):
        make_trainer().train(ones(4), 1, eval_dataset=[])


@pytest.mark.parametrize("kwargs", [[1], "shuffle", 5])
def test_arguments_of_loaders_that_are_no_dict(kwargs):
    message = rf"dataloader_kwargs={re.escape(repr(kwargs))} is an? .*, but has to be a dict"
    for name in ("train_dataloader_kwargs", "eval_dataloader_kwargs"):
        with pytest.raises(TypeError, match=rf"^{name}=.*{{'num_workers': 2}}"):
            make_trainer().train(ones(4), 1, **{name: kwargs})
    with pytest.raises(TypeError, match=f"^{message}"):
        make_trainer().evaluate(ones(4), dataloader_kwargs=kwargs)


@pytest.mark.parametrize("name", ["resume", "resume_from", "checkpoint_dir"])
@pytest.mark.parametrize("value", ["", True, 5, b"runs"])
def test_folders_that_are_none(name, value):
    error = ValueError if value == "" else TypeError
    allowed = r".* or 'auto'" if name == "resume" else ""
    with pytest.raises(error, match=f"^{name}={value!r} is .*has to be .*folder{allowed}"):
        make_trainer().train(ones(4), 1, **{name: value})


def test_no_loss_function():
    trainer = Trainer(model := Scale(), None, sgd(model), callbacks=())
    message = "^loss_func is None: give .* or override calculate_train_batch_loss"
    with pytest.raises(TypeError, match=message):
        trainer.train(ones(4), 1)
    with pytest.raises(TypeError, match=message):
        trainer.evaluate(ones(4))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def test_a_loss_class_instead_of_an_instance():
    model = Scale()
    with pytest.raises(TypeError, match=r"is a type, .* Write .*MSELoss\(\)"):
        Trainer(model, nn.MSELoss, sgd(model))


@pytest.mark.parametrize("optimizer", [None, torch.optim.SGD])
def test_no_optimizer(optimizer):
    trainer = Trainer(Scale(), mean_output, optimizer, callbacks=())
    with pytest.raises(TypeError, match=r"^optimizer=.* has to be an optimizer"):
        trainer.train(ones(4), 1)
    if optimizer is None:
        trainer.evaluate(ones(4))


def test_an_optimizer_of_another_model():
    trainer = Trainer(Scale(), mean_output, sgd(Scale()), callbacks=())
    with pytest.warns(UserWarning, match="none of the parameters .* belongs to the model"):
        trainer.train(ones(4), 1)


def test_a_model_that_is_none():
    trainer = Trainer(lambda x: x, mean_output, sgd(Scale()), callbacks=())
    with pytest.raises(TypeError, match=r"has to be a torch\.nn\.Module"):
        trainer.train(ones(4), 1)


@pytest.mark.parametrize("callbacks", [TrainerCallback, TrainerCallback()])
def test_callbacks_that_are_no_list(callbacks):
    model = Scale()
    with pytest.raises(TypeError, match=r"has to be a list.* also for a single one"):
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


COUNTS = [
    "num_epochs",
    "per_device_batch_size",
    "max_num_train_steps",
    "gradient_accumulation_steps",
    "seed",
    "checkpoint_every",
    "keep_last",
]


@pytest.mark.parametrize("name", COUNTS)
def test_numpys_integers_are_integers(name, tmp_path):
    straight, trainer = make_trainer(), make_trainer()
    for one, number in ((straight, 2), (trainer, np.int64(2))):
        run = {"num_epochs": 2, "seed": 1, "checkpoint_dir": tmp_path / type(number).__name__}
        one.train(ones(8), **{**run, name: number})
    assert trainer.num_updates == straight.num_updates
    assert trainer.run_config == straight.run_config
    assert type(getattr(trainer.run_config, name, 2)) is not np.int64


@pytest.mark.parametrize("number", [True, 1.5, -1, "2", np.float64(2.0), torch.tensor(2.0)])
@pytest.mark.parametrize("name", COUNTS)
def test_counts_that_are_none(name, number, tmp_path):
    message = rf"^{name}[=:].* has to be (a whole number|an integer|at least|a schedule)"
    with pytest.raises((TypeError, ValueError), match=message):
        make_trainer().train(ones(4), **{"num_epochs": 1, "checkpoint_dir": tmp_path, name: number})


def test_a_batch_size_may_be_left_to_the_loaders_arguments():
    with pytest.raises(TypeError, match=r"^per_device_batch_size=None .* has to be an integer"):
        make_trainer().train(ones(4), 1, per_device_batch_size=None)
    with pytest.raises(TypeError, match=r"^per_device_batch_size=None .* has to be an integer"):
        make_trainer().evaluate(ones(4), per_device_batch_size=None)
    trainer = make_trainer()
    kwargs = {"batch_size": 2}
    trainer.train(ones(4), 1, per_device_batch_size=None, train_dataloader_kwargs=kwargs)
    assert trainer.num_updates == 2


@pytest.mark.parametrize("name", ["gradient_clip_value", "gradient_clip_norm"])
@pytest.mark.parametrize("value", ["1", 0, True, float("nan"), [1.0]])
def test_a_clipping_value_that_is_none(name, value):
    with pytest.raises((TypeError, ValueError), match=f"^{name}=.* has to be (a|above)"):
        make_trainer().train(ones(4), 1, **{name: value})


@pytest.mark.parametrize("value", [0, 1.5, True, "a", None])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (LimitBatchesCallback, "num_batches"),
        (LimitEvalStepsCallback, "num_eval_steps"),
        (StepBasedEvaluationCallback, "eval_every_n_steps"),
        (TerminateOnNaNCallback, "check_every"),
        (lambda n: LogToTrackersCallback(flush_every=n), "flush_every"),
        (lambda n: EarlyStoppingCallback(n or -1), "early_stopping_patience"),
        (lambda n: SaveTrainingStateCallback(max_checkpoints=n or 0), "max_checkpoints"),
    ],
)
def test_the_counts_of_callbacks(make, name, value):
    message = rf"^{name}=.* has to be (a whole number|an integer|at least)"
    with pytest.raises((TypeError, ValueError), match=message):
        make(value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelEma(Scale(), decay="a"), "decay='a' is a str, but has to be a number"),
        (
            lambda: EarlyStoppingCallback(early_stopping_threshold="a"),
            "early_stopping_threshold='a' is a str, but has to be a number",
        ),
    ],
)
def test_numbers_that_are_none(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_tracker_that_there_is_not():
    with pytest.raises(ValueError, match=r"log_with is 'nope': .*tensorboard") as refused:
        make_trainer(log_with="nope")
    assert "project_dir" not in str(refused.value)


@pytest.mark.parametrize("size", [-1, "4", None])
def test_a_batch_size_of_ones_own_that_is_none(size):
    class Sized(Trainer):
        def calculate_train_batch_loss(self, batch):
            return {**super().calculate_train_batch_loss(batch), "batch_size": size}

    with pytest.raises(
        ValueError, match=f"calculate_train_batch_loss returned the batch_size {size!r}"
    ):
        make_trainer(kind=Sized).train(ones(4), 1)


@pytest.mark.parametrize(
    ("loss_func", "message"),
    [
        ("mse", r"^loss_func='mse' is a str, but has to be callable.*torch\.nn\.MSELoss\(\)"),
        (5, "^loss_func=5 is an int, but has to be callable"),
        (torch.tensor(1.0), "^loss_func=.* is a Tensor, but has to be callable"),
        ([nn.MSELoss()], "^loss_func=.* is a list, but has to be callable"),
    ],
)
def test_a_loss_that_cannot_be_called(loss_func, message):
    with pytest.raises(TypeError, match=message):
        Trainer(model := Scale(), loss_func, sgd(model), callbacks=())


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (None, "^optimizer=None"),
        (torch.optim.SGD, "^optimizer=<class .*SGD'> is a type, but has to be an optimizer"),
        ("adam", "^optimizer='adam' is a str, but has to be an optimizer"),
        (0.1, "^optimizer=0.1 is a float, but has to be an optimizer"),
        (lambda p: torch.optim.SGD(p, 0.1), "^optimizer=.* is a function, but has to be an optim"),
    ],
)
def test_what_is_not_an_optimizer(optimizer, message):
    with pytest.raises(TypeError, match=rf"(?s){message}.*torch\.optim\.AdamW\(model\.parameters"):
        Trainer(Scale(), mean_output, optimizer, callbacks=()).train(ones(4), 1)


@pytest.mark.parametrize("model", [Scale, "resnet18", None, lambda x: x])
def test_what_is_not_a_model(model):
    trainer = Trainer(model, mean_output, sgd(Scale()), callbacks=())
    message = "^model=.*has to be a torch.nn.Module"
    for run in (lambda: trainer.train(ones(4), 1), lambda: trainer.evaluate(ones(4))):
        with pytest.raises(TypeError, match=message):
            run()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"collate_fn": 5}, "^collate_fn=5 is an int, but has to be callable"),
        ({"collate_fn": "pad"}, "^collate_fn='pad' is a str, but has to be callable"),
        ({"scheduler_metric": 5}, "^scheduler_metric=5 is an int, but has to be the name"),
        ({"eval_dataset": "data.csv"}, "^eval_dataset is a str: give a data set"),
        ({"eval_dataset": Scale}, "^eval_dataset is a type: give a data set"),
        ({"num_epochs": None}, "^num_epochs=None is a NoneType"),
    ],
)
def test_other_arguments_of_a_wrong_kind(wrong, message):
    with pytest.raises(TypeError, match=message):
        make_trainer().train(ones(4), **{"num_epochs": 1, **wrong})


@pytest.mark.parametrize("history", ["metrics.json", 5, dict])
def test_what_is_not_a_run_history(history):
    with pytest.raises(TypeError, match=r"^run_history=.*has to be a RunHistory"):
        make_trainer(run_history=history)
