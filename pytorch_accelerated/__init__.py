"""Hyperparameter schedules for PyTorch that run exactly as previewed, and a lean Trainer.

The names below load on first use, so that importing the package, or only its schedules, costs
nothing that is not asked for. All others are in the modules.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerate import notebook_launcher
    from accelerate.utils import set_seed

    from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
    from pytorch_accelerated.integrations.monitors import monitor
    from pytorch_accelerated.placeholders import TrainerPlaceholderValues
    from pytorch_accelerated.preview import compare, find_lr, preview
    from pytorch_accelerated.schedulers import (
        AttributeScheduler,
        CosineLrScheduler,
        ParamScheduler,
        PlateauLrScheduler,
        StatelessParamScheduler,
        WSDLrScheduler,
    )
    from pytorch_accelerated.schedules import (
        Schedule,
        absolute,
        constant,
        cosine,
        epochs,
        from_function,
        linear,
        milestones,
        warmup_cosine,
        wsd,
    )
    from pytorch_accelerated.trainer import Trainer

    __version__: str

__all__ = [
    "AttributeScheduler",
    "CosineLrScheduler",
    "ParamScheduler",
    "PlateauLrScheduler",
    "Schedule",
    "ScheduleMonitorCallback",
    "StatelessParamScheduler",
    "Trainer",
    "TrainerCallback",
    "TrainerPlaceholderValues",
    "WSDLrScheduler",
    "__version__",
    "absolute",
    "compare",
    "constant",
    "cosine",
    "epochs",
    "find_lr",
    "from_function",
    "linear",
    "milestones",
    "monitor",
    "notebook_launcher",
    "preview",
    "set_seed",
    "warmup_cosine",
    "wsd",
]

_NAMES = {
    "accelerate": "notebook_launcher",
    "accelerate.utils": "set_seed",
    "pytorch_accelerated.callbacks": "ScheduleMonitorCallback TrainerCallback",
    "pytorch_accelerated.integrations.monitors": "monitor",
    "pytorch_accelerated.placeholders": "TrainerPlaceholderValues",
    "pytorch_accelerated.preview": "compare find_lr",
    "pytorch_accelerated.schedulers": (
        "AttributeScheduler CosineLrScheduler ParamScheduler PlateauLrScheduler "
        "StatelessParamScheduler WSDLrScheduler"
    ),
    "pytorch_accelerated.schedules": (
        "Schedule absolute constant cosine epochs from_function linear milestones warmup_cosine wsd"
    ),
    "pytorch_accelerated.trainer": "Trainer",
}
_HOME = {name: home for home, names in _NAMES.items() for name in names.split()}


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> Any:
        if name == "__version__":  # looking for it among all that is installed takes a while
            return _version()
        if name == "preview":  # the package, which may be called as the function in it
            return import_module("pytorch_accelerated.preview")
        if name not in _HOME:
            raise import_module("pytorch_accelerated.names").missing(__name__, name)
        return getattr(import_module(_HOME[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pytorch-accelerated")
    except PackageNotFoundError:
        return "unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
