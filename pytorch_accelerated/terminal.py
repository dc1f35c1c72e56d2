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
from rich.table import Table  # noqa: E402

# Rich draws a number when it is imported.
random.setstate(_random_state)

__all__ = [
    "BarColumn",
    "Console",
    "MofNCompleteColumn",
    "Progress",
    "Table",
    "TaskID",
    "TextColumn",
    "TimeRemainingColumn",
]
