"""Which checkpoints there are, and which one a run continues from."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from pytorch_accelerated.checkpoints.folders import (
    MANIFEST,
    CheckpointError,
    is_leftover,
    read_manifest,
    recover,
    verify,
)

# What a run calls its checkpoints.
OWN_NAME = re.compile(r"update_\d+(_end)?")


def place_of(folder: Path) -> tuple[int, int, int]:
    """Return the updates, epochs and batches done in a checkpoint, as far as that can be told."""
    try:
        position = read_manifest(folder)["position"]
        return (position.get("num_updates", 0), position.get("epoch", 0), position.get("batch", 0))
    except CheckpointError:
        number = re.search(r"\d+", folder.name)
        return (int(number.group()) if number else -1, -1, -1)


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, damaged ones included; the furthest one comes last.

    Args:
        folder: A folder of checkpoints.
    """
    found = [
        (place_of(path), path.name, path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if not path.name.startswith(".") and not os.path.isfile(path) and _is_one(path)
    ]
    return [path for _, _, path in sorted(found)]


def _is_one(folder: Path) -> bool:
    """Return whether a folder is a checkpoint, as far as that can be told if it is damaged."""
    is_named = OWN_NAME.fullmatch(folder.absolute().name) is not None
    return is_named or os.path.lexists(folder / MANIFEST)


def problem_of(folder: Path) -> str | None:
    """Return what is wrong with a checkpoint; ``None`` if it is complete and undamaged."""
    try:
        verify(folder)
    except CheckpointError as error:
        return str(error)
    return None


# To continue from


def find(
    resume: str | os.PathLike[str] | None, checkpoint_dir: Path | None
) -> tuple[Path | None, list[str]]:
    """Find the checkpoint that a run continues from.

    Args:
        resume: What the user gave: a checkpoint, a folder of them, ``"auto"``, or None.
        checkpoint_dir: The folder that the run writes to, if any.

    Returns:
        The checkpoint, None where the run begins, and why newer ones cannot be used.

    Raises:
        ValueError: It would mix two courses of training in one folder.
        FileNotFoundError: There is nothing at ``resume``.
        CheckpointError: No checkpoint there is complete.
    """
    present = [] if checkpoint_dir is None else checkpoints_in(checkpoint_dir)
    if resume is None and present:
        raise ValueError(
            f"checkpoint_dir holds checkpoints of a run already, {present[-1]} for one: pass "
            f"resume='auto' to continue it, or another folder for a new run"
        )
    if resume is None or (resume == "auto" and not present):
        return None, []
    candidates = present if resume == "auto" else _candidates(Path(resume))
    folder, problems = _newest_good(candidates)
    if resume != "auto" and present:
        if all(path.resolve() != folder.resolve() for path in present):
            # The branch that began at `folder` was interrupted.
            folder, problems = _newest_good(present)
        elif place_of(present[-1]) > place_of(folder):
            raise ValueError(
                f"checkpoint_dir holds later checkpoints, such as {present[-1]}, than {folder}, "
                f"which resume names: pass resume='auto' to continue from the newest, or another "
                f"checkpoint_dir for a branch from here"
            )
    return folder, problems


def _candidates(start: Path) -> list[Path]:
    recover(start)
    if not start.is_dir():
        raise FileNotFoundError(f"there is no checkpoint or folder of checkpoints at {start}")
    candidates = [start] if _is_one(start) else checkpoints_in(start)
    if not candidates:
        raise CheckpointError(f"{start} is not a checkpoint, and there is none in it")
    return candidates


def _newest_good(candidates: list[Path]) -> tuple[Path, list[str]]:
    problems: list[str] = []
    for folder in reversed(candidates):
        problem = problem_of(folder)
        if problem is None:
            return folder, problems
        problems.append(problem)
    raise CheckpointError("no checkpoint can be used: " + "; ".join(problems))


# To look at


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
    found = [folder] if _is_one(folder) else checkpoints_in(folder)
    unfinished = sorted(path for path in folder.iterdir() if is_leftover(path))
    return [*map(_info, unfinished), *map(_info, found)]


def _info(path: Path) -> CheckpointInfo:
    size, position = 0, dict[str, int]()
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    if is_leftover(path):
        return CheckpointInfo(path, None, None, size, "being written, or its writer was killed")
    with contextlib.suppress(CheckpointError):
        position = read_manifest(path)["position"]
    updates, epoch = position.get("num_updates"), position.get("epoch")
    return CheckpointInfo(path, updates, epoch, size, problem_of(path))


def table(folder: str | os.PathLike[str]) -> str:
    """Return a table of `list_checkpoints`: name, update, epoch, size, and what is wrong.

    Args:
        folder: The folder.
    """
    return _table(list_checkpoints(folder), folder)


def _table(infos: list[CheckpointInfo], folder: str | os.PathLike[str]) -> str:
    if not infos:
        return f"there are no checkpoints in {os.fspath(folder)}"
    rows = [("checkpoint", "update", "epoch", "size", "state")]
    rows += [
        (
            info.path.name,
            "?" if info.num_updates is None else str(info.num_updates),
            "?" if info.epoch is None else str(info.epoch),
            _readable(info.size),
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


def _readable(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    amount = float(size)
    for unit in ("kB", "MB", "GB"):
        amount /= 1000
        if amount < 1000:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} TB"


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
    sys.stdout.write(f"{_table(infos, folder)}\n")
    return int(any(info.problem and not is_leftover(info.path) for info in infos))
