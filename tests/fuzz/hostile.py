"""Values that nobody should hand over, and some that are fine."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

#: What the documentation says may be raised. The missing key is a ``KeyError``.
DOCUMENTED = (ValueError, TypeError, KeyError)

NUMBERS: SearchStrategy[Any] = st.one_of(
    st.sampled_from([0, 1, -1, 10**400, 0.0, -0.0, 1e308, 5e-324, math.inf, -math.inf, math.nan]),
    st.integers(-5, 40),
    st.floats(),
)
ODD: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.binary(max_size=2),
    st.just(1 + 2j),
    st.just(Decimal("0.5")),
    st.just(Fraction(1, 3)),
    st.just(np.float32(0.5)),
    st.just(np.array([0.1, 0.2])),
    st.just(np.array(0.25)),
    st.just(torch.tensor(0.5)),
    st.just(torch.tensor([0.5, 0.25])),
    st.just(torch.tensor(True)),
    st.just(object()),
    st.just(int),
)
SCALARS = NUMBERS | ODD


def containers(inner: SearchStrategy[Any]) -> SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=8) | st.integers(0, 2), inner, max_size=3),
    )


ANYTHING: SearchStrategy[Any] = st.recursive(SCALARS, containers, max_leaves=6)

PLAIN: SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)), containers, max_leaves=6
)
