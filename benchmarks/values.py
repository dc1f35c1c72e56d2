"""What it costs to evaluate a schedule, wherever it is and however many phases it has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce

from benchmarks.measure import Makers, Measured, repeated
from pytorch_accelerated.schedules import cosine, linear


def evaluations(updates: Iterable[int]) -> Makers:
    """Return the evaluation of one schedule at these updates."""
    schedule = cosine(10**9, end=0.0)
    return {f"schedule({k:,})": lambda k=k: repeated(partial(schedule, k)) for k in updates}


def evaluations_with_phases(counts: Iterable[int]) -> Makers:
    """Return the evaluation of schedules with so many phases, in the middle of them."""

    def make(count: int) -> Measured:
        phases = (linear(10, start=i / count, end=(i + 1) / count) for i in range(count))
        schedule = reduce(lambda one, other: one >> other, phases)
        return repeated(partial(schedule, 5 * count + 3))

    return {f"{count:,} phases": partial(make, count) for count in counts}
