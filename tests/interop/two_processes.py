"""Run by `torchrun` in two processes: each case's values go to a file of its process."""

from __future__ import annotations

import itertools
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import linear
from tests.interop import accelerate_loop
from tests.interop.plan import BASE, NUM_UPDATES, PLAN, make_scheduler
from tests.recording import Recorder


def name_of(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


ACCELERATE = {
    name_of(options): options
    for prepared, guarded, linked, split, accumulation in itertools.product(
        (False, True), (False, True), (False, True), (False, True), (1, 3)
    )
    # Without the guard, only a prepared scheduler that is linked knows which batches update.
    if guarded or (prepared and linked)
    for options in [
        {
            "prepared": prepared,
            "guarded": guarded,
            "linked": linked,
            "split": split,
            "accumulation": accumulation,
        }
    ]
}


def train(model: Any, optimizer: Any, scheduler: Any, num_updates: int) -> list[Any]:
    recorder = Recorder(optimizer)
    for _ in range(num_updates):
        model(torch.full((2, 4), dist.get_rank() + 1.0)).square().mean().backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return recorder.used


def ddp(folder: Path) -> Any:
    model = DistributedDataParallel(torch.nn.Linear(4, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=BASE)
    return train(model, optimizer, make_scheduler(optimizer), NUM_UPDATES)


def sharded() -> tuple[Any, Any, Any]:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    for part in (*model, model):
        fully_shard(part)
    groups = [{"params": model[0].parameters(), "lr": 2 * BASE}, {"params": model[1].parameters()}]
    optimizer = torch.optim.AdamW(groups, lr=BASE, weight_decay=0.4)
    decay = linear(NUM_UPDATES, end=0.0)
    return model, optimizer, ParamScheduler(optimizer, lr=PLAN, weight_decay=decay)


def fsdp2(folder: Path) -> Any:
    return train(*sharded(), NUM_UPDATES)


def fsdp2_with_a_checkpoint(folder: Path) -> Any:
    model, optimizer, scheduler = sharded()
    first = train(model, optimizer, scheduler, 3)
    state = {"model": model.state_dict(), "scheduler": scheduler}
    state["optimizer"] = get_optimizer_state_dict(model, optimizer)
    dcp.save(state, checkpoint_id=folder / "checkpoint")

    model, optimizer, scheduler = sharded()
    dcp.load({"scheduler": scheduler}, checkpoint_id=folder / "checkpoint")
    return first + train(model, optimizer, scheduler, NUM_UPDATES - 3)


def main(folder: Path) -> None:
    results: dict[str, Any] = {}
    dist.init_process_group("gloo")
    for case in (ddp, fsdp2, fsdp2_with_a_checkpoint):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch's own, about gloo on CPU
            results[case.__name__] = case(folder)
    for name, options in ACCELERATE.items():
        results[name] = accelerate_loop.run(**options)
    results["overflows"] = accelerate_loop.run(
        prepared=False, guarded=True, accumulation=2, overflows=(0, 1, 5)
    )
    results["watched"] = accelerate_loop.run(prepared=True, guarded=False, is_watched=True)
    (folder / f"{dist.get_rank()}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
