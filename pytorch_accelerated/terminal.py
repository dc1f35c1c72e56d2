"""The parts of rich that are used; importing them leaves Python's random generator as it was."""

import random

_random_state = random.getstate()

from rich.console import Console  # noqa: E402
from rich.progress import (  # noqa: E402
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from pytorch_accelerated.text import is_ascii  # noqa: E402

# Rich draws a number when it is imported.
random.setstate(_random_state)

__all__ = [
    "BarColumn",
    "Console",
    "MofNCompleteColumn",
    "Progress",
    "TaskID",
    "TextColumn",
    "TimeRemainingColumn",
    "new_console",
]


class _AsciiConsole(Console):
    """Draws in ASCII, whatever the output could take."""

    encoding = "ascii"


def new_console() -> Console:
    """Return a console on standard output, in ASCII where the locale says so."""
    console = Console()
    return _AsciiConsole() if is_ascii(console.encoding) else console
