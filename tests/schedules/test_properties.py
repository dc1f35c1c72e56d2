"""What holds for every schedule that can be composed."""

import copy
import functools
import math
import operator
import pickle
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytorch_accelerated.preview import preview
from pytorch_accelerated.schedules import (
    Phase,
    Schedule,
    Sequence,
    absolute,
    constant,
    cosine,
    from_function,
    linear,
    maximum,
    milestones,
    minimum,
    phase,
    rex,
)
from pytorch_accelerated.schedules.curves import Cosine
from pytorch_accelerated.schedules.phase import Shape
from tests.strategies import (
    BASES,
    NAMES,
    absolutes,
    phases,
    relative_schedules,
    restarts,
    schedules,
    sequences,
)

many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UPDATES = st.integers(0, 300)


def bounds(schedule, base):
    """Return between which values a schedule says it stays, and their size."""
    return *schedule.track.bounds(base), size(schedule, base)


def size(schedule, base):
    """Return how large the numbers get that a value is made of."""
    ends = (abs(o) + abs(s) * abs(base) for o, s in schedule.track.reached)
    return max(*map(abs, schedule.track.bounds(base)), *ends)


@many
@given(schedules())
def test_the_repr_is_the_code_that_builds_it(schedule):
    assert eval(repr(schedule), {"__builtins__": {}}, NAMES) == schedule


@many
@given(st.data(), st.integers(0, 1_000))
def test_the_repr_of_a_relative_schedule_builds_it_before_and_after_it_is_laid_out(data, horizon):
    relative, num_updates_per_epoch = data.draw(relative_schedules(horizon))
    assert eval(repr(relative), {"__builtins__": {}}, NAMES) == relative
    laid_out = relative.over(horizon, num_updates_per_epoch)
    assert eval(repr(laid_out), {"__builtins__": {}}, NAMES) == laid_out


@many
@given(schedules(), UPDATES)
def test_copies_are_equal_and_have_equal_values(schedule, num_updates):
    for used in (False, True):
        for twin in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
            assert twin == schedule
            assert hash(twin) == hash(schedule)
            assert twin(num_updates, 0.3) == schedule(num_updates, 0.3), used


@many
@given(schedules(), st.lists(UPDATES, min_size=1, max_size=20), st.randoms())
def test_values_do_not_depend_on_what_was_asked_before(schedule, updates, random):
    in_order = {k: schedule(k, 0.3) for k in sorted(updates)}
    fresh = copy.deepcopy(schedule)
    random.shuffle(updates)
    assert {k: fresh(k, 0.3) for k in updates} == in_order
    assert [copy.deepcopy(schedule)(k, 0.3) for k in updates] == [in_order[k] for k in updates]


@many
@given(schedules(), BASES, st.integers(1, 10**9))
def test_past_the_horizon_the_last_value_holds(schedule, base, more):
    last = schedule(schedule.horizon, base)
    assert schedule(schedule.horizon + 1, base) == last
    assert schedule(schedule.horizon + more, base) == last


@many
@given(schedules(), BASES, UPDATES)
def test_values_are_affine_in_the_base(schedule, base, num_updates):
    offset, scale = schedule.coefficients(num_updates)
    assert math.isfinite(offset)
    assert math.isfinite(scale)
    assert schedule(num_updates, base) == offset + scale * base
    assert schedule(num_updates, 0.0) == offset


@many
@given(schedules(), BASES, UPDATES)
def test_values_in_bulk_are_those_of_single_calls(schedule, base, num_updates):
    expected = [schedule(k, base) for k in range(num_updates)]
    assert schedule.values(num_updates, base).tolist() == expected


@many
@given(schedules(), UPDATES)
def test_a_segment_has_the_values_of_its_stretch(schedule, num_updates):
    start, stop, curve = schedule.track.segment(num_updates)
    assert start <= num_updates < stop
    for k in {start, num_updates, int(min(stop, num_updates + 9)) - 1}:
        assert tuple(curve(k - start)) == tuple(schedule.coefficients(k))


@many
@given(schedules(), BASES, UPDATES)
def test_values_stay_between_the_ends(schedule, base, num_updates):
    assume(math.isfinite(schedule.track.bounds(base)[0]))
    lowest, highest, magnitude = bounds(schedule, base)
    slack = 1e-14 * magnitude
    assert lowest - slack <= schedule(num_updates, base) <= highest + slack


@many
@given(phases(ends_given=True), st.integers(1, 50), BASES)
def test_ends_are_exactly_the_numbers_that_were_written(one, length, base):
    one = Phase(length, one.shape, one.start, one.end)
    for end, num_updates in ((one.start, 0), (one.end, length), (one.end, length + 1)):
        written = end.value if isinstance(end, type(absolute(0))) else end * base
        assert one(num_updates, base) == written


@many
@given(phases(ends_given=True), st.integers(1, 200), st.floats(0.1, 10.0))
def test_a_phase_is_monotone(one, length, base):
    one = Phase(length, one.shape, one.start, one.end)
    values = [one(k, base) for k in range(length + 2)]
    rises = values[-1] >= values[0]
    slack = 8 * math.ulp(max(map(abs, (values[0], values[-1]))) + 5e-324)
    for before, after in pairwise(values):
        assert (after - before if rises else before - after) >= -slack


@many
@given(st.lists(schedules(depth=2), min_size=1, max_size=3), phases(ends_given=True), BASES)
def test_what_follows_is_what_it_is_alone(firsts, follower, base):
    # A phase that says its start, and whatever is composed, does not look at what came before.
    first = firsts[0]
    for other in firsts[1:]:
        first = first >> other
    both = first >> follower
    for k in range(first.horizon):
        assert both(k, base) == first(k, base)
    for k in range(follower.horizon + 2):
        assert both(first.horizon + k, base) == follower(k, base)


@many
@given(schedules(depth=3), schedules(depth=3), schedules(depth=3))
def test_brackets_make_no_difference_to_a_sequence(a, b, c):
    assert (a >> b) >> c == a >> (b >> c) == Sequence((a, b, c))


@many
@given(st.one_of(phases(), sequences()), st.integers(1, 5), UPDATES)
def test_a_repeat_is_the_schedule_again_and_again(one, count, num_updates):
    repeated = one.repeat(count)
    assert repeated.horizon == count * one.horizon
    if one.horizon:
        assert one.repeat()(num_updates, 0.3) == one(num_updates % one.horizon, 0.3)
        assert one.repeat().horizon is None
    if num_updates < repeated.horizon:
        assert repeated(num_updates, 0.3) == one(num_updates % one.horizon, 0.3)
    else:
        assert repeated(num_updates, 0.3) == one(one.horizon, 0.3)


@many
@given(schedules(), st.integers(0, 30), BASES, UPDATES)
def test_a_cut_plan_is_the_plan_up_to_the_cut_and_stays_there(plan, cut, base, k):
    first = plan.until(cut)
    assert first.horizon == cut
    assert first(k, base) == plan(min(k, cut), base)
    after = first >> linear(5, end=0.0)
    assert after(min(k, cut), base) == plan(min(k, cut), base)
    assert after(cut + 5, base) == 0.0


@many
@given(
    sequences() | sequences().map(lambda plan: plan.repeat(3)),
    st.sampled_from([0.5, 1 / 3, 1.5, 2.0, 7.0]),
)
def test_every_joint_of_a_stretched_plan_is_at_the_nearest_update(plan, factor):
    slower = plan.stretched(factor)
    numerator, denominator = {0.5: (1, 2), 1 / 3: (1, 3), 1.5: (3, 2)}.get(factor, (int(factor), 1))
    moved = [(2 * k * numerator + denominator) // (2 * denominator) for k in plan.track.starts]
    assert slower.horizon == moved[-1]
    assert set(slower.track.starts) == set(moved)
    for before, k in zip(plan.track.starts, moved, strict=True):
        # Where an open power law gets to depends on its timescale, which is rounded as well.
        if moved.count(k) == 1 and "timescale" not in repr(plan):
            assert slower(k, 0.3) == pytest.approx(plan(before, 0.3), rel=1e-12)


@many
@given(st.sampled_from([minimum, maximum]), schedules(3, plain=True), schedules(3, plain=True))
def test_of_two_schedules_the_smaller_or_larger_multiple_counts(choose, one, other):
    chosen = choose(one, other)
    for k in range(40):
        expected = {minimum: min, maximum: max}[choose](one(k), other(k))
        assert chosen(k) == expected


@many
@given(absolutes(), st.sampled_from([1, 8, 0.5, 0.1]))
def test_a_rounded_value_is_the_nearest_multiple(plan, to):
    rounded = plan.rounded(to=to)
    for k in range(30):
        steps = rounded(k, 0.3) / to
        assert steps == pytest.approx(round(steps), abs=1e-9)
        assert -0.5 - 1e-9 <= steps - plan(k) / to <= 0.5 + 1e-9


def test_halves_are_rounded_up_and_the_largest_float_below_one_is_not():
    plan = milestones({k: absolute(x) for k, x in enumerate([0.5, 1.5, -0.5, -1.5, 4.0, 3.9999])})
    assert plan.rounded().values(6).tolist() == [1.0, 2.0, 0.0, -1.0, 4.0, 4.0]
    assert plan.rounded(to=8)(4) == 8.0
    assert plan.rounded(to=8)(5) == 0.0
    below = constant(1, value=absolute(0.49999999999999994)).rounded()
    assert (below(0), constant(1, value=absolute(1e300)).rounded(to=1e-9)(0)) == (0.0, 1e300)


@many
@given(restarts())
def test_a_repeat_with_other_periods_begins_like_one_without(repeated):
    first = repeated.schedule
    for k in range(first.horizon):
        assert repeated(k, 0.3) == first(k, 0.3)


@many
@given(schedules(depth=3), schedules(depth=3), st.floats(-4.0, 4.0), BASES, UPDATES)
def test_sums_and_multiples_are_those_of_the_values(a, b, factor, base, k):
    slack = 1e-14 * (1.0 + min(1e300, size(a, base)) + min(1e300, size(b, base)))
    assert (a + b)(k, base) == pytest.approx(a(k, base) + b(k, base), rel=1e-14, abs=slack)
    scaled = (factor * a)(k, base)
    slack = abs(factor) * slack + 1e-300  # the smallest factors leave only a few bits
    assert scaled == pytest.approx(factor * a(k, base), rel=1e-14, abs=slack)


@many
@given(schedules(depth=3), schedules(depth=3, plain=True), BASES, UPDATES)
def test_products_are_those_of_the_values(a, factor, base, k):
    multiple = factor(k, 1.0)
    slack = 1e-14 * min(1e300, size(a, base)) * abs(multiple)
    expected = a(k, base) * multiple
    assert (a * factor)(k, base) == pytest.approx(expected, rel=1e-14, abs=slack)


@many
@given(schedules())
def test_a_table_of_any_schedule_can_be_printed(schedule):
    lines = str(schedule).splitlines()
    assert lines[0].split() == ["from", "to", "start", "end", "shape"]
    assert len(lines) - 1 - min(41, len(schedule.phases)) in (0, 1)


@many
@given(st.data(), st.sampled_from([7, 10, 101]) | st.integers(0, 10_000))
def test_lengths_add_up_to_the_horizon_exactly(data, horizon):
    relative, num_updates_per_epoch = data.draw(relative_schedules(horizon))
    laid_out = relative.over(horizon, num_updates_per_epoch)
    assert laid_out.horizon == horizon
    assert not laid_out.is_relative
    assert relative.is_relative
    assert str(relative).splitlines()[0].split() == ["length", "start", "end", "shape"]


def test_memory_does_not_grow_with_the_horizon():
    def peak(horizon):
        tracemalloc.start()
        relative = linear(0.1, start=0.0) >> 0.5 * (constant() + rex()) >> cosine(0.2).repeat(2)
        schedule = relative.over(horizon)
        for k in range(0, horizon, max(1, horizon // 50)):
            schedule(k)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(100)  # what is imported or cached once
    assert peak(10**12) < peak(100) + 20_000


def test_a_schedule_repeated_often_is_printed_and_previewed_at_once():
    schedule = (linear(1) >> linear(2, start=0.5)).repeat(500).repeat(10)
    assert str(schedule).splitlines()[-1] == "… and 9960 more phases"
    assert schedule(3 * 4_999 + 2) == 0.75
    seen = preview(schedule, 4)
    assert list(seen["value"][0]) == [1.0, 0.5, 0.75, 1.0]
    assert [row.first for row in seen.rows][:3] == [0, 1, 3]
    with pytest.raises(ValueError, match=r"these are 20,000; at most 10,000"):
        schedule.repeat(2)


def test_a_table_shows_lengths_where_they_are_not_yet_laid_out():
    schedule = linear(500, start=0.0).repeat(2) >> constant(0) >> linear(0.1) >> cosine()
    lengths = [line.split("  ")[0] for line in str(schedule).splitlines()]
    assert lengths == ["length", "500", "500", "0", "10 %", "the rest"]


@pytest.mark.parametrize(
    ("schedule", "last_line"),
    [
        (milestones({30: 0.1, 60: 0.01}), "60    …   0.01   0.01  constant"),
        (milestones({0: 0.5}), "0     …   0.5    0.5  constant"),
        (0.5 * milestones({3: 0.1}), "3     …   0.05   0.05  constant"),
        (linear(4) >> constant(0, value=0.5), "4     …   0.5    0.5  constant"),
        (milestones({3: 0.1}) >> linear(5), "3     8   0.1    0    linear"),
        (linear(4), "0     4   1      0    linear"),
    ],
)
def test_the_table_ends_with_the_value_that_stays(schedule, last_line):
    assert str(schedule).splitlines()[-1] == last_line


TERMS = st.builds(
    linear,
    st.integers(1, 9),
    start=st.one_of(st.floats(-2, 2), st.builds(absolute, st.floats(-2, 2))),
    end=st.one_of(st.floats(-2, 2), st.builds(absolute, st.floats(-2, 2))),
)
FACTORS = st.builds(
    linear, st.integers(1, 9), start=st.floats(-2, 2, width=16), end=st.floats(-2, 2)
)


@many
@given(st.lists(TERMS, min_size=1, max_size=4), st.lists(FACTORS, max_size=2), st.floats(-3, 3))
def test_a_sum_and_a_product_stay_within_the_corners_of_their_parts(terms, factors, base):
    composed, every = terms[0], set(terms[0].track.bounds(base))
    for term in terms[1:]:
        composed += term
        every = {one + other for one in every for other in term.track.bounds(base)}
    for factor in factors:
        composed *= factor
        every = {one * other for one in every for other in factor.track.bounds(1.0)}
    assert composed.track.bounds(base) == pytest.approx((min(every), max(every)))


def test_bounds_that_are_too_large_or_a_users_are_none():
    huge = functools.reduce(operator.mul, [linear(9, start=1e200)] * 12)
    unknown = 0.0 * from_function(lambda k: 3.0 - k, length=3)
    for schedule in (huge, unknown, linear(3) >> unknown, linear(3) + unknown, Rising()):
        assert schedule.track.bounds(1.0) == (-math.inf, math.inf)


# What users make of the classes -------------------------------------------------------------


class Squared(Cosine):
    def weights(self, done, left):
        of_end = super().weights(done, left)[1] ** 2
        return 1.0 - of_end, of_end


class Rising(Schedule):
    """The least that a class of a user's own needs."""

    def coefficients(self, num_updates):
        return 0.0, 3.0 + num_updates


class Ending(Rising):
    horizon = 10


OVERRIDDEN = [
    (Ending(), lambda k: 3 + k),
    (phase(10, shape=Squared()), lambda k: 1 - math.sin(math.pi / 2 * k / 10) ** 4),
]


@pytest.mark.parametrize(("schedule", "expected"), OVERRIDDEN, ids=lambda s: type(s).__name__)
def test_what_a_subclass_overrides_counts_everywhere(schedule, expected):
    for composed, scale in ((schedule, 1.0), (0.5 * schedule >> constant(3), 0.5)):
        values = [pytest.approx(scale * expected(k), abs=1e-15) for k in range(11)]
        assert [composed(k) for k in range(11)] == values
        assert list(composed.values(11)) == values
        segments = [composed.track.segment(k) for k in range(11)]
        assert [curve(k - start)[1] for k, (start, _, curve) in enumerate(segments)] == values
        assert composed.track.bounds(1.0) == (-math.inf, math.inf)


def test_a_class_of_a_users_own_composes_like_any_other():
    rising = Rising()
    assert (rising.horizon, rising(10**6)) == (None, 3.0 + 10**6)
    assert [(0.5 * rising + linear(4))(k) for k in range(3)] == [2.5, 2.75, 3.0]
    assert (linear(4, end=0.5) >> rising)(6) == 5.0
    assert list((Ending() >> linear(2)).values(13))[9:] == [12.0, 13.0, 6.5, 0.0]
    assert "Ending()" in str(Ending())
    with pytest.raises(ValueError, match=r"Rising\(\) never ends"):
        rising >> linear(3)


def test_a_class_of_a_users_own_whose_values_would_not_count_is_refused():
    with pytest.raises(TypeError, match=r"Halved defines coefficients, .* from_function"):

        class Halved(Phase):
            def coefficients(self, num_updates):
                return 0.0, 0.5

    class Nothing(Schedule):
        pass

    with pytest.raises(TypeError, match=r"Nothing has to define coefficients\(num_updates\)"):
        Nothing()(3)


class Halving(Schedule):
    """A plain class, as any other in Python."""

    def __init__(self, every, table=()):
        self.every = every
        self.table = table

    @functools.cached_property
    def rate(self):
        return 0.5 ** (1 / self.every)

    def coefficients(self, num_updates):
        return 0.0, self.rate**num_updates


class Back(Shape):
    def __init__(self, overshoot):
        self.overshoot = overshoot

    def weights(self, done, left):
        x = done + self.overshoot * done * left
        return 1 - x, x


def test_plain_classes_compare_hash_print_and_pickle_by_what_they_have_set():
    one, same, other = Halving(3), Halving(3), Halving(4)
    assert one(3) == pytest.approx(0.5)
    assert one == same != other
    assert hash(one) == hash(same)
    assert repr(one) == "Halving(every=3, table=())"
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert one + one == same + same
    assert hash(Halving(3, [1])) == hash(Halving(3, [1]))
    assert str(one)
    assert Back(1.0) == Back(1.0) != Back(2.0)
    assert phase(5, shape=Back(1.0)) != phase(5, shape=Back(2.0))
    assert len({Back(1.0), Back(1.0), Back(2.0)}) == 2
    assert repr(phase(5, shape=Back(2.0), end=0.5)) == "Back(5, overshoot=2.0, end=0.5)"
