"""What another library's scheduler runs is found, and said in our vocabulary."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    OneCycleLR,
    ReduceLROnPlateau,
)

from pytorch_accelerated.integrations import schedule_from
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, exponential
from tests.conformance.recording import names_of, their_values
from tests.conformance.table import TORCH, Row

# Their height changes from cycle to cycle, which is said by hand.
BY_HAND = [row for row in TORCH if "triangular2" in row.variant or row.variant == "exp_range"]


def optimizer_of(row: Row) -> SGD:
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], row.field: base} for base in row.bases
    ]
    return SGD(groups, lr=0.1, momentum=0.9)


def built(row: Row, optimizer: SGD) -> Any:
    return eval(f"({row.theirs})", {**names_of(row.library), "optimizer": optimizer})


@pytest.mark.parametrize(
    "row", [row for row in TORCH if row not in BY_HAND], ids=lambda row: row.key
)
def test_every_row_of_torch_is_found(row: Row) -> None:
    optimizer = optimizer_of(row)
    other = built(row, optimizer)
    before = copy.deepcopy(other.state_dict()), copy.deepcopy(optimizer.param_groups)
    found = schedule_from(other, num_updates=row.num_updates)
    assert (other.state_dict(), optimizer.param_groups) == before
    assert 0.0 <= found.difference <= 1e-9

    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]
    scheduler = ParamScheduler(optimizer, **found)
    for values in their_values(row):
        ours = [group[row.field] for group in optimizer.param_groups]
        assert ours == pytest.approx(values, rel=1e-9, abs=1e-10)
        scheduler.step()


@pytest.mark.parametrize("row", BY_HAND, ids=lambda row: row.key)
def test_cycles_of_changing_height_are_refused(row: Row) -> None:
    with pytest.raises(ValueError, match=r"only mode='triangular' is recognised"):
        schedule_from(built(row, optimizer_of(row)), num_updates=row.num_updates)


def optimizer() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def test_equal_groups_share_a_schedule_and_others_have_their_own() -> None:
    one, two = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = SGD([{"params": [one], "lr": 0.1}, {"params": [two], "lr": 0.2}])
    assert schedule_from(ExponentialLR(groups, 0.5), 4) == {"lr": exponential(4, 1.0, 0.5**4)}
    other = MultiplicativeLR(groups, [lambda k: 0.5, lambda k: 0.25])
    assert schedule_from(other, 4) == {
        "lr": [exponential(4, end=0.5**4), exponential(4, end=4**-4)]
    }


def test_a_cosine_that_climbs_again_is_one_until_it_does() -> None:
    other = CosineAnnealingLR(optimizer(), T_max=10)
    assert schedule_from(other, 11) == {"lr": cosine(10, 1.0, 0.0)}
    with pytest.raises(ValueError, match=r"at update 11, lr of group 0 .* num_updates=11\.$"):
        schedule_from(other, 12)


def test_a_joint_between_two_updates_is_refused() -> None:
    other = OneCycleLR(optimizer(), max_lr=1.0, total_steps=11, cycle_momentum=False)
    with pytest.raises(ValueError, match="which was the nearest: at update 1"):
        schedule_from(other, 11)


def test_the_first_beta_is_found() -> None:
    adam = Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    found = schedule_from(CyclicLR(adam, 0.1, 1.0, step_size_up=2), 9)
    assert [found["beta1"](k, 0.0) for k in range(5)] == pytest.approx([0.9, 0.85, 0.8, 0.85, 0.9])


@pytest.mark.parametrize("kind", ["stepped", "metric", "own class", "text"])
def test_what_cannot_be_said_is_refused(kind: str) -> None:
    class Own(LambdaLR):
        pass

    if kind == "stepped":
        other: Any = LinearLR(optimizer())
        other.optimizer.step()
        other.step()
        with pytest.raises(ValueError, match="last_epoch=1, but has to be 0"):
            schedule_from(other, 10)
        return
    others: dict[str, Any] = {
        "metric": ReduceLROnPlateau(optimizer()),
        "own class": Own(optimizer(), lambda k: 1.0),
        "text": "cosine()",
    }
    with pytest.raises(TypeError, match=r"whose rule is not known|not one of torch's schedulers"):
        schedule_from(others[kind], 10)
