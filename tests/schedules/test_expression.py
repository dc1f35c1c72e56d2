"""Expressions build what the same Python code builds, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytorch_accelerated.schedules import (
    Affine,
    absolute,
    constant,
    cosine,
    ema_power,
    ema_warmup,
    epochs,
    exponential,
    half_life,
    inverse_proportional,
    inverse_sqrt,
    linear,
    maximum,
    milestones,
    minimum,
    one_cycle,
    one_cycle_momentum,
    polynomial,
    power_law,
    rex,
    sgdr,
    sqrt,
    tanh,
    wsd,
)
from pytorch_accelerated.schedules.expression import ExpressionError, parse_schedule

SCHEDULES = [
    linear(500, start=0.0) >> cosine(9_500, end=0.1),
    linear(0.05, start=absolute(1e-6)) >> constant() >> cosine(epochs(2.5), k=2.0, end=0.0),
    polynomial(10, power=3.0, end=0.5) >> exponential(5, end=absolute(-1e-3), start=absolute(-1.0)),
    inverse_sqrt(100, timescale=10) >> inverse_proportional(10, end=0.01) >> sqrt(3),
    tanh(10, lower=-2.0, upper=4.0) * milestones({3: 0.1, 5: 0.25}),
    milestones({0.25: absolute(0.5), epochs(3): -0.1}),
    0.5 * cosine(10).repeat(3) + -0.25 * rex(5),
    (linear(3) >> cosine(4, end=0.2)).repeat(3, length=2.0, peak=0.5) >> constant(2),
    cosine().repeat(4),
    linear(5) + -1.0 * linear(3),
    linear(3, start=Affine(0.1, 0.5), end=Affine(0.2, 0.0)).over(3),
    linear(5, start=Affine(0.1, 0.5)) >> constant(3, value=Affine(1.0, 2.0)),
    milestones({5: Affine(0.1, 0.5)}),
    minimum(linear(5), 0.5) >> maximum(sqrt(0.1, absolute(1), absolute(0.3)), absolute(0.2)),
    (linear(epochs(2)) >> cosine()).stretched(1.5),
    linear(9, start=absolute(1), end=absolute(9)).rounded(to=2).until(5) >> constant(3),
    linear(0.5, start=absolute(1), end=absolute(9)).rounded(),
    cosine(epochs(1)).repeat(),
    cosine(5).repeat() * power_law(9, timescale=3, exponent=-0.51),
    half_life(5, absolute(0.9), absolute(0.99)) >> ema_warmup(0.9, start=0.0, power=0.75),
    ema_power(3.0),
    cosine(5, exponent=2.0),
    wsd(),
    one_cycle(100) * sgdr(10, 4, growth=2.0, peak=0.5),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_the_repr_of_a_schedule_reads_back_as_itself(schedule):
    assert parse_schedule(repr(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("  cosine(10)  ", cosine(10)),
        ("linear(10)\n  >> cosine(\n 5)\n", linear(10) >> cosine(5)),
        ("cosine(1_000)", cosine(1_000)),
        ("cosine(length=10, end=2 * 0.25)", cosine(10, end=0.5)),
        ("cosine(10) * 0.5", cosine(10) * 0.5),
        ("(linear(0.1) >> cosine()).over(100)", linear(10) >> cosine(90)),
        ("linear(epochs(1)).over(100, num_updates_per_epoch=7)", linear(7)),
        ("constant(None, value=0.5)", constant(value=0.5)),
        ("linear(2e10)", linear(20_000_000_000)),
        ("cosine().over(1e3)", cosine(1_000)),
        ("warmup_cosine(1000, warmup=50, end=0.1)", linear(50, start=0.0) >> cosine(950, end=0.1)),
        ("linear_to_zero(1e3)", linear(50, start=0.0) >> linear(950, end=0.0)),
        ("one_cycle_momentum(100, low=0.8)", one_cycle_momentum(100, low=0.8)),
        ("minimum(cosine(10), 0.5).until(3)", minimum(cosine(10), 0.5).until(3)),
        ("cosine(10).stretched(2)", cosine(20)),
        ("linear(1) >> (linear(2) >> linear(3))", linear(1) >> linear(2) >> linear(3)),
    ],
)
def test_what_can_be_written(text, schedule):
    assert parse_schedule(text) == schedule


def test_a_chain_may_be_long():
    assert parse_schedule(" >> ".join(["linear(1)"] * 300)).horizon == 300


def test_long_sums_and_products_are_read_at_once():
    many = "+".join(["linear(1)"] * 31)
    for text in (
        f"constant(1) * ({many})",
        f"({many}) * constant(1)",
        "*".join(["cosine(5)"] * 12),
    ):
        schedule = parse_schedule(text)
        assert schedule.track.bounds(1.0)
        assert parse_schedule(repr(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("cosine(", r"'cosine\(' is not an expression at column"),
        ("cosine(1); 1", "is not an expression at column 10"),
        ("cosine(1)\0", "null bytes"),
        ("3", "is 3, but has to be a schedule"),
        ("absolute(3)", "but has to be a schedule"),
        ("cosine", r"write it with brackets, cosine\(…\)"),
        ("cosine(5, end=0.1, end=0.2)", "at column 1: end is there twice"),
        ("milestones({5: 0.1, 5: 0.2})", "at column 12: 5 is there twice"),
        ("linear(3) >> cosin(7)", "'cosin' at column 14: it is not known; did you mean cosine"),
        ("linear(5, strt=1.0)", "column 1: linear.* unexpected keyword argument 'strt'"),
        ("linear(-5)", "column 1: length=-5 is too small"),
        ("linear(5) >> 3", "column 1: 3 is an int, but only schedules go with >>"),
        ("linear(5) - linear(3)", r"column 1: .* Write a \+ -1\.0 \* b"),
        ("linear(5) / 2", r"Write \(1 / 2\) \* a"),
        ("linear(5 / 0)", "division by zero"),
        ("linear(5 % 3)", r"only the operators >>, \* and \+ are"),
        ("-linear(5)", r"-a is not defined.* Write -1.0 \* a"),
        ("-epochs(5)", "'epochs.5.' at column 2: only schedules and numbers can be combined"),
        ("Affine(1, 2) * 1000000000", "only schedules and numbers can be combined"),
        ("linear(5, end=Affine(1, linear(2)))", "end.scale=linear"),
        ("Affine(1, 2)", "has to be a schedule"),
        ("linear(5) + 1", r"1 is an int, .* with \+\. To hold a value"),
        ("linear(5, {1: 2})", "a dictionary is only allowed as milestones"),
        ("milestones({**{}})", "not allowed"),
        ("linear('5')", "only numbers"),
        ("linear(True)", "only numbers"),
        ("linear(5)(3)", "not allowed|cannot be called"),
        ("3(5)", "cannot be called"),
        ("absolute(3).repeat(2)", r"\.repeat\(…\) has to follow a schedule"),
        ("exponential(5)", "an end of 0 has no ratio"),
        ("cosine(10).repeat(2, length=1e9)", "length=1000000000.0 has to be between"),
        ("cosine(5).repeat(50).repeat(50).stretched(2.0)", "more than 100 phases"),
        ("cosine(10).stretched(1e9)", "factor=1000000000.0 has to be between"),
        ("absolute(3).until(2)", r"\.until\(…\) has to follow a schedule"),
        ("from_function(3)", "'from_function' at column 1: it is not known"),
    ],
)
def test_what_is_no_schedule_is_refused_with_where_and_why(text, message):
    with pytest.raises(ExpressionError, match=message) as caught:
        parse_schedule(text)
    assert "\n" not in str(caught.value)


def test_only_text_is_read():
    with pytest.raises(TypeError, match="text=3 is an int"):
        parse_schedule(3)


HOSTILE = [
    "9**9**9",
    "9" * 3_000,
    "1e999",
    "cosine(1e308 * 1e308)",
    "'a' * 10**9",
    "(" * 1_900 + "1" + ")" * 1_900,
    "-" * 3_900 + "1",
    "[" * 3_000,
    "1*" * 1_900 + "1",
    "cosine(1) + " * 300 + "cosine(1)",
    "cosine(1)" + ".repeat(2)" * 300,
    "x" * 5_000,
    "cosine(5).repeat(1000000000)",
    "cosine(5).repeat(10000).repeat(10000)",
    "cosine(5)" + ".repeat(9)" * 20,
    "cosine(1).repeat(100, length=100.0)" + ".repeat(100, length=100.0)" * 2,
    "cosine(1).repeat(100, length=1.0000000001).repeat(100, length=99.0)",
    "cosine(0.0001).repeat(100000)",
    "__import__('os').system('touch hostile')",
    "cosine.__globals__['__builtins__']",
    "cosine(1).__class__.__mro__",
    "cosine(1).over.__func__.__globals__",
    "().__class__.__bases__[0].__subclasses__()",
    "(lambda: cosine(1))()",
    "[cosine(1) for _ in (1,)][0]",
    "cosine(1) if 1 else 2",
    "(x := cosine(1))",
    "cosine(*(1,))",
    "cosine(**{'length': 1})",
    "f'{cosine(1)}'",
    "print(1)",
    "open('/etc/passwd')",
    "await cosine(1)",
    "yield cosine(1)",
    "cosine(...)",
    "cosine(1j)",
    "cosine(b'1')",
    "{1, 2}",
    "cosine(1) @ cosine(1)",
    "cosine(1) << cosine(1)",
    "cosine(1)[0]",
    "not cosine(1)",
    "cosine(1) > 0 and cosine(2)",
]


READ_ALL = """
import json, sys
from pytorch_accelerated.schedules.expression import ExpressionError, parse_schedule

def read(text):
    try:
        return repr(parse_schedule(text))[:80]
    except ExpressionError:
        return None

print(json.dumps([read(text) for text in json.load(sys.stdin)]))
"""


def test_hostile_expressions_are_errors_at_once():
    # In a process of its own, which is ended if one of them does not stop.
    command = [sys.executable, "-W", "error", "-c", READ_ALL]
    done = subprocess.run(
        command, input=json.dumps(HOSTILE), capture_output=True, text=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == [None] * len(HOSTILE)


def test_reading_an_expression_needs_no_torch():
    code = (
        "import sys\n"
        "from pytorch_accelerated.schedules.expression import parse_schedule\n"
        "parse_schedule('cosine(10)')\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("text", ["linear(1if 1 else 2)", "linear(0x1for)"])
def test_what_python_only_warns_of_is_refused_without_a_warning(text):
    with pytest.raises(ExpressionError, match="is not an expression at column"):
        parse_schedule(text)
