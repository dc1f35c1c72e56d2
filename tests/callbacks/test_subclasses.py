"""Callbacks that users derive from those of the library, with a constructor of their own."""

import inspect

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import pytorch_accelerated.callbacks as module
from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.schedulers import WSDLrScheduler

CALLBACKS = [
    kind
    for kind in map(vars(module).get, module.__all__)
    if isinstance(kind, type) and issubclass(kind, TrainerCallback)
]


def scheduler(optimizer):
    return WSDLrScheduler(optimizer, total_steps=8)


def train_with(callback):
    """Train with evaluations, and evaluate on its own."""
    data = TensorDataset(torch.randn(8, 2), torch.randn(8, 1))
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trainer = Trainer(model, nn.MSELoss(), optimizer, callbacks=[callback])
    trainer.train(
        data, 2, eval_dataset=data, per_device_batch_size=2, create_scheduler_fn=scheduler
    )
    assert trainer.num_updates == 8
    trainer.evaluate(data)
    return trainer


@pytest.mark.parametrize("has_own_start", [False, True])
@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_a_subclass_need_not_call_the_constructor(kind, has_own_start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Own(kind):
        def __init__(self):
            self.mine = 1
            self.log_with = "tensorboard"  # one of them has to be told where to log
            self.logging_dir = tmp_path

    class WithStart(Own):
        def on_training_run_start(self, trainer, **kwargs):
            self.mine += 1

        def on_evaluation_run_start(self, trainer, **kwargs):
            self.mine += 1

    for _ in range(2):
        callback = WithStart() if has_own_start else Own()
        train_with(callback)
        assert callback.mine == (3 if has_own_start else 1)
        callback.load_state_dict(callback.state_dict()) if callback.state_dict() else None


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_instances_share_no_state(kind):
    """What is not set by the constructor is on the class, so nothing there may be changed."""
    for name in (name for name in dir(kind) if not name.startswith("__")):
        value = inspect.getattr_static(kind, name)
        assert not isinstance(value, list | dict | set), name


@pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
def test_without_the_constructor_the_settings_are_its_defaults(kind):
    for name, parameter in inspect.signature(kind).parameters.items():
        has_default = parameter.default is not parameter.empty
        if has_default and hasattr(kind, name):
            assert str(getattr(kind, name)) == str(parameter.default)
