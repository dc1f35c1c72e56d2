"""A value depends on the schedule, the base and the update alone."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording import held
from tests.schedulers.examples import (
    Example,
)
from tests.schedulers.laws import bases, every_built_in, every_pure, optimizer_for, positions, value


@every_pure
@settings(max_examples=15, deadline=None)
@given(own_bases=bases, order=st.lists(positions, min_size=2, max_size=8))
def test_law_2_any_update_can_be_asked_for_in_any_order(
    example: Example, own_bases: list[float], order: list[int]
) -> None:
    optimizer = optimizer_for(own_bases)
    scheduler = example.make(optimizer)
    for k in order:
        scheduler.step_update(k)
        assert held(optimizer, example.field) == value(example, own_bases, k)


@every_built_in
def test_law_2_asking_for_values_changes_nothing(example: Example) -> None:
    optimizer = optimizer_for([0.1, 0.2])
    scheduler = example.make(optimizer)
    before = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    one = scheduler.get_updated_values(17)
    assert scheduler.get_updated_values(17) == one
    assert (optimizer.state_dict(), scheduler.state_dict()) == before
