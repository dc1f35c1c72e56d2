"""The command line: look at a schedule before you train.

Every option of a scheduler is one of its class's own arguments, described by its docstring.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from pytorch_accelerated.preview import Preview
    from pytorch_accelerated.schedules import Schedule

PROGRAM = "pytorch-accelerated"
_PICTURES = (".png", ".svg", ".pdf")
_OUTPUTS = (*_PICTURES, ".html", ".csv")
_MOST_NESTING = 10  # deeper YAML is no plan, and much deeper YAML kills its parser
_PLACES = ("command", "folder")  # what is given by its place
_SHARED = ("base", "num_updates", "log", "output")  # of schedules and schedulers

EXAMPLES = f"""\
examples:
  {PROGRAM} preview --schedule "linear(500, start=0.0) >> cosine(9500, end=0.1)" --base 3e-4
  {PROGRAM} preview --schedule "linear(0.05, start=0.0) >> cosine()" --num_updates 10000 -o plan.png
  {PROGRAM} preview --schedule "lr=cosine(100); weight_decay=linear(100)" -o plan.html
  {PROGRAM} preview CosineLrScheduler --total_num_epochs 300 --num_update_steps_per_epoch 100
  {PROGRAM} preview --config plan.yaml -o plan.csv
"""


class UsageError(Exception):
    """Something that the user can mend; shown in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 2 for bad usage.

    Args:
        arguments: What stands after the program's name; by default that of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except UsageError as error:
        message = _printable(" ".join(str(error).split()))
        print(f"{PROGRAM}: error: {message}", file=sys.stderr)  # noqa: T201
        return 2
    except BrokenPipeError:
        # The reader has enough. What is still buffered must not fail at exit again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(given: list[str]) -> int:
    try:
        from jsonargparse import ArgumentError
    except ImportError:
        raise _missing("The command line", "jsonargparse", "cli") from None
    parser = _parser(given)
    try:
        options = parser.parse_args(_with_texts_kept(given))
    except ArgumentError as error:
        raise UsageError(_in_short(str(error))) from None
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except UsageError:
        raise
    except Exception as error:
        # Nothing but what the user gave is read there, and the parser's checks have gaps.
        raise UsageError(f"the options cannot be read: {type(error).__name__}: {error}") from None
    commands: dict[str, Callable[[Any], int]] = {"preview": _preview, "checkpoints": _checkpoints}
    return commands[options.command](options[options.command])


def _printable(text: str) -> str:
    """Return a text that a terminal takes for nothing but text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _with_texts_kept(given: Sequence[str]) -> list[str]:
    """Return the arguments with schedules in quotes.

    Otherwise the parser takes ``milestones({3: 0.1})`` for a mapping in YAML.
    """
    result: list[str] = []
    rest = iter(given)
    for one in rest:
        name, has_value, text = one.partition("=")
        found: str | None = text
        if name == "--schedule" or name.startswith("--schedule."):
            found = text if has_value else next(rest, None)
            one = name if found is None else f"{name}={json.dumps(found)}"
        result.append(one)
    return result


def _text_of(schedule: str) -> str:
    """Return a schedule without the quotes."""
    try:
        return str(json.loads(schedule)) if schedule.startswith('"') else schedule
    except ValueError:
        return schedule


def _in_short(message: str) -> str:
    """Return a parser's message without the parser's terms."""
    text = " ".join(message.split())
    text = re.sub(r'^Parser key "([\w.]*?)": ', r"--\1: ", text)
    found = re.match(r"(--[\w.]+): Does not validate .*Given value: (.*)", text)
    if found is not None:
        return f"{found[1]} {found[2]}: this is of none of the types that {PROGRAM} --help lists."
    text = re.sub(r"Expected a <class '(\w+)'>\. Got value: (.*)", r"\2 is no \1.", text)
    start, separator, names = text.rpartition("required: ")
    if not separator:
        return text
    own = (name.rpartition(".")[2] for name in names.split(", "))
    return start + separator + ", ".join(name if name in _PLACES else f"--{name}" for name in own)


def _missing(what: str, package: str, extra: str) -> UsageError:
    return UsageError(f"{what} needs {package}: pip install 'pytorch-accelerated[{extra}]'")


# The options ----------------------------------------------------------------------------------


def _parser(given: list[str]) -> ArgumentParser:
    from pytorch_accelerated import __version__

    parser = _new_parser("Hyperparameter schedules for PyTorch that run exactly as previewed.")
    parser.prog = PROGRAM
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subcommands(required=True, dest="command")
    preview = _preview_parser()
    what = "Show the exact values of a schedule: in the terminal, or as a file."
    commands.add_subcommand("preview", preview, help=what)
    if not any(one.startswith("--schedule") for one in given):
        _add_schedulers(preview)
    checkpoints = _new_parser("List a folder's checkpoints: update, epoch, size, what is wrong.")
    checkpoints.add_argument("folder", type=str, help="The folder of the checkpoints.")
    commands.add_subcommand("checkpoints", checkpoints, help="List checkpoints and check them.")
    return parser


def _new_parser(description: str, epilog: str = "") -> ArgumentParser:
    from argparse import RawDescriptionHelpFormatter

    from jsonargparse import ArgumentParser, DefaultHelpFormatter

    class Formatter(DefaultHelpFormatter, RawDescriptionHelpFormatter):
        """Leaves the examples' lines as they are."""

    return ArgumentParser(
        description=description,
        epilog=epilog,
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=Formatter,
    )


def _preview_parser() -> ArgumentParser:
    parser = _new_parser(
        "Show the exact values of a schedule, or of a scheduler of this library.", EXAMPLES
    )
    parser.add_argument(
        "--schedule",
        type=str | dict[str, str] | None,
        default=None,
        help="A schedule in the notation of Python, for the learning rate; for several fields "
        "'lr=…; weight_decay=…', or in a configuration file a mapping from fields to schedules.",
    )
    parser.add_argument(
        "--num_updates_per_epoch",
        type=int | None,
        default=None,
        help="Optimizer updates in an epoch, for epochs(n) and for an axis of epochs.",
    )
    _add_common(parser)
    return parser


def _add_schedulers(parser: ArgumentParser) -> None:
    """Add a command for each scheduler; their signatures need torch, which takes a while."""
    schedulers = parser.add_subcommands(required=False, dest="scheduler")
    for name, kind in _scheduler_classes().items():
        summary = (inspect.getdoc(kind) or name).partition("\n")[0]
        own = _new_parser(summary)
        own.add_class_arguments(kind, None, skip={"optimizer"})
        _add_common(own, name)
        schedulers.add_subcommand(name, own, help=summary)


def _add_common(parser: ArgumentParser, scheduler: str | None = None) -> None:
    parser.add_argument(
        "--base",
        type=float | list[float] | dict[str, float | list[float]] | None,
        default=None,
        help="The base value, 1.0 by default, or a list with one for each parameter group; for "
        "several fields --base.lr 3e-4 --base.weight_decay 0.1.",
    )
    parser.add_argument(
        "--num_updates",
        type=int | None,
        default=None,
        help="Optimizer updates of the run; by default the schedule's horizon.",
    )
    parser.add_argument(
        "--log",
        type=bool | None,
        default=None,
        help="Whether scales are logarithmic; by default, where values span decades.",
    )
    action = _config_action(scheduler)
    parser.add_argument("--config", action=action, help="A YAML file with these options.")
    parser.add_argument(
        "-o",
        "--output",
        type=str | None,
        default=None,
        help=f"The file to write: {', '.join(_OUTPUTS)}. Without it, the terminal shows the curve.",
    )


def _config_action(scheduler: str | None) -> type[Any]:
    # The name that jsonargparse means to be public is of no use to mypy.
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]

    class ConfigFile(ActionConfigFile):
        """Refuses what the parser has no words for before it sees it."""

        def __call__(
            self, parser: Any, cfg: Any, values: Any, option_string: str | None = None
        ) -> None:
            _check_config(values, scheduler)
            super().__call__(parser, cfg, values, option_string)  # type: ignore[no-untyped-call]

    return ConfigFile


def _check_config(given: str, scheduler: str | None) -> None:
    """Raise if a file, or a text in its place, is no YAML mapping that can be a set of options.

    Args:
        given: The file or the text.
        scheduler: The scheduler whose options these are; None for those of ``preview`` itself.
    """
    import yaml

    what, text = "--config", given
    if os.path.isfile(given):
        what = f"--config {given}"
        try:
            text = Path(given).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"{what}: byte {error.start} is no text in UTF-8.") from None
        except OSError as error:
            raise UsageError(f"{what}: {error.strerror or error}.") from None
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent):
                # A few lines of them can stand for more than fits into memory.
                raise UsageError(f"{what}: the alias *{event.anchor} is not read; write it out.")
            if depth > _MOST_NESTING:
                raise UsageError(f"{what} is nested more than {_MOST_NESTING} deep.")
        options = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{what} is no YAML: {error}") from None
    if isinstance(options, str) and text is given:
        raise UsageError(f"--config {given}: there is no such file.")
    if not isinstance(options, dict) or not all(isinstance(key, str) for key in options):
        raise UsageError(f"{what} has to map options to values, such as schedule: cosine(1000).")
    if "config" in options:
        raise UsageError(f"{what}: 'config' has no place in there; one file holds all options.")
    chosen = options.get("scheduler")
    if chosen is not None and chosen not in list(_scheduler_classes()):
        raise UsageError(f"{what}: scheduler {chosen!r}: use {', '.join(_scheduler_classes())}.")
    several = [key for key in options if key.endswith("Scheduler")]
    if len(several) > 1 and chosen is None:
        raise UsageError(f"{what} has several schedulers, {', '.join(several)}; only one is shown.")
    for key, value in ({scheduler: options} if scheduler else options).items():
        name, _, own = key.partition(".")
        if name in _scheduler_classes():
            _check_options(what, name, {own: value} if own else value)


def _check_options(what: str, scheduler: str, options: Any) -> None:
    """Raise if a scheduler's part of a file has what the scheduler does not take."""
    # The parser fails over these, with a message that says nothing.
    own = list(inspect.signature(_scheduler_classes()[scheduler]).parameters)
    allowed = [*own[1:], *_SHARED]  # own[0] is the optimizer
    if not isinstance(options, dict):
        raise UsageError(
            f"{what}: {scheduler}: {options!r} has to map arguments to values, such as "
            f"{{{own[1]}: 10}}."
        )
    for name in options:
        if str(name).partition(".")[0] not in allowed:
            raise UsageError(
                f"{what}: {scheduler} has no option {name!r}: use {', '.join(allowed)}."
            )


def _scheduler_classes() -> dict[str, type]:
    """Return the schedulers whose arguments are plain values."""
    from pytorch_accelerated import schedulers

    recipes = {name: getattr(schedulers, name) for name in schedulers.__all__}
    return {
        name: kind
        for name, kind in recipes.items()
        if isinstance(kind, type)
        and issubclass(kind, schedulers.ParamScheduler)
        and kind is not schedulers.ParamScheduler
        and name != "PlateauLrScheduler"  # follows a metric
    }


# preview ----------------------------------------------------------------------------------------


def _checkpoints(options: Namespace) -> int:
    from pytorch_accelerated.checkpoints import main as list_checkpoints

    return list_checkpoints(options.folder)


def _preview(options: Namespace) -> int:
    name = options.get("scheduler")
    own = _of_both(options, name) if name else options
    output = own.output
    suffix = Path(output).suffix.lower() if output is not None else ""
    if output is not None and suffix not in _OUTPUTS:
        raise UsageError(
            f"-o {output or '(nothing)'}: the file's name has to end in {', '.join(_OUTPUTS)}."
        )
    try:
        per_epoch = options.num_updates_per_epoch
        made = _of_scheduler(name, own, per_epoch) if name else _of_schedules(options)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    _check_finite(made)
    if output is not None:
        try:
            _write(made, output, suffix, own.log)
        except OSError as error:
            raise UsageError(f"-o {output}: {error.strerror or error}.") from None
    else:
        _show(made, own.log)
    return 0


def _of_both(options: Namespace, scheduler: str) -> Namespace:
    """Return a scheduler's options, with those that stand before or beside its name."""
    if options.schedule is not None:
        raise UsageError(
            f"there is both a schedule, {options.schedule!r}, and a scheduler, {scheduler}: only "
            "one of them can be shown; leave the other out."
        )
    own: Namespace = options[scheduler]
    for name in _SHARED:
        if options[name] is None:
            continue
        if own[name] is not None and own[name] != options[name]:
            raise UsageError(
                f"{name} is given twice, as {options[name]!r} and for {scheduler} as "
                f"{own[name]!r}: write one of them; what stands after the scheduler's name on the "
                "command line wins over a file."
            )
        own[name] = options[name]
    return own


def _write(made: Preview, output: str, suffix: str, log: bool | None) -> None:
    if suffix == ".csv":
        made.to_csv(output)
    elif suffix == ".html":
        try:
            made.save_html(output, log=log)
        except ImportError:
            raise _missing(f"-o {output}", "plotly", "html") from None
    else:
        try:
            made.plot(log=log).savefig(output, dpi=150)
        except ImportError:
            raise _missing(f"-o {output}", "matplotlib", "plot") from None


def _show(made: Preview, log: bool | None) -> None:
    out = sys.stdout
    if hasattr(out, "reconfigure"):
        out.reconfigure(errors="replace")  # a terminal may not know arrows
    try:
        from pytorch_accelerated.preview.terminal import sketch
    except ImportError:
        print("(pip install 'pytorch-accelerated[cli]' to see the curve)")  # noqa: T201
    else:
        width = min(shutil.get_terminal_size().columns, 120)
        print(sketch(made, max(width, 40), log=log, colour=out.isatty()))  # noqa: T201
    print(f"\n{made}", flush=True)  # noqa: T201


def _of_schedules(options: Namespace) -> Preview:
    from functools import reduce
    from operator import or_

    from pytorch_accelerated.preview import Preview, preview

    schedules = _read(options.schedule or {})
    if not schedules:
        raise UsageError(
            'there is nothing to preview: write --schedule "cosine(1000)", a scheduler\'s name, '
            f"or --config FILE. See {PROGRAM} preview --help."
        )
    per_epoch, num_updates = options.num_updates_per_epoch, options.num_updates
    for field, schedule in schedules.items():
        if schedule.is_relative:
            if num_updates is None:
                raise UsageError(
                    f"{field}={schedule!r} has lengths that are shares, epochs or the rest: write "
                    "--num_updates, how many updates the run has."
                )
            schedules[field] = schedule.over(num_updates, per_epoch)
    if num_updates is None:
        horizons = [schedule.horizon for schedule in schedules.values()]
        num_updates = max((one for one in horizons if one is not None), default=0) or 1
    bases = _bases(options.base, schedules)
    _check_number(num_updates, sum(map(len, bases.values())))
    previews = []
    for field, schedule in schedules.items():
        one = preview(schedule, num_updates, base=bases[field], num_updates_per_epoch=per_epoch)
        is_given = options.base is not None
        if isinstance(options.base, dict):
            is_given = field in options.base
        _check_range(field, schedule, bases[field], one["value"], is_given)
        phases = [schedule._rows_within(num_updates)] * len(bases[field])
        previews.append(
            Preview({field: one["value"]}, 0, (), {field: phases}, one.num_updates_per_epoch)
        )
    return reduce(or_, previews)


def _check_range(
    field: str, schedule: Schedule, bases: list[float], columns: Any, is_given: bool
) -> None:
    """Raise for what a scheduler would refuse.

    Args:
        field: The field.
        schedule: Its schedule.
        bases: The base value of each group.
        columns: The values of each group, update by update.
        is_given: Whether the bases are real ones, and not 1.0 because nobody gave any.
    """
    import math

    from pytorch_accelerated.schedules.ranges import bounds, out_of_range

    lower, upper = bounds(field)

    def is_legal(value: float, is_real: bool) -> bool:
        # What is not finite is found later; a multiple of 1.0 may well be one of 0.9.
        return not math.isfinite(value) or (value >= lower and (value < upper or not is_real))

    for group, (base, column) in enumerate(zip(bases, columns, strict=True)):
        for offset, scale in schedule._reached():
            value = offset + scale * base
            if not is_legal(value, is_given or scale == 0.0):
                raise out_of_range(field, value, group, f"in {schedule!r}")
        if all(is_legal(offset + scale * base, is_given) for offset, scale in schedule._ends()):
            continue
        for update, value in enumerate(column):
            if not is_legal(value, is_given):
                raise out_of_range(field, value, group, f"at update {update}")


def _read(given: str | dict[str, str]) -> dict[str, Schedule]:
    if isinstance(given, str):
        parts = [part for part in _text_of(given).split(";") if part.strip()]
        pairs = [_named_part(part, len(parts)) for part in parts]
        given = dict(pairs)
        if len(given) < len(pairs):
            raise UsageError("--schedule has two schedules for one field.")
    for field in given:
        if not isinstance(field, str) or not field.isidentifier():
            raise UsageError(f"--schedule: {field!r} is no name of a field, such as lr.")
    return {field: _read_one(field, _text_of(text)) for field, text in given.items()}


def _read_one(field: str, text: str) -> Schedule:
    from pytorch_accelerated.schedules.expression import ExpressionError, parse_schedule

    try:
        return parse_schedule(text)
    except ExpressionError as error:
        raise UsageError(f"--schedule, {field}: {error}") from None


def _named_part(part: str, count: int) -> tuple[str, str]:
    found = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=(?!=)(.*)", part, flags=re.DOTALL)
    if found is not None:
        return found[1], found[2]
    if count > 1:
        raise UsageError(
            f"--schedule has {count} schedules, but {part.strip()!r} does not say for which field: "
            "write lr=…; weight_decay=…."
        )
    return "lr", part


def _bases(given: Any, schedules: dict[str, Any]) -> dict[str, list[float]]:
    given = 1.0 if given is None else given
    by_field = given if isinstance(given, dict) else dict.fromkeys(schedules, given)
    for field in by_field:
        if field not in schedules:
            raise UsageError(f"--base.{field}: there is no schedule for {field!r}.")
    lists = {
        field: value if isinstance(value, list) else [value]
        for field, value in {**dict.fromkeys(schedules, 1.0), **by_field}.items()
    }
    count = max(map(len, lists.values()))
    for field, values in lists.items():
        if len(values) not in (1, count):
            raise UsageError(f"--base.{field} has {len(values)} values for {count} groups.")
    return {f: values * count if len(values) == 1 else values for f, values in lists.items()}


def _of_scheduler(name: str, options: Namespace, per_epoch: int | None) -> Preview:
    import torch

    from pytorch_accelerated.preview import preview

    others = (*_SHARED, "config")
    arguments = {key: value for key, value in options.as_dict().items() if key not in others}
    own_per_epoch = arguments.get("num_update_steps_per_epoch")
    if None not in (per_epoch, own_per_epoch) and per_epoch != own_per_epoch:
        raise UsageError(
            f"--num_updates_per_epoch {per_epoch}: {name} has num_update_steps_per_epoch="
            f"{own_per_epoch}; write only that."
        )
    (bases,) = _bases(options.base, {"lr": None}).values()
    optimizer = torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base} for base in bases]
    )
    scheduler = _scheduler_classes()[name](optimizer, **arguments)
    _check_number(options.num_updates or scheduler._num_planned_updates() or 0, len(bases))
    return preview(scheduler, options.num_updates, num_updates_per_epoch=own_per_epoch or per_epoch)


def _check_finite(made: Preview) -> None:
    import math

    for field in made.fields:
        for group, column in zip(made.groups, made[field], strict=True):
            values: Any = column  # of schedules, so numbers
            if math.isfinite(sum(values)):
                continue  # quicker than looking at each
            bad = next((k for k, value in enumerate(values) if not math.isfinite(value)), None)
            if bad is not None:
                raise UsageError(
                    f"{field} of group {group} is {values[bad]} at update {bad}, which no "
                    "optimizer can use: write another --base or other values."
                )


def _check_number(num_updates: int, num_curves: int) -> None:
    from pytorch_accelerated.preview.make import MOST_UPDATES

    if num_updates * num_curves > MOST_UPDATES:
        raise UsageError(
            f"{num_updates:,} updates are too many to show; {MOST_UPDATES // num_curves:,} are "
            f"allowed{f' for {num_curves} curves' if num_curves > 1 else ''}. Write a smaller "
            "--num_updates."
        )
