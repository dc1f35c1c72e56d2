"""Reading and writing checkpoint files."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def check_loadable(contents: Mapping[str, Any]) -> None:
    """Refuse what could be saved, but not be read back without running code from the file.

    Args:
        contents: what is to be saved; each item is tried alone.

    Raises:
        TypeError: an item is not made of tensors and plain Python values.
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


def check_not_reserved(kwargs: Mapping[str, Any], reserved: set[str]) -> None:
    """Refuse items that would replace the Trainer's own.

    Args:
        kwargs: the user's items.
        reserved: the Trainer's names.

    Raises:
        ValueError: a name is among both.
    """
    taken = sorted(reserved & set(kwargs))
    if taken:
        raise ValueError(
            f"checkpoint_kwargs holds {', '.join(taken)}, which the Trainer writes itself: "
            f"choose another name"
        )


def save_atomically(contents: Any, path: str | os.PathLike[str]) -> None:
    """Write a file by `torch.save`; it appears complete or not at all.

    Args:
        contents: what to save.
        path: where to; missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        torch.save(contents, aside)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
