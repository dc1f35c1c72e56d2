"""How schedulers say what they noticed: warnings at the caller's line, errors with their place."""

from __future__ import annotations

import sys
import warnings
from typing import NoReturn

_PACKAGE = __name__.partition(".")[0] + "."


class SchedulerWarning(UserWarning):
    """Something that a scheduler noticed about an optimizer or a checkpoint, and what it did."""


def raise_named(where: str, error: TypeError | ValueError) -> NoReturn:
    """Raise an error again that says where it is from, unless it may not be made of a text."""
    if type(error) not in (TypeError, ValueError):
        raise error
    raise type(error)(f"{where}: {error}") from error


def warn_at_the_caller(head: str, lines: list[str], advice: str) -> None:
    """Warn of what ``lines`` say, at the line of code that called the library."""
    shown = lines[:8] + ([f"… and {len(lines) - 8} more."] if len(lines) > 8 else [])
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn("\n".join([head, *shown, advice]), SchedulerWarning, stacklevel=level)


def calls_for_each_process() -> int:
    """Return how many times an update Accelerate's wrapper, if it is the caller, calls step()."""
    accelerate = sys.modules.get("accelerate.scheduler")
    frame = sys._getframe(1)
    while accelerate is not None and frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is accelerate.AcceleratedScheduler.step.__code__:
            wrapper = frame.f_locals["self"]
            if wrapper.step_with_optimizer and not wrapper.split_batches:
                return int(accelerate.AcceleratorState().num_processes)
            return 1
    return 1
