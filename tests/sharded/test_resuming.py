"""Sharded models are saved whole or in shards, and resumed on any number of processes."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pytorch_accelerated import Trainer
from pytorch_accelerated.checkpoints import CheckpointError, average_checkpoints, export_model
from pytorch_accelerated.cli import main
from tests.checkpoints.runs import names
from tests.checkpoints.test_damage import Planted, pickled, reseal
from tests.launching import forked
from tests.sharded.approximate import same
from tests.sharded.models import Net, data, sgd
from tests.sharded.resuming import CASES, LATE, MIDDLE

PHASES = {"two": 2, "one": 1, "four": 4, "back": 2}


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """One launch for each number of processes, and one for the way back."""
    folder = tmp_path_factory.mktemp("resuming")
    results = {}
    for phase, processes in PHASES.items():
        forked(processes, "tests.sharded.resuming", folder, phase, seconds=250)
        for what, case, result in json.loads((folder / f"{phase}.json").read_text()):
            results[what, case] = result
    return folder, results


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumes_on_as_many_processes_bit_for_bit(launched, case):
    _, results = launched
    assert results["straight", case]["updates"] == 8
    assert results["again", case] == results["straight", case]


def test_how_a_run_is_saved_does_not_change_it(launched):
    _, results = launched
    for name in ("AdamW", "SGD", "Muon"):
        assert results["straight", f"{name}, whole"] == results["straight", f"{name}, sharded"]


def test_a_run_resumes_on_other_numbers_of_processes(launched):
    _, results = launched
    others = [key for key in results if key[0] not in ("straight", "again")]
    assert len(others) == 6 + 3 + 7 + 3 + 6 + 1
    for what, case in others:
        result, straight = results[what, case], results["straight", case]
        # What was applied comes from counts alone, as the position does.
        for name in ("applied", "updates", "epoch"):
            assert result[name] == straight[name], (what, case)
        # Muon computes in bfloat16.
        assert same(result, straight, tolerance=0.1 if case.startswith("Muon") else 1e-4)


def test_each_process_writes_its_own_shard(launched):
    folder, _ = launched
    saved = folder / "two" / "AdamW, sharded" / MIDDLE
    shards = ["shard_00000.safetensors", "shard_00001.safetensors"]
    assert names(saved) == ["0000.bin", "manifest.json", *shards, "state.json"]
    first, second = (load_file(saved / shard) for shard in shards)
    both = first.keys() & second.keys()
    assert {"model/middle.weight", "optimizer/state.4.exp_avg"} <= both
    # What cannot be split evenly, and what is not split, is in one of them.
    assert {"model/last.bias", "model/seen"} <= first.keys() - both
    assert first["model/middle.weight"].shape == second["model/middle.weight"].shape == (4, 8)


def test_an_export_is_what_a_whole_checkpoint_has(launched, tmp_path):
    folder, _ = launched
    whole, shards = (folder / "two" / f"AdamW, {kind}" for kind in ("whole", "sharded"))
    assert main(["export", str(shards / MIDDLE), "-o", str(tmp_path / "model.safetensors")]) == 0
    expected = load_file(whole / MIDDLE / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    # Of a folder, the furthest checkpoint counts; it may be a whole one.
    assert export_model(whole, tmp_path / "last.safetensors").name == "update_000000008_end"
    assert load_file(tmp_path / "last.safetensors").keys() == expected.keys()


def test_shards_are_averaged_as_whole_models_are(launched):
    folder, _ = launched
    means = [
        average_checkpoints(folder / "two" / f"SGD, {kind}", 3) for kind in ("whole", "sharded")
    ]
    assert means[0].keys() == means[1].keys()
    assert all(torch.equal(means[0][name], means[1][name]) for name in means[0])


@pytest.fixture
def saved(launched, tmp_path):
    """A copy of a sharded checkpoint, to be damaged."""
    folder, _ = launched
    return shutil.copytree(folder / "two" / "SGD, sharded" / MIDDLE, tmp_path / MIDDLE)


def resume(saved):
    model = Net()
    trainer = Trainer(model, nn.MSELoss(), sgd(model), callbacks=())
    trainer.train(data(32), num_epochs=3, per_device_batch_size=8, resume=saved)


def test_shards_of_two_saves_are_not_taken_for_one(launched, saved):
    folder, _ = launched
    other = folder / "two" / "SGD, sharded" / LATE / "shard_00001.safetensors"
    shutil.copyfile(other, saved / "shard_00001.safetensors")
    with pytest.raises(CheckpointError, match=r"shard_00001\.safetensors is damaged"):
        resume(saved)
    (saved / "shard_00001.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"shard_00001\.safetensors is missing"):
        resume(saved)


@pytest.mark.parametrize("is_sealed", [False, True])
@pytest.mark.parametrize("file", ["shard_00000.safetensors", "shard_00001.safetensors"])
def test_a_planted_pickle_is_refused_and_does_not_run(saved, tmp_path, file, is_sealed):
    marker = tmp_path / "it ran"
    (saved / file).write_bytes(pickled(Planted(marker)))
    if is_sealed:
        reseal(saved)
    with pytest.raises(CheckpointError, match=r"shard_0000[01]"):
        resume(saved)
    with pytest.raises(CheckpointError, match=file):
        export_model(saved, tmp_path / "model.safetensors")
    assert not marker.exists()
    assert not (tmp_path / "model.safetensors").exists()
