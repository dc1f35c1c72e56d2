"""Schedulers: what writes a schedule's values into an optimizer's parameter groups.

All of them are called after **each optimizer update**.
"""

from typing import TYPE_CHECKING

from pytorch_accelerated.names import missing
from pytorch_accelerated.schedulers.attribute_scheduler import AttributeScheduler
from pytorch_accelerated.schedulers.cosine_scheduler import CosineLrScheduler
from pytorch_accelerated.schedulers.groups import ParamGroupFieldError
from pytorch_accelerated.schedulers.messages import SchedulerWarning
from pytorch_accelerated.schedulers.param_scheduler import ParamScheduler, StatelessParamScheduler
from pytorch_accelerated.schedulers.plateau_scheduler import PlateauLrScheduler
from pytorch_accelerated.schedulers.scheduler_base import SchedulerBase, StatefulSchedulerBase
from pytorch_accelerated.schedulers.wsd_scheduler import WSDLrScheduler

__all__ = [
    "AttributeScheduler",
    "CosineLrScheduler",
    "ParamGroupFieldError",
    "ParamScheduler",
    "PlateauLrScheduler",
    "SchedulerBase",
    "SchedulerWarning",
    "StatefulSchedulerBase",
    "StatelessParamScheduler",
    "WSDLrScheduler",
]


if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name: str) -> None:
        raise missing(__name__, name)
