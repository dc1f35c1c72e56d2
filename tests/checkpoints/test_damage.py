"""Whatever happens to a file of a checkpoint is found, named, and does not run."""

import hashlib
import json
import os
import pickle
import random
import shutil
import warnings

import pytest
import torch

from pytorch_accelerated.checkpoints import CheckpointError, verify
from pytorch_accelerated.checkpoints.folders import to_json
from tests.checkpoints.runs import make, names, outcome, train

FILES = ["manifest.json", "model.safetensors", "optimizer.safetensors", "state.json",
         "state.safetensors"]  # fmt: skip
NEWEST, SECOND = "update_000000018_end", "update_000000016"


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def grow(path):
    path.write_bytes(path.read_bytes() + b" ")


def remove(path):
    path.unlink()


def flip(path, at=None):
    content = bytearray(path.read_bytes())
    at = random.Random(path.name).randrange(len(content)) if at is None else at
    content[at] ^= 1 << 3
    path.write_bytes(content)


def link(path):
    outside = path.parent.parent / f"outside-{path.name}"
    shutil.move(path, outside)
    path.symlink_to(outside)


def into_a_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = [truncate, empty, grow, remove, flip, link, into_a_folder]


def test_a_checkpoint_holds_these_files(finished):
    for checkpoint in finished.iterdir():
        assert names(checkpoint) == FILES
        assert verify(checkpoint)["files"].keys() == set(FILES[1:])


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_the_file_is_named(folder, damage, file):
    damage(folder / NEWEST / file)
    with pytest.raises(CheckpointError) as caught:
        verify(folder / NEWEST)
    assert file in str(caught.value)
    assert NEWEST in str(caught.value)


@pytest.mark.parametrize("file", ["manifest.json", "model.safetensors"])
def test_a_flip_anywhere_is_found(folder, file):
    path = folder / NEWEST / file
    good = path.read_bytes()
    for at in range(0, len(good), 5):
        flip(path, at)
        with pytest.raises(CheckpointError, match=file):
            verify(folder / NEWEST)
        path.write_bytes(good)
    verify(folder / NEWEST)


@pytest.mark.parametrize("file", FILES)
def test_a_run_goes_on_from_the_newest_good_one_and_says_so(folder, finished, file):
    straight = outcome(train(make(), finished))
    flip(folder / NEWEST / file)
    with pytest.warns(UserWarning, match=rf"(?s){NEWEST}.{file}.*Continuing from .*{SECOND}"):
        resumed = train(make(), folder)
    assert outcome(resumed) == straight
    # What was damaged has been written again.
    verify(folder / NEWEST)


def test_several_damaged_ones_are_passed_over_and_all_are_named(folder):
    flip(folder / NEWEST / "model.safetensors")
    remove(folder / SECOND / "manifest.json")
    with pytest.warns(UserWarning, match=rf"(?s){NEWEST}.*{SECOND}.*from .*update_000000012"):
        assert train(make(), folder).num_updates == 18


def test_a_run_does_not_begin_anew_when_all_are_damaged(folder):
    for checkpoint in folder.iterdir():
        truncate(checkpoint / "state.json")
    with pytest.raises(CheckpointError, match=r"no checkpoint can be used: .*state\.json"):
        train(make(), folder)


def test_a_damaged_one_that_was_asked_for_is_an_error(folder):
    flip(folder / SECOND / "model.safetensors")
    for argument in ("resume", "resume_from"):
        kwargs = {"resume": None, "checkpoint_dir": None, "checkpoint_every": None}
        with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
            train(make(), folder, **{**kwargs, argument: folder / SECOND})


class Planted:
    """What a pickle can do."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


def reseal(checkpoint):
    """Make the manifest fit the files, as somebody who plants one would."""
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        content = (checkpoint / name).read_bytes()
        entry.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    write_sealed(checkpoint, manifest)


def write_sealed(checkpoint, manifest):
    manifest.pop("sha256", None)
    seal = hashlib.sha256(to_json(manifest)).hexdigest()
    (checkpoint / "manifest.json").write_bytes(to_json({**manifest, "sha256": seal}))


def pickled(planted):
    return pickle.dumps(planted)


def saved_by_torch(planted):
    import io

    file = io.BytesIO()
    torch.save({"model": planted}, file)
    return file.getvalue()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("plant", [pickled, saved_by_torch])
@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_planted_pickle_is_refused_and_does_not_run(folder, tmp_path, file, plant, is_sealed):
    marker = tmp_path / "it ran"
    (folder / NEWEST / file).write_bytes(plant(Planted(marker)))
    if is_sealed and file != "manifest.json":
        reseal(folder / NEWEST)
    with pytest.raises(CheckpointError, match=file.split(".")[0]), warnings.catch_warnings():
        train(make(), folder, resume=folder / NEWEST)
    trainer = train(make())
    with pytest.raises(CheckpointError, match=file.split(".")[0]):
        trainer.load_training_state(folder / NEWEST)
    assert not marker.exists()


def test_the_planted_pickles_would_run(tmp_path):
    pickle.loads(pickled(Planted(tmp_path / "it ran")))
    assert (tmp_path / "it ran").exists()


def test_a_pickle_in_a_single_file_is_refused_and_does_not_run(tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save({"model_state_dict": Planted(tmp_path / "it ran")}, path)
    with pytest.raises(CheckpointError, match="could run code and are not loaded") as caught:
        make().load_checkpoint(path)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "it ran").exists()


def test_a_further_file_is_not_looked_at(folder, tmp_path):
    (folder / NEWEST / "custom.pkl").write_bytes(pickled(Planted(tmp_path / "it ran")))
    train(make(), folder)
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/hostname", "..", ".", ".hidden", "a/b", "a\\b", "", "manifest.json"],
)
def test_a_manifest_cannot_lead_out_of_its_folder(folder, name):
    manifest = json.loads((folder / NEWEST / "manifest.json").read_text())
    manifest["files"][name] = {"size": 1, "sha256": "0" * 64}
    write_sealed(folder / NEWEST, manifest)
    with pytest.raises(CheckpointError, match="are read"):
        verify(folder / NEWEST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "format 3, but this version reads 1 and 2"),
        ({"files": []}, "does not list files"),
        ({"files": dict.fromkeys(FILES[1:], 3)}, r"not list model\.safetensors with its size"),
        ({"position": {"num_updates": "9"}}, "position is"),
        ({"position": None}, "does not list files and position"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(folder, change, message):
    manifest = json.loads((folder / NEWEST / "manifest.json").read_text())
    write_sealed(folder / NEWEST, {**manifest, **change})
    with pytest.raises(CheckpointError, match=message):
        verify(folder / NEWEST)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"[" * 100_000,
        b'{"model": {}, "optimizer": {}, "state": {}}',
        b'{"model": {"__tensor__": "nowhere"}, "optimizer": {}, "state": {}}',
        b'{"model": {"__eval__": ["1"]}, "optimizer": {}, "state": {}}',
        b'{"model": {}, "optimizer": {}, "state": {"a": [{"__tensor__": []}]}}',
        b'{"model": {}, "optimizer": {}, "state": {"a": [{"__float__": ["x"]}]}}',
        b'{"model": {}, "optimizer": {}, "state": {"a": [{"__float__": []}]}}',
        b'{"model": {}, "optimizer": {}, "state": {"a": [{"__dict__": [1]}]}}',
        b'{"model": {}, "optimizer": {}, "state": {"a": [{"__set__": [[]]}]}}',
        b'{"model": {}, "optimizer": {}, "state": {"a": [{"__tuple__": 3}]}}',
    ],
)
def test_a_state_of_another_shape_is_damage(folder, content):
    (folder / NEWEST / "state.json").write_bytes(content)
    reseal(folder / NEWEST)
    with pytest.raises(CheckpointError, match=r"state\.json"):
        train(make(), folder, resume=folder / NEWEST)
