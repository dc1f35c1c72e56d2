import io
import re
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
from tests.trainer.test_mixed_precision import train_scaled


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
        assert_is_given_back(terminal)


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


def what_stays(terminal):
    """The lines that are on the screen in the end, as a terminal shows them."""
    lines, row = [""], 0
    pieces = re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", terminal.file.getvalue())
    column = 0
    for piece in pieces:
        if piece == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\r":
            column = 0
        elif piece.endswith("A"):
            row -= int(piece[2:-1] or 1)
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif not piece.startswith("\x1b"):
            lines[row] = (
                lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            )
            column += len(piece)
    return [line.strip() for line in lines if line.strip()]


def decay(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))


@pytest.mark.parametrize("often", [1e-9, 1e9])
@pytest.mark.parametrize("has_tensor_rate", [False, True])
def test_the_frame_that_stays_is_exact(make_trainer, train, terminal, often, has_tensor_rate):
    bars = ProgressBarCallback(refresh_per_second=often, console=terminal)
    rate = torch.tensor(0.05) if has_tensor_rate else 0.05
    trainer = make_trainer(bars, StepBasedEvaluationCallback(4), lr=rate)
    train(trainer, num_epochs=2, create_scheduler_fn=decay)
    values = trainer.run_history.get_metric_values
    expected = [
        f"evaluation 6/6 mean loss {values('intermediate_eval_loss')[0]:.4g}",
        f"epoch 1 6/6 mean loss {values('train_loss_epoch')[0]:.4g} lr {0.05 / 6:.3g}",
        f"evaluation 6/6 mean loss {values('eval_loss_epoch')[0]:.4g}",
        f"evaluation 6/6 mean loss {values('intermediate_eval_loss')[1]:.4g}",
        f"evaluation 6/6 mean loss {values('intermediate_eval_loss')[2]:.4g}",
        f"epoch 2 6/6 mean loss {values('train_loss_epoch')[1]:.4g} lr {0.05 / 12:.3g}",
        f"evaluation 6/6 mean loss {values('eval_loss_epoch')[1]:.4g}",
    ]
    shown = [" ".join(re.sub(r"[━╸╺]+", " ", line).split()) for line in what_stays(terminal)]
    assert len(shown) == len(expected)
    for line, start in zip(shown, expected, strict=True):
        assert line.startswith(start)
        assert line.endswith("0:00:00")


def test_so_is_that_of_an_evaluation_run_and_of_averaged_weights(
    make_trainer, train, terminal, dataset, tmp_path
):
    bars = ProgressBarCallback(console=terminal)
    ema = ModelEmaCallback(save_path=tmp_path / "ema.pt", callbacks=[bars])
    trainer = train(make_trainer(ema))
    trainer.callback_handler.add_callback(bars)
    trainer.evaluate(dataset, per_device_batch_size=12)
    for line, name in zip(
        what_stays(terminal), ["ema_model_eval_loss_epoch", "evaluation_loss"], strict=True
    ):
        assert f"mean loss {trainer.run_history.get_latest_metric(name):.4g}" in line


def test_a_run_that_is_interrupted_leaves_the_loss_of_its_last_batch(
    make_trainer, train, terminal, probe
):
    losses = []

    def note(trainer, batch_output, **kwargs):
        losses.append(batch_output["loss"].item())
        if len(losses) == 3:
            raise KeyboardInterrupt

    bars = ProgressBarCallback(refresh_per_second=1e-9, console=terminal)
    with pytest.raises(KeyboardInterrupt):
        train(make_trainer(bars, probe(on_train_step_end=note)))
    (line,) = what_stays(terminal)
    assert "3/6" in line
    assert f" loss {losses[-1]:.4g}" in line
    assert "mean" not in line


@pytest.mark.usefixtures("own_accelerator_state")
def test_making_up_for_skipped_updates_does_not_count_beyond_the_total(terminal):
    train_scaled(ProgressBarCallback(1e9, console=terminal), overflow_at=(0, 1, 5))
    first, second = what_stays(terminal)
    assert "4/4" in first
    assert "7/7" in second
    assert not re.search(r"[567]/4", terminal.file.getvalue())


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


def test_a_start_of_ones_own_leaves_no_time_to_tell(make_trainer, train, capsys):
    class Own(PrintProgressCallback):
        def on_training_run_start(self, trainer, **kwargs):
            pass

    train(make_trainer(Own))
    assert "Finished training run\n" in capsys.readouterr().out


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
