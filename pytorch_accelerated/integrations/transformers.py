"""Schedules in the Trainer of Transformers, and in all that build on it, such as TRL's."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

from transformers import TrainerCallback

from pytorch_accelerated.integrations.monitors import Monitor
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedulers.plans import schedules_by_field

__all__ = ["ScheduleMonitor", "Scheduled"]


class Scheduled:
    """Lets a Trainer of Transformers run schedules: name it before the Trainer, as a base class.

    The optimizer stays the Trainer's own, with its two groups: biases and norms have no weight
    decay, and keep none, as numbers in a schedule are multiples of each group's base value. The
    Trainer says how many updates the run makes, so lengths may be shares of it, and epochs. The
    text of the plan is in ``args.lr_scheduler_kwargs``, which Transformers gives to its loggers;
    ``args`` is a copy, so other Trainers may be made with the same arguments.

    Args:
        *args: As for the Trainer.
        schedules: Field → schedule, as for :class:`~pytorch_accelerated.schedulers.ParamScheduler`,
            or text. By default ``lr_scheduler_kwargs`` of the ``TrainingArguments``.
        **kwargs: As for the Trainer.

    Raises:
        TypeError: If the schedules are not in a dictionary with names of fields.
        ValueError: If there are no schedules, or something else is to schedule the rate as well:
            a scheduler in ``optimizers``, or ``warmup_steps``.

    Example:
        >>> from transformers import Trainer
        >>> from pytorch_accelerated.integrations.transformers import Scheduled
        >>> class MyTrainer(Scheduled, Trainer):
        ...     pass
    """

    # What it has of the Trainer that it is mixed into.
    args: Any
    callback_handler: Any
    lr_scheduler: Any
    optimizer: Any
    _created_lr_scheduler: bool

    _num_updates_per_epoch: int | None = None
    _earlier: ParamScheduler | None = None

    def __init__(
        self, *args: Any, schedules: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.args = copy(self.args)  # other Trainers may be made with the same ones
        given = self.args.lr_scheduler_kwargs if schedules is None else schedules
        self._schedules: dict[str, Any] = schedules_by_field(given or {})
        self._check()
        self.args.lr_scheduler_kwargs = {
            field: _text(plan) for field, plan in self._schedules.items()
        }

    def _check(self) -> None:
        name = type(self).__name__
        if not self._schedules:
            raise ValueError(
                f"{name} was given no schedules. Write {name}(…, schedules={{'lr': 'linear(0.05, "
                "start=0.0) >> cosine()'}), or lr_scheduler_kwargs={…} in the TrainingArguments."
            )
        if self.lr_scheduler is not None:
            raise ValueError(
                f"optimizers=(…, {type(self.lr_scheduler).__name__}) brings a scheduler, but there "
                "are schedules, too. Write optimizers=(optimizer, None)."
            )
        if self.args.warmup_steps:
            raise ValueError(
                f"warmup_steps={self.args.warmup_steps!r} does nothing beside schedules. Write the "
                f"warmup into them: 'linear({self.args.warmup_steps!r}, start=0.0) >> …'."
            )

    def set_initial_training_values(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the Trainer found out about the run's lengths, and keep an epoch's."""
        values = super().set_initial_training_values(*args, **kwargs)  # type: ignore[misc]
        self._num_updates_per_epoch = values[1]
        return values

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the scheduler of a run that makes ``num_training_steps`` updates."""
        if self.lr_scheduler is None:
            if self._earlier is not None:  # of another run with the same optimizer
                self._earlier._put_bases_back()
            self.lr_scheduler = self._earlier = ParamScheduler(
                self.optimizer if optimizer is None else optimizer,
                horizon=num_training_steps,
                num_updates_per_epoch=self._num_updates_per_epoch,
                **self._schedules,
            )
            self._created_lr_scheduler = True  # so that the next run makes its own
            # Whoever is told first of what is logged can add to it for the others.
            callbacks = self.callback_handler.callbacks
            callbacks.sort(key=lambda one: not isinstance(one, ScheduleMonitor))
        return self.lr_scheduler


def _text(plan: Any) -> Any:
    if isinstance(plan, str):
        return plan
    if isinstance(plan, Mapping):
        return {str(key): _text(one) for key, one in plan.items()}
    return [_text(one) for one in plan] if isinstance(plan, list | tuple) else repr(plan)


class ScheduleMonitor(Monitor, TrainerCallback):  # type: ignore[misc]
    """Records what each update of a Trainer ran with beside the plan, and warns where they part.

    It adds ``plan/…`` and ``applied/…`` to what the Trainer logs. In a Trainer that is not
    :class:`Scheduled`, loggers of ``report_to`` are told before it, and miss these; put it first
    there: ``trainer.callback_handler.callbacks.insert(0, ScheduleMonitor())``.

    Example:
        >>> from pytorch_accelerated.integrations.transformers import ScheduleMonitor
        >>> monitor = ScheduleMonitor()  # Trainer(…, callbacks=[monitor])
        >>> monitor.summary()
        'no update was recorded'
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Begin to record, where the checkpoint that was loaded left off."""
        self.begin(given["optimizer"], given["lr_scheduler"])
        self._unhook()

    # No event tells that training has failed, so the hook is there for the update alone.

    def on_pre_optimizer_step(self, *args: Any, **given: Any) -> None:
        """Be ready to read what the update runs with."""
        if self._is_on:
            self._hook()

    def on_optimizer_step(self, *args: Any, **given: Any) -> None:
        """Leave no hook behind."""
        self._unhook()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Add the last update's planned and applied values."""
        if logs is not None and "loss" in logs:
            logs |= self.metrics()
            state.log_history[-1] |= self.metrics()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop recording, and log the summary."""
        self.end()
