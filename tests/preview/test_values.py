"""Previews hold what really runs, and touch nothing real."""

from __future__ import annotations

import copy
import csv
import io
import random
import warnings
from typing import Any

import numpy
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from pytorch_accelerated.preview import Preview, compare, preview
from pytorch_accelerated.preview.html import page
from pytorch_accelerated.preview.terminal import sketch
from pytorch_accelerated.schedulers import (
    AttributeScheduler,
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    StatefulSchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    exponential,
    from_function,
    inverse_proportional,
    inverse_sqrt,
    linear,
    milestones,
    polynomial,
    rex,
    sqrt,
    tanh,
)
from tests.recording import Recorder, adamw, held, plain, sgd, update
from tests.schedulers.examples import (
    InverseLrScheduler,
    InverseLrStateless,
    MilestoneLrScheduler,
    StepWdScheduler,
)

SCHEDULES = [
    linear(9, start=0.0) >> cosine(20, end=0.1) >> constant(7),
    linear(4, start=absolute(1e-6)) >> polynomial(11, end=absolute(1e-5), power=1.5),
    exponential(13, end=0.01) >> inverse_proportional(8, end=0.001),
    linear(5, start=0.0) >> inverse_sqrt(20, timescale=5) >> sqrt(6, end=0.0),
    cosine(7, end=0.2).repeat(3),
    linear(3) >> cosine(7, end=0.2).repeat(3) >> constant(4),
    cosine(4).repeat(3, length=2.0, peak=0.5),
    0.5 * rex(12) + 0.1 * tanh(20),
    cosine(10) * milestones({3: 0.5, 8: 0.25}),
    milestones({5: 0.1, 11: 0.01}),
    from_function(lambda k: 0.97**k, length=20),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("base", [1.0, 3e-4, -0.7])
def test_bulk_values_equal_single_calls_bit_for_bit(schedule, base):
    assert list(schedule.values(60, base)) == [schedule(k, base) for k in range(60)]


def test_bulk_values_agree_across_chunks():
    schedule = linear(3_000, start=0.0) >> cosine(7_001, end=0.1)
    assert list(schedule.values(11_000)) == [schedule(k) for k in range(11_000)]


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    count=st.integers(0, 60),
    base=st.floats(1e-6, 10.0),
)
def test_bulk_values_equal_single_calls_for_any_lengths(lengths, count, base):
    shapes = [lambda n: linear(n, end=0.3), lambda n: cosine(n, end=0.8), constant]
    schedule = shapes[0](lengths[0])
    for index, length in enumerate(lengths[1:], 1):
        schedule = schedule >> shapes[index % 3](length)
    assert list(schedule.values(count, base)) == [schedule(k, base) for k in range(count)]


def applied_by(optimizer: Any, scheduler: Any, num_updates: int, field: str) -> list[list[Any]]:
    recorder = Recorder(optimizer, field)
    for _ in range(num_updates):
        update(optimizer)
        scheduler.step()
    return recorder.used


def of(schedulers: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("make", list(schedulers.values()), ids=list(schedulers))


@of(
    {
        "cosine": lambda o: CosineLrScheduler(o, 3, 10, num_warmup_epochs=1),
        "built-in": lambda o: ParamScheduler(o, lr=linear(5, start=0.0) >> cosine(20)),
        "groups": lambda o: ParamScheduler(o, lr=[linear(10), cosine(20)]),
        "pure": InverseLrScheduler,
        "path-dependent": lambda o: MilestoneLrScheduler(o, num_steps_per_epoch=5),
        "StepLR": lambda o: lr_scheduler.StepLR(o, 7),
        "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (1 + k)),
        "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, [0.5, 0.1], total_steps=40),
        "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 6, cycle_momentum=False),
        "SequentialLR": lambda o: lr_scheduler.SequentialLR(
            o,
            [lr_scheduler.LinearLR(o, 0.1, 1.0, 5), lr_scheduler.CosineAnnealingLR(o, 25)],
            milestones=[5],
        ),
        "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.ConstantLR(o, 0.5, 4), lr_scheduler.ExponentialLR(o, 0.9)], o
        ),
        "WarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 6),
    }
)
def test_preview_is_what_the_optimizer_runs_with(make):
    optimizer = adamw([0.1, 0.02])
    scheduler = make(optimizer)
    planned = preview(scheduler, num_updates=30)
    before = held(optimizer)
    applied = applied_by(optimizer, scheduler, 30, "lr")
    assert planned.to_dict()["lr"] == applied
    assert applied[0] == before
    assert compare(planned, {"lr": applied, "betas": planned.to_dict().get("betas", [])})


@of(
    {
        "cosine": lambda o: CosineLrScheduler(o, 3, 10),
        "path-dependent": lambda o: MilestoneLrScheduler(o, num_steps_per_epoch=5),
        "weight decay": lambda o: StepWdScheduler(o, n=4),
        "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.5, total_steps=40),
    }
)
def test_previews_touch_nothing_real(make):
    optimizer = adamw([0.1, 0.02], weight_decay=0.05)
    scheduler = make(optimizer)
    applied_by(optimizer, scheduler, 7, "lr")

    def everything() -> Any:
        groups = [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]
        attributes = {
            key: value
            for key, value in vars(scheduler).items()
            if key not in ("optimizer", "_fields")
            and not key.startswith("__")
            and not callable(value)
        }
        return copy.deepcopy((groups, scheduler.state_dict(), repr(attributes)))

    groups = list(map(id, optimizer.param_groups))
    parameters = [p.detach().clone() for g in optimizer.param_groups for p in g["params"]]
    before = everything()
    preview(scheduler, num_updates=30)
    assert everything() == before
    assert list(map(id, optimizer.param_groups)) == groups
    after = [p for g in optimizer.param_groups for p in g["params"]]
    assert all(torch.equal(one, other) for one, other in zip(parameters, after, strict=True))


class Jittered(StatefulSchedulerBase):
    """Draws from every global generator."""

    def get_updated_values(self, num_updates):
        noise = torch.rand(()).item() + random.random() + numpy.random.random()
        return [value * (1.0 + noise) for value in self.base_lr_values]


def test_a_preview_draws_nothing_from_the_global_generators():
    scheduler = Jittered(sgd([0.1]))

    def states() -> Any:
        return (torch.get_rng_state().tolist(), random.getstate(), repr(numpy.random.get_state()))

    before = states()
    planned = preview(scheduler, 9)
    assert states() == before
    assert len(set(planned["lr"][0])) == 9
    assert applied_by(scheduler.optimizer, scheduler, 9, "lr") == planned.to_dict()["lr"]


def test_a_group_that_was_added_since_is_previewed_but_not_adopted():
    optimizer = sgd([0.1])
    scheduler = ParamScheduler(optimizer, lr=linear(4))
    optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "lr": 8.0})
    assert list(scheduler.preview()["lr"][1]) == [8.0, 6.0, 4.0, 2.0]
    assert "initial_lr" not in optimizer.param_groups[1]


@of(
    {
        "path-dependent": lambda o: MilestoneLrScheduler(o, num_steps_per_epoch=5),
        "native": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
    }
)
def test_a_run_preview_starts_from_the_current_update(make):
    optimizer = sgd([0.1])
    scheduler = make(optimizer)
    first = applied_by(optimizer, scheduler, 8, "lr")
    rest = preview(scheduler, num_updates=30)
    assert rest.first_update == 8
    assert rest.position == 8
    assert first + rest.to_dict()["lr"] == preview(make(sgd([0.1])), num_updates=30).to_dict()["lr"]
    assert applied_by(optimizer, scheduler, 22, "lr") == rest.to_dict()["lr"]
    assert rest.to_csv().splitlines()[1].startswith("8,")


def test_a_built_in_preview_shows_the_whole_plan_from_anywhere():
    optimizer = sgd([0.1])
    scheduler = CosineLrScheduler(optimizer, 2, 10)
    before = scheduler.preview().to_dict()
    applied_by(optimizer, scheduler, 7, "lr")
    after = scheduler.preview()
    assert after.to_dict() == before
    assert (after.first_update, after.position, len(after)) == (0, 7, 20)


def test_asking_for_less_than_was_made_is_an_error():
    optimizer = sgd([0.1])
    scheduler = MilestoneLrScheduler(optimizer)
    applied_by(optimizer, scheduler, 5, "lr")
    with pytest.raises(ValueError, match="num_updates=5: MilestoneLrScheduler has made 5 updates"):
        scheduler.preview(5)


@pytest.mark.parametrize("warmup", [3, 200])
def test_past_the_horizon_a_scheduler_that_has_to_run_is_shown_further_ahead(warmup):
    scheduler = PlateauLrScheduler(sgd([0.8]), factor=0.5, warmup=linear(warmup, start=0.0))
    applied_by(scheduler.optimizer, scheduler, warmup, "lr")
    planned = scheduler.preview()
    assert planned.updates == range(warmup, warmup + max(warmup, 100))
    assert set(planned["lr"][0]) == {0.8}
    assert scheduler.plot().axes[0].get_xlabel() == f"update (now: {warmup})"
    with pytest.raises(ValueError, match=f"num_updates={warmup}: PlateauLrScheduler has made"):
        scheduler.preview(warmup)


def test_stateless_schedulers_are_previewed_from_update_0():
    optimizer = sgd([0.4])
    pure = StatelessParamScheduler(optimizer, lr=linear(4, end=0.0))
    assert list(pure.preview()["lr"][0]) == pytest.approx([0.4, 0.3, 0.2, 0.1], rel=1e-12)
    own = InverseLrStateless(sgd([0.4]))
    own.step_update(100)
    planned = own.preview(3)
    assert planned.first_update == 0
    assert list(planned["lr"][0]) == list(InverseLrStateless(sgd([0.4])).preview(3)["lr"][0])
    assert planned["lr"][0][0] == 0.4


class Many(StatefulSchedulerBase):
    """Several fields, one of which it names only when it is first changed."""

    def get_updated_values(self, num_updates):
        if num_updates < 2:
            return {"lr": 0.1 * (num_updates + 1)}
        return {"lr": 1.0, "betas": (0.5, 0.9), "weight_decay": None}


def test_user_written_schedulers_may_write_several_fields_and_tuples():
    planned = Many(adamw([0.1])).preview(4)
    assert planned.fields == ("lr", "betas")
    assert planned["betas"][0] == [(0.9, 0.999), (0.9, 0.999), (0.5, 0.9), (0.5, 0.9)]
    assert planned.to_csv().splitlines()[0] == "update,lr,betas[0],betas[1]"
    assert planned.value("betas", 2) == (0.5, 0.9)


def test_entries_of_betas_are_fields_of_their_own():
    optimizer = adamw([0.1])
    scheduler = ParamScheduler(
        optimizer, lr=linear(6), beta1=linear(6, end=0.5), weight_decay=linear(6)
    )
    planned = scheduler.preview()
    assert planned.fields == ("lr", "beta1", "weight_decay")
    recorders = {name: Recorder(optimizer, name) for name in ("lr", "betas", "weight_decay")}
    for _ in range(6):
        update(optimizer)
        scheduler.step()
    applied = {name: recorder.used for name, recorder in recorders.items()}
    assert list(planned["beta1"][0]) == [betas[0] for (betas,) in applied["betas"]]
    said = str(compare(planned, applied))
    assert said == "applied == planned (6 updates, 18 values); recorded, but not planned: betas[1]"


def test_a_float32_tensor_is_previewed_as_it_rounds():
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": torch.tensor(0.1)}]
    optimizer = torch.optim.AdamW(groups, capturable=False, foreach=False)
    scheduler = ParamScheduler(optimizer, lr=cosine(9))
    planned = scheduler.preview()
    applied = applied_by(optimizer, scheduler, 9, "lr")
    assert planned.to_dict()["lr"] == applied
    assert applied[0][0] != 0.1  # float32 cannot hold it
    own = InverseLrScheduler(
        torch.optim.AdamW(
            [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": torch.tensor(0.1)}]
        )
    )
    expected = own.preview(5)
    assert applied_by(own.optimizer, own, 5, "lr") == expected.to_dict()["lr"]


def test_several_schedulers_of_one_optimizer_are_previewed_together():
    optimizer = adamw([0.1, 0.2], weight_decay=0.05)
    schedulers = [CosineLrScheduler(optimizer, 2, 10), StepWdScheduler(optimizer, n=4)]
    planned = preview(schedulers, num_updates_per_epoch=10)
    assert planned.fields == ("lr", "weight_decay")
    assert len(planned) == 20
    with pytest.raises(ValueError, match="Both previews have the field 'lr'"):
        planned | planned


def after_updates(optimizer, schedulers, number):
    for _ in range(number):
        update(optimizer)
        for scheduler in schedulers:
            scheduler.step()
    return schedulers


def test_several_schedulers_are_previewed_from_the_update_where_one_that_has_to_run_is():
    optimizer = adamw([0.1], weight_decay=0.1)
    rate = PlateauLrScheduler(optimizer, warmup=linear(10, start=0.0))
    decay = ParamScheduler(optimizer, weight_decay=linear(8, end=0.0) >> constant(92))
    schedulers = after_updates(optimizer, [rate, decay], 5)
    made = preview(schedulers, 100)
    assert made.updates == range(5, 100)
    assert made.position == 5
    assert made.value("lr", 5) == pytest.approx(0.05)
    assert made.value("lr", 10) == 0.1
    assert made.value("weight_decay", 5) == pytest.approx(0.1 * 3 / 8)
    assert list(made["weight_decay"][0]) == list(decay.preview()["weight_decay"][0])[5:]
    assert [(row.phase, row.first, row.last) for row in made.rows_of("weight_decay")] == [
        ("linear", 5, 7),
        ("constant", 8, 99),
    ]
    assert preview(schedulers[::-1], 100).updates == range(5, 100)


def test_several_schedulers_past_their_horizon_are_shown_equally_far_ahead():
    optimizer = adamw([0.1], weight_decay=0.1)
    rate = PlateauLrScheduler(optimizer)
    decay = ParamScheduler(optimizer, weight_decay=linear(4, end=0.0))
    made = preview(after_updates(optimizer, [rate, decay], 6))
    assert made.updates == range(6, 106)
    assert set(made["weight_decay"][0]) == {0.0}


def test_a_wrapped_scheduler_is_previewed(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    optimizer = accelerator.prepare(sgd([0.1]))
    own = MilestoneLrScheduler(optimizer, num_steps_per_epoch=1)
    wrapped = accelerator.prepare(own)
    assert [v for (v,) in preview(wrapped, 4).to_dict()["lr"]] == [0.1, 0.1, 0.05, 0.05]
    assert held(optimizer) == [0.1]


def test_preview_does_not_warn_of_what_the_real_scheduler_will_warn_of():
    optimizer = sgd([0.1])
    scheduler = MilestoneLrScheduler(optimizer, num_steps_per_epoch=1)
    optimizer.param_groups[0]["lr"] = 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scheduler.preview(3).to_dict()["lr"] == [[0.5], [0.5], [0.25]]


def test_a_scheduler_that_follows_a_metric_has_no_plan():
    plateau = lr_scheduler.ReduceLROnPlateau(sgd([0.1]))
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau.step needs 'metrics' each time"):
        preview(plateau, 10)


def test_what_has_no_horizon_needs_a_number():
    with pytest.raises(ValueError, match=r"StepLR does not say how many updates .* num_updates="):
        preview(lr_scheduler.StepLR(sgd([0.1]), 3))
    with pytest.raises(ValueError, match="MilestoneLrScheduler does not say how many"):
        MilestoneLrScheduler(sgd([0.1])).preview()
    with pytest.raises(ValueError, match="does not say how many"):
        preview(from_function(lambda k: 1.0))
    with pytest.raises(ValueError, match="at least 1"):
        preview(linear(5), 0)
    with pytest.raises(ValueError, match="over"):
        preview(linear(0.5) >> constant())


BILLIONS = linear(10**9, start=0.0) >> cosine(99 * 10**9, end=0.1)


def test_more_updates_than_fit_into_memory_are_not_run_one_by_one():
    scheduler = PlateauLrScheduler(sgd([0.1]), warmup=BILLIONS)
    with pytest.raises(ValueError, match=r"100,000,000,000 updates are too many .* num_updates=…"):
        preview(scheduler)
    with pytest.raises(ValueError, match=r"20,000,001 updates are too many to run; 20,000,000"):
        preview(scheduler, 20_000_001)
    assert len(preview(scheduler, 3)) == 3


@pytest.mark.parametrize(
    ("make", "field", "base"),
    [
        (lambda: BILLIONS, "value", 1.0),
        (lambda: StatelessParamScheduler(sgd([0.1]), lr=BILLIONS), "lr", 0.1),
        (lambda: ParamScheduler(sgd([0.2]), lr=BILLIONS, clock="items"), "lr", 0.2),
        (lambda: AttributeScheduler(torch.nn.Dropout(0.5), p=BILLIONS), "p", 0.5),
    ],
)
def test_of_more_updates_than_fit_into_memory_there_is_an_exact_sample(make, field, base):
    made = preview(make())
    (column,) = made[field]
    assert [*column] == [BILLIONS(update, base) for update in made.updates]
    assert made.num_updates == len(made) == 10**11
    assert {0, 10**9 - 1, 10**9, 10**11 - 1} < {*made.updates}
    assert made.value(field, 10**9) == base
    assert made.value(field, 10**12) == made.ends[field][0] == BILLIONS(10**12, base)
    with pytest.raises(ValueError, match=r"1,60\d of updates 0 to 99999999999, which are in upda"):
        made.value(field, 12_345)
    with pytest.raises(ValueError, match=r"1,60\d of its 100,000,000,000 updates, but a compari"):
        compare(made, {field: [[base]]})
    text = str(made)
    assert {"linear", "999999999", f"{0.1 * base:g}"} <= {*text.split()}
    assert len(made.to_csv().splitlines()) == len(made.updates) + 1
    assert [*made.to_frame().index] == made.updates
    assert "up to 1,60" in page(made, "")
    assert "80,000,000,000" in sketch(made)
    assert made.plot().axes[0].get_xlim()[1] > 10**11


def test_samples_of_several_schedulers_are_of_the_same_updates():
    optimizer = sgd([0.1, 0.2])
    rate = ParamScheduler(optimizer, lr={0: BILLIONS, 1: constant(7, value=0.5)})
    damping = constant(3 * 10**9, value=absolute(0.5)) >> linear(10**9, end=0.0)
    decay = ParamScheduler(optimizer, dampening=damping)
    made = preview([rate, decay])
    assert made.fields == ("lr", "dampening")
    assert {6, 7, 10**9, 3 * 10**9, 4 * 10**9 - 1} < {*made.updates}
    assert [*made["lr"][0]] == [BILLIONS(at, 0.1) for at in made.updates]
    assert [*made["dampening"][1]] == [damping(at) for at in made.updates]


def test_a_few_updates_after_many_are_shown():
    scheduler = lr_scheduler.LambdaLR(sgd([1.0]), lambda k: 1 / k if k else 1.0)
    scheduler.last_epoch = 10**9
    made = preview(scheduler, 10**9 + 2)
    assert made.updates == range(10**9, 10**9 + 2)
    assert made.value("lr", 10**9 + 1) == 1 / (10**9 + 1)


def test_a_text_is_no_schedule_before_it_is_read():
    with pytest.raises(TypeError, match=r"'cosine\(3\)' is a string.* parse_schedule\('cosine"):
        preview("cosine(3)")


def test_what_cannot_be_previewed_is_refused_in_words():
    with pytest.raises(TypeError, match="has to be a schedule, or a scheduler of this"):
        preview(3)
    with pytest.raises(ValueError, match="nothing to preview"):
        preview([])

    class Uncopiable(StatefulSchedulerBase):
        def __init__(self, optimizer):
            super().__init__(optimizer)
            self.values = (x for x in [1.0])

        def get_updated_values(self, num_updates):
            return None

    with pytest.raises(TypeError, match=r"Uncopiable is previewed by running a copy, but .*cannot"):
        Uncopiable(sgd([0.1])).preview(3)


def test_a_value_out_of_range_is_found_before_training():
    scheduler = ParamScheduler(sgd([0.1]), lr=from_function(lambda k: 1.0 - 0.3 * k, length=9))
    with pytest.raises(ValueError, match=r"lr: .* for parameter group 0 at update 4"):
        scheduler.preview()


def test_a_subclass_that_overrides_the_values_is_simulated():
    class Floored(ParamScheduler):
        def get_updated_values(self, num_updates):
            return [max(0.05, value) for value in super().get_updated_values(num_updates)]

    planned = Floored(sgd([0.1]), lr=linear(10)).preview()
    assert list(planned["lr"][0])[5:] == [0.05] * 5


def test_csv_and_frame_hold_the_numbers_bit_for_bit(tmp_path):
    optimizer = adamw([0.1, 0.03], weight_decay=0.01)
    optimizer.param_groups[1]["name"] = "head"
    scheduler = ParamScheduler(optimizer, lr=cosine(20), weight_decay=linear(20))
    planned = preview(scheduler, num_updates_per_epoch=4)
    rows = list(csv.reader(io.StringIO(planned.to_csv())))
    assert rows[0] == ["update", "epoch", "lr/0", "lr/head", "weight_decay/0", "weight_decay/head"]
    assert rows[7][:2] == ["6", "1.5"]
    assert [float(row[3]) for row in rows[1:]] == list(planned["lr"][1])
    assert planned.to_csv(tmp_path / "plan.csv") is None
    assert (tmp_path / "plan.csv").read_text() == planned.to_csv()
    frame = planned.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["lr/head"]) == list(planned["lr"][1])
    assert list(frame.index) == list(range(20))
    assert planned.value("lr", 3, "head") == planned["lr"][1][3]


def test_values_are_asked_for_by_field_update_and_group():
    planned = preview(linear(4), base=[1.0, 2.0])
    assert planned.value("value", 2, 1) == 1.0
    for arguments, message in [
        (("value", 0, 2), "group=2"),
        (("value", 0, "head"), "group='head'"),
        (("value", -1), "at least 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            planned.value(*arguments)
    with pytest.raises(KeyError, match="'lr' is not scheduled; there are value"):
        planned["lr"]
    with pytest.raises(ValueError, match="updates 0 to 1"):
        preview(linear(4), num_updates=2).value("value", 2)


def test_the_end_is_a_value_and_the_last_row():
    plan = linear(4, end=0.0) >> milestones({3: 0.1, 5: 0.03})
    for made in (preview(plan, base=2.0), ParamScheduler(sgd([2.0]), lr=plan).preview()):
        (field,) = made.fields
        assert [made.value(field, update) for update in (8, 9, 90)] == [plan(8, 2.0)] + [
            plan(9, 2.0)
        ] * 2
        assert len(made) == len(made[field][0]) == 9
        assert str(made).splitlines()[-1].split() == ["then", "holds", "9", f"{plan(9, 2.0):.6g}"]
    assert "then" not in str(preview(plan, num_updates=8))
    assert str(preview(plan, num_updates=11)).splitlines()[-1].split()[:3] == ["holds", "9", "10"]


def test_the_ends_of_tensors_and_of_several_fields_are_what_groups_hold():
    optimizer = adamw([torch.tensor(0.1), 0.1], weight_decay=0.3)
    made = ParamScheduler(optimizer, lr=cosine(5, end=0.7), weight_decay=linear(3)).preview()
    assert made.ends["lr"] == [float(torch.tensor(0.1 * 0.7)), 0.1 * 0.7]
    assert made.ends["weight_decay"] == [0.0, 0.0]


TABLE = """\
phase                             from  to  lr[body]           lr[head]           weight_decay
linear                            0     4   0 → 0.08           0 → 0.8            0.05 → 0.04
lr cosine, weight_decay linear    5     14  0.1 → 0.00244717   1 → 0.0244717      0.0375 → 0.015
lr constant, weight_decay linear  15    19  0                  0                  0.0125 → 0.0025
holds                             20    24  0                  0                  0"""


def test_the_table_has_each_update_in_one_row():
    optimizer = adamw([0.1, 1.0], weight_decay=0.05)
    for group, name in zip(optimizer.param_groups, ("body", "head"), strict=True):
        group["name"] = name
    scheduler = ParamScheduler(
        optimizer,
        lr=linear(5, start=0.0) >> cosine(10) >> constant(5),
        weight_decay=linear(20),
    )
    planned = scheduler.preview(25)
    assert [line.split() for line in str(planned).splitlines()] == [
        line.split() for line in TABLE.splitlines()
    ]
    covered = [k for row in planned.rows for k in range(row.first, row.last + 1)]
    assert covered == list(range(25))


def test_the_table_of_a_scheduler_without_phases_shows_where_values_stay():
    text = str(MilestoneLrScheduler(sgd([0.1]), num_steps_per_epoch=10).preview(45))
    assert text == (
        "phase     from  to  lr\n"
        "constant  0     19  0.1\n"
        "constant  20    39  0.05\n"
        "constant  40    44  0.025"
    )
    assert str(preview(lr_scheduler.ExponentialLR(sgd([1.0]), 0.5), 30)).splitlines()[1] == (
        "varies  0     29  1 → 1.86265e-09"
    )


def test_the_table_of_many_groups_goes_down_not_right():
    planned = preview(linear(10), base=[0.1 * (i + 1) for i in range(12)])
    lines = str(planned).splitlines()
    assert len(lines) == 25
    assert max(map(len, lines)) < 80
    many = preview(cosine(2).repeat(100))
    assert [line.rstrip() for line in str(many).splitlines()[-2:]] == [
        "… and 60 more",
        "then holds     200       0",
    ]


def test_one_update_is_a_preview():
    planned = preview(constant(1, value=0.5))
    assert str(planned).splitlines()[1].split() == ["constant", "0", "0", "0.5"]
    assert repr(planned) == "<Preview of value for 1 group, updates 0 to 0>"


def test_groups_without_a_field_have_no_value_in_tables(tmp_path):
    betas = [[(0.9, 0.99)] * 2, [None, (0.5, 0.6)]]
    planned = Preview(
        {"lr": [[0.1, 0.2]] * 2, "momentum": [[0.9, 0.8], [None] * 2], "betas": betas}
    )
    assert [line.split()[3:] for line in str(planned).splitlines()] == [
        ["lr", "momentum[0]", "momentum[1]", "betas[0]", "betas[1]"],
        ["0.1", "0.9", "none", "(0.9,", "0.99)", "none"],
        ["0.2", "0.8", "none", "(0.9,", "0.99)", "(0.5,", "0.6)"],
    ]
    assert planned.to_csv().splitlines()[1:] == [
        "0,0.1,0.1,0.9,,0.9,0.99,,",
        "1,0.2,0.2,0.8,,0.9,0.99,0.5,0.6",
    ]
    planned.save_html(tmp_path / "a.html")
    assert '"y": [null, 0.5]' in (tmp_path / "a.html").read_text()


def test_values_that_are_no_numbers_are_gaps_in_the_page_and_words_in_the_table(tmp_path):
    planned = Preview({"lr": [[0.1, float("nan"), float("inf")]]})
    assert [line.split()[-1] for line in str(planned).splitlines()] == ["lr", "0.1", "nan", "inf"]
    planned.save_html(tmp_path / "a.html")
    assert (
        '"y": [0.1, null, null], "text": ["0.1", "nan", "inf"]' in (tmp_path / "a.html").read_text()
    )


def test_no_updates_are_a_preview(tmp_path):
    planned = Preview({"lr": [[]]})
    assert str(planned) == "no updates"
    assert planned.to_csv() == "update\n"
    assert planned.to_frame().empty
    planned.save_html(tmp_path / "a.html")
    assert "All 0 updates are drawn" in (tmp_path / "a.html").read_text()


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="of one length"):
        Preview({"lr": [[0.1, 0.2], [0.1]]})


def test_plain_takes_tensors_apart():
    assert plain((torch.tensor(0.5), 1.0)) == (0.5, 1.0)


# Attributes ---------------------------------------------------------------------------------


class Weight:
    value = 2.0


def test_attributes_are_previewed_by_target_and_run_as_previewed():
    targets = [torch.nn.Dropout(0.4), torch.nn.Dropout(0.1)]
    scheduler = AttributeScheduler(targets, p=[linear(6, end=0.0), cosine(3)])
    planned = scheduler.preview()
    assert (planned.fields, planned.groups) == (("p",), ("Dropout 0", "Dropout 1"))
    assert planned.num_updates == 6
    applied = []
    for _ in planned.updates:
        applied.append([target.p for target in targets])
        scheduler.step()
    assert compare(planned, {"p": applied})
    assert scheduler.preview().position == 6
    assert compare(planned, preview(scheduler))
    assert scheduler.preview(9).num_updates == 9
    assert [row.phase for row in planned.rows] == ["linear/cosine", "linear/holds"]


def test_attributes_that_are_tensors_are_previewed_as_these_round():
    owner = Weight()
    owner.value = torch.tensor(0.1)
    scheduler = AttributeScheduler(owner, value=linear(3, end=0.0))
    planned = scheduler.preview()
    applied = []
    for _ in planned.updates:
        applied.append([owner.value.item()])
        scheduler.step()
    assert compare(planned, {"value": applied})


def test_targets_are_no_parameter_groups_and_come_apart():
    scheduler = AttributeScheduler(Weight(), value=linear(4, end=0.0))
    assert scheduler.preview().plot()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="different updates or groups"):
        preview([ParamScheduler(sgd([0.1]), lr=cosine(8)), scheduler])
    open_ended = AttributeScheduler(Weight(), value=from_function(lambda k: 0.5))
    with pytest.raises(ValueError, match="AttributeScheduler does not say how many updates"):
        open_ended.preview()
    assert list(open_ended.preview(2)["value"][0]) == [1.0, 1.0]
