"""Methods that older scripts override, underscored ones included."""

from __future__ import annotations

import warnings

import pytest
import torch

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import TrainerCallback, get_default_callbacks
from pytorch_accelerated.schedulers import CosineLrScheduler
from tests.trainer.tiny import Record, Scale, make_trainer, mean_output, ones

RUN = {"train_dataset": ones(8), "per_device_batch_size": 2}  # 4 updates an epoch


class OwnEpoch(Trainer):
    """A training epoch of the user's own, which may say that enough was done."""

    last = 10

    def _run_train_epoch(self, train_dl):
        for batch in train_dl:
            self.backward_step(self.calculate_train_batch_loss(batch)["loss"])
            self.optimizer_step()
            self.scheduler_step()
            self.optimizer_zero_grad()
        return self.run_history.current_epoch == self.last


@pytest.mark.parametrize(("last", "epochs"), [(10, 3), (2, 2)])
def test_a_training_epoch_of_ones_own(last, epochs):
    class Own(OwnEpoch):
        pass

    Own.last = last
    trainer = make_trainer(kind=Own)
    trainer.train(
        **RUN,
        num_epochs=3,
        eval_dataset=ones(2),
        create_scheduler_fn=CosineLrScheduler.create_scheduler_fn(),
    )
    assert trainer.scheduler.num_updates == 4 * epochs
    assert trainer.run_history.current_epoch == epochs + 1
    assert len(trainer.run_history.get_metric_values("eval_loss_epoch")) == epochs


class OwnPreparation(Trainer):
    def _prepare_model_optimizer_and_dataloaders(self):
        self.model, self.optimizer, self._train_dataloader = self._accelerator.prepare(
            self.model, self.optimizer, self._train_dataloader
        )


def test_a_preparation_of_ones_own_can_be_resumed(tmp_path):
    class Save(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 3:
                trainer.save_training_state(tmp_path / "state")

    straight = make_trainer(Save(), kind=OwnPreparation)
    straight.train(**RUN, num_epochs=2)
    resumed = make_trainer(rest := Record(), kind=OwnPreparation)
    resumed.train(**RUN, num_epochs=2, resume_from=tmp_path / "state")
    assert len(rest.used) == 5
    assert resumed.model.weight == straight.model.weight


class Two(Trainer):
    """Two optimizers in a list, and steps that know how to use them."""

    def optimizer_step(self):
        for optimizer in self.optimizer:
            optimizer.step()

    def optimizer_zero_grad(self):
        for optimizer in self.optimizer:
            optimizer.zero_grad()


def test_several_optimizers_may_be_stepped_in_ones_own_way():
    model = Scale()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2)]
    trainer = Two(model, mean_output, optimizers, callbacks=[])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.train(**RUN, num_epochs=1)
    assert model.weight.item() == pytest.approx(-0.8)


def test_a_history_may_hold_other_things_than_numbers(capsys):
    class Confusion(TrainerCallback):
        def on_train_epoch_end(self, trainer, **kwargs):
            trainer.run_history.update_metric("per_class", [0.1, 0.2])
            trainer.run_history.update_metric("best", None)
            trainer.run_history.update_metric("matrix", torch.eye(2))

    trainer = make_trainer(Confusion(), *get_default_callbacks(progress_bar=False))
    trainer.train(**RUN, num_epochs=1)
    assert trainer.run_history.get_latest_metric("per_class") == [0.1, 0.2]
    assert "train_loss -0.1500  per_class [0.1, 0.2]  best None" in capsys.readouterr().out


def test_callbacks_may_be_changed_between_runs():
    trainer = make_trainer(first := Record())
    kept = trainer.callback_handler.callbacks
    trainer.train(**RUN, num_epochs=1)
    kept.append(second := Record())
    ends = []
    first.on_training_run_end = lambda trainer, **kwargs: ends.append(trainer.num_updates)
    trainer.train(**RUN, num_epochs=1)
    assert len(second.used) == 4
    assert ends == [4]
