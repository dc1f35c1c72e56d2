"""Trains, is killed at random moments and resumed until done; compared with an undisturbed run.

Everything is imported once; each attempt is a fork of this process, so that it takes no time to
start. An attempt and all that it has started form a process group, which vanishes at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

import torch
import torch._dynamo  # what an optimizer's first step would import
from torch import nn
from torch.utils.data import Dataset

from pytorch_accelerated.callbacks import (
    EarlyStoppingCallback,
    ModelEmaCallback,
    ScheduleMonitorCallback,
    StepBasedEvaluationCallback,
    TrainerCallback,
)
from pytorch_accelerated.checkpoints.contents import gathered
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from pytorch_accelerated.trainer import Trainer
from tests.launching import without_datasets

NUM_KILLS = 10
NUM_UPDATES = 48
BATCH_SIZE = 4
NUM_SAMPLES = 96
FILE_EVENTS = ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree")

CASES = {
    "one process": {"clock": "samples"},
    "accumulation and workers": {"accumulate": 3, "workers": 2},
    "two processes": {"processes": 2, "accumulate": 2, "export": True},
}


class Noisy(Dataset):
    """Draws random numbers for each sample, as augmentations do."""

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        x = torch.linspace(-1, 1, 4) * (index % 7) + 0.1 * torch.randn(4) + random.random()
        return x, x.sum(0, keepdim=True) * 0.3


class Tick(TrainerCallback):
    """Says that a batch is done."""

    def __init__(self, pipe):
        self.pipe = pipe

    def on_train_step_end(self, trainer, **kwargs):
        os.write(self.pipe, b".")


class Export(TrainerCallback):
    """Writes a single file while the model is wrapped."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, **kwargs):
        trainer.save_checkpoint(self.path)


def make_model():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(-0.5, 0.5, parameter.numel()).view_as(parameter) + i)
    return model


def train(case, folder, pipe):
    torch.manual_seed(int.from_bytes(os.urandom(4), "big"))  # whatever it was before
    model = case.get("split", lambda model: model)(make_model())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    average = ModelEmaCallback(decay=0.8, save_path=folder / "average.pt")
    patience = EarlyStoppingCallback(early_stopping_patience=100, early_stopping_threshold=0.0)
    monitor = ScheduleMonitorCallback()
    callbacks = [average, monitor, patience, StepBasedEvaluationCallback(11), Tick(pipe)]
    if "export" in case:
        callbacks.append(Export(folder / "exported.pt"))
    trainer = Trainer(model, nn.MSELoss(), optimizer, callbacks=callbacks)
    accumulate, processes = case.get("accumulate", 1), case.get("processes", 1)
    batches_per_epoch = NUM_SAMPLES // BATCH_SIZE // processes
    clock = case.get("clock", "updates")
    is_by_samples = clock == "samples"  # which end the run, too
    unit = BATCH_SIZE if is_by_samples else 1
    trainer.train(
        Noisy(NUM_SAMPLES),
        num_epochs=NUM_UPDATES * accumulate // batches_per_epoch + is_by_samples,
        eval_dataset=Noisy(8),
        per_device_batch_size=BATCH_SIZE,
        gradient_accumulation_steps=accumulate,
        gradient_clip_norm=5.0,
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(
            lr=linear(10 * unit, start=0.0) >> cosine(end=0.0),
            weight_decay=linear(end=0.5),
            clock=clock,
        ),
        max_samples=NUM_UPDATES * unit if is_by_samples else None,
        train_dataloader_kwargs={"num_workers": case.get("workers", 0)},
        seed=3,
        checkpoint_dir=folder / "checkpoints",
        checkpoint_every=3,
        keep_last=3,
        checkpoint_sharded="split" in case,
        resume="auto",
    )
    optimizer_state = gathered(optimizer.state_dict()["state"], keeps=True)
    history = trainer.run_history
    return {
        "updates": trainer.num_updates,
        "horizon": trainer.run_config.max_num_train_steps,
        "weights": digest(gathered(model.state_dict(), keeps=True)),
        "average": digest(gathered(average.ema_model.state_dict(), keeps=True)),
        "optimizer": digest(
            {
                f"{index}.{name}": value
                for index, state in optimizer_state.items()
                for name, value in state.items()
            }
        ),
        "history": {name: history.get_metric_values(name) for name in history.get_metric_names()},
        "epoch": history.current_epoch,
        "clocks": trainer.run.clocks,
        "applied": monitor.applied,
        "patience": [patience.best_metric, patience.early_stopping_patience_counter],
    }


def digest(state):
    content = b"".join(name.encode() + value.numpy().tobytes() for name, value in state.items())
    return hashlib.sha256(content).hexdigest()


def kill_at_file_event(folder, n):
    """Vanish at the n-th time that something happens to files of the checkpoints."""
    left = n

    def hook(event, arguments):
        nonlocal left
        if event in FILE_EVENTS and str(arguments[0]).startswith(str(folder)):
            left -= 1
            if left == 0:
                os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hook)


def fork(group, work):
    """Start a process in a group (a new one for 0); returns its id."""
    child = os.fork()
    if child:
        os.setpgid(child, group or child)
        return child
    code = 1
    try:
        os.setpgid(0, group)
        code = work() or 0
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def start(case, folder, rank, port, prepare):
    """What a process of an attempt does."""
    processes = case.get("processes", 1)
    if processes > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        os.environ.update(WORLD_SIZE=str(processes), RANK=str(rank), LOCAL_RANK=str(rank))
    prepare(rank)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = train(case, folder, case["pipe"])
    if rank == 0:
        result["warnings"] = [str(warning.message) for warning in caught]
        (folder / "result.json").write_text(json.dumps(result))


def attempt(case, folder, moment=None):
    """One attempt at a run; returns its result, or the exit codes if it did not end well."""
    reading, writing = os.pipe()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]

    def prepare(rank):
        if moment and moment[0] == "file" and moment[2] == rank:
            kill_at_file_event(folder / "checkpoints", moment[1])

    case = {**case, "pipe": writing}
    children = []
    for rank in range(case.get("processes", 1)):
        group = children[0] if children else 0
        children.append(fork(group, partial(start, case, folder, rank, port, prepare)))
    os.close(writing)
    ticks = 0
    # The pipe ends when the last process is gone.
    while select.select([reading], [], [], 120)[0] and os.read(reading, 1):
        ticks += 1
        if moment and moment[0] == "tick" and ticks == moment[1]:
            time.sleep(moment[2])
            os.killpg(children[0], moment[3])
    os.close(reading)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return codes if any(codes) else json.loads((folder / "result.json").read_text())


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def kill_again_and_again(case, base, seed, num_kills=NUM_KILLS):
    """Most times at a random moment after a random batch, two of five while files are written.

    Where each process writes files, any one's may be the moment. On a fast machine a run may be
    done before the last of the moments; those come in another one.
    """
    straight = attempt(case, new(base / "straight"))
    folder = new(base / "killed")
    draw = random.Random(seed)
    ticks_per_update = case.get("accumulate", 1) * case.get("processes", 1)
    writing = case["processes"] if "split" in case else 1
    ranks = [number % writing for number in range(num_kills * 2 // 5)]
    moments = [("file", draw.randint(1, 15 if rank else 50), rank) for rank in ranks]
    moments += [
        ("tick", draw.randint(1, 8 * ticks_per_update), draw.uniform(0, 0.01), signal.SIGKILL)
        for _ in range(num_kills - len(moments))
    ]
    draw.shuffle(moments)
    codes, reached, ended = [], [], []
    for moment in moments:
        outcome = attempt(case, folder, moment)
        if isinstance(outcome, dict):
            ended.append(outcome)
            folder = new(base / f"killed {len(ended)}")
            outcome = attempt(case, folder, moment)
        codes.append(outcome)
        reached.append(names_in(folder / "checkpoints"))
    return {
        "straight": straight,
        "codes": codes,
        "reached": reached,
        "killed": [*ended, attempt(case, folder)],
        "again": attempt(case, folder),
        "left": names_in(folder / "checkpoints"),
    }


def tell_to_leave(case, base, changed=None):
    """SIGTERM once, then once more, then on to the end; perhaps on other processes."""
    folder = new(base)
    codes = [attempt(case, folder, ("tick", ticks, 0.0, signal.SIGTERM)) for ticks in (27, 40)]
    return {
        "codes": codes,
        "left": names_in(folder / "checkpoints"),
        "result": attempt(changed or case, folder),
    }


def new(folder):
    folder.mkdir(parents=True)
    return folder


def main(base):
    without_datasets()
    results = {}
    for seed, (name, case) in enumerate(CASES.items()):
        results[name] = kill_again_and_again(case, base / name, seed)
    one, two = {"accumulate": 3}, CASES["two processes"]
    results["accumulation"] = {"straight": attempt(one, new(base / "straight accumulation"))}
    results["one told to leave"] = tell_to_leave(one, base / "one told")
    results["two told to leave"] = tell_to_leave(two, base / "two told")
    same_batches = {"accumulate": 2 * two["accumulate"]}
    results["fewer processes"] = tell_to_leave(two, base / "fewer", changed=same_batches)
    results["more processes"] = tell_to_leave(same_batches, base / "more", changed=two)
    results["straight on one"] = attempt(same_batches, new(base / "straight on one"))
    (base / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
