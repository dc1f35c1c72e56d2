"""The checkpoints that a training run writes to its folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_accelerated.checkpoints.background import BackgroundWriter
from pytorch_accelerated.checkpoints.folders import (
    CheckpointError,
    checkpoints_in,
    place_of,
    remove_folder,
    verify,
    write_folder,
)
from pytorch_accelerated.checkpoints.preemption import PreemptionNotice

_NAME = re.compile(r"update_\d+(_end)?")


class RunCheckpoints:
    """Writes a run's checkpoints in the background, and removes old ones.

    Args:
        folder: Where to.
        every: Updates between two; ``None`` for one at the end of each epoch.
        keep_last: How many to keep; ``None`` for all.

    Attributes:
        folder: Where to.
        every: Updates between two, or ``None``.
        keep_last: How many to keep, or ``None``.
        writer: Writes them.
        notice: Tells whether the process is about to be ended.
    """

    def __init__(self, folder: Path, every: int | None, keep_last: int | None) -> None:
        self.folder = folder
        self.every = every
        self.keep_last = keep_last
        self.writer = BackgroundWriter()
        self.notice = PreemptionNotice()

    @contextmanager
    def open(self) -> Iterator[RunCheckpoints]:
        """Note SIGTERM; in the end, wait for what is still being written."""
        with self.notice:
            try:
                yield self
            except BaseException:
                # What ended the run matters more than a checkpoint that failed meanwhile.
                self.writer.finish()
                raise
            self.writer.wait()

    def write(self, files: Mapping[str, Iterable[Any]], position: Mapping[str, int]) -> None:
        """Write a checkpoint in the background.

        Args:
            files: By name, the bytes of each file in pieces.
            position: Where in the run it was made.
        """
        suffix = "" if position["in_epoch"] else "_end"
        target = self.folder / f"update_{position['num_updates']:09d}{suffix}"
        self.writer.submit(lambda: self._write(target, files, position))

    def _write(
        self, target: Path, files: Mapping[str, Iterable[Any]], position: Mapping[str, int]
    ) -> None:
        write_folder(target, files, position, replaces_any=True)
        if self.keep_last is None:
            return
        # Those further on are damaged ones that this run has not come to yet.
        place = place_of(target)
        own = [
            path
            for path in checkpoints_in(self.folder)
            if _NAME.fullmatch(path.name) and (place_of(path), path.name) <= (place, target.name)
        ]
        outdated = own[: -self.keep_last]
        if outdated:
            # The older ones go only if this one can be read back.
            try:
                verify(target)
                for path in outdated:
                    remove_folder(path)
            except (CheckpointError, FileNotFoundError) as error:
                raise CheckpointError(
                    f"{target} was written, but then: {error}. If another run uses {self.folder}, "
                    f"give each run a folder of its own"
                ) from error
