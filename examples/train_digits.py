"""Train a small CNN on handwritten digits: plan, train, compare what was applied with the plan.

Writes metrics, the value of every scheduled field at every update, a picture and a checkpoint to
``runs/digits/``. Exits with 1 if what the optimizer ran with differs from the plan in any bit, or
if the accuracy on the test set is below 97 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import (
    ProgressBarCallback,
    ScheduleMonitorCallback,
    TerminateOnNaNCallback,
    TrainerCallback,
)
from pytorch_accelerated.preview import Preview, compare, preview
from pytorch_accelerated.schedulers import CosineLrScheduler, ParamScheduler
from pytorch_accelerated.schedules import constant, cosine


def digits() -> tuple[TensorDataset, TensorDataset]:
    """Return the training and the test set: 8 × 8 pictures of digits, scaled to [0, 1]."""
    pictures, labels = load_digits(return_X_y=True)
    split = train_test_split(pictures, labels, test_size=0.2, random_state=0, stratify=labels)
    train_x, test_x = (torch.tensor(x / 16.0, dtype=torch.float32) for x in split[:2])
    train_y, test_y = (torch.tensor(y) for y in split[2:])
    return (
        TensorDataset(train_x.view(-1, 1, 8, 8), train_y),
        TensorDataset(test_x.view(-1, 1, 8, 8), test_y),
    )


def convolutional_network() -> nn.Module:
    """Return two convolutions and a linear layer; about 23 000 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64 * 2 * 2, 10),
    )


def two_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return the parameter groups: weights, and everything that is not decayed."""
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [
        {"params": weights, "lr": 3e-3, "weight_decay": 0.05, "name": "weights"},
        {"params": others, "lr": 1e-3, "weight_decay": 0.0, "name": "norms and biases"},
    ]


class ShowPlan(TrainerCallback):
    """Prints the plan of a run before its first update, and keeps it."""

    planned: Preview

    def on_training_run_start(self, trainer: Trainer, **kwargs: Any) -> None:
        config = trainer.run_config
        self.planned = preview(trainer.scheduler, config.max_num_train_steps)
        trainer.print(f"The plan: {config.max_num_train_steps} updates\n{self.planned.table()}\n")


class RecordCurves(TrainerCallback):
    """Keeps the loss of every update on its device, and the accuracy of every evaluation."""

    def __init__(self) -> None:
        self.losses: list[torch.Tensor] = []
        self.correct: list[torch.Tensor] = []

    def on_train_step_end(self, trainer: Trainer, batch_output: Any, **kwargs: Any) -> None:
        self.losses.append(batch_output["loss"].detach())

    def on_eval_epoch_start(self, trainer: Trainer, **kwargs: Any) -> None:
        self.correct.clear()

    def on_eval_step_end(self, trainer: Trainer, batch: Any, batch_output: Any, **kw: Any) -> None:
        self.correct.append(batch_output["model_outputs"].argmax(dim=1) == batch[1])

    def on_eval_epoch_end(self, trainer: Trainer, **kwargs: Any) -> None:
        accuracy = torch.cat(self.correct).float().mean().item()
        trainer.run_history.update_metric("eval_accuracy", accuracy)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=Path("runs/digits"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    train_set, test_set = digits()
    model = convolutional_network()
    show_plan, monitor, curves = ShowPlan(), ScheduleMonitorCallback(), RecordCurves()
    trainer = Trainer(
        model,
        loss_func=nn.functional.cross_entropy,
        optimizer=torch.optim.AdamW(two_groups(model)),
        callbacks=[TerminateOnNaNCallback, show_plan, monitor, curves, ProgressBarCallback],
    )
    trainer.train(
        train_set,
        num_epochs=arguments.epochs,
        eval_dataset=test_set,
        per_device_batch_size=64,
        create_scheduler_fn=[
            CosineLrScheduler.create_scheduler_fn(
                num_warmup_epochs=2, num_cooldown_epochs=1, min_lr_ratio=0.01
            ),
            ParamScheduler.create_scheduler_fn(
                weight_decay=constant(0.5) >> cosine(end=0.1),
            ),
        ],
    )

    history = trainer.run_history
    metrics = {name: history.get_metric_values(name) for name in history.get_metric_names()}
    (arguments.folder / "metrics.json").write_text(json.dumps(metrics, indent=2))
    monitor.write_json(arguments.folder / "applied.json")
    show_plan.planned.to_csv(arguments.folder / "planned.csv")
    figure = show_plan.planned.plot(
        applied=monitor.applied, loss=torch.stack(curves.losses).tolist()
    )
    figure.savefig(arguments.folder / "schedule.png", dpi=150)
    trainer.save_checkpoint(arguments.folder / "checkpoint.pt")

    accuracy = history.get_latest_metric("eval_accuracy")
    print(f"\nTest accuracy: {accuracy:.1%}. Written to {arguments.folder}/.")
    comparison = compare(show_plan.planned, monitor.applied)
    print(comparison)
    return 0 if comparison and accuracy >= 0.97 else 1


if __name__ == "__main__":
    sys.exit(main())
