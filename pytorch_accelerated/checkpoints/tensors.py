"""Files of tensors: safetensors, which is a JSON header, then the bytes of each tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pytorch_accelerated.checkpoints.folders import CheckpointError, opened, to_json

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


def pieces(tensors: Mapping[str, Tensor]) -> list[Any]:
    """Return the bytes of a safetensors file, without copying contiguous tensors in host memory."""
    return [*pieces_of(tensors, tensors.values())]


def pieces_of(described: Mapping[str, Any], tensors: Iterable[Tensor]) -> Iterator[Any]:
    """Give the bytes of a safetensors file, tensor by tensor.

    What is ``described``, by its ``dtype`` and ``shape``, are the tensors that follow, in order.
    """
    header: dict[str, Any] = {}
    offset = 0
    for name, one in described.items():
        size = math.prod(one.shape) * one.dtype.itemsize
        header[name] = {
            "dtype": DTYPES[one.dtype],
            "shape": list(one.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = to_json(header)
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for tensor in tensors:
        if tensor.numel():
            yield tensor.reshape(-1).view(torch.uint8).numpy().data


@lru_cache
def can_be_read_back(dtype: torch.dtype) -> bool:
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
