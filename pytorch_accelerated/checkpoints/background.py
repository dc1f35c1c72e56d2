"""Writing while training goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable


class BackgroundWriter:
    """Runs one job at a time in a thread; what goes wrong there is raised by the next call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Start a job, after the one before has ended.

        Args:
            job: What to do.
        """
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(job,), name="checkpoint writer")
        self._thread.start()

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            self._error = error

    def check(self) -> None:
        """Raise what went wrong, if anything; never waits."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """Wait for the job; raise what went wrong, if anything."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def finish(self) -> None:
        """Wait for the job; what went wrong is forgotten."""
        with contextlib.suppress(Exception):
            self.wait()
