"""What has to hold for any text that is read as a schedule."""

from __future__ import annotations

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
