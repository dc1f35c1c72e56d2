"""Errors name the argument and its value, and say what to write instead."""

import math
import re

import pytest

from pytorch_accelerated.schedules import (
    Absolute,
    Affine,
    Epochs,
    FromFunction,
    Milestones,
    Phase,
    Scaled,
    Sequence,
    Sum,
    absolute,
    constant,
    cosine,
    ema_power,
    ema_warmup,
    epochs,
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
    power_law,
    tanh,
)
from pytorch_accelerated.schedules.curves import Linear

# What is written → the error, and texts that its message holds.
TABLE = [
    # Lengths
    (lambda: linear(-3), ValueError, ["length=-3", "at least 0"]),
    (lambda: linear(1.5), ValueError, ["length=1.5", "an integer (updates)", "write 2"]),
    (lambda: linear(1.0), ValueError, ["length=1.0", "leave the length out"]),
    (lambda: linear(0.0), ValueError, ["length=0.0", "(0, 1)", "epochs(n)"]),
    (lambda: linear(math.nan), ValueError, ["length=nan", "(0, 1)"]),
    (lambda: linear(math.inf), ValueError, ["length=inf", "(0, 1)"]),
    (lambda: linear("5"), TypeError, ["length='5'", "str", "an integer (updates)"]),
    (lambda: linear(True), TypeError, ["length=True", "bool"]),
    (lambda: epochs(-1), ValueError, ["number=-1", "negative"]),
    (lambda: epochs("5"), TypeError, ["number='5'", "a number"]),
    (lambda: epochs(math.inf), ValueError, ["number=inf", "finite"]),
    # Ends
    (lambda: linear(5, start="x"), TypeError, ["start='x'", "a number"]),
    (lambda: linear(5, end=math.nan), ValueError, ["end=nan", "finite"]),
    (lambda: linear(5, end=10**400), ValueError, ["end=1000", "finite"]),
    (lambda: absolute(math.inf), ValueError, ["value=inf", "finite"]),
    (lambda: constant(5, value=False), TypeError, ["value=False", "bool"]),
    # Shapes
    (lambda: cosine(5, k=0), ValueError, ["k=0", "above 0"]),
    (lambda: polynomial(5, power=-1), ValueError, ["power=-1", "above 0"]),
    (lambda: polynomial(5, power=None), TypeError, ["power=None", "a number"]),
    (lambda: tanh(5, lower=3, upper=1), ValueError, ["lower=3.0", "upper=1.0", "below"]),
    (lambda: tanh(5, lower=-200), ValueError, ["lower=-200.0", "±150"]),
    (lambda: inverse_sqrt(5), ValueError, ["timescale=None", "timescale=1000"]),
    (lambda: inverse_sqrt(5, timescale=0), ValueError, ["timescale=0", "timescale=1000"]),
    (lambda: inverse_sqrt(5, timescale=-5), ValueError, ["timescale=-5", "at least 0"]),
    (lambda: inverse_sqrt(5, timescale=2.5), ValueError, ["timescale=2.5", "timescale is an int"]),
    (lambda: phase(5, shape=3), TypeError, ["shape=3", "function of progress"]),
    (lambda: phase(5, shape=lambda p: 1 - p), ValueError, ["gives 1.0", "from_function"]),
    (lambda: phase(5, shape=lambda p: "x"), TypeError, ["shape(0)='x'", "a number"]),
    (lambda: cosine(5, shape=3), TypeError, ["shape"]),
    # Ratios
    (lambda: inverse_proportional(9, 1.0, 1e-310), ValueError, ["1e-310", "end=0.001"]),
    (lambda: inverse_proportional(9, end=1e-310)(0), ValueError, ["1e-310", "linear or cosine"]),
    *(
        (lambda case=case, make=make: case(make), ValueError, texts)
        for make in (exponential, inverse_proportional)
        for case, texts in (
            (lambda make: make(5, start=absolute(0.1)), [make.__name__, "absolute(…)"]),
            (lambda make: make(5, end=0.0), [make.__name__, "0", "end=0.001"]),
            (lambda make: make(5, end=1e-320), [make.__name__, "e-321", "end=0.001"]),
            (lambda make: make(5, start=5e-324), [make.__name__, "e-324", "end=0.001"]),
            (
                lambda make: linear(5, end=1e-310) >> make(5, end=1.0),
                [make.__name__, "1e-310", "end=0.001"],
            ),
            (lambda make: make(5, start=0.0, end=1.0), [make.__name__, "0", "end=0.001"]),
            (lambda make: make(5, end=-0.5)(0), [make.__name__, "from 1 to -0.5", "linear"]),
            (lambda make: make(5), [make.__name__, "end=0.001"]),
            (lambda make: make(), [make.__name__, "end=0.001"]),
            (lambda make: make(0.5), [make.__name__, "end of 0", "end=0.001"]),
            (lambda make: make(0.5, end=0.0), [make.__name__, "0", "end=0.001"]),
            (lambda make: constant(0.5) >> make(), [make.__name__, "end=0.001"]),
            (
                lambda make: make(5, start=absolute(1.0), end=0.1),
                [make.__name__, "multiple", "absolute(…)"],
            ),
            (
                lambda make: constant(5, value=absolute(1.0)) >> make(5, end=0.1),
                [make.__name__, "multiple", "absolute(…)"],
            ),
            (
                lambda make: (
                    constant(5, value=absolute(1.0)) + constant(5) >> make(5, end=absolute(0.1))
                ),
                [make.__name__, "multiple", "absolute(…)"],
            ),
        )
    ),
    # Horizons
    (lambda: linear(0.7) >> linear(0.7), ValueError, ["140 %", "leave one out"]),
    (lambda: cosine(0.3).repeat(4), ValueError, ["cosine(0.3).repeat(4)", "120 %"]),
    (lambda: linear(0.6).repeat(2) + linear(9), ValueError, ["linear(0.6).repeat(2)", "120 %"]),
    (lambda: linear() >> cosine(), ValueError, ["linear()", "cosine()", "the rest"]),
    (lambda: linear(0.5)(3), ValueError, ["linear(0.5)", ".over(horizon"]),
    (lambda: (0.5 * linear())(3), ValueError, ["linear()", ".over(horizon"]),
    (lambda: (linear(0.5) >> linear())(3), ValueError, [".over(horizon"]),
    (lambda: linear(0.5).repeat(2)(3), ValueError, [".over(horizon"]),
    (lambda: milestones({0.5: 0.1})(3), ValueError, [".over(horizon"]),
    (lambda: from_function(float, 0.5)(3), ValueError, [".over(horizon"]),
    (lambda: linear(epochs(5)).over(100), ValueError, ["epochs(5)", "num_updates_per_epoch=…"]),
    (lambda: linear(0.5).over(-1), ValueError, ["horizon=-1", "at least 0"]),
    (lambda: linear(0.5).over(2.5), ValueError, ["horizon=2.5", "whole number"]),
    (lambda: linear(0.5).over(1e999), ValueError, ["horizon=inf", "finite"]),
    # What is made of whole schedules
    (lambda: linear(5).until(-1), ValueError, ["until=-1", "at least 0"]),
    (lambda: linear(5).until(2.5), ValueError, ["until=2.5", "For 2 updates write 2."]),
    (lambda: linear(5).until(None), TypeError, ["until=None", "epochs(n)"]),
    (lambda: linear(5).until(0.5)(3), ValueError, [".over(horizon"]),
    (lambda: linear(5).stretched(0), ValueError, ["factor=0", "above 0"]),
    (lambda: linear(5).stretched("2"), TypeError, ["factor='2'", "a number"]),
    (lambda: from_function(float, 5).stretched(2), ValueError, ["from_function", "slower"]),
    (lambda: (linear(0.5) >> from_function(float)).stretched(2), ValueError, ["slower function"]),
    (lambda: (0.5 * linear(5)).repeat(3).stretched(1.5), ValueError, ["is not a phase"]),
    (lambda: linear(5).rounded(to=0), ValueError, ["to=0", "above 0"]),
    (lambda: linear(5).rounded(), ValueError, ["linear(5).rounded()", "multiple", "absolute(…)"]),
    (lambda: linear(5, end=absolute(8)).rounded(), ValueError, ["the start too", "absolute(…)"]),
    (lambda: from_function(float).rounded()(1), ValueError, ["multiple", "absolute(…)"]),
    (lambda: linear().rounded().over(5), ValueError, ["multiple", "absolute(…)"]),
    (lambda: minimum(linear(5), "x"), TypeError, ["value='x'", "a number"]),
    (lambda: minimum(linear(5), absolute(1)), ValueError, ["minimum(linear(5), absolute(1.0))"]),
    (lambda: maximum(linear(5, end=absolute(1)), 0.5), ValueError, ["differs between groups"]),
    (
        lambda: maximum(from_function(lambda k: absolute(1)), 0.5)(7),
        ValueError,
        ["absolute and others multiples of the base at update 7"],
    ),
    (lambda: cosine(5).repeat(length=2.0), ValueError, ["length=2.0", "no count", "40 periods"]),
    (lambda: cosine().repeat(), ValueError, ["cosine() takes the rest", "repeat(4)"]),
    (lambda: cosine(0).repeat(), ValueError, ["cosine(0) has no updates"]),
    (lambda: cosine(5).repeat().repeat(), ValueError, ["cosine(5).repeat() never ends"]),
    (lambda: cosine(5).repeat() >> linear(3), ValueError, ["never ends", "until(1_000)"]),
    (lambda: cosine(0.1).repeat() >> linear(3), ValueError, ["never ends", "until(1_000)"]),
    # Betas and averages
    (lambda: half_life(5), ValueError, ["half_life", "end=absolute(0.9999)"]),
    (lambda: half_life(5, absolute(0.9)), ValueError, ["1 times the base", "between 0 and 1"]),
    (lambda: half_life(5, 0.9, absolute(0.99)), ValueError, ["0.9 times the base"]),
    (lambda: half_life(5, absolute(0.9), absolute(1)), ValueError, ["an end is 1", "0 and 1"]),
    (lambda: ema_warmup(1.0), ValueError, ["decay=1.0", "ema_warmup(0.9999)"]),
    (lambda: ema_warmup(0.9, start=0.95), ValueError, ["start=0.95", "not above decay"]),
    (lambda: ema_warmup(0.9, timescale=0), ValueError, ["timescale=0", "above 0"]),
    (lambda: ema_warmup(0.9, power=0.01), ValueError, ["power=0.01", "at least 0.1"]),
    (lambda: ema_power(-1), ValueError, ["gamma=-1", "above 0"]),
    (lambda: power_law(5, timescale=3, exponent=0.5), ValueError, ["exponent=0.5", "power(start"]),
    (lambda: power_law(5), ValueError, ["power_law(timescale=None)", "2^exponent"]),
    (lambda: linear(0.5).over(9, 0), ValueError, ["num_updates_per_epoch=0", "at least 1"]),
    (
        lambda: (linear(50) >> linear(0.6)).over(100),
        ValueError,
        ["needs 110 updates", "the horizon has 100", "shorter"],
    ),
    *(
        (make, ValueError, ["needs 10 updates", "the horizon has 5", "shorter"])
        for make in (
            lambda: (constant(10) + cosine()).over(5),
            lambda: (cosine() * constant(10)).over(5),
            lambda: (constant(3) >> 0.5 * (constant(10) + cosine())).over(8),
            lambda: (constant() + (constant(10) + cosine(0.5))).over(5),
        )
    ),
    (lambda: (linear(50) >> linear()).over(10), ValueError, ["50 updates", "10", "shorter"]),
    (lambda: (linear(50) >> linear()).over(10), ValueError, ["linear(50) >> linear()"]),
    (lambda: cosine().repeat(2).over(9)(-1), ValueError, ["num_updates=-1", "at least 0"]),
    # Updates
    (lambda: linear(5)(-1), ValueError, ["num_updates=-1", "at least 0"]),
    (lambda: linear(5)(1.5), ValueError, ["num_updates=1.5", "whole number"]),
    (lambda: linear(5)(1.0), TypeError, ["num_updates=1.0", "Write num_updates=1."]),
    (lambda: linear(5)("1"), TypeError, ["num_updates='1'", "an integer"]),
    # Compositions
    (lambda: linear(5).repeat(0), ValueError, ["count=0", "at least 1"]),
    (lambda: linear(5).repeat(2.5), ValueError, ["count=2.5", "whole number"]),
    (lambda: linear(5).repeat(2, length=0), ValueError, ["length=0", "above 0"]),
    (lambda: linear(5).repeat(2, peak=-1), ValueError, ["peak=-1", "above 0"]),
    (lambda: linear(5, end=0.5).repeat(4, peak=0.5), ValueError, ["peak=0.5", "0.125", "fewer"]),
    (
        lambda: milestones({5: 0.1}).repeat(3, peak=0.5),
        ValueError,
        ["milestones({5: 0.1})", "is not a phase", "Repeat the phases first"],
    ),
    (lambda: from_function(float).repeat(3), ValueError, ["never ends", "Give it a length"]),
    (lambda: from_function(float) >> linear(5), ValueError, ["never ends", "length=1_000"]),
    (lambda: constant(5, value=math.nan), ValueError, ["value=nan", "finite"]),
    (lambda: linear(5)(2, base=math.nan), ValueError, ["base=nan", "finite"]),
    (lambda: linear(5)(2, base="a"), TypeError, ["base='a'", "number"]),
    (lambda: linear(5).repeat(10**6, peak=0.9), ValueError, ["count=1000000", "at most 10,000"]),
    (lambda: linear(0.1).repeat(10**9), ValueError, ["count=1000000000", "smaller count"]),
    (lambda: math.nan * linear(5), ValueError, ["factor=nan", "finite"]),
    (
        lambda: linear(5) * linear(5, start=absolute(0.1)),
        ValueError,
        ["linear(5, start=absolute(0.1))", "absolute(0.1)", "drop absolute(…)"],
    ),
    (
        lambda: (linear(5) * from_function(lambda k: absolute(0.1)))(2),
        ValueError,
        ["absolute(0.1) at update 2", "drop absolute(…)"],
    ),
    (lambda: linear(5) >> 5, TypeError, ["5 is an int", ">>", "constant(n, value=…)"]),
    (lambda: 5 >> linear(5), TypeError, ["5 is an int", ">>", "constant(n, value=…)"]),
    (lambda: linear(5) >> linear, TypeError, ["<function linear", "is a function", ">>"]),
    (lambda: None >> linear(5), TypeError, ["None is a NoneType", ">>"]),
    (lambda: linear(5) + "a", TypeError, ["'a' is a str", "+"]),
    (lambda: None + linear(5), TypeError, ["None is a NoneType", "+"]),
    (lambda: linear(5) * "a", TypeError, ["factor='a' is a str", "a number"]),
    (lambda: [1] * linear(5), TypeError, ["factor=[1] is a list", "a number"]),
    (lambda: linear(5).repeat("a"), TypeError, ["count='a' is a str", "an integer"]),
    (lambda: linear(5).repeat(2, length="a"), TypeError, ["length='a' is a str", "a number"]),
    (lambda: linear().over("a"), TypeError, ["horizon='a' is a str", "an integer"]),
    (lambda: linear().over(9, "a"), TypeError, ["num_updates_per_epoch='a'", "an integer"]),
    (lambda: cosine(10).plot(num_updates="a"), TypeError, ["num_updates='a'", "an integer"]),
    (lambda: cosine(10).plot(num_updates=10.0), TypeError, ["num_updates=10.0", "=10."]),
    (lambda: cosine(10).plot(num_updates=0), ValueError, ["num_updates=0", "at least 1"]),
    (lambda: cosine(10).plot(base="a"), TypeError, ["base='a'", "a number"]),
    (lambda: linear(5) + 5, TypeError, ["5 is an int", "+", "constant(n, value=…)"]),
    (lambda: 0.1 + linear(5), TypeError, ["0.1 is a float", "+", "constant(n, value=…)"]),
    (lambda: linear(5) - 0.1, TypeError, ["a + -1.0 * b", "constant(1, value=…)"]),
    (lambda: 1 - linear(5), TypeError, ["a + -1.0 * b", "constant(1, value=…)"]),
    (lambda: linear(5) - linear(3), TypeError, ["a - b", "a + -1.0 * b"]),
    (lambda: -linear(5), TypeError, ["-a", "-1.0 * a"]),
    (lambda: linear(5) / 2, TypeError, ["a / b", "(1 / 2) * a"]),
    (lambda: 1 / linear(5), TypeError, ["from_function(lambda k: a(k) / b(k))"]),
    (lambda: linear(5) / linear(3), TypeError, ["from_function(lambda k: a(k) / b(k))"]),
    (lambda: "x" + linear(5), TypeError, ["'x' is a str", "+"]),
    # Points
    (lambda: milestones({}), ValueError, ["milestones({})", "milestones({30: 0.1, 60: 0.01})"]),
    (lambda: milestones([30, 60]), ValueError, ["[30, 60]", "a dictionary"]),
    (lambda: milestones({30: 0.1, 20: 0.2}), ValueError, ["{30: 0.1, 20: 0.2}", "rise"]),
    (lambda: milestones({1.5: 0.1}), ValueError, ["milestone=1.5", "an integer", "write 2"]),
    (lambda: milestones({None: 0.1}), TypeError, ["milestone=None", "epochs(n)"]),
    (lambda: milestones({30: "x"}), TypeError, ["the value at 30='x'", "a number"]),
    (lambda: milestones({2: 0.1, 0.5: 0.2}).over(2), ValueError, ["{2: 0.1, 1: 0.2}", "rise"]),
    (lambda: from_function(3), TypeError, ["function=3", "from_function(lambda k"]),
    (lambda: from_function(lambda k: math.nan)(3), ValueError, ["update 3", "nan", "finite"]),
    (lambda: from_function(lambda k: None)(3), TypeError, ["update 3", "None", "a number"]),
    (lambda: from_function(float, 2.5), ValueError, ["length=2.5", "write 2"]),
    # Classes that are built without their functions
    (lambda: Absolute(math.nan), ValueError, ["value=nan", "finite"]),
    (lambda: Absolute("1"), TypeError, ["value='1'", "a number"]),
    (lambda: Epochs(-1), ValueError, ["number=-1", "negative"]),
    (lambda: Epochs(math.nan), ValueError, ["number=nan", "finite"]),
    (lambda: Milestones(((30, 0.1), (20, 0.2))), ValueError, ["{30: 0.1, 20: 0.2}", "rise"]),
    (lambda: Milestones(((30, 0.1), (30, 0.2))), ValueError, ["{30: 0.1, 30: 0.2}", "rise"]),
    (lambda: Milestones(((-1, 0.1),)), ValueError, ["milestone=-1", "at least 0"]),
    (lambda: Milestones(((1, math.inf),)), ValueError, ["the value at 1=inf", "finite"]),
    (lambda: Milestones(()), ValueError, ["milestones({})", "{30: 0.1}"]),
    (lambda: Sequence(linear(5)), TypeError, ["parts=linear(5)", "linear(10) >> cosine(90)"]),
    (lambda: Sequence(()), TypeError, ["parts=()", "linear(10) >> cosine(90)"]),
    (lambda: Sum(linear(5), 5), TypeError, ["5 is an int", "+"]),
    (lambda: Scaled("a", linear(5)), TypeError, ["factor='a'", "a number"]),
    (lambda: Milestones(5), TypeError, ["points=5", "pairs"]),
    (lambda: Milestones([5]), TypeError, ["points=[5]", "pairs"]),
    (lambda: Milestones([(5, 1.0, 2)]), TypeError, ["points=[(5, 1.0, 2)]", "pairs"]),
    (lambda: Phase(10, "cosine"), TypeError, ["shape='cosine'", "Write", "cosine(10)"]),
    (lambda: Phase(10, Linear), TypeError, ["Linear", "is not a shape"]),
    (lambda: Phase(10, Linear(), end=Affine(0.0, math.inf)), ValueError, ["end.scale=inf"]),
    (lambda: linear(10, end=Affine("a", 0.0)), TypeError, ["end.offset='a'"]),
    (lambda: FromFunction(3), TypeError, ["function=3", "from_function(lambda k"]),
    (lambda: FromFunction(float, 2.5), ValueError, ["length=2.5", "write 2"]),
]


@pytest.mark.parametrize(
    ("write", "kind", "texts"), TABLE, ids=[" ".join(texts) for _, _, texts in TABLE]
)
def test_an_error_says_what_to_write_instead(write, kind, texts):
    with pytest.raises(kind) as caught:
        write()
    for text in texts:
        assert re.search(re.escape(text), str(caught.value)), f"{text!r} in {caught.value}"


@pytest.mark.parametrize("update", [0, 3, 4, 5, 9])
def test_what_an_error_says_to_write_instead_of_an_operator_has_the_values_meant(update):
    schedule, other = linear(5) >> constant(3), linear(3, end=0.5)
    value = schedule(update)
    written = {
        "schedule + constant(1, value=5)": value + 5,
        "constant(1, value=1) + -1.0 * schedule": 1 - value,
        "schedule + constant(1, value=-0.1)": value - 0.1,
        "a + -1.0 * b": value - other(update),
        "(1 / 2) * schedule": value / 2,
        "-1.0 * schedule": -value,
    }
    names = {"schedule": schedule, "a": schedule, "b": other, "constant": constant}
    for code, expected in written.items():
        assert eval(code, names)(update) == pytest.approx(expected)


def test_milestones_may_be_built_from_lists():
    listed = Milestones([[10, 1], [20, absolute(0.5)]])
    assert listed == milestones({10: 1.0, 20: absolute(0.5)})
    assert hash(listed) == hash(milestones({10: 1.0, 20: absolute(0.5)}))


def test_a_message_shows_no_lengths_that_nobody_wrote():
    # Shares are tried out at a far horizon when they are composed; its numbers are nobody's.
    with pytest.raises(ValueError, match="exponential") as caught:
        linear(0.5, end=0.0) >> exponential(end=0.1)
    assert not re.search(r"\d{6}", str(caught.value))
