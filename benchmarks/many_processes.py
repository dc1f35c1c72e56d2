"""What a sharded checkpoint asks of a thousand processes, which one process plays in turn.

python -m benchmarks.many_processes [--processes 1000] [--layers 80]

Planning is that of a real model, of 70 billion parameters by default, as `fully_shard` splits it.
The shards that are written are of a small one, since no disk here holds the large one; their
number, the notes and the manifest are those of as many processes.
"""

from __future__ import annotations

import argparse
import math
import pickle
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pytorch_accelerated.checkpoints import folders, shards
from pytorch_accelerated.checkpoints.tensors import pieces
from pytorch_accelerated.run.loop_state import Randomness
from pytorch_accelerated.sharded import Box, Layout, parts_of

STATES = ("weight", "exp_avg", "exp_avg_sq")  # of AdamW
BYTES = 4  # of a number in single precision


def transformer(
    layers: int, width: int = 8192, keys: int = 1024, inner: int = 28672, words: int = 128256
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give the names and shapes of a model's parameters: with 80 layers, 70 billion."""
    yield "embedding", (words, width)
    for number in range(layers):
        yield f"{number}.query", (width, width)
        yield f"{number}.key", (keys, width)
        yield f"{number}.value", (keys, width)
        yield f"{number}.output", (width, width)
        yield f"{number}.gate", (inner, width)
        yield f"{number}.up", (inner, width)
        yield f"{number}.down", (width, inner)
        yield f"{number}.norm", (width,)
        yield f"{number}.inner_norm", (width,)
    yield "norm", (width,)
    yield "head", (words, width)


def fully_sharded(shapes: Mapping[str, tuple[int, ...]], processes: int) -> dict[str, Layout]:
    """Return how weights and AdamW's states are split along their first dimension."""
    everyone = tuple(range(processes))
    return {
        f"{name}.{state}": Layout(shape, (processes,), everyone, (0,))
        for name, shape in shapes.items()
        for state in STATES
    }


def size(box: Box) -> int:
    return math.prod(one.stop - one.start for one in box)


def planned(layouts: Mapping[str, Layout], processes: int) -> dict[str, float]:
    """Plan what each process writes, and what the first one has to tell of it."""
    began = time.perf_counter()
    written = [
        sum(map(size, parts_of(layouts, process).values())) * BYTES for process in range(processes)
    ]
    seconds = time.perf_counter() - began
    whole = sum(math.prod(layout.shape) for layout in layouts.values()) * BYTES
    assert sum(written) == whole, "each number is written once"
    index = shards.index_of({name: (torch.float32, one) for name, one in layouts.items()})
    began = time.perf_counter()
    for number, layout in enumerate(layouts.values()):
        for _ in layout.pieces(number):
            pass
    return {
        "bytes of the checkpoint": whole,
        "bytes of the largest shard": max(written),
        "largest shard, times the mean": max(written) * processes / whole,
        "seconds to plan, each process": seconds / processes,
        "seconds to find all pieces when it resumes": time.perf_counter() - began,
        "bytes of the index": len(folders.to_json(index)),
    }


def saved(processes: int, folder: Path) -> dict[str, float]:
    """Write the shards of so many processes, all of them real files, and read them back."""
    shapes = {f"{n}": (processes + n, 3) for n in range(-1, 2)}
    layouts = fully_sharded(shapes, processes)
    whole = {shards.key("model", name): torch.rand(one.shape) for name, one in layouts.items()}
    layouts = {shards.key("model", name): one for name, one in layouts.items()}

    index = shards.index_of({name: (torch.float32, one) for name, one in layouts.items()})

    def files(process: int) -> dict[str, list[Any]]:
        mine: dict[str, Tensor] = {
            name: whole[name][box].contiguous() for name, box in parts_of(layouts, process).items()
        }
        state = {"state.json": [folders.to_json({shards.INDEX: index})]} if process == 0 else {}
        return {folders.shard_name(process): pieces(mine), **state}

    target = folder / "update_000000001"
    folders.begin(target)
    shares = [shards.Share(process, processes, "token") for process in range(processes)]
    for share in shares[1:]:
        share.write(folders.aside_of(target), files(share.process))
    collecting = 0.0

    def collect(aside: Path) -> dict[str, dict[str, Any]]:
        nonlocal collecting
        began = time.perf_counter()
        entries = shares[0].collect(aside)
        collecting = time.perf_counter() - began
        return entries

    position = {"num_updates": 1, "epoch": 0, "in_epoch": 1}
    folders.write_folder(target, files(0), position, others=collect)
    began = time.perf_counter()
    folders.verify(target)
    verifying = time.perf_counter() - began
    index = folders.read_json(target / "state.json")[0][shards.INDEX]
    for name, one in shards.stored_in(target, index, "model").items():
        assert torch.equal(one.read(), whole[shards.key("model", name)])
    return {
        "files": len(list(target.iterdir())),
        "seconds to collect all notes": collecting,
        "seconds to verify all checksums": verifying,
        "bytes of the manifest": (target / folders.MANIFEST).stat().st_size,
    }


def drawn_by_each() -> int:
    """Return the bytes that each process tells the first one: what its generators have drawn."""
    random = Randomness(torch.device("cpu"))
    random.at_epoch_start = random.now()
    return len(pickle.dumps(random.state_dict()))


def simulated(processes: int, layers: int) -> dict[str, float]:
    """Return all figures."""
    shapes = dict(transformer(layers))
    figures: dict[str, float] = {
        "processes": processes,
        "parameters": sum(map(math.prod, shapes.values())),
        "tensors": len(shapes) * len(STATES),
    }
    figures |= planned(fully_sharded(shapes, processes), processes)
    with tempfile.TemporaryDirectory() as name:
        figures |= saved(processes, Path(name))
    figures["bytes of the generators' states, each process"] = drawn_by_each()
    return figures


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_processes", description=__doc__
    )
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=80)
    chosen = parser.parse_args(arguments)
    for name, figure in simulated(chosen.processes, chosen.layers).items():
        print(f"{name:48} {figure:20,.4g}" if figure < 10 else f"{name:48} {figure:20,.0f}")


if __name__ == "__main__":
    main()
