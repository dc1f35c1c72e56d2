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
from benchmarks.run import main

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
    cases = {row["case"] for row in rows}
    assert cases == {"a value", "a value, of", "construction, for a phase"}
    assert all(row["value"] > 0 for row in rows)
    assert result["quick"] is True
    assert result["versions"].keys() >= {"Python", "torch", "timm"}
    assert str(ROOT) not in text
    assert str(Path.home()) not in text
    assert (tmp_path / "benchmarks.png").read_bytes().startswith(b"\x89PNG")
    for row in rows:
        assert row["name"] in ended.stdout
        assert report.number(row["value"]) in ended.stdout

    page = tmp_path / "page.md"
    page.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n")
    main(["--markdown", "--output", str(tmp_path), "--into", str(page)])
    table = report.markdown(result)
    assert page.read_text() == f"above\n{report.BEGIN}\n{table}\n{report.END}\nbelow\n"
    assert result["date"] in table


@pytest.mark.parametrize(
    ("page", "cases"), [("README.md", report.IN_README), ("benchmarks/README.md", None)]
)
def test_the_pages_show_the_results_that_are_kept(page, cases):
    kept = json.loads((ROOT / "benchmarks/results/benchmarks.json").read_text())
    table = report.markdown(kept, cases)
    assert f"{report.BEGIN}\n{table}\n{report.END}" in (ROOT / page).read_text()
    if page == "README.md":
        assert len(table.splitlines()) <= 2 + 3 + 2
        assert "issed" not in table


def test_an_unknown_group_is_refused():
    ended = run("steping")
    assert ended.returncode == 2
    assert "'steping' is not a group; there are shares, stepping, " in ended.stderr


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


def row(case, name, value, goals=(), ratio=None):
    """Return a row as JSON holds it."""
    goals = [{"text": text, "met": met, "why": "gravity"} for text, met in goals]
    bounds = {"ratio": ratio, "low": ratio, "high": ratio}
    return {"case": case, "name": name, "value": value, "unit": "µs", "goals": goals, **bounds}


def test_the_table_has_what_has_a_goal_with_the_others_side_by_side():
    rows = [
        row("a step", "by hand", 1.0, ratio=1.0),
        row("a step", "ParamScheduler", 2.5, [("≤ 2 ×", False)], ratio=2.5),
        row("a step", "slow", 9.0, ratio=9.0),
        row("a step", "less slow", 7.0, ratio=7.0),
        row("a share", "ParamScheduler", 2.5, [("≤ 1 %", True)], ratio=0.0025),
    ]
    result = {
        "date": "2026-01-31",
        "machine": {"cores": "2 cores"},
        "versions": {"Python": "3.11"},
        "groups": {"stepping": {"rows": rows, "not_measured": {}}},
    }
    step = "| a step | 2.50 µs | 2.50 × (2.50 … 2.50) | less slow 7.00 ×, slow 9.00 × |"
    share = "| a share | 2.50 µs | 0.25% (0.25% … 0.25%) |  |"
    measured = ["", "Measured on 2026-01-31, 2 cores, with Python 3.11."]
    assert report.markdown(result).splitlines()[2:] == [
        f"{step} ≤ 2 ×: **missed** |",
        f"{share} ≤ 1 %: met |",
        *measured,
        "",
        "Missed in a step: gravity.",
    ]
    assert report.markdown(result, ["a step"]).splitlines()[2:] == [step, *measured]


def test_a_page_without_marks_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="has to hold"):
        report.put_into(page, "table")
    assert page.read_text() == "no marks"


def test_a_goal_that_is_missed_is_said_so():
    goals = [("≤ 2 ×", True), ("≤ 0.5 s", False)]
    assert report.goals_of(row("a step", "ours", 1.0, goals)) == "≤ 2 ×: met, ≤ 0.5 s: MISSED"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (1.2345, "1.23"), (0.008051, "0.00805"), (12345.6, "12,346")]
)
def test_numbers_have_three_digits(value, text):
    assert report.number(value) == text
