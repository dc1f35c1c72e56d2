"""Many updates at once have the very bits that they have one by one."""

import math
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedules import (
    absolute,
    arrays,
    constant,
    cosine,
    from_function,
    linear,
    milestones,
    minimum,
    phase,
    polynomial,
    rex,
    track,
)
from pytorch_accelerated.schedules.curves import CURVES, Cosine
from pytorch_accelerated.schedules.phase import Phase
from tests.strategies import is_ratio, own_arguments, schedules

often = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LARGEST, LEAST = 1.7e308, 5e-324
ANY = st.sampled_from([0.0, -0.0, 1.0, LEAST, -LEAST, 1e-310, LARGEST, -LARGEST]) | st.floats(
    allow_nan=False, allow_infinity=False
)
ANY_RATIO = st.floats(1e-120, 1e120)


def both(schedule, num_updates, bases):
    """Return the bits of all values in bulk, and those of single calls, or what they raise."""
    return [found(make, schedule, num_updates, bases) for make in (in_bulk, one_by_one)]


def found(make, schedule, num_updates, bases):
    try:
        return [column.tobytes() for column in make(schedule, num_updates, bases)]
    except (ArithmeticError, ValueError) as error:
        return [type(error), str(error)]


def in_bulk(schedule, num_updates, bases):
    return schedule.track.columns(num_updates, bases)


def one_by_one(schedule, num_updates, bases):
    return [track.array("d", [schedule(k, base) for k in range(num_updates)]) for base in bases]


@pytest.fixture
def all_in_arrays(monkeypatch):
    """Even a few updates at once, in chunks that are shorter than most phases."""
    monkeypatch.setattr(track, "_FEW", 2)
    monkeypatch.setattr(track, "_CHUNK_OF_ARRAYS", 150)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
@settings(often, max_examples=15)
@given(data=st.data())
def test_a_curve_has_the_same_bits_with_any_ends(curve, all_in_arrays, data):
    if curve.ends is not None:
        ends = st.floats(*curve.ends).map(absolute)
    elif is_ratio(curve):
        ends = ANY_RATIO.map(data.draw(st.sampled_from([float, absolute])))
    else:
        ends = ANY | ANY.map(absolute)
    length = data.draw(st.integers(1, 400))
    own = data.draw(own_arguments(curve, modest=data.draw(st.booleans())))
    one = curve.factory(length, start=data.draw(ends), end=data.draw(ends), **own)
    bases = data.draw(st.lists(ANY, min_size=1, max_size=3))
    bulk, single = both(one, length + 3, bases)
    assert bulk == single


@settings(often, max_examples=40)
@given(schedules(), st.lists(ANY, min_size=1, max_size=3))
@example(cosine(40, end=-0.0) * linear(40, end=-0.0) + constant(40, value=-0.0), [-0.0])
@example(milestones({30: -0.0, 31: LEAST, 90: LARGEST}) >> rex(90, end=absolute(0.1)), [3.0])
@example(-0.0 * (polynomial(50, end=0.0, power=0.3).repeat(3, peak=0.5)), [1.0, -1.0])
@example(LARGEST * linear(50, start=2.0, end=-2.0) + LARGEST * linear(50, start=-2.0), [1.0])
@example(minimum(cosine(60, end=0.0), linear(60, start=0.2, end=0.9)).until(55), [0.1, -0.1])
@example(cosine(60, start=absolute(0.1), end=0.5), [0.0, 0.3])
@example(cosine(61, end=absolute(0.1)), [0.3])
@example(linear(60, start=absolute(8.0), end=absolute(64.0)).rounded(to=8), [0.1])
def test_compositions_have_the_same_bits(all_in_arrays, schedule, bases):
    bulk, single = both(schedule, 60, bases)
    assert bulk == single


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_every_curve_takes_arrays(curve):
    kind = float if curve.ends is None else absolute
    one = curve.sample._with(length=9_001, start=kind(0.9), end=kind(0.1))
    expected = [one(k) for k in range(9_010)]
    assert one.values(9_010).tolist() == expected
    curve_of_floats, *_ = one.track.curves
    # Some branch at the first update, or halfway; here nothing is found one by one.
    values = track.array("d")
    assert arrays.append([values], [1.0], curve_of_floats.make(arrays.Functions()), range(1, 4_000))
    assert values.tolist() == expected[1:4_000]


def test_a_sine_is_asked_for_once_an_update_in_a_whole_phase(monkeypatch):
    asked = []
    sine = math.sin
    monkeypatch.setattr(math, "sin", lambda x: asked.append(x) or sine(x))
    cosine(1_000, end=0.0).values(1_000)
    assert len(asked) == 2 + 999  # both at the first update
    asked.clear()
    cosine(1_001, end=0.0).values(1_000)
    assert len(asked) == 2 + 2 * 999


def test_a_users_own_code_is_asked_one_by_one_and_once():
    asked = []

    def own(num_updates):
        asked.append(num_updates)
        return 0.5 if num_updates < 700 else absolute(0.25)

    class Tall(Cosine):
        def weights(self, done, left):
            assert type(done) is type(left) is float
            return left, done

    def smooth(progress):
        assert type(progress) is float
        return progress * progress

    values = (from_function(own) + constant(1_000, value=0.5)).values(1_000, base=2.0)
    assert asked == list(range(1_000))
    assert values[699], values[700] == (2.0, 1.25)
    assert Phase(100, Tall(), end=0.0).values(101)[50] == 0.5
    assert phase(100, shape=smooth, end=0.0).values(101)[50] == 0.75


def test_a_factor_that_turns_absolute_is_refused_at_its_update():
    cancelling = cosine(900, start=absolute(0.1), end=0.0) + linear(900, start=absolute(-0.1))
    first = next(k for k in range(900) if cancelling.coefficients(k)[0] != 0.0)
    with pytest.raises(ValueError, match=rf"absolute\(.*\) at update {first}\."):
        (linear(900) * cancelling).values(900)


def test_lengths_that_are_no_doubles_have_the_same_bits():
    schedule = linear(2**53 + 1, end=0.0) * cosine(2**60 + 1, start=0.1, end=7.0)
    bulk, single = both(schedule, 300, [1.0, 0.1])
    assert bulk == single


def test_numpy_is_imported_only_for_many_values_and_need_not_be_there():
    code = """
import sys
from pytorch_accelerated.schedules import cosine, linear
schedule = linear(10_000, start=0.0) >> cosine(490_000, end=0.1)
few = schedule.values(100_000)
assert "numpy" not in sys.modules
sys.modules["numpy"] = None
without = schedule.values(500_000)
del sys.modules["numpy"]
assert schedule.values(500_000) == without
assert "numpy" in sys.modules
assert few == without[:100_000] == schedule.values(100_000)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
