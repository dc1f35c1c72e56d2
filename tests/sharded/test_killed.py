import json
import os
import signal
import sys

from tests.checkpoints.killing import NUM_UPDATES
from tests.launching import run

# For the suite a few will do; 30 of them take some minutes.
NUM_KILLS = int(os.environ.get("SHARDED_KILLS", "3"))


def test_a_sharded_run_that_was_killed_ends_like_one_that_was_not(tmp_path):
    command = [sys.executable, "-m", "tests.sharded.killing", str(tmp_path), str(NUM_KILLS)]
    run(command, seconds=100 + 40 * NUM_KILLS)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["codes"] == [[-signal.SIGKILL] * 2] * NUM_KILLS
    straight = result["straight"]
    assert straight["updates"] == NUM_UPDATES
    # Weights, average, optimizer, history, what was applied, patience: bit for bit.
    assert result["killed"] == [straight] * len(result["killed"])
    assert result["again"] == straight
    assert result["left"] == ["update_000000045", "update_000000048", "update_000000048_end"]
