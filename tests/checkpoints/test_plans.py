"""Going on with another plan: the position is kept, and what differs is said once."""

import math
import re
import warnings
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from pytorch_accelerated import TrainerPlaceholderValues as T
from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
from pytorch_accelerated.run.loop_state import (
    _OF_THE_DATA,
    LoopState,
    Plan,
    check_not_behind,
    transferred,
)
from pytorch_accelerated.run.windows import num_updates
from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    SchedulerBase,
    StatefulSchedulerBase,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import linear
from pytorch_accelerated.trainer import Trainer, TrainerWithTimmScheduler
from tests.checkpoints.runs import DieAt, Interrupted, make, names, outcome, sgd, train
from tests.conformance.timm_parts import timm_part


def interrupted(folder, **kwargs):
    """A run with checkpoints at updates 4 and 8 of 18, within the second epoch."""
    with pytest.raises(Interrupted):
        train(make(DieAt(9 * kwargs.get("gradient_accumulation_steps", 1))), folder, **kwargs)


def go_on(folder, *callbacks, optimizer=sgd, **kwargs):
    """Go on; returns the Trainer, what was applied, and the one warning."""
    monitor = ScheduleMonitorCallback(fields=["lr"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = train(make(monitor, *callbacks, optimizer=optimizer), folder, **kwargs)
    assert len(caught) <= 1
    return trainer, [lr for (lr,) in monitor.applied["lr"]], "".join(str(w.message) for w in caught)


def applied_by(create, num_updates, first=0):
    optimizer = sgd(torch.nn.Linear(1, 1))
    scheduler = create(optimizer)
    values = []
    for _ in range(num_updates):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values[first:]


def falling(end):
    return ParamScheduler.create_scheduler_fn(lr=linear(end=end))


def over(num_updates, **kwargs):
    return lambda optimizer: ParamScheduler(optimizer, lr=linear(num_updates, **kwargs))


def test_the_same_plan_is_no_reason_to_warn(tmp_path):
    interrupted(tmp_path, create_scheduler_fn=falling(0.0))
    assert go_on(tmp_path, create_scheduler_fn=falling(0.0))[2] == ""


def test_more_epochs_stretch_the_schedule(tmp_path):
    interrupted(tmp_path, create_scheduler_fn=falling(0.0))
    trainer, applied, warning = go_on(tmp_path, num_epochs=5, create_scheduler_fn=falling(0.0))
    assert trainer.num_updates == 30
    assert trainer.run_history.current_epoch == 6
    assert applied == applied_by(over(30, end=0.0), 30, first=8)
    assert "num_epochs: 3 before, 5 now" in warning
    # The value that is due at the position, by the checkpoint's schedule and by this one.
    old, new = applied_by(over(18, end=0.0), 9)[8], applied[0]
    assert f"{old!r}" in warning
    assert f"{new!r}" in warning


def test_a_finished_run_can_be_made_longer(tmp_path):
    straight = train(make(), num_epochs=4)
    train(make(), tmp_path)
    trainer, _, warning = go_on(tmp_path, num_epochs=4)
    assert warning.splitlines()[1:] == ["num_epochs: 3 before, 4 now"]
    assert outcome(trainer)["weights"] == outcome(straight)["weights"]
    assert outcome(trainer)["history"] == outcome(straight)["history"]


def test_a_limit_can_be_moved(tmp_path):
    train(make(), tmp_path, max_num_train_steps=8)
    trainer, _, warning = go_on(tmp_path, max_num_train_steps=11)
    assert trainer.num_updates == 11
    assert warning.splitlines()[1:] == ["max_num_train_steps: 8 before, 11 now"]
    assert outcome(trainer)["weights"] == outcome(train(make(), max_num_train_steps=11))["weights"]


def step_lr(optimizer):
    return lr_scheduler.StepLR(optimizer, 3, gamma=0.5)


def step_lr_faster(optimizer):
    return lr_scheduler.StepLR(optimizer, 2, gamma=0.5)


def annealing(optimizer):
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=18)


def annealing_longer(optimizer):
    return lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)


class Halving(StatefulSchedulerBase):
    """Depends on what it made before."""

    def get_updated_values(self, num_updates):
        if num_updates % 3 == 0 and num_updates:
            return [group["lr"] / 2 for group in self.optimizer.param_groups]
        return None


class Falling(lr_scheduler.LRScheduler):
    """A user's own, on PyTorch's base."""

    def __init__(self, optimizer, length):
        self.length = length
        super().__init__(optimizer)

    def get_lr(self):
        return [base * (1 - self.last_epoch / self.length) for base in self.base_lrs]


class FallingToo(StatefulSchedulerBase):
    """The same on ours."""

    def __init__(self, optimizer, length):
        super().__init__(optimizer)
        self.length = length

    def get_updated_values(self, num_updates):
        return [base * (1 - num_updates / self.length) for base in self.base_lr_values]


class FallingAsWell:
    """The same on nothing; it has a state as schedulers of other libraries do."""

    def __init__(self, optimizer, length):
        self.optimizer, self.length, self.count = optimizer, length, 0
        self.bases = [group["lr"] for group in optimizer.param_groups]

    def step(self):
        self.count += 1
        for group, base in zip(self.optimizer.param_groups, self.bases, strict=True):
            group["lr"] = base * (1 - self.count / self.length)

    def state_dict(self):
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state):
        vars(self).update(state)


class FallingForgetfully:
    """The same without a state, and the optimizer where nobody looks for it."""

    def __init__(self, optimizer, length):
        self._inner = FallingAsWell(optimizer, length)

    def step(self):
        self._inner.step()


def of_length(kind, length):
    return lambda optimizer: kind(optimizer, length)


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (
            of_length(FallingToo, 18),
            of_length(FallingToo, 40),
            r"length of .*FallingToo: 18 .* 40",
        ),
        (over(18, end=0.0), lambda o: CosineLrScheduler(o, 3, 6), r"held 0\.00277"),
        (over(18, end=0.0), over(18, start=0.0), "lr"),
        (step_lr, over(18, end=0.0), "StepLR before, .*ParamScheduler now"),
        (step_lr, Halving, "StepLR before, .*Halving now"),
        (Halving, over(18, end=0.0), "Halving before, .*ParamScheduler now"),
        (None, over(18, end=0.0), "none before, .*ParamScheduler now"),
    ],
)
def test_another_schedule_continues_at_the_same_update(tmp_path, before, now, says):
    interrupted(tmp_path, create_scheduler_fn=before)
    trainer, applied, warning = go_on(tmp_path, create_scheduler_fn=now)
    assert trainer.num_updates == 18
    assert applied == pytest.approx(applied_by(now, 18, first=8), rel=1e-12)
    assert re.search(says, warning)


def chained(*makers):
    return lambda o: lr_scheduler.ChainedScheduler([make_one(o) for make_one in makers], o)


ONLY_OURS = "the former counts: only schedulers of this library can change their plan on the way"


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (of_length(Falling, 18), of_length(Falling, 40), r"length of .*\.Falling: 18 .* 40 now"),
        (of_length(FallingAsWell, 18), of_length(FallingAsWell, 40), "length of .*: 18 .* 40 now"),
        (step_lr, step_lr_faster, "step_size of .*StepLR: 3 before, 2 now"),
        (annealing, annealing_longer, "T_max of .*CosineAnnealingLR: 18 before, 40 now"),
        (chained(step_lr), chained(step_lr_faster), "_schedulers of .*'step_size': 2.* now"),
    ],
)
def test_a_scheduler_of_another_library_keeps_its_plan_and_says_so(tmp_path, before, now, says):
    interrupted(tmp_path, create_scheduler_fn=before)
    _, applied, warning = go_on(tmp_path, create_scheduler_fn=now)
    assert applied == pytest.approx(applied_by(before, 18, first=8), rel=1e-12)
    assert re.search(rf"{says}; {ONLY_OURS}", warning)


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (over(18, end=0.0), step_lr, "ParamScheduler before, .*StepLR now, which begins at its"),
        (step_lr, annealing, "StepLR before, .*CosineAnnealingLR now, which begins at its start"),
        (None, step_lr, "none before, .*StepLR now, which begins at its start: only schedulers of"),
        (None, of_length(FallingAsWell, 40), "none before, .*FallingAsWell now, which begins at"),
    ],
)
def test_another_scheduler_of_another_library_begins_and_says_so(tmp_path, before, now, says):
    interrupted(tmp_path, create_scheduler_fn=before)
    _, applied, warning = go_on(tmp_path, create_scheduler_fn=now)
    assert applied[1:] == pytest.approx(applied_by(now, 10)[1:], rel=1e-12)
    assert re.search(says, warning)


def test_a_scheduler_without_a_state_stays_where_it_is_and_says_so(tmp_path):
    create = of_length(FallingForgetfully, 18)
    interrupted(tmp_path, create_scheduler_fn=create)
    trainer, _, warning = go_on(tmp_path, create_scheduler_fn=create)
    assert re.search("FallingForgetfully stays where it is: it has no state_dict", warning)
    assert trainer.scheduler._inner.count == 10


@pytest.mark.parametrize(
    "before", [None, lambda o: RisingStatelessly(o, 18)], ids=["none", "shorter"]
)
def test_another_stateless_schedule_goes_on_at_the_same_update(tmp_path, before):
    interrupted(tmp_path, create_scheduler_fn=before)
    _, applied, warning = go_on(tmp_path, create_scheduler_fn=lambda o: RisingStatelessly(o, 40))
    assert applied == [0.005 * (1 + k / 40) for k in range(8, 18)]
    assert ("length of" if before else "none before") in warning


class RisingStatelessly(SchedulerBase):
    def __init__(self, optimizer, length):
        super().__init__(optimizer)
        self.length = length

    def get_updated_values(self, num_updates):
        return [base * (1 + num_updates / self.length) for base in self.base_lr_values]


@pytest.mark.parametrize("in_epochs", [False, True])
@pytest.mark.parametrize("is_new", [False, True])
def test_a_schedule_of_timm_is_told_where_it_is(tmp_path, in_epochs, is_new):
    """With its own plan if it has none of a checkpoint, which would count."""

    def cosine(length):
        length = length // 6 if in_epochs else length
        return lambda optimizer: timm_part("scheduler").CosineLRScheduler(
            optimizer, t_initial=length, warmup_t=1, t_in_epochs=in_epochs
        )

    def run(*callbacks, **kwargs):
        monitor = ScheduleMonitorCallback(fields=["lr"])
        make_timm = partial(make, monitor, *callbacks, kind=TrainerWithTimmScheduler)
        try:
            train(make_timm(), **kwargs)
        finally:
            applied.append([lr for (lr,) in monitor.applied["lr"]])

    applied = []
    before, counts = (None, 36) if is_new else (cosine(18), 18)
    with pytest.raises(Interrupted):
        run(DieAt(9), folder=tmp_path, create_scheduler_fn=before)
    says = "none before, .*CosineLRScheduler now" if is_new else f"t_initial of .* now; {ONLY_OURS}"
    with pytest.warns(UserWarning, match=says) as w:
        run(folder=tmp_path, num_epochs=6, create_scheduler_fn=cosine(36))
    run(num_epochs=6, create_scheduler_fn=cosine(counts))
    assert applied[1][8:] == applied[2][8:]
    assert len(w) == 1
    assert len(applied[1]) == 36


class ByEpochs(Trainer):
    """Steps its scheduler once an epoch."""

    def scheduler_step(self):
        if self.num_updates % 6 == 0:
            self.scheduler.step()


def test_a_scheduler_that_is_stepped_in_another_way_keeps_its_position(tmp_path):
    with pytest.raises(Interrupted):
        train(make(DieAt(9), kind=ByEpochs), tmp_path, create_scheduler_fn=of_length(FallingToo, 3))
    monitor = ScheduleMonitorCallback(fields=["lr"])
    with pytest.warns(UserWarning, match="length of .*: 3 before, 6 now"):
        train(
            make(monitor, kind=ByEpochs), tmp_path, num_epochs=6,
            create_scheduler_fn=of_length(FallingToo, 6),
        )  # fmt: skip
    applied = [lr for (lr,) in monitor.applied["lr"]]
    assert applied == pytest.approx([0.005 * (1 - (k // 6) / 6) for k in range(8, 36)])


def test_a_scheduler_without_a_state_cannot_go_back_within_a_run(tmp_path):
    class Back(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 2:
                trainer.save_training_state(tmp_path / "state")
            if trainer.num_updates == 4:
                trainer.load_training_state(tmp_path / "state")

    with pytest.warns(UserWarning, match="FallingForgetfully stays where it is: it has no state"):
        trainer = train(make(Back()), create_scheduler_fn=of_length(FallingForgetfully, 18))
    assert trainer.scheduler._inner.count == 18


def test_the_scheduler_may_be_left_out(tmp_path):
    interrupted(tmp_path, create_scheduler_fn=step_lr)
    _, applied, warning = go_on(tmp_path)
    assert "StepLR before, none now" in warning
    assert applied == [applied_by(step_lr, 9)[8]] * 10


@pytest.mark.parametrize("scheduled", [False, True])
def test_another_base_value_is_not_ignored_in_silence(tmp_path, scheduled):
    create = over(18, end=0.0) if scheduled else None
    interrupted(tmp_path, create_scheduler_fn=create)

    def other(model):
        return torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    _, applied, warning = go_on(tmp_path, optimizer=other, create_scheduler_fn=create)
    assert "lr of parameter group 0: 0.005 before, 0.001 now; the former counts" in warning
    assert applied[0] == applied_by(over(18, end=0.0), 9)[8] if scheduled else 0.005


def test_everything_that_differs_is_said_at_once(tmp_path):
    interrupted(tmp_path, gradient_clip_value=1.0)
    _, _, warning = go_on(tmp_path, num_epochs=4, gradient_clip_norm=2.0)
    assert warning.splitlines()[1:] == [
        "num_epochs: 3 before, 4 now",
        "gradient_clip_value: 1.0 before, None now",
        "gradient_clip_norm: None before, 2.0 now",
    ]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_epochs": 1}, r"num_epochs is 1, .* done 8 updates \(epoch 2, batch 2\): .* least 2"),
        ({"max_num_train_steps": 7}, "max_num_train_steps is 7, .* done 8 updates .* at least 8"),
    ],
)
def test_fewer_updates_than_are_done_are_an_error(tmp_path, kwargs, message):
    interrupted(tmp_path)
    before = names(tmp_path)
    with pytest.raises(ValueError, match=message):
        train(make(DieAt(1)), tmp_path, **kwargs)
    assert names(tmp_path) == before


def test_exactly_as_many_as_are_done_are_none_to_do(tmp_path):
    interrupted(tmp_path)
    trainer, applied, _ = go_on(tmp_path, max_num_train_steps=8)
    assert (trainer.num_updates, applied) == (8, [])


OVER_THE_RUN = {
    "shares": (falling(0.0), lambda total: over(total, end=0.0)),
    "cosine": (
        CosineLrScheduler.create_scheduler_fn(lr_min=0.0),
        lambda total: over_epochs(CosineLrScheduler, total, lr_min=0.0),
    ),
    "wsd": (
        WSDLrScheduler.create_scheduler_fn(lr_min=0.0),
        lambda total: lambda o: WSDLrScheduler(o, total_steps=total, lr_min=0.0),
    ),
    "placeholders": (None, None),
}


def over_epochs(kind, total, **kwargs):
    return lambda optimizer: kind(optimizer, 1, total, **kwargs)


@pytest.mark.parametrize("schedule", OVER_THE_RUN)
@pytest.mark.parametrize(
    ("changes", "left", "per_epoch"),
    [
        ({"per_device_batch_size": 8}, 2 + 3, 3),
        ({"per_device_batch_size": 2}, 8 + 12, 12),
        ({"per_device_batch_size": 3}, 6 + 8, 8),
        ({"per_device_batch_size": 24}, 1 + 1, 1),
        ({"gradient_accumulation_steps": 2}, 2 + 3, 3),
        ({"gradient_accumulation_steps": 2, "per_device_batch_size": 1}, 8 + 12, 12),
        ({"per_device_batch_size": 2, "max_num_train_steps": 13}, 5, 12),
        ({"per_device_batch_size": 2, "num_epochs": 5}, 8 + 3 * 12, 12),
    ],
)
def test_other_batches_continue_after_the_same_samples(
    tmp_path, schedule, changes, left, per_epoch
):
    """Eight samples of the second epoch are done; those of a part of a batch are used again."""
    create, whole = OVER_THE_RUN[schedule]
    if schedule == "placeholders":
        trainer = resolved(tmp_path, changes)
    else:
        interrupted(tmp_path, create_scheduler_fn=create)
        trainer, applied, warning = go_on(tmp_path, create_scheduler_fn=create, **changes)
        assert all(f"{name}: " in warning for name in changes)
        assert "ends at update" not in warning
        # The schedule ends with the run, as always.
        assert applied == pytest.approx(applied_by(whole(8 + left), 8 + left, first=8), rel=1e-9)
        assert trainer.optimizer.param_groups[0]["lr"] == 0.0
    assert trainer.run_config.num_update_steps_per_epoch == per_epoch
    assert trainer.num_updates == trainer.run_config.max_num_train_steps == 8 + left


def resolved(folder, changes):
    """A run that goes on with a scheduler which notes what placeholders stand for."""
    given = []

    def create(optimizer, total, limit):
        given.append((total, limit))
        return over(18, start=0.0)(optimizer)

    total = T.NUM_EPOCHS * T.NUM_UPDATE_STEPS_PER_EPOCH
    noting = partial(create, total=total, limit=T.MAX_NUM_TRAIN_STEPS)
    interrupted(folder, create_scheduler_fn=noting)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a schedule of another length
        trainer = train(make(), folder, create_scheduler_fn=noting, **changes)
    assert given[0] == (18, 18)
    assert given[1] == (trainer.num_updates, trainer.num_updates)
    return trainer


two_epochs = {"total_num_epochs": 2}


@pytest.mark.parametrize(
    ("create", "advice"),
    [
        (
            CosineLrScheduler.create_scheduler_fn(**two_epochs),
            "CosineLr.* with no total of your own",
        ),
        (
            WSDLrScheduler.create_scheduler_fn(**two_epochs, decay_phase_ratio=0.5),
            "WSDLr.* with no total of your own",
        ),
        (over(12, end=0.0), r"ParamScheduler\.create_scheduler_fn\(…\) with shares of the run"),
    ],
)
def test_what_is_advised_is_not_what_was_given(create, advice):
    with pytest.warns(UserWarning, match=f"ends at update 12: .*give {advice}") as caught:
        train(make(), create_scheduler_fn=create)
    text = str(caught[0].message)
    assert text.count(".create_scheduler_fn") == 1


def test_another_batch_size_twice(tmp_path):
    interrupted(tmp_path)
    with pytest.warns(UserWarning, match="per_device_batch_size"), pytest.raises(Interrupted):
        train(make(DieAt(3)), tmp_path, per_device_batch_size=8, checkpoint_every=2)
    trainer, _, warning = go_on(tmp_path, per_device_batch_size=8, checkpoint_every=2)
    assert warning == ""
    assert trainer.num_updates == trainer.run_config.max_num_train_steps == 13


plans = st.builds(
    Plan,
    num_epochs=st.integers(3, 5),
    max_num_train_steps=st.none(),
    num_batches_per_epoch=st.integers(1, 30),
    per_device_batch_size=st.integers(1, 8),
    gradient_accumulation_steps=st.integers(1, 5),
    num_processes=st.integers(1, 4),
    gradient_clip_value=st.none(),
    gradient_clip_norm=st.none(),
    mixed_precision=st.just("no"),
    optimizer=st.just("SGD"),
)


@given(plans, plans, st.integers(0, 2), st.integers(0, 30), st.integers(0, 3))
def test_a_plan_has_as_many_updates_as_are_done_and_left(before, now, epoch, windows, skipped):
    batch = min(windows * before.gradient_accumulation_steps, before.num_batches_per_epoch)
    loop = LoopState(epoch=epoch, batch=batch, num_updates=100 - skipped, num_skipped=skipped)
    loop = transferred(loop, before, now)
    assert (loop.epoch, loop.num_attempts) == (epoch, 100)
    samples = batch * before.per_device_batch_size * before.num_processes
    in_one = now.per_device_batch_size * now.num_processes
    is_all = batch == before.num_batches_per_epoch
    num_batches = now.num_batches_per_epoch
    assert loop.batch == (num_batches if is_all else min(samples // in_one, num_batches))
    of_epochs = [num_batches - loop.batch, *[num_batches] * (now.num_epochs - epoch - 1)]
    left = sum(math.ceil(count / now.gradient_accumulation_steps) for count in of_epochs)
    begin = loop.plan_epoch, loop.plan_batch, loop.plan_update
    steps = now.gradient_accumulation_steps
    if any(getattr(now, name) != getattr(before, name) for name in _OF_THE_DATA):
        total = num_updates(steps, now.num_epochs, num_batches, begin=begin)
        assert total == 100 + left
    else:
        assert begin == (0, 0, 0)
    assert transferred(loop, now, now) == loop
    check_not_behind(loop, now)


def test_the_optimizer_has_to_fit(tmp_path):
    interrupted(tmp_path)

    def two_groups(model):
        return torch.optim.SGD([{"params": [p]} for p in model.parameters()], lr=0.1)

    with pytest.raises(ValueError, match=r"has 4 parameter groups, .* it has 1"):
        train(make(optimizer=two_groups), tmp_path)


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.005)


def weights_and_lr(trainer):
    weights = {name: value.tolist() for name, value in trainer.get_model().state_dict().items()}
    return weights, trainer.optimizer.param_groups[0]["lr"]


def test_another_optimizer_is_refused_before_anything_has_changed(tmp_path):
    train(make(), tmp_path, num_epochs=1)
    trainer = train(make(optimizer=adamw), num_epochs=1)
    before = outcome(trainer)
    message = (
        r"the optimizer is a torch\.optim\.adamw\.AdamW, but the checkpoint .*update_000000006_end "
        r"holds the state of a torch\.optim\.sgd\.SGD: give .* its model\.safetensors"
    )
    with pytest.raises(ValueError, match=message):
        train(trainer, tmp_path)
    assert {**outcome(trainer), "updates": 6} == before
    assert names(tmp_path) == ["update_000000004", "update_000000006_end"]


def test_a_state_of_another_optimizer_is_refused_within_a_run(tmp_path):
    train(make(), tmp_path, num_epochs=1)

    class Load(TrainerCallback):
        def on_training_run_start(self, trainer, **kwargs):
            before = weights_and_lr(trainer)
            with pytest.raises(ValueError, match=r"is a torch\.optim\.adamw\.AdamW, but"):
                trainer.load_training_state(tmp_path / "update_000000006_end")
            assert weights_and_lr(trainer) == before

    train(make(Load(), optimizer=adamw), num_epochs=1)


class Logged(torch.optim.SGD):
    """The same optimizer for all that a state has to do with."""


def test_a_subclass_of_the_optimizer_goes_on_with_its_state(tmp_path):
    straight = outcome(train(make(), tmp_path / "straight"))
    interrupted(tmp_path / "died")
    trainer, _, warning = go_on(
        tmp_path / "died",
        optimizer=lambda model: Logged(model.parameters(), lr=0.005, momentum=0.9),
    )
    assert re.search(r"optimizer: 'torch\.optim\.sgd\.SGD' before, .*Logged' now", warning)
    assert {**outcome(trainer), "applied": []} == straight


def test_a_fused_optimizer_is_the_same(tmp_path):
    interrupted(tmp_path)
    trainer, _, warning = go_on(
        tmp_path,
        optimizer=lambda model: torch.optim.SGD(
            model.parameters(), lr=0.005, momentum=0.9, fused=True
        ),
    )
    assert trainer.num_updates == 18
    assert warning == ""
