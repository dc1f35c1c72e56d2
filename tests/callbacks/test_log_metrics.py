import pytest
import torch
from torch import nn

from pytorch_accelerated.callbacks import (
    LogMetricsCallback,
    StepBasedEvaluationCallback,
    StopTrainingError,
    get_default_callbacks,
)
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import linear
from pytorch_accelerated.trainer import Trainer


class Collect(LogMetricsCallback):
    def __init__(self):
        super().__init__()
        self.logged = []

    def log_metrics(self, trainer, metrics):
        self.logged.append(dict(metrics))


def record(**metrics):
    def at_event(trainer, **kwargs):
        for name, value in metrics.items():
            trainer.run_history.update_metric(name, value)

    return at_event


def test_what_an_epoch_records_is_logged_at_its_end(make_trainer, train, probe):
    log = Collect()
    recorder = probe(on_train_epoch_end=record(constraint_violation=1.0, train_accuracy=0.5))

    train(make_trainer(log, recorder))

    assert [list(metrics) for metrics in log.logged] == [
        ["train_loss_epoch", "constraint_violation", "train_accuracy", "eval_loss_epoch"],
    ]


def test_a_value_is_logged_once(make_trainer, train, probe):
    log = Collect()
    once = iter([1.0])

    def only_in_the_first_epoch(trainer, **kwargs):
        for value in once:
            trainer.run_history.update_metric("train_extra", value)

    trainer = make_trainer(log, probe(on_train_epoch_end=only_in_the_first_epoch))
    train(trainer, num_epochs=3, eval_dataset=None)
    train(trainer, num_epochs=1, eval_dataset=None, reset_run_history=False)

    assert [list(metrics) for metrics in log.logged] == [
        ["train_loss_epoch", "train_extra"], *[["train_loss_epoch"]] * 3
    ]  # fmt: skip


def test_an_epoch_is_one_line_with_metrics_rate_and_time(make_trainer, train, capsys):
    def decay(optimizer):
        return ParamScheduler(optimizer, lr=linear(12, end=0.0))

    trainer = make_trainer(LogMetricsCallback).script(0.25, 1e-7)
    train(trainer, num_epochs=2, create_scheduler_fn=decay)
    losses = [
        trainer.run_history.get_metric_values(f"{one}_loss_epoch") for one in ("train", "eval")
    ]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for epoch, (line, training, evaluation) in enumerate(zip(lines, *losses, strict=True), 1):
        *shown, seconds, unit = line.split()
        # Four significant digits; the rate is that of the epoch's last update.
        assert " ".join(shown) == (
            f"epoch {epoch}/2 train_loss {training:#.4g} eval_loss {evaluation:#.4g} "
            f"score {('0.2500', '1.000e-7')[epoch - 1]} lr {('0.02917', '4.167e-3')[epoch - 1]}"
        )
        assert float(seconds) >= 0
        assert unit == "s"


def test_epochs_are_counted_as_in_the_history_and_up_to_the_limit(make_trainer, train, capsys):
    trainer = make_trainer(LogMetricsCallback)
    train(trainer, num_epochs=1, eval_dataset=None)
    train(trainer, num_epochs=99, max_num_train_steps=8, reset_run_history=False)
    headings = [" ".join(line.split()[:2]) for line in capsys.readouterr().out.splitlines()]
    assert headings[:3] == ["epoch 1/1", "epoch 2/3", "epoch 3/3"]


def test_what_a_stopped_epoch_recorded_is_printed(make_trainer, train, capsys, probe):
    def stop(trainer, **kwargs):
        raise StopTrainingError("enough")

    train(make_trainer(LogMetricsCallback, probe(on_eval_epoch_start=stop)))
    message, line = capsys.readouterr().out.splitlines()
    assert message == "enough"
    assert line.startswith("epoch 1  train_loss ")


def test_groups_with_other_rates_and_values_that_are_not_numbers(train, capsys, probe):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    groups = [
        {"params": model[0].parameters(), "lr": 0.1, "name": "body"},
        {"params": model[1].parameters(), "lr": 0.2},
    ]
    values = record(table=[[1, 2], [3, 4]], count=7, note="x" * 50)
    callbacks = [LogMetricsCallback, probe(on_train_epoch_end=values)]
    train(Trainer(model, nn.MSELoss(), torch.optim.SGD(groups), callbacks))
    line = capsys.readouterr().out
    for part in ("lr of body 0.1 ", "table [[1, 2], [3, 4]]  count 7  note " + "x" * 39 + "…  "):
        assert part in line


@pytest.mark.parametrize(("value", "name"), [("C", "LC_ALL"), ("POSIX", "LANG")])
def test_nothing_but_ascii_where_the_locale_says_so(
    make_trainer, train, capsys, monkeypatch, value, name
):
    for one in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, value)
    create = ParamScheduler.create_scheduler_fn(lr=linear(12, start=0.0))
    train(make_trainer(*get_default_callbacks()), num_epochs=2, create_scheduler_fn=create)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert printed.startswith("12 updates, 6 an epoch; lr 0 -> 0.05\n")


def test_an_evaluation_run_logs_its_own_metrics_only(make_trainer, train, dataset):
    log = Collect()
    trainer = make_trainer(log)
    train(trainer)
    log.logged.clear()
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert [list(metrics) for metrics in log.logged] == [["evaluation_loss"]]


def test_intermediate_evaluations_are_logged(make_trainer, train):
    log = Collect()
    train(make_trainer(log, StepBasedEvaluationCallback(3)))
    assert [list(metrics) for metrics in log.logged] == [
        ["intermediate_eval_loss"], ["intermediate_eval_loss"],
        ["train_loss_epoch", "eval_loss_epoch"],
    ]  # fmt: skip
