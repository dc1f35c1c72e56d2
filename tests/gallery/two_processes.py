"""Run by `torchrun` in two processes: each case's values go to a file of its process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.optim import lr_scheduler

from pytorch_accelerated.schedulers import CosineLrScheduler, ParamScheduler
from pytorch_accelerated.schedules import linear
from tests.interop.accelerate_loop import make_accelerator
from tests.recording import Recorder
from tests.trainer.tiny import Record, make_trainer, ones


def accelerate(make: Any, prepared: bool) -> list[float]:
    """Eight updates of plain Accelerate; what they used, and what is left."""
    accelerator = make_accelerator()
    model = torch.nn.Linear(1, 1)
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    recorder = Recorder(inner)
    scheduler = make(inner)
    model, optimizer = accelerator.prepare(model, inner)
    if prepared:
        scheduler = accelerator.prepare(scheduler)
    for _ in range(8):
        accelerator.backward(model(torch.ones(2, 1)).mean())
        optimizer.step()
        if accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped:
            scheduler.step()
        optimizer.zero_grad()
    return [values[0] for values in recorder.used] + [inner.param_groups[0]["lr"]]


def trainer(make: Any, limit: int | None = None) -> list[float]:
    """A run of eight updates, or of the limit; what they used, and what is left."""
    record = Record()
    trainer = make_trainer(record, lr=1.0)
    trainer.train(
        ones(32),
        num_epochs=2,
        per_device_batch_size=4,
        max_num_train_steps=limit,
        create_scheduler_fn=make,
    )
    return [*record.used, trainer.optimizer.param_groups[0]["lr"]]


def main(folder: Path) -> None:
    results = {
        "ours": accelerate(lambda o: ParamScheduler(o, lr=linear(8, end=0.0)), prepared=False),
        "native": accelerate(
            lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=8), prepared=True
        ),
        "trainer": trainer(CosineLrScheduler.create_scheduler_fn(lr_min=0.0)),
        "limit": trainer(ParamScheduler.create_scheduler_fn(lr=linear(end=0.0)), limit=6),
    }
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
