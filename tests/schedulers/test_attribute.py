"""AttributeScheduler: values that live in no optimizer."""

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

import pytest
import torch

from pytorch_accelerated.placeholders import (
    find_placeholders,
    replace_trainer_placeholder_values,
)
from pytorch_accelerated.schedulers import AttributeScheduler, ParamScheduler, SchedulerWarning
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    epochs,
    from_function,
    linear,
    milestones,
)
from tests.recording import held, sgd, update

DOWN = linear(4, end=0.0)


class Weight:
    """A loss weight with a setter that checks, and a note of every value that it was given."""

    def __init__(self, value: float = 1.0, limit: float = 10.0) -> None:
        self.given: list[float] = []
        self._value = value
        self.limit = limit

    @property
    def value(self) -> float:
        return self._value

    @value.setter
    def value(self, value: float) -> None:
        if value > self.limit:
            raise RuntimeError(f"{value} is too much")
        self.given.append(value)
        self._value = value


# Values ------------------------------------------------------------------------------------


def test_a_dropout_runs_with_each_value_in_turn() -> None:
    dropout = torch.nn.Dropout(p=0.4)
    rates = []
    dropout.register_forward_pre_hook(lambda module, _: rates.append(module.p))
    scheduler = AttributeScheduler(dropout, p=constant(1, value=absolute(0.8)) >> DOWN)
    assert dropout.p == 0.8, "value(0) is in force from construction"
    for _ in range(7):
        dropout(torch.ones(1))
        scheduler.step()
    assert rates == pytest.approx([0.8, 0.8, 0.6, 0.4, 0.2, 0.0, 0.0], rel=1e-12, abs=0.0)
    assert rates[5] == dropout.p == 0.0, "past the horizon the last value holds, exactly"
    assert scheduler.num_updates == 7


def test_multiples_are_of_each_targets_own_base() -> None:
    dropouts = [torch.nn.Dropout(p=p) for p in (0.4, 0.2)]
    scheduler = AttributeScheduler(dropouts, p=DOWN)
    scheduler.step()
    assert [d.p for d in dropouts] == [pytest.approx(0.3), pytest.approx(0.15)]
    assert scheduler.base_values == {"p": [0.4, 0.2]}


def test_targets_may_come_from_a_generator_and_have_a_schedule_each() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.4), torch.nn.ReLU(), torch.nn.Dropout(0.2))
    scheduler = AttributeScheduler(
        (module for module in model.modules() if isinstance(module, torch.nn.Dropout)),
        p=[DOWN, constant(0)],
    )
    scheduler.step()
    scheduler.step()
    assert (model[0].p, model[2].p) == (0.2, 0.2)


def test_several_attributes_are_set_through_their_ordinary_setters() -> None:
    weight = Weight(2.0, limit=5.0)
    weight.temperature = 4.0
    scheduler = AttributeScheduler(
        weight, value=DOWN, temperature=linear(2, end=absolute(1.0)) >> constant(1)
    )
    for _ in range(3):
        scheduler.step()
    assert weight.given == [2.0, 1.5, 1.0, 0.5]
    assert weight.temperature == 1.0


def test_a_user_function_is_asked_from_update_zero() -> None:
    weight = Weight()
    asked: list[int] = []
    scheduler = AttributeScheduler(weight, value=from_function(lambda k: asked.append(k) or k + 1))
    scheduler.step()
    assert asked == [0, 1]
    assert weight.given == [1.0, 2.0]


@pytest.mark.usefixtures("warn_always")
@pytest.mark.parametrize("wrap", [torch.nn.Parameter, lambda tensor: tensor])
def test_a_tensor_is_filled_in_place(wrap: Any) -> None:
    module = torch.nn.Module()
    module.decay = wrap(torch.tensor(0.5))
    decay = module.decay
    scheduler = AttributeScheduler(module, decay=DOWN)
    scheduler.step()
    assert module.decay is decay
    assert decay.item() == 0.375
    scheduler.load_state_dict(scheduler.state_dict())


def test_a_tensor_that_a_getter_makes_anew_is_set_not_filled() -> None:
    class Computed:
        log = 0.0

        @property
        def scale(self) -> torch.Tensor:
            return torch.tensor(math.exp(self.log), dtype=torch.float64)

        @scale.setter
        def scale(self, value: float) -> None:
            self.log = math.log(value)

    target = Computed()
    AttributeScheduler(target, scale=constant(1, value=2.0)).step()
    assert target.log == math.log(2.0)


def test_a_preview_is_what_training_gets_and_changes_nothing() -> None:
    weight = Weight(3.0)
    scheduler = AttributeScheduler(weight, value=cosine(7, end=0.1))
    state = scheduler.state_dict()
    preview = [scheduler.get_updated_values(k)["value"] for k in reversed(range(9))][::-1]
    assert scheduler.state_dict() == state
    for _ in range(8):
        scheduler.step()
    assert [[value] for value in weight.given] == preview
    assert preview[7] == preview[8] == [0.1 * 3.0]
    with pytest.raises(ValueError, match="num_updates=-1"):
        scheduler.get_updated_values(-1)


def test_answers_are_copies() -> None:
    scheduler = AttributeScheduler(Weight(), value=DOWN)
    for answer in (scheduler.base_values, scheduler.get_updated_values(1), scheduler.schedules):
        answer.clear()
    scheduler.base_values["value"].clear()
    assert scheduler.base_values == {"value": [1.0]}
    assert scheduler.schedules == {"value": (DOWN,)}


def test_it_takes_its_place_in_a_list_of_schedulers() -> None:
    optimizer, dropout = sgd([0.4]), torch.nn.Dropout(0.4)
    schedulers = [
        ParamScheduler(optimizer, lr=DOWN),
        AttributeScheduler.create_scheduler_fn(dropout, p=DOWN)(optimizer),
    ]
    for _ in range(2):
        update(optimizer)
        for scheduler in schedulers:
            scheduler.step()
    assert held(optimizer) == [0.2] == [dropout.p]
    states = json.loads(json.dumps([scheduler.state_dict() for scheduler in schedulers]))
    for scheduler, state in zip(schedulers, states, strict=True):
        scheduler.load_state_dict(state)
    assert not list(find_placeholders(vars(schedulers[1])))


# All or nothing ----------------------------------------------------------------------------


def test_if_a_setter_raises_all_targets_get_back_what_they_held() -> None:
    weights = [Weight(1.0), Weight(1.0, limit=2.5), Weight(1.0)]
    weights[0].other = other = torch.tensor(1.0)
    for weight in weights[1:]:
        weight.other = 1.0
    scheduler = AttributeScheduler(weights, other=linear(2, end=0.0), value=linear(1, end=3.0))
    before = [(w.value, w.other) for w in weights], scheduler.state_dict()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"3.0 is too much"):
            scheduler.step()
        assert ([(w.value, w.other) for w in weights], scheduler.state_dict()) == before
    assert weights[0].other is other
    weights[1].limit = 3.0
    scheduler.step()
    assert [w.value for w in weights] == [3.0] * 3
    assert [float(w.other) for w in weights] == [0.5] * 3


def test_if_construction_fails_the_targets_are_as_before() -> None:
    weights = [Weight(1.0), Weight(1.0, limit=0.5)]
    with pytest.raises(RuntimeError, match="too much"):
        AttributeScheduler(weights, value=constant(1, value=2.0))
    assert [w.value for w in weights] == [1.0, 1.0]


def test_a_setter_that_fails_after_it_has_changed_something_is_put_right_too() -> None:
    class Late(Weight):
        @property
        def value(self) -> float:
            return self._value

        @value.setter
        def value(self, value: float) -> None:
            self._value = value
            if value > 1.0:
                raise RuntimeError("told the others too late")

    target = Late(1.0)
    with pytest.raises(RuntimeError, match="too late"):
        AttributeScheduler(target, value=constant(1, value=2.0))
    assert target.value == 1.0


def test_a_value_that_is_not_finite_is_named_and_nothing_changes() -> None:
    weights = [Weight(1.0), Weight(1e308, limit=math.inf)]
    scheduler = AttributeScheduler(weights, value=from_function(lambda k: 1e9 if k else 1.0))
    with pytest.raises(ValueError, match=r"update 1: value: inf for target 1 .* is not finite"):
        scheduler.step()
    assert [w.value for w in weights] == [1.0, 1e308]
    assert scheduler.num_updates == 0


def test_a_value_set_by_hand_is_replaced_with_a_message() -> None:
    dropout = torch.nn.Dropout(0.4)
    scheduler = AttributeScheduler(dropout, p=DOWN)
    dropout.p = 0.9
    with pytest.warns(SchedulerWarning, match=r"Target 0 \(Dropout\) held p=0.9") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    assert dropout.p == pytest.approx(0.3)


def test_a_setter_may_round() -> None:
    class Rounded:
        _k = 8.0

        @property
        def k(self) -> float:
            return self._k

        @k.setter
        def k(self, value: float) -> None:
            self._k = round(value, 1)

    target = Rounded()
    scheduler = AttributeScheduler(target, k=linear(3, end=0.0))
    seen = [target.k]
    for _ in range(3):
        scheduler.step()
        seen.append(target.k)
    assert seen == [8.0, 5.3, 2.7, 0.0]


# State -------------------------------------------------------------------------------------


class Ema(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("decay", torch.tensor(0.5, dtype=torch.float64))
        self.p = 0.25


def ema_scheduler(ema: Ema) -> AttributeScheduler:
    return AttributeScheduler(
        ema,
        decay=linear(6, end=absolute(0.999)),
        p=linear(2, start=absolute(0.7)) >> cosine(3, end=0.0),
    )


def values_of(ema: Ema) -> tuple[float, float]:
    return ema.decay.item(), ema.p


def through_json(state: dict[str, Any]) -> Any:
    return json.loads(json.dumps(state, allow_nan=False))


def through_torch(state: dict[str, Any]) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize("through", [through_json, through_torch])
@pytest.mark.parametrize("order", ["target before", "target first", "scheduler first"])
@pytest.mark.parametrize("position", range(9))
def test_a_restored_run_goes_on_exactly(position: int, order: str, through: Any) -> None:
    ema = Ema()
    scheduler = ema_scheduler(ema)
    straight = [values_of(ema)]
    for _ in range(8):
        if scheduler.num_updates == position:
            saved = copy.deepcopy(ema.state_dict()), through(scheduler.state_dict())
        scheduler.step()
        straight.append(values_of(ema))
    if position == 8:
        saved = copy.deepcopy(ema.state_dict()), through(scheduler.state_dict())

    fresh = Ema()
    if order == "target before":
        fresh.load_state_dict(saved[0])
    resumed = ema_scheduler(fresh)
    if order == "target first":
        fresh.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    if order == "scheduler first":
        fresh.load_state_dict(saved[0])
    assert values_of(fresh) == straight[position]
    assert resumed.base_values == {"decay": [0.5], "p": [0.25]}
    again = [values_of(fresh)]
    for _ in range(8 - position):
        resumed.step()
        again.append(values_of(fresh))
    assert again == straight[position:]


def test_the_schedules_given_now_count_and_a_warning_says_both_values() -> None:
    scheduler = AttributeScheduler(Weight(8.0), value=DOWN)
    for _ in range(4):
        scheduler.step()
    longer = AttributeScheduler(weight := Weight(8.0), value=linear(8, end=0.0))
    with pytest.warns(SchedulerWarning, match=r"update 4:\n(.*\n)+.*value=4.0 is due .* held 0.0"):
        longer.load_state_dict(scheduler.state_dict())
    assert weight.value == 4.0


def test_a_base_changed_before_a_restore_is_not_ignored_silently() -> None:
    scheduler = AttributeScheduler(Weight(8.0), value=DOWN)
    scheduler.step()
    other = AttributeScheduler(weight := Weight(2.0), value=DOWN)
    with pytest.warns(SchedulerWarning, match=r"initial_value=2.0 .* now it has 8.0, which counts"):
        other.load_state_dict(scheduler.state_dict())
    assert weight.value == 6.0


def test_an_attribute_that_the_state_does_not_know_starts_from_what_it_held() -> None:
    weight = Weight(8.0)
    weight.other = weight.gone = 1.0
    scheduler = AttributeScheduler(weight, value=DOWN, gone=DOWN)
    scheduler.step()
    weight = Weight(8.0)
    weight.other = weight.gone = 1.0
    changed = AttributeScheduler(weight, value=DOWN, other=DOWN)
    changed.load_state_dict(scheduler.state_dict())
    assert (weight.value, weight.other, weight.gone) == (6.0, 0.75, 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("num_updates"), "not a state of AttributeScheduler"),
        (lambda s: s.update(more=1), "not a state of AttributeScheduler"),
        (lambda s: s.update(format=9), "'format' is 9"),
        (lambda s: s.update(kind="schedules"), "is of 'schedules'"),
        (lambda s: s.update(num_updates=-1), "'num_updates' is -1"),
        (lambda s: s.update(num_updates="5"), "'num_updates' is '5'"),
        (lambda s: s.update(base_values={"value": ["x"]}), "'base_values' is {'value': "),
        (lambda s: s.update(base_values=[1.0]), "'base_values' is "),
        (lambda s: s.update(values={"value": 1.0}), "'values' is {'value': "),
        (
            lambda s: s.update(base_values={"value": [1.0, 2.0]}),
            "a list of 1 numbers",
        ),
        (lambda s: s.update(base_values={"value": [math.nan]}), "finite"),
        (lambda s: s.update(base_values={"value": [1e308]}, num_updates=2), "inf"),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(change: Any, words: str) -> None:
    weight = Weight(8.0)
    scheduler = AttributeScheduler(weight, value=linear(2, end=9.0) * constant(9, value=1.0))
    weight.limit = math.inf
    scheduler.step()
    state = scheduler.state_dict()
    damaged = copy.deepcopy(state)
    change(damaged)
    with pytest.raises(ValueError, match=words):
        scheduler.load_state_dict(damaged)
    assert scheduler.state_dict() == state


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))], ids=["copy", "pickle"]
)
def test_copies_go_on_by_themselves(copied: Any) -> None:
    ema = Ema()
    scheduler = ema_scheduler(ema)
    scheduler.step()
    before = values_of(ema)
    other, twin = copied((ema, scheduler))
    twin.step()
    scheduler.step()
    assert values_of(other) == values_of(ema) != before
    twin.step()
    assert (scheduler.num_updates, twin.num_updates) == (2, 3)


def test_it_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        ema = Ema()
        scheduler = ema_scheduler(ema)
        scheduler.step()
        references = weakref.ref(scheduler), weakref.ref(ema)
        del scheduler, ema
        assert [reference() for reference in references] == [None, None]
    finally:
        gc.enable()


# Factory and errors ------------------------------------------------------------------------


def test_the_factory_gives_relative_schedules_the_runs_lengths() -> None:
    run = SimpleNamespace(
        run_config=SimpleNamespace(max_num_train_steps=100, num_update_steps_per_epoch=20)
    )
    weights = [Weight(1.0), Weight(2.0)]
    make = AttributeScheduler.create_scheduler_fn(
        iter(weights), value=[linear(0.5, end=0.0), linear(epochs(1), end=0.0)]
    )
    for _ in range(2):
        scheduler = replace_trainer_placeholder_values(run, make)(sgd())
        assert [s.horizon for s in scheduler.schedules["value"]] == [50, 20]


@pytest.mark.parametrize(
    ("targets", "schedules", "error", "words"),
    [
        ([], {"value": DOWN}, ValueError, "0 targets"),
        (Weight(), {}, ValueError, "0 schedules"),
        ([w := Weight(), w], {"value": DOWN}, ValueError, "came twice"),
        (Weight(), {"values": DOWN}, AttributeError, "no attribute 'values'"),
        (torch.nn.ModuleList([]), {"p": DOWN}, AttributeError, "no attribute 'p'"),
        (Weight(), {"given": DOWN}, TypeError, r"target 0 \(Weight\) holds \[\]"),
        (torch.nn.Dropout(), {"inplace": DOWN}, TypeError, r"\(Dropout\) holds False"),
        (SimpleNamespace(n=torch.tensor(3)), {"n": DOWN}, TypeError, "float tensor"),
        (SimpleNamespace(n=torch.ones(2)), {"n": DOWN}, TypeError, "no dimensions"),
        (SimpleNamespace(n=math.nan), {"n": DOWN}, ValueError, "nan"),
        (Weight(), {"value": 0.5}, TypeError, "value=0.5 is a float, but has to be a schedule"),
        (Weight(), {"value": linear(0.5, end=0.0)}, ValueError, "over"),
        (Weight(), {"value": [DOWN, DOWN]}, ValueError, "2 schedules came for 1 groups"),
        (torch.ones(2), {"ndim": constant(1)}, AttributeError, "ndim"),
    ],
)
def test_nonsense_says_what_is_allowed(
    targets: Any, schedules: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        AttributeScheduler(targets, **schedules)


# Integers ----------------------------------------------------------------------------------


def test_an_integer_stays_one() -> None:
    sampler = torch.utils.data.BatchSampler(range(24), batch_size=2, drop_last=False)
    scheduler = AttributeScheduler(sampler, batch_size=milestones({1: 2.0, 2: 4.0}))
    seen = [sampler.batch_size]
    for _ in range(3):
        scheduler.step()
        seen.append(sampler.batch_size)
    assert seen == [2, 4, 8, 8]
    assert all(type(size) is int for size in seen)
    assert [len(batch) for batch in sampler] == [8, 8, 8]
    resumed = AttributeScheduler(sampler, batch_size=milestones({1: 2.0, 2: 4.0}))
    resumed.load_state_dict(through_json(scheduler.state_dict()))
    assert type(sampler.batch_size) is int
    assert resumed.base_values == {"batch_size": [2.0]}


def test_a_rounded_schedule_gives_an_integer_its_multiples() -> None:
    sampler = torch.utils.data.BatchSampler(range(96), batch_size=16, drop_last=False)
    plan = linear(4, start=absolute(16), end=absolute(48)).rounded(to=8) >> constant(1)
    scheduler = AttributeScheduler(sampler, batch_size=plan)
    seen = [sampler.batch_size]
    for _ in range(5):
        scheduler.step()
        seen.append(sampler.batch_size)
    assert seen == [16, 24, 32, 40, 48, 48]
    assert all(type(size) is int for size in seen)
    assert [len(batch) for batch in sampler] == [48, 48]


def test_arithmetic_that_rounds_leaves_an_integer_whole() -> None:
    target = SimpleNamespace(k=10)
    scheduler = AttributeScheduler(target, k=linear(3, end=0.7))
    for expected in (9, 8, 7):
        scheduler.step()
        assert target.k == expected
        assert type(target.k) is int


@pytest.mark.parametrize("at", [0, 1])
def test_a_value_that_is_not_whole_is_refused_for_an_integer_and_nothing_changes(at: int) -> None:
    targets = [SimpleNamespace(n=4, p=1.0), SimpleNamespace(n=3, p=1.0)]
    schedules = {"p": linear(4, end=0.0), "n": from_function(lambda k: 0.5 if k == at else 1.0)}

    def work() -> None:
        scheduler = AttributeScheduler(targets, **schedules)
        scheduler.step()

    words = rf"update {at}: 1.5 came .* 'n' of target 1 .* integer 3.* Write \.rounded"
    with pytest.raises(ValueError, match=words):
        work()
    assert [vars(target) for target in targets] == [{"n": 4, "p": 1.0}, {"n": 3, "p": 1.0}]


def test_an_integer_in_a_parameter_group_becomes_a_float() -> None:
    optimizer = sgd([1])
    ParamScheduler(optimizer, lr=linear(4, end=0.0)).step()
    assert held(optimizer) == [0.75]
