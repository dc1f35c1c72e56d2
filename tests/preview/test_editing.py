"""What the editor shows of a text, and how it moves joints by writing other numbers into it."""

from __future__ import annotations

import json
import shlex

import pytest

from pytorch_accelerated.cli import main
from pytorch_accelerated.preview.editing import Draft, code, move, view
from pytorch_accelerated.preview.from_text import preview_of_text
from pytorch_accelerated.schedulers import ParamScheduler
from tests.recording import adamw

PLAN = "lr=linear(500, start=0.0) >> cosine(9500, end=0.1)"
BOTH = f"{PLAN};\n  weight_decay = wsd(10_000)"
REST = "linear(0.05) >> constant() >> sqrt(0.2)"
AFTER = "cosine(10).repeat(4) >> linear(20, start=0.5)"
MIXED = (
    "linear(10, end=absolute(1e-3)) >> cosine(90, start=absolute(1e-3)) >> constant(20) >> sqrt(9)"
)


@pytest.mark.parametrize(
    ("text", "index", "update", "value", "expected"),
    [
        # Sideways: what follows stays where it is, and numbers are as round as the pointer allows.
        (PLAN, 1, (690, 740), None, "lr=linear(700, start=0.0) >> cosine(9300, end=0.1)"),
        (PLAN, 1, (501, 501), None, "lr=linear(501, start=0.0) >> cosine(9499, end=0.1)"),
        (PLAN, 2, (11_800, 12_400), None, "lr=linear(500, start=0.0) >> cosine(11600, end=0.1)"),
        (PLAN, 1, (-90, -80), None, "lr=linear(1, start=0.0) >> cosine(9999, end=0.1)"),
        (PLAN, 1, (2e4, 3e4), None, "lr=linear(9999, start=0.0) >> cosine(1, end=0.1)"),
        ("linear(5_00) >> cosine(200)", 1, (600, 600), None, "linear(600) >> cosine(100)"),
        # Up and down: an end that is not written is put in, and one that is left alone stays.
        (PLAN, 1, None, (0.81, 0.795), PLAN.replace("0.0", "0.0, end=0.8")),
        (PLAN, 0, None, (0.09, 0.11), "lr=linear(500, start=0.1) >> cosine(9500, end=0.1)"),
        ("cosine(9)", 0, None, (0.6, 0.6), "cosine(9, start=0.6, end=0.0)"),
        ("cosine(9,)", 1, None, (0.6, 0.6), "cosine(9, end=0.6)"),
        (MIXED, 1, (12, 12), None, MIXED.replace("(10", "(12").replace("90", "88")),
        (MIXED, 1, None, (0.02, 0.02), MIXED.replace("1e-3", "0.02")),
        (MIXED, 3, None, (0.3, 0.3), MIXED.replace("1e-3)) >> con", "1e-3), end=0.3) >> con")),
        ("constant(9, 2) >> linear(5)", 0, None, (3, 3), "constant(9, 3) >> linear(5)"),
        # Lengths in other units.
        (REST, 1, (590, 610), None, REST.replace("0.05", "0.06")),
        (REST, 2, (6990, 7010), None, REST.replace("0.2", "0.3")),
        (REST, 3, (9000, 9000), (0.1, 0.1), REST.replace("0.2", "0.2, end=0.1")),
        ("linear(0.3) >> linear(0.2)", 1, (3995, 4005), None, "linear(0.4) >> linear(0.1)"),
        ("linear(epochs(2)) >> cosine()", 1, (460, 540), None, "linear(epochs(5)) >> cosine()"),
        ("linear(epochs(2)) >> cosine()", 1, (250, 250), None, "linear(epochs(2.5)) >> cosine()"),
        # Recipes.
        ("warmup_cosine()", 0, (900, 1100), (0, 0), "warmup_cosine(warmup=0.1)"),
        ("wsd(2000, decay=300)", 1, (1500, 1500), None, "wsd(2000, decay=500)"),
        ("wsd(2000, decay=300)", 2, (3000, 3000), (0.2, 0.2), "wsd(3000, decay=300, end=0.2)"),
        ("one_cycle(2000)", 1, (1000, 1000), None, "one_cycle(2000, warmup=0.5)"),
        ("(linear(5) >> sqrt(5)) >> rex(5)", 2, (12, 12), None, "(linear(5) >> sqrt(7)) >> rex(3)"),
        (AFTER, 0, (38, 38), (0.7, 0.7), AFTER.replace("0.5", "0.7")),
    ],
)  # fmt: skip
def test_moving_a_joint_writes_other_numbers(text, index, update, value, expected):
    field = "lr"
    found = move(Draft(text, "", "10_000", "100"), field, index, update, value)
    assert not isinstance(found, str), found
    assert found[0] == expected


def test_a_joint_is_where_it_was_moved_to():
    draft = Draft(BOTH, "lr=3e-4; weight_decay=0.1")
    joints = [(one["update"], one["value"]) for one in view(draft)["panels"][0]["joints"]]
    assert joints == [(0, 0.0), (500, 3e-4), (10_000, pytest.approx(3e-5))]
    text, shown = move(draft, "weight_decay", 1, (6990.0, 7010.0), None)
    assert text == BOTH.replace("wsd(10_000)", "wsd(10_000, decay=0.3)")
    assert shown["panels"][1]["joints"][1]["update"] == 7000


@pytest.mark.parametrize(
    ("draft", "field", "index", "value", "message"),
    [
        (Draft(PLAN), "lr", 1, (-0.5, -0.5), "out of range"),
        (Draft(PLAN), "lr", 7, (0.5, 0.5), "lr has no joint 7."),
        (Draft("cosine(9).repeat(3)"), "lr", 0, (0.5, 0.5), "lr has no joint 0."),
        (Draft("2.0 * cosine(9)"), "lr", 0, (0.5, 0.5), "lr has no joint 0."),
        (Draft("linear("), "lr", 0, (0.5, 0.5), "never closed"),
    ],
)
def test_what_cannot_be_moved_says_why(draft, field, index, value, message):
    assert message in move(draft, field, index, None, value)


def test_curves_have_the_values_that_training_has():
    draft = Draft("lr=cosine(3_000); momentum=0.9 * constant(2)", "lr=[0.1, 0.3]; momentum=1")
    shown = view(draft)
    planned = preview_of_text(draft.text, draft.base)
    for panel in shown["panels"]:
        for curve in panel["curves"]:
            group = curve["groups"][0]
            for update, y in zip(curve["x"], curve["y"], strict=True):
                assert y == planned.value(panel["field"], update, group)
    assert shown["table"][0] == ["phase", "from", "to", "lr[0]", "lr[1]", "momentum"]
    json.dumps(shown, allow_nan=False)


@pytest.mark.parametrize(
    ("draft", "message", "wrong"),
    [
        (Draft("lr=linear(5);\nmomentum = linaer(5)"), "did you mean linear", "linaer"),
        (Draft("lr=linear(5); eps=linear(5,\n  end='é') "), "only numbers", "'é'"),
        (Draft("lr=cosine(5"), "never closed", "("),
        (Draft("lr=1"), "has to be a schedule", "1"),
        (Draft("cosine()"), "write updates, below, how many", None),
        (Draft("cosine(9)", "-1"), "lr: -1.0 for parameter group 0", None),
        (Draft("cosine(9)", "1", "many"), "updates: 'many' is not a whole number above 0.", None),
        (Draft("CosineLrScheduler(3)"), "A scheduler cannot be edited", None),
        (Draft("  ; "), "Write a schedule", None),
        # What would take long, or is meant to hurt.
        (Draft("linear(" + "9" * 1900 + ")"), "too large", "9" * 1900),
        (Draft("linear(1)" * 10_000), "90000 characters; 2000 are allowed", None),
        (Draft(";".join(f"f{i}=linear(1)" for i in range(100))), "too many fields", None),
        (Draft("linear(1).repeat(1_000_000)"), "1,000,000; at most", "linear(1).repeat(1_000_000)"),
        (Draft("linear(1).repeat(9_999)"), "too many phases: 9,999, and 1,000", None),
        (Draft("-" * 1900 + "1"), "too deeply nested", "-" * 1900 + "1"),
        (Draft("(" * 900 + ")" * 900), "is not an expression", "("),
        (Draft("cosine.__class__"), "can follow a schedule", "cosine.__class__"),
        (Draft("cosine(9)", str([1] * 500)), "too many groups", None),
    ],
)  # fmt: skip
def test_errors_say_where_in_the_text(draft, message, wrong):
    error = view(draft)["error"]
    assert message in error["message"]
    span = error["span"]
    assert (None if span is None else draft.text[slice(*span)]) == wrong


@pytest.mark.parametrize(
    ("text", "base", "num_updates", "per_epoch"),
    [
        (BOTH, "lr=3e-4; weight_decay=0.1", "", ""),
        ("lr=linear(epochs(2)) >> cosine()", "0.2", "90", "9"),
    ],
)
def test_code_is_of_the_same_plan(
    text, base, num_updates, per_epoch, tmp_path, monkeypatch, capsys
):
    found = code(Draft(text, base, num_updates, per_epoch))
    numbers = [int(one) if one else None for one in (num_updates, per_epoch)]
    planned = preview_of_text(text, base, *numbers)
    optimizer = adamw([3e-4 if "lr=3e-4" in base else 0.2], weight_decay=0.1)
    names = {"optimizer": optimizer}
    exec(found["python"], names)  # noqa: S102
    made = names["scheduler"]
    assert isinstance(made, ParamScheduler)
    assert made.preview().to_dict() == planned.to_dict()

    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.yaml").write_text(found["yaml"])
    assert main(["preview", "--config", "plan.yaml", "-o", "yaml.csv"]) == 0
    assert main([*shlex.split(found["command"])[1:], "-o", "command.csv"]) == 0
    for name in ("yaml.csv", "command.csv"):
        assert (tmp_path / name).read_text() == planned.to_csv()
    capsys.readouterr()
