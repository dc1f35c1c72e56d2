"""One expression of the vocabulary gives every value of each scheduler that people come from."""

import inspect
import math

import pytest
import torch

from tests.conformance.recording import _names, our_schedule, our_values, their_values
from tests.conformance.table import OPTAX, ROWS, TORCH, TRANSFORMERS

TOLERANCE = 1e-12


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_update_has_their_value(row):
    ours, theirs = our_values(row), their_values(row)
    assert len(ours) == len(theirs) == row.num_updates
    for k, (our_groups, their_groups) in enumerate(zip(ours, theirs, strict=True)):
        for our_value, their_value in zip(our_groups, their_groups, strict=True):
            assert math.isclose(our_value, their_value, rel_tol=TOLERANCE), (
                f"update {k}: ours {our_value!r}, theirs {their_value!r}"
            )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_the_scheduler_runs_what_the_schedule_says(row):
    schedule = our_schedule(row)
    planned = [[schedule(k, base) for base in row.bases] for k in range(row.num_updates)]
    assert our_values(row) == planned


def test_the_curves_move():
    still = {row.key for row in ROWS if len({tuple(v) for v in our_values(row)}) == 1}
    assert still == {"transformers: constant", "optax: constant_schedule"}


def test_rows_have_names_of_their_own():
    assert len({row.key for row in ROWS}) == len(ROWS)


def test_every_torch_scheduler_has_a_row():
    theirs = {
        name
        for name, kind in inspect.getmembers(torch.optim.lr_scheduler, inspect.isclass)
        if issubclass(kind, torch.optim.lr_scheduler.LRScheduler)
    }
    assert theirs - {row.name for row in TORCH} == {"LRScheduler", "ReduceLROnPlateau"}


def test_every_transformers_scheduler_has_a_row():
    their_types = set(_names("transformers")["SchedulerType"])
    factories = _names("transformers")["TYPE_TO_SCHEDULER_FUNCTION"]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    without_a_row = their_types - {row.name for row in TRANSFORMERS}
    for kind in without_a_row:  # they listen to a metric, so no function of the update is them
        assert "metrics" in inspect.signature(factories[kind](optimizer).step).parameters


def test_every_optax_schedule_has_a_row():
    optax_schedules = {
        "constant_schedule",
        "cosine_decay_schedule",
        "cosine_onecycle_schedule",
        "exponential_decay",
        "join_schedules",
        "linear_onecycle_schedule",
        "linear_schedule",
        "piecewise_constant_schedule",
        "piecewise_interpolate_schedule",
        "polynomial_schedule",
        "sgdr_schedule",
        "warmup_constant_schedule",
        "warmup_cosine_decay_schedule",
        "warmup_exponential_decay_schedule",
    }
    assert {row.name for row in OPTAX} == optax_schedules
