"""Fine-tuning: train a new head on a frozen network, then unfreeze it, with smaller rates below.

The network learns the digits 0 to 4; then it gets a new head for 5 to 9. The unfrozen layers are
added to the optimizer in the middle of the run and join the schedule: each group follows it from
the base value that it was added with.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
from pytorch_accelerated.finetuning import ModelFreezer
from pytorch_accelerated.schedulers import CosineLrScheduler


class UnfreezeAtEpoch(TrainerCallback):
    """Unfreezes all layers; the further a layer group is from the head, the smaller its rate.

    For one process: with several, unfreeze between two calls of ``train()``, since distributed
    training decides at a run's start which gradients it exchanges.
    """

    def __init__(self, freezer: ModelFreezer, epoch: int, lr: float, shrink: float = 0.5) -> None:
        self.freezer, self.epoch, self.lr, self.shrink = freezer, epoch, lr, shrink

    def on_train_epoch_start(self, trainer: Trainer, **kwargs: Any) -> None:
        if trainer.run_history.current_epoch == self.epoch:
            for index, group in self.freezer.unfreeze().items():
                distance = self.freezer.num_groups - 1 - index
                lr = self.lr * self.shrink**distance
                trainer.optimizer.add_param_group({**group, "lr": lr, "name": f"group {index}"})
            # The scheduler's next step would include them; this update should have its values too.
            trainer.scheduler.step_update(trainer.num_updates)


class RecordAccuracy(TrainerCallback):
    def on_eval_epoch_start(self, trainer: Trainer, **kwargs: Any) -> None:
        self.is_correct: list[torch.Tensor] = []

    def on_eval_step_end(self, trainer: Trainer, batch: Any, batch_output: Any, **kw: Any) -> None:
        self.is_correct.append(batch_output["model_outputs"].argmax(dim=1) == batch[1])

    def on_eval_epoch_end(self, trainer: Trainer, **kwargs: Any) -> None:
        accuracy = torch.cat(self.is_correct).float().mean().item()
        trainer.run_history.update_metric("eval_accuracy", accuracy)


def main() -> tuple[Trainer, ScheduleMonitorCallback]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10, help="of fine-tuning")
    epochs = parser.parse_args().epochs

    torch.manual_seed(0)
    pictures, labels = (torch.tensor(part) for part in load_digits(return_X_y=True))
    pictures = pictures.float().view(-1, 1, 8, 8) / 16
    is_old = labels < 5
    old = TensorDataset(pictures[is_old], labels[is_old])
    new_pictures, new_labels = pictures[~is_old], labels[~is_old] - 5
    new = TensorDataset(new_pictures[:300], new_labels[:300])
    test = TensorDataset(new_pictures[300:], new_labels[300:])

    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
        nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        nn.Linear(128, 5),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    Trainer(model, nn.functional.cross_entropy, optimizer, callbacks=[]).train(
        old, num_epochs=2, per_device_batch_size=32
    )

    model[3] = nn.Linear(128, 5)
    freezer = ModelFreezer(model)
    freezer.freeze(set_modules_as_eval=True)  # all layer groups but the last
    monitor = ScheduleMonitorCallback()
    trainer = Trainer(
        model,
        loss_func=nn.functional.cross_entropy,
        optimizer=torch.optim.AdamW(
            [{"params": freezer.get_trainable_parameters(), "lr": 1e-2, "name": "head"}]
        ),
        callbacks=[
            UnfreezeAtEpoch(freezer, epoch=epochs // 2 + 1, lr=3e-3),
            RecordAccuracy,
            monitor,
        ],
    )
    trainer.train(
        new,
        num_epochs=epochs,
        eval_dataset=test,
        per_device_batch_size=32,
        create_scheduler_fn=CosineLrScheduler.create_scheduler_fn(),
    )

    accuracies = trainer.run_history.get_metric_values("eval_accuracy")
    for epoch, accuracy in enumerate(accuracies, start=1):
        state = "frozen" if epoch <= epochs // 2 else "unfrozen"
        print(f"epoch {epoch}, layers below the head {state}: accuracy {accuracy:.1%}")
    for update in (0, len(monitor.applied["lr"]) // 2, len(monitor.applied["lr"]) - 1):
        rates = ", ".join(f"{lr:.2e}" for lr in monitor.applied["lr"][update])
        print(f"update {update} ran with the rates {rates}")
    return trainer, monitor


if __name__ == "__main__":
    main()
