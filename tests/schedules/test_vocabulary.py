"""The vocabulary as it is documented, and the pure layer without any package installed."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from pytorch_accelerated import schedules
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    epochs,
    from_function,
    linear,
    milestones,
)
from pytorch_accelerated.schedules.curves import CURVES
from pytorch_accelerated.schedules.expression import VOCABULARY

ROOT = Path(__file__).parents[2]


def run(code):
    """Run code in a Python of its own, and return what it printed."""
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_schedules_import_with_the_standard_library_alone():
    printed = run(
        """
        import sys

        names = set(sys.stdlib_module_names) | set(sys.builtin_module_names)
        before = set(sys.modules)  # the interpreter's own start may have loaded packages
        for blocked in ("torch", "numpy", "accelerate", "rich", "matplotlib"):
            sys.modules[blocked] = None

        from pytorch_accelerated.schedules import constant, cosine, linear
        from pytorch_accelerated.schedules.curves import CURVES

        schedule = linear(0.05, start=0.0) >> constant() >> cosine(0.15, end=0.1)
        print(schedule.over(10_000)(250), len(CURVES) > 9)
        loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(sorted(loaded - names - {"torch", "numpy", "accelerate", "rich", "matplotlib"}))
        """
    )
    assert printed.splitlines() == ["0.5 True", "['pytorch_accelerated']"]


def test_the_vocabulary_runs_as_written():
    schedule = linear(500, start=0.0) >> constant(8_000) >> cosine(1_500, end=0.1)
    assert schedule(250) == 0.5
    assert schedule(250, base=3e-4) == 1.5e-4
    assert schedule.horizon == 10_000
    assert str(schedule).splitlines() == [
        "from  to     start  end  shape",
        "0     500    0      1    linear",
        "500   8500   1      1    constant",
        "8500  10000  1      0.1  cosine",
    ]
    assert eval(repr(schedule)) == schedule

    relative = linear(0.05, start=absolute(1e-6)) >> constant() >> linear(0.2, end=0.0)
    expected = linear(500, start=absolute(1e-6)) >> constant(7_500) >> linear(2_000, end=0.0)
    assert relative.over(10_000) == expected
    by_epoch = linear(epochs(5), start=0.1) >> cosine()
    by_epoch = by_epoch.over(10_000, num_updates_per_epoch=100)
    assert by_epoch == linear(500, start=0.1) >> cosine(9_500)

    restarts = cosine(1_000, end=0.0).repeat(4, length=2.0, peak=0.5)
    joints = [0, 1_000, 3_000, 7_000, 15_000]
    assert [restarts(k) for k in joints] == [1.0, 0.5, 0.25, 0.125, 0.0]
    assert [restarts(k - 1) < 1e-5 for k in joints[1:]] == [True] * 4
    triangle = (linear(100, start=0.1, end=1.0) >> linear(100, end=0.1)).repeat(10)
    assert [triangle(k) for k in (0, 100, 200, 1_900, 2_000)] == [0.1, 1.0, 0.1, 1.0, 0.1]
    steps = milestones({30: 0.1, 60: 0.01})
    assert [steps(k) for k in (29, 30, 59, 60)] == [1.0, 0.1, 0.1, 0.01]
    mine = from_function(lambda num_updates: 0.99**num_updates)
    assert mine(7) == 0.99**7
    half = 0.5 * schedule
    assert half(250) == 0.25


def test_every_curve_is_exported_and_can_be_written_as_text():
    for curve in CURVES:
        assert curve.name in schedules.__all__
        assert getattr(schedules, curve.name) is VOCABULARY[curve.name] is curve.factory


def test_starts_and_ends_that_are_left_out():
    assert linear(4)(0) == 1.0  # the first phase begins at 1
    assert linear(4)(4) == 0.0  # with neither a start nor an end it falls to 0
    assert linear(4, start=0.3)(4) == 1.0  # with a start and no end it rises to 1
    after = linear(4, end=0.4) >> cosine(4)
    assert [after(4), after(8)] == [0.4, 0.0]  # it begins where the one before it ended
    kept = linear(4, end=0.4) >> constant(4)
    assert [kept(4), kept(8)] == [0.4, 0.4]  # constant keeps what it finds


def test_a_relative_schedule_prints_its_lengths():
    relative = linear(0.05, start=absolute(1e-6)) >> constant() >> linear(epochs(2), end=0.0)
    assert str(relative).splitlines() == [
        "length    start           end  shape",
        "5 %       1e-06 absolute       linear",
        "the rest                       constant",
        "2 epochs                  0    linear",
    ]
