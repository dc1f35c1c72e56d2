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
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import safetensors
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pytorch_accelerated.borrowed import COMPILED, uncompiled
from pytorch_accelerated.checkpoints import folders, shards
from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    opened,
    part_name,
    read_json,
    to_json,
)
from pytorch_accelerated.checkpoints.shards import Stored
from pytorch_accelerated.checkpoints.tensors import DTYPES, can_be_read_back, pieces, read
from pytorch_accelerated.schedulers.optimizers import Optimizers
from pytorch_accelerated.sharded import (
    all_fitted,
    fitted,
    is_split,
    layout_of,
    local,
    parts_of,
    whole,
)

MODEL_FILE, STATE_FILE = "model.safetensors", "state.json"
_OWN_FILES = {"model": "the model's state", "optimizer": "the optimizer's state"}
_SHARED = "state"

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


@dataclass
class Contents:
    """States taken apart; nothing is copied yet.

    Attributes:
        skeletons: What JSON can say, for each file of tensors.
        tensors: The tensors of each of these files, by name.
        parts: The `bytes` in the states, each of which is a file of its own and never changes.
    """

    skeletons: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]
    parts: list[bytes]

    def join_in(self) -> None:
        """Take part in gathering what is split, for the process that writes it."""
        for tensors in self.tensors.values():
            for one in tensors.values():
                whole(one)


def taken_apart(states: Mapping[str, Any]) -> Contents:
    """Return what the files of a checkpoint are made of; refuse what could only be code."""
    trees = {name: (states[name], where) for name, where in _OWN_FILES.items()}
    shared = {name: state for name, state in states.items() if name not in _OWN_FILES}
    trees[_SHARED] = (shared, "the state of the run")
    contents = Contents({}, {}, [])
    for name, (tree, where) in trees.items():
        tensors = contents.tensors[name] = {}
        contents.skeletons[name] = _plain(tree, where, (), tensors, contents.parts)
    return contents


def files_of(contents: Contents, kept: Copies | None = None) -> dict[str, Iterable[Any]]:
    """Return the files of a checkpoint; tensors are copied to host memory, in whole.

    ``kept`` holds the copies of the checkpoint before, which give their memory to those of this
    one: new memory would take more than twice as long, as the system has to give each page of it.
    """
    kept = {} if kept is None else kept
    files: dict[str, Iterable[Any]] = {}
    for name, tensors in contents.tensors.items():
        kept[name] = _all_copied(tensors, kept.get(name, {}))
        files[f"{name}.safetensors"] = pieces(kept[name])
    return {**files, **_other_files(contents.skeletons, contents.parts)}


def files_of_process(
    contents: Contents, process: int, kept: Copies | None = None
) -> dict[str, Iterable[Any]]:
    """Return the files that a process writes of a sharded checkpoint; see `files_of`."""
    kept = {} if kept is None else kept
    keyed = {
        shards.key(file, name): one
        for file, tensors in contents.tensors.items()
        for name, one in tensors.items()
    }
    layouts = {name: layout_of(one) for name, one in keyed.items() if is_split(one)}
    mine = parts_of(layouts, process)
    written = {
        name: local(one)
        for name, one in keyed.items()
        if (name in mine if name in layouts else process == 0)
    }
    file = folders.shard_name(process)
    kept[file] = _all_copied(written, kept.get(file, {}))
    files: dict[str, Iterable[Any]] = {file: pieces(kept[file])}
    if process == 0:
        index = shards.index_of({name: (keyed[name].dtype, one) for name, one in layouts.items()})
        skeletons = {**contents.skeletons, shards.INDEX: index}
        files |= _other_files(skeletons, contents.parts)
    return files


def _other_files(skeletons: Mapping[str, Any], parts: list[bytes]) -> dict[str, Iterable[Any]]:
    named = {part_name(index): part for index, part in enumerate(parts)}
    return {STATE_FILE: [to_json(skeletons)], **named}


def read_state(folder: Path) -> dict[str, Any]:
    """Return the states in a checkpoint whose files were verified, and its folder with them.

    Tensors that lie there in shards are `Stored`, which are read on demand.
    """
    path = folder / STATE_FILE
    try:
        skeletons, _ = read_json(path)
        names = (*_OWN_FILES, _SHARED)
        tensors: dict[str, Any]
        if shards.INDEX in skeletons:
            tensors = shards.tensors_in(folder, skeletons[shards.INDEX], names)
        else:
            tensors = {name: read(folder / f"{name}.safetensors") for name in names}
        trees = {name: join(skeletons[name], tensors[name], folder) for name in names}
        shared = trees.pop(_SHARED)
        return {**trees, **shared, "folder": folder}
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error!r}") from None


def model_in(folder: Path) -> tuple[Any, dict[str, Stored]]:
    """Return the skeleton and the tensors of a checkpoint's model, which are read on demand."""
    skeletons, _ = read_json(folder / STATE_FILE)
    if shards.INDEX in skeletons:
        return skeletons["model"], shards.stored_in(folder, skeletons[shards.INDEX], "model")
    return skeletons["model"], shards.stored_in_file(folder / MODEL_FILE)


def read_whole(value: Any) -> Any:
    """Return a state, all of whose tensors are read."""
    if isinstance(value, Stored):
        return value.read()
    if isinstance(value, dict):
        result = copy.copy(value)  # of its own kind, such as a Counter
        for key, one in value.items():
            result[key] = read_whole(one)
        return result
    if type(value) in (list, tuple):
        return type(value)(map(read_whole, value))
    return value


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
    return skeleton, _all_copied(tensors, kept)


def _all_copied(tensors: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: _copied(whole(one), kept.get(name)) for name, one in tensors.items()}


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
    if not is_plain or not can_be_read_back(value.dtype):
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


# The states of models and optimizers


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
        self.model.load_state_dict(all_fitted(state, own))

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


def fitted_to_optimizer(state: Mapping[str, Any], optimizer: Any) -> dict[str, Any]:
    """Return the state of an optimizer, of which each tensor is split as the parameter is."""
    if isinstance(optimizer, Optimizers):
        return {
            name: fitted_to_optimizer(state[name], one)
            for name, one in zip(optimizer.names, optimizer.optimizers, strict=True)
            if name in state
        } | {name: one for name, one in state.items() if name not in optimizer.names}
    now, before = (
        [one for group in groups for one in group["params"]]
        for groups in (optimizer.param_groups, state["param_groups"])
    )
    parameters = dict(zip(before, now, strict=False))
    held = {
        key: {name: fitted(value, parameters.get(key)) for name, value in kept.items()}
        if isinstance(kept, Mapping)
        else kept
        for key, kept in state["state"].items()
    }
    return {**state, "state": held}


def gathered(value: Any, keeps: bool) -> Any:
    """Return a state with whole tensors in host memory; all processes have to ask.

    Those that keep nothing get ``None`` in the place of each.
    """
    if is_split(value):
        full = whole(value)
        return full.cpu() if keeps else None
    if isinstance(value, Mapping):
        return {key: gathered(one, keeps) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(one, keeps) for one in value)
    return value
