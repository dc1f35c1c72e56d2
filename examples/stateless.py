"""A plan in samples instead of updates: a stateless scheduler, by overriding ``scheduler_step``.

A stateless scheduler counts nothing; it is told where training is. Here that is the number of
samples seen, so the same plan holds for every batch size.
"""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ScheduleMonitorCallback
from pytorch_accelerated.schedulers import StatelessParamScheduler
from pytorch_accelerated.schedules import cosine, linear

WARMUP_SAMPLES = 1_000


class TrainerThatCountsSamples(Trainer):
    def scheduler_step(self) -> None:
        """Called after each optimizer update."""
        config = self.run_config
        epochs, updates = divmod(self.num_updates, config.num_update_steps_per_epoch)
        # The last batch of an epoch may be smaller than the others.
        samples = epochs * len(self.train_dataset) + updates * config.train_total_batch_size
        self.scheduler.step_update(samples)


def train(batch_size: int, epochs: int) -> ScheduleMonitorCallback:
    torch.manual_seed(0)
    pictures, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(pictures / 16).float(), torch.tensor(labels))
    total = epochs * len(digits)
    schedule = linear(WARMUP_SAMPLES, start=0.1) >> cosine(total - WARMUP_SAMPLES, end=0.0)

    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    monitor = ScheduleMonitorCallback()
    trainer = TrainerThatCountsSamples(
        model,
        loss_func=nn.functional.cross_entropy,
        optimizer=torch.optim.AdamW(model.parameters(), lr=3e-3),
        callbacks=[monitor],
    )
    trainer.train(
        digits,
        num_epochs=epochs,
        eval_dataset=digits,
        per_device_batch_size=batch_size,
        create_scheduler_fn=lambda optimizer: StatelessParamScheduler(optimizer, lr=schedule),
    )
    loss = trainer.run_history.get_latest_metric("eval_loss_epoch")
    print(f"batch size {batch_size}: {trainer.num_updates} updates, loss {loss:.4f}")
    return monitor


def main() -> dict[int, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=4)
    epochs = parser.parse_args().epochs
    rates = {}
    for batch_size in (16, 64):
        monitor = train(batch_size, epochs)
        rates[batch_size] = [group_values[0] for group_values in monitor.applied["lr"]]
        after_1024_samples = rates[batch_size][1024 // batch_size]
        print(f"  rate after 1024 samples: {after_1024_samples}")
    return rates


if __name__ == "__main__":
    main()
