import os
import resource
import shutil
import signal
import threading
import time
import weakref
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pytorch_accelerated.callbacks import SaveTrainingStateCallback, TrainerCallback
from pytorch_accelerated.checkpoints import CheckpointError, verify
from pytorch_accelerated.checkpoints.folders import FILES, checkpoints_in, write_folder
from pytorch_accelerated.checkpoints.writer import BackgroundWriter, Questions, RunCheckpoints
from tests.checkpoints.runs import DieAt, Interrupted, make, names, outcome, train


def at(num_updates):
    return {"num_updates": num_updates, "epoch": 0, "batch": 0, "in_epoch": 1}


def whole(content):
    """The files of a checkpoint."""
    return {name: [content] for name in FILES}


# Complete or absent


def test_everything_is_flushed_before_the_folder_appears(tmp_path, monkeypatch):
    events = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(descriptor):
        events.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def noted_rename(path, target):
        events.append(f"rename to {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    write_folder(tmp_path / "one", {"a": [b"1"], "b": [b"2", b"3"]}, at(1))
    assert events == ["a", "b", "manifest.json", ".one.writing", "rename to one", tmp_path.name]


def test_what_a_killed_process_left_is_cleared(tmp_path):
    left = tmp_path / ".update_000000099.writing"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half a mod")
    (tmp_path / ".mine").mkdir()
    train(make(), tmp_path, keep_last=1, num_epochs=1)
    assert names(tmp_path) == [".mine", "update_000000006_end"]


def test_a_state_that_was_being_replaced_is_found(tmp_path):
    trainer = train(make())
    trainer.save_training_state(tmp_path / "final")
    (tmp_path / "final").rename(tmp_path / ".final.replaced")
    (tmp_path / ".final.writing").mkdir()
    trainer.load_training_state(tmp_path / "final")
    assert names(tmp_path) == ["final"]


def test_a_state_replaces_one_of_its_name(tmp_path):
    trainer = train(make())
    for number in (1, 2):
        trainer.save_training_state(tmp_path / "state", {"number": number})
        assert trainer.load_training_state(tmp_path / "state")["number"] == number
    assert names(tmp_path) == ["state"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    trainer = train(make())
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OSError, match="exists and is not a checkpoint"):
        trainer.save_training_state(tmp_path)
    assert names(tmp_path) == ["notes.txt"]
    (tmp_path / "empty").mkdir()
    trainer.save_training_state(tmp_path / "empty")
    verify(tmp_path / "empty")


def test_what_cannot_be_saved_leaves_nothing_behind(tmp_path):
    trainer = train(make())
    with pytest.raises(TypeError, match=r"\['extra'\]\['when'\] is a builtins\.object"):
        trainer.save_training_state(tmp_path / "state", {"when": object()})
    with pytest.raises(ValueError, match="checkpoint_kwargs holds loop, which the Trainer writes"):
        trainer.save_training_state(tmp_path / "state", {"loop": 1})
    assert names(tmp_path) == []


def test_there_is_nothing_to_save_or_load_before_a_run(tmp_path):
    with pytest.raises(RuntimeError, match="no training state before a training run"):
        make().save_training_state(tmp_path / "state")
    with pytest.raises(RuntimeError, match="no training run has prepared the model yet"):
        make().load_training_state(tmp_path / "state")
    with pytest.raises(FileNotFoundError, match="there is no checkpoint or folder of"):
        train(make()).load_training_state(tmp_path / "state")
    assert names(tmp_path) == []


# A full disk


@contextmanager
def room_for(num_bytes):
    """Files cannot grow beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


class FillDisk(TrainerCallback):
    """The disk is full from an update on."""

    def __init__(self, stack, update):
        self.stack, self.update = stack, update

    def on_update_end(self, trainer, **kwargs):
        if trainer.num_updates == self.update:
            trainer.run.checkpoints.writer.wait()  # the one before is to be whole
            self.stack.enter_context(room_for(9_000))


@pytest.mark.parametrize("update", [5, 17])
def test_a_full_disk_stops_the_run_and_harms_nothing(tmp_path, update):
    """Within the run, and only in the last checkpoint."""
    straight = train(make(), tmp_path / "straight")
    with ExitStack() as stack:
        stopped = make(FillDisk(stack, update))
        with pytest.raises(OSError, match=r"could not be written \(File too large\).*make room"):
            train(stopped, tmp_path / "full", keep_last=1)
    newest = 4 * (update // 4)
    assert names(tmp_path / "full") == [f"update_{newest:09d}"]
    # It was said as soon as it was known, at the latest when the next one was due.
    assert stopped.num_updates <= newest + 8
    resumed = train(make(), tmp_path / "full", keep_last=1)
    assert outcome(resumed) == outcome(straight)
    assert names(tmp_path / "full") == ["update_000000018_end"]


def test_a_folder_that_another_run_cleared_says_what_to_do(tmp_path):
    """A second run clears what it takes for the leftovers of a killed one."""
    target = tmp_path / "run" / "update_000000001"

    def cleared():
        yield b"half"
        shutil.rmtree(tmp_path / "run")

    with pytest.raises(FileNotFoundError, match="another run uses the folder, give each"):
        write_folder(target, {"model": cleared(), "state": [b"rest"]}, {"num_updates": 1})


@pytest.mark.parametrize("gone", ["update_000000001", "update_000000002"])
def test_a_checkpoint_that_another_run_removed_is_named_with_what_to_do(
    tmp_path, gone, monkeypatch
):
    checkpoints = RunCheckpoints(tmp_path, every=1, keep_last=1, questions=Questions(1))

    def position(num_updates):
        return {"num_updates": num_updates, "epoch": 0, "batch": 0, "in_epoch": 1}

    def found(folder):
        paths = checkpoints_in(folder)
        if len(paths) == 2:
            shutil.rmtree(tmp_path / gone)
        return paths

    monkeypatch.setattr("pytorch_accelerated.checkpoints.writer.checkpoints_in", found)

    def write_two():
        with checkpoints.open():
            for num_updates in (1, 2):
                checkpoints.write(whole(b"weights"), position(num_updates))

    if gone.endswith("1"):  # the new one is there, so training may continue
        with pytest.warns(UserWarning, match=f"{gone}.* another run uses"):
            write_two()
    else:
        with pytest.raises(CheckpointError, match=f"{gone}.* another run uses"):
            write_two()


def test_a_full_disk_leaves_the_state_that_was_to_be_replaced(tmp_path):
    trainer = train(make())
    trainer.save_training_state(tmp_path / "state", {"number": 1})
    with room_for(9_000), pytest.raises(OSError, match="could not be written"):
        trainer.save_training_state(tmp_path / "state", {"number": 2})
    assert names(tmp_path) == ["state"]
    assert trainer.load_training_state(tmp_path / "state")["number"] == 1


def test_what_ended_a_run_is_said_rather_than_a_checkpoint_that_failed(tmp_path):
    class Fill(DieAt):
        def _count(self, trainer, **kwargs):
            if trainer.num_updates == 3:
                self.room = room_for(9_000)
                self.room.__enter__()
            super()._count(trainer)

    dying = Fill(4)
    try:
        with pytest.raises(Interrupted):
            train(make(dying), tmp_path)
    finally:
        dying.room.__exit__(None, None, None)


# What is kept


@pytest.mark.parametrize(("keep_last", "kept"), [(1, [18]), (2, [16, 18]), (9, [4, 8, 12, 16, 18])])
def test_the_last_ones_are_kept(tmp_path, keep_last, kept):
    (tmp_path / "notes").mkdir()
    SaveTrainingStateCallback(tmp_path)
    train(make(), tmp_path, keep_last=keep_last)
    expected = [f"update_{n:09d}" + "_end" * (n == 18) for n in kept]
    assert names(tmp_path) == ["notes", *expected]


def test_states_of_callbacks_in_the_same_folder_are_left_alone(tmp_path):
    saver = SaveTrainingStateCallback(tmp_path, save_every_n_steps=7)
    train(make(saver), tmp_path, keep_last=1, resume=None)
    assert names(tmp_path) == ["final", "step_14", "step_7", "update_000000018_end"]


def test_the_only_good_one_stays_if_the_new_one_cannot_be_read_back(tmp_path):
    run = RunCheckpoints(tmp_path, every=1, keep_last=1, questions=Questions(1))
    run.write(whole(b"good"), at(1))
    run.writer.wait()

    def spoiled():
        yield b"good"
        (tmp_path / ".update_000000002.writing" / FILES[0]).write_bytes(b"lost")

    run.write({**whole(b"good"), FILES[-1]: spoiled()}, at(2))
    with pytest.raises(CheckpointError, match=rf"update_000000002.{FILES[0]} is damaged"):
        run.writer.wait()
    assert names(tmp_path) == ["update_000000001", "update_000000002"]
    verify(tmp_path / "update_000000001")


def test_damaged_ones_further_on_do_not_count(tmp_path):
    with pytest.raises(Interrupted):
        train(make(DieAt(14)), tmp_path)
    for checkpoint in ("update_000000008", "update_000000012"):
        os.truncate(tmp_path / checkpoint / "state.json", 5)
    with pytest.warns(UserWarning, match="from .*update_000000004"), pytest.raises(Interrupted):
        train(make(DieAt(6)), tmp_path, keep_last=1)
    assert names(tmp_path) == ["update_000000008", "update_000000012"]
    verify(tmp_path / "update_000000008")


class Fill(TrainerCallback):
    def __init__(self, value):
        self.value = value

    def on_update_end(self, trainer, **kwargs):
        if trainer.num_updates == 9:
            with torch.no_grad():
                trainer.get_model().first.bias.copy_(torch.tensor(self.value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_do_not_take_the_place_of_good_ones(tmp_path, value):
    ruin = Fill([0.0, value, 0.0, -value])
    with pytest.warns(UserWarning, match=r"no checkpoint is saved at update \d+: .* NaN"):
        train(make(ruin), tmp_path, keep_last=1)
    assert names(tmp_path) == ["update_000000008"]


def test_large_weights_are_saved_though_their_sum_is_infinite(tmp_path):
    train(make(Fill([3e38, 3e38, 3e38, 3e38])), tmp_path, max_num_train_steps=9)
    assert names(tmp_path)[-1] == "update_000000009_end"


# In the background


def test_a_job_runs_while_its_owner_goes_on():
    writer, gate, done = BackgroundWriter(), threading.Event(), []
    writer.submit(lambda: (gate.wait(), done.append(1)))
    writer.check()
    assert not done
    gate.set()
    writer.submit(lambda: done.append(2))  # at most one at a time, in order
    writer.wait()
    assert done == [1, 2]


def test_what_goes_wrong_is_raised_once():
    writer, ended = BackgroundWriter(), threading.Event()

    def fail():
        try:
            raise OSError("no room")
        finally:
            ended.set()

    writer.submit(fail)
    ended.wait()
    with pytest.raises(OSError, match="no room"):
        writer.wait()
    writer.check()
    writer.wait()


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    """The first one is held up until the run has got to its fifth update."""
    gate = threading.Event()

    class Open(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == 5:
                assert names(tmp_path) == []
                gate.set()

    write = RunCheckpoints._write

    def held_up(self, *arguments):
        gate.wait()
        write(self, *arguments)

    monkeypatch.setattr(RunCheckpoints, "_write", held_up)
    trainer = train(make(Open()), tmp_path)
    assert outcome(trainer) == outcome(train(make()))
    assert names(tmp_path)[0] == "update_000000004"
    resumed = train(make(), tmp_path / "again", resume=tmp_path / "update_000000004")
    assert outcome(resumed) == outcome(trainer)


class Note(TrainerCallback):
    """Notes the weights after each update, and where checkpoints have copied them to."""

    def __init__(self):
        self.weights, self.copies = {}, {}

    def on_update_end(self, trainer, **kwargs):
        self.weights[trainer.num_updates] = trainer.get_model().first.weight.detach().clone()
        copies = trainer.run.checkpoints._copies.get("model", {})
        self.copies |= {one.data_ptr(): weakref.ref(one) for one in copies.values()}


def test_all_checkpoints_of_a_run_are_copied_to_one_memory_when_it_is_written(
    tmp_path, monkeypatch
):
    write = RunCheckpoints._write

    def late(self, *arguments):
        time.sleep(0.02)  # so that the next one would come first, if it did not wait
        write(self, *arguments)

    monkeypatch.setattr(RunCheckpoints, "_write", late)
    note = Note()
    trainer = make(note)
    train(trainer, tmp_path, checkpoint_every=1, max_num_train_steps=4)
    for update, weight in note.weights.items():
        (path,) = tmp_path.glob(f"update_{update:09d}*" if update < 4 else "*4_end")
        assert torch.equal(load_file(path / "model.safetensors")["first.weight"], weight)
    assert len(note.copies) == len(trainer.model.state_dict())
    assert all(reference() is None for reference in note.copies.values())  # given back


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"checkpoint_dir": None}, "checkpoint_every and keep_last need a checkpoint_dir"),
        ({"checkpoint_dir": None, "checkpoint_every": None}, "looks for checkpoints in"),
        ({"checkpoint_every": 0}, "checkpoint_every=0"),
        ({"keep_last": 0}, "keep_last=0"),
        ({"keep_last": 1.5}, "keep_last=1.5"),
        ({"resume_from": "x"}, "resume='auto' and resume_from='x': give one"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense(tmp_path, kwargs, message):
    with pytest.raises(ValueError, match=message):
        train(make(), tmp_path, **kwargs)
