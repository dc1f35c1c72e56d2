"""What users pass is returned in its plain form, or refused with what to write; values compare."""

from __future__ import annotations

import math
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytorch_accelerated.checks import bounds, finite, folder, positive, same, whole


class Folder:
    """A path of somebody else's making."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


@pytest.mark.parametrize("value", [3, np.int64(3), torch.tensor(3)])
def test_a_whole_number_of_any_kind_is_an_int(value: Any) -> None:
    assert type(whole("n", value)) is int
    assert whole("n", value, minimum=3) == 3


@pytest.mark.parametrize("value", [3, 0.5, np.float32(0.5), Fraction(1, 2), -0.0, 5e-324])
def test_a_number_of_any_kind_is_a_float(value: Any) -> None:
    assert type(finite("x", value)) is float
    assert finite("x", value) == value


# What is asked → the error, and its whole text.
REFUSED = [
    (
        lambda: whole("n", 4.0),
        TypeError,
        "n=4.0 is a float, but has to be an integer. Write n=4.",
    ),
    (
        lambda: whole("n", 2.6),
        ValueError,
        "n=2.6 is a fractional count, but has to be a whole number. Write n=3.",
    ),
    (
        lambda: whole("n", 0.2, 1),
        ValueError,
        "n=0.2 is a fractional count, but has to be a whole number. Write n=1.",
    ),
    (
        lambda: whole("n", Fraction(4, 1)),
        TypeError,
        "n=Fraction(4, 1) is a Fraction, but has to be an integer. Write n=4.",
    ),
    (
        lambda: whole("n", math.nan),
        ValueError,
        "n=nan is not finite, but has to be a whole number.",
    ),
    (lambda: whole("n", True), TypeError, "n=True is a bool, but has to be an integer."),
    (lambda: whole("n", "4"), TypeError, "n='4' is a str, but has to be an integer."),
    (lambda: whole("n", None), TypeError, "n=None is a NoneType, but has to be an integer."),
    (lambda: whole("n", -1), ValueError, "n=-1 is too small: it has to be at least 0."),
    (
        lambda: whole("n", 0, 1, "None for no limit"),
        ValueError,
        "n=0 is too small: it has to be at least 1. Otherwise write None for no limit.",
    ),
    (
        lambda: whole("n", "a", 1, "n=None"),
        TypeError,
        "n='a' is a str, but has to be an integer. Otherwise write n=None.",
    ),
    (lambda: finite("x", "1"), TypeError, "x='1' is a str, but has to be a number."),
    (lambda: finite("x", True), TypeError, "x=True is a bool, but has to be a number."),
    (lambda: finite("x", 1j), TypeError, "x=1j is a complex, but has to be a number."),
    (
        lambda: finite("x", Decimal("1")),
        TypeError,
        "x=Decimal('1') is a Decimal, but has to be a number.",
    ),
    (
        lambda: finite("x", -math.inf),
        ValueError,
        "x=-inf is not finite, but has to be a finite number.",
    ),
    (lambda: positive("x", 0), ValueError, "x=0 has to be above 0."),
    (lambda: positive("x", -0.5), ValueError, "x=-0.5 has to be above 0."),
    (
        lambda: folder("path", 3),
        TypeError,
        "path=3 is an int, but has to be the path of a folder.",
    ),
    (
        lambda: folder("path", b"runs", "None"),
        TypeError,
        "path=b'runs' is a bytes, but has to be the path of a folder, or None.",
    ),
    (
        lambda: folder("path", ""),
        ValueError,
        "path='' is empty, but has to be the path of a folder. Write path='.' for the current one.",
    ),
    (
        lambda: folder("path", "a\0b"),
        ValueError,
        "path='a\\x00b' has a null character, but has to be the path of a folder.",
    ),
]


@pytest.mark.parametrize(("ask", "kind", "text"), REFUSED, ids=[text for *_, text in REFUSED])
def test_an_error_says_what_came_what_is_allowed_and_what_to_write(
    ask: Any, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind) as caught:
        ask()
    assert str(caught.value) == text


def test_an_integer_that_is_too_large_for_a_float_is_not_finite() -> None:
    with pytest.raises(ValueError, match="is not finite"):
        finite("x", 10**400)


def test_a_path_whose_text_is_bytes_is_refused() -> None:
    with pytest.raises(TypeError, match=r"has to be the path of a folder\."):
        folder("path", Folder(b"runs"))


@pytest.mark.parametrize("value", ["runs", Path("runs"), Folder("runs")])
def test_a_folder_is_a_path(value: Any) -> None:
    assert folder("path", value) == Path("runs")
    assert os.fspath(folder("path", value)) == "runs"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(PLAIN)
def test_everything_is_the_same_as_a_copy_of_itself(value: Any) -> None:
    copied = eval(repr(value), {"nan": math.nan, "inf": math.inf})
    assert same(value, copied)
    assert same([value], (copied,))
    assert same({"key": value}, MappingProxyType({"key": copied}))
    assert not same([value], [value, value])
    assert not same({"key": value}, {"other": value})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (math.nan, float("nan")),
        (np.float64("nan"), math.nan),
        (torch.tensor([1.0, math.nan]), [1.0, math.nan]),
        (np.arange(3), (0, 1, 2)),
        (torch.tensor(0.5), 0.5),
        (1, 1.0),
        (10**400, 10**400),
        ({"betas": (0.9, 0.99)}, {"betas": [0.9, 0.99]}),
    ],
)
def test_what_is_the_same(one: Any, other: Any) -> None:
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.0, -0.0),
        (0.1, 0.1 + 1e-17 + 2e-17),
        (math.nan, 0.0),
        (1, 2.0),
        (10**400, 1.0),
        ("1", 1),
        ([1.0], 1.0),
        (None, 0.0),
        (np.arange(3), np.arange(4)),
        (torch.zeros(2), torch.zeros(2, 1)),
        (object(), object()),
    ],
)
def test_what_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)


def test_floats_may_differ_by_a_share_of_the_larger_one() -> None:
    assert same({"lr": [1.0, 2]}, {"lr": (1.0 + 1e-10, 2.0)}, rel_tol=1e-9)
    assert same(1, 1.0 + 1e-10, rel_tol=1e-9)
    assert not same([1.0], [1.0 + 1e-8], rel_tol=1e-9)
    assert not same(0.0, 1e-300, rel_tol=1e-9)


class Odd:
    """What compares to something that is neither true nor false, as a table of pandas does."""

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])

    __hash__ = None  # type: ignore[assignment]


def test_what_cannot_be_compared_is_the_same_as_itself_only() -> None:
    one = Odd()
    assert same(one, one)
    assert same([one], [one])
    assert not same(one, Odd())


def test_the_ranges_of_fields() -> None:
    assert bounds("lr") == bounds("weight_decay") == (0.0, math.inf)
    assert bounds("momentum") == bounds("beta1") == (0.0, 1.0)
    assert bounds("anything") == (-math.inf, math.inf)
