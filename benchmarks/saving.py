"""What a checkpoint costs a run: the pause that training makes, the copy alone, a write in full."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
from pytorch_accelerated.checkpoints import checkpoints_in
from pytorch_accelerated.checkpoints.contents import split
from pytorch_accelerated.trainer import Trainer

WIDTH = 1024
EVERY = 8


class Pauses(TrainerCallback):
    """Seconds from an update's end to the next batch's start, and from a start to the next.

    This is time on the clock on the wall: what the checkpoint's own thread does, training may have
    to wait for.
    """

    last_in = ("on_update_end",)

    def __init__(self) -> None:
        self.ended = self.started = 0.0
        self.with_checkpoint: list[float] = []
        self.without: list[float] = []
        self.updates: list[float] = []

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        self.ended = time.perf_counter()
        self.updates.append(self.ended - self.started)

    def on_train_step_start(self, trainer: Any, **kwargs: Any) -> None:
        self.started = time.perf_counter()
        if self.ended:
            saved = trainer.num_updates % EVERY == 0
            (self.with_checkpoint if saved else self.without).append(self.started - self.ended)


class Full(TrainerCallback):
    """Seconds of the copy to memory that is there, and of a training state that is waited for."""

    def __init__(self, folder: Path, checkpoints: int) -> None:
        self.folder = folder
        self.checkpoints = checkpoints
        self.copies: list[float] = []
        self.writes: list[float] = []

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        states = trainer.get_model().state_dict(), trainer.optimizer.state_dict()
        kept = [split(state)[1] for state in states]
        for _ in range(self.checkpoints):
            began = time.perf_counter()
            for state, copies in zip(states, kept, strict=True):
                split(state, kept=copies)
            self.copies.append(time.perf_counter() - began)
            began = time.perf_counter()
            trainer.save_training_state(self.folder / "state")
            self.writes.append(time.perf_counter() - began)


class OutputsOnly(Trainer):
    """Learns from inputs alone."""

    def calculate_train_batch_loss(self, batch: Any) -> dict[str, Any]:
        outputs = self.model(batch[0])
        return {"loss": outputs.square().mean(), "batch_size": len(outputs)}


def pauses(millions: float, checkpoints: int) -> tuple[float, dict[str, list[float]]]:
    """Return the bytes of weights and optimizer state, and the seconds of each kind of pause."""
    layers = max(1, round(millions * 1e6 / WIDTH**2))
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers)))
    size = 3 * sum(p.numel() * p.element_size() for p in model.parameters())
    data = TensorDataset(torch.zeros(EVERY * (checkpoints + 1), WIDTH))
    with (
        tempfile.TemporaryDirectory() as name,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        folder = Path(name)
        between, full = Pauses(), Full(folder, checkpoints)
        trainer = OutputsOnly(
            model,
            None,
            torch.optim.AdamW(model.parameters(), foreach=True),
            callbacks=[between, full],
        )
        trainer.train(
            data,
            num_epochs=1,
            per_device_batch_size=1,
            checkpoint_dir=folder / "run",
            checkpoint_every=EVERY,
            keep_last=2,
        )
    return size, {
        "the copy to kept memory alone": full.copies,
        "pause with a checkpoint": between.with_checkpoint,
        "pause without a checkpoint": between.without,
        "an update": between.updates,
        "a training state that is waited for": full.writes,
    }


class Recorded(ScheduleMonitorCallback):
    """A monitor that has so many updates behind it when the run begins."""

    def __init__(self, updates: int) -> None:
        super().__init__(fields=["lr"])
        self.updates = updates

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        super().on_training_run_start(trainer, **kwargs)
        for _ in range(self.updates):
            super().on_optimizer_step_end(trainer)

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        super().on_optimizer_step_end(trainer)
        trainer.run.checkpoints.writer.wait()  # these updates are too quick to write meanwhile


def with_record(updates: int) -> tuple[float, int]:
    """Return the seconds of a checkpoint's pause, and the bytes that it does not share.

    The model is tiny; what a monitor has recorded of 8 groups is most of the state.
    """
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(8)))
    groups = [{"params": [*layer.parameters()], "lr": 1e-3 * i} for i, layer in enumerate(model)]
    between = Pauses()
    with (
        tempfile.TemporaryDirectory() as name,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        folder = Path(name)
        OutputsOnly(
            model, None, torch.optim.AdamW(groups), callbacks=[Recorded(updates), between]
        ).train(
            TensorDataset(torch.zeros(EVERY * 12, 4)),
            num_epochs=1,
            per_device_batch_size=1,
            checkpoint_dir=folder,
            checkpoint_every=EVERY,
        )
        sizes = [path.stat() for path in checkpoints_in(folder)[-3].iterdir()]
    pause = statistics.median(between.with_checkpoint[1:])  # the first writes all that was there
    return pause, sum(one.st_size for one in sizes if one.st_nlink == 1)
