"""Any file at all as ``preview --config``: a preview, or one line and exit code 2."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from pytorch_accelerated.cli import main

EXPRESSIONS = [
    "cosine(5)",
    "linear(0.5) >> cosine()",
    "milestones({3: 0.1})",
    "lr=cosine(3)",
    "CosineLrScheduler(total_num_epochs=2, num_update_steps_per_epoch=3)",
    "WSDLrScheduler(total_steps=20)",
    "WSDLrScheduler(20)",
    "(",
]
SCALARS: SearchStrategy[Any] = st.one_of(
    st.sampled_from(
        [None, True, 0, 1, 7, -1, 10**30, 0.5, float("nan"), float("inf"), "", "a.csv"]
    ),
    st.sampled_from(EXPRESSIONS),
    st.text(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
KEYS = st.one_of(
    st.sampled_from(
        ["config", "scheduler", "command", "help", "version", "preview", "", "a.b", "<<"]
    ),
    st.integers(0, 2) | st.none() | st.text(max_size=3),
)
#: Mostly right, so that what is wrong in one place gets past the checks of the others.
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "schedule": st.sampled_from(EXPRESSIONS) | VALUES,
        "base": st.sampled_from([0.1, [0.1, 0.2], {"lr": 0.1}, {"lr": [0.1]}]) | VALUES,
        "num_updates": st.integers(-1, 30) | VALUES,
        "num_updates_per_epoch": st.integers(-1, 3) | VALUES,
        "log": st.booleans() | VALUES,
        "output": st.sampled_from(["a.csv", "", ".", "no/a.csv", "plan.yaml"]),
    },
)
DOCUMENTS = st.builds(
    lambda options, other: {**options, **other}, OPTIONS, st.just({})
) | st.builds(
    lambda options, other: {**options, **other}, OPTIONS, st.dictionaries(KEYS, VALUES, max_size=2)
)
TEXTS = st.one_of(
    DOCUMENTS.map(lambda one: yaml.safe_dump(one, allow_unicode=True).encode(errors="replace")),
    st.lists(st.sampled_from([*"{}[]:,&*!|>-? \n'\"#%a", "schedule"]), max_size=8).map(
        lambda parts: "".join(parts).encode()
    ),
    st.binary(max_size=6),
)


def outcome_of(content: bytes) -> tuple[int, str]:
    """Return the exit code and the errors of a preview, run in a folder with only this file."""
    errors = io.StringIO()
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "plan.yaml").write_bytes(content)
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
                code = main(["preview", "--config", "plan.yaml"])
        finally:
            os.chdir(before)
        left = set(os.listdir(folder)) - {"plan.yaml"}
        assert left <= ({"a.csv"} if code == 0 else set())
    return code, errors.getvalue()


@given(content=TEXTS)
@settings(max_examples=20, deadline=None)
@example(content=b"schedule: cosine(10)\nconfig: true\n")
@example(content=b"a: &a [*a]\n")
@example(content=b"a: " + b"[" * 5_000 + b"]" * 5_000)
def test_any_file(content: bytes) -> None:
    code, errors = outcome_of(content)
    assert code in (0, 2)
    assert errors.count("\n") == (code == 2)
    if code == 2:
        assert errors.startswith("pytorch-accelerated: error: ")
        assert len(errors) > len("pytorch-accelerated: error: \n")


LAUGHS = "a: &a [1, 1]\n" + "".join(f"{k}: &{k} [*a, *a]\n" for k in "bcdefgh")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"config: true", "'config' is not an option"),
        (b"config: other.yaml", "'config' is not an option"),
        (b"", "has to map options to values"),
        (b"- cosine(5)", "has to map options to values"),
        (b"cosine(5)", "has to map options to values"),
        (b"3: cosine(5)", "3 is not an option"),
        (b"\x89PNG\x00", "can't decode byte 0x89 in position 0"),
        ("schedule: cosine(5) # é".encode("latin-1"), "can't decode byte"),
        (b"schedule: [", "cannot be read"),
        (b"!!python/object/apply:os.system [touch x]", "cannot be read"),
        (LAUGHS.encode(), "'a' is not an option"),
        (b"a: " + b"[" * 100_000 + b"]" * 100_000, "cannot be read: maximum recursion depth"),
        (b"scheduler: Foo", "'scheduler' is not an option"),
        (b"CosineLrScheduler: {total_num_epochs: 3}", "schedule: CosineLrScheduler("),
        (b"schedule: [cosine(5)]", "has to be a string"),
        (b"schedule: 5", "has to be a string"),
        (b"schedule: !!timestamp x", "cannot be read"),
        (b"schedule: cosine(3)\nlog: maybe", "log='maybe'"),
        (b"schedule: {1: cosine(3)}", "1 is not the name of a field"),
        (b"schedule: {null: cosine(3)}", "None is not the name of a field"),
        (b"schedule: {lr s: cosine(3)}", "'lr s' is not the name of a field"),
        (b"schedule: cosine(3)\nhelp: true", "help"),
        (b"schedule: cosine(3)\nbase: .nan", "base"),
        (b"base: 1\nschedule: cosine(3)\nbase: 2", "line 3 has the key 'base' a second time"),
        (b"base: 1\nschedule: cosine(3)\n'base': 1", "the key 'base' a second time"),
        (b"schedule: {lr: cosine(3), lr: linear(3)}", "line 1 has the key 'lr' a second time"),
        (b"base: {1: 2, 0x1: 3}", "the key 1 a second time"),
        (b"base: [{a: {b: 1, b: 1}}]", "the key 'b' a second time"),
        (b"<<: {base: 1}\nbase: 2", "the key 'base' a second time"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, message: str) -> None:
    code, errors = outcome_of(content)
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors


def test_both_outcomes_are_met() -> None:
    assert outcome_of(b"schedule: cosine(3)\nnum_updates: 5\noutput: a.csv") == (0, "")
    assert outcome_of(b"schedule: cosine(\n")[0] == 2
