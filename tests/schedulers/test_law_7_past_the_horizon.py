"""Past the horizon the last value holds."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.schedulers.examples import (
    Example,
)
from tests.schedulers.laws import bases, every_built_in, every_one, optimizer_for, value


@every_built_in
@settings(max_examples=10, deadline=None)
@given(own_bases=bases, further=st.integers(0, 10**9))
def test_law_7_past_the_horizon_the_last_value_holds(
    example: Example, own_bases: list[float], further: int
) -> None:
    assert example.horizon is not None
    last = value(example, own_bases, example.horizon)
    assert value(example, own_bases, example.horizon + further) == last


@every_one
@pytest.mark.parametrize("num_updates", [-1, -100, 1.5])
def test_law_7_a_negative_or_fractional_update_is_refused(
    example: Example, num_updates: float
) -> None:
    optimizer = optimizer_for([0.1])
    scheduler = example.make(optimizer)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match="num_updates"):
        scheduler.step_update(num_updates)
    assert optimizer.state_dict() == before
