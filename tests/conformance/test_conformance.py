"""One expression of the vocabulary gives every value of each scheduler that people come from."""

import inspect
import math
import sys

import pytest
import torch

from tests.conformance.recording import (
    names_of,
    optax_names,
    our_schedule,
    our_values,
    their_values,
)
from tests.conformance.table import IGNITE, OPTAX, ROWS, TIMM, TORCH, TRANSFORMERS
from tests.conformance.timm_parts import timm_part

TOLERANCE = 1e-12


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_update_has_their_value(row):
    ours, theirs = our_values(row), their_values(row)
    assert len(ours) == len(theirs) == row.num_updates
    for k, (our_groups, their_groups) in enumerate(zip(ours, theirs, strict=True)):
        for our_value, their_value, base in zip(our_groups, their_groups, row.bases, strict=True):
            rounding = math.ulp(base) if row.cancels else 0.0
            assert math.isclose(our_value, their_value, rel_tol=TOLERANCE, abs_tol=rounding), (
                f"update {k}: ours {our_value!r}, theirs {their_value!r}"
            )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_the_scheduler_runs_what_the_schedule_says(row):
    schedule = our_schedule(row)
    planned = [[schedule(k, base) for base in row.bases] for k in range(row.num_updates)]
    assert our_values(row) == planned


def test_all_curves_but_the_constant_ones_move():
    still = {row.name for row in ROWS if all(v == our_values(row)[0] for v in our_values(row))}
    assert still == {"constant", "constant_schedule"}


def test_every_row_is_compared_up_to_its_last_value():
    for row in ROWS:
        schedule = our_schedule(row)
        if schedule.horizon is not None:
            last_seen, last = our_values(row)[-1][0], schedule(schedule.horizon, row.bases[0])
            restarts = row.num_updates == schedule.horizon  # theirs begins the next period there
            assert last_seen == last or restarts, row.key


def test_rows_have_names_of_their_own():
    assert len({row.key for row in ROWS}) == len(ROWS)


def test_every_torch_scheduler_has_a_row():
    theirs = {
        name
        for name, kind in inspect.getmembers(torch.optim.lr_scheduler, inspect.isclass)
        if issubclass(kind, torch.optim.lr_scheduler.LRScheduler)
    }
    assert theirs - {row.name for row in TORCH} == {
        "LRScheduler",
        "_LRScheduler",
        "ReduceLROnPlateau",
    }


def test_every_transformers_scheduler_has_a_row():
    their_types = set(names_of("transformers")["SchedulerType"])
    factories = names_of("transformers")["TYPE_TO_SCHEDULER_FUNCTION"]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    without_a_row = their_types - {row.name for row in TRANSFORMERS}
    for kind in without_a_row:  # they listen to a metric, so no function of the update is them
        assert "metrics" in inspect.signature(factories[kind](optimizer).step).parameters


def test_every_optax_schedule_has_a_row():
    assert {row.name for row in OPTAX} == optax_names()


def test_every_timm_scheduler_has_a_row():
    theirs = {name for name in names_of("timm") if name.endswith("LRScheduler")}
    # One that listens to a metric.
    assert theirs - {row.name for row in TIMM} == {"PlateauLRScheduler"}


def test_what_is_loaded_of_timm_leaves_no_trace():
    before = set(sys.modules)
    timm_part.__wrapped__("scheduler")
    assert not [name for name in set(sys.modules) - before if name.partition(".")[0] == "timm"]


def test_every_ignite_schedule_has_a_row():
    abstract = {"BaseParamScheduler", "ParamScheduler", "CyclicalScheduler"}
    # A wrapper around torch's schedulers, one that listens to a metric, and one that calls a
    # user's function for the batch size of a data loader.
    others = {"LRScheduler", "ReduceLROnPlateauScheduler", "BatchSizeScheduler"}
    kind = names_of("ignite")["BaseParamScheduler"]
    theirs = {
        name
        for name, value in names_of("ignite").items()
        if inspect.isclass(value) and issubclass(value, kind)
    }
    assert {row.name for row in IGNITE} == theirs - abstract - others
