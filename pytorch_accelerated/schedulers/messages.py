"""How schedulers say what they noticed: warnings at the caller's line, errors with their place."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterable
from typing import Any, NoReturn

_PACKAGE = __name__.partition(".")[0] + "."


class SchedulerWarning(UserWarning):
    """Something that a scheduler noticed about an optimizer or a checkpoint, and what it did."""


def wrong_arguments(cls: Any, error: TypeError) -> TypeError:
    """Return the error for arguments that a class does not take, with what to write."""
    parameters = inspect.signature(cls).parameters.values()
    shown = [one.name for one in parameters if one.default is one.empty]
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        shown[-1] = "field=schedule"
    return TypeError(f"{error}. Write {cls.__name__}({', '.join(shown)}).")


def raise_named(where: str, error: TypeError | ValueError) -> NoReturn:
    """Raise an error again that says where it is from, unless it may not be made of a text."""
    if type(error) not in (TypeError, ValueError):
        raise error
    raise type(error)(f"{where}: {error}") from error


def warn(name: str, at: str, lines: list[str], advice: str) -> None:
    """Warn of what ``lines`` say, at the line of code that called the library.

    ``at`` is at which update somebody of that name noticed it, empty if at none.
    """
    shown = lines[:8] + ([f"… and {len(lines) - 8} more."] if len(lines) > 8 else [])
    text = "\n".join([f"{name} {at}".rstrip() + ":", *shown, advice])
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, SchedulerWarning, stacklevel=level)


def warn_of_changed(scheduler: Any, due: Iterable[Any], num_updates: int) -> None:
    """Warn of values that somebody else wrote, once for each field and group."""
    groups, lines = scheduler.optimizer.param_groups, list[str]()
    for field, values in due:
        if not field.last and num_updates == 0:
            # What a stateless scheduler finds later than at the start may be a restored value.
            field.find(groups, values, ())
        if not field.is_as_left:
            lines += field.surprises(groups, values)
    if lines:
        scheduler._warn(
            num_updates,
            lines,
            "Something else writes to the field: another scheduler, a restored optimizer, or code "
            "of yours. To change the plan, change the group's initial_… value; to start from the "
            "value held, delete that before making the scheduler. Each group is named once.",
        )


def warn_if_called_for_each_process(scheduler: Any) -> None:
    """Warn if step() is called by Accelerate's wrapper, which does so once for each process."""
    accelerate = sys.modules.get("accelerate.scheduler")
    frame = sys._getframe(1)
    while accelerate is not None and frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is accelerate.AcceleratedScheduler.step.__code__:
            wrapper = frame.f_locals["self"]
            count = accelerate.AcceleratorState().num_processes
            if wrapper.step_with_optimizer and not wrapper.split_batches and count > 1:
                scheduler._warn(
                    scheduler.num_updates,
                    [f"Accelerate calls step() {count} times an update, once for each process."],
                    "The schedule counts updates, so it would end too early. Leave it out of "
                    "accelerator.prepare(…), and call its step() only `if accelerator."
                    "sync_gradients and not accelerator.optimizer_step_was_skipped`.",
                )
            return
