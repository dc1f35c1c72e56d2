"""Where public names live, and what to write in place of names that are not there."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.util import find_spec

_PACKAGE = __name__.partition(".")[0]

# By module; those of schedules are asked for there, where a new curve is named once.
_NAMES = {
    "trainer": "Trainer TrainerWithTimmScheduler",
    "schedulers": (
        "AttributeScheduler CosineLrScheduler ParamGroupFieldError ParamScheduler "
        "PlateauLrScheduler SchedulerBase SchedulerWarning StatefulSchedulerBase "
        "StatelessParamScheduler WSDLrScheduler"
    ),
    "callbacks": (
        "CallbackHandler ConvertSyncBatchNormCallback EarlyStoppingCallback LimitBatchesCallback "
        "LimitEvalStepsCallback LogMetricsCallback LogToTrackersCallback MetricWatcher "
        "ModelEmaCallback MoveModulesToDeviceCallback PrintProgressCallback ProgressBarCallback "
        "SaveBestModelCallback SaveTrainingStateCallback ScheduleMonitorCallback "
        "StepBasedEvaluationCallback StopTrainingError TerminateOnNaNCallback "
        "TorchMetricsCallback TrainerCallback WSDCheckpointCallback get_default_callbacks"
    ),
    "preview": "Preview compare find_lr preview",
    "schedules.expression": "parse_schedule",
    "tracking": "InMemoryRunHistory OnDiskRunHistory",
    "finetuning": "ModelFreezer",
    "checkpoints": "average_checkpoints list_checkpoints",
    "placeholders": "TrainerPlaceholderValues",
    "integrations": "schedule_from",
    "utils": "LimitBatches",
}

# What other libraries call it.
_ELSEWHERE = {
    "chainedscheduler": "ParamScheduler",
    "constantlr": "constant",
    "cosineannealinglr": "cosine",
    "cosineannealingwarmrestarts": "sgdr",
    "cosinewarmup": "warmup_cosine",
    "cycliclr": "one_cycle",
    "earlystopping": "EarlyStoppingCallback",
    "ema": "ModelEmaCallback",
    "exponentiallr": "exponential",
    "getcosineschedulewithwarmup": "warmup_cosine",
    "getlinearschedulewithwarmup": "linear_to_zero",
    "lambdalr": "from_function",
    "linearlr": "linear",
    "lrfinder": "find_lr",
    "lrscheduler": "StatefulSchedulerBase",
    "modelcheckpoint": "SaveBestModelCallback",
    "multisteplr": "milestones",
    "onecyclelr": "one_cycle",
    "polynomiallr": "polynomial",
    "progressbar": "ProgressBarCallback",
    "reducelronplateau": "PlateauLrScheduler",
    "steplr": "milestones",
    "tqdmcallback": "ProgressBarCallback",
    "warmuplr": "linear",
    "wsdscheduler": "WSDLrScheduler",
}


@cache
def _homes() -> dict[str, str]:
    """Return the module of each public name."""
    homes = {name: home for home, names in _NAMES.items() for name in names.split()}
    return {**dict.fromkeys(import_module(f"{_PACKAGE}.schedules").__all__, "schedules"), **homes}


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def meant(name: str) -> str | None:
    """Return the public name that somebody means by one that there is not, if it is clear.

    Example:
        >>> [meant(name) for name in ("CosineLRScheduler", "OneCycleLR", "linaer", "banana")]
        ['CosineLrScheduler', 'one_cycle', 'linear', None]
    """
    if name in _homes():
        return name
    known = {_plain(one): one for one in _homes()}
    plain = _plain(name)
    close = get_close_matches(plain, known, n=1, cutoff=0.8)
    return known.get(plain) or _ELSEWHERE.get(plain) or (known[close[0]] if close else None)


def missing(module: str, name: str) -> Exception:
    """Return the error for a name that a module does not have; call it in its ``__getattr__``."""
    text = f"module {module!r} has no attribute {name!r}"
    if name.startswith("_") or find_spec(f"{module}.{name}") is not None:
        return AttributeError(text)
    found = meant(name)
    if found is None:
        return AttributeError(text)
    text += f". Write: from {_PACKAGE}.{_homes()[found]} import {found}"
    # An AttributeError would not be shown where a name is imported.
    is_import = sys._getframe(2).f_code.co_name == "_handle_fromlist"
    return ImportError(text, name=module) if is_import else AttributeError(text)
