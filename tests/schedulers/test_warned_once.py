"""A warning comes once for each scheduler, field and group, however long a run is."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    ParamScheduler,
    SchedulerWarning,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import linear
from tests.recording import adamw, sgd, train, update
from tests.schedulers.examples import InverseLrScheduler

LONG = linear(1_000, end=0.0)


def warned(work: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work()
    assert all(warning.category is SchedulerWarning for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("tensors", [False, True])
def test_two_schedulers_on_one_field_are_each_told_once_of_each_group(tensors: bool) -> None:
    optimizer = sgd([torch.tensor(0.4), torch.tensor(0.8)] if tensors else [0.4, 0.8])
    schedulers = [ParamScheduler(optimizer, lr=LONG), InverseLrScheduler(optimizer)]

    def steps() -> None:
        for _ in range(200):
            update(optimizer)
            for scheduler in schedulers:
                scheduler.step()

    messages = warned(steps)
    assert len(messages) == 2
    assert [message.count("group") >= 2 for message in messages] == [True, True]


def test_a_field_that_somebody_writes_before_each_step_is_named_once() -> None:
    optimizer = adamw([0.4, 0.8])
    scheduler = ParamScheduler(optimizer, lr=LONG, beta1=LONG, weight_decay=LONG)

    def steps() -> None:
        for k in range(100):
            optimizer.param_groups[1]["lr"] = 0.5 + k
            if k >= 50:
                optimizer.param_groups[0]["weight_decay"] = 0.1 + k
            scheduler.step()

    first, second = warned(steps)
    assert "update 1:" in first
    assert "group 1 held lr=0.5" in first
    assert "update 51:" in second
    assert "group 0 held weight_decay=50.1" in second


def test_a_stateless_scheduler_and_attributes_are_told_once_too() -> None:
    optimizer, dropout = sgd([0.4]), torch.nn.Dropout(0.4)
    stateless = StatelessParamScheduler(optimizer, lr=LONG)
    attributes = AttributeScheduler(dropout, p=LONG)

    def steps() -> None:
        for k in range(100):
            optimizer.param_groups[0]["lr"] = 3.0
            stateless.step_update(k)
            dropout.p = 0.9
            attributes.step()

    assert len(warned(steps)) == 2


def test_what_is_not_saved_is_named_once() -> None:
    class Remembering(InverseLrScheduler):
        def __init__(self, optimizer: Any) -> None:
            super().__init__(optimizer)
            self.seen = [object()]

    scheduler = Remembering(sgd())

    def saves() -> None:
        for _ in range(20):
            train(scheduler.optimizer, scheduler, 1)
            scheduler.state_dict()

    (message,) = warned(saves)
    assert "seen is a list that is not saved" in message
