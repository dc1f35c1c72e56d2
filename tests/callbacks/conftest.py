import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.trainer import Trainer


class ScriptedTrainer(Trainer):
    """Records given values, one an epoch, as the metric ``score``."""

    def script(self, *scores):
        self._scores = iter(scores)
        return self

    def training_run_epoch_end(self):
        if hasattr(self, "_scores"):
            self.run_history.update_metric("score", next(self._scores))


class Probe(TrainerCallback):
    """Calls functions at events, and counts how often."""

    def __init__(self, **functions):
        self.functions = functions
        self.counts = {}
        for event in functions:
            setattr(
                self,
                event,
                lambda trainer, _event=event, **kwargs: self._call(_event, trainer, kwargs),
            )

    def _call(self, event, trainer, kwargs):
        self.counts[event] = self.counts.get(event, 0) + 1
        self.functions[event](trainer, **kwargs)


@pytest.fixture
def probe():
    return Probe


@pytest.fixture
def dataset():
    """24 samples: 6 batches of 4."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, generator=generator)
    return TensorDataset(x, x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3)


@pytest.fixture
def make_trainer():
    def make(*callbacks, model=None, lr=0.05, trainer=ScriptedTrainer, loss=None, **kwargs):
        if model is None:
            model = nn.Linear(3, 1)
            nn.init.zeros_(model.weight)
            nn.init.zeros_(model.bias)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.5)
        return trainer(
            model=model,
            loss_func=loss or nn.MSELoss(),
            optimizer=optimizer,
            callbacks=list(callbacks),
            **kwargs,
        )

    return make


@pytest.fixture
def train(dataset):
    def train(trainer, num_epochs=1, **kwargs):
        kwargs.setdefault("eval_dataset", dataset)
        kwargs.setdefault("train_dataset", dataset)
        trainer.train(num_epochs=num_epochs, per_device_batch_size=4, **kwargs)
        return trainer

    return train
