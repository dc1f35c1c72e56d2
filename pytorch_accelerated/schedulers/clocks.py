"""Clocks: what a plan's positions count, if not optimizer updates."""

from __future__ import annotations

from typing import Any

from pytorch_accelerated.checks import finite, whole

UPDATES = "updates"
#: All of them; ``items`` are what ``num_items_in_batch`` counts, such as tokens.
CLOCKS = (UPDATES, "samples", "items", "seconds")


def checked(clock: object) -> str:
    """Return the name of a clock; raise if there is none of that name."""
    if clock not in CLOCKS:
        allowed = ", ".join(map(repr, CLOCKS))
        raise ValueError(f"clock={clock!r} has to be one of {allowed}. Write clock='samples'.")
    return str(clock)


def clock_of(scheduler: Any) -> str:
    """Return what a scheduler's plan is counted in."""
    return str(getattr(scheduler, "_clock", UPDATES))


def at(position: Any, clock: str = UPDATES) -> str:
    """Return where a clock is, for a message."""
    return f"at update {position}" if clock == UPDATES else f"at {position} {clock}"


def position(name: str, value: object, clock: str) -> Any:
    """Return a position on a clock: a whole number, or seconds, which have fractions."""
    if value is None and clock != UPDATES:
        raise TypeError(
            f"step() cannot count {clock} by itself. Write step(n), where n is how many {clock} "
            "have been counted so far."
        )
    if clock != "seconds":
        return whole(name, value)
    seconds = finite(name, value)
    if seconds < 0.0:
        raise ValueError(f"{name}={value!r} is too small: it has to be at least 0.")
    return seconds
