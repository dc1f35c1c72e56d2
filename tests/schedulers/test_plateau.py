"""PlateauLrScheduler: against PyTorch's own and by hand, with a warmup, across restores."""

from __future__ import annotations

import copy
import gc
import io
import json
import math
import pickle
import weakref
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pytorch_accelerated.placeholders import replace_trainer_placeholder_values
from pytorch_accelerated.schedulers import PlateauLrScheduler, SchedulerWarning
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    epochs,
    from_function,
    linear,
)
from tests.recording import Recorder, adamw, held, parameters, set_attributes, sgd, train, update

FOUR = linear(4, start=0.0)


def plateau(bases: tuple[Any, ...] = (0.1,), **arguments: Any) -> PlateauLrScheduler:
    return PlateauLrScheduler(sgd(bases), **arguments)


def reported(scheduler: Any, metrics: list[float]) -> list[list[float]]:
    """Return what is held after each report."""
    rates = []
    for metric in metrics:
        scheduler.step(metric)
        rates.append(held(scheduler.optimizer))
    return rates


# Reports -----------------------------------------------------------------------------------


def test_the_rate_is_halved_after_one_bad_report_more_than_patience() -> None:
    scheduler = plateau((0.1, 2.0), factor=0.5, patience=2)
    rates = reported(scheduler, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0])
    once, twice, thrice = [0.05, 1.0], [0.025, 0.5], [0.0125, 0.25]
    assert rates == [[0.1, 2.0]] * 3 + [once] * 3 + [once] * 3 + [twice]
    assert (scheduler.num_reductions, scheduler.best) == (2, 0.5)
    assert reported(scheduler, [9.0] * 3)[1:] == [twice, thrice]


def test_report_says_whether_the_rate_was_reduced() -> None:
    scheduler = plateau(patience=1)
    assert [scheduler.report(1.0) for _ in range(4)] == [False, False, True, False]
    assert scheduler.num_updates == 0


@pytest.mark.parametrize(
    ("mode", "threshold_mode", "best", "barely", "enough"),
    [
        ("min", "rel", 10.0, 9.0, 8.9),
        ("max", "rel", 10.0, 11.0, 11.1),
        ("min", "abs", 10.0, 9.9, 9.8),
        ("max", "abs", 10.0, 10.1, 10.2),
        ("min", "rel", -10.0, -11.0, -11.1),
        ("max", "rel", -10.0, -9.0, -8.9),
    ],
)
def test_better_means_by_more_than_the_threshold(
    mode: str, threshold_mode: str, best: float, barely: float, enough: float
) -> None:
    scheduler = plateau(mode=mode, threshold_mode=threshold_mode, threshold=0.1)
    scheduler.report(best)
    scheduler.report(barely)
    assert (scheduler.best, scheduler.num_bad_reports) == (best, 1)
    scheduler.report(enough)
    assert (scheduler.best, scheduler.num_bad_reports) == (enough, 0)


def test_a_negative_metric_that_stays_where_it_is_counts_as_bad() -> None:
    scheduler = plateau(patience=1)
    reported(scheduler, [-5.0, -5.0, -5.0])
    assert scheduler.num_reductions == 1


@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_never_the_best(mode: str) -> None:
    scheduler = plateau(mode=mode, patience=1)
    reported(scheduler, [math.nan, 1.0, math.nan])
    assert (scheduler.best, scheduler.num_bad_reports) == (1.0, 1)
    scheduler.report(math.nan)
    assert scheduler.num_reductions == 1
    assert scheduler.best == 1.0


def test_the_floor_is_reached_exactly_and_held() -> None:
    scheduler = plateau((0.1, 0.3), factor=0.3, patience=0, min_lr=0.007)
    rates = reported(scheduler, [1.0] * 9)
    assert rates[1] == [0.1 * 0.3, 0.3 * 0.3]
    assert rates[-1] == [0.007, 0.007]


def test_each_group_may_have_its_own_floor() -> None:
    scheduler = plateau((0.1, 0.3), patience=0, min_lr=[0.05, 0.002])
    assert reported(scheduler, [1.0] * 4)[-1] == [0.05, 0.002]


def test_a_group_below_the_floor_is_left_where_it_is() -> None:
    scheduler = plateau((0.1, 0.001), patience=0, min_lr=0.01)
    assert reported(scheduler, [1.0] * 4)[-1] == [0.01, 0.001]


def test_a_warmup_that_is_no_schedule_is_named() -> None:
    with pytest.raises(TypeError, match="warmup=5 is an int, but has to be a schedule"):
        plateau((0.1,), warmup=5)


def test_a_field_that_is_not_a_name_is_refused() -> None:
    with pytest.raises(TypeError, match="param_group_field=5 is an int, but has to be a name"):
        plateau((0.1,), param_group_field=5)


def test_a_count_by_name_includes_a_new_group_at_once() -> None:
    scheduler = plateau((1.0,), warmup=linear(4, start=0.0))
    scheduler.step()
    scheduler.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 2.0})
    scheduler.step(epoch=scheduler.num_updates)
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.25, 0.5]
    assert scheduler.best is None


def test_after_a_reduction_the_cooldown_counts_no_report_as_bad() -> None:
    scheduler = plateau((1.0,), factor=0.5, patience=1, cooldown=2)
    rates = [rate for (rate,) in reported(scheduler, [1.0] * 8)]
    #        best  bad  reduced  cooling down  bad  reduced
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.usefixtures("warn_always")
@pytest.mark.parametrize(
    "metric",
    [
        2,
        2.0,
        torch.tensor(2.0),
        torch.tensor([2]),
        torch.tensor(2.0, requires_grad=True),
        numpy.float32(2),
        numpy.array(2),
    ],
)
def test_any_number_is_a_metric(metric: Any) -> None:
    scheduler = plateau()
    scheduler.report(metric)
    assert scheduler.best == 2.0
    assert type(scheduler.best) is float


@pytest.mark.parametrize("metric", ["2.0", None, True, [2.0], torch.ones(2), object()])
def test_something_that_is_no_number_is_refused_and_changes_nothing(metric: Any) -> None:
    scheduler = plateau()
    state = scheduler.state_dict()
    with pytest.raises(TypeError, match="metric="):
        scheduler.report(metric)
    assert scheduler.state_dict() == state


@settings(max_examples=150, deadline=None)
@given(
    metrics=st.lists(
        st.floats(0.0, 10.0) | st.sampled_from([1.0, 2.0, math.nan, math.inf]), max_size=40
    ),
    mode=st.sampled_from(["min", "max"]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    threshold=st.sampled_from([0.0, 1e-4, 0.3]),
    patience=st.integers(0, 4),
    cooldown=st.integers(0, 4),
    factor=st.floats(0.1, 0.9),
)
def test_without_a_warmup_it_runs_as_pytorchs_own(
    metrics: list[float], factor: float, **arguments: Any
) -> None:
    bases = (0.1, 3.0)
    native = ReduceLROnPlateau(sgd(bases), factor=factor, min_lr=1e-3, eps=0.0, **arguments)
    scheduler = plateau(bases, factor=factor, min_lr=1e-3, **arguments)
    for metric in metrics:
        native.step(metric)
        scheduler.step(metric)
        assert held(scheduler.optimizer) == pytest.approx(held(native.optimizer), rel=1e-12, abs=0)
        assert scheduler.num_bad_reports == native.num_bad_epochs
        assert scheduler.cooldown_counter == native.cooldown_counter


# With a warmup -----------------------------------------------------------------------------


def test_a_warmup_of_five_and_a_reduction_on_a_plateau_are_one_plan() -> None:
    optimizer = sgd([1.0])
    scheduler = PlateauLrScheduler(
        optimizer, warmup=linear(5, start=0.0), patience=1, factor=0.5, min_lr=0.3
    )
    recorder = Recorder(optimizer)
    for loss in (9.0, 9.0, 9.0, 9.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0):
        update(optimizer)
        scheduler.step()
        scheduler.report(loss)
    # The fifth report, just after the last update of warmup, is the first to count.
    assert recorder.used == [[0.0], [0.2], [0.4], [0.6], [0.8], [1.0], [1.0], [0.5], [0.5], [0.3]]


def test_reports_before_the_end_of_warmup_do_not_count() -> None:
    scheduler = plateau(warmup=FOUR, patience=0)
    train(scheduler.optimizer, scheduler, 3)
    assert not any(scheduler.report(metric) for metric in (1.0, 2.0, 3.0))
    assert scheduler.best is None
    train(scheduler.optimizer, scheduler, 1)
    scheduler.report(2.0)
    assert scheduler.best == 2.0
    assert scheduler.report(2.0)


def test_a_reduction_is_a_multiple_of_what_the_schedule_says() -> None:
    scheduler = plateau((0.4, 4.0), factor=0.5, patience=0, warmup=linear(2, start=absolute(0.2)))
    train(scheduler.optimizer, scheduler, 2)
    reported(scheduler, [1.0, 1.0])
    assert scheduler.get_updated_values(0) == [0.1, 0.1]
    assert scheduler.get_updated_values(2) == scheduler.get_updated_values(10**6) == [0.2, 2.0]


def test_a_floor_lifts_no_warmup_that_is_still_below_it() -> None:
    scheduler = plateau((1.0,), warmup=FOUR, min_lr=0.5, patience=0)
    assert held(scheduler.optimizer) == [0.0]
    train(scheduler.optimizer, scheduler, 4)
    reported(scheduler, [1.0, 1.0])
    assert held(scheduler.optimizer) == [0.5]
    assert [scheduler.get_updated_values(k) for k in (0, 1, 3)] == [[0.0], [0.25], [0.5]]


def test_groups_may_warm_up_differently() -> None:
    optimizer = sgd([1.0, 1.0])
    optimizer.param_groups[0]["name"] = "backbone"
    scheduler = PlateauLrScheduler(
        optimizer, patience=0, warmup={"backbone": FOUR, 1: linear(2, start=0.5)}
    )
    assert held(optimizer) == [0.0, 0.5]
    train(optimizer, scheduler, 3)
    scheduler.report(1.0)
    assert scheduler.best is None, "one group is still warming up"


def test_a_step_without_a_metric_is_an_update() -> None:
    scheduler = plateau(warmup=FOUR)
    scheduler.step()
    scheduler.step(None)
    scheduler.step(metrics=1.0)
    assert scheduler.num_updates == scheduler.last_epoch == 2
    scheduler.step(epoch=7)
    assert scheduler.num_updates == 7
    with pytest.raises(ValueError, match="not both"):
        scheduler.step(1.0, epoch=8)


def test_a_group_added_later_is_reduced_as_well() -> None:
    scheduler = plateau((0.1,), patience=0, factor=0.5)
    reported(scheduler, [1.0, 1.0])
    scheduler.optimizer.add_param_group({"params": parameters(1), "lr": 0.8})
    scheduler.step()
    assert held(scheduler.optimizer) == [0.05, 0.4]


def test_a_tensor_rate_is_filled_in_place() -> None:
    rate = torch.tensor(0.5, dtype=torch.float64)
    scheduler = plateau((rate,), patience=0, factor=0.5)
    reported(scheduler, [1.0, 1.0])
    assert scheduler.optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


def test_a_rate_changed_by_hand_is_replaced_with_a_message() -> None:
    scheduler = plateau(patience=0, factor=0.5)
    scheduler.report(1.0)
    scheduler.optimizer.param_groups[0]["lr"] = 0.03
    with pytest.warns(SchedulerWarning, match=r"lr=0\.03.*0\.05 replaces it"):
        scheduler.report(1.0)


# State -------------------------------------------------------------------------------------

LOSSES = [5.0, 4.0, 4.0, 4.0, 4.0, math.nan, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 2.9]
OPTIONS: dict[str, Any] = {"warmup": FOUR, "patience": 1, "cooldown": 1, "factor": 0.5}


def evaluate_after_each(scheduler: Any, losses: list[float]) -> None:
    for loss in losses:
        update(scheduler.optimizer)
        scheduler.step()
        scheduler.report(loss)


def through_json(state: dict[str, Any]) -> Any:
    return json.loads(json.dumps(state, allow_nan=False))


def through_torch(state: dict[str, Any]) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("through", [through_json, through_torch])
@pytest.mark.parametrize("order", ["optimizer before", "optimizer first", "scheduler first"])
@pytest.mark.parametrize("position", range(len(LOSSES) + 1))
def test_a_restored_run_goes_on_exactly(position: int, order: str, through: Any) -> None:
    straight = plateau((0.1, 1.0), **OPTIONS)
    used = Recorder(straight.optimizer)
    evaluate_after_each(straight, LOSSES[:position])
    states = copy.deepcopy(straight.optimizer.state_dict()), through(straight.state_dict())
    evaluate_after_each(straight, LOSSES[position:])
    assert straight.num_reductions == 3

    optimizer = sgd([0.1, 1.0])
    if order == "optimizer before":
        optimizer.load_state_dict(states[0])
    resumed = PlateauLrScheduler(optimizer, **OPTIONS)
    if order == "optimizer first":
        optimizer.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    if order == "scheduler first":
        optimizer.load_state_dict(states[0])
    again = Recorder(optimizer)
    evaluate_after_each(resumed, LOSSES[position:])
    assert again.used == used.used[position:]
    assert resumed.state_dict() == straight.state_dict()


def test_an_infinite_best_survives_json() -> None:
    scheduler = plateau()
    scheduler.report(-math.inf)
    fresh = plateau()
    fresh.load_state_dict(through_json(scheduler.state_dict()))
    assert fresh.best == -math.inf


def test_the_constructor_decides_and_the_memory_is_kept() -> None:
    scheduler = plateau(factor=0.5, patience=0)
    reported(scheduler, [1.0, 1.0, 1.0])
    other = plateau(factor=0.1, patience=3, cooldown=2, mode="min", threshold=0.2, min_lr=0.002)
    with pytest.warns(SchedulerWarning, match=r"lr=0.002 is due .* the checkpoint held 0.025"):
        other.load_state_dict(scheduler.state_dict())
    assert held(other.optimizer) == [0.002]
    assert (other.num_reductions, other.best) == (2, 1.0)
    assert (other.factor, other.patience, other.cooldown) == (0.1, 3, 2)
    assert (other.threshold, other.min_lr) == (0.2, 0.002)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(kind="schedules"), "'schedules'"),
        (lambda s: s["attributes"].pop(1), "'num_bad_reports' is None"),
        (lambda s: set_attributes(s, best="low"), "'best' is 'low'"),
        (lambda s: set_attributes(s, best=["__float__", "nan"]), "'best' is nan"),
        (lambda s: set_attributes(s, num_reductions=-1), "'num_reductions' is -1"),
        (lambda s: set_attributes(s, num_bad_reports=0.5), "'num_bad_reports' is 0.5"),
        (lambda s: set_attributes(s, num_reductions="1"), "'num_reductions' is '1'"),
        (lambda s: set_attributes(s, num_reductions=10**400), "has to be a count"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(change: Any, words: str) -> None:
    scheduler = plateau(patience=0)
    reported(scheduler, [1.0, 1.0])
    state = scheduler.state_dict()
    damaged = copy.deepcopy(state)
    damaged["num_updates"] = 9
    change(damaged)
    with pytest.raises(ValueError, match=words):
        scheduler.load_state_dict(damaged)
    assert scheduler.state_dict() == state


def test_a_users_subclass_resumes_too() -> None:
    class Reversed(PlateauLrScheduler):
        def get_updated_values(self, num_updates: int) -> list[float]:
            return super().get_updated_values(num_updates)[::-1]

    scheduler = Reversed(sgd([0.1, 0.4]), patience=0, factor=0.5)
    reported(scheduler, [1.0, 1.0])
    fresh = Reversed(sgd([0.1, 0.4]), patience=0, factor=0.5)
    fresh.load_state_dict(through_json(scheduler.state_dict()))
    assert held(fresh.optimizer) == [0.2, 0.05]
    assert reported(fresh, [1.0]) == [[0.1, 0.025]]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["copy", "pickle"]
)
def test_copies_remember(copied: Any) -> None:
    scheduler = plateau(patience=0, factor=0.5)
    reported(scheduler, [1.0, 1.0])
    _, twin = copied((scheduler.optimizer, scheduler))
    assert reported(twin, [1.0]) == [[0.025]]
    assert held(scheduler.optimizer) == [0.05]


def test_it_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        scheduler = plateau(patience=0, warmup=constant(0))
        reported(scheduler, [1.0, 1.0])
        references = weakref.ref(scheduler), weakref.ref(scheduler.optimizer)
        del scheduler
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


# Factory and errors ------------------------------------------------------------------------


def test_the_factory_gives_a_relative_warmup_the_runs_lengths() -> None:
    run = SimpleNamespace(
        run_config=SimpleNamespace(max_num_train_steps=100, num_update_steps_per_epoch=20)
    )
    for warmup, horizon in ((linear(epochs(2), start=0.0), 40), (linear(0.1, start=0.0), 10)):
        make = PlateauLrScheduler.create_scheduler_fn(warmup=warmup, patience=3, min_lr=[0.01])
        scheduler = replace_trainer_placeholder_values(run, make)(sgd())
        assert scheduler.schedules["lr"].horizon == horizon
        assert (scheduler.patience, scheduler.min_lr) == (3, [0.01])


def test_the_factory_needs_no_trainer_if_nothing_is_relative() -> None:
    for warmup in (None, FOUR):
        scheduler = PlateauLrScheduler.create_scheduler_fn(mode="max", warmup=warmup)(sgd())
        assert scheduler.mode == "max"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mode": "lowest"}, ["mode='lowest'", "'min' or 'max'"]),
        ({"threshold_mode": "%"}, ["threshold_mode='%'", "'rel' or 'abs'"]),
        ({"factor": 1.0}, ["factor=1.0", "below 1"]),
        ({"factor": -0.1}, ["factor=-0.1", "negative"]),
        ({"factor": math.nan}, ["factor=nan"]),
        ({"patience": -1}, ["patience=-1"]),
        ({"patience": 1.5}, ["patience=1.5", "fractional"]),
        ({"cooldown": -1}, ["cooldown=-1"]),
        ({"threshold": -1e-3}, ["threshold=-0.001"]),
        ({"min_lr": -1.0}, ["min_lr=-1.0"]),
        ({"min_lr": [0.1]}, ["min_lr=[0.1]", "1 numbers", "2 parameter groups"]),
        ({"warmup": from_function(lambda k: 1.0)}, ["never ends", "length"]),
        ({"warmup": linear(0.1, start=0.0)}, ["linear(0.1, start=0.0)", "create_scheduler_fn"]),
        ({"warmup": linear(5, start=-1.0)}, ["lr", "-0.1", "0 or more"]),
    ],
)
def test_nonsense_is_a_value_error_that_says_what_is_allowed(
    arguments: dict[str, Any], words: list[str]
) -> None:
    optimizer = sgd([0.1, 0.3])
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError) as caught:  # noqa: PT011  all words are looked for below
        PlateauLrScheduler(optimizer, **arguments)
    for word in words:
        assert word in str(caught.value)
    assert optimizer.state_dict() == before


@pytest.mark.parametrize("floor", [torch.tensor(1e-5), numpy.array("x"), [torch.tensor(1e-5)] * 2])
def test_a_minimum_that_is_no_number_is_a_type_error(floor: Any) -> None:
    with pytest.raises(TypeError, match=r"min_lr=.* has to be a number"):
        plateau((0.1, 0.3), min_lr=floor)


def test_a_metric_beyond_all_floats_is_refused() -> None:
    with pytest.raises(TypeError, match="has to be a number"):
        plateau((0.1,)).report(10**400)


# Other fields, and groups that come later --------------------------------------------------


@pytest.mark.parametrize(
    ("field", "first", "reduced"),
    [("lr", 0.1, 0.05), ("weight_decay", 0.5, 0.25), ("beta1", 0.9, 0.45), ("eps", 1e-8, 5e-9)],
)
def test_any_field_can_be_reduced(field: str, first: float, reduced: float) -> None:
    optimizer = adamw([0.1], weight_decay=0.5)
    make = PlateauLrScheduler.create_scheduler_fn(
        patience=0, factor=0.5, param_group_field=field, warmup=linear(1, start=0.0)
    )
    scheduler: Any = make(optimizer)

    def value() -> Any:
        group = optimizer.param_groups[0]
        return group["betas"][0] if field == "beta1" else group[field]

    assert value() == 0.0
    train(optimizer, scheduler, 1)
    scheduler.report(1.0)
    assert value() == first
    scheduler.report(1.0)
    assert value() == reduced
    state = scheduler.state_dict()
    resumed: Any = make(fresh := adamw([0.1], weight_decay=0.5))
    resumed.load_state_dict(state)
    assert fresh.param_groups[0]["betas"] == optimizer.param_groups[0]["betas"]
    assert fresh.param_groups[0]["eps"] == optimizer.param_groups[0]["eps"]
    assert resumed.num_reductions == 1


def test_a_later_group_has_the_last_of_several_floors() -> None:
    optimizer = sgd([0.4, 0.8])
    scheduler = PlateauLrScheduler(optimizer, patience=0, factor=0.5, min_lr=[0.3, 0.1])
    scheduler.report(1.0)
    optimizer.add_param_group({"params": parameters(1), "lr": 0.15})
    for _ in range(2):
        scheduler.report(1.0)
    assert held(optimizer) == [0.3, 0.2, 0.1]
    del optimizer.param_groups[1:]
    assert scheduler.report(1.0)
    assert held(optimizer) == [0.3]
    with pytest.raises(ValueError, match=r"min_lr=\[0.3\] has 1 numbers, but there are 2"):
        PlateauLrScheduler(sgd([0.4, 0.8]), min_lr=[0.3])
