"""Plans and limits in samples, items and seconds: counted, exact at the count, and resumed."""

from __future__ import annotations

from typing import Any

import pytest

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
from pytorch_accelerated.preview import compare, preview
from pytorch_accelerated.schedulers import ParamScheduler, StatelessParamScheduler
from pytorch_accelerated.schedules import Schedule, constant, linear
from tests.trainer.tiny import Record, Stream, make_trainer, ones

LINEAR = linear(end=0.0)


class Timed(Trainer):
    """Each look at the clock finds it a quarter of a second later."""

    ticks = 0.0

    def seconds(self) -> float:
        self.ticks += 0.25
        return self.ticks


class Tokens(Trainer):
    """A sample of value v has 10 items."""

    def calculate_train_batch_loss(self, batch: Any) -> dict[str, Any]:
        output = super().calculate_train_batch_loss(batch)
        return {**output, "num_items_in_batch": 10 * len(batch[0])}


class Clocks(TrainerCallback):
    """What is counted, after each update."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        self.seen.append(trainer.run.clocks)


def by(clock: str, plan: Schedule = LINEAR, **options: Any) -> Any:
    return ParamScheduler.create_scheduler_fn(lr=plan, clock=clock, **options)


# Ten samples in batches of 4, 4, 2, twice: so many were seen before each update.
SEEN = [0, 4, 8, 10, 14, 18]


def test_samples_are_counted_as_they_are() -> None:
    record, clocks = Record(), Clocks()
    trainer = make_trainer(record, clocks, lr=1.0)
    plan = linear(20, end=0.0)
    trainer.train(
        ones(10), num_epochs=2, per_device_batch_size=4, create_scheduler_fn=by("samples", plan)
    )
    assert record.used == [1.0, 0.8, 0.6, 0.5, 0.3, 0.1] == [plan(seen) for seen in SEEN]
    assert clocks.seen == [{"samples": seen} for seen in (*SEEN[1:], 20)]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0
    assert trainer.scheduler.num_updates == 20


@pytest.mark.parametrize(
    ("limit", "updates"),
    [(1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (10, 3), (11, 4), (2e1, 6), (21, 6)],
)
def test_the_update_that_reaches_the_limit_is_the_last(limit: float, updates: int) -> None:
    record = Record()
    trainer = make_trainer(record, lr=1.0)
    run = {"num_epochs": 2, "per_device_batch_size": 4, "max_samples": limit}
    if limit == 21:  # the data end before
        with pytest.warns(UserWarning, match=r"planned for max_samples=21: .* max_samples=20$"):
            trainer.train(ones(10), create_scheduler_fn=by("samples"), **run)
    else:
        trainer.train(ones(10), create_scheduler_fn=by("samples"), **run)
        assert trainer.optimizer.param_groups[0]["lr"] == 0.0
    assert record.used == [linear(int(limit), end=0.0)(seen) for seen in SEEN[:updates]]
    assert trainer.num_updates == updates
    assert trainer.run_config.max_samples == limit


def test_whichever_limit_comes_first_ends_the_run(capsys: Any) -> None:
    for limits, updates, name in (
        ({"max_samples": 9, "max_num_train_steps": 2}, 2, "max_num_train_steps"),
        ({"max_samples": 4, "max_num_train_steps": 2}, 1, "max_samples"),
        ({"max_items": 81, "max_samples": 50}, 3, "max_items"),
        ({"max_time": 1, "max_samples": 50}, 4, "max_time"),
    ):
        trainer = make_trainer(kind=type("Both", (Timed, Tokens), {}))
        trainer.train(ones(10), num_epochs=3, per_device_batch_size=4, **limits)
        assert trainer.num_updates == updates
        assert f"{name} is reached: {updates} updates" in capsys.readouterr().out


def test_items_and_a_stateless_scheduler() -> None:
    record = Record()
    trainer = make_trainer(record, lr=1.0, kind=Tokens)
    scheduler = lambda optimizer: StatelessParamScheduler(  # noqa: E731
        optimizer, lr=linear(200, end=0.0), clock="items"
    )
    trainer.train(
        Stream(ones(10)),
        num_epochs=5,
        per_device_batch_size=2,
        gradient_accumulation_steps=2,
        max_items=200,
        create_scheduler_fn=scheduler,
    )
    assert record.used == [1.0, 0.8, 0.6, 0.5, 0.3, 0.1]
    with pytest.raises(ValueError, match="return them as num_items_in_batch"):
        make_trainer().train(ones(2), num_epochs=1, max_items=5)


def test_a_schedule_on_time_ends_when_the_time_does() -> None:
    record, clocks = Record(), Clocks()
    trainer = make_trainer(record, clocks, lr=1.0, kind=Timed)
    trainer.train(
        ones(40),
        num_epochs=1,
        per_device_batch_size=1,
        max_time="2s",
        create_scheduler_fn=by("seconds", linear(0.5, start=0.0) >> linear(end=0.0)),
    )
    # The first look is at the beginning, the others are after each update.
    assert record.used == [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]
    assert clocks.seen == [{"seconds": 0.25 * k} for k in range(1, 9)]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.filterwarnings("ignore:this run differs")
@pytest.mark.parametrize("clock", ["samples", "items", "seconds"])
def test_a_run_that_continues_counts_on_from_where_it_was(tmp_path: Any, clock: str) -> None:
    both = type("Both", (Timed, Tokens), {})
    limit = {"samples": "max_samples", "items": "max_items", "seconds": "max_time"}[clock]
    horizon = {"samples": 20, "items": 200, "seconds": 3}[clock]
    run = {"num_epochs": 50, "per_device_batch_size": 4, "seed": 1, limit: horizon}

    def used(*stops: int, folder: str) -> list[float]:
        record = Record()
        for stop in (*stops, None):
            trainer = make_trainer(record, lr=1.0, kind=both)
            trainer.train(
                ones(10),
                max_num_train_steps=stop,
                create_scheduler_fn=by(clock),
                checkpoint_dir=tmp_path / folder,
                resume="auto",
                **run,
            )
        assert trainer.optimizer.param_groups[0]["lr"] == 0.0
        assert trainer.run.clocks == {clock: trainer.scheduler.num_updates}
        return record.used

    whole = used(folder="whole")
    assert used(1, 4, folder="parts") == whole
    assert len(whole) == {"samples": 6, "items": 6, "seconds": 12}[clock]


@pytest.mark.filterwarnings("ignore:this run differs")
def test_what_was_not_counted_before_is_said(tmp_path: Any) -> None:
    run = {"per_device_batch_size": 2, "checkpoint_dir": tmp_path, "resume": "auto"}
    make_trainer().train(ones(4), num_epochs=1, **run)
    trainer = make_trainer()
    with pytest.warns(UserWarning, match="samples were not counted .* after 2 updates"):
        trainer.train(ones(4), num_epochs=2, max_samples=4, **run)
    assert trainer.run.clocks == {"samples": 4}


def test_without_a_clock_nothing_is_counted() -> None:
    clocks = Clocks()
    trainer = make_trainer(clocks)
    trainer.train(ones(4), num_epochs=1, create_scheduler_fn=by("updates", constant(2)))
    assert trainer.run.counts is None
    assert clocks.seen == [{}]


def test_a_scheduler_that_a_callback_brings_needs_what_it_counts() -> None:
    class Exchange(TrainerCallback):
        def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
            plan = linear(4, end=0.0)
            trainer.scheduler = ParamScheduler(trainer.optimizer, lr=plan, clock="samples")

    with pytest.raises(ValueError, match="samples are not counted in this run"):
        make_trainer(Exchange()).train(ones(4), num_epochs=1)
    trainer = make_trainer(Exchange(), lr=1.0)
    trainer.train(ones(4), num_epochs=1, per_device_batch_size=1, max_samples=3)
    assert trainer.optimizer.param_groups[0]["lr"] == 0.25


@pytest.mark.filterwarnings("ignore:this run differs")
@pytest.mark.parametrize("clock", ["samples", "seconds"])
def test_the_plan_is_compared_at_the_recorded_clock(tmp_path: Any, clock: str) -> None:
    run = {"num_epochs": 9, "per_device_batch_size": 4, "checkpoint_dir": tmp_path}
    for stop in (2, None):
        monitor = ScheduleMonitorCallback()
        trainer = make_trainer(monitor, lr=1.0, kind=Timed)
        trainer.train(
            ones(10),
            max_num_train_steps=stop,
            max_samples=20,
            max_time=3,
            create_scheduler_fn=by(clock),
            resume="auto",
            **run,
        )
    expected = {"samples": SEEN, "seconds": [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]}
    assert monitor.clocks == expected
    planned = preview(trainer.scheduler, at=monitor.clocks[clock])
    assert str(compare(planned, monitor.applied)) == "applied == planned (6 updates, 6 values)"
    moved = [*expected[clock][:4], expected[clock][4] + 1, expected[clock][5]]
    assert compare(preview(trainer.scheduler, at=moved), monitor.applied).difference.update == 4
    picture = trainer.scheduler.preview().plot()
    assert picture.axes[-1].get_xlabel().startswith(clock[:-1])


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_samples": 0}, "max_samples=0 is too small"),
        ({"max_items": 1.5}, "max_items=1.5 is a fractional count"),
        ({"max_time": 0.5}, "max_time=0.5 is a fractional count"),
        ({"max_time": "5 minutes"}, "max_time='5 minutes' is not a time: write seconds, or text"),
        ({"max_time": "0.5s"}, "max_time=0.5 is a fractional count"),
    ],
)
def test_limits_that_are_none(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_trainer().train(ones(4), num_epochs=1, **limits)


def test_a_plan_that_ends_elsewhere_than_the_run_is_told_of() -> None:
    with pytest.warns(UserWarning, match="the run has 8 samples, .* ends at sample 16"):
        make_trainer().train(
            ones(8),
            num_epochs=1,
            max_samples=8,
            create_scheduler_fn=by("samples", linear(16, end=0.0)),
        )
