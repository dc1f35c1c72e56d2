"""Tensors in safetensors files: a JSON header, then the bytes of each tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from torch import Tensor

from pytorch_accelerated.checkpoints.folders import CheckpointError, check_regular, to_json

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
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
    """The bytes of a safetensors file, without copying the tensors.

    Args:
        tensors: Contiguous tensors in host memory with one of the `DTYPES`, by name.
    """
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


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Args:
        path: The file.

    Raises:
        CheckpointError: It is missing or no safetensors file.
    """
    try:
        check_regular(path)
        return dict(load_file(path))
    except (safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
