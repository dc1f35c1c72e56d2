"""The one door by which a lower layer calls a higher one.

``schedule.plot()`` and ``scheduler.preview()`` are a convenience: what they return is made by the
layer of previews, which is built on schedules and schedulers and is never imported by them. The
door finds it by name when somebody calls; ``tests/test_layers.py`` knows it as the only exception.
"""

from importlib import import_module
from typing import Any


def preview() -> Any:
    """Return the package :mod:`pytorch_accelerated.preview`.

    Besides its public names it has what a schedule's own methods show: ``plot_schedule``,
    ``html_of`` and the like.
    """
    return import_module("pytorch_accelerated.preview")
