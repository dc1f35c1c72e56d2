"""Curves at many updates at once, with the very bits that they have one by one.

IEEE's + − × ÷ and the square root are the same in NumPy and in Python. Sines, powers and
exponentials need not be (where NumPy has its own, 48,484 of a million ``exp`` differed in the last
bit), so Python's own are asked for each number. A curve is written once, for floats: its
positions, and ``math``, are exchanged for what is here.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import repeat
from typing import Any, TypeVar

_Curve = TypeVar("_Curve", bound=Callable[..., Any])

# Importing NumPy takes as long as so many values do one by one.
_WORTH_AN_IMPORT = 500_000


def taking_arrays(curve: _Curve, make: Callable[[Any], _Curve]) -> _Curve:
    """Return the curve, with what makes it of other functions than those of ``math``."""
    curve.make = make  # type: ignore[attr-defined]
    return curve


def combined(make: Callable[..., _Curve], *parts: Any) -> _Curve:
    """Return the curve that is made of other curves; it takes arrays if they all do."""
    curve = make(*parts)
    if not all(hasattr(part, "make") for part in parts):
        return curve
    return taking_arrays(curve, lambda math: make(*(part.make(math) for part in parts)))


def help_with(num_values: int) -> bool:
    """Say whether NumPy is installed, and makes so many values faster."""
    if num_values < _WORTH_AN_IMPORT and "numpy" not in sys.modules:
        return False
    try:
        import numpy  # noqa: F401
    except ImportError:
        return False
    return True


@cache
def _kind() -> Any:
    """Return the class of arrays that branch and take powers as floats do."""
    import numpy

    class Numbers(numpy.ndarray[Any, Any]):
        def __bool__(self) -> bool:
            count = numpy.count_nonzero(self)
            if 0 < count < self.size:
                raise ValueError("Only some of these take the branch.")
            return bool(count)

        def __pow__(self, other: Any, _: Any = None) -> Any:
            return _each(pow, self, other)

        def __rpow__(self, other: Any, _: Any = None) -> Any:
            return _each(pow, other, self)

    return Numbers


def _each(function: Callable[..., float], *given: Any) -> Any:
    """Return what Python's function gives for each number of the arrays, and of those repeated."""
    import numpy

    arrays = [isinstance(one, numpy.ndarray) for one in given]
    if not any(arrays):
        return function(*given)
    count = len(given[arrays.index(True)])
    each = (
        array("d", one.tobytes()) if is_array else repeat(one)
        for one, is_array in zip(given, arrays, strict=True)
    )
    return numpy.fromiter(map(function, *each), float, count).view(_kind())


class Functions:
    """The functions of ``math``, for floats and for arrays.

    A whole phase asks for the same sines twice, from either end: what is left is what is done,
    backwards. So each function keeps what it was asked for last.
    """

    def __init__(self) -> None:
        self._last: dict[Any, tuple[Any, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(math, name)
        return partial(self._of_arrays, found) if callable(found) else found

    def _of_arrays(self, function: Callable[..., float], *given: Any) -> Any:
        if len(given) != 1 or isinstance(given[0], float):
            return _each(function, *given)
        import numpy

        (asked,) = given
        last, found = self._last.get(function, (asked[:0], None))
        is_mirrored = numpy.array_equal(asked.view("i8"), last.view("i8")[::-1])
        result = found[::-1] if is_mirrored else _each(function, asked)
        result.flags.writeable = False  # it is handed out again
        self._last[function] = asked, result
        return result

    def sqrt(self, given: Any) -> Any:
        """Return the square root, which IEEE defines to the last bit."""
        import numpy

        return math.sqrt(given) if isinstance(given, float) else numpy.sqrt(given)


def append(
    columns: list[array[float]], bases: Sequence[float], curve: Callable[[Any], Any], at: range
) -> bool:
    """Append the values at these positions to the columns; False if floats may raise or branch."""
    import numpy

    try:
        with numpy.errstate(all="raise", over="ignore", under="ignore"):
            offset, scale = curve(numpy.arange(at.start, at.stop, dtype=float).view(_kind()))
    except (ArithmeticError, ValueError):
        return False
    with numpy.errstate(all="ignore"):  # as floats, which multiply and add without complaint
        for column, base in zip(columns, bases, strict=True):
            column.frombytes(numpy.full(len(at), offset + scale * base).tobytes())
    return True
