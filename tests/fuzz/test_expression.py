"""Any text at all, read as a schedule: a schedule that reads back as itself, or an error."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.schedules.expression import ExpressionError, parse_schedule
from tests.fuzz.atheris_expression import check_text

TOKENS = [
    *("linear", "cosine", "constant", "polynomial", "milestones", "epochs", "absolute", "tanh"),
    *("inverse_sqrt", "exponential", "from_function", "phase", "open", "__import__", "lambda"),
    *("(", ")", "{", "}", "[", "]", ",", ":", "=", ".", " ", "\n", "#", "'", '"', "\\", "@"),
    *(">>", ">>", "*", "+", "-", "**", "//", "%", "<", "if", "else", "for", "in", "and", "not"),
    *("start=", "end=", "k=", "power=", "length=", "timescale=", ".repeat(", ".over(", "count="),
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


CALLS = st.sampled_from(["linear", "cosine", "constant", "rex", "sqrt"])
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
    ),
    max_leaves=5,
)


@given(text=EXPRESSIONS)
@settings(max_examples=200, deadline=None)
def test_texts_that_look_like_schedules(text: str) -> None:
    check_text(text)


@pytest.mark.parametrize("value", [None, 3, b"linear(3)", ["linear(3)"], object()])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="str"):
        parse_schedule(value)  # type: ignore[arg-type]


def test_both_outcomes_are_met() -> None:
    assert isinstance(parse_schedule("linear(3) >> 0.5 * cosine(4)"), Schedule)
    with pytest.raises(ExpressionError):
        parse_schedule("linear(3) >> open('x')")
