"""Values worked out by hand, at each boundary, one update before it and one after."""

import pytest

from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    ema_power,
    ema_warmup,
    exponential,
    from_function,
    half_life,
    inverse_proportional,
    inverse_sqrt,
    linear,
    maximum,
    milestones,
    minimum,
    phase,
    polynomial,
    power,
    power_law,
    rex,
    sqrt,
    tanh,
)
from tests.catalogue import smoothstep

HIGH = 0.853553390593273762  # (1 + cos 45°) / 2
LOW = 0.146446609406726238  # (1 − cos 45°) / 2
HALF_ROOT_3 = 0.866025403784438647


def square(num_updates):
    return num_updates * num_updates


# A schedule, a base value, and update → value.
TABLE = [
    # Shapes: before the start there is nothing; 1 after the start, 1 before the end, 1 after it.
    (constant(4), 0.3, {0: 0.3, 1: 0.3, 3: 0.3, 4: 0.3, 5: 0.3}),
    (constant(4, value=0.5), 0.3, {0: 0.15, 3: 0.15, 4: 0.15, 5: 0.15}),
    (constant(4, value=absolute(0.5)), 0.3, {0: 0.5, 3: 0.5, 4: 0.5, 5: 0.5}),
    (linear(4), 1.0, {0: 1.0, 1: 0.75, 3: 0.25, 4: 0.0, 5: 0.0}),
    (linear(4, start=0.2), 1.0, {0: 0.2, 1: 0.4, 3: 0.8, 4: 1.0, 5: 1.0}),
    (linear(4, end=0.2), 2.0, {0: 2.0, 1: 1.6, 3: 0.8, 4: 0.4, 5: 0.4}),
    (linear(4, start=absolute(0.01)), 0.1, {0: 0.01, 1: 0.0325, 3: 0.0775, 4: 0.1, 5: 0.1}),
    (linear(4, start=3.0, end=absolute(1.0)), 3.0, {0: 9.0, 1: 7.0, 3: 3.0, 4: 1.0, 5: 1.0}),
    (cosine(4), 1.0, {0: 1.0, 1: HIGH, 2: 0.5, 3: LOW, 4: 0.0, 5: 0.0}),
    (cosine(4, start=0.0), 1.0, {0: 0.0, 1: LOW, 2: 0.5, 3: HIGH, 4: 1.0, 5: 1.0}),
    (cosine(2, end=0.0, k=2.0), 1.0, {0: 1.0, 1: HIGH, 2: 0.0, 3: 0.0}),
    (polynomial(4), 1.0, {0: 1.0, 1: 0.5625, 3: 0.0625, 4: 0.0, 5: 0.0}),
    (polynomial(4, end=0.2), 1.0, {0: 1.0, 1: 0.65, 3: 0.25, 4: 0.2, 5: 0.2}),
    (polynomial(4, power=0.5), 1.0, {0: 1.0, 1: HALF_ROOT_3, 3: 0.5, 4: 0.0, 5: 0.0}),
    (exponential(4, end=0.0625), 1.0, {0: 1.0, 1: 0.5, 3: 0.125, 4: 0.0625, 5: 0.0625}),
    (exponential(2, start=0.01), 3.0, {0: 0.03, 1: 0.3, 2: 3.0, 3: 3.0}),
    (sqrt(4), 1.0, {0: 1.0, 1: 0.5, 3: 1.0 - HALF_ROOT_3, 4: 0.0, 5: 0.0}),
    (sqrt(4, start=0.2), 1.0, {0: 0.2, 1: 0.6, 4: 1.0, 5: 1.0}),
    (
        inverse_sqrt(9, timescale=3),
        1.0,
        {0: 1.0, 1: HALF_ROOT_3, 8: 0.522232967867093506, 9: 0.5, 10: 0.5},  # √(3/11)
    ),
    (power_law(4, timescale=2, exponent=-2.0), 1.0, {0: 1.0, 2: 0.25, 4: 1 / 9, 5: 1 / 9}),
    (power_law(2, timescale=1, exponent=-1.0, end=0.25), 1.0, {0: 1.0, 1: 0.4375, 2: 0.25}),
    (cosine(4, exponent=2.0), 1.0, {0: 1.0, 1: HIGH * HIGH, 2: 0.25, 3: LOW * LOW, 4: 0.0}),
    (power(16, end=0.0, exponent=0.25), 1.0, {0: 1.0, 1: 0.5, 16: 0.0, 17: 0.0}),
    (
        half_life(3, start=absolute(0.5), end=absolute(0.5**0.25)),  # 1, 2, 3, 4 updates
        7.0,
        {
            0: 0.5,
            1: 0.707106781186547524,
            2: 0.793700525984099737,
            3: 0.840896415253714543,
            4: 0.840896415253714543,
        },
    ),
    (ema_warmup(0.5), 3.0, {0: 0.1, 1: 2 / 11, 7: 8 / 17, 8: 0.5, 9: 0.5}),
    (
        ema_warmup(0.75, start=0.0, timescale=1, power=0.5),
        3.0,
        {0: 0.0, 3: 0.5, 14: 0.741801110252838874, 15: 0.75, 16: 0.75},
    ),
    (ema_power(2.0), 3.0, {0: 0.0, 1: 0.125, 3: 0.421875}),
    # At a joint, what is in force there is what comes next.
    ((constant(2) >> constant(2, value=0.5)).until(1), 1.0, {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}),
    ((constant(2) >> constant(2, value=0.5)).until(2), 1.0, {1: 1.0, 2: 0.5, 3: 0.5}),
    ((constant(2) >> constant(2, value=0.5)).until(3), 1.0, {1: 1.0, 2: 0.5, 3: 0.5, 4: 0.5}),
    (linear(4).until(2) >> linear(2, end=0.1), 1.0, {1: 0.75, 2: 0.5, 3: 0.3, 4: 0.1, 5: 0.1}),
    (linear(2).until(4) >> constant(1, value=0.7), 1.0, {1: 0.5, 2: 0.0, 3: 0.0, 4: 0.7, 5: 0.7}),
    (
        linear(2, start=0.5, end=0.9) >> linear(4).until(2),
        1.0,
        {2: 0.9, 3: 0.675, 4: 0.45, 5: 0.45},
    ),
    (linear(4).until(0), 2.0, {0: 2.0, 1: 2.0}),
    (linear(2, end=0.0).repeat(), 2.0, {0: 2.0, 1: 1.0, 2: 2.0, 999: 1.0, 1000: 2.0}),
    (linear(4).stretched(0.5) >> constant(1), 1.0, {0: 1.0, 1: 0.5, 2: 0.0, 3: 0.0}),
    (minimum(linear(4), linear(4, start=0.25, end=1.0)), 1.0, {0: 0.25, 1: 0.4375, 2: 0.5, 4: 0.0}),
    (maximum(linear(4), 0.5) >> linear(1), 2.0, {1: 1.5, 2: 1.0, 3: 1.0, 4: 1.0, 5: 0.0}),
    (
        linear(4, start=absolute(8), end=absolute(24)).rounded(to=8),
        3.0,
        {0: 8.0, 1: 16.0, 2: 16.0, 3: 24.0, 4: 24.0},
    ),
    (
        inverse_sqrt(3, timescale=1, end=0.0),
        1.0,
        {0: 1.0, 1: 0.414213562373095049, 2: 0.154700538379251529, 3: 0.0, 4: 0.0},
    ),
    (
        inverse_proportional(4, end=0.2),  # reciprocals 1, 2, 3, 4, 5
        1.0,
        {0: 1.0, 1: 0.5, 3: 0.25, 4: 0.2, 5: 0.2},
    ),
    (
        tanh(4, end=0.0, lower=-1.0, upper=1.0),  # (1 + tanh ½ / tanh 1) / 2 after a quarter
        1.0,
        {0: 1.0, 1: 0.803388066758518147, 2: 0.5, 3: 0.196611933241481853, 4: 0.0, 5: 0.0},
    ),
    (rex(4), 1.0, {0: 1.0, 1: 6 / 7, 2: 2 / 3, 3: 0.4, 4: 0.0, 5: 0.0}),
    (phase(4, shape=smoothstep), 1.0, {0: 1.0, 1: 0.84375, 3: 0.15625, 4: 0.0, 5: 0.0}),
    (phase(4, start=0.5), 1.0, {0: 0.5, 1: 0.625, 3: 0.875, 4: 1.0, 5: 1.0}),
    # One phase after another
    (
        linear(4, start=0.0) >> constant(3) >> cosine(4, end=0.1),
        10.0,
        {
            0: 0.0,
            3: 7.5,
            4: 10.0,
            5: 10.0,
            6: 10.0,
            7: 10.0,
            8: 1.0 + 9.0 * HIGH,
            10: 1.0 + 9.0 * LOW,
            11: 1.0,
            12: 1.0,
        },
    ),
    (
        linear(2, end=0.5) >> linear(2, start=0.1, end=0.3),  # a start that is given may jump
        1.0,
        {0: 1.0, 1: 0.75, 2: 0.1, 3: 0.2, 4: 0.3, 5: 0.3},
    ),
    (
        linear(0, start=0.0) >> constant(2) >> cosine(0) >> constant(1),
        1.0,  # a phase without updates is skipped, and what follows it begins at its end
        {0: 1.0, 1: 1.0, 2: 0.0, 3: 0.0, 4: 0.0},
    ),
    (
        linear(2, start=absolute(0.01)) >> constant(1) >> linear(2, end=absolute(0.05)),
        0.1,
        {0: 0.01, 1: 0.055, 2: 0.1, 3: 0.1, 4: 0.075, 5: 0.05, 6: 0.05},
    ),
    # Repeats
    (
        linear(2).repeat(3),
        1.0,
        {0: 1.0, 1: 0.5, 2: 1.0, 3: 0.5, 4: 1.0, 5: 0.5, 6: 0.0, 7: 0.0},
    ),
    (
        (linear(2, start=0.2, end=1.0) >> linear(4, end=0.2)).repeat(2),
        1.0,
        {0: 0.2, 1: 0.6, 2: 1.0, 3: 0.8, 5: 0.4, 6: 0.2, 7: 0.6, 8: 1.0, 11: 0.4, 12: 0.2, 13: 0.2},
    ),
    (
        linear(2).repeat(3, length=2.0, peak=0.5),  # periods from 0, 2, 6 to 14
        1.0,
        {
            0: 1.0,
            1: 0.5,
            2: 0.5,
            3: 0.375,
            5: 0.125,
            6: 0.25,
            7: 0.21875,
            13: 0.03125,
            14: 0.0,
            15: 0.0,
        },
    ),
    (
        linear(2, end=0.1).repeat(2, peak=0.5),  # the floor stays
        1.0,
        {0: 1.0, 1: 0.55, 2: 0.5, 3: 0.3, 4: 0.1, 5: 0.1},
    ),
    (
        linear(2, end=absolute(0.1)).repeat(2, peak=0.5),
        10.0,
        {0: 10.0, 1: 5.05, 2: 5.0, 3: 2.55, 4: 0.1, 5: 0.1},
    ),
    (
        (linear(2, start=0.0) >> linear(2, end=0.2)).repeat(2, peak=0.5),
        1.0,  # what lies between peak and floor keeps its place: 0.2 of the way, so 0.1
        {0: 0.0, 1: 0.5, 2: 1.0, 3: 0.6, 4: 0.0, 5: 0.25, 6: 0.5, 7: 0.3, 8: 0.1, 9: 0.1},
    ),
    (
        constant(2) >> linear(2).repeat(2) >> constant(1, value=0.5),
        1.0,
        {1: 1.0, 2: 1.0, 3: 0.5, 4: 1.0, 5: 0.5, 6: 0.5, 7: 0.5, 8: 0.5},
    ),
    (constant(3).repeat(3, peak=0.1), 1.0, {0: 1.0, 2: 1.0, 3: 0.1, 5: 0.1, 6: 0.01, 10: 0.01}),
    (
        (inverse_sqrt(3, timescale=1)).repeat(2, length=2.0),  # timescales 1 and 2
        1.0,
        {0: 1.0, 2: 1 / 3**0.5, 3: 1.0, 4: 1 / 1.5**0.5, 5: 0.5**0.5, 9: 0.5, 10: 0.5},
    ),
    # Scaled, added, multiplied
    (0.5 * linear(4), 1.0, {0: 0.5, 1: 0.375, 3: 0.125, 4: 0.0, 5: 0.0}),
    (linear(4, start=absolute(2.0)) * -2, 1.0, {0: -4.0, 1: -3.5, 3: -2.5, 4: -2.0, 5: -2.0}),
    (
        linear(2) + constant(4, value=absolute(0.25)),
        2.0,
        {0: 2.25, 1: 1.25, 2: 0.25, 3: 0.25, 4: 0.25, 5: 0.25},
    ),
    (
        linear(4, end=absolute(1.0)) * milestones({3: 0.5}),
        2.0,
        {0: 2.0, 2: 1.5, 3: 0.625, 4: 0.5, 5: 0.5},
    ),
    # Points
    (
        milestones({3: 0.1, 6: 0.01}),
        1.0,
        {0: 1.0, 2: 1.0, 3: 0.1, 4: 0.1, 5: 0.1, 6: 0.01, 7: 0.01},
    ),
    (
        milestones({0: 0.5, 1: absolute(7.0)}),
        3.0,
        {0: 1.5, 1: 7.0, 2: 7.0},
    ),
    (
        milestones({3: 0.5}) >> linear(2),  # the line begins at the last milestone, from 0.5
        1.0,
        {2: 1.0, 3: 0.5, 4: 0.25, 5: 0.0, 6: 0.0},
    ),
    (from_function(square), 0.5, {0: 0.0, 1: 0.5, 1_000: 500_000.0}),
    (from_function(square, 3), 0.5, {0: 0.0, 2: 2.0, 3: 4.5, 4: 4.5}),
    (
        constant(2) >> from_function(square, 3) >> linear(3),  # its own clock begins at 2
        1.0,
        {1: 1.0, 2: 0.0, 3: 1.0, 4: 4.0, 5: 9.0, 6: 6.0, 7: 3.0, 8: 0.0, 9: 0.0},
    ),
    (from_function(lambda k: absolute(0.1 * k)), 5.0, {0: 0.0, 3: 0.3}),
]


@pytest.mark.parametrize(("schedule", "base", "values"), TABLE, ids=lambda value: repr(value)[:60])
def test_values_are_the_ones_worked_out_by_hand(schedule, base, values):
    assert {k: schedule(k, base) for k in values} == pytest.approx(values, rel=2e-15, abs=0.0)


@pytest.mark.parametrize(
    ("schedule", "horizon"),
    [
        (linear(4), 4),
        (linear(4) >> constant(3), 7),
        (linear(4).repeat(3), 12),
        (linear(1_000).repeat(4, length=2.0), 15_000),
        (linear(3).repeat(3, length=1.5), 14),  # 3 + 4.5 + 6.75, joints rounded
        (0.5 * linear(4), 4),
        (linear(4) + linear(7), 7),
        (linear(7) * linear(4), 7),
        (milestones({3: 0.1, 6: 0.01}), 6),
        (from_function(square), None),
        (from_function(square, 3), 3),
        (linear(4) >> from_function(square), None),
        (linear(0.5), None),
        (linear(), None),
    ],
    ids=lambda value: repr(value),
)
def test_the_horizon_is_where_the_last_value_is_reached(schedule, horizon):
    assert schedule.horizon == horizon
