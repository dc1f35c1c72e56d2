"""What another library's scheduler runs is found, and said in our vocabulary."""

from __future__ import annotations

import copy
import math
import os
import sys
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
    StepLR,
)

from pytorch_accelerated.integrations import schedule_from
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import cosine, exponential
from tests.conformance.recording import names_of, our_values
from tests.conformance.table import IGNITE, OPTAX, TIMM, TORCH, TRANSFORMERS, Row
from tests.launching import run

# JAX has threads, and other tests fork: what needs it has a process of its own.
HAS_JAX = "WITH_JAX" in os.environ


def optimizer_of(row: Row) -> SGD:
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], row.field: base} for base in row.bases
    ]
    optimizer = SGD(groups, lr=0.1, momentum=0.9)
    for group, scale in zip(optimizer.param_groups, row.lr_scales, strict=False):
        group.update(lr=row.bases[0], lr_scale=scale)
    return optimizer


def built(library: str, source: str, optimizer: SGD) -> Any:
    if library == "optax":
        import optax

        names: dict[str, Any] = {"optax": optax}
    else:
        names = names_of(library)
    return eval(f"({source})", {**names, "optimizer": optimizer})


# Of the libraries whose rows are formulas, nothing is installed that could be handed over.
@pytest.mark.parametrize(
    "row", OPTAX if HAS_JAX else [*TORCH, *TRANSFORMERS, *TIMM, *IGNITE], ids=lambda row: row.key
)
def test_every_row_is_found(row: Row) -> None:
    optimizer = optimizer_of(row)
    other = built(row.library, row.theirs, optimizer)
    state = getattr(other, "state_dict", dict)
    before = copy.deepcopy(state()), copy.deepcopy(optimizer.param_groups)
    found = schedule_from(other, row.num_updates, row.updates_per_epoch)
    assert (state(), optimizer.param_groups) == before
    precision = 1e-6 if row.library == "optax" else 1e-9
    assert 0.0 <= found.difference <= precision
    if row.name != "LambdaLR":
        assert "from_function" not in repr(found)

    for group in optimizer.param_groups:
        group["lr"] = group.get("initial_lr", group["lr"])
    scheduler = ParamScheduler(optimizer, **found)
    for values in our_values(row):
        ours = [group[row.field] for group in optimizer.param_groups]
        assert ours == pytest.approx(values, rel=1e-9, abs=1e-10)
        scheduler.step()


def optimizer() -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda one: ExponentialLR(one, 0.5), "exponential(332, start=1.0, end=1.14298"),
        (lambda one: MultiplicativeLR(one, lambda k: 0.5), "exponential(332, "),
        (lambda one: StepLR(one, 1, gamma=0.5), "exponential(332, "),
        (lambda one: StepLR(one, 2, gamma=0.5), "constant(2).repeat(332, peak=0.5)"),
        (lambda one: StepLR(one, 2, gamma=1.0), "constant(2).repeat()"),
        (
            lambda one: MultiplicativeLR(one, lambda k: 0.5 if k in (3, 9) else 1.0),
            "milestones({0: 1.0, 3: 0.5, 9: 0.25})",
        ),
    ],
)
def test_what_falls_for_long_is_said_until_nothing_is_left(make: Any, expected: str) -> None:
    found = schedule_from(make(optimizer()), 2_000)
    assert expected in repr(found)
    assert found.difference < 1e-15


def test_equal_groups_share_a_schedule_and_others_have_their_own() -> None:
    one, two = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = SGD([{"params": [one], "lr": 0.1}, {"params": [two], "lr": 0.2}])
    assert schedule_from(ExponentialLR(groups, 0.5), 4) == {"lr": exponential(4, 1.0, 0.5**4)}
    other = MultiplicativeLR(groups, [lambda k: 0.5, lambda k: 0.25])
    assert schedule_from(other, 4) == {
        "lr": [exponential(4, 1.0, 0.5**4), exponential(4, 1.0, 0.25**4)]
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


@pytest.mark.parametrize(
    ("library", "source", "expected"),
    [
        (
            "transformers",
            """get_scheduler("cosine", optimizer, 10, 40, {"num_cycles": 1.5})""",
            "linear(10, start=0.0, end=1.0) >> (cosine(10, start=1.0, end=0.0)"
            " >> cosine(10, start=0.0, end=1.0)).repeat(2).until(30)",
        ),
        (
            "transformers",
            """get_scheduler("cosine", optimizer, 0, 40, {"num_cycles": 0.25})""",
            "cosine(80, start=1.0, end=0.0).until(40)",
        ),
        # A joint between two updates: it stays their function.
        (
            "transformers",
            """get_scheduler("cosine", optimizer, 0, 40, {"num_cycles": 0.7})""",
            "from_function",
        ),
        (
            "transformers",
            """get_scheduler("cosine_with_restarts", optimizer, 0, 40, {"num_cycles": 3})""",
            "from_function",
        ),
        (
            "transformers",
            """get_scheduler("polynomial", optimizer, 0, 40, {"lr_end": 0.05})""",
            "linear(40, start=1.0, end=0.5)",
        ),
        (
            "transformers",
            """get_scheduler(
                "warmup_stable_decay", optimizer, 0, 40, {"num_decay_steps": 40, "num_cycles": 1}
            )""",
            ".repeat(1) >> constant(0, value=0.0)",
        ),
        (
            "timm",
            "StepLRScheduler(optimizer, 2.5, 0.5, t_in_epochs=False)",
            "milestones({0: 1.0, 3: 0.5, 5: 0.25,",
        ),
        (
            "timm",
            "MultiStepLRScheduler(optimizer, [9, 21], 0.5, 5, 1e-3, False, t_in_epochs=False)",
            "milestones({8: 0.5, 20: 0.25}) * milestones({0: 0.0, 5: 1.0})",
        ),
        (
            "timm",
            """TanhLRScheduler(
                optimizer, 20, lr_min=0.01, cycle_mul=2.0, cycle_decay=0.5, cycle_limit=2,
                warmup_t=5, t_in_epochs=False,
            )""",
            "tanh(20",
        ),
        ("timm", "PolyLRScheduler(optimizer, 30, 1.0, k_decay=1.5, t_in_epochs=False)", "power(30"),
        (
            "timm",
            """WSDLRScheduler(
                optimizer, 30, 10, stable_fn="power", stable_timescale=7, decay_fn="exp",
                t_in_epochs=False,
            )""",
            "exponential(10, start=1.0, end=0.1)",
        ),
        (
            "timm",
            'WSDLRScheduler(optimizer, 10, 10, 0.01, decay_fn="power", t_in_epochs=False)',
            "power(10, exponent=0.5, start=1.0, end=absolute(0.01))",
        ),
        (
            "ignite",
            'LinearCyclicalScheduler(optimizer, "lr", 0.1, 0.6, cycle_size=5)',
            "constant(1, value=absolute(0.5))",
        ),
        (
            "ignite",
            """CosineAnnealingScheduler(
                optimizer, "momentum", 0.1, 0.6, 8, cycle_mult=1.3, start_value_mult=0.5,
                end_value_mult=0.9, warmup_duration=3, param_group_index=0,
            )""",
            "cosine(8, start=absolute(0.1), end=absolute(0.6))"
            " >> linear(3, start=absolute(0.6), end=absolute(0.05))",
        ),
        (
            "ignite",
            'PiecewiseLinear(optimizer, "lr", [(0, 0.1), (5, 0.2), (5, 0.3)])',
            "constant(0, value=absolute(0.3))",
        ),
        (
            "ignite",
            """create_lr_scheduler_with_warmup(
                CosineAnnealingScheduler(optimizer, "lr", 0.5, 0.1, 30), 0.0, 6, 0.5
            )""",
            "linear(4, start=absolute(0.0), end=absolute(0.4)) >> constant(1)",
        ),
    ],
)
def test_arguments_that_no_row_has(library: str, source: str, expected: str) -> None:
    one, two = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    groups = SGD([{"params": [one]}, {"params": [two], "lr": 0.2}], lr=0.1, momentum=0.9)
    assert expected in repr(schedule_from(built(library, source, groups), 41))


def test_accelerates_wrapper_is_looked_into() -> None:
    from accelerate.scheduler import AcceleratedScheduler

    wrapped = AcceleratedScheduler(ExponentialLR(optimizer(), 0.5), optimizer())
    assert schedule_from(wrapped, 4) == {"lr": exponential(4, 1.0, 0.5**4)}


def test_a_scheduler_that_is_stepped_once_an_epoch() -> None:
    found = schedule_from(CosineAnnealingLR(optimizer(), T_max=3), 8, num_updates_per_epoch=3)
    values = [found["lr"](k, 0.1) for k in range(8)]
    by_epoch = [0.1 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in range(3)]
    assert values == pytest.approx([by_epoch[k // 3] for k in range(8)], rel=1e-12)


def refused_own() -> Any:
    class Own(LambdaLR):
        pass

    return Own(optimizer(), lambda k: 1.0)


def refused_stepped() -> Any:
    other = LinearLR(optimizer())
    other.optimizer.step()
    other.step()
    return other


def refused_called() -> Any:
    other = built("ignite", 'PiecewiseLinear(optimizer, "lr", [(0, 1.0)])', optimizer())
    other(None)
    return other


def named(library: str, source: str) -> Any:
    return lambda: built(library, source, optimizer())


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (refused_stepped, ValueError, "last_epoch=1, but has to be 0"),
        (refused_called, ValueError, "event_index=1, but has to be 0"),
        (refused_own, TypeError, "whose rule is not known"),
        (lambda: ReduceLROnPlateau(optimizer()), TypeError, "whose rule is not known"),
        (lambda: "cosine()", TypeError, "is not a scheduler of torch, timm or Ignite"),
        (
            lambda: CyclicLR(optimizer(), 0.1, 1.0, scale_fn=lambda x: 1.0, cycle_momentum=False),
            ValueError,
            "a scale_fn of its own",
        ),
        (named("timm", "CosineLRScheduler(optimizer, 9)"), ValueError, "num_updates_per_epoch=…"),
        (
            named("timm", "CosineLRScheduler(optimizer, 9, noise_range_t=3, t_in_epochs=False)"),
            ValueError,
            "adds noise",
        ),
        (
            named("timm", "PolyLRScheduler(optimizer, 9, 2.0, k_decay=2.0, t_in_epochs=False)"),
            ValueError,
            "where one of them is 1",
        ),
        (
            named(
                "timm",
                "WSDLRScheduler(optimizer, 9, 3, decay_fn=lambda p: 1 - p, t_in_epochs=False)",
            ),
            ValueError,
            "no expression is known",
        ),
        (
            named(
                "ignite",
                "LRScheduler(__import__('torch').optim.lr_scheduler.StepLR(optimizer, 3))",
            ),
            TypeError,
            "For a wrapped scheduler of torch, hand over that one.",
        ),
        (
            lambda: ParamScheduler(optimizer(), lr=cosine(9)),
            TypeError,
            "other is a ParamScheduler, whose rule is not known",
        ),
    ],
)
def test_what_cannot_be_said_is_refused(make: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        schedule_from(make(), 10)


if HAS_JAX:

    def test_a_schedule_of_optax_without_a_length_is_constant() -> None:
        other = built("optax", "optax.linear_schedule(0.1, 0.2, 0)", optimizer())
        assert "constant(41, value=absolute(0.1))" in repr(schedule_from(other, 41))

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("optax.sgd", "function sgd at .* whose rule is not known"),
            (
                "optax.join_schedules([lambda k: 0.1, lambda k: 0.2], [3])",
                "other is, or has, <function .*<lambda>.*>, whose rule is not known",
            ),
        ],
    )
    def test_functions_of_optax_that_cannot_be_said(source: str, message: str) -> None:
        with pytest.raises(TypeError, match=message):
            schedule_from(built("optax", source, optimizer()), 10)

else:

    def test_schedules_of_optax_in_a_process_of_their_own() -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
        printed = run(
            [*command, "-k", "optax or every_row"],
            seconds=300,
            WITH_JAX="1",
            JAX_PLATFORMS="cpu",
            PYTEST_XDIST_WORKER=None,
        )
        assert f"{len(OPTAX) + 3} passed" in printed
