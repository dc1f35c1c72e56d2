"""Schedules by the names that people look for: each is a line over the others."""

from __future__ import annotations

from pytorch_accelerated.schedules.averages import AVERAGES
from pytorch_accelerated.schedules.curves import CURVES, cosine, linear, sqrt
from pytorch_accelerated.schedules.phase import End, Entry, constant
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import Length, absolute


def _over(length: float | None, plan: Schedule) -> Schedule:
    return plan if length is None else plan.over(length)


def warmup_cosine(length: float | None = None, warmup: Length = 0.05, end: End = 0.0) -> Schedule:
    """Rise in a line, then fall along half a cosine.

    It is ``linear(warmup, start=0.0) >> cosine(end=end)``.

    Args:
        length: Updates of the whole; None for the horizon of the run.
        warmup: Updates, a share in (0, 1), or ``epochs(n)``.
        end: A multiple of the base, or ``absolute(…)``.

    References:
        Loshchilov and Hutter, arXiv:1608.03983; the warmup, Goyal et al., arXiv:1706.02677.

    Example:
        >>> from pytorch_accelerated.schedules import warmup_cosine
        >>> warmup_cosine(10_000, warmup=500, end=0.1)
        linear(500, start=0.0) >> cosine(9500, end=0.1)
    """
    return _over(length, linear(warmup, start=0.0) >> cosine(end=end))


def linear_to_zero(length: float | None = None, warmup: Length = 0.05) -> Schedule:
    """Rise in a line, then fall in a line to nothing.

    It is ``linear(warmup, start=0.0) >> linear(end=0.0)``.

    Args:
        length: Updates of the whole; None for the horizon of the run.
        warmup: Updates, a share in (0, 1), or ``epochs(n)``.

    References:
        Bergsma et al., arXiv:2502.15938.

    Example:
        >>> from pytorch_accelerated.schedules import linear_to_zero
        >>> linear_to_zero(10_000)
        linear(500, start=0.0) >> linear(9500, end=0.0)
    """
    return _over(length, linear(warmup, start=0.0) >> linear(end=0.0))


def wsd(
    length: float | None = None, warmup: Length = 0.05, decay: Length = 0.2, end: End = 0.0
) -> Schedule:
    """Rise in a line, hold, then fall along a square root: warmup, stable, decay.

    It is ``linear(warmup, start=0.0) >> constant() >> sqrt(decay, end=end)``.

    Args:
        length: Updates of the whole; None for the horizon of the run.
        warmup: Updates, a share in (0, 1), or ``epochs(n)``.
        decay: The same, for the last phase.
        end: A multiple of the base, or ``absolute(…)``.

    References:
        Hu et al., arXiv:2404.06395; the decay, Hägele et al., arXiv:2405.18392.

    Example:
        >>> from pytorch_accelerated.schedules import wsd
        >>> wsd(10_000)
        linear(500, start=0.0) >> constant(7500) >> sqrt(2000, end=0.0)
    """
    return _over(length, linear(warmup, start=0.0) >> constant() >> sqrt(decay, end=end))


def sgdr(
    period: Length, count: int | None = None, growth: float = 1.0, peak: float = 1.0, end: End = 0.0
) -> Schedule:
    """Fall along half a cosine again and again, from the top each time: warm restarts.

    It is ``cosine(period, end=end).repeat(count, length=growth, peak=peak)``.

    Args:
        period: The first period, in updates, a share in (0, 1), or ``epochs(n)``.
        count: How many periods; None for ever, if they are equal.
        growth: How many times as long each period is as the one before.
        peak: How many times as high each one's start is as the one's before.
        end: A multiple of the base, or ``absolute(…)``.

    References:
        SGDR, Loshchilov and Hutter, arXiv:1608.03983.

    Example:
        >>> from pytorch_accelerated.schedules import sgdr
        >>> sgdr(1_000, 4, growth=2.0)
        cosine(1000, end=0.0).repeat(4, length=2.0)
    """
    return cosine(period, end=end).repeat(count, length=growth, peak=peak)


def one_cycle(
    length: float | None = None, warmup: Length = 0.3, start: End = 1 / 25, end: End = 1 / 250_000
) -> Schedule:
    """Rise along half a cosine, then fall along one to nearly nothing.

    It is ``cosine(warmup, start=start) >> cosine(end=end)``; the base is the highest rate.

    Args:
        length: Updates of the whole; None for the horizon of the run.
        warmup: Updates, a share in (0, 1), or ``epochs(n)``.
        start: A multiple of the base, or ``absolute(…)``.
        end: The same.

    References:
        Smith and Topin, arXiv:1708.07120.

    Example:
        >>> from pytorch_accelerated.schedules import one_cycle
        >>> one_cycle(1_000)
        cosine(300, start=0.04) >> cosine(700, end=4e-06)
    """
    return _over(length, cosine(warmup, start=start) >> cosine(end=end))


def one_cycle_momentum(
    length: float | None = None, warmup: Length = 0.3, high: float = 0.95, low: float = 0.85
) -> Schedule:
    """Lower the momentum while ``one_cycle`` raises the rate, and raise it again.

    It is ``cosine(warmup, start=absolute(high), end=absolute(low)) >> cosine(end=absolute(high))``.

    Args:
        length: Updates of the whole; None for the horizon of the run.
        warmup: Updates, a share in (0, 1), or ``epochs(n)``; as for the rate.
        high: The momentum at the start and at the end.
        low: The momentum where the rate is highest.

    References:
        Smith and Topin, arXiv:1708.07120.

    Example:
        >>> from pytorch_accelerated.schedules import one_cycle_momentum
        >>> momentum = one_cycle_momentum(1_000)
        >>> momentum(0), momentum(300), momentum(1_000)
        (0.95, 0.85, 0.95)
    """
    falls = cosine(warmup, start=absolute(high), end=absolute(low))
    return _over(length, falls >> cosine(end=absolute(high)))


def one_cycle_with_momentum(
    length: float | None = None, warmup: Length = 0.3, momentum: str = "momentum"
) -> dict[str, Schedule]:
    """Return ``one_cycle`` and ``one_cycle_momentum`` as ``ParamScheduler`` takes them, by field.

    Write ``ParamScheduler(optimizer, **one_cycle_with_momentum(1_000))``.

    Args:
        length: Updates of the whole; None for the horizon of the run.
        warmup: Updates, a share in (0, 1), or ``epochs(n)``.
        momentum: The name of the second field: ``"beta1"`` for Adam.

    Example:
        >>> from pytorch_accelerated.schedules import one_cycle_with_momentum
        >>> one_cycle_with_momentum(1_000, momentum="beta1")["beta1"](300)
        0.85
    """
    return {"lr": one_cycle(length, warmup), momentum: one_cycle_momentum(length, warmup)}


RECIPES: tuple[Entry, ...] = (
    Entry(
        warmup_cosine,
        warmup_cosine(100, warmup=10),
        "linear(warmup, start=0.0) >> cosine(end=end)",
        kind="recipe",
    ),
    Entry(
        linear_to_zero,
        linear_to_zero(100, warmup=10),
        "linear(warmup, start=0.0) >> linear(end=0.0)",
        kind="recipe",
    ),
    Entry(
        wsd,
        wsd(100, warmup=10),
        "linear(warmup, start=0.0) >> constant() >> sqrt(decay, end=end)",
        kind="recipe",
    ),
    Entry(
        sgdr,
        sgdr(20, 5, peak=0.7),
        "cosine(period, end=end).repeat(count, length=growth, peak=peak)",
        kind="recipe",
    ),
    Entry(
        one_cycle,
        one_cycle(100),
        "cosine(warmup, start=start) >> cosine(end=end)",
        kind="recipe",
    ),
    Entry(
        one_cycle_momentum,
        one_cycle_momentum(100),
        "cosine(warmup, start=absolute(high), end=absolute(low)) >> cosine(end=absolute(high))",
        kind="recipe",
    ),
)

#: Everything that has a name of its own: what the exports and the text language are made of.
NAMED = (*CURVES, *AVERAGES, *RECIPES)
