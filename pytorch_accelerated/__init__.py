"""Hyperparameter schedules for PyTorch that run exactly as previewed, and a lean Trainer.

The names below load on first use, so that importing the package, or only its schedules, costs
nothing that is not asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import notebook_launcher
    from accelerate.utils import set_seed

    from pytorch_accelerated.integrations.monitors import monitor
    from pytorch_accelerated.placeholders import TrainerPlaceholderValues
    from pytorch_accelerated.trainer import Trainer

    __version__: str

__all__ = [
    "Trainer",
    "TrainerPlaceholderValues",
    "__version__",
    "monitor",
    "notebook_launcher",
    "set_seed",
]

_HOME = {
    "Trainer": "pytorch_accelerated.trainer",
    "TrainerPlaceholderValues": "pytorch_accelerated.placeholders",
    "monitor": "pytorch_accelerated.integrations.monitors",
    "notebook_launcher": "accelerate",
    "set_seed": "accelerate.utils",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":  # looking for it among all that is installed takes a while
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pytorch-accelerated")
    except PackageNotFoundError:
        return "unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, "__version__"})
