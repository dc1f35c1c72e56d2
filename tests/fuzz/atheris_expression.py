"""Fuzzes the expression parser: ``python -m tests.fuzz.atheris_expression -max_total_time=60``.

Its options are those of libFuzzer; the tests run it for a fixed number of texts.
"""

from __future__ import annotations

import sys

import atheris

# Only code that is imported here is watched; watching all that torch needs takes half a minute.
with atheris.instrument_imports(include=["pytorch_accelerated.schedules"]):
    from tests.fuzz.expressions import check_text


def check(data: bytes) -> None:
    check_text(data.decode(errors="surrogateescape"))


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
