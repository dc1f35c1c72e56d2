"""What is measured, group by group, with the goals that it is held to."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Makers, in_turn
from benchmarks.reference import Reference

Goals = dict[str, list["Goal"]]


@dataclass(frozen=True)
class Goal:
    """What a figure ought to be, and whether it is."""

    text: str
    met: bool
    why: str = ""  # … it may be missed


@dataclass(frozen=True)
class Row:
    """A figure of the table."""

    case: str
    name: str
    value: float
    unit: str
    ratio: float | None = None  # of medians, to the first row of the case
    low: float | None = None  # quartiles of the rounds' own ratios
    high: float | None = None
    goals: tuple[Goal, ...] = ()


@dataclass
class Settings:
    """How thorough to be, and where the reference library is."""

    quick: bool = False
    reference: Reference | None = None
    not_measured: dict[str, str] = field(default_factory=dict)  # a name, and why

    def figures(self, makers: Makers, rounds: int) -> dict[str, Figure]:
        """Measure candidates in turn; leave out those that cannot be imported."""
        ready = {}
        for name, make in makers.items():
            try:
                ready[name] = make()
            except ImportError as error:
                self.not_measured[name] = str(error)
        return in_turn(ready, 3 if self.quick else rounds)


UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0}


def rows_of(
    case: str, figures: Mapping[str, Figure], unit: str, goals: Mapping[str, list[Goal]]
) -> list[Row]:
    return [
        Row(
            case,
            name,
            figure.seconds * UNITS[unit],
            unit,
            figure.ratio,
            figure.low,
            figure.high,
            tuple(goals.get(name, ())),
        )
        for name, figure in figures.items()
    ]


def at_most(limit: float, ratio: float, why: str = "") -> Goal:
    return Goal(f"≤ {limit:g} ×", ratio <= limit, why)


# Each way to do with less was measured: kept objects instead of computed values, passes in C over
# all groups, types apart from values. They take 1.8 to 2.8 times the limit.
CHECKED_STEP = (
    "each step looks at every group's value and base value, so that a change by anybody else is "
    "noticed, and honoured or warned of; the two look-ups and the comparison take as long as the "
    "multiplication and the store that are the limit"
)
IMMUTABLE_CLASSES = (
    "about 11 of the 30 ms are dataclasses making the methods of 19 frozen classes, and doing "
    "without would mean constructors of our own in place of theirs; the rest is loading some "
    "twenty modules, at half a millisecond and more each"
)


SAME_FUNCTION = (
    "each value comes from the function that training calls, in Python, and so is equal bit for "
    "bit; sines of whole vectors would be quicker, and differ in the last digit"
)
SHARED_PROCESSOR = (
    "the processor is shared with others, and one round differs from the next by more than the "
    "candidates do: see the spread"
)
FASTER = "faster than every peer"


def faster_than_all(figures: Mapping[str, Figure], name: str, peers: Iterable[str]) -> Goal:
    return Goal(
        FASTER,
        all(figures[name].seconds < figures[peer].seconds for peer in peers),
        SHARED_PROCESSOR,
    )


def _groups(number: int) -> str:
    return "1 group" if number == 1 else f"{number} groups"


def flat(figures: Mapping[str, Figure], why: str = "") -> Goals:
    """Return the goal that the last candidate costs no more than the first, up to noise."""
    *_, (name, figure) = figures.items()
    return {name: [Goal("flat: ≤ 1.25 ×", figure.ratio <= 1.25, why)]}


def stepping(settings: Settings) -> list[Row]:
    from benchmarks import stepping

    rows: list[Row] = []
    for groups in stepping.GROUPS[:2] if settings.quick else stepping.GROUPS:
        makers = stepping.candidates(groups, settings.reference)
        figures = settings.figures(makers, 101)
        ours, own = ("ParamScheduler", "CosineLrScheduler"), "a one-line subclass"
        peers = [name for name in list(figures)[1:] if name not in (*ours, own)]
        goals: Goals = {}
        for name in ours:
            goals[name] = [faster_than_all(figures, name, peers)]
            goals[name].append(at_most(2.6, figures[name].ratio, CHECKED_STEP))
        share = figures[own].seconds / figures["torch LambdaLR"].seconds
        most = 1.15 if groups == 1 else 1.0  # its checks cost as much with one group as with ten
        goals[own] = [Goal(f"≤ {most:g} × torch LambdaLR", share <= most, SHARED_PROCESSOR)]
        rows += rows_of(f"step, {_groups(groups)}", figures, "µs", goals)
        _close(settings)
    for groups in (8,) if settings.quick else (64, 512):
        figures = settings.figures(stepping.few_rates(groups), 101)
        ratio = figures["ParamScheduler"].ratio
        goals = {"ParamScheduler": [at_most(2.6, ratio, CHECKED_STEP)]}
        rows += rows_of(f"step, {groups} groups of 2 rates", figures, "µs", goals)
    return rows


def shares(settings: Settings) -> list[Row]:
    from benchmarks import stepping

    rows: list[Row] = []
    for groups in (1, 8):
        figures = settings.figures(stepping.of_adamw(groups), 41)
        goals = {"ParamScheduler": [at_most(0.01, figures["ParamScheduler"].ratio)]}
        rows += rows_of(f"a step next to AdamW's, {_groups(groups)}", figures, "µs", goals)
    return rows


def tensors(settings: Settings) -> list[Row]:
    from benchmarks import stepping

    rows: list[Row] = []
    for groups in stepping.GROUPS[:2] if settings.quick else stepping.GROUPS:
        makers = stepping.tensor_candidates(groups)
        figures = settings.figures(makers, 41)
        torchs = figures["torch LambdaLR"]
        own = figures["ParamScheduler"]
        goal = Goal(
            "faster than torch's LambdaLR, which fills each group", own.seconds < torchs.seconds
        )
        goals = {"ParamScheduler": [goal]}
        rows += rows_of(f"step, {_groups(groups)} with tensors", figures, "µs", goals)
    return rows


def preview(settings: Settings) -> list[Row]:
    from benchmarks import scale

    updates = 10_000 if settings.quick else 1_000_000
    measured = scale.preview(updates)
    seconds = [measured() for _ in range(3 if settings.quick else 9)]
    middle = statistics.median(seconds)
    goals = [Goal("equal to training, bit for bit", scale.is_preview_exact(updates))]
    if not settings.quick:
        goals.append(Goal("≤ 0.5 s", middle <= 0.5, SAME_FUNCTION))
    rows = [Row("preview", f"{updates:,} updates, one group", middle, "s", goals=tuple(goals))]
    for name, makers in scale.values_at_once(updates).items():
        figures = settings.figures(makers, 5)
        limit = 1.0 if name == "exponential" else 0.4
        goals = [] if settings.quick else [at_most(limit, figures["at once"].ratio)]
        rows += rows_of(f"{updates:,} values: {name}", figures, "ms", {"at once": goals})
    return rows


def loops(settings: Settings) -> list[Row]:
    from benchmarks import loops

    rows: list[Row] = []
    for batch_size in (16,) if settings.quick else (16, 512):
        rounds = 15 if batch_size == 16 else 11
        figures = settings.figures(loops.candidates(batch_size), rounds)
        peers = ("Accelerate, by hand", "Ignite", "Lightning", "Transformers")
        times = [figures[name].ratio for name in peers]
        of_reference: list[Row] = []
        if settings.reference is not None:
            makers = loops.reference_candidates(batch_size, settings.reference)
            apart = settings.figures(makers, rounds)
            times.append(apart["reference Trainer"].ratio)
            case = f"an update, batch {batch_size}, in the reference's process"
            of_reference = rows_of(case, apart, "µs", {})
        goals = {
            name: [Goal(FASTER, figures[name].ratio < min(times), SHARED_PROCESSOR)]
            for name in ("Trainer", "Trainer, at a terminal")
        }
        least = 1.15 if batch_size == 16 else 0.5  # of the data loader, which stacks samples
        goals["Trainer"].append(at_most(least, figures["Trainer"].ratio, SHARED_PROCESSOR))
        if batch_size == 512:
            share = figures["Trainer"].seconds / figures["PyTorch, slices by hand"].seconds
            goal = Goal("≤ 1.3 × slices by hand", share <= 1.3, SHARED_PROCESSOR)
            goals["Trainer"].append(goal)
        rows += rows_of(f"an update, batch {batch_size}", figures, "µs", goals) + of_reference
        _close(settings)
    return rows


def values(settings: Settings) -> list[Row]:
    from benchmarks import values

    figures = settings.figures(values.evaluations([1, 10**6, 10**9 - 1]), 41)
    rows = rows_of("a value", figures, "µs", flat(figures))
    figures = settings.figures(values.evaluations_with_phases([1, 10, 100, 1000]), 41)
    last = figures["1,000 phases"]
    rows += rows_of("a value, of", figures, "µs", {"1,000 phases": [at_most(2.5, last.ratio)]})
    figures = settings.figures(values.constructions([1, 10, 100, 1000]), 15)
    why = (
        "Python's garbage collector looks at a thousand phases while they are made; with "
        "gc.disable() the time is flat"
    )
    rows += rows_of("construction, for a phase", figures, "µs", flat(figures, why))
    return rows


def scale(settings: Settings) -> list[Row]:
    from benchmarks import scale

    updates = [100, 1_000] if settings.quick else [1_000, 10_000, 100_000, 1_000_000]
    figures = settings.figures(scale.steps_after(updates), 41)
    rows = rows_of("a step, after", figures, "µs", flat(figures))
    grown = scale.bytes_of_steps(updates[0], updates[-1])
    goal = Goal("no more memory, up to 1 kB", grown <= 1024)
    rows.append(
        Row("memory of a scheduler", f"{updates[-1]:,} updates on", grown, "bytes", goals=(goal,))
    )
    counts = [1, 8] if settings.quick else [1, 8, 64, 512, 4096]
    figures = settings.figures(scale.constructions(counts), 15)
    rows += rows_of("construction, for a group", figures, "µs", flat(figures))
    for count in counts:
        held = scale.bytes_of_a_scheduler(count)
        rows.append(Row("memory of a scheduler", f"{count:,} groups", held, "bytes"))
    return rows


def runs(settings: Settings) -> list[Row]:
    from benchmarks import scale

    rows: list[Row] = []
    figures = settings.figures(scale.with_callbacks([0, 1, 4, 16]), 21)
    rows += rows_of("the loop alone, with", figures, "µs", {})
    points = [600, 1_200] if settings.quick else [1_000, 10_000, 100_000, 1_000_000]
    rows += _windows("the loop alone, at", "update", scale.updates_of_a_run(points))
    points = [600, 1_200] if settings.quick else [1_000, 10_000]
    rows += _windows("an epoch of one update, at", "epoch", scale.epochs_of_a_run(points))

    first, last = (10, 100) if settings.quick else (1_000, 5_000)
    held = scale.bytes_of_history(scale.history_in_memory(), first, last)
    rows.append(
        Row(
            "history, for a metric and epoch",
            "in memory",
            held,
            "bytes",
            goals=(Goal("≤ 80 bytes", held <= 80.0),),
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        held = scale.bytes_of_history(scale.history_on_disk(Path(folder)), first, last)
    goal = Goal("flat: < 1 byte", settings.quick or held < 1.0)
    rows.append(Row("history, for a metric and epoch", "on disk", held, "bytes", goals=(goal,)))
    return rows


def _windows(case: str, unit: str, windows: Any) -> list[Row]:
    first, *_, last = windows.seconds
    rows = []
    for point, seconds in windows.seconds.items():
        ratio = windows.ratios[point]
        goal = Goal("flat: ≤ 1.25 × a run that begins", ratio <= 1.25, SHARED_PROCESSOR)
        goals = (goal,) if point == last else ()
        rows.append(Row(case, f"{unit} {point:,}", seconds * 1e6, "µs", ratio, goals=goals))
    grown = (windows.memory[last] - windows.memory[first]) / (last - first)
    rows.append(Row(case, f"more memory for each {unit}", grown, "bytes"))
    return rows


def imports(settings: Settings) -> list[Row]:
    from benchmarks import importing

    rounds = 2 if settings.quick else 9
    importing.seconds("pytorch_accelerated.schedulers")  # bytecode is written
    seconds = [importing.seconds("pytorch_accelerated.schedulers") for _ in range(rounds)]
    middle = statistics.median(seconds) * 1e3
    rows = [
        Row(
            "import, over torch",
            "pytorch_accelerated.schedulers",
            middle,
            "ms",
            goals=(Goal("≤ 20 ms", middle <= 20.0, IMMUTABLE_CLASSES),),
        )
    ]
    for module, unwanted in (
        ("pytorch_accelerated", "accelerate"),
        ("pytorch_accelerated.schedulers", "accelerate"),
        ("pytorch_accelerated.schedules", "torch"),
    ):
        count = int(importing.imports(module, unwanted))
        goal = Goal(f"no {unwanted}", count == 0)
        rows.append(Row(f"import, of {unwanted}", module, count, "modules", goals=(goal,)))
    return rows


def start_up(settings: Settings) -> list[Row]:
    from benchmarks import importing, loops

    figures = settings.figures(loops.start_up(settings.reference), 9)
    by_hand = figures["PyTorch, by hand"].seconds
    over = (figures["Trainer"].seconds - by_hand) * 1e3
    rows = rows_of("until the first update", figures, "ms", {})
    first = [importing.first_run() * 1e3 for _ in range(1 if settings.quick else 3)]
    for name, value in (
        ("a later run", over),
        ("a process's first run", statistics.median(first)),
    ):
        goal = Goal("≤ 50 ms", value <= 50.0)
        rows.append(Row("first update, over by hand", name, value, "ms", goals=(goal,)))
    return rows


def saving(settings: Settings) -> list[Row]:
    from benchmarks import saving, sharded_saving

    amount = (1.0, 3) if settings.quick else (20.0, 6)
    size, kinds = saving.pauses(*amount)
    half, of_two = sharded_saving.pauses(*((1.0, 3) if settings.quick else (8.0, 5)))
    rows = _pauses(f"saving {size / 1e6:.0f} MB", kinds, "pause with a checkpoint")
    case = f"saving {half / 1e6:.0f} MB on each of two processes"
    return rows + _pauses(case, of_two)


def _pauses(case: str, kinds: Mapping[str, list[float]], ours: str = "") -> list[Row]:
    rows, base = [], statistics.median(next(iter(kinds.values())))
    for name, seconds in kinds.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        ratio = middle / base
        goals = (at_most(1.5, ratio),) if name == ours else ()
        rows.append(Row(case, name, middle * 1e3, "ms", ratio, low / base, high / base, goals))
    return rows


def records(settings: Settings) -> list[Row]:
    from benchmarks import saving

    rows: list[Row] = []
    points = (1_000, 10_000) if settings.quick else (1_000, 100_000, 1_000_000)
    found = {count: saving.with_record(count) for count in points}
    first, last = found[points[0]], found[points[-1]]
    for count, (pause, anew) in found.items():
        ratio = pause / first[0]
        flat = Goal("≤ 2 ms more, whatever came before", last[0] - first[0] <= 2e-3)
        goals = (flat,) if count == points[-1] else ()
        case = "a checkpoint with a record of"
        rows.append(Row(case, f"{count:,} updates", pause * 1e3, "ms", ratio, goals=goals))
        half = Goal("≤ half a megabyte more", anew - first[1] <= 1 << 19)
        goals = (half,) if count == points[-1] else ()
        case = "bytes that it writes, with a record of"
        rows.append(Row(case, f"{count:,} updates", anew, "bytes", goals=goals))
    return sorted(rows, key=lambda row: row.case)


def _close(settings: Settings) -> None:
    if settings.reference is not None:
        settings.reference.close()


GROUPS: dict[str, Callable[[Settings], list[Row]]] = {
    "shares": shares,
    "stepping": stepping,
    "tensors": tensors,
    "values": values,
    "preview": preview,
    "loops": loops,
    "start-up": start_up,
    "scale": scale,
    "runs": runs,
    "imports": imports,
    "saving": saving,
    "records": records,
}
NEEDS_REFERENCE = {"stepping", "loops", "start-up"}


def measured(name: str, settings: Settings) -> dict[str, Any]:
    """Measure a group; returns what JSON can hold."""
    rows = GROUPS[name](settings)
    return {"rows": [asdict(row) for row in rows], "not_measured": settings.not_measured}
