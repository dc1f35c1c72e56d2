"""Schedule weight decay and momentum beside the learning rate, with the Trainer.

While the rate rises and falls, momentum falls and rises; weight decay grows at the end. The
lengths are shares of the run, which the Trainer fills in. It ends by comparing the plan with what
the optimizer ran with.
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
from pytorch_accelerated.preview import Comparison, Preview, compare, preview
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import absolute, constant, cosine


class ShowPlan(TrainerCallback):
    planned: Preview

    def on_training_run_start(self, trainer: Trainer, **kwargs: Any) -> None:
        self.planned = preview(trainer.scheduler, trainer.run_config.max_num_train_steps)
        trainer.print(self.planned.table())


def main() -> tuple[Trainer, ScheduleMonitorCallback, Comparison]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=5)
    epochs = parser.parse_args().epochs

    torch.manual_seed(0)
    pictures, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(pictures / 16).float(), torch.tensor(labels))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    show_plan, monitor = ShowPlan(), ScheduleMonitorCallback()
    trainer = Trainer(
        model,
        loss_func=nn.functional.cross_entropy,
        # Plain numbers in a schedule are multiples of these.
        optimizer=torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.95, weight_decay=1e-3),
        callbacks=[show_plan, monitor],
    )
    trainer.train(
        digits,
        num_epochs=epochs,
        eval_dataset=digits,
        per_device_batch_size=32,
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(
            lr=cosine(0.3, start=0.04, end=1.0) >> cosine(end=0.001),
            momentum=cosine(0.3, end=absolute(0.85)) >> cosine(end=1.0),
            weight_decay=constant(0.5) >> cosine(end=4.0),
        ),
    )
    comparison = compare(show_plan.planned, monitor.applied)
    print(f"\nloss {trainer.run_history.get_latest_metric('eval_loss_epoch'):.4f}")
    print(comparison)
    return trainer, monitor, comparison


if __name__ == "__main__":
    main()
