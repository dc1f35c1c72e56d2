import io
import sys

import pytest
import torch
from rich.console import Console

from pytorch_accelerated.callbacks import (
    LogMetricsCallback,
    ModelEmaCallback,
    PrintProgressCallback,
    ProgressBarCallback,
    StepBasedEvaluationCallback,
    StopTrainingError,
    TrainerCallback,
)


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)


def test_a_terminal_shows_count_loss_rate_and_speed(make_trainer, train, terminal):
    bars = ProgressBarCallback(refresh_per_second=1e9, console=terminal)
    train(make_trainer(bars), num_epochs=2)
    shown = terminal.file.getvalue()
    for text in ("epoch 1", "epoch 2", "evaluation", "6/6", "loss ", "lr 0.05", "updates/s"):
        assert text in shown
    assert bars.pbar is None
    assert bars.eval_pbar is None


def test_without_a_terminal_nothing_is_drawn(make_trainer, train, capsys):
    bars = ProgressBarCallback(refresh_per_second=1e9)
    train(make_trainer(bars), num_epochs=2)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_without_a_terminal_no_control_character_is_printed(make_trainer, train, capsys):
    callbacks = (PrintProgressCallback, ProgressBarCallback, LogMetricsCallback)
    train(make_trainer(*callbacks), num_epochs=2)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\r" not in printed
    assert "Starting epoch 2" in printed


def test_other_processes_draw_nothing(make_trainer, train, terminal):
    class SecondProcess:
        is_local_main_process = False

    class Run:
        accelerator = SecondProcess()

    class Trainer:
        run = Run()

    bars = ProgressBarCallback(console=terminal)
    assert bars._open(Trainer(), "epoch 1", range(3)) is None


def test_bars_close_after_a_stop(make_trainer, train, terminal, probe):
    def stop(trainer, **kwargs):
        raise StopTrainingError("enough")

    for event in ("on_train_step_end", "on_eval_step_end", "on_training_run_epoch_end"):
        bars = ProgressBarCallback(console=terminal)
        train(make_trainer(bars, probe(**{event: stop})))
        assert bars.pbar is None
        assert bars.eval_pbar is None
        assert terminal._live_stack == []


class Interrupt(TrainerCallback):
    def __init__(self, event, error):
        self.error = error
        setattr(self, event, self._raise)

    def _raise(self, trainer, **kwargs):
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
@pytest.mark.parametrize("event", ["on_train_step_end", "on_eval_step_end"])
def test_whatever_ends_a_run_gives_the_terminal_back(make_trainer, train, terminal, event, error):
    bars = ProgressBarCallback(console=terminal)
    stdout, stderr = sys.stdout, sys.stderr
    with pytest.raises(error):
        train(make_trainer(bars, Interrupt(event, error)))
    assert_is_given_back(terminal)
    assert (sys.stdout, sys.stderr) == (stdout, stderr)
    assert bars.pbar is None
    assert bars.eval_pbar is None


def assert_is_given_back(terminal):
    shown = terminal.file.getvalue()
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert shown.count(hidden) == shown.count(visible) > 0
    assert shown.rindex(visible) > shown.rindex(hidden)
    assert terminal._live_stack == []


def test_an_interrupted_evaluation_run_gives_the_terminal_back(make_trainer, dataset, terminal):
    bars = ProgressBarCallback(console=terminal)
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        make_trainer(bars, Interrupt("on_eval_step_end", KeyboardInterrupt)).evaluate(dataset)
    assert_is_given_back(terminal)
    assert sys.stdout is stdout


def test_so_does_an_interrupted_evaluation_of_averaged_weights(
    make_trainer, train, terminal, tmp_path
):
    bars = ProgressBarCallback(console=terminal)
    interrupt = Interrupt("on_eval_step_end", KeyboardInterrupt)
    ema = ModelEmaCallback(save_path=tmp_path / "ema.pt", callbacks=[bars, interrupt])
    stdout = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        train(make_trainer(ema))
    assert_is_given_back(terminal)
    assert sys.stdout is stdout


def test_an_evaluation_within_an_epoch_has_its_bar_and_training_goes_on(
    make_trainer, train, terminal
):
    bars = ProgressBarCallback(refresh_per_second=1e9, console=terminal)
    train(make_trainer(bars, StepBasedEvaluationCallback(2)))
    assert "evaluation" in terminal.file.getvalue()
    assert bars.pbar is None


def test_a_loss_is_read_only_when_a_bar_is_drawn(make_trainer, train, terminal, monkeypatch):
    reads = []
    read = torch.Tensor.__float__
    monkeypatch.setattr(torch.Tensor, "__float__", lambda self: (reads.append(1), read(self))[1])
    train(make_trainer(ProgressBarCallback(refresh_per_second=1e-6, console=terminal)))
    assert reads == []
    train(make_trainer(ProgressBarCallback(refresh_per_second=1e9, console=terminal)))
    assert len(reads) == 12


def test_runs_and_epochs_are_announced(make_trainer, train, capsys, dataset):
    trainer = make_trainer(PrintProgressCallback)
    train(trainer, num_epochs=2)
    trainer.evaluate(dataset, per_device_batch_size=4)
    lines = capsys.readouterr().out.splitlines()
    assert {
        "Starting training run",
        "Starting epoch 1",
        "Starting epoch 2",
        "Starting evaluation",
        "Starting evaluation run",
        "Finished evaluation run",
    } <= set(lines)
    assert any(line.startswith("Finished training run: 12 updates in") for line in lines)


def test_a_table_sums_the_metrics_up_at_the_end(make_trainer, train, capsys):
    train(make_trainer(PrintProgressCallback).script(0.5, 0.125, 0.25), num_epochs=3)
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if "score" in line]
    numbers = [cell.strip() for cell in row.replace("|", "│").split("│") if cell.strip()]
    assert numbers == ["score", "0.5", "0.125", "0.5", "0.25"]
    assert any("first" in line and "lowest" in line and "last" in line for line in lines)


def test_a_rate_of_drawing_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="refresh_per_second=0 "):
        ProgressBarCallback(refresh_per_second=0)
