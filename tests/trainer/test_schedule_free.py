"""Optimizers with a mode of their own: it follows the model's, and costs no exactness."""

from __future__ import annotations

import copy

import pytest
import schedulefree
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated.callbacks import (
    ModelEmaCallback,
    SaveBestModelCallback,
    StepBasedEvaluationCallback,
    TrainerCallback,
)
from pytorch_accelerated.trainer import Trainer
from tests.trainer.tiny import StopAt

SGD = schedulefree.SGDScheduleFree
ADAMW = schedulefree.AdamWScheduleFree
RADAM = schedulefree.RAdamScheduleFree


def wrapped_base(parameters, lr):
    base = torch.optim.SGD(parameters, lr=lr)
    return schedulefree.ScheduleFreeWrapper(base, momentum=0.9)


MAKERS = [SGD, ADAMW, RADAM]


class Moded(torch.optim.SGD):
    """Any optimizer with train() and eval(): its weights in use are ten times those it trains."""

    is_training = False

    @torch.no_grad()
    def train(self):
        if not self.is_training:
            self._scale(0.1)
        self.is_training = True

    @torch.no_grad()
    def eval(self):
        if self.is_training:
            self._scale(10.0)
        self.is_training = False

    def _scale(self, factor):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.mul_(factor)

    def step(self, closure=None):
        assert self.is_training
        return super().step(closure)


class Scaled(Trainer):
    """With a gradient scaler, so that Accelerate's wrapper is around the optimizer."""

    def _create_accelerator(self):
        accelerator = Accelerator(cpu=True)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=1000)
        return accelerator


def data(count=8):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 3, generator=generator)
    return TensorDataset(inputs, inputs.sum(1, keepdim=True))


def make(maker, *callbacks, kind=Trainer):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    return kind(model, nn.MSELoss(), maker(model.parameters(), lr=0.1), callbacks=callbacks)


def train(trainer, epochs=2, **options):
    trainer.train(data(), epochs, per_device_batch_size=2, seed=0, **options)
    return trainer


def by_hand(maker, epochs=2):
    """What the optimizer's authors say to do, with the batches of `train`."""
    batches = []

    class Note(Trainer):
        def calculate_train_batch_loss(self, batch):
            batches.append(batch)
            return super().calculate_train_batch_loss(batch)

    train(make(lambda p, lr: torch.optim.SGD(p, lr=lr), kind=Note), epochs)
    trainer = make(maker)
    model, optimizer = trainer.model, trainer.optimizer
    optimizer.train()
    for inputs, targets in batches:
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
        optimizer.zero_grad()
    optimizer.eval()
    return model.state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("maker", [*MAKERS, wrapped_base, Moded])
def test_training_ends_with_the_weights_that_are_to_be_used(maker):
    trainer = train(make(maker))
    assert same(trainer.model.state_dict(), by_hand(maker))


@pytest.mark.parametrize("maker", [*MAKERS, Moded])
@pytest.mark.parametrize("kind", [Trainer, Scaled])
def test_evaluation_uses_those_weights_and_changes_nothing(maker, kind):
    losses = []

    class Note(TrainerCallback):
        def on_eval_step_end(self, trainer, batch, batch_output, **kwargs):
            losses.append(batch_output["loss"].item())

    evaluated = train(
        make(maker, StepBasedEvaluationCallback(1), Note(), kind=kind), eval_dataset=data(4)
    )
    assert same(evaluated.model.state_dict(), train(make(maker)).model.state_dict())
    evaluated.evaluate(data(4), per_device_batch_size=2)
    assert evaluated.run_history.get_latest_metric(
        "evaluation_loss"
    ) == evaluated.run_history.get_latest_metric("eval_loss_epoch")
    with torch.no_grad():
        inputs, targets = data(4)[2:]
        expected = nn.functional.mse_loss(evaluated.model(inputs), targets).item()
    assert losses[-1] == pytest.approx(expected)


@pytest.mark.parametrize("maker", [SGD, Moded])
def test_an_evaluation_within_a_run_uses_them_too(maker):
    class Evaluate(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            trainer.evaluate(data(4))

    trainer = train(make(maker, Evaluate()))
    assert same(trainer.model.state_dict(), train(make(maker)).model.state_dict())
    values = trainer.run_history.get_metric_values("evaluation_loss")
    trainer.evaluate(data(4))
    assert trainer.run_history.get_latest_metric("evaluation_loss") == pytest.approx(values[-1])


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("options", [{"checkpoint_every": 3}, {}])
def test_a_checkpoint_holds_those_weights_and_resumes_exactly(maker, options, tmp_path):
    straight = train(make(maker), 3, eval_dataset=data(4), checkpoint_dir=tmp_path / "a", **options)
    assert same(straight.model.state_dict(), train(make(maker), 3).model.state_dict())
    trainer = make(maker, StopAt("on_update_end", times=6))
    train(trainer, 3, eval_dataset=data(4), checkpoint_dir=tmp_path / "b", **options)
    newest = sorted((tmp_path / "b").iterdir())[-1]
    assert same(load_file(newest / "model.safetensors"), trainer.model.state_dict())
    resumed = make(maker)
    train(resumed, 3, eval_dataset=data(4), resume=newest, checkpoint_dir=tmp_path / "c", **options)
    assert same(resumed.model.state_dict(), straight.model.state_dict())
    for path in sorted((tmp_path / "c").iterdir()):
        other = tmp_path / "a" / path.name
        names = [file.name for file in path.iterdir() if file.name.endswith(".safetensors")]
        for name in names:
            assert (path / name).read_bytes() == (other / name).read_bytes(), (path, name)


@pytest.mark.parametrize("maker", [*MAKERS, Moded])
def test_the_best_model_is_saved_and_loaded_as_it_was_evaluated(maker, tmp_path):
    path = tmp_path / "best.pt"
    trainer = make(maker, SaveBestModelCallback(path, save_optimizer=maker is not Moded))
    train(trainer, 3, eval_dataset=data(4))
    best = min(trainer.run_history.get_metric_values("eval_loss_epoch"))
    trainer.evaluate(data(4), per_device_batch_size=2)
    assert trainer.run_history.get_latest_metric("evaluation_loss") == best
    other = make(maker)
    other.model.load_state_dict(torch.load(path)["model_state_dict"])
    other.evaluate(data(4), per_device_batch_size=2)
    assert other.run_history.get_latest_metric("evaluation_loss") == best


@pytest.mark.parametrize("maker", [SGD, ADAMW, Moded])
def test_an_average_is_one_of_the_weights_that_are_to_be_used(maker, tmp_path):
    seen = []

    class Note(TrainerCallback):
        def on_optimizer_step_end(self, trainer, **kwargs):
            with trainer.run.evaluation_weights():
                seen.append(copy.deepcopy(trainer.get_model().weight.detach()))

    average = ModelEmaCallback(decay=0.5, save_path=tmp_path / "ema.pt")
    start = make(maker).model.weight.detach().clone()
    trainer = train(make(maker, average, Note()), eval_dataset=data(4))
    assert same(trainer.model.state_dict(), train(make(maker)).model.state_dict())
    expected = start
    for weight in seen:
        expected = 0.5 * expected + 0.5 * weight
    assert torch.allclose(average.ema_model.module.weight, expected)
    other = make(maker)
    saved = torch.load(tmp_path / "ema.pt")["model_state_dict"]
    other.model.load_state_dict(saved)
    other.evaluate(data(4))
    best = min(trainer.run_history.get_metric_values("ema_model_eval_loss_epoch"))
    assert other.run_history.get_latest_metric("evaluation_loss") == pytest.approx(best)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_file_that_is_loaded_within_a_run_is_trained_on(maker, tmp_path):
    class Load(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 2:
                trainer.save_checkpoint(tmp_path / "a.pt")
            if trainer.num_updates == 4:
                trainer.load_checkpoint(tmp_path / "a.pt")
                with trainer.run.evaluation_weights():
                    saved = torch.load(tmp_path / "a.pt")["model_state_dict"]
                    assert all(
                        torch.allclose(saved[name], value)
                        for name, value in trainer.get_model().state_dict().items()
                    )
                trainer.save_training_state(tmp_path / "state")
                trainer.load_training_state(tmp_path / "state")

    trainer = train(make(maker, Load()))
    assert trainer.num_updates == 8


def test_a_second_run_trains_on():
    trainer = make(SGD)
    train(trainer)
    before = trainer.model.weight.detach().clone()
    train(trainer)
    assert not torch.equal(trainer.model.weight, before)


def test_an_error_leaves_the_weights_that_are_to_be_used():
    class Fail(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 3:
                raise OSError("gone")

    trainer = make(SGD, Fail())
    with pytest.raises(OSError, match="gone"):
        train(trainer)
    assert not any(group["train_mode"] for group in trainer.optimizer.param_groups)
