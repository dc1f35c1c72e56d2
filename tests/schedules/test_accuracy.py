"""Every shape is its formula: within 1e-12 of what many digits of precision give."""

import inspect

import mpmath
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedules import absolute, constant, inverse_sqrt, phase, power_law
from pytorch_accelerated.schedules.averages import AVERAGES
from pytorch_accelerated.schedules.curves import CURVES
from tests.catalogue import CATALOGUE, smoothstep
from tests.strategies import is_ratio, own_arguments

SHAPES = {entry.name: entry for entry in CATALOGUE if entry.kind == "shape"}
NAMES = ("sqrt", "cos", "tanh", "exp", "log", "pi")
# 1 − tanh(150) is 1e-130, and it has to come out with 50 digits.
DIGITS = 200
# With a given end, a power law is scaled to reach it.
SCALED_POWER_LAW = (
    "start + (end - start) * (1 - (1 + n / timescale) ** exponent)"
    " / (1 - (1 + length / timescale) ** exponent)"
)


def exact(formula, length, n, **arguments):
    """Evaluate a formula of the catalogue with many digits."""
    with mpmath.workdps(DIGITS):
        names = {
            **{name: getattr(mpmath, name) for name in NAMES},
            **{name: mpmath.mpf(value) for name, value in arguments.items()},
            "n": mpmath.mpf(n),
            "length": mpmath.mpf(length),
            "p": mpmath.mpf(n) / length,
            "shape": smoothstep,
            "min": min,
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
by_curve = pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)


def ends(curve):
    """Return what a curve may lead between; with no end, if its formula has none."""
    if curve.ends is not None:
        bounded = st.floats(*curve.ends)
        return st.fixed_dictionaries({"start": bounded, "end": bounded})
    other = POSITIVE if is_ratio(curve) else st.one_of(st.just(0.0), POSITIVE)
    falling = st.fixed_dictionaries({"start": POSITIVE, "end": other})
    rising = st.fixed_dictionaries({"start": other, "end": POSITIVE})
    if "end" not in curve.formula:
        return st.fixed_dictionaries({"start": POSITIVE})
    return falling | rising


@by_curve
@settings(max_examples=60, deadline=None)
@given(data=st.data(), length=LENGTHS, at=SHARES)
def test_a_curve_is_its_formula(curve, data, length, at):
    own, both = data.draw(own_arguments(curve, modest=False)), data.draw(ends(curve))
    kind = float if curve.ends is None else absolute
    schedule = curve.factory(length, **own, **{name: kind(end) for name, end in both.items()})
    arguments = own | both
    for n in positions(length, at):
        expected = exact(curve.formula, length, n, **arguments)
        assert agree(schedule(n), expected), (n, schedule(n), mpmath.nstr(expected, 20))


@settings(max_examples=60, deadline=None)
@given(
    length=LENGTHS,
    at=SHARES,
    start=st.just(0.0) | POSITIVE,
    end=st.just(0.0) | POSITIVE,
    timescale=st.integers(1, 10**6),
    exponent=st.just(-0.5) | st.floats(-10.0, -0.1),
)
@example(length=10**6, at=[0.5], start=1.0, end=0.0, timescale=1, exponent=-0.5)
def test_a_power_law_is_scaled_to_the_end_that_is_given(
    length, at, start, end, timescale, exponent
):
    arguments = {"start": start, "end": end, "timescale": timescale}
    schedule = (
        inverse_sqrt(length, **arguments)
        if exponent == -0.5
        else power_law(length, **arguments, exponent=exponent)
    )
    for n in positions(length, at):
        expected = exact(SCALED_POWER_LAW, length, n, **arguments, exponent=exponent)
        assert agree(schedule(n), expected)


@pytest.mark.parametrize("entry", AVERAGES, ids=lambda entry: entry.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), updates=st.lists(st.integers(0, 10**6), min_size=1))
def test_a_decay_of_an_average_is_its_formula(entry, data, updates):
    arguments = data.draw(own_arguments(entry, modest=False))
    schedule = entry.factory(**arguments)
    for n in {0, 1, 2, *updates}:
        assert agree(schedule(n), exact(entry.formula, 1, n, **arguments))


@settings(max_examples=60, deadline=None)
@given(length=LENGTHS, at=SHARES, start=POSITIVE, end=POSITIVE)
def test_a_shape_of_ones_own_is_its_formula(length, at, start, end):
    schedule = phase(length, shape=smoothstep, start=start, end=end)
    for n in positions(length, at):
        expected = exact(SHAPES["phase"].formula, length, n, start=start, end=end)
        # Nobody can know a user's function next to 1 better than it knows itself.
        assert abs(schedule(n) - expected) <= 1e-15 * max(start, end)


@settings(max_examples=30, deadline=None)
@given(length=LENGTHS, value=POSITIVE)
def test_a_constant_is_its_value(length, value):
    schedule = constant(length, value=value)
    assert {schedule(n) for n in positions(length, [0.5])} == {value}


@pytest.mark.parametrize("name", SHAPES)
def test_a_formula_has_the_names_of_the_factorys_arguments(name):
    known = set(inspect.signature(SHAPES[name].factory).parameters) | {"p", "n"}
    code = compile(SHAPES[name].formula, name, "eval")
    assert set(code.co_names) <= known | set(NAMES)
