"""What it costs to evaluate a schedule, wherever it is and however many phases it has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from benchmarks.measure import Makers, Measured, repeated
from pytorch_accelerated.schedules import cosine, linear
from pytorch_accelerated.schedules.compose import Sequence


def evaluations(updates: Iterable[int]) -> Makers:
    """Return the evaluation of one schedule at these updates."""
    schedule = cosine(10**9, end=0.0)
    return {f"schedule({k:,})": lambda k=k: repeated(partial(schedule, k)) for k in updates}


def in_phases(count: int) -> Sequence:
    """Return a line of so many phases, made at once: ``>>`` would copy all that came before."""
    return Sequence(tuple(linear(10, start=i / count, end=(i + 1) / count) for i in range(count)))


def evaluations_with_phases(counts: Iterable[int]) -> Makers:
    """Return the evaluation of schedules with so many phases, in the middle of them."""
    return {
        f"{count:,} phases": lambda count=count: repeated(partial(in_phases(count), 5 * count + 3))
        for count in counts
    }


def constructions(counts: Iterable[int]) -> Makers:
    """Return the seconds for a phase, of the construction of schedules with so many phases."""

    def make(count: int) -> Measured:
        run = repeated(partial(in_phases, count))
        return lambda: run() / count

    return {f"{count:,} phases": partial(make, count) for count in counts}
