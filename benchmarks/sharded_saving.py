"""What a checkpoint costs a run of two processes that share a model, and the copy alone.

Each process runs this module: python -m benchmarks.sharded_saving MILLIONS CHECKPOINTS FILE
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from benchmarks.saving import EVERY, WIDTH, OutputsOnly, Pauses
from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.sharded import local

PROCESSES = 2


class Copies(TrainerCallback):
    """Seconds of copying what this process has to memory that is there."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.seconds: list[float] = []
        self.bytes = 0

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        states = trainer.optimizer.state.values()
        tensors = [
            *trainer.model.parameters(),
            *(one for state in states for one in state.values()),
        ]
        parts = [local(one.detach()) for one in tensors if isinstance(one, Tensor)]
        kept = [part.clone() for part in parts]
        self.bytes = sum(part.nbytes for part in parts)
        for _ in range(self.times):
            began = time.perf_counter()
            for part, copy in zip(parts, kept, strict=True):
                copy.copy_(part)
            self.seconds.append(time.perf_counter() - began)


def run(millions: float, checkpoints: int) -> dict[str, Any]:
    """Train with sharded and with whole checkpoints; return bytes and seconds of this process."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (PROCESSES,))
    layers = max(1, round(millions * 1e6 / WIDTH**2))
    data = TensorDataset(torch.zeros(PROCESSES * EVERY * (checkpoints + 1), WIDTH))
    copies = Copies(checkpoints)
    kinds = {}
    for is_sharded in (True, False):
        model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers)))
        fully_shard(model, mesh=mesh)
        pauses = Pauses()
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
        with tempfile.TemporaryDirectory() as own, contextlib.redirect_stdout(None):
            folder = [own]
            torch.distributed.broadcast_object_list(folder)
            OutputsOnly(model, None, optimizer, callbacks=[pauses, copies]).train(
                data,
                num_epochs=1,
                per_device_batch_size=1,
                checkpoint_dir=Path(folder[0]) / "run",
                checkpoint_every=EVERY,
                checkpoint_sharded=is_sharded,
                keep_last=2,
            )
            torch.distributed.barrier()
        how = "each its shards" if is_sharded else "gathered by the first"
        kinds[f"pause with a checkpoint, {how}"] = pauses.with_checkpoint
    return {"bytes": copies.bytes, "kinds": {"the copy of a half alone": copies.seconds, **kinds}}


def pauses(millions: float, checkpoints: int) -> tuple[float, dict[str, list[float]]]:
    """Launch the processes; return the bytes that each holds, and the seconds of the first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"WORLD_SIZE": PROCESSES, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    settings |= {"ACCELERATE_USE_CPU": 1, "OMP_NUM_THREADS": 1}
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", __name__, str(millions), str(checkpoints), str(result)]
        ranks = [
            subprocess.Popen(
                command,
                env=os.environ
                | {name: str(value) for name, value in settings.items()}
                | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(PROCESSES)
        ]
        codes = [process.wait() for process in ranks]
        if any(codes):
            raise RuntimeError("a process of the launch failed; see what it printed")
        found = json.loads(result.read_text())
    return found["bytes"], found["kinds"]


def main(millions: str, checkpoints: str, result: str) -> None:
    from accelerate import PartialState

    is_main = PartialState(cpu=True).is_main_process
    found = run(float(millions), int(checkpoints))
    if is_main:
        Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
