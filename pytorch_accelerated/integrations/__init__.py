"""Our schedules in other frameworks' training loops and configuration files, and theirs in ours."""

from pytorch_accelerated.integrations.configured import ConfiguredScheduler
from pytorch_accelerated.integrations.recognised import Recognised, schedule_from

__all__ = ["ConfiguredScheduler", "Recognised", "schedule_from"]
