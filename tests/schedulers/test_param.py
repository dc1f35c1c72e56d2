"""ParamScheduler and StatelessParamScheduler: any schedule on any fields, per group."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_accelerated.placeholders import replace_trainer_placeholder_values
from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamGroupFieldError,
    ParamScheduler,
    SchedulerWarning,
    StatefulSchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import (
    Schedule,
    absolute,
    constant,
    cosine,
    epochs,
    exponential,
    from_function,
    linear,
    milestones,
    phase,
)
from pytorch_accelerated.schedules.phase import Shape
from tests.recording import Recorder, adamw, held, parameters, sgd, train, update, used_in

DOWN = linear(4, end=0.0)
UP = linear(4, start=0.0)


either = pytest.mark.parametrize("kind", [ParamScheduler, StatelessParamScheduler])


def named(*names: str | None, lr: float = 0.4) -> torch.optim.AdamW:
    optimizer = adamw([lr] * len(names), weight_decay=0.1)
    for group, name in zip(optimizer.param_groups, names, strict=True):
        if name is not None:
            group["name"] = name
    return optimizer


# Fields ------------------------------------------------------------------------------------


def test_several_fields_run_by_their_own_schedules() -> None:
    optimizer = sgd([0.4, 4.0], momentum=0.8, weight_decay=0.1)
    scheduler = ParamScheduler(
        optimizer, lr=UP, weight_decay=DOWN, momentum=linear(2, start=absolute(0.5))
    )
    recorders = {field: Recorder(optimizer, field) for field in scheduler.schedules}
    train(optimizer, scheduler, 5)
    approx = [pytest.approx(value, rel=1e-15) for value in (0.1, 0.3)]
    assert recorders["lr"].used == [
        [0.0, 0.0],
        [approx[0], 1.0],
        [0.2, 2.0],
        [approx[1], 3.0],
        [0.4, 4.0],
    ]
    assert recorders["weight_decay"].used == [
        [0.1, 0.1],
        [pytest.approx(0.075)] * 2,
        [0.05, 0.05],
        [0.025, 0.025],
        [0.0, 0.0],
    ]
    assert recorders["momentum"].used == [[0.5, 0.5], [0.65, 0.65]] + [[0.8, 0.8]] * 3


def test_only_the_scheduled_fields_change() -> None:
    optimizer = adamw([0.1], betas=(0.8, 0.99), eps=1e-7, weight_decay=0.2)
    train(optimizer, ParamScheduler(optimizer, weight_decay=DOWN), 3)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["eps"]) == (0.1, (0.8, 0.99), 1e-7)
    assert [key for key in group if key.startswith("initial_")] == ["initial_weight_decay"]


def test_one_entry_of_betas_is_scheduled_and_the_other_kept() -> None:
    used = used_in(
        adamw([0.1], betas=(0.8, 0.99)), lambda o: ParamScheduler(o, beta1=DOWN), 4, field="betas"
    )
    assert used == [
        [(pytest.approx(value), 0.99)] if value else [(0.0, 0.99)]
        for value in (0.8, 0.6, 0.4, 0.2, 0.0)
    ]


def test_both_entries_of_betas_run_side_by_side() -> None:
    optimizer = adamw([0.1, 0.1], betas=(0.8, 0.9))
    scheduler = ParamScheduler(
        optimizer, beta2=constant(1, value=absolute(0.999)), beta1=linear(2, end=absolute(0.5))
    )
    assert held(optimizer, "betas") == [(0.8, 0.999)] * 2
    train(optimizer, scheduler, 2)
    assert held(optimizer, "betas") == [(0.5, 0.999)] * 2
    assert scheduler.get_updated_values(0) == {"beta2": [0.999] * 2, "beta1": [0.8] * 2}
    assert optimizer.param_groups[0]["initial_betas"] == (0.8, 0.9)


def test_any_number_that_the_user_put_into_a_group_can_be_scheduled() -> None:
    optimizer = sgd([0.1])
    optimizer.param_groups[0]["clip"] = 5
    used = used_in(optimizer, lambda o: ParamScheduler(o, clip=linear(2, end=-1.0)), 3, "clip")
    assert used == [[5.0], [0.0], [-5.0], [-5.0]]


def test_values_are_asked_for_as_a_list_or_by_field() -> None:
    assert ParamScheduler(sgd([0.4, 4.0]), lr=DOWN).get_updated_values(2) == [0.2, 2.0]
    both = ParamScheduler(adamw([0.4], weight_decay=0.2), lr=DOWN, weight_decay=UP)
    assert both.get_updated_values(2) == {"lr": [0.2], "weight_decay": [0.1]}
    assert both.schedules == {"lr": DOWN, "weight_decay": UP}


@settings(max_examples=50, deadline=None)
@given(
    base=st.floats(1e-6, 10.0),
    decay=st.floats(0.0, 1.0),
    order=st.lists(st.integers(0, 60), min_size=1, max_size=6),
)
def test_stateful_and_stateless_agree_with_the_schedule_itself(
    base: float, decay: float, order: list[int]
) -> None:
    lr, weight_decay = UP >> cosine(30, end=absolute(1e-7)), exponential(40, end=0.01)
    optimizers = [adamw([base], weight_decay=decay) for _ in range(2)]
    ParamScheduler(optimizers[0], lr=lr, weight_decay=weight_decay)
    stateless = StatelessParamScheduler(optimizers[1], lr=lr, weight_decay=weight_decay)
    for k in order:
        used_in_training = adamw([base], weight_decay=decay)
        stateful = ParamScheduler(used_in_training, lr=lr, weight_decay=weight_decay)
        for _ in range(k):
            stateful.step()
        stateless.step_update(k)
        for optimizer in (used_in_training, optimizers[1]):
            assert held(optimizer) == [lr(k, base)]
            assert held(optimizer, "weight_decay") == [weight_decay(k, decay)]


def test_the_unit_of_a_stateless_one_may_be_anything_that_grows() -> None:
    optimizer = sgd([0.4])
    scheduler = StatelessParamScheduler(optimizer, lr=linear(10**12, end=0.0))
    assert held(optimizer) == [0.4]
    rates = []
    for tokens in (0, 2**38, 5 * 10**11, 10**12, 10**15):
        scheduler.step_update(tokens)
        rates += held(optimizer)
    assert rates == [0.4, pytest.approx(0.4 * (1 - 2**38 / 1e12)), 0.2, 0.0, 0.0]


@pytest.mark.usefixtures("warn_always")
def test_a_rate_that_requires_a_gradient_is_filled_in_place() -> None:
    rate = torch.tensor(0.5, requires_grad=True)
    optimizer = sgd([rate], foreach=False)
    scheduler = ParamScheduler(optimizer, lr=DOWN)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == 0.375
    assert scheduler.base_lr_values == [0.5]
    scheduler.load_state_dict(scheduler.state_dict())


@pytest.mark.usefixtures("warn_always")
def test_a_users_value_may_require_a_gradient() -> None:
    class Learned(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> Any:
            return [torch.tensor(0.5, requires_grad=True)]

    optimizer = sgd([0.1])
    Learned(optimizer)
    assert held(optimizer) == [0.5]
    assert type(optimizer.param_groups[0]["lr"]) is float


# Groups ------------------------------------------------------------------------------------


@either
@pytest.mark.parametrize(
    "plan",
    [
        {"backbone": DOWN, "head": UP},
        {0: DOWN, 1: UP},
        {"backbone": DOWN, 1: UP},
        [DOWN, UP],
        (DOWN, UP),
    ],
    ids=["names", "indices", "both", "list", "tuple"],
)
def test_each_group_has_its_own_schedule(kind: Any, plan: Any) -> None:
    optimizer = named("backbone", "head")
    scheduler = kind(optimizer, lr=plan)
    for k, values in ((0, [0.4, 0.0]), (2, [0.2, 0.2]), (4, [0.0, 0.4]), (9, [0.0, 0.4])):
        scheduler.step_update(k)
        assert held(optimizer) == values


def test_a_name_wins_over_an_index() -> None:
    optimizer = named("a", "b")
    assert ParamScheduler(optimizer, lr={"b": UP, 1: DOWN, 0: DOWN}).get_updated_values(4) == [
        0.0,
        0.4,
    ]


def test_two_groups_of_one_name_share_its_schedule() -> None:
    optimizer = named("a", "b", "a")
    assert ParamScheduler(optimizer, lr={"a": UP, "b": DOWN}).get_updated_values(4) == [
        0.4,
        0.0,
        0.4,
    ]


def test_a_plan_given_as_a_dictionary_cannot_be_changed_from_outside() -> None:
    plan = {0: DOWN}
    scheduler = ParamScheduler(sgd([0.4]), lr=plan)
    plan[0] = UP
    assert scheduler.get_updated_values(4) == [0.0]


def test_a_group_added_later_is_found_by_name() -> None:
    optimizer = named("backbone", None)
    plan = {"backbone": DOWN, 1: DOWN, 2: UP}
    with pytest.raises(ValueError, match="no parameter group is called 2"):
        ParamScheduler(optimizer, lr=plan)
    optimizer = named("backbone", "head")
    scheduler = ParamScheduler(optimizer, lr={"backbone": DOWN, "head": UP})
    optimizer.add_param_group({"params": parameters(1), "lr": 8.0, "name": "head"})
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [pytest.approx(0.3), 0.1, 2.0]


@pytest.mark.parametrize("rate", [float, torch.tensor], ids=["float", "tensor"])
@pytest.mark.parametrize(
    "plan", [DOWN, from_function(lambda k: 1 - k / 4)], ids=["schedule", "function"]
)
def test_a_group_that_is_taken_out_is_no_stranger(plan: Any, rate: Any) -> None:
    optimizer = sgd([rate(0.25), rate(0.5)])
    scheduler = ParamScheduler(optimizer, lr=plan)
    train(optimizer, scheduler, 1)
    del optimizer.param_groups[0]
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [0.25]
    optimizer.param_groups[0]["lr"] = rate(0.75)
    update(optimizer)
    with pytest.warns(SchedulerWarning, match=r"group 0 held lr=0.75"):
        scheduler.step()


def test_a_group_added_later_that_a_list_has_none_for_is_an_error_and_nothing_changes() -> None:
    optimizer = named("backbone")
    scheduler = ParamScheduler(optimizer, lr=[DOWN])
    optimizer.add_param_group({"params": parameters(1), "lr": 8.0, "name": "neck"})
    update(optimizer)
    with pytest.raises(ValueError, match=r"1 schedules .* 2 groups.* 'backbone', 'neck'"):
        scheduler.step()
    assert held(optimizer) == [0.4, 8.0]
    assert scheduler.num_updates == 0


def test_per_group_schedules_resume_by_name_in_another_order() -> None:
    plan = {"backbone": DOWN, "head": UP}
    optimizer = named("backbone", "head")
    scheduler = ParamScheduler(optimizer, lr=plan)
    train(optimizer, scheduler, 1)
    state = scheduler.state_dict()
    fresh = named("head", "backbone")
    resumed = ParamScheduler(fresh, lr=plan)
    with pytest.warns(SchedulerWarning, match="due by the schedule given now"):
        resumed.load_state_dict(state)
    assert held(fresh) == [0.1, pytest.approx(0.3)]


# State -------------------------------------------------------------------------------------


def test_any_schedule_goes_on_from_anothers_position() -> None:
    optimizer = sgd([0.4])
    recipe = CosineLrScheduler(optimizer, 2, 4, lr_min=0.0)
    train(optimizer, recipe, 4)
    fresh = ParamScheduler(other := sgd([0.4]), lr=linear(8, end=0.0))
    with pytest.warns(SchedulerWarning, match=r"was .*cosine\(8.* is linear\(8, end=0\.0\)"):
        fresh.load_state_dict(recipe.state_dict())
    assert (held(other), fresh.num_updates) == ([0.2], 4)


def test_a_field_that_the_checkpoint_does_not_have_starts_at_the_position() -> None:
    optimizer = adamw([0.4], weight_decay=0.2)
    scheduler = ParamScheduler(optimizer, lr=DOWN)
    train(optimizer, scheduler, 2)
    more = ParamScheduler(other := adamw([0.4], weight_decay=0.2), lr=DOWN, weight_decay=UP)
    more.load_state_dict(scheduler.state_dict())
    assert (held(other), held(other, "weight_decay")) == ([0.2], [0.1])


def test_a_subclass_with_values_of_its_own_keeps_what_was_in_force() -> None:
    class Damped(ParamScheduler):
        damping = 1.0

        def get_updated_values(self, num_updates: int) -> Any:
            self.damping = self.damping / 2 if num_updates else 1.0
            return [value * self.damping for value in super().get_updated_values(num_updates)]

    optimizer = sgd([0.4])
    scheduler = Damped(optimizer, lr=constant(1))
    train(optimizer, scheduler, 2)
    fresh = Damped(other := sgd([0.4]), lr=constant(1))
    fresh.load_state_dict(scheduler.state_dict())
    assert held(other) == held(optimizer) == [0.1]
    train(other, fresh, 1)
    assert held(other) == [0.05]
    with pytest.raises(ValueError, match=r"Damped', but this scheduler is a ParamScheduler"):
        ParamScheduler(sgd([0.4]), lr=DOWN).load_state_dict(scheduler.state_dict())


# All or nothing ----------------------------------------------------------------------------


def test_if_one_field_fails_no_field_changes() -> None:
    optimizer = adamw([0.4, 0.4], weight_decay=0.2)
    scheduler = ParamScheduler(
        optimizer,
        lr=DOWN,
        beta1=DOWN,
        weight_decay=from_function(lambda k: 1.0 if k < 2 else -1.0),
    )
    train(optimizer, scheduler, 1)
    before = copy.deepcopy(optimizer.param_groups), scheduler.state_dict()
    with pytest.raises(ValueError, match=r"at update 2: weight_decay: -0.2 .* is out of range"):
        scheduler.step()
    after = copy.deepcopy(optimizer.param_groups), scheduler.state_dict()
    assert str(after) == str(before)


@either
def test_a_field_that_is_missing_leaves_no_trace(kind: Any) -> None:
    optimizer = sgd([0.4])
    before = copy.deepcopy(optimizer.state_dict())
    for schedules in ({"lr": DOWN, "temperature": DOWN}, {"lr": DOWN, "beta1": DOWN}):
        with pytest.raises(ParamGroupFieldError, match=r"has no field '(temperature|betas)'"):
            kind(optimizer, **schedules)
        assert optimizer.state_dict() == before


# What is refused ---------------------------------------------------------------------------


@either
@pytest.mark.parametrize(
    ("schedules", "error", "words"),
    [
        ({}, ValueError, ["no schedule", "lr=cosine"]),
        ({"lr": 0.1}, TypeError, ["lr=0.1 is a float, but has to be a schedule", "constant("]),
        ({"lr": None}, TypeError, ["lr=None"]),
        ({"lr": sgd([0.1])}, TypeError, ["lr is a SGD, but has to be a schedule"]),
        ({"lr": "cosine"}, ValueError, ["lr: 'cosine' at column 1: write it with brackets"]),
        ({"lr": math.cos}, TypeError, ["from_function"]),
        ({"lr": [DOWN, 0.1]}, TypeError, ["lr=0.1"]),
        (
            {"lr": []},
            ValueError,
            ["lr=[] holds no schedule. Leave lr out"],
        ),
        ({"lr": {0: DOWN, "head": 0.1}}, TypeError, ["lr=0.1"]),
        ({"lr": cosine()}, ValueError, ["lr=cosine()", "horizon=", "create_scheduler_fn"]),
        ({"lr": [DOWN, linear(0.5, end=0.0)]}, ValueError, ["linear(0.5, end=0.0)"]),
        ({"lr": [DOWN, DOWN, DOWN]}, ValueError, ["3 schedules", "2 groups"]),
        ({"lr": [DOWN]}, ValueError, ["1 schedules", "'backbone', 'head'"]),
        ({"lr": {}}, ValueError, ["lr={} holds no schedule"]),
        ({"lr": {"head*": DOWN, "bakbone": UP}}, ValueError, ["'bakbone'", "Is 'backbone' meant"]),
        ({"lr": {"*e*": DOWN, "h*": UP}}, ValueError, ["'*e*' and 'h*' both match 'head'"]),
        ({"lr": {"backbone": DOWN, "head": UP, "neck": UP}}, ValueError, ["'neck'", "'name'"]),
        ({"lr": {0: DOWN, 1: DOWN, 2: DOWN}}, ValueError, ["called 2"]),
        ({"betas": DOWN}, TypeError, ["betas", "beta1="]),
        ({"beta3": DOWN}, KeyError, ["beta3", "no entry 2"]),
        ({"foreach": DOWN}, TypeError, ["'foreach'", "numbers"]),
    ],
)
def test_nonsense_is_an_error_that_says_what_to_write(
    kind: Any, schedules: Any, error: type[Exception], words: list[str]
) -> None:
    optimizer = named("backbone", "head")
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(error) as caught:
        kind(optimizer, **schedules)
    for word in words:
        assert word in str(caught.value)
    assert optimizer.state_dict() == before


@either
@pytest.mark.parametrize(
    ("schedules", "words"),
    [
        ({"lr": linear(4, end=-0.1)}, ["lr", "group 0", "0 or more"]),
        ({"lr": UP >> constant(10**9) >> linear(5, end=absolute(-1e-9))}, ["lr", "-1e-09"]),
        ({"lr": -1 * DOWN}, ["lr", "-0.4"]),
        ({"lr": DOWN + constant(1, value=absolute(-0.1))}, ["lr", "-0.1"]),
        ({"lr": milestones({10: -0.5})}, ["lr", "-0.2"]),
        ({"lr": linear(4, end=1e308) * constant(4, value=1e10)}, ["lr", "inf", "not finite"]),
        ({"weight_decay": linear(4, end=-1.0)}, ["weight_decay", "-0.1"]),
        ({"beta1": constant(4, value=absolute(1.0))}, ["beta1", "1.0", "below 1"]),
        ({"beta1": linear(4, end=2.0)}, ["beta1", "1.8", "absolute("]),
        ({"beta2": linear(4, end=-0.5)}, ["beta2", "at least 0"]),
    ],
)
def test_legal_ranges_are_checked_when_it_is_built(
    kind: Any, schedules: Any, words: list[str]
) -> None:
    optimizer = named("backbone", "head")
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError) as caught:  # noqa: PT011  all words are looked for below
        kind(optimizer, **schedules)
    for word in words:
        assert word in str(caught.value)
    assert optimizer.state_dict() == before


def test_momentum_lies_below_one() -> None:
    optimizer = sgd([0.1], momentum=0.9)
    with pytest.raises(ValueError, match=r"momentum: 1.35 .* below 1"):
        ParamScheduler(optimizer, momentum=linear(4, end=1.5))
    ParamScheduler(optimizer, momentum=linear(4, end=absolute(0.999)))


def test_ranges_are_checked_for_each_groups_own_base() -> None:
    optimizer = adamw([0.1, 0.1])
    optimizer.param_groups[0]["betas"] = (0.5, 0.999)
    with pytest.raises(ValueError, match=r"beta1: 1\.\d+ for parameter group 1 "):
        ParamScheduler(optimizer, beta1=linear(4, end=1.2))


@either
def test_a_group_added_later_is_checked_for_its_own_base_before_anything_changes(
    kind: Any,
) -> None:
    optimizer = adamw([0.1], betas=(0.5, 0.999))
    scheduler = kind(optimizer, lr=DOWN, beta1=linear(4, end=1.2))
    for k in (1, 2):
        scheduler.step_update(k)
    # Legal at update 3, and no longer at the end.
    optimizer.add_param_group({"params": parameters(1), "betas": (0.85, 0.999)})
    rates = held(optimizer)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"beta1: 1\.0[12]\d* for parameter group 1 in "):
            scheduler.step_update(3)
        assert held(optimizer) == rates


def test_a_field_of_the_users_own_has_no_range_but_finite() -> None:
    optimizer = sgd([0.1])
    optimizer.param_groups[0]["offset"] = 1.0
    ParamScheduler(optimizer, offset=linear(4, end=-5.0))


def test_checking_the_range_asks_for_no_update_and_so_costs_no_horizon() -> None:
    asked: list[int] = []

    def shape(progress: float) -> float:
        asked.append(1)
        return progress

    plan = phase(10**12, shape=shape, end=0.0)
    asked.clear()
    StatelessParamScheduler(sgd([0.1]), lr=plan)
    assert asked == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, r"at update 3: lr: -0.4 for parameter group 0 .* is out of range"),
        (absolute(-0.1), r"at update 3: lr: -0.1 for parameter group 0"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_a_users_function_is_checked_as_it_is_evaluated(value: Any, words: str) -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=from_function(lambda k: value if k == 3 else 1.0))
    train(optimizer, scheduler, 2)
    with pytest.raises(ValueError, match=words):
        scheduler.step()
    assert (held(optimizer), scheduler.num_updates) == ([0.4], 2)


def overshoot(progress: float) -> float:
    return progress + 4.0 * progress * (1.0 - progress)


def test_a_users_shape_is_checked_between_its_ends() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=phase(10, shape=overshoot, end=0.0))
    train(optimizer, scheduler, 2)
    with pytest.raises(ValueError, match=r"at update 3: lr: -0.0559\d* .* is out of range"):
        scheduler.step()
    assert scheduler.num_updates == 2
    assert held(optimizer) == [pytest.approx(0.4 * 0.16)]
    optimizer = adamw([0.4])
    betas = ParamScheduler(optimizer, beta1=phase(10, shape=overshoot, end=absolute(0.99)))
    with pytest.raises(ValueError, match=r"at update 3: beta1: 1.0\d* .* is out of range"):
        train(optimizer, betas, 3)
    with pytest.raises(ValueError, match=r"lr: -0.4 .* in phase"):  # at its end: at once
        ParamScheduler(sgd([0.4]), lr=phase(10, shape=overshoot, end=-1.0))
    with pytest.raises(ValueError, match=r"lr: -0.4 .* in linear"):
        ParamScheduler(sgd([0.4]), lr=linear(5, end=-1.0) >> from_function(lambda k: 1.0))


class Overshoot(Shape):
    """Below its end on the way there, and for a moment no number."""

    def weights(self, done: float, left: float) -> tuple[float, float]:
        x = math.nan if done == 0.2 else overshoot(done)
        return 1.0 - x, x


class Dipping(Schedule):
    """Another way to leave the ends."""

    horizon = 10

    def coefficients(self, num_updates: int) -> tuple[float, float]:
        return 0.0, math.nan if num_updates == 2 else 1.0 - 0.3 * num_updates


@pytest.mark.parametrize("schedule", [phase(10, shape=Overshoot(), end=0.0), Dipping()])
def test_code_of_a_users_own_is_checked_at_each_step(schedule: Any) -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=schedule)
    train(optimizer, scheduler, 1)
    with pytest.raises(ValueError, match=r"at update 2: lr: nan .* is not finite"):
        scheduler.step()
    with pytest.raises(ValueError, match=r"at update 4: lr: -0\.\d* .* is out of range"):
        scheduler.step(4)
    with pytest.raises(ValueError, match=r"lr: nan .* at update 2 is not finite"):
        scheduler.preview()


@pytest.mark.parametrize(
    ("plan", "lowest"),
    [
        (linear(100, end=0.0) + linear(100, start=-0.5, end=0.5), 0.5),
        (linear(100, start=0.0) + (-0.3) * linear(100, start=0.0), 0.0),
        (linear(10, start=2.0, end=1.0) * (linear(10, start=1.0, end=2.0) + constant(10, -0.5)), 1),
    ],
)
def test_a_sum_counts_by_its_values_not_by_its_parts(plan: Any, lowest: float) -> None:
    optimizer = sgd([1.0])
    scheduler = ParamScheduler(optimizer, lr=plan)
    values = []
    for _ in range(101):
        values.append(optimizer.param_groups[0]["lr"])
        train(optimizer, scheduler, 1)
    assert min(values) == pytest.approx(lowest)


def test_a_sum_is_refused_where_its_value_is_illegal() -> None:
    optimizer = sgd([1.0])
    plan = cosine(10, end=0.0) + linear(10, start=-0.9, end=0.05)  # legal at both ends
    scheduler = ParamScheduler(optimizer, lr=plan)
    train(optimizer, scheduler, 6)
    with pytest.raises(ValueError, match=r"at update 7: lr: -0.0288\d* .* is out of range"):
        scheduler.step()
    assert scheduler.num_updates == 6


def test_a_base_that_is_changed_to_an_illegal_one_is_refused() -> None:
    optimizer = sgd([0.4])
    scheduler = ParamScheduler(optimizer, lr=linear(10, end=0.5))
    train(optimizer, scheduler, 3)
    optimizer.param_groups[0]["initial_lr"] = -1.0
    with pytest.raises(ValueError, match=r"at update 4: lr: -0.8 .* is out of range"):
        scheduler.step()
    assert (held(optimizer), scheduler.num_updates) == ([0.4 * 0.85], 3)
    with pytest.raises(ValueError, match=r"lr: -1.0 .* at update 0 is out of range"):
        scheduler.preview()
    optimizer.param_groups[0]["initial_lr"] = 0.8
    assert scheduler.preview().value("lr", 4) == linear(10, end=0.5)(4, base=0.8)


def test_a_users_function_inside_others_is_checked_as_well() -> None:
    plan = {"a": 0.5 * (linear(2, start=0.5) >> from_function(lambda k: -1.0, 3)), 1: DOWN}
    scheduler = StatelessParamScheduler(named("a", None), lr=plan)
    scheduler.step_update(1)
    with pytest.raises(ValueError, match=r"at update 2: lr: -0.2 for parameter group 0"):
        scheduler.step_update(2)


# The factory -------------------------------------------------------------------------------


def run(**config: Any) -> Any:
    return SimpleNamespace(run_config=SimpleNamespace(num_epochs=5, **config))


def test_the_factory_hands_the_runs_lengths_to_relative_schedules() -> None:
    make = ParamScheduler.create_scheduler_fn(
        lr={"a": linear(0.05, start=0.0) >> cosine(), "b": linear(epochs(2), end=0.0)},
        weight_decay=[constant(), DOWN],
        beta1=DOWN,
    )
    trainer = run(max_num_train_steps=100, num_update_steps_per_epoch=20)
    scheduler = replace_trainer_placeholder_values(trainer, make)(named("a", "b"))
    assert isinstance(scheduler, ParamScheduler)
    assert scheduler.schedules == {
        "lr": {"a": linear(5, start=0.0) >> cosine(95), "b": linear(40, end=0.0)},
        "weight_decay": (constant(100), DOWN),
        "beta1": DOWN,
    }


def test_the_factory_needs_no_run_if_nothing_is_relative() -> None:
    make = ParamScheduler.create_scheduler_fn(lr=DOWN, weight_decay={0: UP})
    unknown = run(max_num_train_steps=None, num_update_steps_per_epoch=None)
    for factory in (make, replace_trainer_placeholder_values(unknown, make)):
        assert factory(named(None)).schedules == {"lr": DOWN, "weight_decay": {0: UP}}


def test_the_factory_makes_the_class_it_was_asked_of() -> None:
    class Mine(ParamScheduler):
        pass

    assert type(Mine.create_scheduler_fn(lr=DOWN)(sgd())) is Mine


def test_nonsense_given_to_the_factory_is_found_when_it_is_called() -> None:
    with pytest.raises(TypeError, match=r"lr=0.1 is a float, but has to be a schedule"):
        ParamScheduler.create_scheduler_fn(lr=0.1)(sgd())


def test_a_scheduler_shows_its_plan_and_how_far_it_is():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0, momentum=0.5)
    scheduler = ParamScheduler(optimizer, lr=linear(4, end=0.0), momentum={0: constant(4)})
    optimizer.step()
    scheduler.step()
    assert repr(scheduler) == (
        "<ParamScheduler after 1 update: lr=linear(4, end=0.0), momentum={0: constant(4)}>"
    )
    assert "after 0 samples: lr=linear(4)>" in repr(
        ParamScheduler(optimizer, lr=linear(4), clock="samples")
    )
