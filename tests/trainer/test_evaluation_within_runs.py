"""evaluate() and train() while a run is on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import (
    ModelEmaCallback,
    TorchMetricsCallback,
    TrainerCallback,
)
from tests.checkpoints.runs import Data, DieAt, Interrupted, make, outcome, train
from tests.trainer.tiny import Mixed, StopAt, Trace, Watched, make_trainer, numbers, ones

EVENTS = [
    "on_training_run_start",
    "on_train_step_end",
    "on_update_end",
    "on_train_epoch_end",
    "on_eval_step_end",
    "on_eval_epoch_end",
    "on_training_run_epoch_end",
    "on_training_run_end",
]


def doubled(samples):
    x, y = zip(*samples, strict=True)
    return 2 * torch.stack(x), torch.stack(y)


class EvaluateAt(TrainerCallback):
    def __init__(self, *events, data=None, **kwargs):
        self.data, self.kwargs = data or numbers(1.0, 2.0, 6.0), kwargs
        for event in events:
            setattr(self, event, self._evaluate)

    def _evaluate(self, trainer, **kwargs):
        trainer.evaluate(self.data, **self.kwargs)


class Mean:
    """A metric of what the model gives."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.values = []

    def update(self, outputs, targets):
        self.values += outputs.flatten().tolist()

    def compute(self):
        return sum(self.values) / len(self.values)


@pytest.mark.parametrize("event", EVENTS)
def test_a_run_goes_on_as_if_nothing_had_been_evaluated(event, tmp_path):
    def run(name, *callbacks):
        torch.manual_seed(0)
        ema = ModelEmaCallback(save_path=tmp_path / "ema.pt", watch_metric="eval_loss_epoch")
        metrics = TorchMetricsCallback({"mean": Mean()}, phases=("train", "eval"))
        trace = Trace()
        trainer = make(ema, metrics, *callbacks, trace)
        train(
            trainer,
            tmp_path / name,
            num_epochs=2,
            eval_dataset=(evaluated := ones_of(5)),
            gradient_accumulation_steps=2,
            seed=3,
        )
        assert trainer.eval_dataset is evaluated
        assert isinstance(trainer.train_dataset, Data)
        assert trainer.collate_fn is None
        assert trainer.run_config.num_epochs == 2
        assert len(trainer._eval_dataloader) == 2
        rest = outcome(trainer)
        others = rest["history"].pop("evaluation_loss", [])
        return rest, trainer.run_config, trace.names, torch.get_rng_state().tolist(), others

    evaluate = EvaluateAt(event, data=ones_of(3), per_device_batch_size=2, collate_fn=doubled)
    *expected, none = run("plain")
    *there, others = run("evaluating", evaluate)
    assert there == expected
    assert not none
    assert len(others) == expected[2].count(event)


def ones_of(count):
    return TensorDataset(torch.ones(count, 2), torch.zeros(count, 1))


def test_it_evaluates_the_model_as_it_is_at_that_moment():
    evaluate = EvaluateAt("on_update_end", per_device_batch_size=2)
    trainer = make_trainer(evaluate)
    trainer.train(ones(2), 2, per_device_batch_size=1)
    values = trainer.run_history.get_metric_values("evaluation_loss")
    # Each update takes 0.1 from the weight, and the data have a mean of 3.
    assert values == pytest.approx([-0.3, -0.6, -0.9, -1.2])


def test_a_run_that_evaluates_other_data_is_resumed_exactly(tmp_path):
    events = ("on_update_end", "on_train_epoch_end", "on_eval_epoch_end")

    def run(name, *callbacks):
        trainer = make(EvaluateAt(*events, data=ones_of(3)), *callbacks)
        return train(trainer, tmp_path / name, eval_dataset=Data(5))

    straight = run("straight")
    for event, n in (
        ("on_train_step_end", 5),
        ("on_eval_epoch_end", 1),
        ("on_training_run_epoch_end", 1),
    ):
        with pytest.raises(Interrupted):
            run("died", DieAt(n, event))
    assert outcome(run("died")) == outcome(straight)


def test_other_data_may_draw_random_numbers_without_changing_what_training_draws():
    def run(*callbacks):
        torch.manual_seed(0)
        return outcome(train(make(*callbacks)))["weights"]

    assert run(EvaluateAt("on_update_end", "on_train_epoch_end", data=Data(3))) == run()


@pytest.mark.parametrize("event", ["on_train_epoch_end", "on_eval_epoch_end"])
def test_a_state_saved_after_it_is_as_without_it(event, tmp_path):
    """What is still to be evaluated is, and what was evaluated is not evaluated again."""

    class Save(TrainerCallback):
        def _save(self, trainer, **kwargs):
            if trainer.run_history.current_epoch == 1:
                trainer.save_training_state(tmp_path / "state")

    save = Save()
    setattr(save, event, save._save)
    straight = make(EvaluateAt(event, data=ones_of(3)), save)
    train(straight, eval_dataset=Data(5))
    resumed = make(EvaluateAt(event, data=ones_of(3)))
    train(resumed, eval_dataset=Data(5), resume_from=tmp_path / "state")
    assert outcome(resumed) == outcome(straight)


def test_an_evaluation_run_may_evaluate_other_data():
    trainer = make_trainer(EvaluateAt("on_evaluation_run_end"))
    nn.init.ones_(trainer.model.weight)
    trainer.evaluate(numbers(5.0))
    assert trainer.run_history.get_metric_values("evaluation_loss") == [5.0, 3.0]
    assert len(trainer.eval_dataset) == 1


@pytest.mark.parametrize("data", [numbers(), [], 5])
def test_data_that_cannot_be_evaluated_on_is_refused_and_leaves_the_run_as_it_was(data):
    class Evaluate(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            with pytest.raises((ValueError, TypeError), match=r"^dataset is "):
                trainer.evaluate(data)

    trainer = make_trainer(Evaluate())
    trainer.train(train_set := ones(4), 2, eval_dataset=(eval_set := ones(2)))
    assert (trainer.train_dataset, trainer.eval_dataset) == (train_set, eval_set)
    assert len(trainer.run_history.get_metric_values("eval_loss_epoch")) == 2


@pytest.mark.usefixtures("own_accelerator_state")
def test_mixed_precision_is_that_of_the_run_also_at_its_end():
    data = TensorDataset(torch.ones(4, 1), torch.zeros(4, 1))
    evaluate = EvaluateAt("on_training_run_epoch_end", "on_training_run_end", data=data)
    model = Watched()
    trainer = make_trainer(evaluate, model=model, loss=nn.functional.mse_loss, kind=Mixed)
    trainer.train(data, 1)
    assert model.dtypes == [torch.bfloat16] * 3
    assert trainer.model is model
    assert trainer.model(torch.ones(1, 1)).dtype == torch.float32
    assert {"forward", "_original_forward"}.isdisjoint(vars(trainer.model))


@pytest.mark.parametrize("event", [*EVENTS, "on_prepare_start"])
def test_training_within_a_run_is_refused(event):
    class TrainAgain(TrainerCallback):
        def _train(self, trainer, **kwargs):
            trainer.train(ones(2), 1)

    again = TrainAgain()
    setattr(again, event, again._train)
    trainer = make_trainer(again)
    with pytest.raises(RuntimeError, match=r"^train\(\) was called while a run .* is on"):
        trainer.train(train_set := ones(4), 2, eval_dataset=ones(2))
    assert trainer.train_dataset is train_set
    delattr(again, event)
    trainer.train(ones(4), 2, per_device_batch_size=2)
    assert trainer.num_updates == 4


def test_training_within_an_evaluation_within_a_run_is_refused():
    class Nested(Trainer):
        is_asked = False

        def eval_epoch_start(self):
            if self.is_asked:
                self.train(ones(2), 1)

    class Evaluate(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            trainer.is_asked = True
            trainer.evaluate(ones(2))

    trainer = make_trainer(Evaluate(), kind=Nested)
    with pytest.raises(RuntimeError, match="while a run of this Trainer is on"):
        trainer.train(ones(4), 2)


@pytest.mark.parametrize("event", ["on_train_step_end", "on_train_epoch_end", "on_eval_step_end"])
def test_a_stopped_run_leaves_the_model_as_one_that_ends(event):
    trainer = make_trainer(StopAt(event, 1))
    trainer.train(ones(4), 2, eval_dataset=ones(2))
    assert not trainer.model.training


def test_training_within_an_evaluation_run_is_refused():
    class TrainAgain(TrainerCallback):
        def on_evaluation_run_end(self, trainer, **kwargs):
            trainer.train(ones(2), 1)

    with pytest.raises(RuntimeError, match="while a run of this Trainer is on"):
        make_trainer(TrainAgain()).evaluate(ones(2))
