"""What a checkpoint costs a run: the pause that training makes, the copy alone, a write in full.

python benchmarks/bench_checkpoint.py [millions of parameters, by default 20]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.checkpoints.trees import split
from pytorch_accelerated.trainer import Trainer

WIDTH = 1024
EVERY = 8
NUM_CHECKPOINTS = 6


class Pauses(TrainerCallback):
    """Seconds from an update's end to the next batch's start, and from a start to the next."""

    last_in = ("on_update_end",)

    def __init__(self) -> None:
        self.ended = self.started = 0.0
        self.with_checkpoint: list[float] = []
        self.without: list[float] = []
        self.updates: list[float] = []

    def on_update_end(self, trainer, **kwargs):
        self.ended = time.perf_counter()
        self.updates.append(self.ended - self.started)

    def on_train_step_start(self, trainer, **kwargs):
        self.started = time.perf_counter()
        if self.ended:
            saved = trainer.num_updates % EVERY == 0
            (self.with_checkpoint if saved else self.without).append(self.started - self.ended)


class Full(TrainerCallback):
    """Seconds of the copy to host memory, and of a training state that is waited for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copies: list[float] = []
        self.writes: list[float] = []

    def on_training_run_end(self, trainer, **kwargs):
        for _ in range(NUM_CHECKPOINTS):
            began = time.perf_counter()
            split(trainer.get_model().state_dict()), split(trainer.optimizer.state_dict())
            self.copies.append(time.perf_counter() - began)
            began = time.perf_counter()
            trainer.save_training_state(self.folder / "state")
            self.writes.append(time.perf_counter() - began)


def main(millions: float) -> None:
    layers = max(1, round(millions * 1e6 / WIDTH**2))
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers)))
    size = 3 * sum(p.numel() * p.element_size() for p in model.parameters())
    data = TensorDataset(torch.zeros(EVERY * (NUM_CHECKPOINTS + 1), WIDTH))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pauses, full = Pauses(), Full(folder)
        trainer = OutputsOnly(
            model,
            None,
            torch.optim.AdamW(model.parameters(), foreach=True),
            callbacks=[pauses, full],
        )
        trainer.train(
            data,
            num_epochs=1,
            per_device_batch_size=1,
            checkpoint_dir=folder / "run",
            checkpoint_every=EVERY,
            keep_last=2,
        )
    print(f"{size / 1e6:.0f} MB of weights and optimizer state, torch {torch.__version__}, CPU")
    for what, seconds in (
        ("an update", pauses.updates),
        ("pause without a checkpoint", pauses.without),
        ("pause with a checkpoint", pauses.with_checkpoint),
        ("the copy to host memory alone", full.copies),
        ("a training state that is waited for", full.writes),
    ):
        quarters = statistics.quantiles(seconds, n=4)
        print(
            f"{what:36} {statistics.median(seconds) * 1e3:9.2f} ms  "
            f"({quarters[0] * 1e3:.2f} to {quarters[2] * 1e3:.2f})"
        )


class OutputsOnly(Trainer):
    """Learns from inputs alone."""

    def calculate_train_batch_loss(self, batch):
        outputs = self.model(batch[0])
        return {"loss": outputs.square().mean(), "batch_size": len(outputs)}


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 20.0)
