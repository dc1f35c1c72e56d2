"""Shares, epochs and the rest become whole updates that add up to the horizon exactly."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytorch_accelerated.schedules import (
    Sequence,
    absolute,
    constant,
    cosine,
    epochs,
    exponential,
    from_function,
    inverse_sqrt,
    linear,
    milestones,
)
from pytorch_accelerated.schedules.terms import exact
from tests.catalogue import halving

HORIZONS = (0, 1, 2, 3, 6, 7, 10, 100, 101)


def lengths(schedule):
    return [part.length for part in schedule.parts]


@pytest.mark.parametrize(
    ("horizon", "expected"),
    [
        (7, [1, 5, 1]),  # joints at 0.7 and 5.6
        (10, [1, 7, 2]),
        (101, [10, 71, 20]),  # joints at 10.1 and 80.8
        (10_000, [1_000, 7_000, 2_000]),
        (0, [0, 0, 0]),
        (1, [0, 1, 0]),  # joints at 0.1 and 0.8
        (2, [0, 2, 0]),  # joints at 0.2 and 1.6
        (5, [1, 3, 1]),  # joints at 0.5, which is rounded up, and 4
    ],
)
def test_joints_are_at_the_nearest_update(horizon, expected):
    relative = linear(0.1, start=0.0) >> constant() >> linear(0.2, end=0.0)
    assert lengths(relative.over(horizon)) == expected


@pytest.mark.parametrize("horizon", HORIZONS)
def test_shares_that_are_100_percent_in_decimal_are_all_of_it(horizon):
    # 0.7 + 0.2 + 0.1 is not 1 in binary.
    thirds = linear(0.7, end=0.5) >> constant(0.2) >> linear(0.1, end=0.0)
    assert thirds.over(horizon).horizon == horizon


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("denominator", [3, 6, 7, 9, 11, 13, 997])
def test_shares_that_are_100_percent_as_fractions_are_all_of_it(denominator, horizon):
    for numerator in (1, denominator // 2, denominator - 1):
        first = numerator / denominator
        for rest in (1 - first, (denominator - numerator) / denominator):
            relative = linear(first, end=0.5) >> linear(rest, end=0.0)
            assert relative.over(horizon).horizon == horizon


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1 / 3, Fraction(1, 3)),
        (2 / 3, Fraction(2, 3)),
        (1 - 1 / 3, Fraction(2, 3)),
        (10 + 1 / 3, Fraction(31, 3)),
        (1e6 + 1 / 3, 10**6 + Fraction(1, 3)),
        (0.1, Fraction(1, 10)),
        (0.29, Fraction(29, 100)),
        (0.1 + 0.2, Fraction(3, 10)),
        (0.333, Fraction(333, 1000)),
        (0.3333, Fraction(3333, 10_000)),
        (0.33333333333333, Fraction(33333333333333, 10**14)),
        (0.001, Fraction(1, 1000)),
        (0.0001, Fraction(1, 10_000)),
        (1e-20, Fraction(1, 10**20)),
        (0.12345678, Fraction(12345678, 10**8)),
        (1e300, Fraction(10**300)),
        (3.0, Fraction(3)),
        (0.0, Fraction(0)),
    ],
)
def test_a_float_is_the_fraction_that_it_was_written_as(number, expected):
    assert exact(number) == expected


def test_lengths_in_updates_keep_theirs():
    relative = linear(3, start=0.0) >> cosine(0.33, end=0.5) >> constant(5) >> linear(end=0.0)
    assert lengths(relative.over(50)) == [3, 17, 5, 25]  # joints at 3, 19.5, 24.5, 50


def test_epochs_become_updates():
    by_epoch = linear(epochs(1.5), start=0.1) >> cosine() >> constant(epochs(0.5))
    assert lengths(by_epoch.over(35, num_updates_per_epoch=7)) == [11, 21, 3]  # 10.5 and 31.5


@pytest.mark.parametrize(
    "part",
    [
        milestones({0.25: 0.5}),
        cosine(0.25).repeat(1),
        cosine(0.125).repeat(2),
        linear(0.25) + constant(0.1),
        linear(0.1) * linear(0.25),
        0.5 * (linear(0.1) >> cosine(0.15)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("horizon", HORIZONS)
def test_a_composed_part_ends_at_the_joint_that_the_whole_gives_it(part, horizon):
    # At a horizon of 6 the part lies from 1.5 to 3: rounded on its own, it would take 2 updates.
    relative = linear(0.25, start=0.0) >> part >> constant()
    assert relative.over(horizon).horizon == horizon


@settings(deadline=None)
@given(
    shares=st.lists(st.integers(1, 25), min_size=1, max_size=8),
    horizon=st.integers(0, 10**6),
    count=st.integers(1, 5),
)
def test_any_shares_add_up_to_any_horizon(shares, horizon, count):
    per_mille = [linear(share / 1_000, end=0.5).repeat(count) for share in shares]
    relative = per_mille[0]
    for part in per_mille[1:]:
        relative = relative >> part
    relative = relative >> constant()
    assert relative.over(horizon).horizon == horizon


def test_repeats_that_take_the_rest_share_it():
    relative = linear(10, start=0.0) >> cosine().repeat(3)
    assert lengths(relative.over(30)) == [10, 7, 6, 7]  # joints at 16.67 and 23.33
    growing = cosine().repeat(3, length=2.0)
    assert lengths(growing.over(10)) == [1, 3, 6]  # joints at 1.43 and 4.29


def test_a_schedule_without_relative_lengths_comes_back_as_it_is():
    schedule = linear(10) >> constant(5)
    assert schedule.over(3) is schedule


@pytest.mark.parametrize("horizon", [0, 1, 14, 769, 770])
@pytest.mark.parametrize(
    ("in_epochs", "in_updates"),
    [
        (
            linear(epochs(10), start=0.0) >> cosine(epochs(100)),
            linear(70, start=0.0) >> cosine(700),
        ),
        (linear(epochs(10)) >> cosine(700), linear(70) >> cosine(700)),
        (cosine(epochs(5)).repeat(22), cosine(35).repeat(22)),
        (
            cosine(epochs(10), end=0.0).repeat(3, length=2, peak=0.5),
            cosine(70, end=0.0).repeat(3, length=2, peak=0.5),
        ),
        (0.5 * linear(epochs(110)), 0.5 * linear(770)),
        (linear(epochs(110)) + cosine(epochs(3)), linear(770) + cosine(21)),
        (milestones({3: 0.5, epochs(110): 0.1}), milestones({3: 0.5, 770: 0.1})),
        (inverse_sqrt(epochs(110), timescale=epochs(2)), inverse_sqrt(770, timescale=14)),
        (from_function(halving, epochs(110)), from_function(halving, 770)),
    ],
    ids=repr,
)
def test_epochs_that_the_horizon_does_not_have_are_laid_out_as_updates_are(
    in_epochs, in_updates, horizon
):
    # To try two epochs of a long plan is usual.
    laid_out = in_epochs.over(horizon, num_updates_per_epoch=7)
    assert laid_out.values(800) == in_updates.over(horizon).values(800)


@pytest.mark.parametrize(
    "schedule",
    [
        linear(epochs(10)) >> linear(0.1),
        linear(epochs(2)) >> cosine(0.9),
        linear(epochs(10)) >> cosine(),
        linear(epochs(10)) + cosine(),
        (linear(epochs(10)) >> linear(0.1)).repeat(2),
    ],
    ids=repr,
)
def test_shares_of_a_horizon_that_is_too_short_are_refused(schedule):
    with pytest.raises(ValueError, match=r"needs .* updates"):
        schedule.over(14, num_updates_per_epoch=7)


def test_over_twice_changes_nothing():
    relative = linear(0.05, start=0.0) >> cosine().repeat(2) >> linear(0.2, end=0.0)
    once = relative.over(101)
    assert once.over(7) is once


def test_one_part_of_a_repeat_is_a_schedule_that_its_repr_builds():
    once = cosine(0.5).repeat(1).over(10)
    assert once == cosine(5, start=1.0, end=0.0)


def test_periods_that_are_rounded_to_no_update_leave_the_others_their_peaks():
    short = inverse_sqrt(0.05, timescale=5).repeat(2, peak=0.95).over(7)
    assert short.horizon == 1
    assert [short(k) for k in range(3)] == [0.95, *[pytest.approx(1 / math.sqrt(1.2))] * 2]
    nothing = inverse_sqrt(0.05, timescale=5).repeat(2, peak=0.5).over(1)
    assert (nothing.horizon, nothing(0)) == (0, 0.5)
    with pytest.raises(ValueError, match=r"peak=0.9: after 2 periods .* is below the lowest"):
        inverse_sqrt(0.05, timescale=5).repeat(2, peak=0.9).over(7)


def test_a_chain_may_grow_in_a_loop():
    chain = linear(10, start=0.0)
    for _ in range(50):
        chain = chain >> linear(0.01, end=0.5)
    chain = chain >> constant() >> exponential(0.1, end=0.01)
    assert chain == Sequence(chain.parts)
    assert chain.over(1_000).horizon == 1_000
    with pytest.raises(ValueError, match=r"both take the rest"):
        chain >> linear()
    with pytest.raises(ValueError, match=r"add up to 102 % of the horizon"):
        chain >> linear(0.42)
    with pytest.raises(ValueError, match=r"exponential: .* partly absolute"):
        chain >> exponential(0.1, end=absolute(0.1))


def test_a_length_that_no_float_can_hold_is_refused_like_any_that_is_too_long():
    with pytest.raises(ValueError, match=r"add up to 1e\+300 % of the horizon"):
        linear(0.3) >> linear(10**400)
