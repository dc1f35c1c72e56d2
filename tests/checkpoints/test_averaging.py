"""The mean of checkpoints, held against one that is written out by hand."""

import math
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from pytorch_accelerated.checkpoints import (
    CheckpointError,
    average_checkpoints,
    averaging_weights,
    write_average,
)
from pytorch_accelerated.checkpoints.contents import Weights, files_of, taken_apart
from pytorch_accelerated.checkpoints.folders import write_folder
from pytorch_accelerated.cli import main
from pytorch_accelerated.schedules import constant, cosine, linear, sqrt
from tests.checkpoints.runs import Net, names


@pytest.fixture
def folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def saved(folder, update):
    (path,) = folder.glob(f"update_{update:09d}*")
    return load_file(path / "model.safetensors")


def write(folder, states, distance=100):
    """Write a checkpoint for each state of a model, at equal distances."""
    for index, state in enumerate(states, 1):
        files = files_of(taken_apart({"model": state, "optimizer": {}}))
        update = distance * index
        write_folder(folder / f"update_{update:09d}", files, {"num_updates": update})
    return folder


def test_a_line_to_zero_is_the_plain_mean(folder):
    mean = average_checkpoints(folder, last=4, like=linear(end=0.0))
    # Updates 8, 12, 16 and 18: the first two distances are 4, so the line is over 14 updates.
    assert averaging_weights([8, 12, 16, 18]) == pytest.approx([4 / 14, 4 / 14, 2 / 14, 4 / 14])
    for name, value in mean.items():
        four, eight, two, beyond = (saved(folder, n)[name].double() for n in (8, 12, 16, 18))
        by_hand = (4 * four + 4 * eight + 2 * two + 4 * beyond) / 14
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, by_hand.float(), rtol=1e-7, atol=0)
    Net().load_state_dict(mean)

    mean = average_checkpoints(folder, last=2)
    for name, value in mean.items():
        torch.testing.assert_close(value, (saved(folder, 16)[name] + saved(folder, 18)[name]) / 2)


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        (linear(end=0.0), [0.25, 0.25, 0.25, 0.25]),
        ("linear(end=0.2)", [0.2, 0.2, 0.2, 0.4]),  # the last one has what is left
        (cosine(end=0.0), [0.5 - 0.5**1.5, 0.5**1.5, 0.5**1.5, 0.5 - 0.5**1.5]),
        (sqrt(end=0.0), [0.5, 0.5**0.5 - 0.5, 0.75**0.5 - 0.5**0.5, 1 - 0.75**0.5]),
        (constant(0.5) >> linear(end=0.0), [0.0, 0.0, 0.5, 0.5]),
        (constant(), [0.0, 0.0, 0.0, 1.0]),
    ],
)
def test_the_weights_of_decays(like, expected):
    assert averaging_weights([100, 200, 300, 400], like) == pytest.approx(expected, abs=1e-15)


@given(
    st.lists(st.integers(1, 1_000), min_size=2, max_size=12).map(
        lambda distances: [sum(distances[: k + 1]) for k in range(len(distances))]
    ),
    st.sampled_from([linear(end=0.0), cosine(end=0.0), sqrt(end=0.1), constant(0.3) >> linear()]),
)
def test_moving_by_the_decayed_stretches_is_the_mean(updates, like):
    weights = averaging_weights(updates, like)
    assert min(weights) >= 0.0
    assert math.fsum(weights) == pytest.approx(1.0, abs=1e-14)
    places = [math.sin(update) for update in updates]
    mean = math.fsum(weight * place for weight, place in zip(weights, places, strict=True))
    plan = like.over(updates[-1] - 2 * updates[0] + updates[1])
    decayed = places[0] + math.fsum(
        plan(updates[j] - updates[0]) * (places[j] - places[j - 1]) for j in range(1, len(updates))
    )
    assert mean == pytest.approx(decayed, abs=1e-13)


def test_types_whole_numbers_complex_ones_and_infinities(tmp_path):
    class Model(torch.nn.Module):
        def __init__(self, value):
            super().__init__()
            self.low = torch.nn.Parameter(torch.tensor([value, 3.0], dtype=torch.bfloat16))
            self.tied = self.low
            self.wide = torch.nn.Parameter(torch.tensor(value + 1e-12, dtype=torch.float64))
            self.wave = torch.nn.Parameter(torch.tensor([complex(value, -value)]))
            self.register_buffer("count", torch.tensor(int(value)))
            self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
            self.register_buffer("kept", torch.tensor([0.1]))

        def get_extra_state(self):
            return {"version": self.count.item()}

        def set_extra_state(self, state):
            self.version = state["version"]

    states = [Weights(Model(value)).state_dict() for value in (256.0, 258.0, 262.0)]
    # In bfloat16 256 + 258 + 262 is 776, and no third of it lies between 256 and 260.
    folder = write(tmp_path, states)
    mean = average_checkpoints(folder, last=3)
    assert mean["low"].dtype == torch.bfloat16
    assert mean["low"].tolist() == mean["tied"].tolist() == [258.0, 3.0]
    assert mean["wide"].item() == pytest.approx(776 / 3 + 1e-12, rel=1e-15)
    assert mean["wave"].item() == pytest.approx(complex(776 / 3, -776 / 3))
    assert mean["count"].item() == 262
    assert mean["mask"].tolist() == [0.0, -math.inf]
    assert torch.equal(mean["kept"], torch.tensor([0.1]))
    model = Model(0.0)
    model.load_state_dict(mean)
    assert model.version == 262
    skipped = average_checkpoints(folder, last=3, like=constant(0.5) >> linear(end=0.0))
    assert skipped["mask"].tolist() == [0.0, -math.inf]


def test_the_last_of_those_after_the_same_update_counts(tmp_path):
    folder = write(tmp_path, [{"w": torch.tensor([float(n)])} for n in (1, 2, 4)])
    files = files_of(taken_apart({"model": {"w": torch.tensor([10.0])}, "optimizer": {}}))
    write_folder(folder / "update_000000300_end", files, {"num_updates": 300, "epoch": 1})
    assert average_checkpoints(folder, last=2)["w"].item() == 6.0
    assert average_checkpoints(folder, last=3)["w"].item() == pytest.approx(13 / 3)


def test_what_cannot_be_averaged_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"last=9: .* after 5 different .*: write last=5\."):
        average_checkpoints(folder, last=9)
    with pytest.raises(ValueError, match="last=1 is too small"):
        average_checkpoints(folder, last=1)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        average_checkpoints(tmp_path / "nowhere")
    for like, message in [
        (linear(start=0.0), "has to begin at 1.0 and fall"),
        (linear(end=-9.0), "has to begin at 1.0 and fall"),
        (linear(end=2.0), "has to begin at 1.0 and fall"),
        (cosine(1_000, end=0.0), "has its own length in updates"),
        ("linear(", "linear"),
    ]:
        with pytest.raises(ValueError, match=message):
            average_checkpoints(folder, last=3, like=like)
    with pytest.raises(TypeError, match=r"like=0\.5 is a float, but has to be a schedule"):
        average_checkpoints(folder, last=3, like=0.5)

    one = {"w": torch.zeros(2), "b": torch.zeros(1)}
    for name, other, message in [
        ("fewer", {"w": torch.zeros(2)}, "000200 has the tensor 'b', which .*000100 does not"),
        ("shape", {**one, "w": torch.zeros(3)}, r"'w' with the shape \[3\] .* \[2\]"),
        ("type", {**one, "w": torch.zeros(2).half()}, r"float16, .* torch.float32: they"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            average_checkpoints(write(tmp_path / name, [other, one]), last=2)


def test_a_damaged_checkpoint_is_refused_and_the_file_before_stays(folder, tmp_path):
    output = tmp_path / "out" / "mean.safetensors"
    output.parent.mkdir()
    save_file({"before": torch.ones(1)}, output)
    weights = folder / "update_000000016" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(CheckpointError, match=r"model.safetensors is damaged: its checksum"):
        write_average(folder, output, last=3)
    assert [*load_file(output)] == ["before"]
    assert names(output.parent) == ["mean.safetensors"]


def test_the_command_writes_what_the_function_returns(folder, tmp_path, capsys):
    output = tmp_path / "mean.safetensors"
    command = ["average", str(folder), "-o", str(output), "--last", "3", "--like", "sqrt(end=0.0)"]
    assert main(command) == 0
    assert capsys.readouterr().out == (
        "update_000000012      0.6325\nupdate_000000016      0.1421\nupdate_000000018_end  0.2254\n"
    )
    expected = average_checkpoints(folder, last=3, like=sqrt(end=0.0))
    written = load_file(output)
    assert {name: value.tolist() for name, value in written.items()} == {
        name: value.tolist() for name, value in expected.items()
    }
    assert names(tmp_path) == ["mean.safetensors", "run"]

    for arguments, message in [
        (["-o", "mean.pt"], "-o mean.pt: the file's name has to end in .safetensors."),
        (["-o", str(output)], "last=10: "),
        (["-o", str(tmp_path / "no" / "x.safetensors"), "--last", "2"], "No such file"),
        ([], "required: -o/--output"),
    ]:
        assert main(["average", str(folder), *arguments]) == 2
        assert message in capsys.readouterr().err
