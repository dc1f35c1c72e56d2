"""Anything at all handed to the functions that build schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from inspect import isfunction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_accelerated import schedules as vocabulary
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.curves import CURVES
from tests.fuzz.hostile import ANYTHING, DOCUMENTED, SCALARS
from tests.strategies import schedules

BUILDERS = [name for name in vocabulary.__all__ if isfunction(getattr(vocabulary, name))]
OWN = sorted({name for curve in CURVES for name in curve.own})


def outcome(ask: Callable[[], Any]) -> Any:
    """Return what came; None for a documented error, which has to say something."""
    try:
        return ask()
    except DOCUMENTED as error:
        message = str(error)
    assert len(message) > 15, message
    return None


def check(schedule: Schedule) -> None:
    """Check that a schedule that was accepted has values, or says why it has none."""
    for num_updates in (0, 1, 3, 10**9):
        value = outcome(lambda: schedule(num_updates, base=0.1))  # noqa: B023  called at once
        assert value is None or isinstance(value, float)
    assert repr(schedule)
    assert str(schedule)
    assert hash(schedule) == hash(schedule)


@pytest.mark.parametrize("name", BUILDERS)
@given(
    positional=st.lists(SCALARS, max_size=2),
    named=st.dictionaries(
        st.sampled_from(["length", "start", "end", "value", "shape", *OWN]),
        SCALARS | SCALARS.map(lambda value: {3: value}),
        max_size=3,
    ),
)
@settings(max_examples=80, deadline=None)
def test_builders(name: str, positional: list[Any], named: dict[str, Any]) -> None:
    made = outcome(lambda: getattr(vocabulary, name)(*positional, **named))
    if isinstance(made, Schedule):
        check(made)


@given(
    schedule=schedules(depth=2),
    other=schedules(depth=2) | ANYTHING,
    operation=st.sampled_from(
        [">>", "+", "*", "repeat", "over", "until", "stretched", "rounded", "minimum", "call"]
    ),
    number=SCALARS,
)
@settings(max_examples=200, deadline=None)
def test_operations(schedule: Schedule, other: Any, operation: str, number: Any) -> None:
    operations = {
        ">>": lambda: schedule >> other,
        "+": lambda: schedule + other,
        "*": lambda: schedule * other,
        "repeat": lambda: schedule.repeat(number),
        "over": lambda: schedule.over(number),
        "until": lambda: schedule.until(number),
        "stretched": lambda: schedule.stretched(number),
        "rounded": lambda: schedule.rounded(number),
        "minimum": lambda: vocabulary.minimum(schedule, other),
        "call": lambda: schedule(number),
    }
    made = outcome(operations[operation])
    if isinstance(made, Schedule):
        outcome(lambda: check(made))  # a function's absolute value is found when it is asked for
    else:
        assert made is None or isinstance(made, float)


@given(
    schedule=schedules(depth=3),
    base=st.floats() | st.integers(-(10**9), 10**9),
    num_updates=st.integers(0, 10**12),
)
@settings(max_examples=100, deadline=None)
def test_bases_of_all_sizes(schedule: Schedule, base: Any, num_updates: int) -> None:
    value = outcome(lambda: schedule(num_updates, base=base))
    if math.isfinite(base):
        assert isinstance(value, float)
        assert math.isfinite(value) or abs(base) > 1e300
    else:
        assert value is None
