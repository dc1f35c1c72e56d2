"""Which checkpoint a run goes on from."""

from __future__ import annotations

import os
from pathlib import Path

from pytorch_accelerated.checkpoints.folders import (
    MANIFEST,
    CheckpointError,
    checkpoints_in,
    place_of,
    problem_of,
    recover,
    verify,
)


def find(
    resume: str | os.PathLike[str] | None, checkpoint_dir: Path | None
) -> tuple[Path | None, str | None, list[str]]:
    """Find the checkpoint that a run goes on from.

    Args:
        resume: What the user gave: a checkpoint, a folder of them, ``"auto"``, or None.
        checkpoint_dir: The folder that the run writes to, if any.

    Returns:
        The checkpoint, a note for the user (both None where there is none to go on from), and
        why newer ones cannot be used.

    Raises:
        ValueError: To go on in this way would mix two courses of training in one folder.
        FileNotFoundError: There is nothing at ``resume``.
        CheckpointError: No checkpoint there is complete.
    """
    present = [] if checkpoint_dir is None else checkpoints_in(checkpoint_dir)
    if resume is None:
        if present:
            raise ValueError(
                f"checkpoint_dir holds checkpoints of a run already, {present[-1]} for one: pass "
                f"resume='auto' to go on with it, or another folder for a new run"
            )
        return None, None, []
    if resume == "auto":
        if not present:
            return None, None, []
        folder, problems = _newest_good(present)
        return folder, f"going on from {folder}", problems
    start = Path(resume)
    recover(start)
    if not start.is_dir():
        raise FileNotFoundError(f"there is no checkpoint or folder of checkpoints at {start}")
    inside = start / MANIFEST
    candidates = [start] if inside.exists() else checkpoints_in(start)
    if not candidates:
        raise CheckpointError(f"{start} is no checkpoint, and there is none in it")
    folder, problems = _newest_good(candidates)
    later = [path for path in present if place_of(path) > place_of(folder)]
    is_same_course = any(path.resolve() == folder.resolve() for path in present)
    if present and not is_same_course:
        # The branch that began at `folder` was interrupted.
        folder, problems = _newest_good(present)
        return folder, f"going on with the branch, from {folder}", problems
    if later:
        raise ValueError(
            f"checkpoint_dir holds later checkpoints, such as {later[-1]}, than {folder}, which "
            f"resume names: pass resume='auto' to go on from the newest, or another "
            f"checkpoint_dir for a branch from here"
        )
    return folder, f"going on from {folder}", problems


def _newest_good(candidates: list[Path]) -> tuple[Path, list[str]]:
    problems: list[str] = []
    for folder in reversed(candidates):
        problem = problem_of(folder)
        if problem is None:
            return folder, problems
        problems.append(problem)
    raise CheckpointError("no checkpoint can be used: " + "; ".join(problems))


def check_folder(folder: Path) -> None:
    """Check one training state, after what interrupted its writing was put right.

    Raises:
        FileNotFoundError: There is none.
        CheckpointError: It is incomplete or damaged.
    """
    recover(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} with a training state")
    verify(folder)
