"""An event of your own: the Trainer fires it, and callbacks with a method of its name hear it.

Here the gradients are looked at when they are complete, right before each optimizer update; the
mean norm of each layer's gradient is recorded after each epoch.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import LogMetricsCallback, TrainerCallback


class TrainerWithGradientEvent(Trainer):
    def optimizer_step(self) -> None:
        gradients = {
            name: parameter.grad
            for name, parameter in self.get_model().named_parameters()
            if parameter.grad is not None
        }
        self.callback_handler.call_event("on_gradients_complete", self, gradients=gradients)
        super().optimizer_step()


class RecordGradientNorms(TrainerCallback):
    """Adds up the norms on their device, and looks at them once an epoch."""

    def on_train_epoch_start(self, trainer: Trainer, **kwargs: Any) -> None:
        self.norms: dict[str, torch.Tensor] = {}
        self.num_updates = 0

    def on_gradients_complete(self, trainer: Trainer, gradients: dict[str, torch.Tensor]) -> None:
        self.num_updates += 1
        for name, gradient in gradients.items():
            self.norms[name] = self.norms.get(name, 0) + gradient.norm()

    def on_train_epoch_end(self, trainer: Trainer, **kwargs: Any) -> None:
        for name, norm in self.norms.items():
            trainer.run_history.update_metric(
                f"train_gradient_norm_{name}", norm.item() / self.num_updates
            )


def main() -> Trainer:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=5)
    epochs = parser.parse_args().epochs

    torch.manual_seed(0)
    pictures, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(pictures / 16).float(), torch.tensor(labels))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    trainer = TrainerWithGradientEvent(
        model,
        loss_func=nn.functional.cross_entropy,
        optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3),
        callbacks=[RecordGradientNorms, LogMetricsCallback],
    )
    # Four batches an update: the event comes once an update, with the gradient of all four.
    trainer.train(
        digits, num_epochs=epochs, per_device_batch_size=16, gradient_accumulation_steps=4
    )
    return trainer


if __name__ == "__main__":
    main()
