import io
import re
import subprocess
import sys
from functools import partial
from types import ModuleType

import pytest
import torch
from rich.console import Console
from torch.optim.lr_scheduler import LambdaLR

from pytorch_accelerated.callbacks import (
    LogMetricsCallback,
    ModelEmaCallback,
    PrintProgressCallback,
    ProgressBarCallback,
    StepBasedEvaluationCallback,
    StopTrainingError,
    TrainerCallback,
)
from pytorch_accelerated.schedulers import (
    ParamScheduler,
    SchedulerWarning,
    StatelessParamScheduler,
)
from pytorch_accelerated.schedules import constant, cosine, from_function, linear
from pytorch_accelerated.trainer import Trainer
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
    assert len(printed.splitlines()) == 3  # the plan, and two epochs


class Place:
    """What IPython's display gives back, with all that has stood there."""

    def __init__(self):
        self.texts = []

    def update(self, data, raw):
        assert raw
        self.texts.append(data["text/plain"])


def test_a_notebook_has_text_that_is_replaced_and_no_warning(make_trainer, train, monkeypatch):
    places = []

    def display(data, raw, display_id):
        assert (data, raw, display_id) == ({"text/plain": ""}, True, True)
        places.append(Place())
        return places[-1]

    # IPython itself only shows it to a notebook that is open.
    module = ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    console = Console(file=io.StringIO(), force_jupyter=True)
    bars = ProgressBarCallback(refresh_per_second=1e9, console=console)
    for _ in range(2):
        train(make_trainer(bars), num_epochs=2)
    assert len(places) == 2  # one a run
    for place in places:
        shown = [re.sub(r"\x1b\[[\d;]*m", "", text) for text in place.texts]
        assert {text.split("━")[0].strip() for text in shown} == {
            *("epoch 1", "epoch 2", "evaluation", "")
        }
        assert any("6/6" in text and "loss " in text for text in shown)
        assert shown[-1] == ""
        assert all("\n" not in text for text in shown)
    assert console.file.getvalue() == ""


def test_a_notebook_without_widgets_imports_the_trainer_without_a_warning():
    code = (
        "import sys\n"
        "from types import ModuleType\n"
        "sys.modules['IPython'] = shell = ModuleType('IPython')\n"
        "sys.modules['ipykernel.zmqshell'] = ModuleType('zmqshell')\n"
        "shell.get_ipython = object\n"
        "import pytorch_accelerated.trainer\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


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


def test_bars_go_when_their_epoch_is_over_and_lines_stay(
    make_trainer, train, terminal, dataset, tmp_path, capsys
):
    bars = ProgressBarCallback(refresh_per_second=1e9, console=terminal)
    ema = ModelEmaCallback(save_path=tmp_path / "ema.pt", callbacks=[bars])
    trainer = make_trainer(bars, LogMetricsCallback, StepBasedEvaluationCallback(4), ema)
    train(trainer, num_epochs=2)
    trainer.evaluate(dataset)
    # While a bar is there, lines are printed above it, by what draws it.
    lines = [*what_stays(terminal), *capsys.readouterr().out.splitlines()]
    starts = ["update 4", "update 8", "update 12", "epoch 1/2", "epoch 2/2", "evaluation_loss"]
    assert [line[: len(start)] for line, start in zip(lines, starts, strict=True)] == starts


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


@pytest.mark.usefixtures("own_accelerator_state")
def test_making_up_for_skipped_updates_does_not_count_beyond_the_total(terminal):
    train_scaled(ProgressBarCallback(1e9, console=terminal), overflow_at=(0, 1, 5))
    drawn = terminal.file.getvalue()
    assert "4/4" in drawn
    assert "7/7" in drawn
    assert not re.search(r"[567]/4", drawn)


def test_a_loss_is_read_only_when_a_bar_is_drawn(make_trainer, train, terminal, monkeypatch):
    reads = []
    read = torch.Tensor.__float__
    monkeypatch.setattr(torch.Tensor, "__float__", lambda self: (reads.append(1), read(self))[1])
    train(make_trainer(ProgressBarCallback(refresh_per_second=1e-6, console=terminal)))
    assert reads == []
    train(make_trainer(ProgressBarCallback(refresh_per_second=1e9, console=terminal)))
    assert len(reads) == 12


def announced(capsys, make_trainer, train, schedules, **options):
    """The lines of a run of two epochs, of 6 updates each."""
    create = schedules and ParamScheduler.create_scheduler_fn(**schedules)
    train(make_trainer(PrintProgressCallback), 2, create_scheduler_fn=create, **options)
    return capsys.readouterr().out.splitlines()


COSINE = linear(2, start=0.0) >> cosine(10, end=0.01)


@pytest.mark.parametrize(
    ("schedules", "plan"),
    [
        ({"lr": COSINE}, "lr 0 → 0.05 → 5e-4"),
        ({"lr": COSINE, "momentum": constant(12, 0.9)}, "lr 0 → 0.05 → 5e-4, momentum 0.45"),
        ({"momentum": linear(12, end=0.2)}, "lr 0.05, momentum 0.5 → 0.1"),
        ({"lr": cosine(4, end=0.0).repeat(3, peak=0.5)}, "lr 0.05 → 0 → 0.025 → … → 0"),
        ({"lr": cosine(2, end=0.0).repeat()}, "lr 0.05 → …"),
        ({"lr": from_function(lambda k: 1 / (1 + k))}, "lr 0.05 → …"),
    ],
)
def test_the_plan_is_told_before_and_that_it_was_kept_after(
    capsys, make_trainer, train, schedules, plan
):
    assert announced(capsys, make_trainer, train, schedules) == [
        f"12 updates, 6 an epoch; {plan}",
        "applied == planned (12 updates)",
    ]


def test_without_a_plan_nothing_is_said_to_be_kept(capsys, make_trainer, train):
    assert announced(capsys, make_trainer, train, None) == ["12 updates, 6 an epoch; lr 0.05"]
    train(make_trainer(PrintProgressCallback), create_scheduler_fn=partial(LambdaLR, lr_lambda=abs))
    assert capsys.readouterr().out == "6 updates, 6 an epoch; lr by LambdaLR\n"


def test_a_limit_in_samples_and_a_plan_in_samples(capsys, make_trainer, train):
    schedules = {"lr": linear(40, end=0.0), "clock": "samples"}
    lines = announced(capsys, make_trainer, train, schedules, max_samples=40)
    assert lines[0] == "12 updates, 6 an epoch, at most 40 samples; lr 0.05 → 0"
    assert lines[-1] == "applied == planned (10 updates)"


def test_an_update_that_ran_with_another_value_is_told(capsys, make_trainer, train, probe):
    def disturb(trainer, **kwargs):
        if trainer.num_updates == 4:
            trainer.optimizer.param_groups[0]["lr"] = 0.125

    trainer = make_trainer(PrintProgressCallback, probe(on_update_end=disturb))
    create = ParamScheduler.create_scheduler_fn(lr=constant(12))
    with pytest.warns(SchedulerWarning, match="0.125"):
        train(trainer, create_scheduler_fn=create)
    assert capsys.readouterr().out.splitlines()[1] == (
        "applied != planned: first at update 4, lr of parameter group 0: "
        "planned 0.05, applied 0.125"
    )


def test_no_comparison_where_steps_are_not_counted_in_updates(capsys, train, make_trainer):
    class BySamples(Trainer):
        def scheduler_step(self):
            self.scheduler.step_update(4 * self.num_updates)

    trainer = make_trainer(PrintProgressCallback, trainer=BySamples)
    train(trainer, create_scheduler_fn=lambda o: StatelessParamScheduler(o, lr=linear(24, end=0.0)))
    assert capsys.readouterr().out == "6 updates, 6 an epoch; lr 0.05 → 0\n"


def test_tensors_are_not_read_and_added_groups_wait_for_their_scheduler(
    capsys, train, make_trainer, probe
):
    create = ParamScheduler.create_scheduler_fn(lr=linear(6, end=0.0))
    train(make_trainer(PrintProgressCallback, lr=torch.tensor(0.05)), create_scheduler_fn=create)
    assert len(capsys.readouterr().out.splitlines()) == 1

    def add(trainer, **kwargs):
        if trainer.num_updates == 2:
            weight = torch.nn.Parameter(torch.ones(1))
            trainer.optimizer.add_param_group({"params": [weight], "lr": 0.1, "momentum": 0.0})

    train(make_trainer(PrintProgressCallback, probe(on_update_end=add)), create_scheduler_fn=create)
    # The group's first update ran with its base, before the scheduler had seen it.
    assert capsys.readouterr().out.splitlines()[1] == "applied == planned (5 updates)"


def test_plans_of_groups_are_told_apart(capsys, train):
    model = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(4)))
    groups = [{"params": one.parameters(), "lr": 10.0**-i} for i, one in enumerate(model)]
    groups[0]["name"] = "head"
    optimizer = torch.optim.SGD(groups, momentum=0.5)
    trainer = Trainer(model, lambda y, x: y.mean(), optimizer, [PrintProgressCallback])
    schedules = {"lr": linear(6, end=0.0), "momentum": {"head": constant(6)}}
    train(trainer, create_scheduler_fn=ParamScheduler.create_scheduler_fn(**schedules))
    assert capsys.readouterr().out.splitlines() == [
        "6 updates, 6 an epoch;",
        "  lr 1 → 0 (head), 0.1 → 0 (SGD/1) and 2 more, momentum 0.5 (head)",
        "applied == planned (6 updates)",
    ]


def test_a_rate_of_drawing_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="refresh_per_second=0 "):
        ProgressBarCallback(refresh_per_second=0)
