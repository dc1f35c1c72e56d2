"""Everything that lives for one run of a Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pytorch_accelerated.callbacks.base import StopTrainingError
from pytorch_accelerated.checkpoints.writer import RunCheckpoints
from pytorch_accelerated.run.counts import Counts
from pytorch_accelerated.run.loop_state import (
    EpochGenerator,
    LoopState,
    OptimizerMode,
    Plan,
    Randomness,
    Window,
)
from pytorch_accelerated.run.processes import Processes
from pytorch_accelerated.run.schedulers import RunSchedulers, each
from pytorch_accelerated.run_config import TrainerRunConfig
from pytorch_accelerated.schedulers.optimizers import as_one
from pytorch_accelerated.sharded import local
from pytorch_accelerated.tracking import LossTracker


class Run:
    """One training or evaluation run.

    The Trainer has what people know and may exchange: model, optimizer, scheduler, data loaders,
    callbacks and histories. A run has all else, and is made anew for each `Trainer.train` and
    `Trainer.evaluate`, so that nothing has to be reset.

    Attributes:
        config: What the run was asked to do; known when the data loaders are.
        trainer: The Trainer, while the run is on.
        loop: Where it is.
        random: The states of the random number generators.
        window: The window of batches at hand.
        counts: What counts samples, items or seconds, if a plan or a limit is in them.
        norms: The norms of the epoch's gradients.
        num_recorded: How many values each metric had before the run.
        processes: The processes that it runs on.
        schedulers: The schedulers of a training run.
        scheduler_metric: Name of the metric that schedulers are stepped with.
        several: A list of optimizers as one, prepared while the run is on; ``None`` for one.
        mode: Whether the optimizer trains or shows the weights that are meant to be used.
        marks: What the modules had of their own where Accelerate has put its marks.
        was_compiled: Whether the model came compiled.
        limits: The callbacks that may limit this evaluation, which is within another run.
        exchanged: The parameters whose gradients several processes exchange.
        checkpoints: The folder that the run writes to by itself, if there is one.
        asked_for: Training states to be written when the update at hand is done.
        saved_loop: The position that was saved last, or that the run continues from.
        stopped: What has stopped the run, if it is over for that.
        plan: What is compared with the plan of a checkpoint; before, there is no state to save.
        is_on: Whether the run is on.
        is_plain: Whether the gradients need nothing of Accelerate.
        writes_shards: Whether each process writes its own part of a sharded model.
        is_sharded: Whether the model's parameters are split among the processes.
        is_enough: Whether a training epoch of the user's own has ended the run.
    """

    config: TrainerRunConfig
    trainer: Any

    def __init__(
        self,
        trainer: Any,
        schedulers: RunSchedulers,
        loop: LoopState | None = None,
        within: Run | None = None,
    ) -> None:
        if within is None:
            self.accelerator = trainer._create_accelerator()
            # Windows are counted here; Accelerate, whose launcher may set this, would divide again.
            self.accelerator.gradient_accumulation_steps = 1
            self.processes, self.mode = Processes(self.accelerator), OptimizerMode()
        else:
            self.accelerator = within.accelerator
            self.processes, self.mode = within.processes, within.mode
        self.several: Any = None if within is None else within.several
        if isinstance(trainer.optimizer, list | tuple) and within is None:
            self.several = as_one(trainer.optimizer)
        self.schedulers = schedulers
        self.scheduler_metric: str | None = None
        self.loop = LoopState() if loop is None else loop
        self.random = Randomness(self.processes.device)
        self.train_generator, self.eval_generator = EpochGenerator(), EpochGenerator()
        self.window = Window()
        self.counts: Counts | None = None
        self.norms = LossTracker()
        history = trainer.run_history
        names = history.get_metric_names() if loop is None else ()
        self.num_recorded = {name: len(history.get_metric_values(name)) for name in names}
        self.marks: list[tuple[nn.Module, dict[str, Any]]] = []
        self.was_compiled = False
        self.limits: tuple[Any, ...] = ()
        self.exchanged: set[int] | None = None
        self.checkpoints: RunCheckpoints | None = None
        self.asked_for: list[tuple[Path, dict[str, Any]]] = []
        self.saved_loop: LoopState | None = None
        self.stopped: str | None = None
        self.plan: Plan | None = None
        self.is_on = self.is_enough = False
        self.is_plain = True
        self.writes_shards = False
        self.is_sharded: bool = within is not None and within.is_sharded

    # What callbacks may use

    @property
    def optimizer(self) -> Any:
        """The optimizer without Accelerate's wrapper; a list of several as one."""
        optimizer = self.several or self.trainer.optimizer
        return getattr(optimizer, "optimizer", optimizer)

    @property
    def num_updates(self) -> int:
        """Optimizer updates done."""
        return self.loop.num_updates

    @property
    def epoch(self) -> int:
        """Epochs of the run that are done."""
        return self.loop.epoch

    @property
    def all_schedulers(self) -> list[Any]:
        """The schedulers, also if the Trainer has one or none."""
        return list(each(self.trainer.scheduler))

    @property
    def steps_schedulers(self) -> bool:
        """Whether the Trainer's own `scheduler_step` steps them, once an update."""
        return self.schedulers.are_stepped_by_updates

    @property
    def clocks(self) -> dict[str, float]:
        """Samples, items and seconds up to now, of the updates that were made, where counted."""
        names = () if self.counts is None else self.counts.names
        return {name: getattr(self.loop, name) for name in names}

    @property
    def batch(self) -> int:
        """Batches of the epoch at hand whose update is done, on each process."""
        return self.loop.batch

    @property
    def num_processes(self) -> int:
        """Number of processes."""
        return self.processes.count

    @property
    def train_loader(self) -> Any:
        """The training data loader, or ``None``; ``on_prepare_end`` may replace it."""
        return self.trainer._train_dataloader

    @train_loader.setter
    def train_loader(self, loader: Any) -> None:
        self.trainer._train_dataloader = loader

    @property
    def eval_loader(self) -> Any:
        """The evaluation data loader, or ``None``; ``on_prepare_end`` may replace it."""
        return self.trainer._eval_dataloader

    @eval_loader.setter
    def eval_loader(self, loader: Any) -> None:
        self.trainer._eval_dataloader = loader

    @property
    def checkpoint_dir(self) -> Path | None:
        """The folder that the run writes checkpoints to by itself, or ``None``."""
        return None if self.checkpoints is None else self.checkpoints.folder

    def evaluate(self, is_intermediate: bool = False) -> None:
        """Evaluate on the run's evaluation data, with all events."""
        self.trainer._run_eval_epoch(self.eval_loader, is_intermediate=is_intermediate)

    @contextmanager
    def showing(self, **attributes: Any) -> Iterator[None]:
        """Have the Trainer show other things for a while, such as another model."""
        trainer = self.trainer
        before = {name: getattr(trainer, name) for name in attributes}
        vars(trainer).update(attributes)
        try:
            yield
        finally:
            vars(trainer).update(before)

    def evaluation_weights(self) -> AbstractContextManager[None]:
        """Have the model hold the weights to be used, if the optimizer trains others."""
        return self.mode.evaluating(self.optimizer)

    def weights_are_finite(self) -> bool:
        """Return whether no weight is a NaN or infinity; all processes find the same."""
        parameters = [local(one).detach() for one in self.trainer.model.parameters()]
        if not parameters:
            return True
        # Only finite numbers have a finite sum, which takes a tenth of the time; large ones may
        # have an infinite one.
        are_finite = torch.stack([parameter.sum().isfinite() for parameter in parameters]).all()
        if not are_finite:
            are_finite = torch.stack([parameter.isfinite().all() for parameter in parameters]).all()
        # They have to decide alike, also if each holds a part of the weights.
        return bool(self.processes.sum(are_finite.float()) == self.processes.count)

    # What the loop asks

    @contextmanager
    def of(self, trainer: Any) -> Iterator[Run]:
        """Know the Trainer for a while: if it was for ever, the two would not be freed at once."""
        is_known = "trainer" in vars(self)
        self.trainer = trainer
        try:
            yield self
        finally:
            if not is_known:
                del self.trainer

    def has_reached_limit(self) -> bool:
        """Return whether the updates of the run are made, or another limit is reached."""
        limit, counts = self.config.max_num_train_steps, self.counts
        if counts is not None and counts.spent(self.loop):
            return True
        return limit is not None and self.loop.num_updates >= limit

    def is_pass_over(self) -> bool:
        """Return whether no batch of the pass is to follow."""
        loop, limit = self.loop, self.config.max_num_train_steps
        has_made_up = loop.num_repeats > 0 and not loop.num_skipped
        if self.counts is not None and self.counts.spent(loop):
            return True
        return has_made_up or (limit is not None and loop.num_updates >= limit)

    def has_skipped_updates_to_make(self) -> bool:
        """Return whether the last epoch has another pass, for updates that were skipped."""
        config, loop = self.config, self.loop
        return (
            loop.num_skipped > 0
            and loop.epoch + 1 == config.num_epochs
            and config.max_num_train_steps is not None
            and not self.has_reached_limit()
        )

    # Events, and stops in them

    def fire(self, event: str, **kwargs: Any) -> None:
        """Call an event of the callbacks."""
        trainer = self.trainer
        try:
            trainer.callback_handler.call_event(event, trainer, **kwargs)
        except StopTrainingError as stop:
            self.processes.stop = self.processes.stop or stop

    def call(self, hook: Callable[[], None]) -> None:
        """Call a method of the Trainer that is made to be overridden."""
        try:
            hook()
        except StopTrainingError as stop:
            self.processes.stop = self.processes.stop or stop

    def announce(self, hook: Callable[[], None] | None, event: str, **kwargs: Any) -> None:
        """Call a hook, then the event of the same place; then agree on whether to continue."""
        if hook is not None:
            self.call(hook)
        self.fire(event, **kwargs)
        self.processes.agree_on_stop()

    def at_end(self, call: Callable[[], None]) -> None:
        """Call what comes when a run ends anyway, so that a stop is but a message."""
        message: str | None = None
        try:
            call()
        except StopTrainingError as stop:
            message = str(stop)
        kept, self.processes.stop = self.processes.stop, None
        if message is not None or kept is not None:
            self.trainer.print(kept if message is None else message)


class NumUpdates:
    """Reads a Trainer's count; a subclass that keeps a count of its own may assign over it."""

    def __get__(self, trainer: Any, owner: type) -> int:
        num_updates: int = 0 if trainer is None else trainer._training.loop.num_updates
        return num_updates
