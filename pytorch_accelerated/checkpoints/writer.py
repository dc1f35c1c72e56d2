"""Writing a run's checkpoints while it trains, and before it is told to leave."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from pytorch_accelerated.checkpoints.contents import Copies
from pytorch_accelerated.checkpoints.folders import (
    OWN_NAME,
    CheckpointError,
    Written,
    aside_of,
    checkpoints_in,
    place_of,
    problem_of,
    remove_folder,
    write_folder,
)
from pytorch_accelerated.checkpoints.shards import Share

PREEMPTED_EXIT_CODE = 75
"""Exit code of a process that saved a checkpoint after SIGTERM and left: start it again.

It is ``EX_TEMPFAIL`` of the Unix tradition: a temporary failure, to be tried again.
"""

# Several processes ask each other this often whether one was told to leave, in seconds.
_SECONDS_BETWEEN_QUESTIONS = 0.5


@dataclass
class BackgroundWriter:
    """Runs one job at a time in a thread; what goes wrong there is raised by the next call."""

    _thread: threading.Thread | None = None
    _error: BaseException | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Start a job, after the one before has ended."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(job,), name="checkpoint writer")
        self._thread.start()

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            self._error = error

    def check(self) -> None:
        """Raise what went wrong, if anything; never wait."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait for the job; raise what went wrong, if anything."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()


class Preempted(SystemExit):
    """Ends the process with `PREEMPTED_EXIT_CODE`, after a checkpoint was saved."""

    def __init__(self) -> None:
        super().__init__(PREEMPTED_EXIT_CODE)


@dataclass
class Questions:
    """When to ask the other processes whether one of them was told to leave.

    Asking takes a moment, so with quick updates not each of them asks; all processes agree on
    which do. At most every ``most`` updates there is a question.
    """

    most: int
    interval: int = 1
    left: int = 1
    asked_at: float = field(default_factory=time.perf_counter)

    def is_due(self) -> bool:
        """Count an update; return whether to ask now."""
        self.left -= 1
        return self.left <= 0

    def asked(self, seconds: float) -> None:
        """Plan the next question, ``seconds`` after the last one, on which all processes agree."""
        per_update = max(seconds / self.interval, 1e-9)
        affordable = int(_SECONDS_BETWEEN_QUESTIONS / per_update)
        self.interval = self.left = max(1, min(self.most, affordable))
        self.asked_at = time.perf_counter()


@dataclass
class RunCheckpoints:
    """Writes a run's checkpoints in the background, and removes old ones.

    ``every`` is the number of updates between two, ``None`` for one at the end of each epoch.
    """

    folder: Path
    every: int | None
    keep_last: int | None
    questions: Questions
    writer: BackgroundWriter = field(default_factory=BackgroundWriter)
    is_told_to_leave: bool = False
    _share: Share | None = None
    _told: set[Path] = field(default_factory=set)
    _copies: Copies = field(default_factory=dict)
    _written: Written = field(default_factory=dict)

    @contextmanager
    def open(self) -> Iterator[RunCheckpoints]:
        """Note SIGTERM; in the end, wait for what is still being written."""
        # Only the main thread may set handlers.
        is_main = threading.current_thread() is threading.main_thread()
        process = os.getpid()

        def note(number: int, frame: FrameType | None) -> None:
            if os.getpid() == process:
                self.is_told_to_leave = True
            else:  # a forked process has inherited the handler, but has nothing to save
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGTERM)

        before = signal.signal(signal.SIGTERM, note) if is_main else None
        try:
            yield self
            self.writer.wait()
        except BaseException:
            if self._share is not None:
                self._share.is_over.set()
            # What ended the run matters more than a checkpoint that failed meanwhile.
            with contextlib.suppress(Exception):
                self.writer.wait()
            raise
        finally:
            if is_main:
                # None stands for a handler that was not set from Python.
                signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)

    def copies(self) -> Copies:
        """Return what the checkpoint before was copied to, when that is written."""
        self.writer.wait()
        return self._copies

    def target(self, position: Mapping[str, int]) -> Path:
        """Return the folder of a checkpoint."""
        suffix = "" if position["in_epoch"] else "_end"
        return self.folder / f"update_{position['num_updates']:09d}{suffix}"

    def write(
        self,
        files: Mapping[str, Iterable[Any]],
        position: Mapping[str, int],
        share: Share | None = None,
    ) -> None:
        """Write a checkpoint in the background, or this process's share of it."""
        target, self._share = self.target(position), share
        if share is None or share.process == 0:
            self.writer.submit(lambda: self._write(target, files, position, share))
        else:
            self.writer.submit(lambda: share.write(aside_of(target), files))

    def _write(
        self,
        target: Path,
        files: Mapping[str, Iterable[Any]],
        position: Mapping[str, int],
        share: Share | None,
    ) -> None:
        others = None if share is None else share.collect
        write_folder(target, files, position, True, self._written, others)
        if self.keep_last is None:
            return
        # Those further on are damaged ones that this run has not come to yet.
        place = place_of(target)
        own = [
            path
            for path in checkpoints_in(self.folder)
            if OWN_NAME.fullmatch(path.name) and (place_of(path), path.name) <= (place, target.name)
        ]
        outdated = own[: -self.keep_last]
        another = f"if another run uses {self.folder}, give each run a folder of its own"
        # The older ones go only if this one can be read back.
        problem = problem_of(target) if outdated else None
        if problem is not None:
            raise CheckpointError(f"{target} was written, but then: {problem}; {another}")
        stuck = {path: why for path in outdated if (why := _why_it_stays(path))}
        new = [f"{path} ({why})" for path, why in stuck.items() if path not in self._told]
        self._told |= stuck.keys()
        if new:
            warnings.warn(
                f"{target} is complete, but older checkpoints could not be removed: "
                f"{', '.join(new)}. Remove them by hand; {another}",
                stacklevel=1,
            )


def _why_it_stays(path: Path) -> str | None:
    """Remove a checkpoint; return why that failed, if it did."""
    try:
        remove_folder(path)
    except OSError as error:
        return error.strerror or str(error)
    return None
