"""Run by test_killed.py: a sharded run on two processes, killed while both write their shards."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tests.checkpoints import killing


def split(model):
    PartialState(cpu=True)
    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    return fully_shard(model, mesh=mesh)


def main(base, num_kills):
    case = {"processes": 2, "accumulate": 2, "split": split}
    result = killing.kill_again_and_again(case, base, seed=7, num_kills=num_kills)
    (base / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
