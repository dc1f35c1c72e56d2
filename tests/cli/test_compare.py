"""Plans held against one another, and recorded columns against a plan, from the command line."""

import re
import sys

import pytest

from pytorch_accelerated.cli import main
from pytorch_accelerated.preview.from_text import preview_of_text

PLAN = "linear(4, end=0.0)"


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs the command in an empty folder; returns exit code and output."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        capsys.readouterr()  # what an earlier command has printed
        code = main(["compare", *arguments])
        printed = capsys.readouterr()
        return code, printed.out or printed.err

    return command


@pytest.fixture
def compared(run, tmp_path):
    def command(text, *arguments):
        (tmp_path / "run.csv").write_text(text, encoding="utf-8")
        return run("run.csv", *arguments)

    return command


def test_what_a_preview_writes_is_as_planned(compared, tmp_path):
    arguments = ["lr=warmup_cosine(30); weight_decay=linear(30)", "--base", "lr=[0.1, 0.3]"]
    assert main(["preview", *arguments, "-o", "plan.csv"]) == 0
    code, out = compared((tmp_path / "plan.csv").read_text(), *arguments)
    assert code == 0
    assert [line.split(" (")[0] for line in out.splitlines()] == [
        "lr/0: as planned",
        "lr/1: as planned",
        "weight_decay/0: as planned",
        "weight_decay/1: as planned",
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "code", "message"),
    [
        ("lr\n1\n0.75\n0.5\n0.25\n0\n", [], 0, "lr: as planned (5 values; largest difference 0)"),
        ("update,lr,loss\n1,0.75,9\n3,0.25,\n9,0.0,\n", [], 0, "lr: as planned (3 values"),
        ("update,lr\n0,1\n1,\n2,0.5\n", [], 0, "lr: as planned (2 values"),
        (
            "update,lr\n0,1\n2,0.75\n3,0.75\n",
            [],
            1,
            "lr: not as planned (first at update 2: planned 0.5, recorded 0.75; largest "
            "difference 0.5)",
        ),
        ("lr\n1\n0.7500001\n", [], 1, "first at update 1: planned 0.75, recorded 0.7500001"),
        ("lr\n1\n0.7500001\n", ["--tolerance", "1e-6"], 0, "as planned (2 values; largest"),
        ("lr\nnan\n", [], 1, "recorded nan"),
        ("lr\n1\n0.75\n", ["--num_updates", "1"], 1, "the plan has 1 updates, recorded is 1"),
        ("update,lr\n0,\n", [], 1, "lr: not as planned (0 values"),
        ("update,rate\n0,1\n", [], 2, "run.csv has no column 'lr', but update, rate."),
        ("update,lr\nx,1\n", [], 2, "update 'x' in line 2 is not a whole number."),
        ("update,lr\n-1,1\n", [], 2, "update -1 in line 2 is not a whole number."),
        ("lr\nhigh\n", [], 2, "'high' in column 'lr' at update 0 is not a number."),
        ("lr\n", [], 2, "run.csv has no lines with values"),
        ("update,rate\n1,1\n2,0.75\n", ["--column", "rate", "--first_step", "1"], 0, "lr: as plan"),
        ("lr,step\n,0\n1,0\n,1\n0.75,1\n", [], 0, "lr: as planned (2 values"),
        ("Wall time,Step,Value\n9,2,0.5\n", ["--column", "Value"], 0, "lr: as planned (1 values"),
        ("lr\n1\n", ["--column", "lr=rate"], 2, "has no column 'rate', but lr. Write --column lr="),
        ("lr\n1\n", ["--first_step", "1"], 1, "recorded is -1"),
        ("lr\n1\n", ["--tolerance", "-1"], 2, "tolerance=-1.0 has to be 0 or more."),
    ],
)
def test_where_they_part(compared, text, arguments, code, message):
    found, printed = compared(text, PLAN, *arguments)
    assert (found, message in printed) == (code, True), printed


@pytest.mark.parametrize("new_style", [False, True])
def test_what_tensorboard_reads(capsys, tmp_path, new_style):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    plan = "lr=warmup_cosine(30); weight_decay=linear(30)"
    planned = preview_of_text(plan, "lr=0.1; weight_decay=0.3")
    with tensorboard.SummaryWriter(tmp_path / "run") as writer:
        writer.add_text("plan", plan)
        for k in range(30):
            rate, decay = (planned.value(field, k) for field in ("lr", "weight_decay"))
            writer.add_scalar("train/lr", rate, k + 1, new_style=new_style)
            writer.add_scalar("weight_decay", decay * (1.001 if k == 20 else 1.0), k + 1)
    (file,) = (tmp_path / "run").iterdir()
    arguments = [plan, "--base", "lr=0.1; weight_decay=0.3", "--first_step", "1"]
    for path in (file, file.parent):
        code = main(["compare", str(path), *arguments, "--column", "lr=train/lr"])
        first, second = capsys.readouterr().out.splitlines()
        assert code == 1
        assert first == "lr: as planned (30 values; largest difference 0)"
        assert second.startswith("weight_decay: not as planned (first at update 20: planned 0.0")

    assert main(["compare", str(file), *arguments, "--column", "train/lr"]) == 2
    assert "--column train/lr: the plan has the columns lr, weight" in capsys.readouterr().err
    assert main(["compare", str(file), "linear(30)"]) == 2
    assert "has no column 'lr', but " in capsys.readouterr().err


def test_what_tensorboard_cannot_read(capsys, tmp_path, monkeypatch):
    file = tmp_path / "events.out.tfevents.0"
    assert main(["compare", str(file), PLAN]) == 2
    assert "No such file" in capsys.readouterr().err
    file.write_bytes(b"this is not a record" * 20)
    assert main(["compare", str(file), PLAN]) == 2
    assert "has no scalars that TensorBoard could read" in capsys.readouterr().err
    for name in [name for name in sys.modules if name.startswith("tensorboard.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["compare", str(file), PLAN]) == 2
    assert "not installed: pip install tensorboard." in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys, tmp_path):
    assert main(["compare", str(tmp_path / "no.csv"), PLAN]) == 2
    assert "No such file" in capsys.readouterr().err


def test_plans_side_by_side(run):
    code, out = run(
        PLAN, "lr=linear(2, end=0.0); momentum=constant(4)", "--base", "lr=2; momentum=0.5"
    )
    assert code == 0
    first, second, *_ = out.splitlines()
    assert (first, second) == (f"A: {PLAN}", "B: lr=linear(2, end=0.0); momentum=constant(4)")
    cells = [re.split("  +", line) for line in out.splitlines()[-2:]]
    assert cells == [
        ["lr", "B", "at 1: 1.5 → 1", "1 at 2", "0"],
        ["momentum", "B", "only in B"],
    ]
    assert "lr   A, B" in out


def test_plans_in_a_file(run, tmp_path):
    code, out = run(PLAN, "linear(2, end=0.0)", "-o", "both.csv")
    assert (code, out.splitlines()[0]) == (0, "wrote both.csv: lr over 4 updates")
    header, *rows = (tmp_path / "both.csv").read_text().splitlines()
    assert (header, rows[1:3]) == ("update,lr/A,lr/B", ["1,0.75,0.5", "2,0.5,0.0"])
    assert run(PLAN, PLAN, "-o", "both.html")[0] == 0
    assert f"A: {PLAN}\nB: {PLAN}" in (tmp_path / "both.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run.csv", PLAN, PLAN], "run.csv is a file, which is compared with one plan; -o"),
        (["RUN.CSV", PLAN, "-o", "x.png"], "RUN.CSV is a file"),
        ([PLAN, PLAN, "--tolerance", "1e-6"], "--tolerance is for a file, which comes before"),
        ([PLAN, "cosine()"], "write --num_updates"),
        ([PLAN, PLAN, "--base", "eps=1"], "base: there is no schedule for 'eps'"),
        ([PLAN, "run.csv"], "'run.csv' at column 1"),
        ([PLAN], "arguments are required: PLAN"),
    ],
)
def test_what_cannot_be_compared(run, arguments, message):
    code, out = run(*arguments)
    assert (code, message in out) == (2, True), out


def test_a_file_of_any_name_is_a_file(run, tmp_path):
    (tmp_path / "log.txt").write_text("lr\n1\n0.75\n")
    assert run("log.txt", PLAN) == (0, "lr: as planned (2 values; largest difference 0)\n")
