"""Checkpoints of one file: what cannot run code, complete or absent."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pytorch_accelerated.checkpoints.folders import CheckpointError


def read(path: Path) -> dict[str, Any]:
    """Read a file of `Checkpointing.save_checkpoint`, without running code from it.

    Args:
        path: The file.

    Returns:
        All of it, with tensors in host memory.

    Raises:
        OSError: There is no such file, or it cannot be read.
        CheckpointError: It is damaged, or no file of `Checkpointing.save_checkpoint`.
    """
    if path.is_dir():
        raise IsADirectoryError(
            f"{path} is a folder: load_checkpoint() reads a file of save_checkpoint(); go on from "
            f"a training state or a checkpoint with train(resume=…)"
        )
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError:
        # PyTorch's own message advises to load it all the same, which may run what is in it.
        raise CheckpointError(
            f"{path} is no file of save_checkpoint(): it is damaged, of another kind, or holds "
            f"other things than tensors and plain values, which could run code and are not loaded"
        ) from None
    except Exception as error:
        # Bytes of another kind make it raise anything, and say what they are not.
        what = "it is empty" if path.stat().st_size == 0 else "it is damaged, or of another kind"
        reason = (str(error).splitlines() or [""])[0]
        raise CheckpointError(
            f"{path} is no file of save_checkpoint(): {what} ({type(error).__name__}: {reason})"
        ) from error
    if not isinstance(contents, dict) or "model_state_dict" not in contents:
        has = type(contents).__name__
        if isinstance(contents, dict):
            has = f"dict with {', '.join(map(repr, list(contents)[:3])) or 'nothing'}"
        raise CheckpointError(
            f"{path} is no file of save_checkpoint(): it has no 'model_state_dict', but holds a "
            f"{has}. If that is a model's own state: model.load_state_dict(torch.load(path))"
        )
    return contents


def check_loadable(contents: Mapping[str, Any]) -> None:
    """Refuse what could be saved, but not be read back without running code from the file.

    Args:
        contents: What is to be saved; each item is tried alone.

    Raises:
        TypeError: An item is not made of tensors and plain Python values.
    """
    for name, item in contents.items():
        file = io.BytesIO()
        try:
            torch.save(item, file)
            file.seek(0)
            torch.load(file, weights_only=True)
        except (pickle.PickleError, AttributeError, TypeError, RuntimeError) as error:
            raise TypeError(
                f"{name!r} cannot go into a checkpoint: it holds something other than tensors, "
                f"numbers, strings, None and lists, tuples and dicts of these, so the file could "
                f"not be loaded safely ({str(error).splitlines()[0]}). Convert it first, for "
                f"example a path or a date with str(), a NumPy number with float()"
            ) from None


def write(contents: Any, path: str | os.PathLike[str]) -> None:
    """Write a file by `torch.save`; it appears complete or not at all.

    Args:
        contents: What to save.
        path: Where to; missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            torch.save(contents, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
