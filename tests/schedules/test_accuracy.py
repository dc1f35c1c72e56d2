"""Every shape is its formula: within 1e-12 of what many digits of precision give."""

import inspect

import mpmath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedules.catalogue import CATALOGUE, smoothstep

SHAPES = {entry.name: entry for entry in CATALOGUE if entry.kind == "shape"}
# 1 − tanh(150) is 1e-130, and it has to come out with 50 digits.
DIGITS = 200
# With a given end, the inverse square root is scaled to reach it.
SCALED_INVERSE_SQRT = (
    "start + (end - start) * (1 - 1 / sqrt(1 + n / timescale))"
    " / (1 - 1 / sqrt(1 + length / timescale))"
)


def exact(formula, length, n, **arguments):
    """Evaluate a formula of the catalogue with many digits."""
    with mpmath.workdps(DIGITS):
        names = {
            **{name: getattr(mpmath, name) for name in ("sqrt", "cos", "tanh", "pi")},
            **{name: mpmath.mpf(value) for name, value in arguments.items()},
            "n": mpmath.mpf(n),
            "length": mpmath.mpf(length),
            "p": mpmath.mpf(n) / length,
            "shape": smoothstep,
        }
        return eval(formula, {"__builtins__": {}}, names)


def agree(value, expected):
    with mpmath.workdps(DIGITS):
        cancelled = mpmath.mpf("1e-150")  # what is left of a formula that comes to 0
        return abs(value - expected) <= mpmath.mpf("1e-12") * abs(expected) + cancelled


def positions(length, at):
    """Return the updates next to both ends, and some in between."""
    near = {0, 1, 2, 3, length - 3, length - 2, length - 1, length}
    return sorted(k for k in near | {round(share * length) for share in at} if 0 <= k <= length)


LENGTHS = st.one_of(st.integers(1, 20), st.integers(1, 10**6), st.just(10**6))
SHARES = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3)
POSITIVE = st.floats(1e-9, 10.0)
ENDS = {name: st.tuples(POSITIVE, st.one_of(st.just(0.0), POSITIVE)) for name in SHAPES} | {
    "exponential": st.tuples(POSITIVE, POSITIVE),
    "inverse_proportional": st.tuples(POSITIVE, POSITIVE),
}
ARGUMENTS = {name: st.fixed_dictionaries({}) for name in SHAPES} | {
    "cosine": st.fixed_dictionaries({"k": st.floats(0.1, 10.0)}),
    "polynomial": st.fixed_dictionaries({"power": st.floats(0.1, 10.0)}),
    "inverse_sqrt": st.fixed_dictionaries({"timescale": st.integers(1, 10**6)}),
    "tanh": st.fixed_dictionaries(
        {"lower": st.floats(-150.0, 0.0), "upper": st.floats(0.5, 150.0)},
    ),
}


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in ("constant", "phase")])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), length=LENGTHS, at=SHARES, swap=st.booleans())
def test_a_shape_is_its_formula(name, data, length, at, swap):
    start, end = data.draw(ENDS[name])
    if swap:
        start, end = end, start
    arguments = data.draw(ARGUMENTS[name])
    formula = SCALED_INVERSE_SQRT if name == "inverse_sqrt" else SHAPES[name].formula
    schedule = SHAPES[name].factory(length, start=start, end=end, **arguments)
    for n in positions(length, at):
        expected = exact(formula, length, n, start=start, end=end, **arguments)
        assert agree(schedule(n), expected), (n, schedule(n), mpmath.nstr(expected, 20))


@settings(max_examples=60, deadline=None)
@given(length=LENGTHS, at=SHARES, start=POSITIVE, timescale=st.integers(1, 10**6))
@example(length=10**6, at=[0.5], start=1.0, timescale=1)
def test_an_inverse_square_root_without_an_end_is_its_formula(length, at, start, timescale):
    schedule = SHAPES["inverse_sqrt"].factory(length, start=start, timescale=timescale)
    formula = SHAPES["inverse_sqrt"].formula
    for n in positions(length, at):
        expected = exact(formula, length, n, start=start, timescale=timescale)
        assert agree(schedule(n), expected)


@settings(max_examples=60, deadline=None)
@given(length=LENGTHS, at=SHARES, start=POSITIVE, end=POSITIVE)
def test_a_shape_of_ones_own_is_its_formula(length, at, start, end):
    schedule = SHAPES["phase"].factory(length, shape=smoothstep, start=start, end=end)
    for n in positions(length, at):
        expected = exact(SHAPES["phase"].formula, length, n, start=start, end=end)
        # Nobody can know a user's function next to 1 better than it knows itself.
        assert abs(schedule(n) - expected) <= 1e-15 * max(start, end)


@settings(max_examples=30, deadline=None)
@given(length=LENGTHS, value=POSITIVE)
def test_a_constant_is_its_value(length, value):
    schedule = SHAPES["constant"].factory(length, value=value)
    assert {schedule(n) for n in positions(length, [0.5])} == {value}


@pytest.mark.parametrize("name", SHAPES)
def test_a_formula_has_the_names_of_the_factorys_arguments(name):
    known = set(inspect.signature(SHAPES[name].factory).parameters) | {"p", "n", "pi"}
    code = compile(SHAPES[name].formula, name, "eval")
    assert set(code.co_names) <= known | {"sqrt", "cos", "tanh"}
