"""Notice of a preemption: SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

PREEMPTED_EXIT_CODE = 75
"""Exit code of a process that saved a checkpoint after SIGTERM and left: start it again.

It is ``EX_TEMPFAIL`` of the Unix tradition: a temporary failure, to be tried again.
"""


class Preempted(SystemExit):
    """Ends the process with `PREEMPTED_EXIT_CODE`, after a checkpoint was saved."""

    def __init__(self) -> None:
        super().__init__(PREEMPTED_EXIT_CODE)


class PreemptionNotice:
    """While it is entered, SIGTERM is noted instead of ending the process.

    Only the main thread may set handlers; in any other one nothing changes.

    Attributes:
        has_come: whether the signal has come.
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
