import pytest
import torch

from pytorch_accelerated.callbacks import TrainerCallback, WSDCheckpointCallback


class Periods:
    """Any scheduler that tells its checkpoints will do: periods of four updates, two of decay."""

    decay_phase_ratio = 0.5

    def __init__(self, optimizer, total_steps=12):
        self.optimizer, self.total_steps, self.count = optimizer, total_steps, 0

    def step(self):
        self.count += 1

    def get_current_step(self):
        return self.count

    def get_checkpoint_steps(self):
        return list(range(4, self.total_steps + 1, 4))

    def get_decay_info(self):
        return [
            {
                "period_start": end - 4,
                "period_end": end,
                "decay_steps": 2,
                "pre_decay_step": end - 2,
            }
            for end in self.get_checkpoint_steps()
        ]

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]


class Weights(TrainerCallback):
    def __init__(self):
        self.all = []

    def on_training_run_start(self, trainer, **kwargs):
        self.all.append(trainer.get_model().weight.detach().clone())

    def on_update_end(self, trainer, **kwargs):
        self.all.append(trainer.get_model().weight.detach().clone())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(make_trainer, train, *callbacks, **kwargs):
    kwargs = {"num_epochs": 2, "create_scheduler_fn": Periods, **kwargs}
    return train(make_trainer(*callbacks), **kwargs)


def test_it_saves_a_state_before_and_a_checkpoint_after_each_decay(make_trainer, train, tmp_path):
    callback = WSDCheckpointCallback(tmp_path / "wsd")
    run(make_trainer, train, callback)
    assert names(tmp_path / "wsd") == sorted(
        [f"checkpoint_{n}_wsd_pre_decay" for n in (2, 6, 10)]
        + [f"checkpoint_{n}_wsd_post_decay.pt" for n in (4, 8, 12)]
    )
    assert callback.last_checkpoint_step == 12
    assert callback.checkpoint_steps == [4, 8, 12]
    assert callback.decay_fraction == 0.5


def test_they_hold_the_weights_and_the_numbers_of_their_update(make_trainer, train, tmp_path):
    weights = Weights()
    run(make_trainer, train, WSDCheckpointCallback(tmp_path), weights)

    after = torch.load(tmp_path / "checkpoint_8_wsd_post_decay.pt", weights_only=True)
    assert torch.equal(after["model_state_dict"]["weight"], weights.all[8])
    assert after["scheduler_state_dict"] == {"count": 8}
    assert after["optimizer_state_dict"]
    metadata = {key: after[key] for key in ("step", "total_steps", "decay_fraction")}
    assert metadata == {"step": 8, "total_steps": 12, "decay_fraction": 0.5}
    assert after["checkpoint_type"] == "wsd_post_decay"
    assert after["timestamp"][:2] == "20"

    resumed = Weights()
    before = tmp_path / "checkpoint_6_wsd_pre_decay"
    trainer = run(make_trainer, train, resumed, resume_from=before)
    assert torch.equal(resumed.all[0], weights.all[6])
    assert torch.equal(resumed.all[-1], weights.all[12])
    assert trainer.load_training_state(before)["checkpoint_type"] == "wsd_pre_decay"


def test_optimizer_and_scheduler_can_be_left_out(make_trainer, train, tmp_path):
    callback = WSDCheckpointCallback(tmp_path, save_optimizer=False, save_scheduler=False)
    run(make_trainer, train, callback)
    saved = torch.load(tmp_path / "checkpoint_4_wsd_post_decay.pt", weights_only=True)
    assert not {"optimizer_state_dict", "scheduler_state_dict"} & set(saved)


@pytest.mark.parametrize(
    ("name", "step"), [("checkpoint_4_wsd_post_decay.pt", 4), ("checkpoint_6_wsd_pre_decay", 6)]
)
def test_an_initial_checkpoint_is_loaded_from_a_file_or_a_folder(
    make_trainer, train, tmp_path, name, step
):
    weights = Weights()
    run(make_trainer, train, WSDCheckpointCallback(tmp_path), weights)

    loaded = Weights()
    callback = WSDCheckpointCallback(tmp_path / "next", initial_checkpoint=tmp_path / name)
    trainer = run(make_trainer, train, callback, loaded, max_num_train_steps=1)
    assert torch.equal(loaded.all[0], weights.all[step])
    assert trainer.scheduler.count == step + 1


def test_a_missing_initial_checkpoint_is_an_error(make_trainer, train, tmp_path):
    callback = WSDCheckpointCallback(tmp_path, initial_checkpoint=tmp_path / "nothing.pt")
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        run(make_trainer, train, callback)


def test_continuing_from_a_step_saves_at_that_step_again_when_it_is_due(
    make_trainer, train, tmp_path
):
    run(make_trainer, train, WSDCheckpointCallback(tmp_path / "first"))

    class FromTheStart(Periods):
        def load_state_dict(self, state_dict):
            self.count = 0

    callback = WSDCheckpointCallback(
        tmp_path / "second", initial_checkpoint=tmp_path / "first" / "checkpoint_2_wsd_pre_decay"
    )
    run(make_trainer, train, callback, create_scheduler_fn=FromTheStart)
    assert "checkpoint_2_wsd_pre_decay" in names(tmp_path / "second")


def test_what_loading_changes_in_the_schedule_is_heeded(make_trainer, train, tmp_path):
    run(make_trainer, train, WSDCheckpointCallback(tmp_path))

    class Moving(Periods):
        def load_state_dict(self, state_dict):
            super().load_state_dict(state_dict)
            self.total_steps, self.decay_phase_ratio = 8, 0.25

    callback = WSDCheckpointCallback(
        tmp_path / "next", initial_checkpoint=tmp_path / "checkpoint_4_wsd_post_decay.pt"
    )
    run(make_trainer, train, callback, create_scheduler_fn=Moving)
    assert callback.checkpoint_steps == [4, 8]
    assert callback.decay_fraction == 0.25


def test_another_kind_of_scheduler_is_refused_at_the_start(make_trainer, train, tmp_path):
    with pytest.raises(ValueError, match="needs a scheduler that tells its checkpoints"):
        run(make_trainer, train, WSDCheckpointCallback(tmp_path), create_scheduler_fn=None)
