"""Fuzzes the expression parser: ``python -m tests.fuzz.atheris_expression -max_total_time=60``.

It needs atheris, which the tests do without; they call :func:`check_text` with texts of their own.
"""

from __future__ import annotations

import sys

from pytorch_accelerated.schedules.expression import ExpressionError, parse_schedule


def check_text(text: str) -> None:
    """Check that a text is a schedule that reads back as itself, or refused with a message."""
    try:
        schedule = parse_schedule(text)
    except ExpressionError as error:
        message = str(error)
    else:
        message = ""
        assert parse_schedule(repr(schedule)) == schedule
        if not schedule.is_relative:
            for num_updates in (0, 1, 10**6):
                schedule.coefficients(num_updates)
    assert message == "" or len(message) > 15


def main() -> None:
    try:
        import atheris
    except ImportError:
        print("atheris is not installed; nothing was fuzzed")
        return

    def check(data: bytes) -> None:
        check_text(atheris.FuzzedDataProvider(data).ConsumeUnicode(200))

    atheris.instrument_all()
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
