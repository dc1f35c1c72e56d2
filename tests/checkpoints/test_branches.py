import hashlib
from functools import partial

import pytest
import torch

from pytorch_accelerated.callbacks import ScheduleMonitorCallback, WSDCheckpointCallback
from pytorch_accelerated.checkpoints import CheckpointError, verify
from pytorch_accelerated.schedulers import WSDLrScheduler
from tests.checkpoints.runs import DieAt, Interrupted, Net, make, names, outcome, train


def contents(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def wsd(total, **kwargs):
    """Warmup of 3 updates; the last fifth decays."""
    kwargs = {"num_warmup_steps": 3, "decay_phase_ratio": 0.2, "lr_min": 0.0, **kwargs}
    return partial(WSDLrScheduler, total_steps=total, **kwargs)


def planned(total, **kwargs):
    optimizer = torch.optim.SGD(Net().parameters(), lr=0.005, momentum=0.9)
    scheduler = wsd(total, **kwargs)(optimizer)
    return [scheduler.get_updated_values(k)[0] for k in range(total)]


@pytest.fixture(scope="module")
def main_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("main")
    callback = WSDCheckpointCallback(folder / "wsd")
    train(make(callback), folder / "run", num_epochs=5, create_scheduler_fn=wsd(30))
    return folder


def branch_from(start, folder, *callbacks, total=20, **kwargs):
    monitor = ScheduleMonitorCallback()
    trainer = make(monitor, *callbacks)
    kwargs = {"num_epochs": 5, "max_num_train_steps": total, **kwargs}
    train(trainer, folder, resume=start, create_scheduler_fn=wsd(total), **kwargs)
    return trainer, [lr for (lr,) in monitor.applied["lr"]]


@pytest.mark.parametrize("update", [4, 8, 12, 16])
def test_any_checkpoint_of_the_stable_phase_can_decay_apart(main_run, tmp_path, update):
    before = contents(main_run)
    start = main_run / "run" / f"update_{update:09d}"
    with pytest.warns(UserWarning, match="max_num_train_steps: None before, 20 now"):
        trainer, applied = branch_from(start, tmp_path)
    assert trainer.num_updates == 20
    assert applied == planned(20)[update:]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0
    assert names(tmp_path)[-1] == "update_000000020_end"
    assert contents(main_run) == before


def test_a_branch_that_was_interrupted_goes_on_by_the_same_command(main_run, tmp_path, capsys):
    start = main_run / "run" / "update_000000012"
    with pytest.warns(UserWarning, match="max_num_train_steps"):
        straight, _ = branch_from(start, tmp_path / "straight")
    with pytest.warns(UserWarning, match="max_num_train_steps"), pytest.raises(Interrupted):
        branch_from(start, tmp_path / "branch", DieAt(6))
    capsys.readouterr()
    resumed, applied = branch_from(start, tmp_path / "branch")
    assert f"continuing from {tmp_path / 'branch'}" in capsys.readouterr().out
    assert applied == planned(20)[12:]
    assert outcome(resumed) == outcome(straight)


def test_a_folder_of_checkpoints_stands_for_its_newest(main_run, tmp_path):
    with pytest.warns(UserWarning, match="max_num_train_steps"):
        _, applied = branch_from(main_run / "run", tmp_path, total=36, num_epochs=9)
    assert len(applied) == 6


def test_a_branch_needs_no_folder_of_its_own(main_run):
    before = contents(main_run)
    start = main_run / "wsd" / "checkpoint_24_wsd_pre_decay"
    with pytest.warns(UserWarning, match="max_num_train_steps"):
        trainer, applied = branch_from(
            start, None, total=40, num_epochs=9, checkpoint_dir=None, checkpoint_every=None
        )
    assert trainer.num_updates == 40
    assert applied == planned(40)[24:]
    assert contents(main_run) == before


def test_a_run_does_not_go_back_in_its_own_folder(main_run):
    before = contents(main_run)
    start = main_run / "run" / "update_000000012"
    with pytest.raises(ValueError, match=r"later checkpoints, such as .*update_000000030_end"):
        branch_from(start, main_run / "run")
    assert contents(main_run) == before


def test_a_new_run_does_not_begin_among_another_one_s_checkpoints(main_run):
    with pytest.raises(ValueError, match="holds checkpoints of a run already"):
        train(make(), main_run / "run", resume=None)


def test_a_place_without_checkpoints_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint or folder of checkpoints at"):
        train(make(), tmp_path / "run", resume=tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="is not a checkpoint, and there is none in it"):
        train(make(), tmp_path / "run", resume=tmp_path)


@pytest.mark.parametrize("inside", ["", "update_000000006_end"])
def test_the_present_folder_is_one_to_go_on_from(tmp_path, monkeypatch, inside):
    train(make(), tmp_path / "run", num_epochs=1)
    monkeypatch.chdir(tmp_path / "run" / inside)
    with pytest.warns(UserWarning, match="num_epochs: 1 before, 3 now"):
        resumed = train(make(), tmp_path / "branch", resume=".")
    assert outcome(resumed) == outcome(train(make()))


def test_auto_begins_where_there_is_nothing_to_go_on_from(tmp_path):
    assert train(make(), tmp_path / "new" / "folder").num_updates == 18


def test_the_callback_keeps_states_before_and_files_after_decays(tmp_path):
    monitor = ScheduleMonitorCallback()
    callback = WSDCheckpointCallback(tmp_path / "wsd")
    create = wsd(24, num_checkpoints=2, decay_phase_ratio=0.25)
    trainer = train(make(callback, monitor), num_epochs=4, create_scheduler_fn=create)
    # Two periods of 12 updates, of which the last 3 decay.
    assert names(tmp_path / "wsd") == [
        "checkpoint_12_wsd_post_decay.pt",
        "checkpoint_21_wsd_pre_decay",
        "checkpoint_24_wsd_post_decay.pt",
        "checkpoint_9_wsd_pre_decay",
    ]
    for update in (9, 21):
        folder = tmp_path / "wsd" / f"checkpoint_{update}_wsd_pre_decay"
        assert verify(folder)["position"]["num_updates"] == update
        saved = trainer.load_training_state(folder)
        assert (saved["step"], saved["checkpoint_type"]) == (update, "wsd_pre_decay")
        assert (saved["total_steps"], saved["decay_fraction"]) == (24, 0.25)
    after = torch.load(tmp_path / "wsd" / "checkpoint_12_wsd_post_decay.pt", weights_only=True)
    assert after["scheduler_state_dict"]["num_updates"] == 12
    Net().load_state_dict(after["model_state_dict"])


def test_decaying_again_from_a_state_before_a_decay_is_the_same_run(main_run):
    straight = train(make(), num_epochs=5, create_scheduler_fn=wsd(30))
    start = main_run / "wsd" / "checkpoint_24_wsd_pre_decay"
    again = train(make(), num_epochs=5, create_scheduler_fn=wsd(30), resume_from=start, seed=77)
    assert outcome(again) == outcome(straight)
