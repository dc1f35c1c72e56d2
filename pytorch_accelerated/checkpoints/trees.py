"""Nested state as JSON and a flat set of tensors, and back: nothing in it can run."""

from __future__ import annotations

import math
import numbers
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pytorch_accelerated.checkpoints.folders import CheckpointError
from pytorch_accelerated.checkpoints.tensor_files import DTYPES

_KINDS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "OrderedDict": OrderedDict,
    "Counter": lambda items: Counter(dict(items)),
    "float": lambda text: float(text[0]),
}


def split(tree: Any, where: str = "state") -> tuple[Any, dict[str, Tensor]]:
    """Separate a tree into what JSON can say and its tensors, which are copied to host memory.

    Args:
        tree: Dicts, lists, tuples and sets of plain values and tensors.
        where: What to call it in a message.

    Returns:
        The skeleton, and the tensors by name. Where the tree had one, the skeleton has its name.

    Raises:
        TypeError: It holds something else, which could only be saved as code.
    """
    tensors: dict[str, Tensor] = {}
    return _plain(tree, where, (), tensors), tensors


def _plain(value: Any, where: str, path: tuple[str, ...], tensors: dict[str, Tensor]) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Tensor):
        if value.dtype == torch.complex128:  # safetensors has no word for it
            value = torch.view_as_real(value.resolve_conj())
            return {"__complex__": _add(value, path, tensors, where)}
        return {"__tensor__": _add(value, path, tensors, where)}
    if isinstance(value, numbers.Integral) and not _is_numpy(value):
        return int(value)
    if isinstance(value, float) and not _is_numpy(value):
        return value if math.isfinite(value) else {"__float__": [repr(value)]}

    def inner(item: Any, key: object) -> Any:
        return _plain(item, where, (*path, str(key)), tensors)

    if isinstance(value, list):
        return [inner(item, i) for i, item in enumerate(value)]
    if isinstance(value, tuple):
        return {"__tuple__": [inner(item, i) for i, item in enumerate(value)]}
    for kind in (set, frozenset):
        if type(value) is kind:
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
        f"strings, None and lists, tuples, sets and dicts of these can be read back without "
        f"running code from the file. Convert it first, for example a path or a date with str(), "
        f"a NumPy number with float()"
    )


def _at(where: str, path: tuple[str, ...]) -> str:
    return where + "".join(f"[{step!r}]" for step in path)


def _is_numpy(value: Any) -> bool:
    return type(value).__module__ == "numpy"


def _add(value: Tensor, path: tuple[str, ...], tensors: dict[str, Tensor], where: str) -> str:
    if value.layout != torch.strided or value.is_meta or value.dtype not in DTYPES:
        raise TypeError(
            f"{_at(where, path)} is a tensor with {value.layout} and {value.dtype} on "
            f"{value.device}: only plain tensors with values can go into a checkpoint"
        )
    name = base = ".".join(path) or "tensor"
    attempt = 1
    while name in tensors:
        attempt += 1
        name = f"{base}#{attempt}"
    tensors[name] = value.detach().to("cpu", copy=True).resolve_conj().resolve_neg().contiguous()
    return name


def join(skeleton: Any, tensors: Mapping[str, Tensor], where: str = "state") -> Any:
    """What `split` was given.

    Args:
        skeleton: Its first result, also after JSON.
        tensors: Its second result.
        where: What to call it in a message.

    Raises:
        CheckpointError: It is not what `split` makes.
    """
    try:
        return _joined(skeleton, tensors)
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{where} is damaged: {error!r}") from None


def _joined(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_joined(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (key, content), *_ = value.items()
        if key == "__tensor__":
            return tensors[content]
        if key == "__complex__":
            return torch.view_as_complex(tensors[content])
        if key.startswith("__"):
            return _KINDS[key[2:-2]]([_joined(item, tensors) for item in content])
    return {key: _joined(item, tensors) for key, item in value.items()}
