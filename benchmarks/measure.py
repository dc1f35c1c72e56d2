"""Measuring candidates in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

# Processor time: what other programs do in between does not count.
clock = time.process_time

Measured = Callable[[], float]  # measures once, gives the seconds for one unit of work
Makers = dict[str, Callable[[], Measured]]  # a name, and what prepares its measurement


@dataclass(frozen=True)
class Figure:
    """What one candidate costs."""

    seconds: float  # median over the rounds, for one unit of work
    ratio: float  # of the medians, to the first candidate
    low: float  # quartiles of the rounds' own ratios
    high: float


def stay_on_one_core() -> None:
    """Stay on one core; that there is one thread on it, OMP_NUM_THREADS has to say."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def repeated(work: Callable[[], object], seconds: float = 0.002) -> Measured:
    """Return a function that does the work so often that it takes about ``seconds``.

    It gives the seconds that one piece of work took.
    """
    work()
    number = 1
    while True:
        start = clock()
        for _ in range(number):
            work()
        took = clock() - start
        if took > seconds / 4 or number > 10**7:
            break
        number *= 2
    number = max(1, round(number * seconds / max(took, 1e-9)))

    def run() -> float:
        start = clock()
        for _ in range(number):
            work()
        return (clock() - start) / number

    return run


def once(work: Callable[[], object]) -> Measured:
    """Return a function that does the work once and gives the seconds that it took."""

    def run() -> float:
        start = clock()
        work()
        return clock() - start

    return run


@contextmanager
def no_bystanders() -> Iterator[None]:
    """Have the garbage collector leave out what is there already.

    Otherwise each candidate would pay for all that the others have imported.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def in_turn(candidates: Mapping[str, Measured], rounds: int) -> dict[str, Figure]:
    """Measure the candidates A B C A B C …; each gives the seconds that a unit of work took.

    Ratios are to the first one.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    with no_bystanders():
        for _ in range(rounds):
            for name, run in candidates.items():
                times[name].append(run())
    base = next(iter(times.values()))
    figures = {}
    for name, own in times.items():
        ratios = [one / other for one, other in zip(own, base, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        seconds = statistics.median(own)
        figures[name] = Figure(seconds, seconds / statistics.median(base), low, high)
    return figures


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    import resource

    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
