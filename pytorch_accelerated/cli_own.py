"""Schedules and schedulers of one's own, named on the command line as ``module:name``.

Naming one imports its module, which runs its code: so it may be named on the command line, by
the person who types it, and in no file.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module, invalidate_caches
from inspect import Parameter, signature
from typing import Any

from pytorch_accelerated.cli_output import UsageError
from pytorch_accelerated.preview import Preview, preview
from pytorch_accelerated.preview.from_text import bases_by_field, preview_of_text
from pytorch_accelerated.schedules import Schedule, from_function

_NAME = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_ALLOWED = (
    "It has to be a schedule, a mapping from fields to schedules, a function without arguments "
    "that returns one, a function of num_updates that returns a value, or a scheduler's class or "
    "a function of optimizer that returns a scheduler."
)


def is_name(text: object) -> bool:
    """Say whether a text is ``module:name``, which no schedule in text is."""
    return isinstance(text, str) and _NAME.fullmatch(text.strip()) is not None


def preview_of_name(
    text: object, base: object, num_updates: int | None, num_updates_per_epoch: int | None
) -> Preview:
    """Return the preview of what a module has under a name."""
    name = str(text).strip()
    return _run(name, lambda: _preview(name, base, num_updates, num_updates_per_epoch))


def _preview(text: str, base: object, num_updates: int | None, per_epoch: int | None) -> Preview:
    found = _called(text, _imported(text), base)
    if callable(found) and not isinstance(found, Schedule):
        found = from_function(found)
    if isinstance(found, Schedule):
        found = {"lr": found}
    if isinstance(found, Mapping):
        return preview_of_text(found, base, num_updates, per_epoch)
    try:
        return preview(found, num_updates, num_updates_per_epoch=per_epoch)
    except TypeError:
        raise UsageError(f"{text} is {found!r}. {_ALLOWED}") from None


def _imported(text: str) -> Any:
    module_name, _, name = text.partition(":")
    if module_name.endswith(".py"):
        raise UsageError(f"{text}: write the module's name, {module_name[:-3]}:{name}.")
    sys.path.insert(0, os.getcwd())  # a command has the folder of the command there
    try:
        invalidate_caches()  # the module may have been written a moment ago
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # something that the module itself imports
        raise UsageError(
            f"{text}: there is no module {error.name!r} in {os.getcwd()}, nor is one installed."
        ) from None
    finally:
        sys.path.pop(0)
    for part in name.split("."):
        if not hasattr(found, part):
            there = ", ".join(one for one in vars(found) if not one.startswith("_"))
            raise UsageError(f"{text}: {module_name} has no {part!r}, but {there or 'nothing'}.")
        found = getattr(found, part)
    return found


def _called(text: str, found: Any, base: object) -> Any:
    """Return what a function or a class returns, or the function of updates as it is."""
    if not callable(found) or isinstance(found, Schedule):
        return found
    needed = [
        parameter.name
        for parameter in signature(found).parameters.values()
        if parameter.default is Parameter.empty
        and parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    ]
    if not needed:
        return found()
    if needed == ["optimizer"]:
        return found(_optimizer(base))
    if len(needed) == 1 and not isinstance(found, type):
        return found
    raise UsageError(f"{text} needs {', '.join(needed)}. {_ALLOWED}")


def _optimizer(base: object) -> Any:
    import torch

    rates = bases_by_field(base, ["lr"])["lr"]
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.AdamW(groups)


def _run(text: str, function: Callable[[], Preview]) -> Preview:
    """Call what runs somebody's code; say in one line where it failed."""
    try:
        return function()
    except UsageError:
        raise
    except SyntaxError as error:
        place = f"{os.path.relpath(error.filename or text)}, line {error.lineno}"
        raise UsageError(f"{text}: {error.msg} in {place}.") from None
    except Exception as error:
        package = os.path.dirname(__file__) + os.sep
        places = traceback.extract_tb(error.__traceback__)
        own = [one for one in places if not one.filename.startswith((package, "<"))]
        own = [one for one in own if one.filename.startswith(os.getcwd())]
        if not own:
            raise  # what this package says about it is clear
        raise UsageError(
            f"{text}: {type(error).__name__} in {os.path.relpath(own[-1].filename)}, line "
            f"{own[-1].lineno}: {error}"
        ) from None
