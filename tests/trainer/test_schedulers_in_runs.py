import functools

import pytest
import torch
from torch.optim import lr_scheduler

from pytorch_accelerated import Trainer
from pytorch_accelerated import TrainerPlaceholderValues as T
from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    SchedulerBase,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import constant, cosine, epochs, linear, milestones
from pytorch_accelerated.trainer import TrainerWithTimmScheduler
from tests.trainer.tiny import Record, linear_decay, make_trainer, ones

RUN = {"train_dataset": ones(8), "num_epochs": 3, "per_device_batch_size": 2}  # 12 updates


def test_a_stateful_scheduler_runs_as_previewed_and_ends_with_the_run():
    trainer = make_trainer(record := Record(), lr=0.5)
    create = CosineLrScheduler.create_scheduler_fn(num_warmup_epochs=1, warmup_starting_lr=0.125)
    trainer.train(**RUN, create_scheduler_fn=create)

    twin = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=0.5)
    preview = CosineLrScheduler(twin, 3, 4, num_warmup_epochs=1, warmup_starting_lr=0.125)
    values = []
    for _ in range(13):
        values.append(twin.param_groups[0]["lr"])
        twin.step()
        preview.step()
    assert record.used == values[:12]
    assert trainer.optimizer.param_groups[0]["lr"] == values[12] == 1e-6


@pytest.mark.parametrize("limit", [5, 7, 11])
def test_a_schedule_in_epochs_ends_with_a_run_that_is_cut_short(limit):
    trainer = make_trainer(record := Record(), lr=0.5)
    create = CosineLrScheduler.create_scheduler_fn(lr_min=0.25)
    trainer.train(**RUN, max_num_train_steps=limit, create_scheduler_fn=create)
    assert len(record.used) == limit
    assert record.used[0] == 0.5
    assert record.used[-1] > 0.25
    assert trainer.optimizer.param_groups[0]["lr"] == 0.25


def test_native_schedulers_step_once_an_update():
    trainer = make_trainer(record := Record(), lr=1.0)
    create = functools.partial(
        lr_scheduler.OneCycleLR,
        max_lr=1.0,
        epochs=T.NUM_EPOCHS,
        steps_per_epoch=T.NUM_UPDATE_STEPS_PER_EPOCH,
        cycle_momentum=False,
    )
    trainer.train(**RUN, create_scheduler_fn=create)
    assert len(record.used) == 12
    assert record.used[0] == pytest.approx(1 / 25)
    assert trainer.scheduler.last_epoch == 12


def test_several_schedulers_step_together():
    trainer = make_trainer(record := Record(("lr", "weight_decay")), lr=1.0)

    class Decay(SchedulerBase):
        def get_updated_values(self, num_updates):
            return num_updates / 12

    def no_list(optimizer):
        return [Decay(optimizer, "weight_decay")]

    trainer.train(**RUN, create_scheduler_fn=[linear_decay(12), no_list])
    assert record.used == [[1 - k / 12, k / 12] for k in range(12)]
    assert len(trainer.scheduler) == 2


@pytest.mark.parametrize("override", [True, False])
def test_a_stateless_scheduler_has_its_value_in_force_at_every_update(override):
    class Stateless(SchedulerBase):
        def get_updated_values(self, num_updates):
            return 1.0 / (1 + num_updates)

    class Overriding(Trainer):
        def scheduler_step(self):
            self.scheduler.step_update(self.num_updates)

    trainer = make_trainer(record := Record(), kind=Overriding if override else Trainer)
    trainer.train(**RUN, create_scheduler_fn=Stateless)
    assert record.used == [1.0 / (1 + k) for k in range(12)]


def test_reduce_on_plateau_gets_the_evaluations_loss_at_each_epochs_end():
    trainer = make_trainer(lr=1.0, loss=lambda outputs, targets: outputs.mean() * 0)
    create = functools.partial(lr_scheduler.ReduceLROnPlateau, patience=0, factor=0.5)
    trainer.train(**RUN, eval_dataset=ones(2), create_scheduler_fn=create)
    assert trainer.scheduler.last_epoch == 3
    assert trainer.optimizer.param_groups[0]["lr"] == 0.25


def test_warmup_then_plateau_takes_each_update_and_each_evaluation():
    trainer = make_trainer(record := Record(), lr=1.0, loss=lambda out, _: out.mean() * 0)
    create = functools.partial(
        PlateauLrScheduler, warmup=linear(4, start=0.0), patience=0, factor=0.5
    )
    trainer.train(**RUN, eval_dataset=ones(2), create_scheduler_fn=create)
    assert record.used == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.25
    assert trainer.scheduler.num_updates == 12


@pytest.mark.parametrize("metric", [None, "train_loss_epoch", "score"])
def test_reduce_on_plateau_gets_its_metric_by_name(metric):
    class Scoring(Trainer):
        def train_epoch_end(self):
            self.run_history.update_metric("score", float(self.run_history.current_epoch))

    class Watched(lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics, epoch=None):
            self.__dict__.setdefault("got", []).append(metrics)
            super().step(metrics)

    trainer = make_trainer(kind=Scoring)
    trainer.train(**RUN, create_scheduler_fn=[Watched, linear_decay(12)], scheduler_metric=metric)
    expected = trainer.run_history.get_metric_values(metric or "train_loss_epoch")
    assert trainer.scheduler[0].got == expected
    assert trainer.scheduler[1].last_epoch == 12


def test_a_metric_without_a_value_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'speed' is not among.*train_loss_epoch"):
        make_trainer().train(
            **RUN, create_scheduler_fn=lr_scheduler.ReduceLROnPlateau, scheduler_metric="speed"
        )


def an_instance():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=0.1)
    return lr_scheduler.StepLR(optimizer, 3)


def test_a_number_of_epochs_that_is_not_whole_is_named_where_one_has_to_be():
    create = functools.partial(
        lr_scheduler.OneCycleLR,
        max_lr=0.1,
        epochs=T.NUM_EPOCHS,
        steps_per_epoch=T.NUM_UPDATE_STEPS_PER_EPOCH,
    )
    options = {"per_device_batch_size": 2, "create_scheduler_fn": create}
    make_trainer().train(ones(8), 2, **options)
    with pytest.raises(ValueError, match=r"7/4.* NUM_EPOCHS is not whole.* MAX_NUM_TRAIN_STEPS"):
        make_trainer().train(ones(8), 2, max_num_train_steps=7, **options)


@pytest.mark.parametrize(
    ("create", "error", "message"),
    [
        (an_instance(), TypeError, r"is a StepLR: give a function.*functools.partial\(StepLR"),
        (3, TypeError, "is an int: give a function"),
        (lambda optimizer: None, TypeError, "returned None.*Is a return missing"),
        (lambda optimizer: [None], TypeError, "returned None"),
        (
            lambda optimizer: lr_scheduler.StepLR(optimizer, T.NUM_EPOCHS * 2),
            ValueError,
            r"placeholders reached StepLR unresolved: \[NUM_EPOCHS \* 2\]",
        ),
        (
            functools.partial(lr_scheduler.StepLR, step_size=T.EVAL_DATALOADER_LEN),
            ValueError,
            "EVAL_DATALOADER_LEN is not known",
        ),
    ],
)
def test_a_factory_that_cannot_work_is_refused(create, error, message):
    trainer = make_trainer()
    with pytest.raises(error, match=message):
        trainer.train(**RUN, create_scheduler_fn=create)
    assert trainer.num_updates == 0


def test_a_scheduler_of_another_optimizer_is_noticed():
    trainer = make_trainer(record := Record(), lr=1.0)
    other = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=1.0)

    def for_other(optimizer):
        return ParamScheduler(other, lr=linear(12, end=0.0))

    with pytest.warns(UserWarning, match=r"ParamScheduler for another optimizer"):
        trainer.train(**RUN, create_scheduler_fn=for_other)
    assert record.used == [1.0] * 12
    # With one for its own, a second one is somebody's intention.
    create = [linear_decay(12), for_other]
    trainer.train(**RUN, create_scheduler_fn=create)
    assert record.used[12:] == [1 - k / 12 for k in range(12)]


def test_overriding_create_scheduler():
    class Own(Trainer):
        def create_scheduler(self):
            return self.create_scheduler_fn(self.optimizer, 12)

    trainer = make_trainer(record := Record(), kind=Own, lr=1.0)
    trainer.train(
        **RUN, create_scheduler_fn=lambda optimizer, total: linear_decay(total)(optimizer)
    )
    assert record.used == [1 - k / 12 for k in range(12)]


class TimmLike:
    """Of the kind that is told updates and epochs."""

    def __init__(self, optimizer):
        self.calls = []

    def step_update(self, num_updates, metric=None):
        self.calls.append(("update", num_updates))

    def step(self, epoch, metric=None):
        self.calls.append(("epoch", epoch))


@pytest.mark.parametrize("evaluation", [{}, {"eval_dataset": ones(2)}])
def test_timm_schedulers_are_told_updates_from_1_and_epochs_done(evaluation):
    trainer = make_trainer(kind=TrainerWithTimmScheduler)
    trainer.train(
        ones(6), 2, per_device_batch_size=2, gradient_accumulation_steps=2,
        create_scheduler_fn=TimmLike, **evaluation,
    )  # fmt: skip
    expected = [("update", 1), ("update", 2), ("epoch", 1), ("update", 3), ("update", 4)]
    assert trainer.scheduler.calls == [*expected, ("epoch", 2)]
    trainer.evaluate(ones(2))
    assert trainer.scheduler.calls == [*expected, ("epoch", 2)]


def planned(kind=ParamScheduler, **schedules):
    return functools.partial(kind, **schedules)


@pytest.mark.parametrize("kind", [ParamScheduler, StatelessParamScheduler])
@pytest.mark.parametrize(
    ("schedules", "message"),
    [
        ({"lr": cosine(1000)}, "12 updates, but .* ends at update 1000: the run ends before"),
        ({"weight_decay": linear(13, end=0.0)}, "12 updates, but .* ends at update 13: the run"),
        ({"lr": cosine(9, end=0.1)}, r"ends at update 9: .* last value .*>> constant\(3\)"),
    ],
)
def test_a_schedule_of_another_length_is_reported_once(kind, schedules, message):
    trainer = make_trainer()
    trainer.optimizer.param_groups[0]["weight_decay"] = 0.5
    with pytest.warns(UserWarning, match=message) as said:
        trainer.train(**RUN, create_scheduler_fn=planned(kind, **schedules))
    assert [warning.filename for warning in said] == [__file__]


def test_a_plan_in_more_epochs_than_the_run_has_runs_with_its_true_curve_and_a_warning():
    plan = linear(epochs(10), start=0.0) >> cosine(epochs(100))
    trainer = make_trainer(record := Record(), lr=1.0)
    with pytest.warns(UserWarning, match=r"run has 12 updates, but .* ends at update 440: the run"):
        trainer.train(**RUN, create_scheduler_fn=ParamScheduler.create_scheduler_fn(lr=plan))
    assert record.used == [k / 40 for k in range(12)]


@pytest.mark.parametrize(
    "schedule",
    [
        linear(4, start=0.0),
        linear(4, start=0.0) >> constant(100),
        constant(3),
        milestones({4: 0.1, 8: 0.01}),
        cosine(5) >> constant(7),
        linear(12, end=0.0),
    ],
)
def test_a_last_value_that_is_meant_to_hold_is_no_mistake(schedule):
    make_trainer().train(**RUN, create_scheduler_fn=planned(lr=schedule))


def test_a_step_of_ones_own_counts_what_it_wants():
    class InSamples(Trainer):
        def scheduler_step(self):
            self.scheduler.step_update(2 * self.num_updates)

    trainer = make_trainer(kind=InSamples)
    create = planned(StatelessParamScheduler, lr=linear(24, end=0.0))
    trainer.train(**RUN, create_scheduler_fn=create)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0
