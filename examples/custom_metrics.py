"""Metrics of your own: in the loop, in a callback, and with torchmetrics if it is installed.

All of them end up in the run history, beside the losses, and are printed after each epoch. They
are right on several processes too, whose shares of the data may differ in size.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset, random_split

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import (
    LogMetricsCallback,
    TerminateOnNaNCallback,
    TorchMetricsCallback,
    TrainerCallback,
)


class TrainerWithAccuracy(Trainer):
    """In the loop: gather what each batch gives, and record a number when the epoch ends."""

    def eval_epoch_start(self) -> None:
        super().eval_epoch_start()
        self.is_correct: list[torch.Tensor] = []

    def calculate_eval_batch_loss(self, batch: Any) -> dict[str, Any]:
        output = super().calculate_eval_batch_loss(batch)
        is_correct = output["model_outputs"].argmax(dim=1) == batch[1]
        self.is_correct.append(is_correct.long())
        return output

    def eval_epoch_end(self) -> None:
        # A padding value, which no entry has, lets the processes have different numbers of samples.
        is_correct = self.gather(torch.cat(self.is_correct), padding_value=-1)
        self.run_history.update_metric("eval_accuracy", is_correct.float().mean().item())


class RecallOfEachClass(TrainerCallback):
    """In a callback: the same Trainer, with or without it."""

    def on_eval_epoch_start(self, trainer: Trainer, **kwargs: Any) -> None:
        self.counts = torch.zeros(2, 10, device=trainer.device)

    def on_eval_step_end(self, trainer: Trainer, batch: Any, batch_output: Any, **kw: Any) -> None:
        targets, predictions = batch[1], batch_output["model_outputs"].argmax(dim=1)
        self.counts[0] += torch.bincount(targets[predictions == targets], minlength=10)
        self.counts[1] += torch.bincount(targets, minlength=10)

    def on_eval_epoch_end(self, trainer: Trainer, **kwargs: Any) -> None:
        correct, total = trainer.gather(self.counts[None]).sum(dim=0)
        trainer.run_history.update_metric("eval_lowest_recall", (correct / total).min().item())


def metrics_of_torchmetrics() -> list[TrainerCallback]:
    try:
        from torchmetrics.classification import MulticlassF1Score
    except ImportError:
        return []
    return [TorchMetricsCallback({"f1": MulticlassF1Score(10, average="macro")})]


def main() -> tuple[Trainer, TensorDataset]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    epochs = parser.parse_args().epochs

    torch.manual_seed(0)
    pictures, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(pictures / 16).float(), torch.tensor(labels))
    train_set, test_set = random_split(digits, [0.8, 0.2])
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    trainer = TrainerWithAccuracy(
        model,
        loss_func=nn.functional.cross_entropy,
        optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3),
        callbacks=[
            TerminateOnNaNCallback,
            RecallOfEachClass,
            *metrics_of_torchmetrics(),
            LogMetricsCallback,
        ],
    )
    trainer.train(train_set, num_epochs=epochs, eval_dataset=test_set, per_device_batch_size=32)
    return trainer, test_set


if __name__ == "__main__":
    main()
