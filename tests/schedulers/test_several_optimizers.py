"""Several optimizers, one scheduler: the laws, names, states and previews."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import re
import weakref
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from pytorch_accelerated.integrations.monitors import Monitor, monitor
from pytorch_accelerated.preview import compare
from pytorch_accelerated.schedulers import (
    ParamScheduler,
    SchedulerBase,
    SchedulerWarning,
    StatefulSchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import absolute, constant, linear
from tests.recording import parameters, plain, update

DOWN = linear(4, end=0.0)
UP = linear(4, start=0.0)
MOMENTUM = linear(2, start=absolute(0.5), end=absolute(0.9))


def muon(*rates: Any) -> torch.optim.Muon:
    groups = [{"params": [torch.nn.Parameter(torch.ones(2, 2))], "lr": rate} for rate in rates]
    return torch.optim.Muon(groups, momentum=0.9, weight_decay=0.1)


def adamw(*rates: Any) -> torch.optim.AdamW:
    return torch.optim.AdamW([{"params": parameters(1), "lr": rate} for rate in rates])


def values(optimizers: Any, field: str = "lr") -> list[Any]:
    return [plain(group.get(field)) for one in optimizers for group in one.param_groups]


def train(optimizers: Any, scheduler: Any, num_updates: int) -> list[Any]:
    """Make updates; return the rates that they ran with."""
    used = []
    for _ in range(num_updates):
        used.append(values(optimizers))
        for one in optimizers:
            update(one)
        scheduler.step()
    return used


def both() -> tuple[Any, Any]:
    return muon(0.02), adamw(0.004, 0.008)


def scheduler_of(optimizers: Any) -> ParamScheduler:
    return ParamScheduler([*optimizers], lr=DOWN, momentum={"Muon": MOMENTUM})


# Names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ({"Muon": DOWN}, [0.01, 0.004, 0.008, 0.016]),
        ({"AdamW": DOWN}, [0.02, 0.002, 0.004, 0.008]),
        ({"AdamW.1": DOWN}, [0.02, 0.004, 0.008, 0.008]),
        ({"AdamW.1": DOWN, "AdamW": UP, "*": constant(1)}, [0.02, 0.002, 0.004, 0.008]),
        ({"AdamW/1": DOWN, "AdamW.1/0": DOWN}, [0.02, 0.004, 0.004, 0.008]),
        ({"*/0": DOWN}, [0.01, 0.002, 0.008, 0.008]),
        ({"Muon/0": DOWN, "*": UP}, [0.01, 0.002, 0.004, 0.008]),
    ],
)
def test_a_key_is_an_optimizer_a_class_or_a_place_there(plan: Any, expected: list[float]) -> None:
    optimizers = [*both(), adamw(0.016)]
    StatelessParamScheduler(optimizers, lr=plan).step_update(2)
    assert values(optimizers) == expected


def test_names_of_the_users_own_stay() -> None:
    optimizers = both()
    optimizers[1].param_groups[0]["name"] = "embedding"
    scheduler = ParamScheduler(optimizers, lr={"embedding": DOWN, "AdamW/1": UP, "Muon": DOWN})
    assert values(optimizers) == [0.02, 0.004, 0.0]
    assert scheduler.preview().groups == ("Muon/0", "embedding", "AdamW/1")


@pytest.mark.parametrize(
    ("schedules", "error", "words"),
    [
        (
            {"lr": {"Moun": DOWN}},
            ValueError,
            "no parameter group is called 'Moun'; the groups are "
            "called 'Muon/0', 'AdamW/0', 'AdamW/1'. Is 'Muon' meant?",
        ),
        ({"lr": {0: DOWN}}, ValueError, "no parameter group is called 0; the groups are called"),
        ({"lr": [DOWN, UP, UP]}, ValueError, "Write a mapping: {'Muon/0': …, 'AdamW/0': …"),
        (
            {"momentum": DOWN},
            KeyError,
            "There is no field 'momentum' to schedule in 'AdamW/0', "
            "'AdamW/1'. To schedule it where it is, write momentum={'Muon': …}.",
        ),
        (
            {"beta1": DOWN},
            KeyError,
            "in 'Muon/0'. To schedule it where it is, write beta1=",
        ),
        ({"weight_decay": constant(1, value=-1.0)}, ValueError, "for parameter group 'Muon/0' in"),
    ],
)
def test_what_is_wrong_leaves_all_of_them_alone(
    schedules: Any, error: type[Exception], words: str
) -> None:
    optimizers = both()
    before = repr([one.state_dict() for one in optimizers])
    with pytest.raises(error, match=re.escape(words)):
        ParamScheduler(optimizers, **{"lr": DOWN, **schedules})
    assert repr([one.state_dict() for one in optimizers]) == before


@pytest.mark.parametrize(
    ("optimizers", "error", "words"),
    [
        ([], TypeError, "optimizer=[] is empty"),
        ([muon(0.1), torch.nn.Linear(1, 1)], TypeError, "optimizer[1] is a Linear, which has no"),
        ([one := muon(0.1), one], ValueError, "optimizer[1] is there twice"),
    ],
)
def test_what_is_no_list_of_optimizers(optimizers: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        ParamScheduler(optimizers, lr=DOWN)


# Laws --------------------------------------------------------------------------------------


def test_update_k_runs_with_value_k_in_all_of_them() -> None:
    optimizers = both()
    scheduler = scheduler_of(optimizers)
    assert values(optimizers, "momentum") == [0.5, None, None]
    used = train(optimizers, scheduler, 6)
    assert used == [[DOWN(k, base) for base in (0.02, 0.004, 0.008)] for k in range(6)]
    assert values(optimizers, "momentum") == [0.9, None, None]
    assert isinstance(scheduler, LRScheduler)
    assert scheduler.get_last_lr() == [0.0] * 3
    assert scheduler.base_lrs == [0.02, 0.004, 0.008]


def test_if_one_value_is_wrong_no_optimizer_changes() -> None:
    class Broken(StatefulSchedulerBase):
        def get_updated_values(self, num_updates: int) -> Any:
            return [0.5, 0.5, 0.5 if num_updates < 2 else float("nan")]

    optimizers = both()
    scheduler = Broken([*optimizers])
    train(optimizers, scheduler, 1)
    before = repr([one.param_groups for one in optimizers])
    with pytest.raises(ValueError, match=r"update 2: nan .* of parameter group 'AdamW/1'"):
        scheduler.step()
    assert repr([one.param_groups for one in optimizers]) == before
    assert scheduler.num_updates == 1


@pytest.mark.parametrize("added_to", [0, 1])
@pytest.mark.usefixtures("warn_always")
def test_a_group_may_be_added_to_any_of_them(added_to: int) -> None:
    optimizers = both()
    scheduler = scheduler_of(optimizers)
    train(optimizers, scheduler, 1)
    weights = [torch.nn.Parameter(torch.ones(2, 2))]
    optimizers[added_to].add_param_group({"params": weights, "lr": 1.0})
    bases = [0.02, 1.0, 0.004, 0.008] if added_to == 0 else [0.02, 0.004, 0.008, 1.0]
    assert dict(scheduler.state_dict()["base_values"])["lr"] == bases
    scheduler.preview()
    train(optimizers, scheduler, 1)
    assert values(optimizers) == [DOWN(2, base) for base in bases]
    momenta = [0.9, 0.9, None, None] if added_to == 0 else [0.9, None, None, None]
    assert values(optimizers, "momentum") == momenta
    # What somebody else writes is still known to be of that group.
    optimizers[1].param_groups[0]["lr"] = 5.0
    with pytest.warns(SchedulerWarning, match="Parameter group 'AdamW/0' held lr=5.0, though"):
        train(optimizers, scheduler, 1)
    assert values(optimizers) == [DOWN(3, base) for base in bases]


@pytest.mark.usefixtures("warn_always")
def test_tensors_are_filled_in_place_and_shared_ones_parted() -> None:
    rate = torch.tensor(0.5, dtype=torch.float64)
    optimizers = muon(0.02), torch.optim.AdamW(parameters(1), lr=rate, foreach=False)
    other = torch.optim.AdamW(parameters(1), lr=rate, foreach=False)
    scheduler = ParamScheduler([*optimizers, other], lr={"AdamW": DOWN, "*": UP})
    kept = [one.param_groups[0]["lr"] for one in (*optimizers, other)]
    assert kept[1] is rate
    assert kept[2] is not rate
    for k in range(1, 5):
        scheduler.step()
        now = [one.param_groups[0]["lr"] for one in (*optimizers, other)]
        assert [now[1] is kept[1], now[2] is kept[2]] == [True, True]
        assert values((*optimizers, other)) == [UP(k, 0.02), DOWN(k, 0.5), DOWN(k, 0.5)]
    other.add_param_group({"params": parameters(1)})
    scheduler.step(2)
    assert values([other]) == [0.25, 0.25]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_a_run_resumes_in_any_order(order: Any) -> None:
    optimizers = both()
    scheduler = scheduler_of(optimizers)
    straight = train(optimizers, scheduler, 2)
    states = [copy.deepcopy(one.state_dict()) for one in optimizers]
    states.append(json.loads(json.dumps(scheduler.state_dict())))
    straight += train(optimizers, scheduler, 3)
    fresh = both()
    resumed = scheduler_of(fresh)
    for i in order:
        (*fresh, resumed)[i].load_state_dict(states[i])
    assert values(fresh, "momentum") == [0.9, None, None]
    assert [*straight[:2], *train(fresh, resumed, 3)] == straight


class Halving(StatefulSchedulerBase):
    """Values that its state knows, since they depend on what was in force."""

    def get_updated_values(self, num_updates: int) -> Any:
        held = [group["lr"] for group in self.optimizer.param_groups]
        return [rate / 2 for rate in held] if num_updates else held


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize(
    "make",
    [
        lambda optimizers: ParamScheduler(optimizers, lr={"Muon": DOWN, "AdamW": UP, "SGD": DOWN}),
        lambda optimizers: ParamScheduler(optimizers, lr=DOWN, weight_decay=UP),
        Halving,
    ],
)
def test_the_state_finds_its_optimizers_in_another_order(make: Any, order: Any) -> None:
    def optimizers() -> list[Any]:
        return [*both(), torch.optim.SGD(parameters(1), lr=0.1, weight_decay=0.5)]

    straight = optimizers()
    scheduler = make(straight)
    train(straight, scheduler, 2)
    saved = [one.state_dict() for one in straight]
    state = json.loads(json.dumps(scheduler.state_dict()))
    before = copy.deepcopy(state)
    fresh = [optimizers()[i] for i in order]
    resumed = make(fresh)
    for one, i in zip(fresh, order, strict=True):
        one.load_state_dict(saved[i])
    resumed.load_state_dict(state)  # in silence, as nothing differs
    assert state == before
    train(straight, scheduler, 1)
    train(fresh, resumed, 1)
    for field in ("lr", "weight_decay"):
        assert [values([fresh[order.index(i)]], field) for i in range(3)] == [
            values([one], field) for one in straight
        ]


def test_states_are_loaded_into_all_of_them_or_none() -> None:
    several = ParamScheduler([muon(0.2), adamw(0.4)], lr=DOWN).optimizer
    others = ParamScheduler([muon(0.1), adamw(0.1, 0.1)], lr=DOWN).optimizer
    before = copy.deepcopy(several.state_dict())
    with pytest.raises(ValueError, match="different number of parameter groups"):
        several.load_state_dict(others.state_dict())
    assert several.state_dict() == before


def test_copies_go_on_by_themselves_and_nothing_is_kept_alive() -> None:
    optimizers = both()
    scheduler = scheduler_of(optimizers)
    train(optimizers, scheduler, 1)
    for others, twin in (
        copy.deepcopy((optimizers, scheduler)),
        pickle.loads(pickle.dumps((optimizers, scheduler))),
    ):
        train(others, twin, 1)
        assert values(others) == [DOWN(2, base) for base in (0.02, 0.004, 0.008)]
    assert values(optimizers) == [DOWN(1, base) for base in (0.02, 0.004, 0.008)]
    del others, twin
    gc.disable()  # what is freed now has no cycles
    try:
        references = [weakref.ref(one) for one in (*optimizers, scheduler, scheduler.optimizer)]
        del optimizers, scheduler
        assert [reference() for reference in references] == [None] * 4
    finally:
        gc.enable()


# Schedulers of one's own, and previews -----------------------------------------------------


class Halving(StatefulSchedulerBase):
    def get_updated_values(self, num_updates: int) -> Any:
        return [base * 0.5**num_updates for base in self.base_lr_values]


class Stateless(SchedulerBase):
    def get_updated_values(self, num_updates: int) -> Any:
        return [group["initial_lr"] / (1 + num_updates) for group in self.optimizer.param_groups]


def test_a_users_own_scheduler_takes_a_list() -> None:
    optimizers = both()
    train(optimizers, Halving([*optimizers]), 2)
    assert values(optimizers) == [0.005, 0.001, 0.002]
    Stateless(others := [*both()]).step_update(1)
    assert values(others) == [0.01, 0.002, 0.004]


def test_a_preview_has_all_groups_and_touches_nothing() -> None:
    for make in (scheduler_of, lambda optimizers: Halving([*optimizers])):
        optimizers = both()
        scheduler = make(optimizers)
        before = repr([one.param_groups for one in optimizers])
        preview = scheduler.preview(4)
        assert preview.groups == ("Muon/0", "AdamW/0", "AdamW/1")
        assert repr([one.param_groups for one in optimizers]) == before
        momenta = [[0.5, None, None], [0.7, None, None], *[[0.9, None, None]] * 2]
        used = train(optimizers, scheduler, 4)
        assert [list(row) for row in zip(*preview["lr"], strict=True)] == used
        applied = {"lr": used, "momentum": [list(row) for row in momenta]}
        assert compare(preview, {field: applied[field] for field in preview.fields})
    table = scheduler_of(both()).preview()
    assert "momentum[Muon/0]" in str(table)
    assert table.to_csv().startswith("update,lr/Muon/0,lr/AdamW/0,lr/AdamW/1,momentum/Muon/0,")
    table.plot()


def test_what_frameworks_find() -> None:
    optimizers = both()
    scheduler = scheduler_of(optimizers)
    assert isinstance(scheduler.optimizer, torch.optim.Optimizer)
    assert scheduler.optimizer in [*optimizers]  # Lightning looks for it like this
    assert scheduler.optimizer not in [adamw(0.1)]
    assert scheduler.optimizer.optimizers == optimizers
    with pytest.raises(TypeError, match=r"optimizers\[0\].add_param_group"):
        scheduler.optimizer.add_param_group({"params": parameters(1)})


def test_the_three_functions_of_a_pretraining_script() -> None:
    num_updates = 1_000

    def lr_multiplier(update: int) -> float:
        warmdown = round(0.4 * num_updates)
        if update <= num_updates - warmdown:
            return 1.0
        progress = (num_updates - update) / warmdown
        return progress * 1.0 + (1 - progress) * 0.1

    def muon_momentum(update: int) -> float:
        share = min(update / 300, 1)
        return (1 - share) * 0.85 + share * 0.95

    def muon_weight_decay(update: int) -> float:
        return 0.2 * (1 - update / num_updates)

    first, second = muon(0.02), adamw(0.004, 0.3)
    first.param_groups[0]["weight_decay"] = 0.2
    scheduler = ParamScheduler(
        [first, second],
        lr="constant(0.6) >> linear(0.4, end=0.1)",
        momentum={"Muon": linear(300, start=absolute(0.85), end=absolute(0.95))},
        weight_decay={"Muon": linear(end=0.0)},
        horizon=num_updates,
    )
    for k in range(num_updates + 1):
        rates = [lr_multiplier(k) * base for base in (0.02, 0.004, 0.3)]
        assert values([first, second]) == pytest.approx(rates, rel=0.0, abs=1e-15)
        (group,) = first.param_groups
        assert group["momentum"] == pytest.approx(muon_momentum(k), rel=0.0, abs=1e-15)
        assert group["weight_decay"] == pytest.approx(muon_weight_decay(k), rel=0.0, abs=1e-15)
        assert [one["weight_decay"] for one in second.param_groups] == [0.01, 0.01]
        scheduler.step()


def test_a_monitor_knows_what_an_optimizer_held_that_made_no_update() -> None:
    optimizers = both()
    scheduler = ParamScheduler(optimizers, lr=DOWN)
    with monitor(list(optimizers), scheduler) as m:
        for k in range(4):
            for one in optimizers if k % 2 else optimizers[:1]:
                update(one)
            scheduler.step()
    assert m.summary() == "applied == planned (4 updates, 12 values)"


def test_a_monitor_names_the_groups_and_follows_those_that_are_added() -> None:
    optimizers = both()
    scheduler = scheduler_of(optimizers)
    monitor = Monitor()
    monitor.begin([*optimizers], scheduler)
    train(optimizers, scheduler, 1)
    assert "applied/lr/AdamW/1" in monitor.metrics()
    optimizers[1].add_param_group({"params": parameters(1), "lr": 1.0})
    scheduler.step(1)
    train(optimizers, scheduler, 2)
    monitor.end()
    assert monitor.summary().startswith("applied == planned (3 updates")
