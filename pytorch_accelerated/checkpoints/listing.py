"""Looking at checkpoints without loading them."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    checkpoints_in,
    is_one,
    problem_of,
    read_manifest,
)


@dataclass(frozen=True)
class CheckpointInfo:
    """What there is to know about a checkpoint without loading it.

    Attributes:
        path: Its folder.
        num_updates: Optimizer updates done, ``None`` if that cannot be told.
        epoch: Epochs done, ``None`` if that cannot be told.
        size: Bytes of its files.
        problem: What is wrong, ``None`` if it is complete and undamaged.
    """

    path: Path
    num_updates: int | None
    epoch: int | None
    size: int
    problem: str | None


def list_checkpoints(folder: str | os.PathLike[str]) -> list[CheckpointInfo]:
    """Return the checkpoints in a folder, or the one that it is; every file is read and compared.

    Args:
        folder: The folder.

    Returns:
        What is known of each; the furthest in training comes last.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found = [folder] if is_one(folder) else checkpoints_in(folder)
    return [*map(_info, found)]


def _info(path: Path) -> CheckpointInfo:
    size, position = 0, dict[str, int]()
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    with contextlib.suppress(CheckpointError):
        position = read_manifest(path)["position"]
    updates, epoch = position.get("num_updates"), position.get("epoch")
    return CheckpointInfo(path, updates, epoch, size, problem_of(path))


def table(folder: str | os.PathLike[str]) -> str:
    """Return a table of `list_checkpoints`: name, update, epoch, size, and what is wrong.

    Args:
        folder: The folder.
    """
    return _table(folder, list_checkpoints(folder))


def _table(folder: str | os.PathLike[str], infos: list[CheckpointInfo]) -> str:
    if not infos:
        return f"there are no checkpoints in {os.fspath(folder)}"
    rows = [("checkpoint", "update", "epoch", "size", "state")]
    rows += [
        (
            info.path.name,
            "?" if info.num_updates is None else str(info.num_updates),
            "?" if info.epoch is None else str(info.epoch),
            f"{info.size / 1e6:,.1f} MB",
            info.problem or "complete",
        )
        for info in infos
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{name:{widths[0]}}  {update:>{widths[1]}}  {epoch:>{widths[2]}}  {size:>{widths[3]}}  "
        f"{state}"
        for name, update, epoch, size, state in rows
    )


def main(folder: str | os.PathLike[str]) -> int:
    """Print the `table` of a folder.

    Args:
        folder: The folder.

    Returns:
        The exit code: 0, or 1 if a checkpoint is damaged, or 2 if there is no such folder, or it
        cannot be read.
    """
    try:
        infos = list_checkpoints(folder)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{_table(folder, infos)}\n")
    return int(any(info.problem for info in infos))
