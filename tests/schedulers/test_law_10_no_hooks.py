"""Nothing is left on the optimizer, and dropped objects are freed at once."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording import Recorder, held, sgd, train, used_in
from tests.schedulers.examples import (
    STATEFUL,
    Example,
)
from tests.schedulers.laws import (
    bases,
    contents,
    dtypes,
    every_one,
    every_plan,
    optimizer_for,
    step,
    value,
)


@every_one
def test_law_10_nothing_is_patched_and_all_is_freed_without_the_collector(
    example: Example,
) -> None:
    sgd()  # making the first one imports more of torch, and that leaves cycles
    gc.collect()
    gc.disable()
    try:
        optimizer = sgd([0.1, 0.2], weight_decay=0.3, momentum=0.9)
        if example.field == "betas" or "several" in example.name:
            optimizer = optimizer_for([0.1, 0.2])
        attributes = {name: value for name, value in vars(optimizer).items() if callable(value)}
        scheduler = example.make(optimizer)
        scheduler.step_update(3)
        scheduler.state_dict()
        assert {n: v for n, v in vars(optimizer).items() if callable(v)} == attributes
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_load_state_dict_post_hooks
        references = weakref.ref(optimizer), weakref.ref(scheduler)
        del optimizer, scheduler, attributes
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("example", [e for e in STATEFUL if "user" not in e.name], ids=repr)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["copy", "pickle"]
)
def test_law_10_copies_go_on_by_themselves(example: Example, copied: Any) -> None:
    straight = used_in(optimizer_for([0.1, 0.2]), example.make, 20, example.field)
    optimizer = optimizer_for([0.1, 0.2])
    scheduler = example.make(optimizer)
    train(optimizer, scheduler, 8)
    other, twin = copied((optimizer, scheduler))
    assert twin.optimizer is other
    recorder = Recorder(other, example.field)
    train(other, twin, 12)
    assert [*recorder.used, held(other, example.field)] == straight[8:]
    assert scheduler.num_updates == 8
    assert held(optimizer, example.field) == straight[8]


@every_plan
@settings(max_examples=10, deadline=None)
@given(own_bases=bases, position=st.integers(0, 40), dtype=dtypes)
def test_law_10_wherever_it_is_a_scheduler_is_copied_and_freed(
    example: Example, own_bases: list[float], position: int, dtype: torch.dtype | None
) -> None:
    optimizer = optimizer_for(own_bases, dtype)
    attributes = {name: value for name, value in vars(optimizer).items() if callable(value)}
    hooks = [name for name in vars(optimizer) if name.endswith("_hooks")]
    scheduler = example.make(optimizer)
    for k in range(1, position + 1):
        step(scheduler, k)
    scheduler.state_dict()
    assert {n: v for n, v in vars(optimizer).items() if callable(v)} == attributes
    assert len(hooks) >= 5
    assert not any(getattr(optimizer, name) for name in hooks)

    before = contents(optimizer)
    for other, twin in (
        copy.deepcopy((optimizer, scheduler)),
        pickle.loads(pickle.dumps((optimizer, scheduler))),
    ):
        assert twin.optimizer is other
        for k in range(position + 1, position + 4):
            step(twin, k)
            assert held(other, example.field) == value(example, own_bases, k, dtype)
    assert contents(optimizer) == before

    gc.disable()  # what is freed now has no cycles
    try:
        references = weakref.ref(optimizer), weakref.ref(scheduler)
        del optimizer, scheduler, attributes, other, twin
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()
