"""The catalogue has every schedule that there is, and its samples are what they say."""

import inspect
import math

import pytest

from pytorch_accelerated import schedules
from pytorch_accelerated.schedules import Phase, Schedule, Stretched, constant
from tests.catalogue import CATALOGUE, halving, smoothstep
from tests.strategies import NAMES

BY_NAME = {entry.name: entry for entry in CATALOGUE}


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
class TestEntry:
    def test_the_code_builds_the_sample(self, entry):
        names = {**NAMES, "halving": halving, "smoothstep": smoothstep}
        assert eval(repr(entry.sample), {"__builtins__": {}}, names) == entry.sample

    def test_the_sample_can_be_drawn(self, entry):
        assert isinstance(entry.sample, Schedule)
        assert 0 < entry.sample.horizon <= 100
        values = [entry.sample(k) for k in range(101)]
        assert 0.0 <= min(values) <= max(values) <= 1.0
        assert len(set(values)) > 1 or entry.name == "constant"

    def test_it_is_described(self, entry):
        assert entry.kind in ("shape", "points", "composition", "recipe")
        summary = inspect.getdoc(entry.factory).partition("\n")[0]
        assert summary.rstrip(".").count(" ") >= 2
        assert summary.endswith(".")
        assert bool(entry.latex) == (entry.kind != "recipe")


def test_every_factory_has_an_entry():
    factories = {
        name
        for name in schedules.__all__
        if inspect.isfunction(getattr(schedules, name))
        and name not in ("absolute", "epochs", "one_cycle_with_momentum")
    }
    assert factories <= set(BY_NAME)
    assert len(BY_NAME) == len(CATALOGUE)


def test_every_composition_has_an_entry():
    compositions = {
        kind
        for name in schedules.__all__
        if inspect.isclass(kind := getattr(schedules, name)) and issubclass(kind, Schedule)
    }
    shown = {kind for entry in CATALOGUE for kind in kinds_within(entry.sample)}
    # What is stretched is built at once, unless a length is relative.
    assert shown | {Schedule, Stretched} == compositions


def kinds_within(schedule):
    """Yield the kinds of a schedule and of what it is made of."""
    yield type(schedule)
    for part in (*getattr(schedule, "parts", ()), getattr(schedule, "schedule", None)):
        if part is not None:
            yield from kinds_within(part)


@pytest.mark.parametrize(
    "entry", [entry for entry in CATALOGUE if isinstance(entry.sample, Phase)], ids=lambda e: e.name
)
def test_a_factory_has_the_defaults_of_its_shape(entry):
    # What is written like the shape's default is left out of the repr.
    factory = inspect.signature(entry.factory).parameters
    for name, parameter in inspect.signature(type(entry.sample.shape)).parameters.items():
        if name in factory and parameter.default is not parameter.empty:
            assert factory[name].default == parameter.default


@pytest.mark.parametrize(
    "name",
    ["milestones", "from_function", "c * a", "a + b", "a * b", "minimum", "maximum", "rounded"],
)
def test_the_formula_of_points_and_compositions_gives_the_value(name):
    sample = BY_NAME[name].sample
    parts = {
        "milestones": {"values": {0: 1.0, 50: 0.5, 80: 0.1}},
        "from_function": {"function": halving},
        "rounded": {"a": getattr(sample, "schedule", None), "to": 0.125, "floor": math.floor},
        "c * a": {"c": getattr(sample, "factor", 0.0), "a": getattr(sample, "schedule", None)},
    }.get(name, {"a": getattr(sample, "left", None), "b": getattr(sample, "right", None)})
    for n in range(100):
        assert sample(n) == eval(BY_NAME[name].formula, {"n": n, "max": max, "min": min, **parts})


def test_the_formula_of_one_after_another_gives_the_value():
    a = BY_NAME["linear"].sample
    b = constant(5, value=0.3)
    for n in range(110):
        assert (a >> b)(n) == eval(BY_NAME["a >> b"].formula, {"n": n, "a": a, "b": b})


@pytest.mark.parametrize(
    ("name", "make", "parts"),
    [
        ("until", lambda a: a.until(60), {"k": 60}),
        ("stretched", lambda a: a.stretched(1 / 2), {"factor": 1 / 2}),
        ("repeat()", lambda a: a.repeat(), {}),
    ],
)
def test_the_formula_of_what_is_derived_gives_the_value(name, make, parts):
    a = BY_NAME["linear"].sample
    for n in range(49):
        names = {"n": n, "a": lambda n: a(int(n)), "min": min, **parts}
        names["a"].horizon = a.horizon
        assert make(a)(n) == eval(BY_NAME[name].formula, names)


@pytest.mark.parametrize(
    "entry", [entry for entry in CATALOGUE if entry.kind == "recipe"], ids=lambda e: e.name
)
def test_a_recipe_is_the_line_that_it_shows(entry):
    parameters = inspect.signature(entry.factory).parameters
    given = {"period": 20, "count": 3, "warmup": 0.1, "decay": 0.3, "end": 0.02}
    own = {name: value for name, value in given.items() if name in parameters}
    defaults = {name: one.default for name, one in parameters.items()}
    plan = eval(entry.formula, {**vars(schedules), **defaults, **own})
    assert entry.factory(**own) == plan
    assert f"``{entry.formula}``" in entry.factory.__doc__
    if "length" in parameters:
        assert entry.factory(1e3, **own) == plan.over(1_000)


def test_the_formula_of_a_repeat_gives_the_value():
    a = BY_NAME["linear"].sample
    for n in range(300):
        assert a.repeat(3)(n) == eval(BY_NAME["repeat"].formula, {"n": n, "a": a})
