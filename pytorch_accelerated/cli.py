"""The command line: look at a schedule before you train, and at checkpoints after it.

Only what a command needs is imported: help and schedules do without torch.
"""

from __future__ import annotations

import os
import shutil
import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytorch_accelerated.text import in_ascii, is_ascii

if TYPE_CHECKING:
    from pytorch_accelerated.preview import Preview

PROGRAM = "pytorch-accelerated"
_PICTURES = (".png", ".svg", ".pdf")
_OUTPUTS = (*_PICTURES, ".html", ".csv")

_OPTIONS = (
    *("--base", "--column", "--config", "--first_step", "--help", "--log", "--no-log"),
    *("--num_updates", "--tolerance"),
    *("--num_updates_per_epoch", "--output", "--schedule", "--version"),
)

_DESCRIPTION = """\
Show the exact values of a schedule, or of a scheduler of this library.

SCHEDULE is written as in Python: a schedule such as "linear(500) >> cosine(9500)", a recipe, such
as "warmup_cosine(10_000)", "wsd(…)", "one_cycle(…)", "sgdr(…)" or "linear_to_zero(…)", several for
fields of their own, "lr=…; weight_decay=…", or a scheduler, CosineLrScheduler(…) or
WSDLrScheduler(…), with the arguments of its class but for the optimizer.
"""
_EXAMPLES = f"""\
examples:
  {PROGRAM} preview "linear(500, start=0.0) >> cosine(9500, end=0.1)" --base 3e-4
  {PROGRAM} preview "linear(0.05, start=0.0) >> cosine()" --num_updates 10000 -o plan.png
  {PROGRAM} preview "lr=cosine(100); weight_decay=linear(100)" -o plan.html
  {PROGRAM} preview "CosineLrScheduler(total_num_epochs=30, num_update_steps_per_epoch=10)"
  {PROGRAM} preview --config plan.yaml -o plan.csv
"""


class UsageError(Exception):
    """Something that the user can mend; shown in one line."""


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
        elif kind == "unrecognized arguments" and not first.startswith("-"):
            message += '. What belongs together goes into quotes: "lr=…; weight_decay=…".'
        raise UsageError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 2 for bad usage.

    Args:
        arguments: What stands after the program's name; by default that of this process.
    """
    try:
        return _run(arguments)
    except UsageError as error:
        message = _printable(" ".join(str(error).split()))
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
    if options.command == "compare":
        return _compare(options)
    if options.command == "preview":
        return _preview(options)
    raise UsageError(
        f"no command is given: write preview, compare, checkpoints or average. See "
        f"{PROGRAM} --help."
    )


def _printable(text: str) -> str:
    """Return a text that a terminal takes for nothing but text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
        type=int,
        metavar="N",
        help="Optimizer updates of the run; by default the schedule's horizon.",
    )
    preview.add_argument(
        "--num_updates_per_epoch",
        "--num-updates-per-epoch",
        type=int,
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
        help=f"The file to write: {', '.join(_OUTPUTS)}. Without it, the terminal shows the curve.",
    )
    compare = commands.add_parser(
        "compare",
        help="Compare the values that a run recorded with a schedule.",
        description="Say for each planned field whether the file's column has the schedule's "
        "values, or where they part. The exit code is 1 if they do. The columns of a CSV file are "
        "named as those that preview -o plan.csv writes: update, lr, or lr/0 and lr/1 for several "
        "groups. Of what was written for TensorBoard, name the tag: --column "
        "train/learning_rate.",
        allow_abbrev=False,
    )
    compare.add_argument(
        "file", metavar="FILE", help="The CSV file, or TensorBoard's file or folder of one run."
    )
    compare.add_argument("schedule", metavar="SCHEDULE", help="The plan, as for preview.")
    compare.add_argument("--base", help="The base value, as for preview.")
    compare.add_argument(
        "--num_updates",
        type=int,
        metavar="N",
        help="Optimizer updates of the run; by default up to the last one in the file.",
    )
    compare.add_argument(
        "--num_updates_per_epoch", type=int, metavar="N", help="As for preview, for epochs(n)."
    )
    compare.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="By what share of the larger one values may differ, by default not at all; 1e-6 for "
        "those that a logger has rounded to float32 (TensorBoard's are known to be).",
    )
    compare.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="[FIELD=]NAME",
        help="The column, or TensorBoard's tag, where it is not named as the plan's; several times "
        "for several fields.",
    )
    compare.add_argument(
        "--first_step",
        "--first-step",
        type=int,
        default=0,
        metavar="N",
        help="The file's number for the first update, by default 0; 1 for logs of Transformers.",
    )
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
    return parser


def _compare(options: Namespace) -> int:
    from pytorch_accelerated.preview.recorded import compare_recorded

    try:
        is_same, text = compare_recorded(
            Path(options.file),
            options.schedule,
            options.base,
            options.num_updates,
            options.num_updates_per_epoch,
            options.tolerance,
            options.column,
            options.first_step,
        )
    except (OSError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    print(text)  # noqa: T201
    return int(not is_same)


def _average(options: Namespace) -> int:
    if Path(options.output).suffix != ".safetensors":
        raise UsageError(f"-o {options.output}: the file's name has to end in .safetensors.")
    from pytorch_accelerated.checkpoints import CheckpointError, write_average

    try:
        weights = write_average(options.folder, options.output, options.last, options.like)
    except (CheckpointError, OSError, TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    width = max(len(path.name) for path in weights)
    for path, weight in weights.items():
        print(f"{path.name:{width}}  {weight:.4f}")  # noqa: T201
    return 0


def _preview(options: Namespace) -> int:
    from pytorch_accelerated.preview.from_text import preview_of_text

    try:
        if options.config is not None:
            _fill_in(options)
        suffix = _suffix_of(options.output)
        if not options.schedule or not str(options.schedule).strip(" ;"):
            raise UsageError(
                'there is nothing to preview: write a schedule, such as "cosine(1000)", or '
                f"--config FILE. See {PROGRAM} preview --help."
            )
        made = preview_of_text(
            options.schedule, options.base, options.num_updates, options.num_updates_per_epoch
        )
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    if options.output is None:
        _show(made, options.log)
    else:
        _write(made, options.output, suffix, options.log)
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


def _suffix_of(output: object) -> str:
    suffix = Path(str(output)).suffix.lower()
    if output is not None and suffix not in _OUTPUTS:
        raise UsageError(
            f"-o {output or '(nothing)'}: the file's name has to end in {', '.join(_OUTPUTS)}."
        )
    return suffix


def _write(made: Preview, output: str, suffix: str, log: bool | None) -> None:
    try:
        if suffix == ".csv":
            made.to_csv(output)
        elif suffix == ".html":
            made.save_html(output, log=log)
        else:
            made.plot(log=log).savefig(output, dpi=150)
    except ImportError as error:
        raise UsageError(f"-o {output}: {error}") from None
    except OSError as error:
        raise UsageError(f"-o {output}: {error.strerror or error}.") from None
    print(f"wrote {_printable(output)}: {', '.join(made.fields)} of {len(made):,} updates")  # noqa: T201


def _show(made: Preview, log: bool | None) -> None:
    out, width = sys.stdout, shutil.get_terminal_size().columns
    only_ascii = is_ascii(getattr(out, "encoding", None))
    readable: Callable[[str], str] = in_ascii if only_ascii else str
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")  # a terminal may not know arrows
    try:
        from pytorch_accelerated.preview.terminal import sketch
    except ImportError:
        print("(pip install 'pytorch-accelerated[cli]' to see the curve)")  # noqa: T201
    else:
        print(readable(sketch(made, max(width, 40), log=log, ascii=only_ascii)))  # noqa: T201
    print(f"\n{readable(made.table(width))}", flush=True)  # noqa: T201
