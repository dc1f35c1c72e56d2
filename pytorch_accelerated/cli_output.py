"""What the commands print and write."""

from __future__ import annotations

import math
import shutil
import sys
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from pytorch_accelerated.text import in_ascii, is_ascii

if TYPE_CHECKING:
    from pytorch_accelerated.preview import Preview

PROGRAM = "pytorch-accelerated"
_PICTURES = (".png", ".svg", ".pdf")
OUTPUTS = (*_PICTURES, ".html", ".csv")


class UsageError(Exception):
    """Something that the user can mend; shown in one line."""


def count(text: str) -> int:
    """Return a whole number as it is written for an option: 10000, 10_000 or 1e4."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer():
        raise ArgumentTypeError(f"{text!r} is not a whole number, such as 10000")
    return int(value)


def printable(text: str, allowed: str = "") -> str:
    """Return a text that a terminal takes for nothing but text."""
    return "".join(
        c if c.isprintable() or c in allowed else c.encode("unicode_escape").decode() for c in text
    )


def suffix_of(output: object) -> str:
    """Return the ending of a file's name; raise if it is not one that can be written."""
    suffix = Path(str(output)).suffix.lower()
    if output is not None and suffix not in OUTPUTS:
        raise UsageError(
            f"-o {output or '(nothing)'}: the file's name has to end in {', '.join(OUTPUTS)}."
        )
    return suffix


def write(
    made: Preview, output: str, suffix: str, log: bool | None, title: str | None = None
) -> None:
    """Write a preview to a file, and say so."""
    try:
        if suffix == ".csv":
            made.to_csv(output)
        elif suffix == ".html":
            made.save_html(output, log=log, title=title)
        else:
            made.plot(log=log, title=title).savefig(output, dpi=150)
    except ImportError as error:
        raise UsageError(f"-o {output}: {error}") from None
    except OSError as error:
        raise UsageError(f"-o {output}: {error.strerror or error}.") from None
    updates = f"{len(made):,} update{'s' * (len(made) != 1)}"
    print(f"wrote {printable(output)}: {', '.join(made.fields)} over {updates}")  # noqa: T201


def show(made: Preview, log: bool | None) -> None:
    """Print the curves and the table."""
    width = shutil.get_terminal_size().columns
    only_ascii = is_ascii(getattr(sys.stdout, "encoding", None))
    try:
        from pytorch_accelerated.preview.terminal import sketch
    except ImportError:
        say("(pip install 'pytorch-accelerated[cli]' to see the curve)")
    else:
        say(sketch(made, max(width, 40), log=log, ascii=only_ascii))
    say(f"\n{made.table(width)}")


def say(text: str) -> None:
    """Print a text with frames and arrows, as far as what takes the output knows them."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal may not know arrows
    only_ascii = is_ascii(getattr(sys.stdout, "encoding", None))
    print(in_ascii(text) if only_ascii else text, flush=True)  # noqa: T201
