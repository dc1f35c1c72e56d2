"""Checkpoints that each process writes its own shards of.

A sharded checkpoint is a folder of format 2. It holds::

    shard_00000.safetensors   what process 0 has written, one such file for each process
    state.json                the state in plain values, as in a whole checkpoint, and the index
    0000.bin, …               as in a whole checkpoint
    manifest.json             position, and each file with its size and checksum; sealed by its own

A tensor is called by a key, ``model/first.weight``: which tree of the state it is of, and its name
there. A shard file has under that key the part that its process wrote. Tensors that are not split
are in ``shard_00000``, whole. The index, under ``"shards"`` in ``state.json``, says of those that
are split what their whole is, and how it was split::

    {"meshes": [[[2], [0, 1]]], "tensors": {"model/first.weight": ["F32", [8, 3], 0, [0]]}}

A mesh is its shape and its processes, row by row. A tensor is its type, its shape, the number of
its mesh, and its placements, as `Layout` has them. Which part is in which file follows from that
alone: `Layout.pieces`, with the place of the tensor in the index for ``number``. So nobody has to
be asked, and the index grows with the tensors, not with the processes.

Writing: the first process makes the folder aside, and all agree on a token for this save. Then
each writes its shard on its own, and last a note, ``.TOKEN.00001``, with its entry for the
manifest or with what went wrong. The first process waits for the notes of all others, takes them
away, and only then writes the manifest and puts the folder in its place. A shard of another save
has another token and another checksum, so the shards of two saves never mix. Processes exchange
nothing but files meanwhile, and training goes on.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    opened,
    shard_name,
    to_json,
    write_file,
)
from pytorch_accelerated.checkpoints.tensors import DTYPES
from pytorch_accelerated.sharded import Box, Layout

INDEX = "shards"
_TYPES = {name: dtype for dtype, name in DTYPES.items()}

# A process whose run has ended waits so long for the shards of others, which may be gone.
SECONDS_FOR_OTHERS = 30.0


def key(tree: str, name: str) -> str:
    """Return what a tensor is called in the files of shards."""
    return f"{tree}/{name}"


def index_of(split: Mapping[str, tuple[torch.dtype, Layout]]) -> dict[str, Any]:
    """Return the index of tensors that are split, by key, as plain values."""
    meshes: dict[Any, int] = {}
    tensors = {
        name: [
            DTYPES[dtype],
            layout.shape,
            meshes.setdefault((layout.mesh, layout.processes), len(meshes)),
            layout.placements,
        ]
        for name, (dtype, layout) in split.items()
    }
    return {"meshes": [*meshes], "tensors": tensors}


# Reading


@dataclass(frozen=True)
class Stored:
    """A tensor in the files of a checkpoint, which is read on demand.

    Attributes:
        folder: The checkpoint.
        key: What it is called in the files.
        dtype: Its type.
        shape: Its shape.
        layout: How it is split; ``None`` if it is whole.
        place: Its place in the index, or the name of the file that has it whole.
    """

    folder: Path
    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    layout: Layout | None
    place: Any

    def read(self, box: Box | None = None) -> Tensor:
        """Return the tensor, or a part of it; no more than that is read."""
        box = tuple(slice(0, size) for size in self.shape) if box is None else box
        result = torch.empty([one.stop - one.start for one in box], dtype=self.dtype)
        if self.layout is None:
            sources = [(self.place, tuple(slice(0, size) for size in self.shape))]
        else:
            parts = self.layout.pieces(self.place)
            sources = [(shard_name(process), part) for process, part in parts]
        for name, part in sources:
            common = [
                (max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, part, strict=True)
            ]
            if all(start < stop for start, stop in common):
                into, of = (
                    tuple(
                        slice(start - one.start, stop - one.start)
                        for (start, stop), one in zip(common, base, strict=True)
                    )
                    for base in (box, part)
                )
                result[into] = _read(self.folder / name, self.key, of)
        return result


def _read(path: Path, name: str, box: Box) -> Tensor:
    try:
        with opened(path), safetensors.safe_open(path, "pt") as file:
            # What has no dimensions has no slices.
            tensor: Tensor = file.get_slice(name)[box] if box else file.get_tensor(name)
            return tensor
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


def stored_in(folder: Path, index: Mapping[str, Any], tree: str) -> dict[str, Stored]:
    """Return the tensors of a tree in a sharded checkpoint, by name."""
    found = stored_in_file(folder / shard_name(0), tree)
    for place, (name, (dtype, shape, mesh, placements)) in enumerate(index["tensors"].items()):
        kind, _, own = name.partition("/")
        if kind == tree:
            mesh_shape, processes = index["meshes"][mesh]
            late = [tuple(one) if isinstance(one, list) else one for one in placements]
            layout = Layout(tuple(shape), tuple(mesh_shape), tuple(processes), tuple(late))
            found[own] = Stored(folder, name, _TYPES[dtype], layout.shape, layout, place)
    return found


def stored_in_file(path: Path, tree: str | None = None) -> dict[str, Stored]:
    """Return the tensors of a file, of all or of one tree."""
    found = {}
    try:
        with opened(path), safetensors.safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118  (it is no mapping)
                kind, _, own = name.partition("/") if tree is not None else (None, "", name)
                if kind == tree:
                    one = file.get_slice(name)
                    shape, dtype = tuple(one.get_shape()), _TYPES[one.get_dtype()]
                    found[own] = Stored(path.parent, name, dtype, shape, None, path.name)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    return found


def tensors_in(
    folder: Path, index: Mapping[str, Any], trees: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return the tensors of a sharded checkpoint, by tree and name; split ones as `Stored`."""
    return {
        tree: {
            name: one.read() if one.layout is None else one
            for name, one in stored_in(folder, index, tree).items()
        }
        for tree in trees
    }


# Writing, each process its own


@dataclass
class Share:
    """The part of a process in writing a checkpoint that all of them write.

    Attributes:
        process: Which process this is.
        count: How many there are.
        token: What only this save is called.
        is_over: Set when the run has ended, so that others may be gone.
    """

    process: int
    count: int
    token: str
    is_over: threading.Event = field(default_factory=threading.Event)

    def _note(self, process: int) -> str:
        return f".{self.token}.{process:05d}"

    def write(self, aside: Path, files: Mapping[str, Iterable[Any]]) -> None:
        """Write this process's files, and tell the first process, also of what went wrong."""
        try:
            told: Any = {name: write_file(aside / name, one) for name, one in files.items()}
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        name = self._note(self.process)
        with contextlib.suppress(FileNotFoundError):  # the first process gave up, and says why
            write_file(aside / f"{name}.new", [to_json(told)])
            (aside / f"{name}.new").rename(aside / name)

    def collect(self, aside: Path) -> dict[str, dict[str, Any]]:
        """Wait for the files of all other processes; return their entries in the manifest."""
        entries: dict[str, dict[str, Any]] = {}
        missing = {self._note(process): process for process in range(1, self.count)}
        pause, left = 0.001, SECONDS_FOR_OTHERS
        while missing:
            for name in missing.keys() & {path.name for path in aside.iterdir()}:
                process, told = missing.pop(name), json.loads((aside / name).read_bytes())
                if isinstance(told, str):
                    raise OSError(None, f"process {process} could not write its shard: {told}")
                entries |= told
                (aside / name).unlink()
            if missing and left <= 0:
                waited = ", ".join(map(str, missing.values()))
                raise OSError(None, f"the run has ended, and no shard of process {waited} came")
            if missing:
                time.sleep(pause)
                left -= pause if self.is_over.is_set() else 0.0
                pause = min(2 * pause, 0.1)
        return dict(sorted(entries.items()))
