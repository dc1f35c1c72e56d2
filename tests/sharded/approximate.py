"""Comparing what runs came to, to what sums in another order leave equal."""

from __future__ import annotations

from typing import Any

import pytest


def same(one: Any, other: Any, tolerance: float = 1e-4) -> bool:
    """Compare nested results; fail at the first difference, and say where it is."""
    _check(one, other, tolerance, "")
    return True


def _check(one: Any, other: Any, tolerance: float, where: str) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            _check(one[name], other[name], tolerance, f"{where}/{name}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            _check(*pair, tolerance, f"{where}[{i}]")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=tolerance, abs=tolerance / 10), where
    else:
        assert one == other, where
