"""What a checkpoint is made of: the states of parts, as JSON and safetensors; no code can run.

A part is anything with ``state_dict`` and ``load_state_dict``. The tensors of model and optimizer
have a file each, which other programs read, too; those of all other parts share one.
"""

from __future__ import annotations

import copy
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pytorch_accelerated.borrowed import COMPILED, uncompiled
from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    opened,
    part_name,
    read_json,
    to_json,
)

MODEL_FILE, STATE_FILE = "model.safetensors", "state.json"
_OWN_FILES = {"model": "the model's state", "optimizer": "the optimizer's state"}
_SHARED = "state"

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}

_KINDS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "OrderedDict": OrderedDict,
    "Counter": lambda items: Counter(dict(items)),
    "float": lambda text: float(text[0]),
}


class Part(Protocol):
    """Anything with a state: a model, an optimizer, a history, a counter."""

    def state_dict(self) -> Any:
        """Return what has to be known to continue: tensors and plain Python values."""

    def load_state_dict(self, state: Any) -> Any:
        """Take up what `state_dict` returned; warn of what differs from it on purpose."""


Copies = dict[str, dict[str, Tensor]]
"""What tensors were copied to, by file and name."""


def files_of(states: Mapping[str, Any], kept: Copies | None = None) -> dict[str, Iterable[Any]]:
    """Return the files of a checkpoint; tensors are copied to host memory.

    Each `bytes` in the states is a file of its own, which never changes.
    ``kept`` holds the copies of the checkpoint before, which give their memory to those of this
    one: new memory would take more than twice as long, as the system has to give each page of it.
    """
    kept = {} if kept is None else kept
    trees = {name: (states[name], where) for name, where in _OWN_FILES.items()}
    shared = {name: state for name, state in states.items() if name not in _OWN_FILES}
    trees[_SHARED] = (shared, "the state of the run")
    skeletons: dict[str, Any] = {}
    files: dict[str, Iterable[Any]] = {}
    parts: list[bytes] = []
    for name, (tree, where) in trees.items():
        skeletons[name], kept[name] = split(tree, where, kept.get(name, {}), parts)
        files[f"{name}.safetensors"] = pieces(kept[name])
    files[STATE_FILE] = [to_json(skeletons)]
    return {**files, **{part_name(index): part for index, part in enumerate(parts)}}


def read_state(folder: Path) -> dict[str, Any]:
    """Return the states in a checkpoint whose files were verified, and its folder with them."""
    path = folder / STATE_FILE
    try:
        skeletons, _ = read_json(path)
        trees = {
            name: join(skeletons[name], read(folder / f"{name}.safetensors"), folder)
            for name in (*_OWN_FILES, _SHARED)
        }
        shared = trees.pop(_SHARED)
        return {**trees, **shared, "folder": folder}
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error!r}") from None


# Nested states


def split(
    tree: Any,
    where: str = "state",
    kept: Mapping[str, Tensor] = MappingProxyType({}),
    parts: list[bytes] | None = None,
) -> tuple[Any, dict[str, Tensor]]:
    """Separate a tree into what JSON can say and its tensors, which are copied to host memory.

    Where the tree had a tensor, the skeleton has its name. What could only be saved as code is
    refused; ``where`` is what to call the tree in the message. A tensor is copied to the one of
    its name in ``kept``, if that is like it. Where the tree had `bytes`, the skeleton has the place
    of these in ``parts``, which they are added to.
    """
    tensors: dict[str, Tensor] = {}
    skeleton = _plain(tree, where, (), tensors, [] if parts is None else parts)
    return skeleton, {name: _copied(one, kept.get(name)) for name, one in tensors.items()}


def _copied(tensor: Tensor, kept: Tensor | None) -> Tensor:
    if kept is None or (kept.dtype, kept.shape) != (tensor.dtype, tensor.shape):
        kept = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")
    return kept.copy_(tensor)


def _plain(
    value: Any,
    where: str,
    path: tuple[str, ...],
    tensors: dict[str, Tensor],
    parts: list[bytes],
) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Tensor):
        if value.is_complex():  # not every version of safetensors has words for these
            value = torch.view_as_real(value.resolve_conj())
            return {"__complex__": _add(value, path, tensors, where)}
        return {"__tensor__": _add(value, path, tensors, where)}
    if type(value) is bytes:
        parts.append(value)
        return {"__bytes__": len(parts) - 1}
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and type(value).__module__ != "numpy":
        return value if math.isfinite(value) else {"__float__": [repr(value)]}

    def inner(item: Any, key: object) -> Any:
        return _plain(item, where, (*path, str(key)), tensors, parts)

    if isinstance(value, list):
        return [inner(item, i) for i, item in enumerate(value)]
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {f"__{kind.__name__}__": [inner(item, i) for i, item in enumerate(value)]}
    if isinstance(value, Mapping):
        name = type(value).__name__ if type(value) in (OrderedDict, Counter) else "dict"
        is_simple = all(isinstance(key, str) and not key.startswith("__") for key in value)
        if is_simple and name == "dict":
            return {key: inner(item, key) for key, item in value.items()}
        return {f"__{name}__": [[inner(k, "key"), inner(v, k)] for k, v in value.items()]}
    raise TypeError(
        f"{_at(where, path)} is a {type(value).__module__}."
        f"{type(value).__qualname__}, which cannot go into a checkpoint: only tensors, numbers, "
        f"strings, bytes, None and lists, tuples, sets and dicts of these can be read back without "
        f"running code from the file. Convert it first, for example a path or a date with str(), "
        f"a NumPy number with float()"
    )


def _at(where: str, path: tuple[str, ...]) -> str:
    return where + "".join(f"[{step!r}]" for step in path)


def _add(value: Tensor, path: tuple[str, ...], tensors: dict[str, Tensor], where: str) -> str:
    is_plain = value.layout == torch.strided and not value.is_meta and value.dtype in DTYPES
    if not is_plain or not _can_be_read_back(value.dtype):
        raise TypeError(
            f"{_at(where, path)} is a tensor with {value.layout} and {value.dtype} on "
            f"{value.device}: only plain tensors with values can go into a checkpoint, of a kind "
            f"that safetensors {safetensors.__version__} reads back"
        )
    name = ".".join(path) or "tensor"
    while name in tensors:
        name += "#"
    tensors[name] = value.detach()
    return name


def join(skeleton: Any, tensors: Mapping[str, Tensor], folder: Path = Path()) -> Any:
    """Return what `split` was given, from its two results; the first may have been JSON.

    The `bytes` are in files of the folder.
    """
    if isinstance(skeleton, list):
        return [join(item, tensors, folder) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if len(skeleton) == 1:
        (key, content), *_ = skeleton.items()
        if key == "__tensor__":
            return tensors[content]
        if key == "__complex__":
            return torch.view_as_complex(tensors[content])
        if key == "__bytes__":
            with opened(folder / part_name(content)) as file:
                return file.read()
        if key.startswith("__"):
            return _KINDS[key[2:-2]]([join(item, tensors, folder) for item in content])
    return {key: join(item, tensors, folder) for key, item in skeleton.items()}


# Files of tensors: a JSON header, then the bytes of each tensor


def pieces(tensors: Mapping[str, Tensor]) -> list[Any]:
    """Return the bytes of a safetensors file, without copying contiguous tensors in host memory."""
    header: dict[str, Any] = {}
    contents: list[Any] = []
    offset = 0
    for name, tensor in tensors.items():
        size = math.prod(tensor.shape) * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
        if size:
            contents.append(tensor.reshape(-1).view(torch.uint8).numpy().data)
    text = to_json(header)
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little") + text, *contents]


@lru_cache
def _can_be_read_back(dtype: torch.dtype) -> bool:
    """Return whether the installed versions read the tensors that `pieces` writes."""
    try:
        safetensors.torch.load(b"".join(map(bytes, pieces({"one": torch.zeros(1, dtype=dtype)}))))
    except Exception:
        return False
    return True


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file."""
    try:
        with opened(path):
            return dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None


# The state of a model


@dataclass
class Weights:
    """The state of a model, which is the same whether parts of it are compiled or not."""

    model: nn.Module

    def state_dict(self) -> dict[str, Any]:
        """Return the model's state under the names of the uncompiled model."""
        state = self.model.state_dict()
        if not any(map(COMPILED.search, state)):
            return state
        return {uncompiled(name): value for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state, whichever parts of the model it is from were compiled."""
        own = self.model.state_dict()
        if any(map(COMPILED.search, (*own, *state))):
            names = {uncompiled(name): name for name in own}
            state = {names.get(uncompiled(name), name): value for name, value in state.items()}
        self.model.load_state_dict(state)

    def copied(self) -> dict[str, Any]:
        """Return a copy of the state, to go back to."""
        return {
            name: value.to("cpu", copy=True)
            if isinstance(value, Tensor) and not is_lazy(value)
            else copy.deepcopy(value)
            for name, value in self.model.state_dict().items()
        }

    def check(self, state: Mapping[str, Any], where: str) -> None:
        """Refuse the state of another model; nothing has changed then."""
        problem = self._first_difference(state)
        if not problem:
            return
        before = self.copied()
        try:
            self.load_state_dict(state)  # hooks of the model may know older names
        except Exception as error:
            raise ValueError(
                f"{where} holds the state of another model: {problem}. Nothing was loaded: make "
                f"the model as it was; or, to continue from those weights that fit, load "
                f"model.safetensors with safetensors.torch.load_file, and begin a new run in "
                f"another folder"
            ) from error
        finally:
            self.model.load_state_dict(before)

    def _first_difference(self, state: Mapping[str, Any]) -> str:
        own = self.state_dict()
        theirs = {uncompiled(name): value for name, value in state.items()}
        for name, value in own.items():
            if name not in theirs:
                return f"it has no {name!r}, which the model has"
            if isinstance(value, Tensor) and not is_lazy(value):
                there = getattr(theirs[name], "shape", None)
                if there != value.shape:
                    there = there and list(there)
                    return f"{name!r} has the shape {there} there, and {list(value.shape)} here"
        extra = [name for name in theirs if name not in own]
        return f"it has {extra[0]!r}, which the model does not have" if extra else ""
