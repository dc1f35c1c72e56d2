"""Schedules as text, and the lengths of a run at construction."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from pytorch_accelerated.integrations import ConfiguredScheduler
from pytorch_accelerated.placeholders import replace_trainer_placeholder_values
from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import constant, cosine, epochs, linear
from pytorch_accelerated.schedules.expression import ExpressionError
from tests.recording import sgd, used_in
from tests.schedulers.test_for_runs import run_of

TEXT = "linear(0.05, start=0.0) >> cosine()"
either = pytest.mark.parametrize("kind", [ParamScheduler, StatelessParamScheduler])


@either
def test_text_is_the_schedule_that_it_describes(kind: Any) -> None:
    plain = kind(sgd(), lr=linear(500, start=0.0) >> cosine(9_500))
    for plan in (TEXT, linear(0.05, start=0.0) >> cosine()):
        assert kind(sgd(), lr=plan, horizon=10_000).schedules == plain.schedules
    assert kind(sgd(), lr="cosine(10)").schedules == {"lr": cosine(10)}


def test_an_update_runs_with_the_value_of_the_text() -> None:
    plan = linear(2, start=0.0) >> cosine(6)
    used = used_in(sgd([0.4]), lambda o: ParamScheduler(o, lr="linear(2, 0.0) >> cosine(6)"), 9)
    assert used == [[plan(k, 0.4)] for k in range(10)]


@either
def test_lists_mappings_and_epochs(kind: Any) -> None:
    optimizer = sgd([0.1, 0.2])
    scheduler = kind(
        optimizer,
        lr={0: "cosine()", "*": linear(epochs(1), start=0.0) >> constant()},
        weight_decay=["linear(epochs(1.5), end=0.0)", cosine(7)],
        horizon=20,
        num_updates_per_epoch=8,
    )
    assert scheduler.schedules == {
        "lr": {0: cosine(20), "*": linear(8, start=0.0) >> constant(12)},
        "weight_decay": (linear(12, end=0.0), cosine(7)),
    }


def test_attributes_and_a_plateaus_warmup() -> None:
    dropout = torch.nn.Dropout(0.4)
    scheduler = AttributeScheduler(dropout, p="linear(end=0.0)", horizon=4)
    scheduler.step()
    assert dropout.p == pytest.approx(0.3)
    assert PlateauLrScheduler(sgd(), warmup="linear(3, start=0.0)").schedules == {
        "lr": linear(3, start=0.0)
    }


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, linear(5, start=0.0) >> cosine(95)),
        ({"horizon": 40}, linear(2, start=0.0) >> cosine(38)),
    ],
)
def test_a_factory_asks_the_run_for_what_was_not_given(own: Any, expected: Any) -> None:
    dropout = torch.nn.Dropout(0.5)
    for factory, field in (
        (ParamScheduler.create_scheduler_fn(lr=TEXT, **own), "lr"),
        (ParamScheduler.create_scheduler_fn(lr={0: TEXT}, **own), "lr"),
        (AttributeScheduler.create_scheduler_fn(dropout, p=TEXT, **own), "p"),
    ):
        scheduler = replace_trainer_placeholder_values(run_of(100, 10), factory)(sgd())
        assert repr(expected) in repr(scheduler.schedules[field])
        assert scheduler._num_planned_updates() == expected.horizon


def test_a_factory_counts_an_epoch_as_it_was_told() -> None:
    text = "linear(epochs(1), start=0.0) >> cosine()"
    run = run_of(100, 10)
    for own, warmup in (({}, 10), ({"num_updates_per_epoch": 4}, 4)):
        factory = ParamScheduler.create_scheduler_fn(lr=text, **own)
        (phase, _) = replace_trainer_placeholder_values(run, factory)(sgd()).schedules["lr"].parts
        assert phase.horizon == warmup
    # With both there is nothing to ask for, and no Trainer is needed.
    own = {"horizon": 20, "num_updates_per_epoch": 4}
    scheduler = ParamScheduler.create_scheduler_fn(lr=text, **own)(sgd())
    assert scheduler.schedules == {"lr": linear(4, start=0.0) >> cosine(16)}


@either
@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            {"lr": "linear(10) >> cosin(90)"},
            ExpressionError,
            "lr: 'cosin' at column 15: it is not known; did you mean cosine",
        ),
        ({"lr": {0: "cosine("}}, ExpressionError, "lr[0]: 'cosine(' is not an expression at"),
        ({"lr": ["cosine(9)", "3"]}, ExpressionError, "lr[1]: '3' is 3, but has to be a schedule"),
        ({"lr": ""}, ExpressionError, "lr: The expression is empty. Write, for example, cosine"),
        ({"lr": "__import__('os')"}, ExpressionError, "lr: "),
        ({"lr": b"cosine(9)"}, TypeError, "lr=b'cosine(9)' is a bytes"),
        ({"lr": TEXT}, ValueError, "lr=linear(0.05, start=0.0) >> cosine() has lengths"),
        (
            {"lr": "linear(epochs(1)) >> cosine()", "horizon": 9},
            ValueError,
            "lr: epochs(1) needs to know how many updates an epoch has: ",
        ),
        ({"lr": TEXT, "horizon": 9.5}, ValueError, "lr: horizon=9.5 is a fractional count"),
        ({"lr": TEXT, "horizon": "9"}, TypeError, "horizon='9' is a str"),
        ({"lr": "linear(0.7) >> cosine(0.7)", "horizon": 10}, ValueError, "lr: "),
    ],
)
def test_what_is_wrong_is_said_with_its_field_and_place(
    kind: Any, arguments: Any, error: type[Exception], words: str
) -> None:
    optimizer = sgd([0.1, 0.2])
    before = repr(optimizer.state_dict())
    with pytest.raises(error, match=re.escape(words)):
        kind(optimizer, **arguments)
    assert repr(optimizer.state_dict()) == before


def test_a_factory_refuses_a_text_at_once() -> None:
    with pytest.raises(ExpressionError, match=r"lr: 'cosine' at column 1: .*cosine\(…\)"):
        ParamScheduler.create_scheduler_fn(lr="cosine")


@pytest.mark.parametrize("target", [5, 0.5, "dropout", None, True])
def test_a_value_is_not_a_target(target: Any) -> None:
    with pytest.raises(TypeError, match=r"target_or_targets=.* is an? .*AttributeScheduler\("):
        AttributeScheduler(target, p=cosine(9))
    with pytest.raises(TypeError, match="target_or_targets="):
        AttributeScheduler.create_scheduler_fn(target, p=cosine(9))


@pytest.mark.parametrize("given", [None, [], TEXT, [("lr", TEXT)], {1: TEXT}], ids=str)
def test_a_configured_scheduler_says_what_schedules_have_to_be(given: Any) -> None:
    with pytest.raises(TypeError, match=r"schedules=.*, but has to be a dictionary of field → "):
        ConfiguredScheduler(sgd(), given)


@pytest.mark.parametrize("name", ["horizon", "num_updates_per_epoch", "optimizer"])
def test_arguments_do_not_belong_among_the_schedules(name: str) -> None:
    with pytest.raises(ValueError, match=f"schedules holds {name!r}, which is an argument beside"):
        ConfiguredScheduler(sgd(), {"lr": TEXT, name: 10})  # type: ignore[dict-item]
