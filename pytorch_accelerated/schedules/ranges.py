"""Which values an optimizer's field may have."""

from __future__ import annotations

import math

BELOW_ONE = ("beta1", "beta2", "beta3", "momentum")
NOT_NEGATIVE = ("lr", "weight_decay")


def bounds(field: str) -> tuple[float, float]:
    """Return the least value of a field, and the first that is too large."""
    lower = 0.0 if field in (*BELOW_ONE, *NOT_NEGATIVE) else -math.inf
    return lower, 1.0 if field in BELOW_ONE else math.inf


def out_of_range(field: str, value: float, group: int, where: str) -> ValueError:
    """Return the error for a value that the field may not have."""
    if not math.isfinite(value):
        return ValueError(f"{field}: {value!r} for parameter group {group} {where} is not finite.")
    allowed = "at least 0 and below 1" if field in BELOW_ONE else "0 or more"
    return ValueError(
        f"{field}: {value!r} for parameter group {group} {where} is out of range; it has to be "
        f"{allowed}. Plain numbers in a schedule are multiples of the group's base value; write "
        "absolute(…) for a value that is meant as it stands."
    )
