"""Disks that fail, folders of other users, file systems that cannot flush, and hostile files."""

import errno
import json
import os
import shutil
import warnings
from pathlib import Path

import pytest

from pytorch_accelerated.checkpoints import CheckpointError, list_checkpoints, main, table, verify
from tests.checkpoints.runs import make, names, outcome, train
from tests.checkpoints.test_damage import FILES, NEWEST, SECOND, reseal, write_sealed


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture(scope="module")
def straight():
    return outcome(train(make()))


def refuse(monkeypatch, path, number, *calls):
    """Have the system refuse a path, and what is in it, as it does on a bad disk."""

    def refusing(call):
        def refused(target, *args, **kwargs):
            place = target if isinstance(target, (str, os.PathLike)) else ""
            if str(place).startswith(str(path)):
                raise OSError(number, os.strerror(number), str(place))
            return call(target, *args, **kwargs)

        return refused

    for module, name in calls or [(os, "stat"), (os, "lstat"), ("io", "open"), (os, "scandir")]:
        module = __import__(module) if isinstance(module, str) else module
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))


# Files and folders that cannot be read

ERRNOS = [errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ENXIO]


@pytest.mark.parametrize("file", [*FILES, ""])
@pytest.mark.parametrize("number", ERRNOS)
def test_what_cannot_be_read_is_passed_over_like_any_damage(
    folder, straight, file, number, monkeypatch
):
    bad = folder / NEWEST / file
    with monkeypatch.context() as disk:
        refuse(disk, bad, number)
        with pytest.raises(CheckpointError, match=f"{NEWEST}.*cannot be read"):
            verify(folder / NEWEST)
        assert os.strerror(number) in list_checkpoints(folder)[-1].problem
        assert f"{NEWEST}  " in table(folder)
        assert main(folder) == 1
    # Found when the run begins, while it could be written again later.
    found = []
    read = verify

    def once(path):
        if Path(path) == folder / NEWEST and not found:
            found.append(path)
            with monkeypatch.context() as disk:
                refuse(disk, bad, number)
                return read(path)
        return read(path)

    monkeypatch.setattr("pytorch_accelerated.checkpoints.folders.verify", once)
    with pytest.warns(UserWarning, match=rf"(?s){NEWEST}.*cannot be read.*from .*{SECOND}"):
        assert outcome(train(make(), folder)) == straight


def test_the_end_of_a_run_is_the_newest_also_if_its_manifest_cannot_be_read(tmp_path, monkeypatch):
    train(make(), tmp_path, checkpoint_every=6)
    with monkeypatch.context() as disk:
        refuse(disk, tmp_path / NEWEST / "manifest.json", errno.EIO)
        assert list_checkpoints(tmp_path)[-1].path.name == NEWEST
        with pytest.warns(UserWarning, match=rf"(?s){NEWEST}.*cannot be read.*_000000018 instead"):
            train(make(), resume=tmp_path)


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch, capsys):
    refuse(monkeypatch, folder, errno.EACCES, (os, "scandir"), (os, "listdir"))
    assert main(folder) == 2
    assert "Permission denied" in capsys.readouterr().err


# Files of another kind


def fifo(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def link(path):
    outside = path.parent.parent / f"outside-{path.name}"
    outside.write_bytes(b"{}")
    path.symlink_to(outside)


def dangling(path):
    path.symlink_to("nowhere")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("plant", [fifo, endless, link, dangling, Path.mkdir])
@pytest.mark.parametrize("is_listed", [True, False])
def test_only_plain_files_are_read(folder, file, plant, is_listed):
    checkpoint = folder / NEWEST
    (checkpoint / file).unlink()
    plant(checkpoint / file)
    if not is_listed and file != "manifest.json":
        manifest = json.loads((checkpoint / "manifest.json").read_text())
        del manifest["files"][file]
        write_sealed(checkpoint, manifest)
    with pytest.raises(CheckpointError, match=file):
        verify(checkpoint)
    with pytest.raises(CheckpointError, match=file):
        train(make(), folder, resume=checkpoint, checkpoint_dir=None, checkpoint_every=None)


@pytest.mark.parametrize("plant", [fifo, endless])
def test_a_single_file_is_a_plain_one_or_a_link_to_one(tmp_path, plant):
    plant(tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=r"file\.pt is not a plain file"):
        make().load_checkpoint(tmp_path / "file.pt")
    make().save_checkpoint(tmp_path / "real.pt")
    (tmp_path / "best.pt").symlink_to("real.pt")
    make().load_checkpoint(tmp_path / "best.pt")


@pytest.mark.parametrize("file", FILES[1:])
def test_all_files_have_to_be_listed(folder, straight, file):
    checkpoint = folder / NEWEST
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    del manifest["files"][file]
    write_sealed(checkpoint, manifest)
    content = bytearray((checkpoint / file).read_bytes())
    content[-1] ^= 1
    (checkpoint / file).write_bytes(content)
    with pytest.warns(UserWarning, match=f"does not list {file}"):
        assert outcome(train(make(), folder)) == straight


def leaves(tree, path=()):
    yield path
    items = enumerate(tree[:2]) if isinstance(tree, list) else ()
    for key, value in tree.items() if isinstance(tree, dict) else items:
        yield from leaves(value, (*path, key))


def put(tree, path, value):
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


def test_a_state_of_wrong_types_is_refused_by_name(folder):
    """Sealed anew, as somebody would who plants one: each entry is exchanged in turn."""
    checkpoint = folder / "update_000000004"
    good = json.loads((checkpoint / "state.json").read_text())
    refused = []
    for path in list(leaves(good))[1:]:
        if path[0] == "optimizer" and len(path) > 3 and path[3] not in ("lr", "momentum"):
            continue  # what PyTorch's optimizer remembers is its own
        for value in ("x", None, {}, *[-1] * (path[1:2] in (("loop",), ("plan",)))):
            state = json.loads(json.dumps(good))
            put(state, path, value)
            (checkpoint / "state.json").write_text(json.dumps(state))
            reseal(checkpoint)
            error = error_of_continuing(checkpoint)
            if error is not None:
                refused.append(path)
                # Some may be those of another run, such as the position.
                assert type(error) in (CheckpointError, ValueError), (path, value, error)
                assert str(checkpoint) in str(error) or "has done" in str(error)
    assert {"loop", "plan", "processes"} <= {path[1] for path in refused if len(path) > 1}
    assert len(refused) > 150


def error_of_continuing(checkpoint):
    kwargs = {"checkpoint_dir": None, "checkpoint_every": None, "max_num_train_steps": 5}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train(make(), checkpoint.parent, resume=checkpoint, **kwargs)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("state", "plan", "gradient_accumulation_steps"), 0),
        (("state", "plan", "num_processes"), 0),
        (("state", "processes"), []),
        (("state", "loop", "more"), 1),
        (("state", "plan", "more"), 1),
        (("state", "loop"), {"epoch": 1}),
        (("state", "loop", "stage"), 7),
        (("state", "loop", "epoch"), True),
        (("state", "loop", "epoch"), 1.5),
    ],
)
def test_a_state_that_no_run_writes_is_refused(folder, path, value):
    state = json.loads((folder / NEWEST / "state.json").read_text())
    put(state, path, value)
    (folder / NEWEST / "state.json").write_text(json.dumps(state))
    reseal(folder / NEWEST)
    with pytest.raises(
        CheckpointError, match=f"{NEWEST}.state.json is damaged: no run writes such a state"
    ):
        train(make(), folder)


# Writing and removing


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_flush_has_checkpoints(tmp_path, number, straight, monkeypatch):
    def fsync(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    trainer = train(make(), tmp_path / "run")
    assert outcome(trainer) == straight
    verify(tmp_path / "run" / NEWEST)
    trainer.save_checkpoint(tmp_path / "file.pt")
    trainer.load_checkpoint(tmp_path / "file.pt")


def test_a_flush_that_fails_is_an_error(tmp_path, monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"could not be written \(Input/output error"):
        train(make(), tmp_path / "run")
    assert names(tmp_path / "run") == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.EBUSY])
def test_an_old_checkpoint_that_cannot_be_removed_does_not_end_the_run(
    tmp_path, number, straight, monkeypatch
):
    rename = Path.rename

    def refused(path, target):
        if path.name == "update_000000004":
            raise OSError(number, os.strerror(number), str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.warns(
        UserWarning,
        match=rf"update_000000008 is complete, but .*000000004 \({os.strerror(number)}.*by hand",
    ):
        trainer = train(make(), tmp_path, keep_last=1)
    assert outcome(trainer) == straight
    assert names(tmp_path) == ["update_000000004", NEWEST]


def test_a_checkpoint_that_is_a_link_is_removed_without_what_it_leads_to(folder, tmp_path):
    (folder / "update_000000004").rename(tmp_path / "elsewhere")
    (folder / "update_000000004").symlink_to(tmp_path / "elsewhere")
    (folder / NEWEST / "state.json").unlink()
    with pytest.warns(UserWarning, match=SECOND):
        train(make(), folder, keep_last=1)
    assert names(folder) == [NEWEST]
    verify(tmp_path / "elsewhere")


def test_a_state_that_is_a_link_is_replaced_without_what_it_leads_to(tmp_path):
    trainer = train(make())
    trainer.save_training_state(tmp_path / "one", {"number": 1})
    (tmp_path / "state").symlink_to("one")
    trainer.save_training_state(tmp_path / "state", {"number": 2})
    assert names(tmp_path) == ["one", "state"]
    assert trainer.load_training_state(tmp_path / "one")["number"] == 1
    assert trainer.load_training_state(tmp_path / "state")["number"] == 2


def test_checkpoints_that_are_gone_are_not_said_to_be_there(tmp_path, monkeypatch):
    from pytorch_accelerated.checkpoints.folders import write_folder

    def pieces(is_gone):
        yield b"half"
        if is_gone:
            shutil.rmtree(tmp_path / "run")
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    target = tmp_path / "run" / "update_000000001"
    with pytest.raises(OSError, match="earlier checkpoints are as they were"):
        write_folder(target, {"a": pieces(False)}, {})
    with pytest.raises(OSError, match="is gone, with all checkpoints") as error:
        write_folder(target, {"a": pieces(True)}, {})
    assert "as they were" not in str(error.value)


def test_a_state_that_could_not_be_replaced_is_still_there(tmp_path, monkeypatch):
    trainer = train(make())
    trainer.save_training_state(tmp_path / "state", {"number": 1})
    rename = Path.rename

    def refused(path, target):
        if path.name.endswith(".writing"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(OSError, match="are as they were"):
        trainer.save_training_state(tmp_path / "state", {"number": 2})
    assert names(tmp_path) == ["state"]
    assert trainer.load_training_state(tmp_path / "state")["number"] == 1
