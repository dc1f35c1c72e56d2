"""Any text at all, read as a schedule: a schedule that reads back as itself, or an error."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.curves import CURVES
from pytorch_accelerated.schedules.expression import (
    VOCABULARY,
    ExpressionError,
    parse_schedule,
)
from tests.fuzz.expressions import check_text

TOKENS = [
    *VOCABULARY,
    *("from_function", "phase", "open", "__import__", "lambda"),
    *("(", ")", "{", "}", "[", "]", ",", ":", "=", ".", " ", "\n", "#", "'", '"', "\\", "@"),
    *(">>", ">>", "*", "+", "-", "**", "//", "%", "<", "if", "else", "for", "in", "and", "not"),
    *("start=", "end=", "length=", ".repeat(", ".over(", "count=", "peak="),
    *(".until(", ".stretched(", ".rounded(", "to=", "2e10"),
    *(f"{name}=" for curve in CURVES for name in curve.own),
    *("0", "1", "3", "0.5", "1e-6", "1e999", "10**10", "0x10", "1_000", "nan", "inf", "1j"),
    *("None", "True", "...", "__class__", "é", "\x00", "\ud800"),
]


@given(text=st.lists(st.sampled_from(TOKENS), max_size=14).map("".join) | st.text(max_size=30))
@settings(max_examples=400, deadline=None)
@example(text="(" * 3_000)
@example(text="-" * 3_000 + "1")
@example(text="linear(3).repeat(9)" + ".repeat(9)" * 300)
@example(text="9" * 4_000)
@example(text="linear(1e308) >> " * 100 + "linear(3)")
def test_any_text(text: str) -> None:
    check_text(text)


ESCAPED = {ord('"'): r"\"", ord("\\"): r"\\"}

CALLS = st.sampled_from([curve.name for curve in CURVES])
NUMBERS = st.sampled_from(
    ["0", "1", "5", "-1", "0.5", "1e-3", "epochs(2)", "absolute(0.1)", "None"]
)
PHASES = st.builds(
    lambda name, length, end: f"{name}({length}, end={end})", CALLS, NUMBERS, NUMBERS
) | st.builds(lambda value: f"constant(3, value={value})", NUMBERS)
EXPRESSIONS = st.recursive(
    PHASES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"({a}) >> {b}", inner, inner),
        st.builds(lambda a, b: f"({a}) + ({b})", inner, inner),
        st.builds(lambda a, b: f"({a}) * ({b})", inner, inner),
        st.builds(lambda a, n: f"{n} * ({a})", inner, NUMBERS),
        st.builds(lambda a, n: f"({a}).repeat({n})", inner, NUMBERS),
        st.builds(lambda a: f"({a}).over(100)", inner),
        st.builds(lambda a, n: f"({a}).until({n})", inner, NUMBERS),
        st.builds(lambda a: f"({a}).stretched(1.5)", inner),
        st.builds(lambda a: f"({a}).rounded(to=8)", inner),
        st.builds(lambda a, b: f"minimum({a}, {b})", inner, inner),
    ),
    max_leaves=5,
)


@given(text=EXPRESSIONS)
@settings(max_examples=200, deadline=None)
def test_texts_that_look_like_schedules(text: str) -> None:
    check_text(text)


SEEDS = (
    "linear(500, start=0.0) >> cosine(end=absolute(1e-6))",
    "0.5 * (constant(3) >> linear(epochs(2))).repeat(3, length=1.5, peak=0.5)",
    "milestones({30: 0.1, 60: 0.01}) + polynomial(9, power=2.0) * tanh(4)",
)


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this platform"
)
def test_texts_that_are_grown_by_what_they_reach(tmp_path: Path) -> None:
    corpus, words = tmp_path / "corpus", tmp_path / "words"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS):
        (corpus / str(i)).write_text(seed)
    known = [token for token in TOKENS if token.isascii() and token.isprintable()]
    words.write_text("".join(f'"{word.translate(ESCAPED)}"\n' for word in known))
    options = ["-runs=20000", "-seed=1", "-max_len=200", f"-dict={words}"]
    finished = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.atheris_expression", *options, str(corpus)],
        cwd=tmp_path,  # what it finds is left there
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, f"{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
    assert "Done 20000 runs" in finished.stderr
    assert len(list(corpus.iterdir())) > 10 * len(SEEDS)  # those that reached something new


@pytest.mark.parametrize("value", [None, 3, b"linear(3)", ["linear(3)"], object()])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="str"):
        parse_schedule(value)  # type: ignore[arg-type]


def test_both_outcomes_are_met() -> None:
    assert isinstance(parse_schedule("linear(3) >> 0.5 * cosine(4)"), Schedule)
    with pytest.raises(ExpressionError):
        parse_schedule("linear(3) >> open('x')")
