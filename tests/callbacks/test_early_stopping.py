import math

import pytest

from pytorch_accelerated.callbacks import EarlyStoppingCallback
from pytorch_accelerated.trainer import Trainer


def epochs_run(make_trainer, train, scores, **kwargs):
    stopping = EarlyStoppingCallback(**{"watch_metric": "score", **kwargs})
    trainer = make_trainer(stopping).script(*scores)
    train(trainer, num_epochs=len(scores))
    return len(trainer.run_history.get_metric_values("score")), stopping


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([5, 4, 3, 2], 1, 4),
        ([5, 4, 4.5, 4.5, 4.5], 1, 3),
        ([5, 4, 4.5, 3, 3.5, 3.5, 3.5], 2, 6),
        ([5, 4.995, 4.99, 1], 1, 2),
    ],
)
def test_the_run_ends_after_patience_epochs_without_improvement(
    make_trainer, train, scores, patience, expected
):
    options = {"early_stopping_patience": patience, "early_stopping_threshold": 0.01}
    run, _ = epochs_run(make_trainer, train, scores, **options)
    assert run == expected


SMALL = [0.0017, 0.0003, 0.00006, 0.00001]


@pytest.mark.parametrize(
    ("scores", "options", "expected"),
    [
        (SMALL, {}, 4),
        ([-one for one in SMALL], {"greater_is_better": True}, 4),
        ([1.0, 1.0 - 1e-12, 1.0 - 2e-12], {}, 3),
        ([1.0, 1.0, 0.5], {}, 2),
        (SMALL, {"early_stopping_threshold": 0.5, "threshold_is_relative": True}, 4),
        ([8, 4.1, 2, 1], {"early_stopping_threshold": 0.5, "threshold_is_relative": True}, 2),
        ([-8, -9, -9.5], {"early_stopping_threshold": 0.1, "threshold_is_relative": True}, 3),
        ([-8, -9, -9.5, 0], {"early_stopping_threshold": 0.1, "threshold_is_relative": True}, 3),
        ([math.inf, 5, 1], {"early_stopping_threshold": 0.1, "threshold_is_relative": True}, 3),
        ([0.0, 0.0, 0.0], {"early_stopping_threshold": 0.1, "threshold_is_relative": True}, 2),
    ],
)
def test_what_counts_as_better(make_trainer, train, scores, options, expected):
    run, _ = epochs_run(make_trainer, train, scores, **options)
    assert run == expected


def test_it_says_what_it_stopped_for(make_trainer, train, capsys):
    epochs_run(make_trainer, train, [1.0, 1.0])
    epochs_run(
        make_trainer,
        train,
        [8.0, 7.5, 7.5],
        early_stopping_patience=2,
        early_stopping_threshold=0.1,
        threshold_is_relative=True,
    )
    epochs_run(make_trainer, train, [math.nan])
    assert [line for line in capsys.readouterr().out.splitlines() if "early" in line] == [
        "Stopping early: score is 1, which in 1 epoch has not become better than 1",
        "Stopping early: score is 7.5, which in 2 epochs has not become better than 8 by more "
        "than 0.8",
        "Stopping early: score is nan",
    ]


def test_greater_can_be_better(make_trainer, train):
    run, stopping = epochs_run(make_trainer, train, [1, 2, 3, 2.5, 9], greater_is_better=True)
    assert run == 4
    assert (stopping.best_metric, stopping.best_metric_epoch) == (3, 3)


def test_small_steps_add_up_to_an_improvement_over_the_best(make_trainer, train):
    scores = [1.0, 0.994, 0.988, 0.982, 0.982, 0.982]
    options = {"early_stopping_patience": 2, "early_stopping_threshold": 0.01}
    run, stopping = epochs_run(make_trainer, train, scores, **options)
    assert run == 5
    assert stopping.best_metric == 0.988


def test_patience_0_compares_once_before_it_stops(make_trainer, train):
    run, _ = epochs_run(make_trainer, train, [3, 2, 2, 1], early_stopping_patience=0)
    assert run == 3


def test_a_nan_is_never_the_best(make_trainer, train):
    run, stopping = epochs_run(
        make_trainer, train, [math.nan, 5, 4, math.nan, 3], early_stopping_patience=2
    )
    assert run == 5
    assert stopping.best_metric == 3


def test_each_run_starts_anew_unless_told_otherwise(make_trainer, train):
    for reset, expected in ((True, 3), (False, 1)):
        stopping = EarlyStoppingCallback(watch_metric="score", reset_on_train=reset)
        trainer = make_trainer(stopping).script(3, 2, 1)
        train(trainer, num_epochs=3)
        trainer.script(9, 8, 7)
        train(trainer, num_epochs=3)
        assert len(trainer.run_history.get_metric_values("score")) == expected


def test_watching_an_evaluation_without_data_is_refused_before_the_first_epoch(make_trainer, train):
    trainer = make_trainer(EarlyStoppingCallback())
    with pytest.raises(ValueError, match="has no eval_dataset"):
        train(trainer, eval_dataset=None)
    assert list(trainer.run_history.get_metric_names()) == []


def test_a_metric_may_be_named_after_evaluations_that_the_user_makes(make_trainer, train):
    class Own(Trainer):
        def training_run_epoch_end(self):
            self.run_history.update_metric("eval_score", 1.0)

    stopping = EarlyStoppingCallback(1, watch_metric="eval_score")
    train(make_trainer(stopping, trainer=Own), num_epochs=5, eval_dataset=None)
    assert stopping.best_metric == 1.0


def test_a_metric_that_nobody_records_is_named_with_those_there_are(make_trainer, train):
    trainer = make_trainer(EarlyStoppingCallback(watch_metric="acuracy"))
    with pytest.raises(ValueError, match=r"'acuracy'.*Recorded are: 'train_loss_epoch'"):
        train(trainer)


def test_a_resumed_run_goes_on_with_the_counter_and_the_best(make_trainer, train):
    _, first = epochs_run(make_trainer, train, [5, 4, 4], early_stopping_patience=3)
    resumed = EarlyStoppingCallback(early_stopping_patience=3, watch_metric="score")
    resumed.load_state_dict(first.state_dict())

    trainer = make_trainer(resumed).script(4, 4, 4)
    train(trainer, num_epochs=3)

    assert first.early_stopping_patience_counter == 1
    assert len(trainer.run_history.get_metric_values("score")) == 2


@pytest.mark.parametrize(
    "kwargs", [{"early_stopping_patience": -1}, {"early_stopping_threshold": -0.1}]
)
def test_negative_arguments_are_refused(kwargs):
    with pytest.raises(ValueError, match=next(iter(kwargs))):
        EarlyStoppingCallback(**kwargs)
