import math
import re

import numpy as np
import pytest
import torch

from pytorch_accelerated.callbacks import (
    EarlyStoppingCallback,
    SaveBestModelCallback,
    SaveTrainingStateCallback,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "best.pt"


def constant(optimizer):
    return torch.optim.lr_scheduler.ConstantLR(optimizer)


def load(path):
    return torch.load(path, weights_only=True)


def weights_after_each_epoch(probe):
    weights = []
    keep = lambda trainer, **kw: weights.append(trainer.get_model().weight.detach().clone())  # noqa: E731
    return probe(on_train_epoch_end=keep), weights


def test_the_best_epochs_model_is_saved_and_loaded_at_the_end(make_trainer, train, probe, path):
    recorder, weights = weights_after_each_epoch(probe)
    saver = SaveBestModelCallback(path, "score", greater_is_better=True)
    trainer = make_trainer(saver, recorder).script(1, 3, 2)

    train(trainer, num_epochs=3)

    assert torch.equal(trainer.get_model().weight, weights[1])
    assert (saver.best_metric, saver.best_metric_epoch) == (3, 2)
    assert torch.equal(load(path)["model_state_dict"]["weight"], weights[1])


def test_the_metric_is_stored_under_its_name_on_every_save(make_trainer, train, path):
    for scores in ([3.0], [3.0, 2.0]):
        trainer = make_trainer(SaveBestModelCallback(path, "score")).script(*scores)
        train(trainer, num_epochs=len(scores))
        assert load(path)["score"] == scores[-1]


@pytest.mark.parametrize("wanted", [True, False])
def test_scheduler_and_optimizer_are_in_the_file_if_wanted_on_every_save(
    make_trainer, train, path, wanted
):
    for scores in ([3.0], [3.0, 2.0]):
        saver = SaveBestModelCallback(path, "score", save_scheduler=wanted, save_optimizer=wanted)
        trainer = make_trainer(saver).script(*scores)
        train(trainer, num_epochs=len(scores), create_scheduler_fn=constant)
        assert ("scheduler_state_dict" in load(path)) is wanted
        assert ("optimizer_state_dict" in load(path)) is wanted


def test_nothing_is_loaded_if_this_run_saved_nothing(make_trainer, train, path):
    train(make_trainer(SaveBestModelCallback(path, "score")).script(1.0))
    before = load(path)
    trainer = make_trainer(SaveBestModelCallback(path, "score"), lr=0.0).script(math.nan)

    train(trainer)

    assert torch.count_nonzero(before["model_state_dict"]["weight"])
    assert torch.count_nonzero(trainer.get_model().weight) == 0


def test_loading_at_the_end_can_be_turned_off(make_trainer, train, probe, path):
    recorder, weights = weights_after_each_epoch(probe)
    saver = SaveBestModelCallback(path, "score", load_saved_checkpoint=False)
    trainer = make_trainer(saver, recorder).script(1, 2)

    train(trainer, num_epochs=2)

    assert torch.equal(trainer.get_model().weight, weights[1])


def test_a_numpy_metric_is_stored_as_a_plain_float(make_trainer, train, path):
    train(make_trainer(SaveBestModelCallback(path, "score")).script(np.float64(0.5)))
    assert type(load(path)["score"]) is float


def test_a_nan_is_never_the_best(make_trainer, train, path):
    saver = SaveBestModelCallback(path, "score")
    train(make_trainer(saver).script(math.nan, 2.0, math.nan), num_epochs=3)
    assert (saver.best_metric, saver.best_metric_epoch) == (2.0, 2)


def test_early_stopping_listed_before_does_not_hide_the_last_epoch(make_trainer, train, path):
    stopping = EarlyStoppingCallback(early_stopping_threshold=0.5, watch_metric="score")
    saver = SaveBestModelCallback(path, "score")
    train(make_trainer(stopping, saver).script(2.0, 1.9, 1.8), num_epochs=3)
    assert saver.best_metric == 1.9


def test_two_savers_follow_two_metrics(make_trainer, train, tmp_path):
    savers = [
        SaveBestModelCallback(tmp_path / "score.pt", "score", load_saved_checkpoint=False),
        SaveBestModelCallback(tmp_path / "loss.pt", "train_loss_epoch"),
    ]
    train(make_trainer(*savers).script(1.0, 2.0), num_epochs=2)
    assert [saver.best_metric_epoch for saver in savers] == [1, 2]


def test_a_final_training_state_holds_the_last_weights_not_the_best(
    make_trainer, train, probe, tmp_path, path
):
    recorder, weights = weights_after_each_epoch(probe)
    saver = SaveBestModelCallback(path, "score")
    states = SaveTrainingStateCallback(tmp_path / "states")
    trainer = make_trainer(saver, states, recorder).script(1, 2)
    train(trainer, num_epochs=2)
    assert torch.equal(trainer.get_model().weight, weights[0])

    starts = []
    keep = probe(on_training_run_start=lambda t: starts.append(t.get_model().weight.clone()))
    resumed = make_trainer(keep, SaveTrainingStateCallback(tmp_path), SaveBestModelCallback(path))
    with pytest.warns(UserWarning, match="num_epochs: 2 before, 3 now"):
        train(resumed, num_epochs=3, resume_from=tmp_path / "states" / "final")

    assert torch.equal(starts[0], weights[1])


def test_each_run_starts_anew_unless_told_otherwise(make_trainer, train, path):
    for reset, expected in ((True, 5.0), (False, 1.0)):
        saver = SaveBestModelCallback(path, "score", reset_on_train=reset)
        trainer = make_trainer(saver).script(1.0)
        train(trainer)
        train(trainer.script(5.0))
        assert saver.best_metric == expected


def test_state_survives_a_checkpoint(make_trainer, train, path):
    saver = SaveBestModelCallback(path, "score")
    train(make_trainer(saver).script(2.0, 1.0), num_epochs=2)

    resumed = SaveBestModelCallback(path, "score")
    resumed.load_state_dict(saver.state_dict())
    trainer = make_trainer(resumed, lr=0.0).script(1.5)
    train(trainer)

    assert (resumed.best_metric, resumed.best_metric_epoch) == (1.0, 2)
    assert torch.equal(trainer.get_model().weight, load(path)["model_state_dict"]["weight"])


def test_a_resumed_run_loads_the_best_model_of_its_first_part(make_trainer, train, probe, tmp_path):
    recorder, weights = weights_after_each_epoch(probe)
    run = {"checkpoint_dir": tmp_path / "run", "resume": "auto"}
    path = tmp_path / "best.pt"
    train(make_trainer(SaveBestModelCallback(path, "score"), recorder).script(1.0), **run)
    trainer = make_trainer(SaveBestModelCallback(path, "score")).script(2.0)
    with pytest.warns(UserWarning, match="num_epochs: 1 before, 2 now"):
        train(trainer, num_epochs=2, **run)
    assert torch.equal(trainer.get_model().weight, weights[0])


@pytest.mark.parametrize("is_moved", [True, False])
def test_a_file_that_the_run_has_not_saved_is_not_loaded(
    make_trainer, train, probe, tmp_path, is_moved
):
    """Nor is one missed that is gone: training was not for nothing."""
    recorder, weights = weights_after_each_epoch(probe)
    run = {"checkpoint_dir": tmp_path / "run", "resume": "auto"}
    path, of_another_run = tmp_path / "best.pt", tmp_path / "other.pt"
    train(make_trainer(SaveBestModelCallback(path, "score")).script(1.0), **run)
    train(make_trainer(SaveBestModelCallback(of_another_run, "score"), lr=0.5).script(1.0))
    if not is_moved:
        path.unlink()

    saver = SaveBestModelCallback(of_another_run if is_moved else path, "score")
    trainer = make_trainer(saver, recorder).script(2.0)
    problem = f"but save_path is {of_another_run} now" if is_moved else "which is gone"
    with (
        pytest.warns(UserWarning, match="num_epochs: 1 before, 2 now"),
        pytest.warns(UserWarning, match=re.escape(f"epoch 1 was saved to {path}, {problem}")),
    ):
        train(trainer, num_epochs=2, **run)

    assert torch.equal(trainer.get_model().weight, weights[0])
    assert saver.best_metric == 1.0


def test_a_better_model_after_resuming_is_loaded_from_the_new_path(make_trainer, train, tmp_path):
    run = {"checkpoint_dir": tmp_path / "run", "resume": "auto"}
    train(make_trainer(SaveBestModelCallback(tmp_path / "old.pt", "score")).script(2.0), **run)
    trainer = make_trainer(SaveBestModelCallback(tmp_path / "new.pt", "score")).script(1.0, 3.0)
    with pytest.warns(UserWarning, match="num_epochs: 1 before, 3 now"):
        train(trainer, num_epochs=3, **run)
    best = load(tmp_path / "new.pt")["model_state_dict"]["weight"]
    assert torch.equal(trainer.get_model().weight, best)
