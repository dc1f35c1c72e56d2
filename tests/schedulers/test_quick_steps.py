"""Quick steps do what careful ones do, whatever happens in between."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import absolute, constant, cosine, linear

SCHEDULES = [
    linear(5, start=0.0) >> cosine(9, end=0.0),
    linear(4, start=absolute(1e-4)) >> constant(3) >> cosine(5, end=absolute(1e-3)),
    constant(3, value=absolute(0.3)) >> linear(6, end=0.1),
    linear(3, end=0.0) >> constant(3) >> linear(4, start=0.0, end=2.0),
]


class Careful(ParamScheduler):
    """Takes the careful way each time: its values are its own."""

    def get_updated_values(self, num_updates):
        return super().get_updated_values(num_updates)


def optimizer_with(rates, tensors=False, decay=0.01):
    return torch.optim.SGD(
        [
            {"params": [torch.zeros(1)], "lr": torch.tensor(rate) if tensors else rate}
            for rate in rates
        ],
        weight_decay=decay,
    )


def held(optimizer):
    return [
        (type(group["lr"]), float(group["lr"]), group.get("initial_lr"), group["weight_decay"])
        for group in optimizer.param_groups
    ]


def add_group(group, optimizer):
    optimizer.add_param_group({"params": [torch.zeros(1)], "lr": 0.7})


def reload(group, optimizer):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


INTERVENTIONS = {
    "nothing": lambda group, optimizer: None,
    "new base": lambda group, optimizer: group.update(initial_lr=0.25),
    "base of no number": lambda group, optimizer: group.update(initial_lr=math.nan),
    "infinite base": lambda group, optimizer: group.update(initial_lr=math.inf),
    "base beyond a tensor's numbers": lambda group, optimizer: group.update(initial_lr=1e39),
    "base beyond all numbers in a while": lambda group, optimizer: group.update(initial_lr=1.5e308),
    "no base": lambda group, optimizer: group.pop("initial_lr", None),
    "value by hand": lambda group, optimizer: group.update(lr=0.123),
    "value that is equal": lambda group, optimizer: group.update(lr=float(group["lr"])),
    "tensor that is equal": lambda group, optimizer: group.update(
        lr=torch.tensor(float(group["lr"]), dtype=torch.float64)
    ),
    "in place": lambda group, optimizer: (
        group["lr"].mul_(2) if isinstance(group["lr"], Tensor) else None
    ),
    "other field": lambda group, optimizer: group.update(initial_weight_decay=math.nan),
    "group added": add_group,
    "optimizer restored": reload,
}


def outcome(scheduler):
    """What a step warns of or raises."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            scheduler.step()
        except (ValueError, TypeError) as error:
            return type(error), str(error).replace("Careful", "ParamScheduler")
    return [str(one.message).replace("Careful", "ParamScheduler") for one in caught]


@settings(max_examples=150, deadline=None)
@given(
    schedule=st.sampled_from(SCHEDULES),
    tensors=st.booleans(),
    events=st.lists(
        st.tuples(st.sampled_from(sorted(INTERVENTIONS)), st.integers(0, 2)), min_size=1, max_size=9
    ),
)
def test_quick_steps_do_what_careful_ones_do(schedule, tensors, events):
    schedulers = [
        kind(
            optimizer_with([0.1, 0.3, 0.2], tensors), lr=schedule, weight_decay=linear(12, end=0.5)
        )
        for kind in (ParamScheduler, Careful)
    ]
    for name, index in [("nothing", 0)] * 3 + events + [("nothing", 0)] * 2:
        outcomes = []
        for scheduler in schedulers:
            optimizer = scheduler.optimizer
            INTERVENTIONS[name](optimizer.param_groups[index], optimizer)
            outcomes.append(outcome(scheduler))
        quick, careful = schedulers
        assert outcomes[0] == outcomes[1], name
        assert repr(held(quick.optimizer)) == repr(held(careful.optimizer)), name
        assert quick.num_updates == careful.num_updates


def test_steps_are_quick_after_the_first():
    for tensors in (False, True):
        scheduler = ParamScheduler(optimizer_with([0.1, 0.3], tensors), lr=SCHEDULES[1])
        scheduler.step()
        assert scheduler._fields["lr"].formula


@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_without_a_warning(copied, tensors):
    scheduler = ParamScheduler(optimizer_with([0.1, 0.3], tensors), lr=SCHEDULES[1])
    for _ in range(3):
        scheduler.step()
    twin = copied(scheduler)
    for _ in range(9):
        scheduler.step()
        twin.step()
        assert held(twin.optimizer) == held(scheduler.optimizer)


def test_a_field_that_fails_takes_the_others_back():
    optimizer = optimizer_with([0.1, 0.3])
    scheduler = ParamScheduler(optimizer, lr=SCHEDULES[0], weight_decay=linear(12, end=0.5))
    for _ in range(3):
        scheduler.step()
    optimizer.param_groups[1]["initial_weight_decay"] = math.nan
    before = held(optimizer)
    with pytest.raises(ValueError, match="weight_decay"):
        scheduler.step()
    assert held(optimizer) == before
    assert scheduler.num_updates == 3


def test_a_value_beyond_a_tensors_numbers_changes_no_group():
    optimizer = optimizer_with([0.1, 0.3], tensors=True)
    scheduler = ParamScheduler(optimizer, lr=SCHEDULES[1])
    optimizer.param_groups[1]["initial_lr"] = 1e40
    before = [float(group["lr"]) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match=r"has to be finite, also as what the group holds"):
        scheduler.step()
    assert [float(group["lr"]) for group in optimizer.param_groups] == before


def test_a_base_that_was_changed_while_it_counted_for_nothing_is_checked():
    optimizer = optimizer_with([0.1, 0.3])
    scheduler = ParamScheduler(optimizer, lr=constant(4, value=0.0) >> constant(4, value=2.0))
    for _ in range(2):
        scheduler.step()
    optimizer.param_groups[1]["initial_lr"] = 1.5e308
    scheduler.step()
    with pytest.raises(ValueError, match="lr: inf"):
        scheduler.step()


def test_a_tensor_is_filled_in_place_and_looked_at_by_nobody():
    optimizer = optimizer_with([0.1, 0.3], tensors=True)
    scheduler = ParamScheduler(optimizer, lr=SCHEDULES[1])
    scheduler.step()
    tensors = [group["lr"] for group in optimizer.param_groups]

    class NoReads(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert func.overloadpacket is torch.ops.aten.fill_, func
            return func(*args, **(kwargs or {}))

    with NoReads():
        scheduler.step()
    for tensor, group in zip(tensors, optimizer.param_groups, strict=True):
        assert group["lr"] is tensor
        assert tensor == SCHEDULES[1](2, base=group["initial_lr"])
