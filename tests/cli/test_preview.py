"""The command line, run as a user runs it."""

from __future__ import annotations

import csv
import math
import re
import subprocess
import sys

import pytest

from pytorch_accelerated import __version__
from pytorch_accelerated.cli import main
from pytorch_accelerated.preview import Preview, preview
from pytorch_accelerated.preview.terminal import even_ticks, sketch
from pytorch_accelerated.schedulers import CosineLrScheduler, ParamScheduler, WSDLrScheduler
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    ema_power,
    exponential,
    linear,
    milestones,
    one_cycle_momentum,
    warmup_cosine,
)
from tests.recording import sgd

EXPRESSION = "linear(500, start=0.0) >> cosine(9500, end=0.1)"
SCHEDULE = linear(500, start=0.0) >> cosine(9500, end=0.1)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs the command in an empty folder; returns exit code, output and error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments):
        code = main(list(arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def rows_of(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.reader(file))


def test_a_terminal_shows_curve_and_phases(run):
    code, out, err = run("preview", EXPRESSION, "--base", "3e-4")
    assert (code, err) == (0, "")
    curve, _, table = out.partition("\n\n")
    assert table == (
        "phase       from   to    lr\n"
        "linear      0      499   0 → 0.0002994\n"
        "cosine      500    9999  0.0003 → 3e-05\n"
        "then holds  10000        3e-05\n"
    )
    assert re.search(r"0\.0002┤.*[⠁-⣿]", curve)
    assert re.search(r"0 +2,000 +4,000 +6,000 +8,000", curve)
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out  # no colours where there is no terminal


def test_csv_holds_the_exact_values(run):
    assert run("preview", EXPRESSION, "--base", "3e-4", "-o", "a.csv")[::2] == (0, "")
    header, *rows = rows_of("a.csv")
    assert header == ["update", "lr"]
    assert [float(value) for _, value in rows] == [SCHEDULE(k, base=3e-4) for k in range(10_000)]


def test_a_line_says_what_was_written_and_hyphens_are_taken(run):
    given = ("preview", "cosine()", "--num-updates", "2000", "--num-updates-per-epoch=10")
    assert run(*given, "-o", "a.csv") == (0, "wrote a.csv: lr over 2,000 updates\n", "")
    assert rows_of("a.csv")[-1][:2] == ["1999", "199.9"]
    assert run("preview", "cosine(9)", "--base", "0.1, 0.2", "-o", "a.csv")[0] == 0
    assert rows_of("a.csv")[1] == ["0", "0.1", "0.2"]


def test_recipes_cuts_and_whole_numbers_are_shown(run):
    text = (
        "lr=warmup_cosine(100).until(60) >> linear(40, end=0.0); momentum=one_cycle_momentum(100);"
        "size=linear(90, absolute(16), absolute(64)).rounded(to=8); ema=ema_power()"
    )
    plans = [
        warmup_cosine(100).until(60) >> linear(40, end=0.0),
        one_cycle_momentum(100),
        linear(90, absolute(16), absolute(64)).rounded(to=8),
        ema_power(),
    ]
    assert run("preview", text, "-o", "a.csv")[::2] == (0, "")
    header, *rows = rows_of("a.csv")
    assert header == ["update", "lr", "momentum", "size", "ema"]
    shown = [[float(value) for value in row[1:]] for row in rows]
    assert shown == [[plan(k) for plan in plans] for k in range(100)]
    code, out, err = run("preview", "wsd()", "--num_updates", "1000")
    assert (code, err, re.search(r"constant +50 +799", out) is not None) == (0, "", True)


def test_a_schedule_may_hold_a_mapping(run):
    assert run("preview", "milestones({3: 0.1})", "-o", "a.csv")[::2] == (0, "")
    assert rows_of("a.csv") == [["update", "lr"], *([str(k), "1.0"] for k in range(3))]
    assert run("preview", "momentum=milestones({3: 0.1})", "-o", "b.csv")[::2] == (0, "")
    assert rows_of("b.csv")[0] == ["update", "momentum"]


def test_a_folder_in_the_place_of_the_file_is_an_error(run, tmp_path):
    for suffix in ("png", "html", "csv"):
        folder = tmp_path / f"a.{suffix}"
        folder.mkdir()
        code, out, err = run("preview", "cosine(5)", "-o", folder.name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "Is a directory" in err


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("A.PDF", b"%PDF")]
)
def test_pictures_are_written(run, tmp_path, name, start):
    assert run("preview", EXPRESSION, "-o", name)[0] == 0
    assert (tmp_path / name).read_bytes().startswith(start)


def test_a_page_is_written(run, tmp_path):
    assert run("preview", EXPRESSION, "--log", "-o", "a.html")[0] == 0
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert '"log": true' in text


@pytest.mark.parametrize(
    "given",
    [
        "CosineLrScheduler(total_num_epochs=3, num_update_steps_per_epoch=10, "
        "num_warmup_epochs=0.5)",
        " CosineLrScheduler(3, 10, num_warmup_epochs = 0.5) ",
    ],
)
def test_a_scheduler_is_written_as_in_python(run, given):
    assert run("preview", given, "--base", "0.1", "-o", "a.csv")[::2] == (0, "")
    planned = CosineLrScheduler(sgd([0.1]), 3, 10, num_warmup_epochs=0.5).preview()
    header, *rows = rows_of("a.csv")
    assert header == ["update", "epoch", "lr"]
    assert [float(row[2]) for row in rows] == list(planned["lr"][0])


def test_groups_have_base_values_of_their_own(run):
    code, *_ = run(
        *("preview", "WSDLrScheduler(total_steps=60)", "--base", "[0.1, 0.02]"),
        *("--num_updates", "70", "-o", "a.csv"),
    )
    assert code == 0
    planned = WSDLrScheduler(sgd([0.1, 0.02]), total_steps=60).preview(70)
    header, *rows = rows_of("a.csv")
    assert header == ["update", "lr/0", "lr/1"]
    assert [[float(value) for value in row[1:]] for row in rows] == planned.to_dict()["lr"]


def test_schedules_by_field_are_what_their_scheduler_runs(run):
    fields = "lr=linear(5) >> cosine(5); weight_decay=linear(9)"
    assert run("preview", fields, "--base", "lr=0.1; weight_decay=0.2", "-o", "a.csv")[0] == 0
    scheduler = ParamScheduler(
        sgd([0.1], weight_decay=0.2), lr=linear(5) >> cosine(5), weight_decay=linear(9)
    )
    scheduler.preview().to_csv("b.csv")
    assert rows_of("a.csv") == rows_of("b.csv")


def test_several_fields_and_relative_lengths(run):
    code, *_ = run(
        *("preview", "lr=linear(0.1) >> cosine(); beta1 = cosine(epochs(2), end=.9)"),
        *("--base", "lr=[0.1, 0.2]; beta1=0.9", "--num_updates", "50"),
        *("--num_updates_per_epoch", "5", "-o", "a.csv"),
    )
    assert code == 0
    header, *rows = rows_of("a.csv")
    assert header == ["update", "epoch", "lr/0", "lr/1", "beta1/0", "beta1/1"]
    assert len(rows) == 50
    assert float(rows[7][3]) == (linear(5) >> cosine(45))(7, base=0.2)
    assert float(rows[12][5]) == cosine(10, end=0.9)(12, base=0.9)


@pytest.mark.parametrize(
    "config",
    [
        "schedule: 'linear(5) >> milestones({3: 0.1, 7: 0.01})'\nbase: 0.5\nnum_updates: 20\n",
        "schedule: |\n  linear(5)\n  >> milestones({3: 0.1, 7: 0.01})\nbase: 0.5\n"
        "num_updates: 20\n",
        "schedule:\n  lr: 'linear(5) >> milestones({3: 0.1, 7: 0.01})'\nbase:\n  lr: 0.5\n"
        "num_updates: 20\n",
    ],
    ids=["plain", "lines", "fields"],
)
def test_options_come_from_a_file(run, tmp_path, config):
    (tmp_path / "plan.yaml").write_text(config)
    assert run("preview", "--config", "plan.yaml", "-o", "a.csv")[::2] == (0, "")
    schedule = linear(5) >> milestones({3: 0.1, 7: 0.01})
    _, *rows = rows_of("a.csv")
    assert [float(value) for _, value in rows] == [schedule(k, base=0.5) for k in range(20)]
    assert run("preview", "--config", "plan.yaml", "--num_updates", "3", "-o", "a.csv")[0] == 0
    assert len(rows_of("a.csv")) == 4


COSINE = "CosineLrScheduler(total_num_epochs=3, num_update_steps_per_epoch=5)"


@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        (f"base: 0.1\nnum_updates: 7\nschedule: {COSINE}\n", []),
        (f"num_updates: 7\nschedule: {COSINE}\n", ["--base", "0.1"]),
        ("base: 1e-1\nnum_updates: 7\nschedule: cosine(3)\n", [COSINE]),
        (f"base: {{lr: 0.1}}\nnum_updates: 9\nschedule: {COSINE}", ["--num_updates", "7"]),
    ],
    ids=["file", "file and line", "the line wins", "field"],
)
def test_a_scheduler_may_stand_in_a_file(run, tmp_path, config, arguments):
    (tmp_path / "plan.yaml").write_text(config)
    given = ["preview", "--config", "plan.yaml", "-o", "a.csv", *arguments]
    assert run(*given)[::2] == (0, "")
    planned = CosineLrScheduler(sgd([0.1]), 3, 5).preview(7)
    assert [float(row[2]) for row in rows_of("a.csv")[1:]] == list(planned["lr"][0])


def test_scale_and_epochs_are_a_schedulers_too(run, tmp_path):
    given = ["preview", "--num_updates_per_epoch", "4", "--log", "WSDLrScheduler(total_steps=8)"]
    assert run(*given, "-o", "a.csv")[0] == 0
    assert rows_of("a.csv")[0] == ["update", "epoch", "lr"]
    assert run(*given, "-o", "a.html")[0] == 0
    assert '"log": true' in (tmp_path / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (f"num_updates_per_epoch: 4\nschedule: {COSINE}", "has num_update_steps_per_epoch=5"),
        ("CosineLrScheduler: {total_num_epochs: 3}", "'CosineLrScheduler' is not an option"),
        (f"schedule: {COSINE[:-1]}, bogus=3)", "unexpected keyword argument 'bogus'"),
        ("schedule: cosine(5)\nlog: 3", "log=3: write true or false"),
        ("schedule: cosine(5)\nnum_updates: 2.5", "num_updates=2.5"),
    ],
)
def test_options_that_cannot_count_are_refused(run, tmp_path, config, message):
    (tmp_path / "plan.yaml").write_text(config)
    code, out, err = run("preview", "--config", "plan.yaml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "command"),
        (["draw"], "draw"),
        (["preview"], "there is nothing to preview: write a schedule"),
        (["preview", "--speed=3"], "--speed"),
        (["preview", "--shedule", "cosine(5)"], 'without a name, as in: preview "cosine(100)"'),
        (["preview", "cosine(5)", "--num_update=3"], "did you mean --num_updates?"),
        (["preview", "lr=cosine(5),", "weight_decay=linear(5)"], "together goes into quotes"),
        (
            ["preview", "lr=cosine(5, end=0.1), weight_decay=linear(5)"],
            "write 'lr=cosine(5, end=0.1); weight_decay=linear(5)'",
        ),
        (["preview", "linaer(5)"], "did you mean linear(…)?"),
        (["preview", "learning_rate=cosine(5)"], "no field 'learning_rate': write lr=…"),
        (
            ["preview", "lr=cosine(5); momentum=linear(5)", "--base", "lr=1, momentum=0.9"],
            "write 'lr=1; momentum=0.9'",
        ),
        (
            ["preview", "Cosine"],
            "'Cosine' at column 1: it is not known; did you mean cosine(…)?",
        ),
        (["preview", "linear(3) >> one-cycle(9)"], "not known; did you mean one_cycle(…)?"),
        (
            ["preview", "CosineAnnealingWarmRestarts(9)"],
            "not known; did you mean cosine(…)?",
        ),
        (["preview", "quickly(9)"], "not known; known are absolute, "),
        (["preview", "cosine(steps=9)"], "'steps'; its arguments are length, start, end"),
        (
            ["preview", "weight-decay=cosine(9)"],
            "'weight-decay' is not the name of a field: write w",
        ),
        (
            ["preview", "lr=cosine(9) momentum=linear(9)"],
            "write 'lr=cosine(9); momentum=linear(9)'",
        ),
        (["preview", "cosine(5)", "--base", "0.1", "0.2"], 'into quotes: --base "0.1, 0.02".'),
        (["prewiew", "cosine(5)"], "'prewiew' is not a command; there are preview, compare, "),
        (["prewiew", "cosine(5)"], "Did you mean preview?"),
        (["preview", "CosineScheduler(3)"], "CosineLrScheduler, WSDLrScheduler can"),
        (["preview", "PlateauLrScheduler()"], "CosineLrScheduler, WSDLrScheduler can"),
        (["preview", "cosine(10"], "'cosine(10' is not an expression"),
        (["preview", "9**9**9"], "only the operators"),
        (["preview", "__import__('os').system('touch x')"], "only .repeat"),
        (["preview", "cosine(0.5)"], "write --num_updates"),
        (["preview", "sgdr(5)"], "cosine(5, end=0.0).repeat() never ends: write --num_updates"),
        (["preview", "cosine(5); linear(3)"], "does not say for which field"),
        (["preview", "lr=cosine(5); lr=linear(3)"], "has 'lr' twice"),
        (["preview", "cosine(5)", "--base", "much"], "base: 'much' is not a plain value"),
        (["preview", "cosine(5)", "--base", "wd=1"], "no schedule for 'wd'"),
        (["preview", "cosine(5)", "--num_updates", "0"], "at least 1"),
        (
            ["preview", "cosine(5)", "--num_updates", "two"],
            "--num_updates/--num-updates: 'two' is not a whole number, such as 10000",
        ),
        (["preview", "cosine(5)", "-o", "a.doc"], "has to end in .png"),
        (["preview", "cosine(5)", "-o", "no/where.csv"], "No such file"),
        (["preview", "cosine(5)", "-o", "no/where.png"], "No such file"),
        (["preview", "--config", "none.yaml"], "none.yaml"),
        (["preview", "--config", "."], "Is a directory"),
        (["preview", "--base"], "--base: expected one argument"),
        (["preview", " ; "], "there is nothing to preview"),
        (["preview", ""], "there is nothing to preview"),
        (["preview", "cosine(5) \udcff"], "surrogates"),
        (["preview", "cosine(5)", "--base", "nan"], "base: 'nan' is not a plain value"),
        (["preview", "cosine(5)", "--base", "[]"], "empty"),
        (["preview", "cosine(5)", "-o", ""], "has to end in .png"),
        (["preview", "cosine(5)", "-o", "."], "has to end in .png"),
        (["preview", "cosine(5)", "-o", "\x1b[31m.doc"], "\\x1b[31m.doc"),
        (["preview", "cosine(5)", "-o", "/dev/null/a.csv"], "Not a directory"),
        (
            ["preview", "linear(10, start=2.0)", "--base", "1.7e308", "-o", "a.html"],
            "lr: inf for parameter group 0 in linear(10, start=2.0) is not finite",
        ),
        (
            ["preview", "gain=linear(9, end=-2.0)", "--base", "[1, 1.7e308]"],
            "gain: -inf for parameter group 1 in linear(9, end=-2.0) is not finite",
        ),
        (
            ["preview", "beta1=linear(9, start=absolute(0.85), end=absolute(1.2))"],
            "beta1: 1.2 for parameter group 0 in linear(9, start=absolute(0.85), "
            "end=absolute(1.2)) is out of range; it has to be at least 0 and below 1.",
        ),
        (
            ["preview", "momentum=linear(9, end=1.2)", "--base", "momentum=0.9"],
            "momentum: 1.08 for parameter group 0",
        ),
        (
            ["preview", "lr=cosine(9); beta2=linear(9, end=-0.1)"],
            "beta2: -0.1 for parameter group 0",
        ),
        (
            ["preview", "cosine(9)", "--base", "[0.1, -1]"],
            "lr: -1.0 for parameter group 1 in cosine(9) is out of range; it has to be 0 or more.",
        ),
        (["checkpoints"], "arguments are required: folder"),
        (["average", "."], "arguments are required: -o/--output"),
        (
            ["preview", "CosineLrScheduler(total_num_epochs=3)"],
            "missing a required argument: 'num_update_steps_per_epoch'. Its arguments are total_",
        ),
        (["preview", "CosineLrScheduler"], "'CosineLrScheduler' at column 1: it is not known"),
        (["preview", "CosineLrScheduler()"], "required argument: 'total_num_epochs'"),
        (["preview", "CosineLrScheduler(x, 3)"], "CosineLrScheduler: 'x' is not a plain value"),
        (["preview", "CosineLrScheduler('x', 3)"], "total_num_epochs='x'"),
        (["preview", "CosineLrScheduler(*[3], 3)"], "is not a plain value"),
        (["preview", f"{COSINE[:-1]}, **{{'a': 3}})"], "'None'"),
        (["preview", "ParamScheduler(cosine(3))"], "several fields, written lr="),
        (["preview", "CosineLrScheduler(-1, 5)"], "total_num_epochs=-1"),
        (["preview", "WSDLrScheduler(total_steps=-5)"], "total_steps=-5"),
        (["preview", "WSDLrScheduler()"], "total"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_usage_is_exit_code_2_and_one_line(run, tmp_path, arguments, message):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("pytorch-accelerated: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("log", ["--log", "--no-log"])
@pytest.mark.parametrize(
    "output", [[], ["-o", "a.png"], ["-o", "a.html"]], ids=["text", "png", "html"]
)
@pytest.mark.parametrize(
    ("schedule", "base"),
    [
        ("linear(10)", "5e-324"),
        ("constant(10)", "5e-324"),
        ("linear(10)", "1.7e308"),
        ("gain=linear(10, start=-1.0, end=1.0)", "1.7e308"),
        ("exponential(10, end=1e-99)", "1"),
        ("linear(10)", "[1e-250, 1e-150, 1e150, 1e300]"),
    ],
)
def test_the_largest_and_smallest_numbers_are_shown(run, schedule, base, output, log):
    given = ["preview", schedule, "--base", base, log, *output]
    code, _, err = run(*given)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    "given",
    [
        ["momentum=linear(9, start=0.9, end=1.0)"],  # of a base that nobody has given
        ["beta1=linear(9, end=absolute(0.99))", "--base", "beta1=0.9"],
        ["gain=linear(9, end=-1.0)", "--base", "-1"],
        ["constant(3) * linear(3, end=0.0)", "--base", "0.0"],
    ],
)
def test_what_a_scheduler_may_run_is_shown(run, given):
    code, _, err = run("preview", *given)
    assert (code, err) == (0, "")


def test_help_lists_commands_options_and_examples(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert "preview" in out
    code, out, _ = run("preview", "--help")
    assert code == 0
    assert "--base" in out
    assert "CosineLrScheduler" in out
    assert 'preview "linear(500, start=0.0) >> cosine(9500, end=0.1)"' in out
    assert run("--version") == (0, f"pytorch-accelerated {__version__}\n", "")


def test_it_runs_as_a_module_without_torch(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-X", "importtime"),
            *("-m", "pytorch_accelerated", "preview", "cosine(10)"),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "ascii"},
    )
    assert re.search("cosine +0 +9", done.stdout)
    assert not re.search(r"\| +torch$", done.stderr, flags=re.MULTILINE)
    helped = subprocess.run(
        [
            *(sys.executable, "-X", "importtime"),
            *("-m", "pytorch_accelerated", "preview", "--help"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not re.search(r"\| +(torch|yaml|pytorch_accelerated\.schedules)$", helped.stderr, re.M)
    failed = subprocess.run(
        [sys.executable, "-m", "pytorch_accelerated", "preview", "cosine("],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path)},
    )
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr


def test_a_missing_library_is_told_in_one_line(run, monkeypatch):
    for module, library in (("plot", "matplotlib.axes"), ("html", "plotly.offline")):
        monkeypatch.delitem(sys.modules, f"pytorch_accelerated.preview.{module}", raising=False)
        monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, "pytorch_accelerated.preview.terminal", None)
    for name, extra in (("a.png", "plot"), ("a.html", "html")):
        code, _, err = run("preview", "cosine(5)", "-o", name)
        assert code == 2
        assert f"pip install 'pytorch-accelerated[{extra}]'" in err
    code, out, _ = run("preview", "cosine(5)")
    assert code == 0
    assert re.search("cosine +0 +4", out)


def test_a_sketch_is_plain_text_that_falls_from_left_to_right():
    text = sketch(preview(linear(100)), width=40)
    lines = text.splitlines()
    assert lines[0].strip() == "value"
    assert lines[1].lstrip(" 0123456789.").startswith("┌")
    first = [min((i for i, c in enumerate(line) if "⠁" <= c <= "⣿"), default=0) for line in lines]
    marked = [column for column in first if column]
    assert marked == sorted(marked)
    assert len(marked) > 8


def test_curves_have_letters_and_no_box_lies_over_them():
    lines = sketch(preview(linear(50, start=0.0) >> cosine(950), base=[1e-3, 3e-3])).splitlines()
    assert lines[0].strip() == "value   a: group 0, b: group 1"
    assert [sum(line.count(letter) for line in lines[1:-1]) for letter in "ab"] == [3, 3]
    assert not any("┌" in line for line in lines[2:])
    assert lines[2].startswith("0.003┤")  # the peak


def test_the_table_is_as_wide_as_the_terminal(run, monkeypatch):
    fields = [f"field{i}=linear(900, start=0.123{i}, end=0.4567) >> cosine(99)" for i in range(5)]
    for columns, is_wide in (("80", False), ("140", True)):
        monkeypatch.setenv("COLUMNS", columns)
        code, out, _ = run("preview", ";".join(fields))
        assert (code, "field0" in re.search("phase .*", out)[0]) == (0, is_wide)
        assert max(map(len, out.splitlines())) <= int(columns)
        assert max(map(len, out.splitlines())) > int(columns) - 4


def test_a_plain_locale_has_plain_characters(run, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    code, out, _ = run("preview", EXPRESSION, "--base", "[3e-4, 1e-4]")
    assert (code, out.isascii(), "?" in out) == (0, True, False)
    assert "0 ->0.0002994" in out
    assert re.search(r"\|.*\*\*", out)


def test_a_sketch_of_decades_has_powers_of_ten():
    text = sketch(preview(exponential(100, end=1e-4)), width=60)
    for power in ("0.1", "0.01", "0.001"):
        assert f"{power}┤" in text


@pytest.mark.parametrize("log", [None, True, False])
def test_a_sketch_leaves_out_what_is_no_number(log):
    made = Preview({"lr": [[0.1, math.nan, 0.2, math.inf], [None, 0.1, 0.1, 0.1], [None] * 4]})
    text = sketch(made, width=60, log=log)
    assert re.search(r"0\.[12]┤.*[⠁-⣿]", text)
    assert sketch(Preview({"lr": [[math.nan], [None]]}), log=log)
    assert sketch(Preview({"lr": [[]]}), log=log) == "no updates"


@pytest.mark.parametrize(
    "made",
    [
        preview(constant(1)),
        preview(constant(50, value=0.0)),
        preview(cosine(3), base=[0.1 * i for i in range(12)]),
        preview(linear(100_000, start=0.0) >> cosine(100_000)),
    ],
    ids=["one update", "zeros", "12 groups", "long"],
)
@pytest.mark.parametrize("log", [None, True, False])
def test_anything_can_be_sketched(made, log):
    lines = sketch(made, width=80, log=log).splitlines()
    assert len(lines) == 15
    assert max(map(len, lines)) <= 80


def test_ticks_are_round_numbers_within_the_axis():
    assert even_ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
    assert even_ticks(3.0, 3.0) == [3.0]
    assert even_ticks(0.0, 3.0, whole=True) == [0.0, 1.0, 2.0, 3.0]
    assert even_ticks(0.1, 0.3, whole=True) == [0.1, 0.3]
