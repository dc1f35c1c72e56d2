"""Our schedules in other frameworks' training loops and configuration files."""

from pytorch_accelerated.integrations.configured import ConfiguredScheduler

__all__ = ["ConfiguredScheduler"]
