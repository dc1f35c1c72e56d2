"""SIGTERM: save, then leave with an exit code of its own."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.checkpoints import PREEMPTED_EXIT_CODE
from tests.checkpoints.runs import Data, DieAt, Interrupted, make, names, outcome, train


class TermAt(TrainerCallback):
    """Is told to leave when an event comes for the n-th time."""

    def __init__(self, n, event="on_train_step_start"):
        self.left = n
        setattr(self, event, self._count)

    def _count(self, trainer, **kwargs):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(autouse=True)
def handler():
    """A handler of the application's own, which is there again afterwards."""
    calls = []

    def own(number, frame):
        calls.append(number)

    before = signal.signal(signal.SIGTERM, own)
    yield calls
    assert signal.getsignal(signal.SIGTERM) is own
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_update_at_hand_is_completed_and_saved(tmp_path, handler, accumulate, capsys):
    kwargs = {"gradient_accumulation_steps": accumulate, "checkpoint_every": 100}
    straight = train(make(), tmp_path / "straight", **kwargs)
    with pytest.raises(SystemExit) as left:
        train(make(TermAt(3 * accumulate - accumulate // 2)), tmp_path / "told", **kwargs)
    assert left.value.code == PREEMPTED_EXIT_CODE == 75
    assert names(tmp_path / "told") == ["update_000000003"]
    assert "SIGTERM: a checkpoint of update 3 is in" in capsys.readouterr().out
    assert not handler
    assert outcome(train(make(), tmp_path / "told", **kwargs)) == outcome(straight)


def test_an_evaluation_is_completed_first(tmp_path):
    kwargs = {"eval_dataset": Data(), "checkpoint_every": 100}
    straight = train(make(), tmp_path / "straight", **kwargs)
    with pytest.raises(SystemExit):
        train(make(TermAt(2, "on_eval_step_end")), tmp_path / "told", **kwargs)
    assert names(tmp_path / "told") == ["update_000000006_end"]
    assert outcome(train(make(), tmp_path / "told", **kwargs)) == outcome(straight)


def test_a_signal_at_a_save_does_not_save_twice(tmp_path):
    with pytest.raises(SystemExit):
        train(make(TermAt(4, "on_update_end")), tmp_path)
    assert names(tmp_path) == ["update_000000004"]


def test_without_checkpoints_the_signal_is_not_ours(handler):
    assert train(make(TermAt(2))).num_updates == 18
    assert handler == [signal.SIGTERM]


def test_the_handler_is_there_again_after_an_error_too(tmp_path):
    with pytest.raises(Interrupted):
        train(make(DieAt(2)), tmp_path)


def test_another_thread_than_the_main_one_may_train(tmp_path):
    thread = threading.Thread(target=lambda: train(make(), tmp_path))
    thread.start()
    thread.join()
    assert names(tmp_path)[-1] == "update_000000018_end"


def test_a_process_that_a_worker_is_does_not_keep_the_handler(tmp_path):
    class ForkAndTerm(TrainerCallback):
        def on_training_run_start(self, trainer, **kwargs):
            child = os.fork()
            if child == 0:
                os.kill(os.getpid(), signal.SIGTERM)
                os._exit(0)
            statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    statuses = []
    assert train(make(ForkAndTerm()), tmp_path).num_updates == 18
    assert statuses == [-signal.SIGTERM]


@pytest.mark.parametrize(
    ("update", "says"),
    [
        (3, r"interrupted after 3 updates; there is no checkpoint in .*run yet"),
        (11, r"interrupted after 11 updates; .*update_000000008 is there: .* resume='auto'"),
    ],
)
def test_ctrl_c_says_what_is_there_and_how_to_resume(tmp_path, capsys, update, says):
    class Interrupt(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            if trainer.num_updates == update:
                os.kill(os.getpid(), signal.SIGINT)

    # A process that was started in the background ignores the signal, unless somebody listens.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            train(make(Interrupt()), tmp_path / "run")
    finally:
        signal.signal(signal.SIGINT, before)
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(says, line)
    assert outcome(train(make(), tmp_path / "run")) == outcome(train(make()))


LEFT_TOGETHER = """
import os, signal, sys
from tests.checkpoints.runs import Data, DieAt, Interrupted, make, train
from tests.checkpoints.test_leaving import TermAt

class TermGroup(TermAt):
    def _count(self, trainer, **kwargs):
        self.left -= 1
        if self.left == 0:
            os.killpg(0, signal.SIGTERM)

def run(callback, folder):
    workers = {"num_workers": 1}
    train(
        make(callback), folder, train_dataloader_kwargs={**workers, "persistent_workers": True},
        eval_dataset=Data(), eval_dataloader_kwargs=workers, checkpoint_every=100,
    )

if __name__ == "__main__":
    for event in ("on_train_step_start", "on_eval_step_start"):
        try:
            run(TermGroup(3, event), os.path.join(sys.argv[1], event))
        except SystemExit as left:
            code = left.code
    try:
        run(DieAt(2), os.path.join(sys.argv[1], "died"))
    except Interrupted as error:
        kept = error  # and with it the loader's iterator, whose workers wait for more to do
    sys.exit(code)
"""


def test_workers_outlive_a_signal_to_all_processes_until_the_run_is_saved(tmp_path):
    """As schedulers of clusters send it; and the process ends, though workers are still there."""
    script = [sys.executable, "-c", LEFT_TOGETHER, str(tmp_path)]
    done = subprocess.run(
        script, start_new_session=True, timeout=300, capture_output=True, text=True, check=False
    )
    assert done.returncode == PREEMPTED_EXIT_CODE, done.stderr
    assert names(tmp_path / "on_train_step_start") == ["update_000000003"]
    assert names(tmp_path / "on_eval_step_start") == ["update_000000006_end"]
