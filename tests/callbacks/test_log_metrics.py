from pytorch_accelerated.callbacks import LogMetricsCallback, StepBasedEvaluationCallback


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
        ["train_loss_epoch", "constraint_violation", "train_accuracy"],
        ["eval_loss_epoch"],
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


def test_without_evaluation_other_metrics_are_logged_at_the_epochs_end(make_trainer, train):
    log = Collect()
    train(make_trainer(log).script(0.5), eval_dataset=None)
    assert [list(metrics) for metrics in log.logged] == [["train_loss_epoch"], ["score"]]


def test_values_are_printed_one_a_line(make_trainer, train, capsys):
    train(make_trainer(LogMetricsCallback).script(0.25), eval_dataset=None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("train_loss_epoch: ")
    assert lines[1] == "score: 0.25"


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
        ["train_loss_epoch"], ["eval_loss_epoch"],
    ]  # fmt: skip
