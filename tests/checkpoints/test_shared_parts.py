"""What never changes is written once: the checkpoints of a run share its files."""

from __future__ import annotations

import errno
import itertools
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file

from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback, schedule_monitor
from pytorch_accelerated.checkpoints import CheckpointError, verify
from pytorch_accelerated.checkpoints.folders import FILES, write_folder
from tests.checkpoints import runs
from tests.checkpoints.runs import DieAt, Interrupted, make, names, outcome

FILLED = {name: [b"0"] for name in FILES}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """A part is complete with 3 numbers: three updates, as there is one group."""
    monkeypatch.setattr(schedule_monitor, "_OF_A_PART", 3)


def parts_of(checkpoint):
    return sorted(
        path for path in checkpoint.iterdir() if path.name not in (*FILES, "manifest.json")
    )


def inodes(checkpoint):
    return [path.stat().st_ino for path in parts_of(checkpoint)]


def train(trainer, folder=None, **kwargs):
    """Train with another rate in each update, so that no two parts are equal."""

    def decay(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))

    return runs.train(trainer, folder, create_scheduler_fn=decay, **kwargs)


def monitored(*callbacks):
    return make(ScheduleMonitorCallback(), *callbacks)


def test_a_checkpoint_shares_all_parts_but_the_last_with_the_one_before(tmp_path):
    train(monitored(), tmp_path)
    checkpoints = [tmp_path / name for name in names(tmp_path)]
    assert [len(parts_of(one)) for one in checkpoints] == [2, 3, 4, 6, 6]  # of 4, 8, … 18 updates
    complete = [inodes(one)[:n] for one, n in zip(checkpoints, (1, 2, 4, 5, 6), strict=True)]
    for before, after in itertools.pairwise(complete):
        assert after[: len(before)] == before
    anew = [path.stat().st_size for path in parts_of(checkpoints[3]) if path.stat().st_nlink < 2]
    assert sum(anew) <= 2 * 3 * 8
    for one in checkpoints:
        verify(one)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in place", "a copy of the folder alone"])
def test_each_checkpoint_is_whole_without_the_others(tmp_path, elsewhere):
    straight = train(monitored())
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(monitored(DieAt(14)), folder)
    if elsewhere:
        shutil.copytree(folder / "update_000000012", tmp_path / "copy" / "update_000000012")
        shutil.rmtree(folder)
        folder = tmp_path / "copy"
    else:
        for name in ("update_000000004", "update_000000008"):
            shutil.rmtree(folder / name)
    assert outcome(train(monitored(), folder)) == outcome(straight)
    assert names(folder)[-1] == "update_000000018_end"
    verify(folder / "update_000000018_end")


def test_pruning_leaves_the_parts_that_others_share(tmp_path):
    trainer = train(monitored(), tmp_path, keep_last=1)
    assert names(tmp_path) == ["update_000000018_end"]
    assert len(parts_of(tmp_path / "update_000000018_end")) == 6
    again = train(monitored(), tmp_path)
    assert outcome(again) == outcome(trainer)


class RemoveAll(TrainerCallback):
    """Removes what there is of checkpoints, as somebody might by hand."""

    def __init__(self, folder):
        self.folder = folder

    def on_update_end(self, trainer, **kwargs):
        if trainer.num_updates == 10:
            trainer.run.checkpoints.writer.wait()
            shutil.rmtree(self.folder / "update_000000008")


def test_what_is_gone_is_written_again(tmp_path):
    train(monitored(RemoveAll(tmp_path)), tmp_path)
    assert len(parts_of(tmp_path / "update_000000012")) == 4
    for name in names(tmp_path):
        verify(tmp_path / name)


@pytest.mark.parametrize("damage", ["shorter", "a link"])
def test_what_was_damaged_is_written_again(tmp_path, damage):
    kept = {}
    never_changes = {"0000.bin": bytes(9)}
    write_folder(tmp_path / "one", FILLED | never_changes, {"num_updates": 1}, written=kept)
    path = tmp_path / "one" / "0000.bin"
    if damage == "shorter":
        path.write_bytes(bytes(3))
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    write_folder(tmp_path / "two", FILLED | never_changes, {"num_updates": 2}, written=kept)
    assert verify(tmp_path / "two")["position"] == {"num_updates": 2}


def test_a_file_system_without_links_has_files_of_their_own(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    trainer = train(monitored(), tmp_path)
    for name in names(tmp_path):
        verify(tmp_path / name)
        assert all(path.stat().st_nlink == 1 for path in parts_of(tmp_path / name))
    assert outcome(train(monitored(), tmp_path)) == outcome(trainer)


def test_a_state_that_is_saved_by_hand_shares_nothing(tmp_path):
    trainer = train(monitored(), tmp_path / "run")
    trainer.save_training_state(tmp_path / "state")
    files = parts_of(tmp_path / "state")
    assert [path.stat().st_nlink for path in files] == [1] * len(files) == [1] * 6
    resumed = train(monitored(), None, resume=tmp_path / "state")
    assert outcome(resumed) == outcome(trainer)


@pytest.mark.parametrize("damage", ["changed", "gone", "more"])
def test_damage_is_found_and_named(tmp_path, damage):
    train(monitored(), tmp_path)
    checkpoint = tmp_path / "update_000000018_end"
    path = checkpoint / "0001.bin"
    if damage == "changed":
        content = bytearray(path.read_bytes())
        content[5] ^= 1
        path.write_bytes(content)
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"0001\.bin is (damaged|missing)"):
        verify(checkpoint)


class Keeps(TrainerCallback):
    """Has bytes, and an empty piece of them, in its state."""

    def __init__(self):
        self.state = {"own": b"", "parts": (b"\x00\xff", {"b": b"12"}), "weight": torch.ones(2)}

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.loaded = state


def test_a_callback_of_ones_own_may_have_bytes(tmp_path):
    train(make(Keeps()), tmp_path, max_num_train_steps=4)
    folder = tmp_path / "update_000000004_end"
    assert [path.read_bytes() for path in parts_of(folder)] == [b"", b"\x00\xff", b"12"]
    assert "callbacks.Keeps.weight" in load_file(folder / "state.safetensors")
    keeps = Keeps()
    with pytest.warns(UserWarning, match="max_num_train_steps"):
        train(make(keeps), tmp_path, max_num_train_steps=5)
    assert keeps.loaded.pop("weight").tolist() == [1.0, 1.0]
    assert keeps.loaded == {"own": b"", "parts": (b"\x00\xff", {"b": b"12"})}
