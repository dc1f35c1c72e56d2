"""The command that compares: plans with one another, or what a run recorded with a plan."""

from __future__ import annotations

import os
from argparse import BooleanOptionalAction, Namespace, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from pytorch_accelerated.cli_output import (
    OUTPUTS,
    PROGRAM,
    UsageError,
    count,
    printable,
    say,
    show,
    suffix_of,
    write,
)

_DESCRIPTION = """\
Of plans, show all in one picture, and say of each field where it first
differs from the first plan, by how much at most, and what the plans end with.

Of a file, say for each planned field whether its column has the plan's
values, or where they part; the exit code is 1 if they do. The columns of a
CSV file are named as those that preview -o plan.csv writes: update (or step),
lr, or lr/0 and lr/1 for several groups. Of what was written for TensorBoard,
name the tag: --column train/learning_rate.

A plan is written as for preview, with brackets; a name without them is a
file, which comes first.
"""
_EXAMPLES = f"""\
examples:
  {PROGRAM} compare "warmup_cosine(10_000)" "wsd(10_000)"
  {PROGRAM} compare "warmup_cosine()" "wsd()" "linear_to_zero()" --num_updates 10000 -o three.png
  {PROGRAM} compare run.csv "lr=warmup_cosine(10_000)" --base 3e-4
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of a parser."""
    compare = commands.add_parser(
        "compare",
        help="Compare plans with one another, or the values that a run recorded with a plan.",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    compare.add_argument(
        "first",
        metavar="FILE_OR_PLAN",
        help="The CSV file, or TensorBoard's file or folder of one run; or the first plan.",
    )
    compare.add_argument("plans", metavar="PLAN", nargs="+", help="The plan, or the other plans.")
    compare.add_argument("--base", help="The base value of all plans, as for preview.")
    compare.add_argument(
        "--num_updates",
        "--num-updates",
        type=count,
        metavar="N",
        help="Optimizer updates of the run; by default each plan's horizon, or up to the last "
        "update in the file.",
    )
    compare.add_argument(
        "--num_updates_per_epoch",
        "--num-updates-per-epoch",
        type=count,
        metavar="N",
        help="As for preview, for epochs(n).",
    )
    plans = compare.add_argument_group("of plans")
    plans.add_argument(
        "--log",
        action=BooleanOptionalAction,
        help="Whether scales are logarithmic; by default, where values span decades.",
    )
    plans.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"The file to write: {', '.join(OUTPUTS)}; the terminal then shows only the table.",
    )
    file = compare.add_argument_group("of a file")
    file.add_argument(
        "--tolerance",
        type=float,
        metavar="SHARE",
        help="By what share of the larger one values may differ, by default not at all; 1e-6 for "
        "those that a logger has rounded to float32 (TensorBoard's are known to be).",
    )
    file.add_argument(
        "--column",
        action="append",
        metavar="[FIELD=]NAME",
        help="The column, or TensorBoard's tag, where it is not named as the plan's; several times "
        "for several fields.",
    )
    file.add_argument(
        "--first_step",
        "--first-step",
        type=count,
        metavar="N",
        help="The file's number for the first update, by default 0; 1 for logs of Transformers.",
    )


def run(options: Namespace) -> int:
    """Run the command and return its exit code: 1 if a file's values are not the plan's."""
    is_file = "(" not in options.first or os.path.exists(options.first)
    try:
        return (_compare_file if is_file else _compare_plans)(options)
    except (OSError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def _compare_file(options: Namespace) -> int:
    from pytorch_accelerated.preview.recorded import compare_recorded

    if len(options.plans) > 1 or options.output is not None or options.log is not None:
        raise UsageError(
            f"{options.first} is a file, which is compared with one plan; -o and --log are for "
            "several plans."
        )
    is_same, text = compare_recorded(
        Path(options.first),
        options.plans[0],
        options.base,
        options.num_updates,
        options.num_updates_per_epoch,
        options.tolerance or 0.0,
        options.column or [],
        options.first_step or 0,
    )
    print(text)  # noqa: T201
    return int(not is_same)


def _compare_plans(options: Namespace) -> int:
    from pytorch_accelerated.preview.from_text import overlay_of_texts

    for name in ("tolerance", "column", "first_step"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} is for a file, which comes before the plan.")
    suffix = suffix_of(options.output)
    texts = [options.first, *options.plans]
    made = overlay_of_texts(texts, options.base, options.num_updates, options.num_updates_per_epoch)
    key = "\n".join(f"{name}: {text}" for name, text in zip(made.plans, texts, strict=True))
    if options.output is not None:
        write(made, options.output, suffix, options.log, key)
        say(made.table())
    else:
        say(printable(key, "\n"))
        show(made, options.log)
    return 0
