import pytest
import torch

from pytorch_accelerated.callbacks import (
    EarlyStoppingCallback,
    SaveTrainingStateCallback,
    TrainerCallback,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def constant(optimizer):
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=100)


class Weights(TrainerCallback):
    """The weights at the run's start, and after each update."""

    def __init__(self):
        self.all = []

    def on_training_run_start(self, trainer, **kwargs):
        self.all.append(trainer.get_model().weight.detach().clone())

    def on_update_end(self, trainer, **kwargs):
        self.all.append(trainer.get_model().weight.detach().clone())


def test_states_are_named_after_epochs_updates_and_the_end(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_epochs=2, save_every_n_steps=5)
    train(make_trainer(saver), num_epochs=3)
    assert names(tmp_path) == ["epoch_2", "final", "step_10", "step_15", "step_5"]


def test_steps_count_optimizer_updates(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_steps=2, save_at_end=False)
    train(make_trainer(saver), num_epochs=2, gradient_accumulation_steps=4)
    assert names(tmp_path) == ["step_2", "step_4"]


def test_every_state_holds_what_was_reached_and_can_be_resumed(make_trainer, train, tmp_path):
    straight = Weights()
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_epochs=1, save_every_n_steps=4)
    trainer = make_trainer(saver, straight)
    train(trainer, num_epochs=3, create_scheduler_fn=constant)

    # The weights before any update come first.
    for name, updates in {
        "step_4": 4,
        "epoch_1": 6,
        "step_8": 8,
        "epoch_2": 12,
        "step_12": 12,
    }.items():
        weights = Weights()
        resumed = make_trainer(weights, SaveTrainingStateCallback(tmp_path / "resumed"))
        train(resumed, num_epochs=3, create_scheduler_fn=constant, resume_from=tmp_path / name)
        assert torch.equal(weights.all[0], straight.all[updates])
        assert len(weights.all) == 1 + 18 - updates
        assert torch.equal(weights.all[-1], straight.all[-1])
        assert resumed.run_history.current_epoch == 4
        losses = resumed.run_history.get_metric_values("train_loss_epoch")
        assert losses == trainer.run_history.get_metric_values("train_loss_epoch")


def test_metadata_tells_the_update(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_steps=4, save_at_end=False)
    trainer = train(make_trainer(saver))
    assert trainer.load_training_state(tmp_path / "step_4")["global_step"] == 4


def test_a_state_holds_what_other_callbacks_made_of_the_epoch(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_epochs=1, save_at_end=False)
    stopping = EarlyStoppingCallback(early_stopping_patience=3, watch_metric="score")
    train(make_trainer(saver, stopping).script(2.0, 2.0), num_epochs=2)

    resumed = EarlyStoppingCallback(early_stopping_patience=3, watch_metric="score")
    trainer = make_trainer(resumed, SaveTrainingStateCallback(tmp_path)).script(2.0, 2.0, 2.0)
    with pytest.warns(UserWarning, match="num_epochs: 2 before, 9 now"):
        train(trainer, num_epochs=9, resume_from=tmp_path / "epoch_2")

    assert resumed.early_stopping_patience_counter == 3
    assert trainer.run_history.current_epoch == 5


def test_old_states_are_removed_beyond_the_maximum(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_epochs=1, max_checkpoints=2)
    train(make_trainer(saver), num_epochs=4)
    assert names(tmp_path) == ["epoch_4", "final"]
    assert [path.name for path in saver._saved_checkpoints] == ["epoch_4", "final"]


def test_a_name_saved_again_is_kept(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, max_checkpoints=1)
    trainer = make_trainer(saver)
    for _ in range(3):
        train(trainer)
        assert names(tmp_path) == ["final"]


def test_a_resumed_run_counts_on_and_goes_on_removing(make_trainer, train, tmp_path):
    kwargs = {"save_every_n_steps": 4, "save_at_end": False, "max_checkpoints": 2}
    train(make_trainer(SaveTrainingStateCallback(tmp_path, **kwargs)), num_epochs=2)
    assert names(tmp_path) == ["step_12", "step_8"]

    resumed = make_trainer(SaveTrainingStateCallback(tmp_path, **kwargs))
    with pytest.warns(UserWarning, match="num_epochs: 2 before, 3 now"):
        train(resumed, num_epochs=3, resume_from=tmp_path / "step_8")

    assert names(tmp_path) == ["step_12", "step_16"]


@pytest.mark.parametrize("saved_at", [4, 8])
def test_new_in_a_resumed_run_it_counts_the_run_s_updates(make_trainer, train, tmp_path, saved_at):
    train(make_trainer(), num_epochs=2, checkpoint_dir=tmp_path / "first", checkpoint_every=2)
    saver = SaveTrainingStateCallback(tmp_path / "on", save_every_n_steps=4, save_at_end=False)
    train(make_trainer(saver), num_epochs=2, resume=tmp_path / "first" / f"update_{saved_at:09d}")
    assert names(tmp_path / "on") == ["step_12", "step_8"][: 2 if saved_at < 8 else 1]


def test_a_run_that_goes_on_with_the_history_counts_on(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_steps=4, save_at_end=False)
    trainer = train(make_trainer(saver))
    train(trainer, reset_run_history=False)
    assert names(tmp_path) == ["step_12", "step_4", "step_8"]


def test_a_new_run_counts_from_the_start(make_trainer, train, tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_steps=4, save_at_end=False)
    trainer = train(make_trainer(saver))
    train(trainer)
    assert names(tmp_path) == ["step_4"]


@pytest.mark.parametrize("name", ["save_every_n_epochs", "save_every_n_steps", "max_checkpoints"])
def test_numbers_below_1_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}=0 .* None for"):
        SaveTrainingStateCallback(tmp_path, **{name: 0})


def test_weights_that_are_no_numbers_do_not_replace_a_good_state(
    make_trainer, train, probe, tmp_path
):
    def ruin(trainer):
        trainer.get_model().bias.data.fill_(float("nan"))

    saver = SaveTrainingStateCallback(tmp_path, save_every_n_epochs=1, max_checkpoints=1)
    trainer = make_trainer(probe(on_training_run_end=ruin), saver)
    with pytest.warns(UserWarning, match="final is not saved: the weights hold a NaN"):
        train(trainer, num_epochs=2)
    assert names(tmp_path) == ["epoch_2"]
