"""Update k runs with value(k)."""

from __future__ import annotations

from hypothesis import given, settings

from tests.recording import held, update, used_in
from tests.schedulers.examples import (
    Example,
    InverseLrScheduler,
    InverseLrStateless,
)
from tests.schedulers.laws import (
    bases,
    every_pure,
    every_stateful,
    every_stateless,
    optimizer_for,
    positions,
    value,
)


@every_pure
@settings(max_examples=8, deadline=None)
@given(own_bases=bases, num_updates=positions)
def test_law_1_update_k_runs_with_value_k(
    example: Example, own_bases: list[float], num_updates: int
) -> None:
    used = used_in(optimizer_for(own_bases), example.make, num_updates, example.field)
    assert used == [value(example, own_bases, k) for k in range(num_updates + 1)]


@every_stateful
def test_law_1_the_count_is_how_often_step_was_called(example: Example) -> None:
    optimizer = optimizer_for([0.1])
    scheduler = example.make(optimizer)
    for count in range(4):
        assert scheduler.num_updates == count
        update(optimizer)
        scheduler.step()


@every_stateless
def test_law_1_a_stateless_scheduler_writes_nothing_before_it_is_asked(example: Example) -> None:
    optimizer = optimizer_for([0.1, 0.2])
    scheduler = example.make(optimizer)
    assert held(optimizer) == [0.1, 0.2]
    scheduler.step_update(3)
    assert held(optimizer) != [0.1, 0.2]


@settings(max_examples=25, deadline=None)
@given(own_bases=bases, num_updates=positions)
def test_law_1_stateful_and_stateless_agree(own_bases: list[float], num_updates: int) -> None:
    used = used_in(optimizer_for(own_bases), InverseLrScheduler, num_updates)
    optimizer = optimizer_for(own_bases)
    stateless = InverseLrStateless(optimizer)
    for k in range(num_updates + 1):
        stateless.step_update(k)
        assert held(optimizer) == used[k]
