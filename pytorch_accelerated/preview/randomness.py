"""Running somebody's code for a look at it, without a trace in what is drawn at random later."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def randomness_kept(generators: Iterable[torch.Generator] = ()) -> Iterator[None]:
    """Put the states of all random number generators back at the end.

    They are the global ones of Python, NumPy and PyTorch, and the given ``generators``.
    """
    states = [(generator, generator.get_state()) for generator in generators]
    python = random.getstate()
    numpy: Any = sys.modules.get("numpy.random")
    of_numpy = numpy.get_state() if numpy is not None else None
    # A device that nobody has used is not woken up for this.
    is_awake = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if is_awake else ()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for generator, state in states:
            generator.set_state(state)
        random.setstate(python)
        if numpy is not None:
            numpy.set_state(of_numpy)
