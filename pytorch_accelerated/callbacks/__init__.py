"""Callbacks: what happens around the training loop, one concern each."""

from typing import TYPE_CHECKING

from pytorch_accelerated.callbacks.base import (
    EVENTS,
    CallbackHandler,
    CallbackMethodNotImplementedError,
    StopTrainingError,
    TrainerCallback,
)
from pytorch_accelerated.callbacks.limit import (
    LimitBatchesCallback,
    LimitEvalStepsCallback,
    StepBasedEvaluationCallback,
)
from pytorch_accelerated.callbacks.log_metrics import LogMetricsCallback
from pytorch_accelerated.callbacks.metric_watch import (
    EarlyStoppingCallback,
    MetricWatcher,
    SaveBestModelCallback,
)
from pytorch_accelerated.callbacks.model_ema import ModelEmaCallback
from pytorch_accelerated.callbacks.modules import (
    ConvertSyncBatchNormCallback,
    MoveModulesToDeviceCallback,
)
from pytorch_accelerated.callbacks.progress import PrintProgressCallback, ProgressBarCallback
from pytorch_accelerated.callbacks.schedule_monitor import ScheduleMonitorCallback
from pytorch_accelerated.callbacks.terminate_on_nan import TerminateOnNaNCallback
from pytorch_accelerated.callbacks.torchmetrics import TorchMetricsCallback
from pytorch_accelerated.callbacks.trackers import LogToTrackersCallback
from pytorch_accelerated.callbacks.training_state import (
    SaveTrainingStateCallback,
    WSDCheckpointCallback,
)
from pytorch_accelerated.names import missing

__all__ = [
    "EVENTS",
    "CallbackHandler",
    "CallbackMethodNotImplementedError",
    "ConvertSyncBatchNormCallback",
    "EarlyStoppingCallback",
    "LimitBatchesCallback",
    "LimitEvalStepsCallback",
    "LogMetricsCallback",
    "LogToTrackersCallback",
    "MetricWatcher",
    "ModelEmaCallback",
    "MoveModulesToDeviceCallback",
    "PrintProgressCallback",
    "ProgressBarCallback",
    "SaveBestModelCallback",
    "SaveTrainingStateCallback",
    "ScheduleMonitorCallback",
    "StepBasedEvaluationCallback",
    "StopTrainingError",
    "TerminateOnNaNCallback",
    "TorchMetricsCallback",
    "TrainerCallback",
    "WSDCheckpointCallback",
    "get_default_callbacks",
]


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


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> None:
        raise missing(__name__, name)
