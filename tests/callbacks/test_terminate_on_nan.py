import math

import pytest
import torch
from torch import nn

from pytorch_accelerated.callbacks import StepBasedEvaluationCallback, TerminateOnNaNCallback


class LossWith(nn.Module):
    """A loss that turns bad at its n-th call."""

    def __init__(self, n, bad=math.nan):
        super().__init__()
        self.n, self.bad, self.calls = n, bad, 0

    def forward(self, output, target):
        self.calls += 1
        loss = ((output - target) ** 2).mean()
        return loss * self.bad if self.calls == self.n else loss


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_bad_loss_ends_the_run_at_the_epochs_end(make_trainer, train, probe, bad):
    nan = TerminateOnNaNCallback()
    ends = probe(on_training_run_end=lambda trainer: None, on_train_epoch_end=lambda trainer: None)
    trainer = make_trainer(nan, ends, loss=LossWith(3, bad))

    train(trainer, num_epochs=4, eval_dataset=None)

    assert nan.triggered
    assert ends.counts == {"on_training_run_end": 1, "on_train_epoch_end": 1}
    assert trainer.loss_func.calls == 6


def test_a_healthy_run_goes_on(make_trainer, train):
    nan = TerminateOnNaNCallback(check_every=1)
    trainer = make_trainer(nan)
    train(trainer, num_epochs=3)
    assert not nan.triggered
    assert len(trainer.run_history.get_metric_values("train_loss_epoch")) == 3


def test_within_an_epoch_the_run_ends_at_most_two_intervals_later(make_trainer, train):
    nan = TerminateOnNaNCallback(check_every=2)
    trainer = make_trainer(nan, loss=LossWith(1))

    train(trainer, num_epochs=4, eval_dataset=None)

    assert nan.triggered
    assert trainer.loss_func.calls == 4


def test_an_infinity_that_a_later_one_cancels_is_still_found(make_trainer, train):
    class Cancelling(LossWith):
        def forward(self, output, target):
            loss = super().forward(output, target)
            return loss * -math.inf if self.calls == self.n + 1 else loss

    nan = TerminateOnNaNCallback()
    train(make_trainer(nan, loss=Cancelling(2, math.inf)), eval_dataset=None)
    assert nan.triggered


def test_evaluation_is_watched_too(make_trainer, dataset):
    nan = TerminateOnNaNCallback()
    trainer = make_trainer(nan, loss=LossWith(2))
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert nan.triggered


def test_a_nan_in_evaluation_does_not_end_a_later_healthy_run(make_trainer, train, dataset):
    nan = TerminateOnNaNCallback()
    trainer = make_trainer(nan, loss=LossWith(2))
    trainer.evaluate(dataset, per_device_batch_size=4)

    train(trainer, num_epochs=2)

    assert not nan.triggered
    assert len(trainer.run_history.get_metric_values("train_loss_epoch")) == 2


def test_training_steps_never_ask_for_a_value(monkeypatch):
    asked = []
    for name in ("item", "__bool__", "__float__", "cpu", "tolist"):
        original = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda self, *args, _original=original, _name=name: (
                asked.append(_name) or _original(self, *args)
            ),
        )
    nan = TerminateOnNaNCallback(check_every=50)
    for step in range(49):
        nan.on_train_step_end(None, None, {"loss": torch.tensor(float(step))}, step)
    assert asked == []


def test_losses_do_not_keep_their_graph():
    nan = TerminateOnNaNCallback()
    loss = (torch.ones(2, requires_grad=True) * 2).sum()
    nan.check_for_nan_after_batch({"loss": loss})
    assert all(kept.grad_fn is None for kept in nan._losses)


def test_an_interval_below_1_is_refused():
    with pytest.raises(ValueError, match="check_every=0 "):
        TerminateOnNaNCallback(check_every=0)


def test_a_bad_loss_of_training_is_told_as_one_before_an_evaluation_within_the_epoch(
    make_trainer, train, capsys
):
    nan = TerminateOnNaNCallback()
    train(make_trainer(nan, StepBasedEvaluationCallback(2), loss=LossWith(1)))
    assert nan.triggered
    assert "a loss in training is NaN" in capsys.readouterr().out
