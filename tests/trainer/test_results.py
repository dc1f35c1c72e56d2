"""What train, evaluate and predict return, and what the Trainer computes on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import TrainerCallback
from tests.trainer.tiny import Watched, make_trainer, numbers, ones

VALUES = torch.arange(10.0)
DATA = TensorDataset(VALUES, (VALUES > 3).float())


def test_train_returns_the_history_and_evaluate_what_it_recorded():
    trainer = make_trainer(metrics={"mean": lambda outputs, targets: outputs.mean()})
    history = trainer.train(ones(4), 1, eval_dataset=ones(2))
    assert history is trainer.run_history
    assert set(history.get_metric_names()) == {"train_loss_epoch", "eval_loss_epoch", "eval_mean"}
    nn.init.ones_(trainer.model.weight)
    assert trainer.evaluate(numbers(2.0, 4.0)) == {"evaluation_loss": 3.0, "evaluation_mean": 3.0}
    assert history.get_latest_metric("evaluation_mean") == 3.0


def test_an_evaluate_of_ones_own_may_return_nothing():
    class Own(Trainer):
        def evaluate(self, *args, **kwargs):
            super().evaluate(*args, **kwargs)

    trainer = make_trainer(kind=Own)
    assert trainer.evaluate(ones(2)) is None
    assert trainer.run_history.get_metric_names() == ["evaluation_loss"]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10])
def test_functions_are_averaged_over_samples(batch_size):
    model = nn.Linear(1, 3)
    x = torch.randn(10, 1)
    targets = torch.arange(10) % 3
    metrics = {
        "each": lambda outputs, targets: outputs.argmax(1) == targets,
        "batch": lambda outputs, targets: (outputs.argmax(1) == targets).double().mean().item(),
        "theirs": MulticlassAccuracy(3, average="micro"),
    }
    trainer = Trainer(
        model,
        nn.functional.cross_entropy,
        torch.optim.SGD(model.parameters()),
        callbacks=(),
        metrics=metrics,
    )
    found = trainer.evaluate(TensorDataset(x, targets), per_device_batch_size=batch_size)
    exact = (model(x).argmax(1) == targets).sum().item() / 10
    assert found["evaluation_each"] == pytest.approx(exact, rel=1e-15)
    assert found["evaluation_batch"] == pytest.approx(exact, rel=1e-15)
    assert found["evaluation_theirs"] == pytest.approx(exact, rel=1e-6)
    assert trainer.evaluate(TensorDataset(x, targets)) == pytest.approx(found, rel=1e-6)


def test_a_metric_of_another_size_and_a_loss_without_outputs_are_refused():
    with pytest.raises(
        ValueError, match=r"metrics\['m'\] returned \(3,\) numbers for a batch of 2"
    ):
        make_trainer(metrics={"m": lambda outputs, targets: torch.ones(3)}).evaluate(ones(2))

    class Own(Trainer):
        def calculate_eval_batch_loss(self, batch):
            return {"loss": batch[0].mean(), "batch_size": len(batch[0])}

    with pytest.raises(ValueError, match="return them as model_outputs"):
        make_trainer(metrics={"m": lambda outputs, targets: 0}, kind=Own).evaluate(ones(2))


def test_an_evaluation_within_a_run_has_the_trainers_metrics():
    class Evaluate(TrainerCallback):
        def __init__(self):
            self.found = []

        def on_training_run_epoch_end(self, trainer, **kwargs):
            self.found += [trainer.evaluate(ones(3)), trainer.predict(numbers(1.0, 2.0))]

    evaluate = Evaluate()
    metrics = {"outputs": lambda outputs, targets: outputs}
    trainer = make_trainer(evaluate, metrics=metrics)
    history = trainer.train(ones(4), 1, eval_dataset=numbers(2.0), per_device_batch_size=4)
    weight = trainer.model.weight.item()
    assert evaluate.found[0] == {"evaluation_loss": weight, "evaluation_outputs": weight}
    assert evaluate.found[1].tolist() == [weight, 2 * weight]
    assert history.get_metric_values("eval_outputs") == [2 * weight]


# Predictions


def test_predictions_come_in_order_and_leave_everything_as_it_was():
    trainer = make_trainer()
    trainer.train(ones(4), 1, eval_dataset=(eval_set := ones(2)))
    nn.init.ones_(trainer.model.weight)
    trainer.model.train()
    before = trainer.run, trainer.run_config, trainer.run_history.state_dict()
    for data in (DATA, VALUES, DataLoader(DATA, batch_size=4)):
        outputs = trainer.predict(data, per_device_batch_size=3)
        assert torch.equal(outputs, VALUES)
        assert not outputs.requires_grad
    assert (trainer.run, trainer.run_config, trainer.run_history.state_dict()) == before
    assert trainer.eval_dataset is eval_set
    assert trainer.model.training


def test_outputs_of_several_parts():
    class Parts(Trainer):
        def predict_batch(self, batch):
            (x, y) = batch
            return {"pair": (x, y + 1), "each": [f"{value:.0f}" for value in x]}

    found = make_trainer(kind=Parts).predict(DATA, per_device_batch_size=4)
    assert torch.equal(found["pair"][0], VALUES)
    assert torch.equal(found["pair"][1], DATA.tensors[1] + 1)
    assert found["each"] == [str(i) for i in range(10)]


def test_predictions_that_cannot_be_made_are_refused():
    trainer = make_trainer()
    with pytest.raises(ValueError, match="shuffle=False"):
        trainer.predict(DataLoader(DATA, shuffle=True))
    with pytest.raises(TypeError, match="override predict_batch"):
        trainer.predict([{"x": 1.0}])

    class Uneven(Trainer):
        def predict_batch(self, batch):
            return torch.ones(len(batch[0]), len(batch[0]))

    with pytest.raises(ValueError, match="do not fit together"):
        make_trainer(kind=Uneven).predict(DATA, per_device_batch_size=4)
    with pytest.raises(ValueError, match="give a dataset"):
        trainer.predict(None)


# Data loaders in place of data sets


def losses_of(data, folder=None, stop_at=None, **options):
    """The losses of all batches of a run, which may be stopped, and its weights."""

    class Losses(TrainerCallback):
        def __init__(self):
            self.losses = []

        def on_train_step_end(self, trainer, batch_output, **kwargs):
            self.losses.append(batch_output["loss"].item())

        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == stop_at:
                raise KeyboardInterrupt

    losses = Losses()
    trainer = make_trainer(losses, loss=lambda outputs, targets: outputs.square().mean())
    nn.init.ones_(trainer.model.weight)
    trainer.train(data, 2, eval_dataset=data, seed=3, checkpoint_dir=folder, **options)
    assert trainer.run_config.train_per_device_batch_size == 3
    return losses.losses


def test_a_loader_trains_as_its_data_set_and_resumes_at_the_very_batch(tmp_path):
    def loader():
        return DataLoader(DATA, batch_size=3, shuffle=True)

    expected = losses_of(DATA, per_device_batch_size=3)
    assert losses_of(loader()) == expected
    with pytest.raises(KeyboardInterrupt):
        losses_of(loader(), tmp_path, stop_at=6, checkpoint_every=1)
    assert losses_of(loader(), tmp_path, resume="auto") == expected[5:]


def test_a_loaders_own_arguments_are_not_given_again():
    loader = DataLoader(ones(4), batch_size=2)
    with pytest.raises(ValueError, match=r"^train_dataset is a DataLoader.*'num_workers'"):
        make_trainer().train(loader, 1, train_dataloader_kwargs={"num_workers": 0})
    with pytest.raises(ValueError, match=r"^dataset is empty"):
        make_trainer().evaluate(DataLoader(ones(0)))


# Devices, precision, compilation


@pytest.mark.usefixtures("own_accelerator_state")
def test_precision_and_compilation_are_those_of_each_trainer():
    model, calls = Watched(), []

    def backend(graph, inputs):
        calls.append(len(inputs))
        return graph.forward

    def trained(**options):
        model.dtypes.clear()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trainer = Trainer(model, nn.functional.mse_loss, optimizer, (), **options)
        x = torch.ones(2, 1)
        trainer.train(TensorDataset(x, x), 1)
        assert trainer.model is model
        return trainer.run_config.mixed_precision

    assert trained(mixed_precision="bf16", device="cpu") == "bf16"
    assert model.dtypes == [torch.bfloat16]
    # Nothing is left of it for one that asks for nothing.
    assert trained() == "no"
    assert model.dtypes == [torch.float32]
    assert trained(mixed_precision="no", compile={"backend": backend}) == "no"
    assert calls


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"mixed_precision": "bfloat16"}, ValueError, "Write mixed_precision='bf16'"),
        ({"device": "gpu"}, ValueError, "device='gpu'.*Write device='cpu' or 'cuda'"),
        ({"device": 0}, TypeError, "device=0 is an int"),
        ({"device": "cuda:1"}, ValueError, "device='cuda:1': Accelerate gives this process 'cpu'"),
        ({"compile": "max-autotune"}, TypeError, "compile={'mode': 'max-autotune'}"),
        ({"compile": {"modus": 1}}, ValueError, "compile holds 'modus'"),
        ({"metrics": {"m": 1.0}}, TypeError, r"metrics\['m'\]=1.0 has no method update"),
    ],
)
def test_what_is_not_known_is_refused_at_once(options, error, message):
    with pytest.raises(error, match=message):
        make_trainer(**options)


def test_a_trainer_shows_what_it_is_made_of():
    trainer = make_trainer()
    trainer.train(ones(4), 1, per_device_batch_size=2)
    assert repr(trainer) == "Trainer(Scale of 1 parameters, SGD, mean_output, cpu, 2 updates made)"
