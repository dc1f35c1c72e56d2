"""Schedules and schedulers of one's own, by their names, on the command line."""

from __future__ import annotations

import sys

import pytest

from pytorch_accelerated.cli import main

PLANS = """
import torch
from pytorch_accelerated.schedulers import ParamScheduler, StatefulSchedulerBase
from pytorch_accelerated.schedules import cosine, linear

plan = linear(100, start=0.0) >> cosine(300)
both = {"lr": plan, "weight_decay": linear(400)}

def make():
    return plan

def halving(num_updates):
    return 0.5 ** (num_updates / 100)

def of_optimizer(optimizer):
    return ParamScheduler(optimizer, lr=plan)

def native(optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, 200)

class Mine(StatefulSchedulerBase):
    def get_updated_values(self, num_updates):
        return 1.0 / (1 + num_updates)

class Holder:
    plan = plan

def needs(a, b):
    pass

def breaks():
    raise RuntimeError("not today")

def divides(num_updates):
    return 1.0 / (num_updates - 3)

number = 3
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a preview where the modules are; return its exit code, and what it prints."""
    (tmp_path / "own_plans.py").write_text(PLANS)
    (tmp_path / "own_broken.py").write_text("def f(:\n")
    (tmp_path / "own_needy.py").write_text("import nothing_of_this_name\n")
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)

    def preview(*arguments):
        code = main(["preview", *arguments])
        captured = capsys.readouterr()
        return code, captured.out or captured.err

    yield preview
    assert sys.path == path
    for name in {*sys.modules} - before:
        if name.startswith("own_"):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["plan", "make", "of_optimizer", "Holder.plan"])
def test_what_has_a_schedule_is_shown_as_the_schedule(run, name):
    _, written = run("linear(100, start=0.0) >> cosine(300)", "--base", "[0.1, 0.2]")
    assert run(f"own_plans:{name}", "--base", "[0.1, 0.2]") == (0, written)


def test_fields_functions_and_schedulers_are_shown(run):
    code, shown = run("own_plans:both")
    assert (code, "weight_decay" in shown) == (0, True)
    code, shown = run("own_plans:halving", "--num_updates", "1e2")
    assert (code, "from_function(halving)" in shown) == (0, True)
    code, shown = run("own_plans:native", "--num_updates", "400", "--base", "0.1")
    assert [line.split() for line in shown.splitlines()[-2:]] == [
        ["constant", "0", "199", "0.1"],
        ["constant", "200", "399", "0.01"],
    ]
    code, shown = run("own_plans:Mine", "--num_updates", "2")
    assert shown.splitlines()[-1].split() == ["constant", "1", "1", "0.5"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_plans:needs", "own_plans:needs needs a, b. It has to be a schedule, a mapping"),
        ("own_plans:number", "own_plans:number is 3. It has to be a schedule"),
        ("own_plans:nope", "own_plans has no 'nope', but torch, "),
        ("own_plans:Holder.nope", "has no 'nope', but plan."),
        ("own_plans:breaks", "RuntimeError in own_plans.py, line 32: not today"),
        ("own_plans:divides", "ZeroDivisionError in own_plans.py, line 35: "),
        ("own_plans:halving", "never ends: write --num_updates"),
        ("own_nothing:plan", "there is no module 'own_nothing' in "),
        ("own_plans.py:plan", "write the module's name, own_plans:plan."),
        ("own_broken:plan", "invalid syntax in own_broken.py, line 1."),
        ("own_needy:plan", "in own_needy.py, line 1: No module named 'nothing_of_this_name'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run, name, message):
    more = ["--num_updates", "9"] if name.endswith("divides") else []
    code, shown = run(name, *more)
    assert code == 2
    assert message in shown
    assert shown.count("\n") == 1


def test_a_file_cannot_name_a_module_so_that_it_runs_no_code(run, tmp_path):
    (tmp_path / "own_traced.py").write_text("raise SystemExit('it ran')\n")
    (tmp_path / "plan.yaml").write_text("schedule: own_traced:plan\n")
    code, shown = run("--config", "plan.yaml")
    assert code == 2
    assert "would run a module's code, which no file may" in shown
    (tmp_path / "fields.yaml").write_text("schedule: {lr: 'own_traced:plan'}\n")
    code, shown = run("--config", "fields.yaml")
    assert (code, "is not an expression" in shown) == (2, True)
