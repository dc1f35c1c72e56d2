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
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, linear
from pytorch_accelerated.trainer import Trainer

NUM_KILLS = 20
FILE_EVENTS = ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "shutil.rmtree")

CASES = {
    "one process": {},
    "accumulation": {"accumulate": 3},
    "workers": {"workers": 2},
    "two processes": {"processes": 2, "accumulate": 2},
}


class Noisy(Dataset):
    """Draws random numbers for each sample, as augmentations do."""

    def __len__(self):
        return 48

    def __getitem__(self, index):
        x = torch.linspace(-1, 1, 4) * (index % 7) + 0.1 * torch.randn(4) + random.random()
        return x, x.sum(0, keepdim=True) * 0.3


class Tick(TrainerCallback):
    """Says that a batch is done."""

    def __init__(self, pipe):
        self.pipe = pipe

    def on_train_step_end(self, trainer, **kwargs):
        os.write(self.pipe, b".")


def train(case, folder, pipe):
    torch.manual_seed(int.from_bytes(os.urandom(4), "big"))  # whatever it was before
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1))
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(-0.5, 0.5, parameter.numel()).view_as(parameter) + i)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    ema, monitor = (
        ModelEmaCallback(decay=0.8, save_path=folder / "ema.pt"),
        ScheduleMonitorCallback(),
    )
    patience = EarlyStoppingCallback(early_stopping_patience=100, early_stopping_threshold=0.0)
    trainer = Trainer(
        model,
        nn.MSELoss(),
        optimizer,
        callbacks=[ema, monitor, patience, StepBasedEvaluationCallback(7), Tick(pipe)],
    )
    updates = 72
    accumulate, processes = case.get("accumulate", 1), case.get("processes", 1)
    batches = 48 // 4 // processes
    trainer.train(
        Noisy(),
        num_epochs=updates * accumulate // batches,
        eval_dataset=Noisy(),
        per_device_batch_size=4,
        gradient_accumulation_steps=accumulate,
        gradient_clip_norm=5.0,
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(
            lr=linear(10, start=0.0) >> cosine(end=0.0), weight_decay=linear(end=0.5)
        ),
        train_dataloader_kwargs={"num_workers": case.get("workers", 0)},
        seed=3,
        checkpoint_dir=folder / "checkpoints",
        checkpoint_every=3,
        keep_last=3,
        resume="auto",
    )
    history = {
        n: trainer.run_history.get_metric_values(n) for n in trainer.run_history.get_metric_names()
    }
    return {
        "updates": trainer.num_updates,
        "weights": digest(model.state_dict()),
        "average": digest(ema.ema_model.state_dict()),
        "optimizer": digest(
            {
                f"{i}.{k}": v
                for i, s in optimizer.state_dict()["state"].items()
                for k, v in s.items()
            }
        ),
        "history": history,
        "epoch": trainer.run_history.current_epoch,
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
        warnings.simplefilter("error")
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def attempt(case, folder, moment=None):
    """One attempt at a run; returns its result, or None if it was killed."""
    reading, writing = os.pipe()
    out = folder / "result.json"

    def work(rank):
        os.close(reading)
        if moment and moment[0] == "file" and rank == 0:
            kill_at_file_event(folder / "checkpoints", moment[1])
        result = train(case, folder, writing)
        if rank == 0:
            out.write_text(json.dumps(result))

    processes = case.get("processes", 1)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    children = []
    for rank in range(processes):
        if processes > 1:
            os.environ.update(
                MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), WORLD_SIZE=str(processes),
                RANK=str(rank), LOCAL_RANK=str(rank),
            )  # fmt: skip
        children.append(fork(children[0] if children else 0, lambda rank=rank: work(rank)))
    for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK"):
        os.environ.pop(name, None)
    os.close(writing)
    ticks = 0
    # The pipe ends when the last process is gone.
    while select.select([reading], [], [], 60)[0] and (got := os.read(reading, 1)):
        ticks += len(got)
        if moment and moment[0] == "tick" and ticks == moment[1]:
            time.sleep(moment[2])
            os.killpg(children[0], signal.SIGKILL)
    os.close(reading)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if codes == [0] * processes:
        return json.loads(out.read_text())
    if moment is None or any(code not in (0, -signal.SIGKILL) for code in codes):
        raise RuntimeError(f"the attempt ended with {codes}")
    return None


def names_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def main(base, *names):
    results = {}
    for seed, (name, case) in enumerate(CASES.items()):
        if names and name not in names:
            continue
        began = time.perf_counter()
        folders = [base / name.replace(" ", "_") / kind for kind in ("straight", "killed")]
        for folder in folders:
            folder.mkdir(parents=True)
        straight = attempt(case, folders[0])
        draw = random.Random(seed)
        per_window = case.get("accumulate", 1) * case.get("processes", 1)
        moments = [
            ("tick", draw.randint(1, 10 * per_window), draw.uniform(0, 0.01)) for _ in range(12)
        ]
        moments += [("file", draw.randint(1, 60)) for _ in range(NUM_KILLS - 12)]
        draw.shuffle(moments)
        ended_early, reached = 0, []
        for moment in moments:
            ended_early += attempt(case, folders[1], moment) is not None
            reached.append(names_in(folders[1] / "checkpoints"))
        killed = attempt(case, folders[1])
        left = names_in(folders[1] / "checkpoints")
        again = attempt(case, folders[1])
        results[name] = {
            "straight": straight, "killed": killed, "again": again, "left": left,
            "ended_early": ended_early, "reached": reached, "seconds": time.perf_counter() - began,
        }  # fmt: skip
        (base / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
