"""A table of the checkpoints in a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    checkpoints_in,
    is_leftover,
    read_manifest,
    verify,
)


@dataclass(frozen=True)
class CheckpointInfo:
    """What there is to know about a checkpoint without loading it.

    Attributes:
        path: its folder.
        num_updates: optimizer updates done, ``None`` if that cannot be told.
        epoch: epochs done, ``None`` if that cannot be told.
        size: bytes of its files.
        problem: what is wrong, ``None`` if it is complete and undamaged.
    """

    path: Path
    num_updates: int | None
    epoch: int | None
    size: int
    problem: str | None


def list_checkpoints(folder: str | os.PathLike[str]) -> list[CheckpointInfo]:
    """The checkpoints in a folder, or the one that it is; every file is read and compared.

    Args:
        folder: the folder.

    Returns:
        What is known of each; the furthest in training comes last.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found = checkpoints_in(folder) or ([folder] if (folder / "manifest.json").exists() else [])
    leftovers = sorted(path for path in folder.iterdir() if is_leftover(path))
    return [
        *(_info_of_leftover(path) for path in leftovers),
        *(_info(path) for path in found),
    ]


def _info(path: Path) -> CheckpointInfo:
    problem = None
    position: dict[str, int] = {}
    try:
        position = read_manifest(path)["position"]
        verify(path)
    except CheckpointError as error:
        problem = str(error)
    return CheckpointInfo(
        path, position.get("num_updates"), position.get("epoch"), _size(path), problem
    )


def _info_of_leftover(path: Path) -> CheckpointInfo:
    problem = "not complete: being written, or its writer was killed"
    return CheckpointInfo(path, None, None, _size(path), problem)


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def table(folder: str | os.PathLike[str]) -> str:
    """A table of `list_checkpoints`: name, update, epoch, size, and what is wrong.

    Args:
        folder: the folder.
    """
    rows = [("checkpoint", "update", "epoch", "size", "state")]
    for info in list_checkpoints(folder):
        rows.append(
            (
                info.path.name,
                "?" if info.num_updates is None else str(info.num_updates),
                "?" if info.epoch is None else str(info.epoch),
                _readable(info.size),
                info.problem or "complete",
            )
        )
    if len(rows) == 1:
        return f"no checkpoints in {os.fspath(folder)}"
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)),
                row[-1],
            ]
        )
        for row in rows
    )


def _readable(size: int) -> str:
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the `table` of a folder.

    Args:
        arguments: the folder; by default those of the command line.

    Returns:
        The exit code: 0, or 1 if a checkpoint is damaged, or 2 if there is no such folder.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1:
        sys.stderr.write("usage: checkpoints DIR\n")
        return 2
    try:
        text, infos = table(given[0]), list_checkpoints(given[0])
    except FileNotFoundError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{text}\n")
    return int(any(info.problem is not None for info in infos))
