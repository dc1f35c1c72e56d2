"""Run by test_processes.py on every process of a launch: writes what each case came to.

Then the documentation's script runs, and the process ends as soon as it can.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import shutil
import sys
import time
from functools import partial
from math import ceil, log2
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import BatchSampler, TensorDataset

from pytorch_accelerated import Trainer
from pytorch_accelerated import TrainerPlaceholderValues as T
from pytorch_accelerated.callbacks import StopTrainingError, TrainerCallback
from pytorch_accelerated.checkpoints.contents import files_of, read_state, taken_apart
from pytorch_accelerated.checkpoints.folders import write_folder
from pytorch_accelerated.schedulers import CosineLrScheduler, ParamScheduler
from pytorch_accelerated.schedules import cosine, linear, milestones
from tests.launching import without_datasets
from tests.trainer.tiny import Record, Scale, Stream, mean_output, numbers

GLOBAL_BATCH = 4
WORLD = int(os.environ["WORLD_SIZE"])
RANK = int(os.environ["RANK"])
NODE = int(os.environ.get("GROUP_RANK", "0"))
IS_LAST = RANK == WORLD - 1


class Forgiving(Trainer):
    """Overflows on the first process at chosen windows; the real scaler then skips the update."""

    overflow_at: tuple[int, ...] = ()

    def _create_accelerator(self):
        accelerator = super()._create_accelerator()
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_interval=10**6)
        return accelerator

    def train_epoch_start(self):
        self.windows_before = getattr(self, "windows", 0)

    def calculate_train_batch_loss(self, batch):
        output = super().calculate_train_batch_loss(batch)
        self.batches = getattr(self, "batches", 0)
        window = self.batches // self.run_config.gradient_accumulation_steps
        if RANK == 0 and window in self.overflow_at and self.batches < 3:
            output["loss"] = output["loss"] * float("inf")
        self.batches += 1
        return output


def regression(samples, seed=0):
    x = torch.randn(samples, 3, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(x, x.sum(dim=1, keepdim=True))


def regression_trainer(*callbacks, kind=Trainer):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    groups = [
        {"params": model[0].parameters(), "lr": 0.1},
        {"params": model[2].parameters(), "lr": 0.02},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    return kind(model, nn.functional.mse_loss, optimizer, callbacks=callbacks)


def weights(trainer):
    return [value.tolist() for value in trainer.model.state_dict().values()]


def scheduled(samples, accumulate, limit, skipped):
    resolved = {}

    def create(optimizer, epochs, per_epoch, **others):
        resolved.update(epochs=str(epochs), per_epoch=per_epoch, **others)
        return CosineLrScheduler(optimizer, epochs, per_epoch, lr_min=1e-4)

    trainer = regression_trainer(record := Record(), kind=Forgiving if skipped else Trainer)
    trainer.overflow_at = (0, 2) if skipped else ()
    trainer.train(
        regression(samples),
        3,
        per_device_batch_size=GLOBAL_BATCH // WORLD,
        gradient_accumulation_steps=accumulate,
        max_num_train_steps=limit,
        gradient_clip_norm=1.0,
        create_scheduler_fn=partial(
            create,
            epochs=T.NUM_EPOCHS,
            per_epoch=T.NUM_UPDATE_STEPS_PER_EPOCH,
            local=T.PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH,
            horizon=T.MAX_NUM_TRAIN_STEPS,
            batches=T.TRAIN_DATALOADER_LEN,
        ),
    )
    config = trainer.run_config
    return {
        "used": record.used,
        "left": [group["lr"] for group in trainer.optimizer.param_groups],
        "num_updates": trainer.num_updates,
        # The scaler halves its scale of 2 with each skipped update.
        "num_skipped": -log2(trainer._accelerator.scaler.get_scale() / 2) if skipped else 0,
        "placeholders": resolved,
        "per_epoch": config.num_update_steps_per_epoch,
        "horizon": config.max_num_train_steps,
        "epoch": trainer.run_history.current_epoch,
        "weights": weights(trainer),
        "processes": config.num_processes,
    }


def same_global_batches():
    trainer = regression_trainer()
    trainer.train(
        regression(24),
        3,
        eval_dataset=regression(21, seed=1),
        per_device_batch_size=GLOBAL_BATCH // WORLD,
        gradient_accumulation_steps=2,
        seed=5,
    )
    history = trainer.run_history
    return {name: history.get_metric_values(name) for name in history.get_metric_names()} | {
        "weights": weights(trainer)
    }


class Seen(Trainer):
    def calculate_train_batch_loss(self, batch):
        self.__dict__.setdefault("seen", []).extend(batch[0].tolist())
        return super().calculate_train_batch_loss(batch)

    def calculate_eval_batch_loss(self, batch):
        self.__dict__.setdefault("evaluated", []).extend(batch[0].tolist())
        return super().calculate_eval_batch_loss(batch)


def scale_trainer(*callbacks, kind=Trainer):
    model = Scale()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return kind(model, mean_output, optimizer, callbacks=callbacks)


def evaluated(samples, as_stream):
    trainer = scale_trainer(kind=Seen)
    nn.init.ones_(trainer.model.weight)
    data = numbers(*map(float, range(samples)))
    trainer.evaluate(Stream(data) if as_stream else data, per_device_batch_size=2)
    loss = trainer.run_history.get_latest_metric("evaluation_loss")
    return {"seen": getattr(trainer, "evaluated", []), "loss": loss}


def evaluated_within_training():
    """Batch normalisation's buffers are exchanged, which must not wait for batches of others."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = Trainer(model, nn.functional.mse_loss, optimizer, callbacks=())
    losses = []
    for samples in (1, 5, 9):
        trainer.train(
            regression(16), 2, eval_dataset=regression(samples, seed=1), per_device_batch_size=4
        )
        losses += trainer.run_history.get_metric_values("eval_loss_epoch")
    return {"losses": losses}


class EvaluateOtherData(TrainerCallback):
    def on_training_run_epoch_end(self, trainer, **kwargs):
        trainer.evaluate(numbers(*map(float, range(5))), per_device_batch_size=2)

    on_training_run_end = on_training_run_epoch_end


def evaluated_other_data_within_training():
    trainer = scale_trainer(EvaluateOtherData())
    trainer.train(numbers(*[1.0] * 8), 2, per_device_batch_size=8 // WORLD)
    return {
        "losses": trainer.run_history.get_metric_values("evaluation_loss"),
        "updates": trainer.num_updates,
    }


def every_sample_in_an_epoch():
    torch.manual_seed(RANK)
    trainer = scale_trainer(kind=Seen)
    trainer.train(numbers(*map(float, range(16))), 1, per_device_batch_size=2)
    return {"seen": trainer.seen}


class Buckets:
    """Batches in an order that is drawn from Python's generator."""

    def __len__(self):
        return 7

    def __iter__(self):
        batches = [list(range(start, min(start + 3, 21))) for start in range(0, 21, 3)]
        random.shuffle(batches)
        return iter(batches)


class Picked(Buckets):
    """Draws each batch when it is asked for."""

    batch_size = 3

    def __iter__(self):
        left = list(range(21))
        while left:
            yield [left.pop(np.random.randint(len(left))) for _ in range(3)]


class Permuted(torch.utils.data.Sampler):
    def __len__(self):
        return 21

    def __iter__(self):
        return iter(torch.randperm(21).tolist())


SAMPLERS = {
    "batches": lambda: {"batch_sampler": Buckets()},
    "batches one by one": lambda: {"batch_sampler": Picked()},
    "samples": lambda: {"sampler": Permuted()},
    "samples with workers": lambda: {"sampler": Permuted(), "num_workers": 1},
    "lists of samples": lambda: {
        "sampler": BatchSampler(Permuted(), 3, drop_last=False),
        "batch_size": None,
    },
}


def drawn_by_samplers(name, seed):
    trainer = scale_trainer(kind=Seen)
    data = numbers(*map(float, range(21)))
    for loader in (SAMPLERS[name](), SAMPLERS[name]()):
        trainer.train(
            data, 2, data, per_device_batch_size=3, seed=seed,
            train_dataloader_kwargs=loader, eval_dataloader_kwargs=loader,
        )  # fmt: skip
    return {"seen": trainer.seen, "evaluated": trainer.evaluated, "left": random.random()}


def shared_twice():
    data = numbers(*map(float, range(8)))
    sampler = torch.utils.data.DistributedSampler(data, WORLD, RANK)
    trainer = scale_trainer()
    try:
        trainer.train(data, 1, train_dataloader_kwargs={"sampler": sampler})
    except ValueError as error:
        return {"error": str(error), "updates": trainer.num_updates}
    return {"error": None, "updates": trainer.num_updates}


class ByEpoch(torch.utils.data.Sampler):
    def __init__(self, epochs):
        self.epochs = epochs

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __len__(self):
        return 4 * WORLD

    def __iter__(self):
        return iter(range(len(self)))


class StreamByEpoch(Stream):
    def __init__(self, epochs):
        super().__init__(numbers(*[1.0] * 4 * WORLD))
        self.epochs = epochs

    def set_epoch(self, epoch):
        self.epochs.append(epoch)


class DataByEpoch(torch.utils.data.Dataset):
    """Each of its samples is the epoch that it was told last."""

    epoch = -1.0

    def set_epoch(self, epoch):
        self.epoch = float(epoch)

    def __len__(self):
        return 4 * WORLD

    def __getitem__(self, index):
        return torch.tensor([self.epoch])


class Flat(Trainer):
    def calculate_train_batch_loss(self, batch):
        self.__dict__.setdefault("seen", []).extend(batch.flatten().tolist())
        return {"loss": self.model(batch).mean(), "batch_size": 1}


class ManyByEpoch(DataByEpoch):
    def __getitems__(self, indices):
        return [self[index] for index in indices]


def epochs_of_samples():
    """The epochs that samples of three epochs were made in, as their workers know them."""
    lasting = {"num_workers": 1, "persistent_workers": True}
    cases = [
        (DataByEpoch(), {}),
        (part_of(ManyByEpoch()), {"num_workers": 1}),
        (DataByEpoch(), lasting),
        (part_of(DataByEpoch()), {**lasting, "batch_size": None}),
        (part_of(ManyByEpoch()), {**lasting, "num_workers": 2}),
    ]
    seen = []
    for data, options in cases:
        trainer = scale_trainer(kind=Flat)
        trainer.train(data, 3, per_device_batch_size=1, train_dataloader_kwargs=options)
        seen.append(trainer.seen)
    return {"seen": seen}


def part_of(data):
    return torch.utils.data.Subset(data, range(len(data)))


class StreamWithGenerator(Stream):
    """Accelerate seeds its generator with the epoch."""

    def __init__(self):
        super().__init__(numbers(*[1.0] * 4 * WORLD))
        self.generator = torch.Generator()


def told_the_epoch():
    by_sampler, by_stream = [], []
    data = numbers(*[1.0] * 4 * WORLD)
    for workers in (0, 1):
        options = {"sampler": ByEpoch(by_sampler), "num_workers": workers}
        scale_trainer().train(data, 3, train_dataloader_kwargs=options)
    scale_trainer().train(StreamByEpoch(by_stream), 3)
    trainer = scale_trainer()
    trainer.train(StreamWithGenerator(), 3, per_device_batch_size=1)
    return {"sampler": by_sampler, "stream": by_stream, "updates": trainer.num_updates}


class Single(Trainer):
    """Without batches."""

    def calculate_train_batch_loss(self, batch):
        self.__dict__.setdefault("trained", []).append(int(batch))
        return {"loss": self.model(batch), "batch_size": 1}

    def calculate_eval_batch_loss(self, batch):
        self.__dict__.setdefault("evaluated", []).append(int(batch))
        return {"loss": self.model(batch), "batch_size": 1}


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        return torch.tensor(float(index))


def without_batches(as_stream, workers):
    options = {"batch_size": None, "num_workers": workers}
    data = Stream(Numbers()) if as_stream else Numbers()
    trainer = scale_trainer(kind=Single)
    trainer.train(
        data,
        2,
        eval_dataset=data,
        train_dataloader_kwargs=options,
        eval_dataloader_kwargs=options,
    )
    trained, evaluated = trainer.trained, trainer.evaluated[: len(trainer.evaluated) // 2]
    return {"trained": trained, "evaluated": evaluated, "updates": trainer.num_updates}


def quiet_before_workers():
    """Seconds from the last reduction to each fork."""
    last, pauses = [time.monotonic()], []
    all_reduce = torch.distributed.all_reduce

    def noted(*args, **kwargs):
        work = all_reduce(*args, **kwargs)
        last[0] = time.monotonic()
        return work

    torch.distributed.all_reduce = noted
    # It cannot be taken back, and is of no harm to later cases.
    os.register_at_fork(before=lambda: pauses.append(time.monotonic() - last[0]))
    try:
        without_batches(False, 1)
    finally:
        torch.distributed.all_reduce = all_reduce
    return list(pauses)


class Items(Trainer):
    def calculate_train_batch_loss(self, batch):
        values, items = batch
        num_items = items.sum()
        loss = (self.model(values) * items).sum() / num_items
        return {"loss": loss, "batch_size": len(values), "num_items_in_batch": num_items}


def predicted():
    """Outputs in order, and the mean of a function, of data sets of several sizes."""
    metrics = {"above": lambda outputs, targets: outputs > 2}
    optimizer = torch.optim.SGD((model := Scale()).parameters())
    nn.init.ones_(model.weight)
    trainer = Trainer(model, mean_output, optimizer, callbacks=(), metrics=metrics)
    found = {}
    for samples in (1, 5, 21):
        data = numbers(*map(float, range(samples)))
        evaluation = trainer.evaluate(data, per_device_batch_size=2)
        outputs = trainer.predict(data, per_device_batch_size=2).tolist()
        found[samples] = outputs, evaluation["evaluation_above"]
    stream = Stream(numbers(1.0, 2.0))
    return {"found": found, "of a stream": error_of(lambda: trainer.predict(stream))}


def items(accumulate):
    count = torch.arange(1, 15)
    data = TensorDataset(count.float(), count % 5 + 1)
    trainer = scale_trainer(record := Record(), kind=Items)
    trainer.train(
        data,
        1,
        per_device_batch_size=1,
        gradient_accumulation_steps=accumulate,
        train_dataloader_kwargs={"shuffle": False, "drop_last": True},
    )
    return {"gradients": [float(gradient) for gradient in record.gradients]}


def constant_gradients(accumulate):
    trainer = scale_trainer(record := Record())
    trainer.train(
        numbers(*[1.0] * 19), 2, per_device_batch_size=2, gradient_accumulation_steps=accumulate
    )
    return {"gradients": [float(gradient) for gradient in record.gradients]}


class StopHere(TrainerCallback):
    def __init__(self, event, times):
        self.left = times
        if IS_LAST:
            setattr(self, event, self._stop)

    def _stop(self, trainer, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise StopTrainingError("the last process has enough")


class Counting(Trainer):
    """A sample of value v has v items; time passes faster on other processes than on the first."""

    time = 0.0

    def seconds(self):
        self.time += 0.5 if RANK == 0 else 100.0
        return self.time

    def calculate_train_batch_loss(self, batch):
        items = batch[0].sum().long()
        return {**super().calculate_train_batch_loss(batch), "num_items_in_batch": items}


def counted():
    """What a plan in items has each update run with, and what was counted after each."""
    record, seen = Record(), []

    class Seen(TrainerCallback):
        def on_optimizer_step_end(self, trainer, **kwargs):
            seen.append([trainer.run.clocks[name] for name in ("samples", "items", "seconds")])

    trainer = scale_trainer(record, Seen(), kind=Counting)
    trainer.train(
        numbers(*range(1, 13)),
        num_epochs=3,
        per_device_batch_size=GLOBAL_BATCH // WORLD,
        train_dataloader_kwargs={"shuffle": False},
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(lr=linear(end=0.0), clock="items"),
        max_samples=1000,
        max_items=114,
        max_time=100,
    )
    return {"used": record.used, "seen": seen, "left": trainer.optimizer.param_groups[0]["lr"]}


def stopped(event, times):
    ends = []

    class End(TrainerCallback):
        def on_stop_training_error(self, trainer, **kwargs):
            ends.append("stop")

        def on_training_run_end(self, trainer, **kwargs):
            ends.append("end")

    trainer = scale_trainer(StopHere(event, times), End())
    run = {"train_dataset": numbers(*[1.0] * 20 * WORLD), "per_device_batch_size": 1}
    trainer.train(**run, num_epochs=3, eval_dataset=numbers(*[1.0] * 5))
    stopped_at = trainer.num_updates
    trainer.train(**run, num_epochs=1)
    return {"at": stopped_at, "ends": ends, "after": trainer.num_updates}


def gathered():
    trainer = scale_trainer()
    mine = torch.arange(RANK + 1) - 1  # 0 … RANK, less 1: entries equal to the padding as well
    nested = trainer.gather({"a": [mine], "b": torch.tensor(float(RANK))}, padding_value=-1)
    wide = trainer.gather(torch.full((RANK + 1, 2), float("nan")), padding_value=-1)
    found = torch.full((RANK, 2), 1.0) if RANK % 2 else torch.full((1, 2), float("nan"))
    few = trainer.gather(found, padding_value=float("nan"))  # others send one row of padding
    small = trainer.gather(torch.ones(RANK + 1, dtype=torch.uint8), padding_value=-1)
    plain = trainer.gather(torch.tensor([RANK]))
    return {
        "few": list(few.shape),
        "small": [str(small.dtype), len(small)],
        "a": nested["a"][0].tolist(),
        "b": nested["b"].tolist(),
        "wide": list(wide.shape),
        "plain": plain.tolist(),
    }


def resumed(folder):
    class Save(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 4:
                trainer.save_training_state(folder / "state")

    def run(*callbacks, **kwargs):
        trainer = regression_trainer(*callbacks)
        trainer.train(
            regression(21), 3, per_device_batch_size=1, gradient_accumulation_steps=2, **kwargs
        )
        losses = trainer.run_history.get_metric_values("train_loss_epoch")
        return [trainer.num_updates, weights(trainer), losses]

    return {"straight": run(Save()), "resumed": run(resume_from=folder / "state")}


def several_optimizers(folder):
    """A list of two, with batches that grow; interrupted within the first epoch."""
    state = folder / "several_optimizers"

    class Save(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 3:
                trainer.save_training_state(state)

    def run(*callbacks, **kwargs):
        used = []

        class Used(TrainerCallback):
            def on_optimizer_step_end(self, trainer, **kwargs):
                used.append([one.param_groups[0]["lr"] for one in trainer.optimizer])

        trainer = regression_trainer(Used(), *callbacks)
        first, _, last = trainer.model
        trainer.optimizer = [
            torch.optim.AdamW(first.parameters(), lr=0.01),
            torch.optim.SGD(last.parameters(), lr=0.1, momentum=0.9),
        ]
        trainer.train(
            regression(24),
            3,
            per_device_batch_size=GLOBAL_BATCH // WORLD,
            gradient_accumulation_steps=milestones({2: 2.0, 4: 3.0}),
            gradient_clip_norm=1.0,
            create_scheduler_fn=ParamScheduler.create_scheduler_fn(
                lr={"AdamW": linear(end=0.0), "SGD": cosine(end=0.0)}
            ),
            seed=3,
            **kwargs,
        )
        losses = trainer.run_history.get_metric_values("train_loss_epoch")
        return used, [trainer.num_updates, weights(trainer), losses]

    (used, straight), (used_then, after) = run(Save()), run(resume_from=state)
    return {"used": used, "used_then": used_then, "straight": straight, "resumed": after}


class Augmented(TensorDataset):
    """Draws a random number for each sample."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + torch.randn(3) / 9, y


def resumed_with_workers(folder, as_stream):
    """Interrupted within the second of three epochs; the workers live for all of them."""

    class Save(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == updates_per_epoch + 1:
                trainer.save_training_state(folder / f"with_workers_{as_stream}")

    updates_per_epoch = ceil(21 / WORLD / 2)

    def run(*callbacks, **kwargs):
        trainer = regression_trainer(*callbacks)
        data = Augmented(*regression(21).tensors)
        trainer.train(
            Stream(data) if as_stream else data,
            3,
            per_device_batch_size=2,
            train_dataloader_kwargs={"num_workers": 1, "persistent_workers": True},
            seed=3,
            **kwargs,
        )
        losses = trainer.run_history.get_metric_values("train_loss_epoch")
        return [trainer.num_updates, weights(trainer), losses]

    straight = run(Save())
    return {"straight": straight, "resumed": run(resume_from=folder / f"with_workers_{as_stream}")}


def resumed_on_more(folder):
    """Saved by the first process alone, as far as the checkpoint knows; the others join it."""
    state, per_epoch = folder / "of_one_process", 24 // WORLD

    class Save(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == per_epoch + 1:
                trainer.save_training_state(state)

    def seen(*callbacks, **kwargs):
        trainer = scale_trainer(*callbacks, kind=Seen)
        own = torch.Generator().manual_seed(9)
        trainer.train(
            numbers(*map(float, range(24))), 2, per_device_batch_size=1,
            train_dataloader_kwargs={"generator": own}, **kwargs,
        )  # fmt: skip
        return trainer.seen[-(per_epoch - 1) :]

    straight = seen(Save())
    if RANK == 0:
        states = {**read_state(state), "folder": None}
        states["processes"] = states["processes"][:1]
        position = {"num_updates": per_epoch + 1, "epoch": 2, "batch": 1, "in_epoch": 1}
        write_folder(state, files_of(taken_apart(states)), position)
    Accelerator().wait_for_everyone()
    return {"straight": straight, "resumed": seen(resume_from=state)}


def saved_files(folder):
    for per_node in (True, False):
        name = folder / f"per_node_{per_node}_node_{NODE}.pt"
        scale_trainer().save_checkpoint(name, save_per_node=per_node)
    Accelerator().wait_for_everyone()
    return {"files": sorted(path.name for path in folder.glob("per_node_*"))}


class Spoil(TrainerCallback):
    """Puts a file in the place of the folder that checkpoints go to."""

    def __init__(self, folder):
        self.folder = folder

    def on_training_run_start(self, trainer, **kwargs):
        if RANK == 0:
            shutil.rmtree(self.folder)
            self.folder.write_text("not a folder")
        trainer.run.accelerator.wait_for_everyone()


def error_of(call):
    try:
        call()
    except Exception as error:
        return type(error).__name__
    return None


def failed_to_write(folder):
    spoilt = folder / "spoilt"
    data, options = numbers(*map(float, range(4 * WORLD))), {"checkpoint_every": 3}
    trainer = scale_trainer(Spoil(spoilt))
    return {
        "checkpoints": error_of(
            partial(
                trainer.train, data, 2, per_device_batch_size=1, checkpoint_dir=spoilt, **options
            )
        ),
        "file": error_of(partial(scale_trainer().save_checkpoint, spoilt / "file.pt")),
    }


def too_little_data():
    if WORLD == 1:
        return {"error": "fewer"}
    try:
        scale_trainer().train(numbers(*[1.0] * (WORLD - 1)), 1)
    except ValueError as error:
        return {"error": str(error)}
    return {"error": None}


def trained_after_evaluating():
    trainer = scale_trainer(record := Record())
    trainer.evaluate(numbers(1.0, 2.0))
    data = numbers(*map(float, range(WORLD)))
    trainer.train(data, 1, per_device_batch_size=1)
    return {"gradients": [float(gradient) for gradient in record.gradients]}


class Unfreeze(TrainerCallback):
    def on_train_epoch_start(self, trainer, **kwargs):
        trainer.get_model().requires_grad_(True)


def unfrozen(within_a_run):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    callbacks = [Unfreeze()] if within_a_run else []
    trainer = Trainer(model, torch.nn.functional.mse_loss, optimizer, callbacks=callbacks)
    model[0].requires_grad_(False)
    data = TensorDataset(torch.arange(8.0 * 3).view(8, 3) / 24, torch.arange(8.0).view(8, 1))
    try:
        trainer.train(data, 1, per_device_batch_size=1)
        model.requires_grad_(True)
        trainer.train(data, 1, per_device_batch_size=1, reset_run_history=False)
    except ValueError as error:
        return {"error": str(error)}
    return {"error": None, "weights": [p.flatten().tolist() for p in model.parameters()]}


def main(folder, *names):
    """Run the cases of these names, or all."""
    without_datasets()
    cases = {
        f"scheduled {samples} {accumulate} {limit} {skipped}": partial(
            scheduled, samples, accumulate, limit, skipped
        )
        for samples in (24, 21)
        for accumulate in (1, 3)
        for limit in (None, 4)
        for skipped in (False, True)
    }
    cases |= {
        f"evaluated {samples} {as_stream}": partial(evaluated, samples, as_stream)
        for samples in (1, 2, 5, 21)
        for as_stream in (False, True)
    }
    cases |= {
        f"without batches {as_stream} {workers}": partial(without_batches, as_stream, workers)
        for as_stream in (False, True)
        for workers in (0, 1)
    }
    cases |= {f"items {accumulate}": partial(items, accumulate) for accumulate in (1, 3)}
    cases |= {f"constant {a}": partial(constant_gradients, a) for a in (1, 3)}
    cases |= {
        f"stopped {event}": partial(stopped, event, times)
        for event, times in {
            "on_train_step_end": 5,
            "on_update_end": 30,
            "on_train_epoch_start": 2,
            "on_eval_step_end": 1,
            "on_training_run_epoch_end": 1,
            "on_training_run_start": 1,
        }.items()
    }
    cases |= {
        f"drawn by samplers {name} {seed}": partial(drawn_by_samplers, name, seed)
        for name, seed in [*((name, 5) for name in SAMPLERS), ("batches", None)]
    }
    for case in (
        shared_twice,
        same_global_batches,
        evaluated_within_training,
        evaluated_other_data_within_training,
        every_sample_in_an_epoch,
        quiet_before_workers,
        told_the_epoch,
        epochs_of_samples,
        counted,
        gathered,
        predicted,
        too_little_data,
        trained_after_evaluating,
    ):
        cases[case.__name__] = case
    cases |= {f"unfrozen {within}": partial(unfrozen, within) for within in (True, False)}
    cases["resumed"] = partial(resumed, folder)
    cases["several_optimizers"] = partial(several_optimizers, folder)
    cases |= {
        f"resumed with workers {as_stream}": partial(resumed_with_workers, folder, as_stream)
        for as_stream in (False, True)
    }
    cases["resumed on more"] = partial(resumed_on_more, folder)
    cases["saved_files"] = partial(saved_files, folder)
    cases["failed_to_write"] = partial(failed_to_write, folder)
    results = {name: cases[name]() for name in names or cases}
    runpy.run_path(str(folder / "train.py"), run_name="__main__")
    (folder / f"results_{RANK}.json").write_text(json.dumps(results))
    end_soon()


def end_soon():
    """End while threads of gloo give back what they worked on, which used to abort the process.

    From now on the main thread keeps the interpreter's lock, so they get it when it ends.
    """
    sys.setswitchinterval(1000)
    for _ in range(50):
        torch.distributed.all_reduce(torch.ones(3))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
