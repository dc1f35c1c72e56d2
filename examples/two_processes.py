"""The same run on several processes: each of them applies the same values, those of the plan.

    torchrun --nproc_per_node 2 examples/two_processes.py

It exits with 1 if that is not so. Started without torchrun it runs on one process.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from accelerate.utils import gather_object
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
from pytorch_accelerated.preview import Preview, compare, preview
from pytorch_accelerated.schedulers import CosineLrScheduler


class KeepPlan(TrainerCallback):
    planned: Preview

    def on_training_run_start(self, trainer: Trainer, **kwargs: Any) -> None:
        self.planned = preview(trainer.scheduler, trainer.run_config.max_num_train_steps)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=3)
    epochs = parser.parse_args().epochs

    pictures, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(pictures / 16).float(), torch.tensor(labels))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    keep_plan, monitor = KeepPlan(), ScheduleMonitorCallback()
    trainer = Trainer(
        model,
        loss_func=nn.functional.cross_entropy,
        optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3),
        callbacks=[keep_plan, monitor],
    )
    trainer.train(
        digits,
        num_epochs=epochs,
        eval_dataset=digits,
        per_device_batch_size=16,
        gradient_accumulation_steps=3,
        create_scheduler_fn=CosineLrScheduler.create_scheduler_fn(num_warmup_epochs=1),
    )

    config = trainer.run_config
    trainer.print(
        f"{config.num_processes} processes, {config.num_update_steps_per_epoch} updates an epoch, "
        f"loss {trainer.run_history.get_latest_metric('eval_loss_epoch'):.4f}"
    )
    comparisons = [
        compare(keep_plan.planned, applied) for applied in gather_object([monitor.applied])
    ]
    for process, comparison in enumerate(comparisons):
        trainer.print(f"process {process}: {comparison}")
    return 0 if all(comparisons) else 1


if __name__ == "__main__":
    sys.exit(main())
