"""A bad value is named, and no group has changed."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    StatefulSchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import from_function, linear
from tests.recording import held, sgd
from tests.schedulers.examples import (
    Example,
)
from tests.schedulers.laws import (
    Returns,
    bases,
    contents,
    dtypes,
    every_one,
    every_plan,
    optimizer_for,
    step,
)


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [
        ([0.1], ValueError, ["1 values", "2 parameter groups"]),
        ([0.1, 0.2, 0.3], ValueError, ["3 values", "2 parameter groups"]),
        ([], ValueError, ["0 values"]),
        ([0.3, float("nan")], ValueError, ["nan", "group 1", "finite"]),
        ([0.3, float("inf")], ValueError, ["inf", "group 1"]),
        (float("nan"), ValueError, ["nan"]),
        (["0.1", 0.2], TypeError, ["'0.1'", "group 0"]),
        ("0.1", TypeError, ["'0.1'"]),
        (object(), TypeError, ["not a number"]),
        ([0.3, None], TypeError, ["None", "group 1"]),
        ([0.3, [0.1]], TypeError, ["[0.1]", "group 1"]),
    ],
)
def test_law_5_a_bad_value_is_named_and_nothing_changes(
    returned: Any, error: type[Exception], words: list[str]
) -> None:
    optimizer = sgd([0.1, 0.2])
    scheduler = Returns(optimizer, returned)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error) as caught:
        scheduler.step()
    for word in [*words, "Returns", "update 1", "lr"]:
        assert word in str(caught.value)
    assert optimizer.state_dict() == before
    assert scheduler.num_updates == 0


class Spoiled:
    """Spoils a scheduler's values at will, as an override of its class that goes wrong may do."""

    def __init__(self, scheduler: Any) -> None:
        spoiled = self
        self.by: Any = None

        class Override(type(scheduler)):  # type: ignore[misc]
            def get_updated_values(self, num_updates: int) -> Any:
                values = super().get_updated_values(num_updates)
                return values if spoiled.by is None else spoiled.by(values)

        scheduler.__class__ = Override


NO_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf, "0.1", None, [0.1], b"1"])


@every_one
@settings(max_examples=10, deadline=None)
@given(own_bases=bases, position=st.integers(0, 30), dtype=dtypes, data=st.data())
def test_law_5_whatever_a_scheduler_returns_a_bad_value_is_named_and_nothing_changes(
    example: Example,
    own_bases: list[float],
    position: int,
    dtype: torch.dtype | None,
    data: st.DataObject,
) -> None:
    optimizer = optimizer_for(own_bases, dtype)
    scheduler = example.make(optimizer)
    spoiled = Spoiled(scheduler)
    for k in range(1, position + 1):
        step(scheduler, k)
    words: list[str] = ["Override", f"update {position + 1}"]

    def spoil(values: Any) -> Any:
        rows = values if isinstance(values, dict) else {scheduler.param_group_field: values}
        name = data.draw(st.sampled_from(sorted(rows)))
        # Of None, no change, something else is made as well.
        row = held(optimizer, name) if rows[name] is None else list(rows[name])
        if data.draw(st.booleans()):
            row = row + row[:1] if data.draw(st.booleans()) else row[:-1]
            words.extend([f"{len(row)} values", f"{len(own_bases)} parameter groups"])
        else:
            index, bad = data.draw(st.integers(0, len(row) - 1)), data.draw(NO_NUMBERS)
            row[index] = bad
            words.extend([f"parameter group {index}", repr(bad)])
        words.append(repr(name))
        return {**rows, name: row}

    spoiled.by = spoil
    before = contents(optimizer), scheduler.state_dict()
    with pytest.raises((ValueError, TypeError)) as caught:
        step(scheduler, position + 1)
    for word in words:
        assert word in str(caught.value)
    assert (contents(optimizer), scheduler.state_dict()) == before

    spoiled.by = None
    step(scheduler, position + 1)
    twin = example.make(other := optimizer_for(own_bases, dtype))
    for k in range(1, position + 2):
        step(twin, k)
    assert held(optimizer, example.field) == held(other, example.field)


@every_plan
@settings(max_examples=10, deadline=None)
@given(own_bases=bases, position=st.integers(0, 30), dtype=dtypes, data=st.data())
def test_law_5_a_base_that_is_no_number_any_more_is_named_and_nothing_changes(
    example: Example,
    own_bases: list[float],
    position: int,
    dtype: torch.dtype | None,
    data: st.DataObject,
) -> None:
    optimizer = optimizer_for(own_bases, dtype)
    scheduler = example.make(optimizer)
    for k in range(1, position + 1):
        step(scheduler, k)
    index = data.draw(st.integers(0, len(own_bases) - 1))
    field, bad = data.draw(st.sampled_from(sorted(scheduler.schedules))), data.draw(NO_NUMBERS)
    key = "initial_betas" if field == "beta1" else f"initial_{field}"
    group = optimizer.param_groups[index]
    base, group[key] = group[key], bad
    if field == "beta1":
        group[key] = (bad, base[1])
    before = contents(optimizer)
    with pytest.raises((ValueError, TypeError)) as caught:
        step(scheduler, position + 1)
    named = f"parameter group {index}"
    for word in (type(scheduler).__name__, field, named, f"update {position + 1}"):
        assert word in str(caught.value)
    assert contents(optimizer) == before
    assert getattr(scheduler, "num_updates", position) == position

    group[key] = base
    step(scheduler, position + 1)
    twin = example.make(other := optimizer_for(own_bases, dtype))
    for k in range(1, position + 2):
        step(twin, k)
    assert held(optimizer, example.field) == held(other, example.field)


@settings(max_examples=40, deadline=None)
@given(at=st.integers(1, 20), bad=NO_NUMBERS, each=st.booleans(), dtype=dtypes)
def test_law_5_a_function_that_gives_no_number_is_named_with_its_field_and_scheduler(
    at: int, bad: Any, each: bool, dtype: torch.dtype | None
) -> None:
    own = from_function(lambda k: bad if k >= at else 0.5)
    for kind in (ParamScheduler, StatelessParamScheduler):
        optimizer = optimizer_for([0.1, 0.2], dtype)
        scheduler: Any = kind(
            optimizer, weight_decay=linear(30), lr=[linear(30), own] if each else own
        )
        for k in range(1, at):
            step(scheduler, k)
        before = contents(optimizer), scheduler.state_dict()
        with pytest.raises((ValueError, TypeError)) as caught:
            step(scheduler, at)
        group = ["parameter group 1"] if each else []
        for word in (kind.__name__, "lr", *group, "from_function", f"update {at}"):
            assert word in str(caught.value)
        assert (contents(optimizer), scheduler.state_dict()) == before


@pytest.mark.parametrize(
    "returned",
    [
        [0.3, 0.4],
        (0.3, 0.4),
        {0: 0.3, 1: 0.4}.values(),
        torch.tensor([0.3, 0.4], dtype=torch.float64),
        torch.tensor([0.3, 0.4], dtype=torch.float64).numpy(),
        [torch.tensor(0.3, dtype=torch.float64), 0.4],
    ],
    ids=["list", "tuple", "view", "tensor", "array", "mixed"],
)
def test_law_5_any_iterable_of_values_is_accepted(returned: Any) -> None:
    optimizer = sgd([0.1, 0.2])
    Returns(optimizer, returned).step()
    assert held(optimizer) == [0.3, 0.4]
    assert all(type(group["lr"]) is float for group in optimizer.param_groups)


def test_law_5_a_generator_is_accepted() -> None:
    optimizer = sgd([0.1, 0.2])
    Returns(optimizer, (x for x in (0.3, 0.4))).step()
    assert held(optimizer) == [0.3, 0.4]


def test_law_5_a_missing_field_is_found_before_any_group_is_touched() -> None:
    optimizer = sgd([0.1, 0.2])
    optimizer.param_groups[0]["dropout"] = 0.5
    before = copy.deepcopy(optimizer.state_dict())
    for error in (KeyError, ValueError):
        with pytest.raises(error, match=r"no field 'dropout' .* in 'SGD/1'"):
            Returns(optimizer, 0.1, field="dropout")
    assert optimizer.state_dict() == before


def test_law_5_a_constructor_that_fails_leaves_no_trace() -> None:
    class Failing(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> Any:
            raise RuntimeError("no values today")

    optimizer = sgd([0.1])
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(RuntimeError, match="no values today"):
        Failing(optimizer)
    with pytest.raises(ValueError, match="lr_min"):
        CosineLrScheduler(optimizer, 1, 1, lr_min=1.0)
    assert optimizer.state_dict() == before
