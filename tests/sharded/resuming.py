"""Run by test_resuming.py on every process of a launch: saves, or resumes what others saved.

An update has the same samples on any number of processes, so all runs come to the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ModelEmaCallback, ScheduleMonitorCallback
from pytorch_accelerated.checkpoints.contents import gathered
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from pytorch_accelerated.sharded import reshard
from tests.sharded import models

BATCH, EVERY, MIDDLE, LATE = 8, 3, "update_000000003", "update_000000006"
OPTIMIZERS = {"AdamW": models.adamw, "SGD": models.sgd, "Muon": models.muon}
CASES = {
    f"{name}, {'sharded' if is_sharded else 'whole'}": (make, is_sharded)
    for name, make in OPTIMIZERS.items()
    for is_sharded in (False, True)
}


def trained(folder, case, resume=None, split=models.fully):
    """Train for eight updates, two epochs, with a checkpoint every three updates."""
    make, is_sharded = CASES[case]
    world = torch.distributed.get_world_size()
    shares = world // 2 if split is models.both else world
    model = split(models.Net())
    monitor = ScheduleMonitorCallback()
    average = ModelEmaCallback(decay=0.5, save_path=folder / "average.pt")
    callbacks = [monitor, average] if make is models.adamw else [monitor]
    trainer = Trainer(model, nn.MSELoss(), make(model), callbacks=callbacks)
    trainer.train(
        models.data(4 * BATCH),
        num_epochs=2,
        eval_dataset=models.data(13, seed=1),
        per_device_batch_size=BATCH // shares,
        gradient_clip_norm=5.0,
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(
            lr=linear(4, start=0.1) >> cosine(end=0.1)
        ),
        seed=3,
        checkpoint_dir=folder / case,
        checkpoint_every=EVERY,
        checkpoint_sharded=is_sharded,
        resume=resume,
    )
    history = trainer.run_history
    reshard(model)
    states = [
        {name: value.tolist() for name, value in kept.items()}
        for one in ([trainer.optimizer] if case[:4] != "Muon" else trainer.optimizer)
        for kept in gathered(one.state_dict()["state"], keeps=True).values()
    ]
    averages = gathered(average.ema_model.state_dict(), keeps=True) if average.ema_model else {}
    weights = gathered(model.state_dict(), keeps=True)
    return {
        "updates": trainer.num_updates,
        "epoch": history.current_epoch,
        "weights": {name: value.tolist() for name, value in weights.items()},
        "optimizer": states,
        "average": {name: value.tolist() for name, value in averages.items()},
        "history": {name: history.get_metric_values(name) for name in history.get_metric_names()},
        "applied": monitor.applied,
    }


def two(folder):
    """Save on two processes; resume there, too."""
    for case in CASES:
        yield "straight", case, trained(folder / "two", case)
        again = trained(folder / "again", case, resume=folder / "two" / case / MIDDLE)
        yield "again", case, again


def one(folder):
    """Resume on one what two have saved; save a whole model."""
    for case in CASES:
        start = folder / "two" / case / MIDDLE
        yield "2 to 1", case, trained(folder / "one from two", case, start, models.whole)
    for name in OPTIMIZERS:
        case = f"{name}, whole"
        yield "1", case, trained(folder / "one", case, split=models.whole)


def four(folder):
    """Resume on four what two have saved; save that, once also split in two directions."""
    for case in CASES:
        start = folder / "two" / case / MIDDLE
        yield "2 to 4", case, trained(folder / "four", case, start)
    start = folder / "two" / "AdamW, sharded" / MIDDLE
    resumed = trained(folder / "both", "AdamW, sharded", start, models.both)
    yield "2 to 4 in two directions", "AdamW, sharded", resumed


def back(folder):
    """Resume on two what one and four have saved."""
    for name in OPTIMIZERS:
        case = f"{name}, whole"
        yield "1 to 2", case, trained(folder / "b1", case, folder / "one" / case / MIDDLE)
    for case in CASES:
        yield "4 to 2", case, trained(folder / "b4", case, folder / "four" / case / LATE)
    start = folder / "both" / "AdamW, sharded" / LATE
    resumed = trained(folder / "bb", "AdamW, sharded", start)
    yield "4 in two directions to 2", "AdamW, sharded", resumed


def main(folder, phase):
    PartialState(cpu=True)
    results = [*{"two": two, "one": one, "four": four, "back": back}[phase](folder)]
    if torch.distributed.get_rank() == 0:
        (folder / f"{phase}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
