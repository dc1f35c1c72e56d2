"""The parts of rich that are used; importing them leaves Python's random generator as it was."""

import io
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
    "NotebookText",
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


class NotebookText:
    """A place in a notebook for text that is replaced, which needs no widgets."""

    def __init__(self) -> None:
        from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

        self._place = display({"text/plain": ""}, raw=True, display_id=True)
        self._console = Console(file=io.StringIO(), width=100, force_jupyter=False)

    def show(self, progress: Progress | None) -> None:
        """Show a bar in place of what stands there, or nothing."""
        with self._console.capture() as captured:
            if progress is not None:
                self._console.print(progress.get_renderable(), end="")
        self._place.update({"text/plain": captured.get().rstrip()}, raw=True)
