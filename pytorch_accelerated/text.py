"""How numbers, times and lines are written for people to read in a terminal."""

from __future__ import annotations

import os
import sys

_IN_ASCII = str.maketrans("┌┐└┘┤┬─│…×", "++++++-|~x")


def is_ascii(encoding: str | None) -> bool:
    """Say whether nothing but ASCII is wanted, by the locale or by what takes the output."""
    given = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    if next(filter(None, given), "") in ("C", "POSIX"):
        return True
    return not (encoding or "").lower().startswith("utf")


def in_ascii(text: str) -> str:
    """Return a text with frames and arrows of ASCII characters, as wide as before."""
    text = text.replace("→ ", "->").translate(_IN_ASCII)
    return text.encode("ascii", "replace").decode()


def readable(text: str) -> str:
    """Return a text as standard output can show it."""
    if is_ascii(getattr(sys.stdout, "encoding", None)):
        return in_ascii(text.replace("→", "->"))
    return text


def measured(value: float) -> str:
    """Return a number that was measured, with four significant digits.

    Example:
        >>> [measured(x) for x in (1.16, 0.5, 12345.678, 0.0000123456, 1234.0)]
        ['1.160', '0.5000', '1.235e4', '1.235e-5', '1234']
    """
    return _short_exponent(f"{value:#.4g}").removesuffix(".")


def chosen(value: float) -> str:
    """Return a number that somebody chose, with up to four significant digits.

    Example:
        >>> [chosen(x) for x in (0.001, 0.05, 1.0, 0.00098765, 3e-4)]
        ['1e-3', '0.05', '1', '9.877e-4', '3e-4']
    """
    if value == 0.0 or abs(value) >= 0.01:
        return _short_exponent(f"{value:.4g}")
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return _short_exponent(f"{mantissa.rstrip('0').rstrip('.')}e{exponent}")


def _short_exponent(text: str) -> str:
    mantissa, found, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if found else text


def duration(seconds: float) -> str:
    """Return a time.

    Example:
        >>> [duration(x) for x in (8.24, 200.4, 7500.0)]
        ['8.2 s', '3 min 20 s', '2 h 05 min']
    """
    if seconds < 100.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60:02d} min"
    )
