"""Notice of a preemption: SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

PREEMPTED_EXIT_CODE = 75
"""Exit code of a process that saved a checkpoint after SIGTERM and left: start it again.

It is ``EX_TEMPFAIL`` of the Unix tradition: a temporary failure, to be tried again.
"""

# Several processes ask each other this often whether one was told to leave, in seconds.
_SECONDS_BETWEEN_QUESTIONS = 0.5


class Preempted(SystemExit):
    """Ends the process with `PREEMPTED_EXIT_CODE`, after a checkpoint was saved."""

    def __init__(self) -> None:
        super().__init__(PREEMPTED_EXIT_CODE)


class PreemptionNotice:
    """While it is entered, SIGTERM is noted instead of ending the process.

    Only the main thread may set handlers; in any other one nothing changes.

    Attributes:
        has_come: Whether the signal has come.
    """

    def __init__(self) -> None:
        self.has_come = False
        self._before: Any = None
        self._is_installed = False
        self._process = os.getpid()

    def __enter__(self) -> PreemptionNotice:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
            self._is_installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_installed:
            # None stands for a handler that was not set from Python.
            before = signal.SIG_DFL if self._before is None else self._before
            signal.signal(signal.SIGTERM, before)
            self._is_installed = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._process:
            self.has_come = True
        else:  # a forked process has inherited the handler, but has nothing to save
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)


class Questions:
    """When to ask the other processes whether one of them was told to leave.

    Asking takes a moment, so with quick updates not each of them asks; all processes agree on
    which do.

    Args:
        most: Largest number of updates between two questions.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._interval = self._left = 1
        self._asked_at = time.perf_counter()

    def is_due(self) -> bool:
        """Count an update; whether to ask now."""
        self._left -= 1
        return self._left <= 0

    def ask_now(self) -> None:
        """Have the next question be due."""
        self._left = 1

    def seconds_since(self) -> float:
        """Seconds since the last question."""
        return time.perf_counter() - self._asked_at

    def asked(self, seconds: float) -> None:
        """Plan the next question.

        Args:
            seconds: How long it took since the last one, on which all processes agree.
        """
        per_update = max(seconds / self._interval, 1e-9)
        affordable = int(_SECONDS_BETWEEN_QUESTIONS / per_update)
        self._interval = self._left = max(1, min(self._most, affordable))
        self._asked_at = time.perf_counter()
