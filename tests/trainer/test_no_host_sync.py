import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import (
    LimitEvalStepsCallback,
    ModelEmaCallback,
    ScheduleMonitorCallback,
    TrainerCallback,
    get_default_callbacks,
)
from pytorch_accelerated.schedulers import CosineLrScheduler

READS = {"item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"}


class CountMethods(TorchFunctionMode):
    """Counts calls that would make the host wait for a device."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in READS:
            self.calls.append(func.__name__)
        return func(*args, **(kwargs or {}))


class CountReads(TorchDispatchMode):
    """Counts reads of values by the host, however they come about."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (
            torch.ops.aten._local_scalar_dense.default,
            torch.ops.aten.equal.default,
            torch.ops.aten.nonzero.default,
            torch.ops.aten.is_nonzero.default,
        ):
            self.calls.append(str(func))
        return func(*args, **(kwargs or {}))


class WatchSteps(TrainerCallback):
    """Counts from the second batch of each epoch to its last."""

    def __init__(self):
        self.modes = CountMethods(), CountReads()
        self.steps = 0
        self.active = False

    def switch(self, on):
        if on != self.active:
            for mode in self.modes if on else reversed(self.modes):
                mode.__enter__() if on else mode.__exit__(None, None, None)
            self.active = on

    def on_train_step_start(self, trainer, **kwargs):
        self.switch(True)

    def on_train_step_end(self, trainer, step, **kwargs):
        self.steps += 1
        if step + 1 == len(trainer._train_dataloader):
            self.switch(False)

    def on_eval_step_start(self, trainer, **kwargs):
        self.switch(True)
        self.left = getattr(self, "left", len(trainer._eval_dataloader)) - 1

    def on_eval_step_end(self, trainer, **kwargs):
        self.steps += 1
        if self.left == 0:
            self.switch(False)
            del self.left

    @property
    def calls(self):
        return [call for mode in self.modes for call in mode.calls]


class Items(Trainer):
    def calculate_train_batch_loss(self, batch):
        output = super().calculate_train_batch_loss(batch)
        return {**output, "num_items_in_batch": (batch[1] >= 0).sum()}


def run(*callbacks, kind=Trainer, **kwargs):
    watch = WatchSteps()
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = kind(model, nn.functional.cross_entropy, optimizer, callbacks=[*callbacks, watch])
    data = TensorDataset(torch.randn(20, 2), torch.zeros(20, dtype=torch.long))
    trainer.train(data, 1, eval_dataset=data, per_device_batch_size=2, **kwargs)
    assert not watch.active
    assert watch.steps == 10 + 10
    return watch.calls


@pytest.mark.parametrize("kind", [Trainer, Items])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_no_step_reads_a_value_from_the_device(kind, accumulate):
    calls = run(
        *get_default_callbacks(),
        kind=kind,
        gradient_accumulation_steps=accumulate,
        gradient_clip_norm=1.0,
        gradient_clip_value=0.5,
        create_scheduler_fn=CosineLrScheduler.create_scheduler_fn(),
    )
    assert calls == []


def test_no_step_reads_a_value_with_callbacks_that_follow_each_update(tmp_path):
    calls = run(
        ModelEmaCallback(save_path=tmp_path / "ema.pt", evaluate_during_training=False),
        ScheduleMonitorCallback(),
        LimitEvalStepsCallback(3),
    )
    assert calls == []


@pytest.mark.parametrize(
    "read",
    [
        lambda loss: loss.item(),
        lambda loss: float(loss),
        lambda loss: bool(loss > 0),
        lambda loss: loss.tolist(),
        lambda loss: loss.cpu(),
    ],
)
def test_the_count_sees_a_read(read):
    class Reading(TrainerCallback):
        def on_train_step_end(self, trainer, batch_output, **kwargs):
            read(batch_output["loss"].detach())

    assert len(run(Reading())) >= 10
