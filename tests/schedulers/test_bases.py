"""The two documented subclasses, value by value, and what frameworks ask of a native scheduler."""

from __future__ import annotations

import copy
import io
import json
from collections import Counter, deque
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    SchedulerBase,
    SchedulerWarning,
    StatefulSchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import linear
from tests.recording import Recorder, adamw, held, set_attributes, sgd, train, update, used_in
from tests.schedulers.examples import InverseLrScheduler, MilestoneLrScheduler, StepWdScheduler


def test_milestones_halve_each_groups_rate_at_200_400_and_500() -> None:
    used = used_in(sgd([0.1, 0.4]), MilestoneLrScheduler, 600)
    table = {
        (0, 200): [0.1, 0.4],
        (200, 400): [0.05, 0.2],
        (400, 500): [0.025, 0.1],
        (500, 601): [0.0125, 0.05],
    }
    for (first, last), values in table.items():
        assert used[first:last] == [values] * (last - first)


def test_weight_decay_grows_by_a_tenth_every_thousand_updates() -> None:
    used = used_in(adamw([0.1], weight_decay=0.5), StepWdScheduler, 2001, field="weight_decay")
    for first, last, value in ((0, 1000, 0.5), (1000, 2000, 0.55), (2000, 2002, 0.55 * 1.1)):
        assert used[first:last] == [[pytest.approx(value, rel=1e-15)]] * (last - first)


@pytest.mark.parametrize("position", [199, 200, 201, 399, 400, 500])
@pytest.mark.parametrize("order", ["optimizer first", "scheduler first"])
def test_a_milestone_is_not_passed_twice_after_a_restore(position: int, order: str) -> None:
    straight = used_in(sgd([0.1]), MilestoneLrScheduler, 520)
    optimizer = sgd([0.1])
    scheduler = MilestoneLrScheduler(optimizer)
    train(optimizer, scheduler, position)
    states = [copy.deepcopy(optimizer.state_dict()), json.loads(json.dumps(scheduler.state_dict()))]
    fresh = sgd([0.1])
    resumed = MilestoneLrScheduler(fresh)
    pairs = list(zip((fresh, resumed), states, strict=True))
    for target, state in pairs if order == "optimizer first" else reversed(pairs):
        target.load_state_dict(state)
    recorder = Recorder(fresh)
    train(fresh, resumed, 520 - position)
    assert [*recorder.used, held(fresh)] == straight[position:]


def test_attributes_of_a_subclass_come_back_with_their_types() -> None:
    class Remembering(StatefulSchedulerBase):
        def __init__(self, optimizer: Any) -> None:
            super().__init__(optimizer)
            self.things: dict[Any, Any] = {}
            self.function = abs

        def get_updated_values(self, num_updates: int) -> None:
            return None

    scheduler = Remembering(sgd())
    scheduler.things = {
        "tuple": (1, (2.5, None)),
        "set": {3},
        7: [True, {"x": "y"}],
        "infinite": float("inf"),
        "tags": ["__tuple__", ["__dict__"]],
    }
    fresh = Remembering(sgd())
    fresh.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert fresh.things == scheduler.things
    assert type(fresh.things["tuple"]) is tuple
    assert fresh.function is abs
    assert "function" not in dict(scheduler.state_dict()["attributes"])


class Holding(InverseLrScheduler):
    """Has all kinds of attributes that a subclass may set."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer)
        self.numbers: list[Any] = []

    @cached_property
    def table(self) -> list[int]:
        return [1, 2, 3]


def test_numbers_of_numpy_come_back_as_pythons_and_what_is_cached_is_computed_anew() -> None:
    scheduler = Holding(sgd())
    assert scheduler.table == [1, 2, 3]
    scheduler.numbers = [np.float32(0.5), np.float64(0.1), np.int64(3), np.bool_(True)]
    state = scheduler.state_dict()
    assert "table" not in dict(state["attributes"])
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    for saved in (json.loads(json.dumps(state)), torch.load(file, weights_only=True)):
        fresh = Holding(sgd())
        # As a state had it that was saved before.
        set_attributes(saved, table=[9])
        fresh.load_state_dict(saved)
        assert fresh.numbers == [0.5, 0.1, 3, True]
        assert [type(number) for number in fresh.numbers] == [float, float, int, bool]
        assert fresh.table == [1, 2, 3]


@pytest.mark.parametrize(
    "content",
    [[torch.ones(1)], deque([1.0], maxlen=3), Counter("a")],
    ids=["list", "deque", "Counter"],
)
def test_a_container_that_cannot_be_saved_is_not_lost_without_a_word(content: Any) -> None:
    scheduler = Holding(sgd())
    scheduler.numbers = content
    words = f"numbers is a {type(content).__name__} that is not saved: "
    with pytest.warns(SchedulerWarning, match=words):
        state = scheduler.state_dict()
    assert "numbers" not in dict(state["attributes"])
    Holding(sgd()).load_state_dict(state)


def test_a_subclass_with_a_state_of_its_own_keeps_it() -> None:
    class Own(InverseLrScheduler):
        def state_dict(self) -> dict[str, Any]:
            return {"mine": self.num_updates}

        def load_state_dict(self, state_dict: Any) -> None:
            self._num_updates = state_dict["mine"]

    optimizer = sgd()
    scheduler = Own(optimizer)
    train(optimizer, scheduler, 4)
    fresh = Own(sgd())
    fresh.load_state_dict(scheduler.state_dict())
    assert fresh.num_updates == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("num_updates"), "has the entries 'attributes', .* but has to have"),
        (lambda s: (s.pop("plan"), s.pop("values")), "'num_updates', but has to have"),
        (lambda s: s.update(last_epoch=3), "has the entries .*'last_epoch', .* but has to have"),
        (lambda s: s.update(format=99), "'format' is 99"),
        (lambda s: s.update(kind="StepLR"), "'StepLR'"),
        (lambda s: s.update(num_updates=-1), "'num_updates' is -1"),
        (lambda s: s.update(num_updates=1.5), "'num_updates' is 1.5"),
        (lambda s: s.update(num_updates=1.0), "'num_updates' is 1.0"),
        (lambda s: s.update(num_updates="5"), "'num_updates' is '5'"),
        (lambda s: s.update(num_updates=10**400), "has to be a count"),
        (lambda s: s.update(values={"lr": [10**400]}), "finite"),
        (lambda s: s.pop("base_values"), "not a state of MilestoneLrScheduler"),
        (lambda s: s.update(base_values=[0.1]), "'base_values' is "),
        (lambda s: s.update(base_values={"lr": [float("nan")]}), "'base_values' is .* finite"),
        (lambda s: s.update(values=[0.1]), "'values' is "),
        (lambda s: s.update(values={"lr": [0.1, 0.2]}), "2 values"),
        (lambda s: s.update(values={"lr": [float("nan")]}), "finite"),
        (lambda s: s.update(values={"nope": [0.1]}), "has to be those of 'lr'"),
        (lambda s: s.update(values=[["lr", [0.1]], ["lr", [0.1]]]), "none twice"),
        (lambda s: s.update(attributes=[["gamma"]]), "'attributes' is "),
        (lambda s: s.update(attributes=[[3, 0.5]]), "'attributes' is "),
        (lambda s: set_attributes(s, optimizer=None), "attribute optimizer"),
        (lambda s: set_attributes(s, step="x"), "attribute step"),
        (lambda s: set_attributes(s, __class__="x"), "attribute __class__"),
    ],
)
def test_a_bad_state_is_refused_by_name_and_changes_nothing(change: Any, words: str) -> None:
    optimizer = sgd([0.1])
    scheduler = MilestoneLrScheduler(optimizer)
    train(optimizer, scheduler, 2)
    state = copy.deepcopy(scheduler.state_dict())
    change(state)
    before = copy.deepcopy((optimizer.state_dict(), scheduler.state_dict()))
    with pytest.raises(ValueError, match=words):
        scheduler.load_state_dict(state)
    assert (optimizer.state_dict(), scheduler.state_dict()) == before


def test_it_is_a_native_scheduler_to_everybody() -> None:
    optimizer = sgd([0.1, 0.4])
    scheduler = MilestoneLrScheduler(optimizer, num_steps_per_epoch=1)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    train(optimizer, scheduler, 2)
    assert scheduler.get_last_lr() == [0.05, 0.2] == scheduler._last_lr
    assert scheduler.base_lrs == [0.1, 0.4] == scheduler.base_lr_values
    assert scheduler.last_epoch == 2


def test_the_last_learning_rates_are_copies_of_tensors() -> None:
    optimizer = sgd([torch.tensor(0.5)])
    scheduler = InverseLrScheduler(optimizer)
    (last,) = scheduler.get_last_lr()
    assert isinstance(last, torch.Tensor)
    last.fill_(9.0)
    assert held(optimizer) == [0.5]


def test_a_constructor_that_forgets_the_base_class_is_told() -> None:
    class Forgetful(StatefulSchedulerBase):
        def __init__(self, optimizer: Any) -> None:
            self.n = 3

        def get_updated_values(self, num_updates: int) -> None:
            return None

    with pytest.raises(TypeError, match=r"Forgetful\.__init__ has to call"):
        Forgetful(sgd())


@pytest.mark.parametrize("kind", [CosineLrScheduler, InverseLrScheduler])
def test_a_constructor_may_load_a_state_or_step(kind: Any) -> None:
    class Resumed(kind):  # type: ignore[misc]
        def __init__(self, optimizer: Any, state: Any = None, steps: int = 0) -> None:
            super().__init__(optimizer, *((1, 10) if kind is CosineLrScheduler else ()))
            if state is not None:
                self.load_state_dict(state)
            for _ in range(steps):
                self.step()

    straight = Resumed(first := sgd([0.8]))
    train(first, straight, 5)
    made = [
        Resumed(second := sgd([0.8]), straight.state_dict()),
        Resumed(third := sgd([0.8]), steps=5),
    ]
    for scheduler, optimizer in zip(made, (second, third), strict=True):
        assert scheduler.num_updates == 5
        assert held(optimizer) == held(first)
        scheduler.step()
    straight.step()
    assert held(second) == held(third) == held(first)


def test_without_get_updated_values_there_is_no_scheduler() -> None:
    class Empty(SchedulerBase):
        pass

    with pytest.raises(TypeError, match="get_updated_values"):
        Empty(sgd())


@pytest.mark.parametrize("optimizer", [None, "adam", torch.nn.Linear(1, 1)])
def test_something_that_is_no_optimizer_is_refused(optimizer: Any) -> None:
    with pytest.raises(TypeError, match="param_groups"):
        InverseLrScheduler(optimizer)


@pytest.mark.parametrize("held_value", [None, "fast", [], torch.tensor([1.0, 2.0])])
def test_a_field_without_numbers_cannot_be_scheduled(held_value: Any) -> None:
    optimizer = sgd()
    optimizer.param_groups[0]["mode"] = held_value
    with pytest.raises(TypeError, match="'mode' of parameter group 0"):
        StepWdLike(optimizer)


class StepWdLike(StatefulSchedulerBase):
    def __init__(self, optimizer: Any) -> None:
        super().__init__(optimizer, param_group_field="mode")

    def get_updated_values(self, num_updates: int) -> float:
        return 1.0


def test_an_integer_tensor_would_cut_off_values_and_is_refused() -> None:
    optimizer = sgd()
    optimizer.param_groups[0]["mode"] = torch.tensor(3)
    with pytest.raises(TypeError, match=r"holds tensor\(3\): only numbers, float tensors"):
        StepWdLike(optimizer)


def test_a_boolean_field_is_refused() -> None:
    with pytest.raises(TypeError, match=r"field 'nesterov' .* holds False: only numbers"):
        ParamScheduler(sgd([0.1], momentum=0.9), nesterov=linear(4))


def test_a_mapping_schedules_several_fields_at_once() -> None:
    class Both(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> Any:
            return {"lr": 0.1 * (num_updates + 1), "weight_decay": [0.5, 0.6], "eps": None}

    optimizer = adamw([0.1, 0.1])
    scheduler = Both(optimizer)
    train(optimizer, scheduler, 1)
    assert held(optimizer) == [0.2, 0.2]
    assert held(optimizer, "weight_decay") == [0.5, 0.6]


def test_a_stateless_scheduler_says_what_it_found_at_the_start() -> None:
    optimizer = sgd([0.4])
    StatelessParamScheduler(optimizer, lr=linear(4, end=0.0)).step_update(2)
    second = StatelessParamScheduler(optimizer, lr=linear(4, end=0.0))
    with pytest.warns(SchedulerWarning, match=r"held lr=0.2 .*initial_lr=0.4"):
        second.step_update(0)


def test_a_step_that_fails_can_be_made_again() -> None:
    class Once(InverseLrScheduler):
        fails = True

        def get_updated_values(self, num_updates: int) -> Any:
            if num_updates == 2 and self.fails:
                self.fails = False
                raise OSError("lost the disk")
            return super().get_updated_values(num_updates)

    optimizer = sgd([0.1])
    scheduler = Once(optimizer)
    update(optimizer)
    scheduler.step()
    update(optimizer)
    with pytest.raises(OSError, match="lost the disk"):
        scheduler.step()
    assert scheduler.num_updates == 1
    scheduler.step()
    assert held(optimizer) == [0.1 / 1.2]


@pytest.mark.parametrize(
    "wrap", [lambda f: torch.compile(f, backend="eager"), lambda f: lambda *a, **k: f(*a, **k)]
)
def test_the_optimizers_step_may_be_wrapped(wrap: Any) -> None:
    optimizer = sgd([0.1])
    optimizer.step = wrap(optimizer.step)
    InverseLrScheduler(optimizer).step()
    assert held(optimizer) == [0.1 / 1.1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, r"'values' is {}, but has to be those of 'lr'"),
        ({"weight_decay": [9.0]}, r"'values' is .*, but has to be those of 'lr'"),
        ({"lr": [0.05, 0.05]}, r"2 values came for field 'lr', but there are 1 parameter groups"),
        ({"lr": ["0.05"]}, r"'values' is {'lr': "),
    ],
)
def test_a_state_with_other_fields_is_refused_by_name(values: Any, words: str) -> None:
    optimizer = adamw([0.1])
    scheduler = InverseLrScheduler(optimizer)
    before = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    with pytest.raises(ValueError, match=words):
        scheduler.load_state_dict({**before[1], "num_updates": 3, "values": values})
    assert (optimizer.state_dict(), scheduler.state_dict()) == before


def test_a_built_in_schedulers_state_without_values_is_refused() -> None:
    scheduler = ParamScheduler(sgd([0.1]), lr=linear(5))
    with pytest.raises(ValueError, match=r"'values' is {}, but has to be those of 'lr'"):
        scheduler.load_state_dict({**scheduler.state_dict(), "values": {}})
    for values in ([float("nan"), 1.0], [float("inf")], [True], [[0.1, 0.2]], [10**400]):
        with pytest.raises(ValueError, match=r"'values' is {'lr': "):
            scheduler.load_state_dict({**scheduler.state_dict(), "values": {"lr": values}})
    assert held(scheduler.optimizer) == [0.1]


def test_a_field_that_is_scheduled_only_later_is_restored_with_its_optimizer() -> None:
    class Later(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> Any:
            decay = {"weight_decay": 0.5 / num_updates} if num_updates > 1 else {}
            return {"lr": 1.0, **decay}

    optimizer = adamw([0.1])
    scheduler = Later(optimizer)
    train(optimizer, scheduler, 2)
    saved = copy.deepcopy(optimizer.state_dict()), scheduler.state_dict()
    fresh = adamw([0.1])
    resumed = Later(fresh)
    fresh.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    assert held(fresh, "weight_decay") == [0.25]


@pytest.mark.parametrize("make", [InverseLrScheduler, lambda o: ParamScheduler(o, lr=linear(90))])
def test_step_update_moves_the_count_too(make: Any) -> None:
    optimizer = sgd([0.4])
    scheduler = make(optimizer)
    train(optimizer, scheduler, 50)
    scheduler.step_update(10)
    assert (scheduler.num_updates, scheduler.last_epoch) == (10, 10)
    at_10 = held(optimizer)
    assert scheduler.state_dict()["num_updates"] == 10
    scheduler.step()
    assert scheduler.num_updates == 11
    straight = sgd([0.4])
    twin = make(straight)
    train(straight, twin, 10)
    assert held(straight) == at_10
    train(straight, twin, 1)
    assert held(straight) == held(optimizer)


# What to write instead ---------------------------------------------------------------------


def test_a_stateless_scheduler_has_no_step_and_says_what_to_call() -> None:
    scheduler: Any = StatelessParamScheduler(sgd(), lr=linear(3))
    assert not hasattr(scheduler, "step")
    with pytest.raises(AttributeError, match=r"StatelessParamScheduler.*step_update\(num_updates"):
        scheduler.step()


@pytest.mark.parametrize("kind", [ParamScheduler, StatelessParamScheduler])
def test_arguments_in_the_wrong_order_are_answered_with_the_right_one(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"Write {kind.__name__}\(optimizer, field=schedule\)\."):
        kind(linear(10), sgd())


def test_schedulers_with_wrong_arguments_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"'optimizer'.*Write CosineLrScheduler\(optimizer, total_"):
        CosineLrScheduler()
    with pytest.raises(TypeError, match="unexpected keyword argument 'warmup'"):
        CosineLrScheduler(sgd(), 5, 5, warmup=1)
    with pytest.raises(TypeError, match="abstract"):
        StatefulSchedulerBase()


def test_an_error_inside_a_constructor_is_left_as_it_is() -> None:
    class Broken(InverseLrScheduler):
        def __init__(self, optimizer: Any) -> None:
            super().__init__(optimizer)
            raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        Broken(sgd())


def test_something_large_that_is_not_an_optimizer_is_named_by_its_type() -> None:
    with pytest.raises(TypeError) as caught:
        ParamScheduler(torch.nn.Linear(2, 2), lr=linear(3))
    assert str(caught.value).startswith("optimizer is a Linear, which has no list of param_groups.")
