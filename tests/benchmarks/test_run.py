"""The benchmarks run from end to end; how quick anything is, no test decides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.measure import in_turn

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "150", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )


def test_a_group_is_measured_shown_and_written(tmp_path):
    ended = run("values", "--quick", "--output", str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    text = (tmp_path / "benchmarks.json").read_text()
    result = json.loads(text)
    rows = result["groups"]["values"]["rows"]
    assert {row["case"] for row in rows} == {"a value", "a value, of"}
    assert all(row["value"] > 0 for row in rows)
    assert result["quick"] is True
    assert result["versions"].keys() >= {"Python", "torch"}
    assert str(ROOT) not in text
    assert str(Path.home()) not in text
    assert (tmp_path / "benchmarks.png").read_bytes().startswith(b"\x89PNG")
    for row in rows:
        assert row["name"] in ended.stdout
        assert report.number(row["value"]) in ended.stdout

    shown = run("--markdown", "--output", str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    goals = [row for row in rows if row["goals"]]
    table = [line for line in shown.stdout.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(goals)
    assert result["date"] in shown.stdout


def test_an_unknown_group_is_refused():
    ended = run("steping")
    assert ended.returncode == 2
    assert "'steping' is no group; there are stepping, " in ended.stderr


def test_ratios_are_of_medians_measured_in_turn():
    order: list[str] = []
    seconds = {"limit": iter([1.0, 2.0, 3.0]), "ours": iter([2.0, 5.0, 4.0])}

    def measured(name):
        order.append(name)
        return next(seconds[name])

    figures = in_turn({name: lambda name=name: measured(name) for name in seconds}, rounds=3)
    assert order == ["limit", "ours"] * 3
    assert figures["ours"].seconds == 4.0
    assert figures["ours"].ratio == 2.0
    assert figures["ours"].low == pytest.approx(4 / 3)
    assert figures["ours"].high == pytest.approx(2.5)
    assert figures["limit"].ratio == 1.0


def test_a_goal_that_is_missed_is_said_so():
    row = {"goals": [{"text": "≤ 2 ×", "met": True}, {"text": "≤ 0.5 s", "met": False}]}
    assert report.goals_of(row) == "≤ 2 ×: met, ≤ 0.5 s: MISSED"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1.2345, "1.23"), (0.008051, "0.00805"), (12345.6, "12,346")]
)
def test_numbers_have_three_digits(value, text):
    assert report.number(value) == text
