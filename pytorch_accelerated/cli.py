"""The command line: look at a schedule before you train, and at checkpoints after it.

Only what a command needs is imported: help and schedules do without torch.
"""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytorch_accelerated import cli_compare, cli_edit
from pytorch_accelerated.cli_output import (
    OUTPUTS,
    PROGRAM,
    UsageError,
    count,
    printable,
    show,
    suffix_of,
    write,
)

if TYPE_CHECKING:
    from pytorch_accelerated.preview import Preview

_OPTIONS = (
    *("--base", "--column", "--config", "--first_step", "--help", "--log", "--no-log"),
    *("--num_updates", "--tolerance"),
    *("--num_updates_per_epoch", "--output", "--schedule", "--version"),
)

_DESCRIPTION = """\
Show the exact values of a schedule, or of a scheduler of this library.

SCHEDULE is written as in Python: a schedule such as "linear(500) >>
cosine(9500)", a recipe, such as "warmup_cosine(10_000)", "wsd(…)",
"one_cycle(…)", "sgdr(…)" or "linear_to_zero(…)", several for fields of their
own, "lr=…; weight_decay=…", or a scheduler, CosineLrScheduler(…) or
WSDLrScheduler(…), with the arguments of its class but for the optimizer.

MODULE:NAME, such as mine:plan, is a schedule of your own, found from the
current directory: a schedule, a dictionary of fields' schedules, a function
without arguments that returns one of them, a function of num_updates, or a
scheduler's class or a function of optimizer that returns a scheduler. This
imports the module, which runs its code; so a --config file cannot name one.
"""
_EXAMPLES = f"""\
examples:
  {PROGRAM} preview "linear(500, start=0.0) >> cosine(9500, end=0.1)" --base 3e-4
  {PROGRAM} preview "linear(0.05, start=0.0) >> cosine()" --num_updates 10000 -o plan.png
  {PROGRAM} preview "lr=cosine(100); weight_decay=linear(100)" -o plan.html
  {PROGRAM} preview "CosineLrScheduler(total_num_epochs=30, num_update_steps_per_epoch=10)"
  {PROGRAM} preview --config plan.yaml -o plan.csv
  {PROGRAM} preview mine:plan --num_updates 10000
"""


class _Parser(ArgumentParser):
    """Raises what is wrong, where its base prints the usage and leaves the process."""

    def error(self, message: str) -> NoReturn:
        kind, _, rest = message.partition(": ")
        first = rest.split("=")[0].split(" ")[0]
        if kind == "unrecognized arguments" and first.startswith("--"):
            near = get_close_matches(first, _OPTIONS, 1)
            if near == ["--schedule"]:
                message += '. The schedule stands without a name, as in: preview "cosine(100)".'
            elif near:
                message += f"; did you mean {near[0]}?"
        elif kind == "unrecognized arguments" and first[:1].isdigit():
            message += '. A list goes into quotes: --base "0.1, 0.02".'
        elif kind == "unrecognized arguments" and not first.startswith("-"):
            message += '. What belongs together goes into quotes: "lr=…; weight_decay=…".'
        elif "invalid choice" in message:
            wrong, *choices = re.findall(r"'([^']*)'", message)
            near = get_close_matches(wrong, choices, 1)
            message = f"{wrong!r} is not a command; there are {', '.join(choices)}"
            message += f". Did you mean {near[0]}?" if near else "."
        raise UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 2 for bad usage.

    Args:
        arguments: What stands after the program's name; by default that of this process.
    """
    try:
        return _run(arguments)
    except UsageError as error:
        message = printable(" ".join(str(error).split()))
        print(f"{PROGRAM}: error: {message}", file=sys.stderr)  # noqa: T201
        return 2
    except BrokenPipeError:
        # The reader has enough. What is still buffered must not fail at exit again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
    if options.version:
        from pytorch_accelerated import __version__

        print(f"{PROGRAM} {__version__}")  # noqa: T201
        return 0
    if options.command == "checkpoints":
        from pytorch_accelerated.checkpoints import main as list_checkpoints

        return list_checkpoints(options.folder)
    if options.command == "average":
        return _average(options)
    if options.command == "export":
        return _export(options)
    if options.command == "compare":
        return cli_compare.run(options)
    if options.command == "edit":
        return cli_edit.run(options)
    if options.command == "preview":
        return _preview(options)
    raise UsageError(
        f"no command is given: write preview, compare, edit, checkpoints, average or export. See "
        f"{PROGRAM} --help."
    )


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Hyperparameter schedules for PyTorch that run exactly as previewed.",
        allow_abbrev=False,
    )
    # Not argparse's own action: finding the version out takes as long as all the rest.
    parser.add_argument("--version", action="store_true", help="Show the version.")
    commands = parser.add_subparsers(dest="command", metavar="command")
    preview = commands.add_parser(
        "preview",
        help="Show the exact values of a schedule: in the terminal, or as a file.",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    preview.add_argument(
        "schedule", metavar="SCHEDULE", nargs="?", help="What to show, in quotes; see above."
    )
    preview.add_argument(
        "--base",
        help="The base value, 1.0 by default, or a list with one for each parameter group, such "
        'as "[0.1, 0.02]"; for several fields "lr=3e-4; weight_decay=0.1".',
    )
    preview.add_argument(
        "--num_updates",
        "--num-updates",
        type=count,
        metavar="N",
        help="Optimizer updates of the run; by default the schedule's horizon.",
    )
    preview.add_argument(
        "--num_updates_per_epoch",
        "--num-updates-per-epoch",
        type=count,
        metavar="N",
        help="Optimizer updates in an epoch, for epochs(n) and for an axis of epochs.",
    )
    preview.add_argument(
        "--log",
        action=BooleanOptionalAction,
        help="Whether scales are logarithmic; by default, where values span decades.",
    )
    preview.add_argument(
        "--config",
        metavar="FILE",
        help="A YAML file that maps the options' names, and schedule, to their values. What "
        "stands on the command line wins.",
    )
    preview.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f"The file to write: {', '.join(OUTPUTS)}. Without it, the terminal shows the curve.",
    )
    cli_compare.add_parser(commands)
    cli_edit.add_parser(commands)
    checkpoints = commands.add_parser(
        "checkpoints",
        help="List checkpoints and check them.",
        description="List a folder's checkpoints: update, epoch, size, what is wrong.",
        allow_abbrev=False,
    )
    checkpoints.add_argument("folder", help="The folder of the checkpoints.")
    average = commands.add_parser(
        "average",
        help="Average the weights of checkpoints, in the place of a decay.",
        description="Write the weighted mean of a run's last checkpoints, which stands for a decay "
        "of the learning rate over them. See arXiv:2507.17634.",
        allow_abbrev=False,
    )
    average.add_argument("folder", help="The folder of the checkpoints.")
    average.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="The file to write, .safetensors; one that is there is replaced.",
    )
    average.add_argument(
        "--last", type=int, default=10, metavar="N", help="How many checkpoints, by default 10."
    )
    average.add_argument(
        "--like",
        default="linear(end=0.0)",
        metavar="SCHEDULE",
        help='The decay that the mean stands for, by default "linear(end=0.0)", which is the '
        "plain mean of checkpoints at equal distances.",
    )
    export = commands.add_parser(
        "export",
        help="Write the weights of a checkpoint to one file.",
        description="Write the weights of a checkpoint, whole or in shards, to one file, tensor by "
        "tensor.",
        allow_abbrev=False,
    )
    export.add_argument(
        "folder", help="The checkpoint, or a folder of them, of which the furthest one counts."
    )
    export.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="The file to write, .safetensors; one that is there is replaced.",
    )
    return parser


def _average(options: Namespace) -> int:
    from pytorch_accelerated.checkpoints import CheckpointError, write_average

    try:
        _check_safetensors(options.output)
        weights = write_average(options.folder, options.output, options.last, options.like)
    except (CheckpointError, OSError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    width = max(len(path.name) for path in weights)
    for path, weight in weights.items():
        print(f"{path.name:{width}}  {weight:.4f}")  # noqa: T201
    return 0


def _export(options: Namespace) -> int:
    from pytorch_accelerated.checkpoints import CheckpointError, export_model

    try:
        _check_safetensors(options.output)
        folder = export_model(options.folder, options.output)
    except (CheckpointError, OSError) as error:
        raise UsageError(str(error)) from None
    print(f"{folder} is in {options.output}")  # noqa: T201
    return 0


def _check_safetensors(output: str) -> None:
    if Path(output).suffix != ".safetensors":
        raise UsageError(f"-o {output}: the file's name has to end in .safetensors.")


def _preview(options: Namespace) -> int:
    from pytorch_accelerated import cli_own
    from pytorch_accelerated.preview.from_text import preview_of_text

    is_of_file = options.schedule is None
    try:
        if options.config is not None:
            _fill_in(options)
        suffix = suffix_of(options.output)
        if not options.schedule or not str(options.schedule).strip(" ;"):
            raise UsageError(
                'there is nothing to preview: write a schedule, such as "cosine(1000)", or '
                f"--config FILE. See {PROGRAM} preview --help."
            )
        make: Callable[..., Preview] = preview_of_text
        if cli_own.is_name(options.schedule):
            if is_of_file:
                raise UsageError(
                    f"--config {options.config}: schedule: {options.schedule} would run a module's "
                    "code, which no file may; write it on the command line."
                )
            make = cli_own.preview_of_name
        made = make(
            options.schedule, options.base, options.num_updates, options.num_updates_per_epoch
        )
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    if options.output is None:
        show(made, options.log)
    else:
        write(made, options.output, suffix, options.log)
    return 0


def _fill_in(options: Namespace) -> None:
    """Take what the command line does not say from the file."""
    option = f"--config {options.config}"
    allowed = [name for name in vars(options) if name not in ("command", "config", "version")]
    try:
        given = _plain_data(Path(options.config).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{option}: {error.strerror}.") from None
    except Exception as error:
        # The loader raises whatever comes up within it over a value that it cannot read.
        raise UsageError(f"{option} cannot be read: {error}") from None
    if not isinstance(given, dict):
        raise UsageError(f"{option} has to map options to values, such as schedule: cosine(1000).")
    for name, value in given.items():
        if name not in allowed:
            raise UsageError(
                f"{option}: {name!r} is not an option; there are {', '.join(allowed)}. A "
                "scheduler is written as in Python, schedule: CosineLrScheduler(…)."
            )
        if getattr(options, name) is None:
            setattr(options, name, value)
    if not isinstance(options.log, bool | None):
        raise UsageError(f"{option}: log={options.log!r}: write true or false.")


def _plain_data(text: str) -> object:
    """Return what YAML says; raise where a mapping has a key twice, which YAML does not see."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            result = super().construct_mapping(node, deep=deep)
            left = list(result)
            for key_node, _ in node.value:
                key = self.construct_object(key_node)
                if key not in left:
                    line = key_node.start_mark.line + 1
                    raise ValueError(f"line {line} has the key {key!r} a second time.")
                left.remove(key)
            return result

    return yaml.load(text, Loader)
