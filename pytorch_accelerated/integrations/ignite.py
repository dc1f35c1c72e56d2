"""A handler for Ignite's engines that compares what was planned with what was applied."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from pytorch_accelerated.integrations.monitors import Monitor

__all__ = ["ScheduleMonitor"]


class ScheduleMonitor(Monitor):
    """Records what each update of an engine ran with beside the plan, and warns where they part.

    ``plan/…`` and ``applied/…`` are in ``engine.state.metrics``, where Ignite's loggers find them
    with ``attach_output_handler(…, metric_names="all")``; the text of the plan is in
    ``engine.state.schedules``. After an exception, call :meth:`end` yourself.

    Args:
        optimizer: The optimizer, or a list of several that make each update together.
        scheduler: The scheduler of these groups, or a list of all.

    Example:
        >>> import torch
        >>> from ignite.engine import Engine, Events
        >>> from pytorch_accelerated.integrations.ignite import ScheduleMonitor
        >>> from pytorch_accelerated.schedulers import ParamScheduler
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.4)
        >>> scheduler = ParamScheduler(optimizer, lr="linear(end=0.0)", horizon=4)
        >>> engine = Engine(lambda engine, batch: optimizer.step())
        >>> _ = engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler.step())
        >>> monitor = ScheduleMonitor(optimizer, scheduler)
        >>> monitor.attach(engine)
        >>> _ = engine.run([0] * 4)
        >>> monitor.summary()
        'applied == planned (4 updates, 4 values)'
    """

    def __init__(self, optimizer: Any, scheduler: Any) -> None:
        super().__init__()
        self._watched = optimizer, scheduler

    def attach(self, engine: Engine) -> None:
        """Watch every run of an engine; attach it before the loggers.

        Args:
            engine: The engine that trains.
        """
        # None for EXCEPTION_RAISED: an engine with one no longer raises the exception itself.
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note_metrics)
        engine.add_event_handler(Events.COMPLETED, self.end)

    def _start(self, engine: Engine) -> None:
        self.begin(*self._watched)
        state: Any = engine.state
        state.schedules = self.text

    def _note_metrics(self, engine: Engine) -> None:
        engine.state.metrics |= self.metrics()
