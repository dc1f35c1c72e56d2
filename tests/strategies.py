"""Hypothesis strategies that compose schedules at random."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import signature
from itertools import accumulate
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from pytorch_accelerated import schedules as vocabulary
from pytorch_accelerated.schedules import (
    Schedule,
    absolute,
    constant,
    epochs,
    from_function,
    maximum,
    milestones,
    minimum,
    phase,
)
from pytorch_accelerated.schedules.curves import CURVES
from pytorch_accelerated.schedules.phase import Entry
from tests.catalogue import smoothstep


def decay(num_updates: int) -> float:
    return 1.0 / (1.0 + 0.5 * num_updates)


def absolute_decay(num_updates: int) -> Any:
    return absolute(0.9**num_updates)


def sawtooth(num_updates: int) -> float:
    return 0.25 * (num_updates % 4)


# What the repr of any schedule from here is written in.
NAMES: dict[str, Any] = {name: getattr(vocabulary, name) for name in vocabulary.__all__} | {
    function.__qualname__: function for function in (smoothstep, decay, absolute_decay, sawtooth)
}

LENGTHS = st.integers(0, 12)
BASES = st.floats(0.0, 10.0, allow_subnormal=False)
MULTIPLES = st.one_of(
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.floats(0.0, 4.0, allow_subnormal=False),
    st.floats(-4.0, 4.0, allow_subnormal=False),
)
POSITIVE = st.floats(1e-6, 4.0)


def ends(plain: bool = False) -> SearchStrategy[Any]:
    """An end of a phase; ``plain`` ones are multiples of the base only."""
    return MULTIPLES if plain else st.one_of(MULTIPLES, MULTIPLES.map(absolute))


def ratio_ends(plain: bool = False) -> SearchStrategy[tuple[Any, Any]]:
    """Two ends that a constant ratio can lead between."""
    multiples = st.tuples(POSITIVE, POSITIVE)
    negative = multiples.map(lambda pair: (-pair[0], -pair[1]))
    absolutes = multiples.map(lambda pair: (absolute(pair[0]), absolute(pair[1])))
    return st.one_of(multiples, negative) if plain else st.one_of(multiples, negative, absolutes)


@st.composite
def phases(
    draw: DrawFn,
    lengths: SearchStrategy[Any] = LENGTHS,
    plain: bool = False,
    ends_given: bool = False,
) -> Schedule:
    """One phase of any shape."""
    length = draw(lengths)
    one = ends(plain) if ends_given else st.none() | ends(plain)
    curve = draw(st.sampled_from([*(c for c in CURVES if not (plain and c.ends)), None]))
    if curve is not None:
        start, end = draw(both_ends(curve, one, ratio_ends(plain)))
        return curve.factory(length, start=start, end=end, **draw(own_arguments(curve)))
    if draw(st.booleans()):
        return constant(length, value=draw(one))
    return phase(length, shape=smoothstep, start=draw(one), end=draw(one))


def both_ends(
    curve: Entry, one: SearchStrategy[Any], ratio: SearchStrategy[Any]
) -> SearchStrategy[tuple[Any, Any]]:
    """Return a curve's two ends, if it does not need others: ``one`` for each, or a ``ratio``."""
    if curve.ends is not None:
        bounded = st.floats(*curve.ends).map(absolute)
        return st.tuples(bounded, bounded)
    return ratio if is_ratio(curve) else st.tuples(one, one)


@st.composite
def absolutes(draw: DrawFn) -> Schedule:
    """One to three phases, of which all values are absolute."""
    positive = POSITIVE.map(absolute)
    parts = []
    for curve in draw(st.lists(st.sampled_from(CURVES), min_size=1, max_size=3)):
        one, ratio = MULTIPLES.map(absolute), st.tuples(positive, positive)
        start, end = draw(both_ends(curve, one, ratio))
        own = draw(own_arguments(curve))
        parts.append(curve.factory(draw(LENGTHS), start=start, end=end, **own))
    return _joined(draw, parts)


def is_ratio(curve: Entry) -> bool:
    """Say whether a curve needs two ends with a ratio."""
    return bool(curve.sample.shape.is_ratio)  # type: ignore[attr-defined]


def own_arguments(curve: Entry, modest: bool = True) -> SearchStrategy[dict[str, Any]]:
    """What a curve's factory takes besides a length and two ends.

    ``modest`` ones are near its defaults, where no value is rounded to an end's.
    """
    defaults = signature(curve.factory).parameters
    return st.fixed_dictionaries(
        {
            name: _within(*bounds, near=defaults[name].default if modest else None)
            for name, bounds in curve.own.items()
        }
    )


def _within(least: float, most: float, near: float | None) -> SearchStrategy[Any]:
    if isinstance(least, int):
        return st.integers(least, most if near is None else 10)  # type: ignore[arg-type]
    if near is None:
        return st.floats(least, most)
    sides = (0.5 * (near + max(least, near - 2.0)), near, 0.5 * (near + min(most, near + 2.0)))
    return st.sampled_from(sides)


@st.composite
def points(draw: DrawFn, plain: bool = False) -> Schedule:
    """Milestones, or a user's function with a length."""
    if draw(st.booleans()):
        updates = draw(st.lists(st.integers(0, 20), min_size=1, max_size=3, unique=True))
        return milestones({at: draw(ends(plain)) for at in sorted(updates)})
    functions = [decay, sawtooth] if plain else [decay, sawtooth, absolute_decay]
    return from_function(draw(st.sampled_from(functions)), draw(LENGTHS))


@st.composite
def sequences(draw: DrawFn, plain: bool = False) -> Schedule:
    """Two or three phases, one after another."""
    return _joined(draw, [draw(phases(plain=plain)) for _ in range(draw(st.integers(2, 3)))])


@st.composite
def restarts(draw: DrawFn, plain: bool = False) -> Schedule:
    """Phases in periods that grow or shrink, with peaks that shrink."""
    period = draw(st.one_of(phases(plain=plain, ends_given=True), sequences(plain)))
    return tried(
        lambda: period.repeat(
            draw(st.integers(1, 4)),
            length=draw(st.sampled_from([1.0, 0.5, 1.5, 2.0])),
            peak=draw(st.sampled_from([1.0, 0.9, 0.5])),
        )
    )


def tried(make: Callable[[], Schedule]) -> Schedule:
    """Return what is made, unless it cannot be: then nothing is drawn."""
    try:
        return make()
    except ValueError as error:
        # A peak may fall below its floor, a ratio's end to 0 and a beta's below it; a function
        # cannot be stretched, nor can periods of anything but phases, unless they stay equal.
        if re.search("peak=|ratio|half-life|no length to stretch|is not a phase", str(error)):
            reject()
        raise


@st.composite
def derived(draw: DrawFn, inner: SearchStrategy[Schedule], plain: bool = False) -> Schedule:
    """A schedule that is cut, stretched or rounded, or the smaller or larger one of two."""
    kinds = ["cut", "endless", "stretched", "chosen", *([] if plain else ["rounded"])]
    kind = draw(st.sampled_from(kinds))
    if kind == "rounded":
        return draw(absolutes()).rounded(to=draw(st.sampled_from([1, 0.5, 8, 0.1])))
    if kind == "chosen":
        one = schedules(2, plain=True) if plain or draw(st.booleans()) else absolutes()
        return draw(st.sampled_from([minimum, maximum]))(draw(one), draw(one))
    schedule = draw(inner)
    if kind == "stretched":
        factor = draw(st.sampled_from([0.5, 1 / 3, 1.5, 2.0]))
        return tried(lambda: schedule.stretched(factor))
    if kind == "endless" and schedule.horizon:
        schedule = schedule.repeat()
    return schedule.until(draw(st.integers(0, 30)))


@st.composite
def schedules(draw: DrawFn, depth: int = 4, plain: bool = False) -> Schedule:
    """Any schedule with lengths in updates, composed up to ``depth`` levels deep.

    With ``plain`` it is a curve of multiples of the base, which may be a factor.
    """
    kinds = ["phase", "points"]
    if depth > 1:
        kinds += ["sequence", "repeat", "scaled", "sum", "product", "restarts", "derived"]
    kind = draw(st.sampled_from(kinds))
    inner = schedules(depth - 1, plain)
    if kind == "phase":
        return draw(phases(plain=plain))
    if kind == "points":
        return draw(points(plain))
    if kind == "sequence":
        return _joined(draw, [draw(inner) for _ in range(draw(st.integers(2, 3)))])
    if kind == "repeat":
        return draw(inner).repeat(draw(st.integers(1, 4)))
    if kind == "scaled":
        return draw(MULTIPLES) * draw(inner)
    if kind == "sum":
        return draw(inner) + draw(inner)
    if kind == "product":
        return draw(inner) * draw(schedules(depth - 1, plain=True))
    if kind == "derived":
        return draw(derived(inner, plain))
    return draw(restarts(plain))


@st.composite
def relative_schedules(draw: DrawFn, horizon: int) -> tuple[Schedule, int]:
    """A schedule that fills any horizon, and how many updates an epoch has in this one.

    Its parts take shares, epochs and updates that fit into ``horizon``, and one takes the rest.
    """
    num_updates_per_epoch = draw(st.integers(1, max(1, horizon)))
    left = 1.0  # of the horizon
    parts: list[Schedule] = []
    for _ in range(draw(st.integers(0, 4))):
        unit = draw(st.sampled_from(["share", "epochs", "updates"]))
        share = draw(st.integers(1, 400)) / 1_000
        count = draw(st.integers(1, 3))
        length: Any = share
        if unit == "epochs":
            length = epochs(draw(st.sampled_from([0.5, 1, 1.25])))
            share = length.number * num_updates_per_epoch / max(1, horizon)
        elif unit == "updates":
            length = draw(st.integers(0, 5))
            share = length / max(1, horizon)
        if horizon and count * share < left - 1e-6:
            left -= count * share
            parts.append(_several(draw, length, count))
    parts.insert(draw(st.integers(0, len(parts))), _several(draw, None, draw(st.integers(1, 3))))
    return _joined(draw, parts), num_updates_per_epoch


def _several(draw: DrawFn, length: Any, count: int) -> Schedule:
    """Return ``count`` times a length in one of the ways to compose that."""
    one = draw(phases(lengths=st.just(length)))
    kinds = ["repeat", "scaled", "sum", "product", "milestones", "stretched", "cut"]
    kind = draw(st.sampled_from(kinds))
    if kind == "scaled":
        return 0.5 * one.repeat(count)
    if kind == "sum":
        return one.repeat(count) + one.repeat(count)
    if kind == "product":
        return one.repeat(count) * constant(0)
    if kind == "milestones" and isinstance(length, float):
        return milestones({length: 0.5}) if count == 1 else one.repeat(count)
    if kind == "stretched" and (length is None or isinstance(length, float)):
        return one.repeat(count).stretched(1.5)
    if kind == "cut" and count == 1 and length is not None:
        return (one >> constant(3)).until(length)
    return one.repeat(count)


def _joined(draw: DrawFn, parts: list[Schedule]) -> Schedule:
    """Join parts, with brackets on the left or on the right."""
    if not draw(st.booleans()):
        parts = parts[::-1]
        joined = parts[0]
        for part in parts[1:]:
            joined = part >> joined
        return joined
    joined = parts[0]
    for part in parts[1:]:
        joined = joined >> part
    return joined


#: Keys of the groups of two optimizers of SGD: of two groups of the first, and one of the second.
KEYS = ("SGD", "SGD.1", "SGD/0", "SGD/1", "SGD.1/0", "SGD/*", "*")


def mappings(depth: int = 2) -> SearchStrategy[dict[str, Schedule]]:
    """Plans for some groups of two optimizers, by keys of all kinds."""
    return st.dictionaries(st.sampled_from(KEYS), schedules(depth), min_size=1, max_size=4)


@st.composite
def clock_readings(draw: DrawFn) -> tuple[str, list[Any]]:
    """A clock that is not updates, and where it is after each of a few updates."""
    clock = draw(st.sampled_from(["samples", "items", "seconds"]))
    steps = st.floats(0.0, 9.0) if clock == "seconds" else st.integers(0, 9)
    return clock, [*accumulate(draw(st.lists(steps, min_size=1, max_size=8)))]
