import signal
from collections import defaultdict

import pytest
import torch
from accelerate.tracking import GeneralTracker
from torch import nn

from pytorch_accelerated.callbacks import (
    LogToTrackersCallback,
    ScheduleMonitorCallback,
    StepBasedEvaluationCallback,
    StopTrainingError,
    TrainerCallback,
)
from pytorch_accelerated.trainer import Trainer


class InMemory(GeneralTracker):
    name = "in_memory"
    requires_logging_directory = False

    def __init__(self):
        super().__init__(_blank=True)
        self.values, self.finished = defaultdict(dict), 0

    @property
    def tracker(self):
        return self.values

    def start(self):
        pass

    def store_init_configuration(self, values):
        self.config = values

    def log(self, values, step=None, **kwargs):
        self.values[step].update(values)

    def finish(self):
        self.finished += 1


class Losses(TrainerCallback):
    def __init__(self):
        self.all = []

    def on_train_step_end(self, trainer, batch_output, **kwargs):
        self.all.append(batch_output["loss"].item())


def decay(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))


def read_events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: {event.step: event.value for event in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }


def test_tensorboard_holds_losses_metrics_and_rates_of_each_update(make_trainer, train, tmp_path):
    tracking = LogToTrackersCallback("tensorboard", tmp_path, project_name="tiny", flush_every=4)
    monitor, losses = ScheduleMonitorCallback(), Losses()
    trainer = make_trainer(tracking, monitor, losses).script(0.5, 0.25)
    train(trainer, num_epochs=2, create_scheduler_fn=decay)

    events = read_events(tmp_path / "tiny")
    rates = {step: values[0] for step, values in enumerate(monitor.applied["lr"])}
    assert len(rates) == 12
    assert events["lr/group_0"] == pytest.approx(rates)
    assert events["train_loss"] == pytest.approx(dict(enumerate(losses.all)))
    assert events["score"] == {6: 0.5, 12: 0.25}
    for name in ("train_loss_epoch", "eval_loss_epoch"):
        recorded = trainer.run_history.get_metric_values(name)
        assert events[name] == pytest.approx(dict(zip((6, 12), recorded, strict=True)))


def test_an_updates_loss_is_the_mean_of_its_batches(make_trainer, train):
    tracker, losses = InMemory(), Losses()
    train(make_trainer(LogToTrackersCallback(tracker), losses), gradient_accumulation_steps=4)
    assert tracker.values[0]["train_loss"] == pytest.approx(sum(losses.all[:4]) / 4)
    assert tracker.values[1]["train_loss"] == pytest.approx(sum(losses.all[4:]) / 2)


def test_every_scheduled_field_of_every_group_is_logged(train):
    model = nn.Linear(3, 1)
    groups = [
        {"params": [model.weight], "initial_betas": (0.9, 0.99)},
        {"params": [model.bias], "lr": 0.5, "betas": (0.5, 0.75)},
    ]
    optimizer = torch.optim.Adam(groups, lr=0.1)
    tracker = InMemory()
    trainer = Trainer(model, nn.MSELoss(), optimizer, [LogToTrackersCallback(tracker)])
    train(trainer, max_num_train_steps=1)
    assert tracker.values[0] == {
        "lr/group_0": 0.1, "lr/group_1": 0.5,
        "betas/group_0_0": 0.9, "betas/group_0_1": 0.999,
        "betas/group_1_0": 0.5, "betas/group_1_1": 0.75,
        "train_loss": tracker.values[0]["train_loss"],
    }  # fmt: skip


def test_metrics_that_are_no_numbers_are_left_out(train, make_trainer):
    class Confusion(TrainerCallback):
        def on_train_epoch_end(self, trainer, **kwargs):
            trainer.run_history.update_metric("train_per_class", [0.1, 0.2])

    tracker = InMemory()
    train(make_trainer(LogToTrackersCallback(tracker), Confusion()))
    names = {name for values in tracker.values.values() for name in values}
    assert "train_loss_epoch" in names
    assert "train_per_class" not in names


def test_a_stopped_run_is_written_to_its_last_update_and_closed(make_trainer, train, probe):
    def stop(trainer):
        if stopper.counts["on_update_end"] == 3:
            raise StopTrainingError("enough")

    tracker, stopper = InMemory(), probe(on_update_end=stop)
    train(make_trainer(LogToTrackersCallback(tracker), stopper))
    assert sorted(tracker.values) == [0, 1, 2]
    assert tracker.finished == 1


def test_each_run_opens_the_tracker_anew(make_trainer, train):
    tracker = InMemory()
    trainer = make_trainer(LogToTrackersCallback(tracker, config={"lr": 0.1}))
    train(trainer)
    train(trainer, num_epochs=2)
    assert tracker.finished == 2
    assert tracker.config == {"lr": 0.1}
    assert max(tracker.values) == 12


def test_a_resumed_run_counts_on(make_trainer, train):
    tracker = InMemory()
    first = LogToTrackersCallback(InMemory())
    train(make_trainer(first))
    resumed = LogToTrackersCallback(tracker)
    resumed.load_state_dict(first.state_dict())
    train(make_trainer(resumed))
    assert sorted(tracker.values) == [6, 7, 8, 9, 10, 11, 12]


def test_new_in_a_resumed_run_it_counts_the_run_s_updates(make_trainer, train, tmp_path):
    train(make_trainer(), num_epochs=2, checkpoint_dir=tmp_path, checkpoint_every=4)
    tracker = InMemory()
    trainer = make_trainer(LogToTrackersCallback(tracker))
    train(trainer, num_epochs=2, resume=tmp_path / "update_000000004")
    assert sorted(tracker.values) == [*range(4, 13)]


class Sent(InMemory):
    """Keeps every value that it was sent, in order."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def log(self, values, step=None, **kwargs):
        self.sent += [(step, name, value) for name, value in values.items()]


class Notes(TrainerCallback):
    """Records metrics of its own: one at each update, and several within some."""

    def on_update_end(self, trainer, **kwargs):
        for i in range(1 + trainer.run.num_updates % 3):
            trainer.run_history.update_metric("note", trainer.run.num_updates + i / 10)

    def on_eval_epoch_end(self, trainer, **kwargs):
        trainer.run_history.update_metric("evaluated_at", trainer.run.num_updates)


class Interrupt(TrainerCallback):
    def __init__(self, how, at=13):
        self.how, self.at = how, at

    def on_update_end(self, trainer, **kwargs):
        if trainer.run.num_updates == self.at:
            if isinstance(self.how, BaseException):
                raise self.how
            signal.raise_signal(self.how)


WAYS_TO_END = {
    "error": (RuntimeError("disk full"), RuntimeError),
    "interrupt": (KeyboardInterrupt(), KeyboardInterrupt),
    "preemption": (signal.SIGTERM, SystemExit),
    "kill": (KeyboardInterrupt(), KeyboardInterrupt),
}


@pytest.mark.parametrize("flush_every", [3, 100])
@pytest.mark.parametrize("way", WAYS_TO_END)
def test_each_value_is_sent_exactly_once_whatever_ended_the_run(
    make_trainer, train, tmp_path, way, flush_every
):
    how, error = WAYS_TO_END[way]

    def run(tracker, *others, is_killed=False, **options):
        torch.manual_seed(0)
        tracking = LogToTrackersCallback(tracker, flush_every=flush_every)
        if is_killed:
            tracking.after_run = lambda trainer: None
        callbacks = (tracking, Notes(), StepBasedEvaluationCallback(2), *others)
        options = {"checkpoint_every": 4, "seed": 1, "num_epochs": 4, **options}
        train(make_trainer(*callbacks), create_scheduler_fn=decay, **options)

    whole, parts = Sent(), Sent()
    run(whole, checkpoint_dir=tmp_path / "whole")
    folder = tmp_path / "parts"
    with pytest.raises(error):
        run(parts, Interrupt(how), is_killed=way == "kill", checkpoint_dir=folder)
    last = max(step for step, name, _ in parts.sent if name == "train_loss")
    assert last == (11 if way == "kill" else 12)
    run(parts, checkpoint_dir=folder, resume="auto")

    def sorted_of(sent):
        return sorted((name, step, value) for step, name, value in sent)

    assert sorted_of(parts.sent) == sorted_of(whole.sent)
    steps = [step for step, _, _ in whole.sent]
    assert steps == sorted(steps)  # some trackers take no step back
    at = {name: [step for step, n, _ in whole.sent if n == name] for _, name, _ in whole.sent}
    assert at["train_loss"] == list(range(24))
    assert at["note"] == [k for k in range(1, 25) for _ in range(1 + k % 3)]
    assert at["intermediate_eval_loss"] == list(range(2, 25, 2))
    assert [v for _, name, v in whole.sent if name == "evaluated_at"] == at["evaluated_at"]


def test_a_run_that_is_stopped_has_sent_all_of_it(make_trainer, train, tmp_path):
    tracker, stop = Sent(), Interrupt(StopTrainingError("enough"))
    train(
        make_trainer(LogToTrackersCallback(tracker), Notes(), stop),
        num_epochs=4,
        checkpoint_dir=tmp_path,
    )
    assert [step for step, name, _ in tracker.sent if name == "train_loss"] == list(range(13))
    assert [step for step, name, _ in tracker.sent if name == "note"][-2:] == [13, 13]


@pytest.mark.filterwarnings("ignore:this run differs")
def test_a_longer_run_sends_what_it_records_at_its_new_end(make_trainer, train, probe, tmp_path):
    tracker = Sent()
    for num_epochs in (1, 2):
        end = probe(
            on_training_run_end=lambda trainer: trainer.run_history.update_metric("at_end", 1.0)
        )
        trainer = make_trainer(LogToTrackersCallback(tracker), end)
        train(trainer, num_epochs=num_epochs, checkpoint_dir=tmp_path, resume="auto")
        trainer.evaluate(trainer.eval_dataset)
    assert [step for step, name, _ in tracker.sent if name == "at_end"] == [6, 12]
    assert [step for step, name, _ in tracker.sent if name == "train_loss"] == list(range(12))
    assert [step for step, name, _ in tracker.sent if name == "evaluation_loss"] == [6, 12]


def test_metrics_of_the_very_start_are_sent_and_old_ones_are_not(make_trainer, train, probe):
    tracker = Sent()
    start = probe(
        on_training_run_start=lambda trainer: trainer.run_history.update_metric("begun", 1.0)
    )
    trainer = make_trainer(start, LogToTrackersCallback(tracker))
    train(trainer)
    train(trainer)
    train(trainer, reset_run_history=False)
    assert [step for step, name, _ in tracker.sent if name == "begun"] == [0, 0, 6]
    assert len([1 for _, name, _ in tracker.sent if name == "train_loss_epoch"]) == 3


def test_two_callbacks_for_trackers_are_refused_and_several_trackers_are_not(make_trainer, train):
    trackers = [Sent(), Sent()]
    with pytest.raises(ValueError, match="Give one LogToTrackersCallback"):
        train(make_trainer(*map(LogToTrackersCallback, trackers)))
    trackers = [Sent(), Sent()]
    train(make_trainer(LogToTrackersCallback(trackers)))
    assert trackers[0].sent == trackers[1].sent != []


def test_without_a_tracker_the_run_is_refused_at_its_start(make_trainer, train):
    with pytest.raises(ValueError, match="there is no tracker to log to"):
        train(make_trainer(LogToTrackersCallback()))


def test_the_trainers_own_trackers_are_used_and_closed_once(make_trainer, train, dataset):
    tracker = InMemory()
    trainer = make_trainer(LogToTrackersCallback(), log_with=tracker)
    train(trainer)
    assert tracker.finished == 1
    assert sorted(tracker.values) == [0, 1, 2, 3, 4, 5, 6]
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert tracker.values[6]["evaluation_loss"] == pytest.approx(
        tracker.values[6]["eval_loss_epoch"]
    )


def test_other_data_that_a_callback_evaluates_is_logged_with_the_epoch(
    make_trainer, train, probe, dataset
):
    tracker = InMemory()
    evaluate = probe(on_training_run_epoch_end=lambda trainer: trainer.evaluate(dataset))
    trainer = make_trainer(LogToTrackersCallback(), evaluate, log_with=tracker)
    train(trainer, num_epochs=2)
    for num_updates in (6, 12):
        logged = tracker.values[num_updates]
        assert logged["evaluation_loss"] == pytest.approx(logged["eval_loss_epoch"])
    assert tracker.finished == 1
