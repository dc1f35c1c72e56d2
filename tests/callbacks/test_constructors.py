"""What callbacks are given is checked when they are made, by the name of the argument."""

import pytest

from pytorch_accelerated.callbacks import (
    CallbackHandler,
    EarlyStoppingCallback,
    LogToTrackersCallback,
    ModelEmaCallback,
    ProgressBarCallback,
    SaveBestModelCallback,
    SaveTrainingStateCallback,
    ScheduleMonitorCallback,
    TorchMetricsCallback,
    WSDCheckpointCallback,
)


class Metric:
    def update(self, *arguments):
        pass

    def compute(self):
        return 0.0

    def reset(self):
        pass


METRICS = {"metric": Metric()}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (CallbackHandler, {"callbacks": 5}),
        (CallbackHandler, {"callbacks": "EarlyStopping"}),
        (EarlyStoppingCallback, {"early_stopping_patience": "a"}),
        (EarlyStoppingCallback, {"early_stopping_threshold": None}),
        (EarlyStoppingCallback, {"watch_metric": 5}),
        (LogToTrackersCallback, {"fields": "lr"}),
        (LogToTrackersCallback, {"fields": 5}),
        (LogToTrackersCallback, {"flush_every": "a"}),
        (ModelEmaCallback, {"callbacks": 5}),
        (ModelEmaCallback, {"decay": None}),
        (ProgressBarCallback, {"refresh_per_second": "a"}),
        (SaveBestModelCallback, {"save_path": 5}),
        (SaveBestModelCallback, {"watch_metric": None}),
        (SaveTrainingStateCallback, {"save_dir": 5}),
        (SaveTrainingStateCallback, {"save_every_n_steps": "a"}),
        (ScheduleMonitorCallback, {"fields": "lr"}),
        (ScheduleMonitorCallback, {"fields": 5}),
        (TorchMetricsCallback, {"metrics": 5}),
        (TorchMetricsCallback, {"metrics": METRICS, "phases": 5}),
        (TorchMetricsCallback, {"metrics": METRICS, "get_arguments": 5}),
        (WSDCheckpointCallback, {"save_dir": 5}),
        (WSDCheckpointCallback, {"save_dir": ".", "initial_checkpoint": 5}),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused(kind, arguments):
    name, value = list(arguments.items())[-1]
    with pytest.raises(TypeError, match=rf"^{name}={value!r} is .*, but has to be "):
        kind(**arguments)
