"""What was measured, as a table for the terminal, a table for the README, and a plot."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

Result = dict[str, Any]
SHORT = ("ParamScheduler", "Trainer")  # need no name in the table
OURS = (*SHORT, "CosineLrScheduler", "Trainer, at a terminal", "a one-line subclass")
IN_README = ("a step next to AdamW's, 8 groups", "an update, batch 16", "an update, batch 512")
PANELS = ("step, 8 groups", "an update, batch 16", "an update, batch 512", "until the first update")
BEGIN, END = "<!-- benchmarks -->", "<!-- end of benchmarks -->"


def rows_of(result: Result) -> Iterator[dict[str, Any]]:
    for group in result["groups"].values():
        yield from group["rows"]


def number(value: float) -> str:
    """Return a value in three digits, or whole."""
    if not value:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(digits, 0)}f}"


def ratio_of(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return ""
    return f"{row['ratio']:.2%}" if row["ratio"] < 0.01 else f"{row['ratio']:.2f} ×"


def spread_of(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return ""
    form = ".2%" if row["ratio"] < 0.01 else ".2f"
    return f"{row['low']:{form}} … {row['high']:{form}}"


def goals_of(row: dict[str, Any]) -> str:
    return ", ".join(
        f"{goal['text']}: {'met' if goal['met'] else 'MISSED'}" for goal in row["goals"]
    )


def head(result: Result) -> str:
    machine = ", ".join(str(value) for value in result["machine"].values())
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"{result['date']} · {machine}\n{versions}"


def print_table(result: Result) -> None:
    """Print all figures, the goals and what could not be measured."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=head(result), box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("what", "of", "median", "", "ratio", "spread", "goal"):
        is_number = name in ("median", "ratio", "spread")
        table.add_column(name, justify="right" if is_number else "left", no_wrap=name != "goal")
    for case, rows in groupby(rows_of(result), key=lambda row: row["case"]):
        shown = case
        for row in rows:
            is_missed = not all(goal["met"] for goal in row["goals"])
            table.add_row(
                shown,
                row["name"],
                number(row["value"]),
                row["unit"],
                ratio_of(row),
                spread_of(row),
                goals_of(row),
                style="red" if is_missed else "bold" if row["goals"] else None,
            )
            shown = ""
        table.add_section()
    # A narrow terminal, or none, breaks lines rather than cutting figures off.
    console = Console(width=max(Console().width, 150))
    console.print(table)
    for line in _afterwards(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _afterwards(result: Result) -> Iterator[str]:
    for group in result["groups"].values():
        for name, why in group["not_measured"].items():
            yield f"Not measured: {name}: {why}"
    for name, why in result["not_measured"].items():
        yield f"Not measured: {name}: {why}"
    yield from _missed(result)
    goals = [goal for row in rows_of(result) for goal in row["goals"]]
    met = sum(goal["met"] for goal in goals)
    yield f"{met} of {len(goals)} goals are met, in {result['seconds']:.0f} seconds."


def markdown(result: Result, cases: Collection[str] | None = None) -> str:
    """Return what concerns us as a table, with the others side by side.

    With ``cases``, it has these alone, without goals: the README's.
    """
    lines = ["| what | ours | times the limit (spread) | the others, times the limit |"]
    lines += ["|---|--:|--:|---|"]
    if cases is None:
        lines = [f"{lines[0]} goal |", f"{lines[1]}---|"]
    for case, same_case in groupby(rows_of(result), key=lambda row: row["case"]):
        rows = list(same_case)
        for row in rows:
            is_asked = cases is None or (case in cases and row["name"] in SHORT)
            if not row["goals"] or row["unit"] == "modules" or not is_asked:
                continue
            cells = (
                case if row["name"] in SHORT else f"{case}: {row['name']}",
                f"{number(row['value'])} {row['unit']}",
                ratio_of(row) + (f" ({spread_of(row)})" if spread_of(row) else ""),
                _others(row, rows),
            )
            goals = goals_of(row).replace("MISSED", "**missed**")
            lines.append(f"| {' | '.join(cells if cases else (*cells, goals))} |")
    machine = ", ".join(str(value) for value in result["machine"].values())
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines += ["", f"Measured on {result['date']}, {machine}, with {versions}."]
    lines += [f"\n{line}" for line in _missed(result) if cases is None]
    return "\n".join(lines)


def put_into(path: Path, text: str) -> None:
    """Put a text between the marks in a file."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has to hold {BEGIN!r}, and after it {END!r}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _missed(result: Result) -> Iterator[str]:
    """Yield why goals are missed, each reason once."""
    missed: dict[str, list[str]] = {}
    for row in rows_of(result):
        for goal in row["goals"]:
            if not goal["met"]:
                why = goal["why"] or "nothing is known that would make this the limit"
                missed.setdefault(why, []).append(row["case"])
    for why, cases in missed.items():
        yield f"Missed in {'; '.join(dict.fromkeys(cases))}: {why}."


def _others(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Return the others of a case that is of several, the quickest first."""
    if row["name"] not in OURS:
        return ""
    others = [one for one in rows[1:] if one["name"] not in OURS]
    others.sort(key=lambda one: float(one["value"]))
    return ", ".join(f"{one['name']} {ratio_of(one)}" for one in others)


def plot(result: Result, path: Path) -> None:
    """Draw the ratios of each case that compares us with others, and write them as PNG."""
    from matplotlib.figure import Figure

    cases = []
    for case, group in groupby(rows_of(result), key=lambda row: row["case"]):
        rows = [row for row in group if row["ratio"] is not None]
        if case in PANELS and len(rows) > 1:
            cases.append((case, rows))
    across = 2
    down = max(1, math.ceil(len(cases) / across))
    figure = Figure(figsize=(13, 4.2 * down), layout="constrained")
    for place, (case, rows) in enumerate(cases, 1):
        axes = figure.add_subplot(down, across, place)
        names = [row["name"] for row in rows]
        ratios = [row["ratio"] for row in rows]
        # Quartiles of the rounds' ratios; the ratio of the medians may lie outside of them.
        below = [max(0.0, r - (row["low"] or r)) for r, row in zip(ratios, rows, strict=True)]
        above = [max(0.0, (row["high"] or r) - r) for r, row in zip(ratios, rows, strict=True)]
        colors = ["#1f6fb2" if name in OURS else "#b0b7bf" for name in names]
        axes.barh(names, ratios, xerr=[below, above], color=colors, error_kw={"lw": 1})
        axes.axvline(1.0, color="black", lw=0.8)
        if max(ratios) > 12:
            axes.set_xscale("log")
        axes.invert_yaxis()
        axes.set_title(f"{case}: times the first", fontsize=13, loc="left")
        axes.tick_params(labelsize=11)
    figure.suptitle(head(result).splitlines()[0], fontsize=9, ha="left", x=0.01)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, metadata={"Software": None})
