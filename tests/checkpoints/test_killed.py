import json
import signal
import sys

import pytest
import torch

from pytorch_accelerated.checkpoints import PREEMPTED_EXIT_CODE
from tests.checkpoints import killing
from tests.launching import run


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killing")
    run([sys.executable, "-m", "tests.checkpoints.killing", str(folder)], seconds=280)
    return folder, json.loads((folder / "results.json").read_text())


@pytest.fixture
def results(launched):
    return launched[1]


@pytest.mark.parametrize("case", killing.CASES)
def test_a_run_that_was_killed_ten_times_ends_like_one_that_was_not(results, case):
    result = results[case]
    processes = killing.CASES[case].get("processes", 1)
    assert result["codes"] == [[-signal.SIGKILL] * processes] * killing.NUM_KILLS
    straight = result["straight"]
    assert straight["updates"] == len(straight["applied"]["lr"]) == killing.NUM_UPDATES
    assert straight["warnings"] == []
    is_by_samples = "clock" in killing.CASES[case]
    samples = {"samples": killing.NUM_UPDATES * killing.BATCH_SIZE} if is_by_samples else {}
    assert straight["clocks"] == samples
    # Weights, average, optimizer, history, what was applied, patience: bit for bit.
    assert result["killed"] == [straight] * len(result["killed"])
    assert result["again"] == straight


@pytest.mark.parametrize("case", killing.CASES)
def test_the_kills_were_spread_over_the_run(results, case):
    newest = {folders[-1] for folders in results[case]["reached"] if folders}
    assert len(newest) >= 3  # how many there are depends on the load of the machine


def test_some_kills_came_while_a_checkpoint_was_written(results):
    unfinished = [
        name
        for case in killing.CASES
        for folders in results[case]["reached"]
        for name in folders
        if name.endswith(".writing")
    ]
    assert unfinished


@pytest.mark.parametrize("case", killing.CASES)
def test_the_last_three_are_kept_and_nothing_else_is_left(results, case):
    assert results[case]["left"] == [
        "update_000000045",
        "update_000000048",
        "update_000000048_end",
    ]


@pytest.mark.parametrize(
    ("case", "same_as"),
    [("one told to leave", "accumulation"), ("two told to leave", "two processes")],
)
def test_processes_that_are_told_to_leave_save_first(results, case, same_as):
    processes = 2 if same_as == "two processes" else 1
    assert results[case]["codes"] == [[PREEMPTED_EXIT_CODE] * processes] * 2
    assert results[case]["result"] == results[same_as]["straight"]


@pytest.mark.parametrize(("case", "before", "now"), [("fewer processes", 2, 1),
                                                     ("more processes", 1, 2)])  # fmt: skip
def test_another_number_of_processes_goes_on_from_the_same_place(results, case, before, now):
    result, straight = results[case]["result"], results["two processes"]["straight"]
    (warning,) = result["warnings"]
    assert f"num_processes: {before} before, {now} now" in warning
    assert f"gradient_accumulation_steps: {2 * now} before, {2 * before} now" in warning
    assert len(warning.splitlines()) == 4
    assert result["updates"] == result["horizon"] == killing.NUM_UPDATES
    assert result["applied"] == straight["applied"]
    assert result["epoch"] == straight["epoch"]
    assert result["history"].keys() == straight["history"].keys()


def test_a_file_from_two_processes_loads_anywhere(launched):
    folder, results = launched
    saved = torch.load(folder / "two processes" / "straight" / "exported.pt", weights_only=True)
    model = killing.make_model()
    model.load_state_dict(saved["model_state_dict"])
    assert killing.digest(model.state_dict()) == results["two processes"]["straight"]["weights"]
    torch.optim.AdamW(model.parameters()).load_state_dict(saved["optimizer_state_dict"])
