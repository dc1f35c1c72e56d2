"""Every example runs, and what it says about itself is so."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import launching

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run an example's main() in an empty folder."""

    def run(name: str, *arguments: str) -> Any:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        with torch.random.fork_rng():
            return module.main()

    return run


def test_each_example_is_listed_and_tested():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    listed = (EXAMPLES / "README.md").read_text()
    tests = Path(__file__).read_text()
    for name in names:
        assert f"[`{name}.py`]({name}.py)" in listed
        assert f'"{name}' in tests


def test_the_plain_loop_learns_and_ends_on_the_plans_last_values(run, capsys):
    optimizer, accuracy = run("plain_loop", "--epochs", "5")
    assert accuracy > 0.9
    assert [group["lr"] for group in optimizer.param_groups] == [0.01 * 4e-3, 0.01 * 1e-3]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.0]
    assert "225 updates" in capsys.readouterr().out


def test_the_digits_reach_97_percent_with_applied_equal_to_planned(run, tmp_path, capsys):
    assert run("train_digits", "--epochs", "8", "--folder", "digits") == 0
    assert "applied == planned" in capsys.readouterr().out
    folder = tmp_path / "digits"
    assert json.loads((folder / "metrics.json").read_text())["eval_accuracy"][-1] >= 0.97
    assert {path.name for path in folder.iterdir()} == {
        "metrics.json",
        "applied.json",
        "planned.csv",
        "schedule.png",
        "checkpoint.pt",
    }


def test_custom_metrics_agree_with_a_count_by_hand(run, capsys):
    trainer, test_set = run("custom_metrics", "--epochs", "4")
    inputs, targets = test_set[:]
    with torch.no_grad():
        predictions = trainer.model(inputs).argmax(dim=1)
    recalls = [(predictions[targets == k] == k).float().mean().item() for k in range(10)]
    history = trainer.run_history
    accuracy = (predictions == targets).float().mean().item()
    assert history.get_latest_metric("eval_accuracy") == pytest.approx(accuracy, abs=1e-6)
    assert history.get_latest_metric("eval_lowest_recall") == pytest.approx(min(recalls), abs=1e-6)
    assert len(history.get_metric_values("eval_accuracy")) == 4
    assert accuracy > 0.85
    if "eval_f1" in history.get_metric_names():
        assert history.get_latest_metric("eval_f1") == pytest.approx(accuracy, abs=0.05)
    assert f"  eval_accuracy {accuracy:.4f}  " in capsys.readouterr().out


def test_the_custom_event_comes_once_an_update(run):
    trainer = run("custom_event", "--epochs", "2")
    history = trainer.run_history
    names = {f"train_gradient_norm_{name}" for name, _ in trainer.model.named_parameters()}
    assert set(history.get_metric_names()) == {*names, "train_loss_epoch"}
    assert all(len(history.get_metric_values(name)) == 2 for name in names)
    (recorder, _) = trainer.callback_handler.callbacks
    batches = -(-1797 // 16)
    assert recorder.num_updates == -(-batches // 4)


def test_unfrozen_layers_join_the_schedule_and_help(run):
    trainer, monitor = run("finetune", "--epochs", "6")
    rates = monitor.applied["lr"]
    assert [len(groups) for groups in rates] == [1] * 30 + [3] * 30
    # Groups 0 and 1 are added in the middle, where a cosine is at half of the base.
    head, lower, upper = rates[30]
    assert [head, lower, upper] == pytest.approx([1e-2 / 2, 3e-3 / 8 / 2, 3e-3 / 4 / 2], abs=1e-6)
    assert trainer.optimizer.param_groups[0]["lr"] == 1e-6
    assert all(group["lr"] == 1e-6 for group in trainer.optimizer.param_groups)
    accuracies = trainer.run_history.get_metric_values("eval_accuracy")
    assert accuracies[-1] > accuracies[2]
    assert accuracies[-1] > 0.85


def test_weight_decay_and_momentum_run_as_planned(run, capsys):
    trainer, monitor, comparison = run("weight_decay_and_momentum", "--epochs", "2")
    assert comparison
    assert "applied == planned (114 updates, 342 values)" in capsys.readouterr().out
    applied = {field: [groups[0] for groups in monitor.applied[field]] for field in monitor.applied}
    assert (applied["lr"][0], max(applied["lr"])) == (0.04 * 0.2, 0.2)
    assert (applied["momentum"][0], min(applied["momentum"])) == (0.95, 0.85)
    assert applied["weight_decay"][:57] == [1e-3] * 57
    group = trainer.optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.001 * 0.2, 0.95, 4e-3)
    assert trainer.run_history.get_latest_metric("eval_loss_epoch") < 0.3


def test_a_plan_in_samples_is_the_same_for_every_batch_size(run):
    rates = run("stateless", "--epochs", "2")
    per_epoch = {16: 113, 64: 29}
    assert {size: len(values) for size, values in rates.items()} == {16: 226, 64: 58}
    for epoch in range(2):
        small = rates[16][epoch * per_epoch[16] : (epoch + 1) * per_epoch[16] : 4]
        large = rates[64][epoch * per_epoch[64] : (epoch + 1) * per_epoch[64]]
        assert small == large
    assert rates[64][0] == 0.1 * 3e-3
    assert len(set(rates[64])) == 58


def test_the_language_models_loss_falls_faster_in_the_decay(run, capsys):
    trainer, monitor = run("language_model", "--paragraphs", "400")
    losses = trainer.run_history.get_metric_values("eval_loss_epoch")
    stable, decay = losses[5] - losses[7], losses[7] - losses[9]
    assert decay > 1.2 * abs(stable)
    assert losses[-1] < 2.2
    rates = [groups[0] for groups in monitor.applied["lr"]]
    assert rates[5:96] == [3e-2] * 91
    assert rates[96] == 3e-2 > rates[97] > rates[-1]
    assert trainer.optimizer.param_groups[0]["lr"] == 1e-6 * 3e-2
    assert "def " in capsys.readouterr().out


def test_two_processes_apply_the_same_values():
    """With what torchrun sets for "two_processes.py"."""
    script = str(EXAMPLES / "two_processes.py")
    lines = launching.forked(2, script, "--epochs", 2, seconds=200).splitlines()
    assert lines[0].startswith("2 processes, 19 updates an epoch, loss ")
    assert lines[1:] == [
        f"process {process}: applied == planned (38 updates, 38 values)" for process in (0, 1)
    ]
