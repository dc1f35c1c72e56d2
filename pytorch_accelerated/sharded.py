"""Models whose tensors are split among processes, and which process holds what.

Such a tensor is a ``DTensor``: ``torch.distributed.fsdp.fully_shard`` and tensor parallel make
parameters into these, and optimizers then keep their states so. A `Layout` says in plain numbers
how one is split; what follows from it needs neither processes nor memory.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

Box = tuple[slice, ...]
"""A part of a tensor: from where to where, in each of its dimensions."""


@dataclass(frozen=True)
class Layout:
    """How a tensor is split.

    Attributes:
        shape: The shape of the whole tensor.
        mesh: The shape of the mesh of processes.
        processes: The processes of the mesh, row by row.
        placements: For each dimension of the mesh, the dimension of the tensor that is split along
            it, ``None`` if each process has the same; ``(dimension, factor)`` if it is split once
            those to the right of it are, as by ``fully_shard`` after tensor parallel.
    """

    shape: tuple[int, ...]
    mesh: tuple[int, ...]
    processes: tuple[int, ...]
    placements: tuple[int | tuple[int, int] | None, ...]

    def box(self, process: int) -> Box | None:
        """Return what a process has; ``None`` if it is not of the mesh."""
        if process not in self.processes:
            return None
        return self._box_at(self._place(process))

    def pieces(self, number: int) -> Iterator[tuple[int, Box]]:
        """Give the processes that write a part of the tensor, with the part; nothing comes twice.

        Where several have the same, the tensor's ``number`` tells which of them writes it, so that
        these have about as much to write.
        """
        copies = math.prod(self._copies)
        for place, process in zip(product(*map(range, self.mesh)), self.processes, strict=True):
            box = self._box_at(place)
            is_first = self._copy_at(place) == number % copies
            if is_first and all(one.stop > one.start for one in box):
                yield process, box

    def is_written_by(self, process: int, number: int) -> bool:
        """Return whether a process writes what it has; see `pieces`."""
        box = self.box(process)
        if box is None or any(one.stop == one.start for one in box):
            return False
        return self._copy_at(self._place(process)) == number % math.prod(self._copies)

    @property
    def _copies(self) -> list[int]:
        """For each dimension of the mesh, how many copies there are along it."""
        pairs = zip(self.mesh, self.placements, strict=True)
        return [size if placement is None else 1 for size, placement in pairs]

    def _place(self, process: int) -> tuple[int, ...]:
        index, place = self.processes.index(process), []
        for size in reversed(self.mesh):
            index, rest = divmod(index, size)
            place.append(rest)
        return tuple(reversed(place))

    def _copy_at(self, place: tuple[int, ...]) -> int:
        number = 0
        for at, copies in zip(place, self._copies, strict=True):
            number = number * copies + at % copies
        return number

    def _box_at(self, place: tuple[int, ...]) -> Box:
        starts, sizes = [0] * len(self.shape), list(self.shape)
        plain = [i for i, one in enumerate(self.placements) if isinstance(one, int)]
        late = [i for i, one in enumerate(self.placements) if isinstance(one, tuple)]
        for i in [*plain, *reversed(late)]:
            placement = self.placements[i]
            dim = placement[0] if isinstance(placement, tuple) else placement
            assert dim is not None
            # As torch.chunk: all parts are as large as the first, until nothing is left.
            part = -(-sizes[dim] // self.mesh[i])
            start = min(part * place[i], sizes[dim])
            starts[dim] += start
            sizes[dim] = min(part, sizes[dim] - start)
        return tuple(slice(at, at + size) for at, size in zip(starts, sizes, strict=True))


def parts_of(layouts: Mapping[str, Layout], process: int) -> dict[str, Box]:
    """Return what a process writes of tensors, by name; all processes together write each once.

    Where a mesh is of some of the processes, the others have copies; the first process's counts.
    """
    return {
        name: layout.box(process) or ()
        for number, (name, layout) in enumerate(layouts.items())
        if 0 in layout.processes and layout.is_written_by(process, number)
    }


# DTensors; their module is not imported for those who have none


def is_split(value: object) -> bool:
    """Return whether something is a DTensor."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(value, module.DTensor)


def is_sharded(model: nn.Module) -> bool:
    """Return whether the parameters of a model are split among processes.

    Between a forward pass and what follows on it, `fully_shard` may show whole ones.
    """
    return any(map(is_split, model.parameters())) or any(_fully_sharded(model))


def _fully_sharded(model: nn.Module) -> Iterator[Any]:
    kind = getattr(sys.modules.get("torch.distributed.fsdp"), "FSDPModule", None)
    return (part for part in model.modules() if kind is not None and isinstance(part, kind))


def reshard(model: nn.Module) -> None:
    """Have `fully_shard` show the parameters that the optimizer has."""
    for part in _fully_sharded(model):
        part.reshard()


def shares(model: nn.Module) -> tuple[int, int] | None:
    """Return among how many the data is shared out, and which share this process gets.

    It is ``None`` if each process has its own. Processes along a dimension of the mesh that is
    called "tp", and all of a model that only tensor parallel has split, compute one and the same.

    Raises:
        ValueError: Gradients would not be exchanged between those that have different data.
    """
    is_fully_sharded = any(True for _ in _fully_sharded(model))
    count = torch.distributed.get_world_size()
    meshes: dict[str, Any] = {
        name: getattr(parameter, "device_mesh", None)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    found: tuple[int, int] | None = None
    for mesh in meshes.values():
        if mesh is not None and mesh.size() == count:
            names = mesh.mesh_dim_names or ()
            place, number, share = mesh.get_coordinate(), 1, 0
            for dim, size in enumerate(mesh.shape):
                if is_fully_sharded and "tp" not in names[dim : dim + 1]:
                    number, share = number * size, share * size + place[dim]
            found = number, share
    for name, mesh in meshes.items():
        size = 1 if mesh is None else mesh.size()
        if size != count and (found is None or size != found[0]):
            raise ValueError(
                f"{name} is not split among all {count} processes, but other parameters of the "
                f"model are: its gradients would not be exchanged, and the processes would drift "
                f"apart. Call fully_shard(model) on the whole model, with a mesh of all processes"
            )
    return found


def local(tensor: Tensor) -> Tensor:
    """Return this process's part of a tensor, which shares its memory."""
    part: Tensor = tensor.to_local() if is_split(tensor) else tensor  # type: ignore[attr-defined]
    return part


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with the parts of all processes, each of which has to ask."""
    full: Tensor = tensor.full_tensor() if is_split(tensor) else tensor  # type: ignore[attr-defined]
    return full


def layout_of(tensor: Any) -> Layout:
    """Return how a DTensor is split."""
    placements: list[int | tuple[int, int] | None] = []
    for one in tensor.placements:
        if one.is_partial():
            raise TypeError(f"a tensor is split as {tensor.placements}: it is not summed up yet")
        factor = getattr(one, "split_factor", None)
        dim = getattr(one, "dim", None)
        placements.append(dim if factor is None or dim is None else (dim, factor))
    mesh = tensor.device_mesh
    ranks = tuple(mesh.mesh.flatten().tolist())
    return Layout(tuple(tensor.shape), tuple(mesh.shape), ranks, tuple(placements))


def fitted(value: Any, own: Any) -> Any:
    """Return a tensor split as ``own`` is, which may be whole.

    Args:
        value: A whole tensor, or anything with ``shape`` and ``read(box)``.
        own: What it is to be like.
    """
    read = getattr(value, "read", None)
    is_like = is_split(own) and not is_split(value) and hasattr(value, "shape")
    if not is_like or tuple(value.shape) != tuple(own.shape):
        return value if read is None else read()
    box = layout_of(own).box(torch.distributed.get_rank())
    part = value[box] if read is None else read(box)
    return type(own).from_local(
        part.to(own.device),
        own.device_mesh,
        own.placements,
        run_check=False,
        shape=own.shape,
        stride=own.stride(),
    )


def all_fitted(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state by name, of which each tensor is split as that of its name in ``own``."""
    return {name: fitted(value, own.get(name)) for name, value in state.items()}
