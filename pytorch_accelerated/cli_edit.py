"""The command that opens the editor."""

from __future__ import annotations

from argparse import Namespace, RawDescriptionHelpFormatter
from typing import Any

from pytorch_accelerated.cli_output import PROGRAM, UsageError

_EXAMPLE = "lr=linear(500, start=0.0) >> cosine(9500, end=0.1)"
_DESCRIPTION = """\
Open a page in the browser: the text of a schedule, or of several fields'
schedules, and below it their curves, as it is typed. Joints can be dragged,
which changes the numbers in the text. The page is served to this machine
alone, at an address that nobody else knows; Ctrl-C ends it.
"""
_EXAMPLES = f"""\
examples:
  {PROGRAM} edit
  {PROGRAM} edit "lr=warmup_cosine(10_000); weight_decay=linear(10_000, end=2.0)"
  {PROGRAM} edit "wsd()" --base 3e-4 --num_updates 10000 --no-browser
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of a parser."""
    edit = commands.add_parser(
        "edit",
        help="Edit a schedule in the browser, and see its curves as you type.",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    edit.add_argument(
        "schedule",
        metavar="SCHEDULE",
        nargs="?",
        default=_EXAMPLE,
        help="What to begin with, in quotes, written as for preview.",
    )
    edit.add_argument("--base", default="", help="The base value, as for preview.")
    edit.add_argument(
        "--num_updates",
        "--num-updates",
        default="",
        metavar="N",
        help="Optimizer updates of the run; by default the schedule's horizon.",
    )
    edit.add_argument(
        "--num_updates_per_epoch",
        "--num-updates-per-epoch",
        default="",
        metavar="N",
        help="As for preview, for epochs(n).",
    )
    edit.add_argument(
        "--no_browser",
        "--no-browser",
        action="store_true",
        help="Only print the page's address.",
    )


def run(options: Namespace) -> int:
    """Run the command until Ctrl-C, and return its exit code."""
    from pytorch_accelerated.preview.edit_server import serve
    from pytorch_accelerated.preview.editing import Draft

    # A field on each line.
    text = ";\n".join(part.strip() for part in options.schedule.split(";") if part.strip())
    draft = Draft(text, options.base, options.num_updates, options.num_updates_per_epoch)
    try:
        serve(draft, open_browser=not options.no_browser)
    except OSError as error:
        raise UsageError(f"the page cannot be served: {error}.") from None
    return 0
