"""Callbacks: what happens around the training loop, one concern each."""

from pytorch_accelerated.callbacks.base import (
    EVENTS,
    CallbackHandler,
    CallbackMethodNotImplementedError,
    StopTrainingError,
    TrainerCallback,
)
from pytorch_accelerated.callbacks.defaults import get_default_callbacks
from pytorch_accelerated.callbacks.early_stopping import EarlyStoppingCallback
from pytorch_accelerated.callbacks.limit import LimitBatchesCallback, LimitEvalStepsCallback
from pytorch_accelerated.callbacks.log_metrics import LogMetricsCallback
from pytorch_accelerated.callbacks.metric_watch import MetricWatcher
from pytorch_accelerated.callbacks.model_ema import ModelEmaCallback
from pytorch_accelerated.callbacks.modules import (
    ConvertSyncBatchNormCallback,
    MoveModulesToDeviceCallback,
)
from pytorch_accelerated.callbacks.progress import PrintProgressCallback, ProgressBarCallback
from pytorch_accelerated.callbacks.save_best_model import SaveBestModelCallback
from pytorch_accelerated.callbacks.schedule_monitor import ScheduleMonitorCallback
from pytorch_accelerated.callbacks.step_based_evaluation import StepBasedEvaluationCallback
from pytorch_accelerated.callbacks.terminate_on_nan import TerminateOnNaNCallback
from pytorch_accelerated.callbacks.torchmetrics import TorchMetricsCallback
from pytorch_accelerated.callbacks.trackers import LogToTrackersCallback
from pytorch_accelerated.callbacks.training_state import SaveTrainingStateCallback
from pytorch_accelerated.callbacks.wsd_checkpoint import WSDCheckpointCallback

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
