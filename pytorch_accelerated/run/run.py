"""Everything that lives for one run of a Trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_accelerated.callbacks.base import StopTrainingError
from pytorch_accelerated.checkpoints.writer import Questions, RunCheckpoints
from pytorch_accelerated.run.data import EpochGenerator
from pytorch_accelerated.run.loop_state import LoopState, Stage
from pytorch_accelerated.run.plan import Plan
from pytorch_accelerated.run.processes import STOP_CHECK_INTERVAL, Processes
from pytorch_accelerated.run.randomness import Randomness
from pytorch_accelerated.run.schedulers import RunSchedulers
from pytorch_accelerated.run.window import Window
from pytorch_accelerated.run.wrapping import Wrapping
from pytorch_accelerated.run_config import TrainerRunConfig
from pytorch_accelerated.tracking import LossTracker


class Run:
    """One training or evaluation run.

    The Trainer has what people know and may exchange: model, optimizer, scheduler, data loaders,
    callbacks and histories. A run has all else, and is made anew for each `Trainer.train` and
    `Trainer.evaluate`, so that nothing has to be reset.

    Attributes:
        config: What the run was asked to do; known when the data loaders are.
        loop: Where it is.
        processes: The processes that it runs on.
        wrapping: What Accelerate has put around the model.
        schedulers: The schedulers of a training run.
        window: The window of batches at hand.
        norms: The norms of the epoch's gradients.
        random: The states of the random number generators.
        checkpoints: The folder that the run writes to by itself, if there is one.
        questions: When to ask the other processes whether one was told to leave.
        asked_for: Training states to be written when the update at hand is done.
        saved_loop: The position that was saved last, or that the run continues from.
        stopped: What has stopped the run, if it is over for that.
        plan: What is compared with the plan of a checkpoint.
        is_on: Whether the run is on.
        is_plain: Whether the gradients need nothing of Accelerate.
        is_enough: Whether a training epoch of the user's own has ended the run.
        scheduler_metric: Name of the metric that schedulers are stepped with.
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
        self.schedulers = schedulers
        self.loop = LoopState() if loop is None else loop
        if within is None:
            self.accelerator = trainer._create_accelerator()
            # Windows are counted here; Accelerate, whose launcher may set this, would divide again.
            self.accelerator.gradient_accumulation_steps = 1
            self.processes = Processes(self.accelerator)
            self.wrapping = Wrapping(self.accelerator, trainer.model)
        else:
            self.accelerator, self.processes = within.accelerator, within.processes
            self.wrapping = within.wrapping
        self.train_generator, self.eval_generator = EpochGenerator(), EpochGenerator()
        self.window = Window()
        self.norms = LossTracker()
        self.random = Randomness(self.processes.device)
        self.checkpoints: RunCheckpoints | None = None
        self.questions = Questions(STOP_CHECK_INTERVAL)
        self.asked_for: list[tuple[Path, dict[str, Any]]] = []
        self.saved_loop: LoopState | None = None
        self.stopped: str | None = None
        self.plan: Plan | None = None
        self.is_on = self.is_prepared = self.is_enough = False
        self.is_plain = True
        self.scheduler_metric: str | None = None

    # What callbacks may use

    @property
    def num_updates(self) -> int:
        """Optimizer updates done."""
        return self.loop.num_updates

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
        """The training data loader, or ``None``."""
        return self.trainer._train_dataloader

    @train_loader.setter
    def train_loader(self, loader: Any) -> None:
        self.trainer._train_dataloader = loader

    @property
    def eval_loader(self) -> Any:
        """The evaluation data loader, or ``None``."""
        return self.trainer._eval_dataloader

    @eval_loader.setter
    def eval_loader(self, loader: Any) -> None:
        self.trainer._eval_dataloader = loader

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

    def weights_are_finite(self) -> bool:
        """Whether no weight is a NaN or infinity; all processes find the same."""
        return self.processes.weights_are_finite(self.trainer.model)

    # Of a Trainer

    @contextmanager
    def of(self, trainer: Any) -> Iterator[Run]:
        """Know the Trainer for a while: if it was for ever, the two would not be freed at once."""
        self.trainer = trainer
        try:
            yield self
        finally:
            del self.trainer

    def unwrap(self) -> None:
        """Hand the model back as it came."""
        self.trainer.model = self.wrapping.off(self.trainer.model)

    def set_config(self, config: TrainerRunConfig) -> None:
        """Take a description of the run, and show it."""
        self.config = self.trainer.run_config = config

    # While it is on

    def has_reached_limit(self) -> bool:
        """Whether the updates of the run are made."""
        limit = self.config.max_num_train_steps
        return limit is not None and self.loop.num_updates >= limit

    def is_over(self) -> bool:
        """Whether no epoch is to come, nor the rest of one."""
        loop = self.loop
        is_enough = self.is_enough or self.has_reached_limit()
        return loop.epoch >= self.config.num_epochs or (loop.stage is Stage.BEGIN and is_enough)

    def has_skipped_updates_to_make(self) -> bool:
        """Whether the last epoch has to go on for updates that mixed precision skipped."""
        config, loop = self.config, self.loop
        return (
            loop.num_skipped > 0
            and loop.epoch + 1 == config.num_epochs
            and config.max_num_train_steps is not None
            and not self.has_reached_limit()
        )

    def is_pass_over(self) -> bool:
        """Whether no batch of the pass is to follow."""
        loop = self.loop
        return self.has_reached_limit() or (loop.num_repeats > 0 and not loop.num_skipped)

    def fire(self, event: str, **kwargs: Any) -> None:
        """Call an event of the callbacks."""
        trainer = self.trainer
        try:
            trainer.callback_handler.call_event(event, trainer, **kwargs)
        except StopTrainingError as stop:
            self.processes.keep_stop(stop)

    def hook(self, hook: Callable[[], None]) -> None:
        """Call a method of the Trainer that is made to be overridden."""
        try:
            hook()
        except StopTrainingError as stop:
            self.processes.keep_stop(stop)

    def announce(self, hook: Callable[[], None] | None, event: str, **kwargs: Any) -> None:
        """Call a hook, then the event of the same place; then agree on whether to continue."""
        if hook is not None:
            self.hook(hook)
        self.fire(event, **kwargs)
        self.processes.agree_on_stop()

    def at_end(self, call: Callable[[], None]) -> None:
        """Call what comes when a run ends anyway, so that a stop is but a message."""
        stop: StopTrainingError | None = None
        try:
            call()
        except StopTrainingError as error:
            stop = error
        stop, self.processes.stop = stop or self.processes.stop, None
        if stop is not None:
            self.trainer.print(stop)
