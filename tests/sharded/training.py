"""Run by test_training.py on every process of a launch: how sharded models train."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import (
    ModelEmaCallback,
    SaveBestModelCallback,
    ScheduleMonitorCallback,
    TrainerCallback,
)
from pytorch_accelerated.preview import find_lr
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from tests.recording import used_in
from tests.schedulers.examples import STATEFUL
from tests.schedulers.laws import value
from tests.sharded import models

PLAN = ParamScheduler.create_scheduler_fn(
    lr=linear(3, start=0.1) >> cosine(end=0.0), weight_decay=linear(end=0.5)
)


class ShardLate(TrainerCallback):
    """Shards the model in the Trainer, and makes the optimizer of it."""

    def on_prepare_start(self, trainer, **kwargs):
        if isinstance(trainer.model, FSDPModule):
            return
        models.fully(trainer.model)
        trainer.optimizer = models.adamw(trainer.model)


def trained(folder, split=models.fully, optimizer=models.adamw, share=1.0, **kwargs):
    """Train for eight updates, with an odd number of samples to evaluate on."""
    model = split(models.Net())
    monitor = ScheduleMonitorCallback()
    average = ModelEmaCallback(decay=0.5, save_path=folder / "average.pt")
    best = SaveBestModelCallback(folder / "best.pt")
    callbacks = [monitor, average, best, *kwargs.pop("callbacks", ())]
    trainer = Trainer(model, nn.MSELoss(), optimizer(model), callbacks=callbacks)
    trainer.train(
        models.data(64),
        num_epochs=2,
        eval_dataset=models.data(13, seed=1),
        per_device_batch_size=round(4 * share),
        gradient_accumulation_steps=2,
        create_scheduler_fn=PLAN,
        seed=0,
        gradient_clip_norm=kwargs.pop("gradient_clip_norm", 0.3),
        gradient_clip_value=0.2,
    )
    batch = trainer.run_config.train_total_batch_size
    trainer.evaluate(models.data(13, seed=2))
    history = trainer.run_history
    metrics = {name: history.get_metric_values(name) for name in history.get_metric_names()}
    saved = torch.load(folder / "best.pt", weights_only=True)
    assert type(trainer.get_model()) is type(model)
    return {
        "metrics": metrics,
        "updates": trainer.num_updates,
        "batch": batch,
        "applied": monitor.applied,
        "weights": {k: v.tolist() for k, v in saved["model_state_dict"].items()},
        "moments": [
            {k: v.tolist() for k, v in kept.items()}
            for kept in saved["optimizer_state_dict"]["state"].values()
        ],
        "average": {
            k: v.tolist()
            for k, v in torch.load(folder / "average.pt", weights_only=True)[
                "model_state_dict"
            ].items()
        },
    }


def law_1():
    """Return what updates of a sharded optimizer ran with, and what they should have."""
    own_bases = [0.1, 0.02]
    for example in STATEFUL:
        if example.pure:
            optimizer = models.adamw(models.fully(models.Net()))
            for group, base in zip(optimizer.param_groups, own_bases, strict=True):
                group |= {"lr": base, "weight_decay": 0.3}
            used = used_in(optimizer, example.make, 3, example.field)
            yield used, [value(example, own_bases, k) for k in range(4)]


def error_of(call):
    try:
        call()
    except (ValueError, RuntimeError) as error:
        return str(error)
    return "no error"


def partly_sharded():
    model = models.Net()
    fully_shard(model.first, mesh=models.mesh(torch.distributed.get_world_size()))
    trainer = Trainer(model, nn.MSELoss(), models.sgd(model), callbacks=())
    trainer.train(models.data(8), num_epochs=1)


def searched():
    model = models.fully(models.Net())
    find_lr(model, nn.MSELoss(), models.sgd(model), [])


def nothing_to_evaluate():
    model = models.fully(models.Net())
    trainer = Trainer(model, nn.MSELoss(), models.sgd(model), callbacks=())
    trainer.evaluate(models.data(3), per_device_batch_size=8)


def main(folder):
    PartialState(cpu=True)
    world = torch.distributed.get_world_size()
    results = {
        "whole": trained(folder, models.whole),
        "fully": trained(folder),
        "late": trained(folder, models.whole, callbacks=[ShardLate]),
        "tensor parallel": trained(folder, models.tensor_parallel, share=world),
        "tensor rates": trained(folder, optimizer=models.tensor_rates),
        "law 1": [*law_1()],
        "partly": error_of(partly_sharded),
        "searched": error_of(searched),
        "nothing to evaluate": error_of(nothing_to_evaluate),
    }
    if torch.distributed.get_rank() == 0:
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
