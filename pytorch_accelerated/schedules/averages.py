"""Decays of moving averages of weights, which rise as the average grows old."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytorch_accelerated.checks import finite, positive
from pytorch_accelerated.schedules.derived import Until
from pytorch_accelerated.schedules.phase import Entry, arguments_of
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import Affine, Fixed
from pytorch_accelerated.schedules.track import Coefficients, Piece, between


class EmaWarmup(Fixed, Schedule):
    """A decay that rises to its value as the average grows old; see :func:`ema_warmup`."""

    def __init__(
        self,
        decay: float = 0.9999,
        start: float = 0.1,
        timescale: float = 10.0,
        power: float = 1.0,
    ) -> None:
        self.decay, self.start = finite("decay", decay), finite("start", start)
        self.timescale, self.power = positive("timescale", timescale), positive("power", power)
        if not 0.0 <= self.start <= self.decay < 1.0:
            raise ValueError(
                f"start={start!r} and decay={decay!r} have to be at least 0 and below 1, and start "
                "not above decay. Write, for example, ema_warmup(0.9999)."
            )
        if self.power < 0.1:
            raise ValueError(f"power={power!r} has to be at least 0.1: with less it never ends.")

    def _value(self, num_updates: int) -> Coefficients:
        gone = -math.expm1(-self.power * math.log1p(num_updates / self.timescale))
        return min(self.decay, self.start + (1.0 - self.start) * gone), 0.0

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        left = (1.0 - self.start) / (1.0 - self.decay)
        length = math.ceil(self.timescale * (left ** (1.0 / self.power) - 1.0))
        if length and self._value(length - 1)[0] == self.decay:
            length -= 1  # a whole number, of which the arithmetic made a little more
        first, end = Affine(self.start, 0.0), Affine(self.decay, 0.0)
        yield Piece(length, self._value, end, repr(self), between(first, end), (first, end))

    def __repr__(self) -> str:
        return f"ema_warmup({', '.join(arguments_of(self))})"


def ema_warmup(
    decay: float = 0.9999, start: float = 0.1, timescale: float = 10.0, power: float = 1.0
) -> Schedule:
    """Raise the decay of an average to its value, so that a young average forgets its beginning.

    ``value(n) = min(decay, 1 − (1 − start) · (1 + n / timescale)^−power)`` at update n. All values
    are absolute. As it stands, it is ``min(decay, (1 + n) / (10 + n))``, the ramp of TensorFlow and
    Diffusers; with ``start=0.0`` it is the one of timm, 1 − (1 + n / timescale)^−power.

    Args:
        decay: What is reached, and then kept; at least 0 and below 1.
        start: The value at update 0, at most ``decay``.
        timescale: In updates, above 0; a larger one takes longer.
        power: At least 0.1; less takes longer.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If it is out of its range.

    Example:
        >>> from pytorch_accelerated.schedules import ema_warmup
        >>> warmup = ema_warmup(0.99)
        >>> round(warmup(8), 12), warmup.horizon, warmup(890)  # 9 / 18; 891 / 900
        (0.5, 890, 0.99)
    """
    return EmaWarmup(decay, start, timescale, power)


class EmaPower(Fixed, Schedule):
    """The decay of a power-function average; see :func:`ema_power`."""

    def __init__(self, gamma: float = 6.94) -> None:
        self.gamma = positive("gamma", gamma)

    def _value(self, num_updates: int) -> Coefficients:
        if num_updates == 0:
            return 0.0, 0.0
        return math.exp((self.gamma + 1.0) * math.log1p(-1.0 / (num_updates + 1))), 0.0

    def _pieces(self, previous: Affine) -> Iterator[Piece]:
        first, limit = Affine(0.0, 0.0), Affine(1.0, 0.0)
        yield Piece(None, self._value, None, repr(self), between(first, limit), (first,))

    def __repr__(self) -> str:
        return f"ema_power({', '.join(arguments_of(self))})"


def ema_power(gamma: float = 6.94) -> Schedule:
    """Give the decay with which an average weighs update t by t^gamma, at every length of a run.

    ``value(n) = (1 − 1 / (n + 1))^(gamma + 1)`` at update n, absolute, without an end.

    Args:
        gamma: Above 0. The average's width, as a share σ of the run, is
            σ² = (gamma + 1) / ((gamma + 2)² · (gamma + 3)): 6.94 is 10 %, 16.97 is 5 %.

    Raises:
        TypeError: If ``gamma`` is not a number.
        ValueError: If it is not above 0.

    References:
        Karras et al., arXiv:2312.02696.

    Example:
        >>> from pytorch_accelerated.schedules import ema_power
        >>> decay = ema_power(gamma=1.0)
        >>> decay(0), round(decay(1), 12), round(decay(9), 12)  # 0², ½², 0.9²
        (0.0, 0.25, 0.81)
    """
    return EmaPower(gamma)


AVERAGES: tuple[Entry, ...] = (
    Entry(
        ema_warmup,
        ema_warmup(0.9),
        "min(decay, 1 - (1 - start) * (1 + n / timescale) ** -power)",
        r"\min\left(d,\; 1 - (1 - s)(1 + n / \mathrm{timescale})^{-\mathrm{power}}\right)",
        own={
            "decay": (0.5, 0.99999),
            "start": (0.0, 0.5),
            "timescale": (0.1, 1e4),
            "power": (0.1, 3.0),
        },
        kind="points",
    ),
    Entry(
        ema_power,
        Until(EmaPower(), 100),
        "(1 - 1 / (n + 1)) ** (gamma + 1)",
        r"\left(1 - \frac{1}{n + 1}\right)^{\gamma + 1}",
        own={"gamma": (0.1, 100.0)},
        kind="points",
    ),
)
