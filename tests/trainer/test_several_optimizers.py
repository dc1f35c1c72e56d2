"""A Trainer with a list of optimizers, which are stepped, clipped, skipped and saved as one."""

from __future__ import annotations

import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ScheduleMonitorCallback
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import absolute, linear
from tests.trainer.test_mixed_precision import Scaled
from tests.trainer.tiny import StopAt, mean_output


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.matrix = nn.Linear(2, 2, bias=False)
        self.head = nn.Linear(2, 1)

    def forward(self, x: Any) -> Any:
        return self.head(torch.tanh(self.matrix(x)))


DATA = torch.utils.data.TensorDataset(
    torch.linspace(-1, 1, 16).reshape(8, 2), torch.linspace(0, 1, 8).reshape(8, 1)
)
CREATE = ParamScheduler.create_scheduler_fn(
    lr="linear(end=0.0)", momentum={"Muon": linear(4, start=absolute(0.5), end=absolute(0.9))}
)


def optimizers_of(model: Net) -> list[Any]:
    return [
        torch.optim.Muon(model.matrix.parameters(), lr=0.02, momentum=0.9),
        torch.optim.AdamW(model.head.parameters(), lr=0.1),
    ]


def trainer_of(*callbacks: Any, kind: Any = Trainer, order: int = 1, loss: Any = None) -> Any:
    model = Net()
    loss = nn.MSELoss() if loss is None else loss
    return kind(model, loss, optimizers_of(model)[::order], callbacks=callbacks)


def train(trainer: Any, num_epochs: int = 2, **options: Any) -> Any:
    options = {"per_device_batch_size": 2, "create_scheduler_fn": CREATE, "seed": 1, **options}
    trainer.train(DATA, num_epochs, **options)
    return trainer


def weights(trainer: Any) -> list[Any]:
    return [weight.tolist() for weight in trainer.model.parameters()]


def test_each_is_stepped_as_planned_and_all_as_in_a_loop_by_hand() -> None:
    monitor = ScheduleMonitorCallback()
    trainer = trainer_of(monitor)
    given = trainer.optimizer
    train(trainer, train_dataloader_kwargs={"shuffle": False}, gradient_clip_norm=0.05)
    assert trainer.optimizer is given
    assert type(given) is list
    model = Net()
    muon, adamw = optimizers_of(model)
    plan = linear(8, end=0.0)
    for k in range(8):
        muon.param_groups[0]["lr"], adamw.param_groups[0]["lr"] = plan(k, 0.02), plan(k, 0.1)
        momentum = linear(4, start=absolute(0.5), end=absolute(0.9))(k, 0.9)
        muon.param_groups[0]["momentum"] = momentum
        assert monitor.applied["lr"][k] == [plan(k, 0.02), plan(k, 0.1)]
        assert monitor.applied["momentum"][k] == [momentum, None]
        inputs, targets = (part[k % 4 * 2 :][:2] for part in DATA.tensors)
        nn.functional.mse_loss(model(inputs), targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        for one in (muon, adamw):
            one.step()
            one.zero_grad()
    assert weights(trainer) == [weight.tolist() for weight in model.parameters()]
    assert trainer.scheduler.get_last_lr() == [0.0, 0.0]


class OneOverflows(Scaled):
    """Overflows in the gradients of one of the optimizers only."""

    def backward_step(self, loss: Any) -> None:
        super().backward_step(loss)
        if self.batches - 1 in self.overflow_at:
            self.model.head.bias.grad.fill_(torch.inf)

    def _clip_gradients(self) -> None:
        # As Accelerate does where it computes in half precision, which needs a GPU.
        self._accelerator.scaler.unscale_(self.run.optimizer)
        super()._clip_gradients()


@pytest.mark.parametrize("norm", [None, 0.05])
def test_mixed_precision_skips_all_of_them_or_none_and_unscales_once(norm: Any) -> None:
    monitor = ScheduleMonitorCallback()
    options = {"train_dataloader_kwargs": {"shuffle": False}, "gradient_clip_norm": norm}
    scaled, plain = trainer_of(monitor, kind=OneOverflows), train(trainer_of(), **options)
    train(scaled, **options)
    torch.testing.assert_close(weights(scaled), weights(plain))
    skipping = trainer_of(kind=OneOverflows)
    skipping.overflow_at = (0, 1, 2)
    before = weights(skipping)
    only_lr = ParamScheduler.create_scheduler_fn(lr="linear(end=0.0)")
    train(skipping, 1, max_num_train_steps=1, create_scheduler_fn=only_lr, **options)
    assert skipping.num_updates == 1
    assert skipping.batches == 4
    # A first update of both has moved every weight once; none has moved by itself before.
    assert skipping.optimizer[1].state[skipping.model.head.bias]["step"] == 1.0
    assert all(now != then for now, then in zip(weights(skipping), before, strict=True))
    assert type(skipping.optimizer) is list
    assert type(skipping.optimizer[0]) is torch.optim.Muon


@pytest.mark.parametrize("order", [1, -1], ids=["same order", "other order"])
def test_a_run_resumes_exactly_by_class_and_place(order: int, tmp_path: Any) -> None:
    straight = train(trainer_of())
    first = trainer_of(StopAt("on_update_end", 3))
    train(first, checkpoint_dir=tmp_path)
    resumed = trainer_of(order=order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if order < 0 else "error")
        train(resumed, checkpoint_dir=tmp_path, resume=tmp_path, checkpoint_every=4)
    assert weights(resumed) == weights(straight)


def test_another_list_of_optimizers_is_refused_before_anything_changes(tmp_path: Any) -> None:
    train(trainer_of(), 1, checkpoint_dir=tmp_path)
    model = Net()
    muon, adamw = optimizers_of(model)
    both = torch.optim.SGD(model.parameters(), lr=0.1)
    for other in (adamw, [adamw], [both, adamw], [torch.optim.AdamW(muon.param_groups), adamw]):
        trainer = Trainer(model, nn.MSELoss(), other, callbacks=())
        with pytest.raises(ValueError, match=r"holds the state of a torch.*Muon, torch.*AdamW"):
            train(trainer, 2, create_scheduler_fn=None, resume=tmp_path)
    alone = Trainer(model, nn.MSELoss(), both, callbacks=())
    train(alone, 1, create_scheduler_fn=None, checkpoint_dir=tmp_path / "single")
    several = Trainer(model, nn.MSELoss(), [muon, adamw], callbacks=())
    with pytest.raises(ValueError, match=r"Muon, .* holds the state of a torch.*SGD"):
        train(several, 2, resume=tmp_path / "single")


def test_one_file_holds_the_state_of_each_and_loads_all_or_nothing(tmp_path: Any) -> None:
    first = train(trainer_of(), 1)
    first.save_checkpoint(tmp_path / "x.pt")
    fresh = trainer_of()
    fresh.load_checkpoint(tmp_path / "x.pt")
    assert weights(fresh) == weights(first)
    for one, other in zip(fresh.optimizer, first.optimizer, strict=True):
        assert str(one.state_dict()) == str(other.state_dict())
    model = Net()
    others = Trainer(model, nn.MSELoss(), [optimizers_of(model)[0]], callbacks=())
    before = weights(others)
    with pytest.raises(ValueError, match=r"of the optimizers Muon, AdamW, but .* one of Muon"):
        others.load_checkpoint(tmp_path / "x.pt")
    assert weights(others) == before


def test_schedulers_of_pytorch_are_made_for_each() -> None:
    step = torch.optim.lr_scheduler.StepLR
    with pytest.raises(TypeError, match=r"each scheduler of PyTorch is for one optimizer.*lambda"):
        train(trainer_of(), create_scheduler_fn=lambda optimizer: step(optimizer, 2))
    trainer = trainer_of()
    train(trainer, create_scheduler_fn=lambda optimizers: [step(one, 4, 0.5) for one in optimizers])
    assert [one.param_groups[0]["lr"] for one in trainer.optimizer] == [0.005, 0.025]


def test_what_is_in_the_list_is_an_optimizer() -> None:
    model = Net()
    with pytest.raises(TypeError, match=r"optimizer\[1\] is a Linear, which has no list"):
        Trainer(model, mean_output, [optimizers_of(model)[0], nn.Linear(1, 1)])


def test_all_is_freed_at_once() -> None:
    trainer = train(trainer_of(), 1)
    gc.disable()
    try:
        reference = weakref.ref(trainer.optimizer[0])
        del trainer
        assert reference() is None
    finally:
        gc.enable()
