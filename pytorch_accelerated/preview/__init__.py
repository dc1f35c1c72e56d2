"""Look at a schedule before you train: exact values, tables, pictures, and what really ran.

Nothing here touches a real optimizer. Plotting libraries are imported when something is drawn.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pytorch_accelerated.names import missing
from pytorch_accelerated.preview.columns import PreviewRow
from pytorch_accelerated.preview.comparison import Comparison, Difference, compare
from pytorch_accelerated.preview.make import preview
from pytorch_accelerated.preview.notebook import html_of as html_of
from pytorch_accelerated.preview.notebook import html_of_metrics as html_of_metrics
from pytorch_accelerated.preview.notebook import html_of_scheduler as html_of_scheduler
from pytorch_accelerated.preview.of_schedules import plot_schedule as plot_schedule
from pytorch_accelerated.preview.overlay import PlanDifference
from pytorch_accelerated.preview.values import Overlay, Preview

if TYPE_CHECKING:
    from pytorch_accelerated.preview.lr_range import LrRange, find_lr
    from pytorch_accelerated.preview.of_history import plot_metrics as plot_metrics

__all__ = [
    "Comparison",
    "Difference",
    "LrRange",
    "Overlay",
    "PlanDifference",
    "Preview",
    "PreviewRow",
    "compare",
    "find_lr",
    "preview",
]


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> Any:
        # These need torch or matplotlib, which looking at a schedule does not.
        if name == "plot_metrics":
            return import_module("pytorch_accelerated.preview.of_history").plot_metrics
        if name in ("LrRange", "find_lr"):
            return getattr(import_module("pytorch_accelerated.preview.lr_range"), name)
        raise missing(__name__, name)


class _Package(ModuleType):
    """This package, which ``from pytorch_accelerated import preview`` gives, and may be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Preview:
        return preview(*args, **kwargs)


sys.modules[__name__].__class__ = _Package
