"""The callbacks that a Trainer has unless told otherwise."""

from __future__ import annotations

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.callbacks.log_metrics import LogMetricsCallback
from pytorch_accelerated.callbacks.modules import MoveModulesToDeviceCallback
from pytorch_accelerated.callbacks.progress import PrintProgressCallback, ProgressBarCallback
from pytorch_accelerated.callbacks.terminate_on_nan import TerminateOnNaNCallback


def get_default_callbacks(progress_bar: bool = True) -> tuple[type[TrainerCallback], ...]:
    """The default callbacks.

    Args:
        progress_bar: Whether to have bars.

    Example:
        >>> [callback.__name__ for callback in get_default_callbacks(progress_bar=False)]
        ['MoveModulesToDeviceCallback', 'TerminateOnNaNCallback', 'PrintProgressCallback', \
'LogMetricsCallback']
    """
    return (
        MoveModulesToDeviceCallback,
        TerminateOnNaNCallback,
        PrintProgressCallback,
        *((ProgressBarCallback,) if progress_bar else ()),
        LogMetricsCallback,
    )
