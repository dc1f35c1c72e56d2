"""The training loop, on Hugging Face Accelerate."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import (
    set_seed,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pytorch_accelerated import scheduling
from pytorch_accelerated.callbacks import (
    StopTrainingError,
    get_default_callbacks,
)
from pytorch_accelerated.checkpoints import scheduler_states
from pytorch_accelerated.data_loading import (
    EpochGenerator,
    accumulation_windows,
    batches_after,
    check_not_empty,
    default_num_workers,
    length,
    merge_loader_kwargs,
    tell_epoch,
)
from pytorch_accelerated.finetuning import keep_frozen_modules_in_eval
from pytorch_accelerated.loop_state import LoopState
from pytorch_accelerated.placeholders import (
    TrainerPlaceholderValues,
    replace_trainer_placeholder_values,
)
from pytorch_accelerated.preparation import Preparation
from pytorch_accelerated.processes import STOP_CHECK_INTERVAL, no_buffer_broadcast
from pytorch_accelerated.run_config import TrainerRunConfig, horizon
from pytorch_accelerated.tracking import InMemoryRunHistory, LossTracker, RunHistory
from pytorch_accelerated.user_input import (
    check_folder,
    check_loader_kwargs,
    check_positive,
    checked_batch_size,
    inputs_and_targets,
    loss_and_size,
)
from pytorch_accelerated.utils import whole_number, worker_init_fn

__all__ = [
    "DEFAULT_CALLBACKS",
    "Trainer",
    "TrainerPlaceholderValues",
    "TrainerWithTimmScheduler",
    "replace_trainer_placeholder_values",
]

DEFAULT_CALLBACKS: tuple[Any, ...] = get_default_callbacks()


class _NumUpdates:
    """Reads the loop's count; a subclass that keeps a count of its own may assign over it."""

    def __get__(self, trainer: Any, owner: type) -> int:
        num_updates: int = 0 if trainer is None else trainer._loop.num_updates
        return num_updates


class Trainer(Preparation):
    """Trains and evaluates a model; every step of the loop is a method that can be overridden.

    Launch and device settings, mixed precision and `torch.compile` come from Accelerate.

    Args:
        model: The model.
        loss_func: Takes the model's output and the target, returns the mean loss of a batch.
        optimizer: The optimizer of the model's parameters.
        callbacks: Subclasses of `TrainerCallback` that need no arguments, or instances.
        run_history: Where metrics are recorded; by default an `InMemoryRunHistory`.
        log_with: Experiment trackers for `accelerate.Accelerator`, such as ``"tensorboard"``;
            they are started and ended with each run.
        project_dir: Folder of the trackers that write files.
        project_name: Name of the project in the trackers.

    Attributes:
        model: The model; wrapped by Accelerate while a run is on.
        loss_func: The loss function.
        optimizer: The optimizer; wrapped by Accelerate while a run is on that needs it.
        callback_handler: Holds the callbacks.
        run_history: The metrics.
        run_config: The `TrainerRunConfig` of the latest run, or ``None``.
        scheduler: The scheduler of the latest run, a list of several, or ``None``.
        create_scheduler_fn: What made the scheduler, or ``None``.
        train_dataset: The training data of the latest run, or ``None``.
        eval_dataset: The evaluation data of the latest run, or ``None``.
        collate_fn: What makes a batch of samples, or ``None`` for PyTorch's own.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_func: Callable[..., Any] | None,
        optimizer: Any,
        callbacks: Iterable[Any] = DEFAULT_CALLBACKS,
        run_history: RunHistory | None = None,
        *,
        log_with: Any = None,
        project_dir: str | os.PathLike[str] | None = None,
        project_name: str = "pytorch_accelerated",
    ) -> None:
        if isinstance(loss_func, type) and issubclass(loss_func, nn.Module):
            raise TypeError(
                f"loss_func is the class {loss_func.__name__}: give an instance, "
                f"{loss_func.__name__}()"
            )
        self.model = model
        self.loss_func: Any = loss_func
        self.optimizer = optimizer
        self.run_history = InMemoryRunHistory() if run_history is None else run_history
        self.run_config: TrainerRunConfig | None = None
        self.scheduler: Any = None
        self.create_scheduler_fn: Any = None
        self.collate_fn: Callable[[list[Any]], Any] | None = None
        self.train_dataset: Any = None
        self.eval_dataset: Any = None

        self._log_with = log_with
        self._project_dir = project_dir
        self._project_name = project_name
        self._train_dataloader: Any = None
        self._eval_dataloader: Any = None
        self._train_dl_kwargs: dict[str, Any] | None = None
        self._eval_dl_kwargs: dict[str, Any] | None = None
        self._pad_uneven_eval_batches = False
        self._loss_tracker = LossTracker()
        self._norm_tracker = LossTracker()
        self._loop = LoopState()
        self._train_generator = EpochGenerator()
        self._eval_generator = EpochGenerator()
        self._window_size = 1
        self._window_items: list[Any] = []
        self._before_window: tuple[dict[str, Any], LossTracker] | None = None
        self._stop: StopTrainingError | None = None
        self._can_save_state = False
        self._is_running = False
        self._was_compiled = False
        self._marked_modules = []
        self._is_plain = True
        self._exchanged = None
        self._gradient_norm: Tensor | None = None
        self._scheduler_metric: str | None = None
        self._scheduler_state_to_load: Any = None
        self._checkpoints = None
        self._plan = None
        self._saved_loop = None
        self._own_generators = []
        self._random_at_epoch_start: dict[str, Any] = {}
        self._random_before_eval: dict[str, Any] = {}
        self._random_to_restore = None
        self._is_between_updates = True
        self._states_asked_for = []
        self._stopped = None

        self._callbacks = callbacks
        self._accelerator = self._create_accelerator()
        self.callback_handler = self._create_callback_handler()
        self._fire("on_init_end")

    # Runs

    def train(
        self,
        train_dataset: Any,
        num_epochs: int,
        eval_dataset: Any = None,
        per_device_batch_size: int = 8,
        max_num_train_steps: int | None = None,
        gradient_accumulation_steps: int = 1,
        gradient_clip_value: float | None = None,
        create_scheduler_fn: Any = None,
        train_dataloader_kwargs: dict[str, Any] | None = None,
        eval_dataloader_kwargs: dict[str, Any] | None = None,
        reset_run_history: bool = True,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        *,
        gradient_clip_norm: float | None = None,
        seed: int | None = None,
        scheduler_metric: str | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        keep_last: int | None = None,
        resume: str | os.PathLike[str] | None = None,
    ) -> None:
        """Train the model.

        The run ends after ``num_epochs`` or ``max_num_train_steps``, whichever comes first.

        Args:
            train_dataset: The training data.
            num_epochs: Number of passes over it.
            eval_dataset: Data to evaluate on after each epoch; without it there is no evaluation.
            per_device_batch_size: Batch size of one process.
            max_num_train_steps: Largest number of optimizer updates.
            gradient_accumulation_steps: Batches per optimizer update. A window of batches that
                the end of an epoch cuts short is averaged over the batches that it has.
            gradient_clip_value: Bound on each element of the gradients, which are clipped to
                [−v, v] once an update.
            create_scheduler_fn: Takes the optimizer and returns a scheduler, which is stepped
                after each optimizer update. Give a list for several schedulers. Placeholders in
                a `functools.partial` are filled in, see `TrainerPlaceholderValues`.
            train_dataloader_kwargs: Arguments for the training data loader.
            eval_dataloader_kwargs: Arguments for the evaluation data loader.
            reset_run_history: Whether to forget earlier metrics and count epochs from 1.
            collate_fn: Makes a batch of samples, for both loaders.
            resume_from: Folder written by `save_training_state`: the run that it is from goes on,
                up to the limits given here; implies ``reset_run_history=False``.
            gradient_clip_norm: Largest norm of all gradients together, applied once an update
                before ``gradient_clip_value``. The mean norm before clipping is recorded as
                ``train_grad_norm_epoch``.
            seed: Seeds Python's, NumPy's and PyTorch's generators (with the process index added),
                and the order of the training data. Without it no generator is seeded; the order
                then comes from one number drawn from PyTorch's generator.
            scheduler_metric: Name of the metric in the run history that ``ReduceLROnPlateau`` is
                stepped with at the end of each epoch's evaluation; by default
                ``eval_loss_epoch``, or ``train_loss_epoch`` without evaluation data.
            checkpoint_dir: Folder that gets a checkpoint at the run's end and on the way. On
                SIGTERM one more is saved, and the process exits with
                `pytorch_accelerated.checkpoints.PREEMPTED_EXIT_CODE`.
            checkpoint_every: Number of optimizer updates between two checkpoints; by default
                there is one at the end of each epoch.
            keep_last: How many checkpoints to keep; by default all.
            resume: What to go on from, exactly where it was: ``"auto"`` for the newest usable
                checkpoint in ``checkpoint_dir``, if there is one; or a checkpoint or a folder of
                them, for a branch that leaves that folder alone. Once ``checkpoint_dir`` holds
                checkpoints of the branch, it goes on from those.

        Raises:
            ValueError: An argument is out of range, the data is empty, a checkpoint has done more
                updates than this run is to have or is of another kind of optimizer, or
                ``checkpoint_dir`` holds those of another run.
            TypeError: An argument is of a wrong type, or ``create_scheduler_fn`` returns something
                unsuitable.
            CheckpointError: The checkpoint to go on from is incomplete or damaged.
            OSError: A checkpoint could not be written.
            RuntimeError: A run of this Trainer is on.
        """
        if self._is_running:
            raise RuntimeError(
                "train() was called while a run of this Trainer is on, by one of its callbacks or "
                "methods: call it when the run is over, or train another Trainer"
            )
        check_loader_kwargs("train_dataloader_kwargs", train_dataloader_kwargs)
        check_loader_kwargs("eval_dataloader_kwargs", eval_dataloader_kwargs)
        num_epochs = whole_number("num_epochs", num_epochs)
        per_device_batch_size = checked_batch_size(
            per_device_batch_size,
            train_dataloader_kwargs,
            *([] if eval_dataset is None else [eval_dataloader_kwargs]),
        )
        gradient_accumulation_steps = whole_number(
            "gradient_accumulation_steps", gradient_accumulation_steps
        )
        if max_num_train_steps is not None:
            max_num_train_steps = whole_number(
                "max_num_train_steps", max_num_train_steps, else_none=True
            )
        check_positive("gradient_clip_value", gradient_clip_value)
        check_positive("gradient_clip_norm", gradient_clip_norm)
        if seed is not None:
            seed = whole_number("seed", seed, at_least=0, else_none=True)

        if checkpoint_every is not None:
            checkpoint_every = whole_number("checkpoint_every", checkpoint_every, else_none=True)
        if keep_last is not None:
            keep_last = whole_number("keep_last", keep_last, else_none=True)
        check_folder("checkpoint_dir", checkpoint_dir)
        check_folder("resume_from", resume_from)
        check_folder("resume", resume, " of checkpoints, a checkpoint in one, or 'auto'")
        if checkpoint_dir is None and (checkpoint_every, keep_last) != (None, None):
            raise ValueError("checkpoint_every and keep_last need a checkpoint_dir: give one")
        if checkpoint_dir is None and resume == "auto":
            raise ValueError("resume='auto' looks for checkpoints in checkpoint_dir: give one")
        if resume is not None and resume_from is not None:
            raise ValueError(f"resume is {resume!r} and resume_from is {resume_from!r}: give one")
        folder = None if checkpoint_dir is None else Path(checkpoint_dir)
        resume = resume_from if resume is None else resume

        if self.optimizer is None or isinstance(self.optimizer, type):
            raise TypeError(
                f"optimizer is {self.optimizer!r}: training needs an optimizer, for example "
                f"torch.optim.AdamW(model.parameters())"
            )
        self.train_dataset = train_dataset
        self.eval_dataset = eval_dataset
        self.create_scheduler_fn = create_scheduler_fn
        self.collate_fn = collate_fn
        with self._run(), self._checkpoints_of_run(folder, checkpoint_every, keep_last):
            saved = self._find_state(resume, folder)
            if seed is not None:
                set_seed(seed, device_specific=True)
            self._loop = LoopState(data_seed=self._draw_data_seed(seed))
            self._train_dataloader = self.create_train_dataloader(
                batch_size=per_device_batch_size, train_dl_kwargs=train_dataloader_kwargs
            )
            if eval_dataset is not None:
                self._eval_dataloader = self.create_eval_dataloader(
                    batch_size=per_device_batch_size, eval_dl_kwargs=eval_dataloader_kwargs
                )
            self._prepare()
            check_not_empty(
                self._train_dataloader, train_dataset, "train_dataset", self._num_processes
            )
            config = self._create_run_config(
                per_device_batch_size=per_device_batch_size,
                num_epochs=num_epochs,
                gradient_accumulation_steps=gradient_accumulation_steps,
                max_num_train_steps=max_num_train_steps,
                gradient_clip_value=gradient_clip_value,
            )
            self.run_config = replace(config, gradient_clip_norm=gradient_clip_norm)
            self._plan = self._make_plan(max_num_train_steps)
            if saved is not None:
                self._take_position(saved, self._plan)
                self.run_config = replace(
                    self.run_config,
                    max_num_train_steps=horizon(
                        num_epochs,
                        config.num_update_steps_per_epoch,
                        max_num_train_steps,
                        self._loop.num_replanned,
                    ),
                )
            self._check_eval_batch_size()
            self._start_trackers()
            self._scheduler_metric = scheduler_metric
            self._start_scheduler()
            # What could not work was refused above, and has cost no metrics.
            if reset_run_history and resume_from is None:
                self.run_history.reset()
            if saved is None:
                self._loop.first_history_epoch = self.run_history.current_epoch
            else:
                self._go_on(saved, self._plan)
                if saved["stopped"] is not None and resume == "auto":
                    self._stopped = saved["stopped"]
            self._warn_of_other_lengths()
            self._run_training()

    def evaluate(
        self,
        dataset: Any = None,
        per_device_batch_size: int = 8,
        dataloader_kwargs: dict[str, Any] | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        """Evaluate the model; the loss is recorded as ``evaluation_loss``.

        The run history keeps what it has.

        A callback may call it while a run is on, on every process, say for another data set after
        each epoch: then the model is evaluated as it is at that moment, no event is fired, and
        the run goes on as if nothing had been.

        Args:
            dataset: The data; by default the evaluation data of the latest run.
            per_device_batch_size: Batch size of one process.
            dataloader_kwargs: Arguments for the data loader.
            collate_fn: Makes a batch of samples; by default that of the latest run.

        Raises:
            ValueError: There is no data.
        """
        if dataset is None and self.eval_dataset is None:
            raise ValueError("dataset is None, and no run has had evaluation data: give a dataset")
        check_loader_kwargs("dataloader_kwargs", dataloader_kwargs)
        per_device_batch_size = checked_batch_size(per_device_batch_size, dataloader_kwargs)
        is_within_run = self._is_running
        with self._evaluation_within_run() if is_within_run else self._run():
            self.eval_dataset = self.eval_dataset if dataset is None else dataset
            self.collate_fn = self.collate_fn if collate_fn is None else collate_fn
            self.train_dataset = None
            self._eval_dataloader = self.create_eval_dataloader(
                batch_size=per_device_batch_size, eval_dl_kwargs=dataloader_kwargs
            )
            if is_within_run:
                self._prepare_eval_dataloader()
                self._check_eval_batch_size()
                self._run_eval_epoch(self._eval_dataloader, is_training=False)
                return
            self._prepare()
            self.run_config = self._create_run_config(
                per_device_batch_size=per_device_batch_size,
                num_epochs=1,
                gradient_accumulation_steps=1,
                max_num_train_steps=None,
                gradient_clip_value=None,
            )
            self._check_eval_batch_size()
            self._start_trackers()
            self._run_evaluation()

    # Steps that are made to be overridden

    def create_train_dataloader(
        self, batch_size: int, train_dl_kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The loader of the whole training data; Accelerate shares it among processes later.

        Args:
            batch_size: Batch size of one process.
            train_dl_kwargs: Arguments for the loader that win over the defaults.
        """
        defaults = self.get_default_train_dl_kwargs(batch_size)
        self._train_dl_kwargs = merge_loader_kwargs(defaults, train_dl_kwargs, self.train_dataset)
        return self._dataloader("train_dataset", self._train_dl_kwargs)

    def create_eval_dataloader(
        self, batch_size: int, eval_dl_kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The loader of the whole evaluation data; Accelerate shares it among processes later.

        Args:
            batch_size: Batch size of one process.
            eval_dl_kwargs: Arguments for the loader that win over the defaults.
        """
        defaults = self.get_default_eval_dl_kwargs(batch_size)
        self._eval_dl_kwargs = merge_loader_kwargs(defaults, eval_dl_kwargs, self.eval_dataset)
        return self._dataloader("eval_dataset", self._eval_dl_kwargs)

    def _dataloader(self, name: str, kwargs: dict[str, Any]) -> Any:
        dataset = getattr(self, name)
        is_one = any(hasattr(type(dataset), method) for method in ("__getitem__", "__iter__"))
        name = self._argument(name)
        # Whoever replaces this module's DataLoader may do so with something that is no class.
        if not is_one or isinstance(dataset, (torch.utils.data.DataLoader, str, bytes)):
            raise TypeError(
                f"{name} is a {type(dataset).__name__}: give a data set; arguments for its loader "
                f"go into train_dataloader_kwargs and eval_dataloader_kwargs, and a loader of your "
                f"own is what create_train_dataloader and create_eval_dataloader may return"
            )
        check_not_empty(None, dataset, name)
        return DataLoader(**{"dataset": dataset, "collate_fn": self.collate_fn, **kwargs})

    def _argument(self, name: str) -> str:
        """What the caller knows a data set by."""
        is_evaluation_run = name == "eval_dataset" and self.train_dataset is None
        return "dataset" if is_evaluation_run else name

    def get_default_train_dl_kwargs(self, batch_size: int) -> dict[str, Any]:
        """Arguments of the training data loader if the user says nothing.

        Args:
            batch_size: Batch size of one process.
        """
        return {
            "shuffle": True,
            "pin_memory": torch.cuda.is_available(),
            "batch_size": batch_size,
            "num_workers": default_num_workers(self.train_dataset),
            "worker_init_fn": worker_init_fn,
        }

    def get_default_eval_dl_kwargs(self, batch_size: int) -> dict[str, Any]:
        """Arguments of the evaluation data loader if the user says nothing.

        Args:
            batch_size: Batch size of one process.
        """
        return {
            "shuffle": False,
            "pin_memory": torch.cuda.is_available(),
            "batch_size": batch_size,
            "num_workers": default_num_workers(self.eval_dataset),
            "worker_init_fn": worker_init_fn,
        }

    def create_scheduler(self) -> Any:
        """The scheduler of this run, or a list of several, from ``create_scheduler_fn``.

        It is called in runs that were given a ``create_scheduler_fn``.
        """
        return scheduling.make_schedulers(self, self.create_scheduler_fn)

    def training_run_start(self) -> None:
        """At the start of a training run; everything is prepared."""

    def train_epoch_start(self) -> None:
        """At the start of a training epoch; the model is in training mode."""

    def calculate_train_batch_loss(self, batch: Any) -> dict[str, Any]:
        """Pass a training batch through the model.

        Args:
            batch: What the data loader gave.

        Returns:
            A dict with ``loss``, the mean loss of the batch, and ``batch_size``, the number of
            samples that it is a mean of. Anything else reaches the callbacks, as
            ``model_outputs`` does here.

            If ``num_items_in_batch`` is there, ``loss`` is taken for a mean over so many items,
            such as tokens, and an update is made with the mean over all items of its window of
            batches, over all processes. Otherwise it is the mean of the window's batch losses.
        """
        inputs, targets = inputs_and_targets(batch)
        outputs = self.model(inputs)
        return {
            "loss": self._loss(outputs, targets),
            "model_outputs": outputs,
            "batch_size": len(targets),
        }

    def _loss(self, outputs: Any, targets: Any) -> Any:
        if self.loss_func is None:
            raise TypeError(
                "loss_func is None: give one, such as torch.nn.MSELoss(), or override "
                "calculate_train_batch_loss and calculate_eval_batch_loss"
            )
        return self.loss_func(outputs, targets)

    def backward_step(self, loss: Tensor) -> None:
        """Add the gradients of a loss.

        Args:
            loss: The loss, weighed for the window of batches that it is part of.
        """
        if self._is_plain:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._accelerator.backward(loss)

    def optimizer_step(self) -> None:
        """Update the parameters."""
        self.optimizer.step()

    def scheduler_step(self) -> None:
        """Step the scheduler; called after each optimizer update, if there is a scheduler.

        Override it for a scheduler with another way of stepping; ``num_updates`` is the number
        of updates made.
        """
        for scheduler in scheduling.each(self.scheduler):
            scheduling.step(scheduler, self._loop.num_updates)

    def optimizer_zero_grad(self) -> None:
        """Clear the gradients."""
        self.optimizer.zero_grad()

    def train_epoch_end(self) -> None:
        """At the end of a training epoch."""

    def eval_epoch_start(self) -> None:
        """At the start of an evaluation epoch; the model is in evaluation mode."""

    def calculate_eval_batch_loss(self, batch: Any) -> dict[str, Any]:
        """Pass an evaluation batch through the model; no gradients are recorded.

        Args:
            batch: What the data loader gave.

        Returns:
            As in `calculate_train_batch_loss`.
        """
        with torch.no_grad():
            inputs, targets = inputs_and_targets(batch)
            outputs = self.model(inputs)
            return {
                "loss": self._loss(outputs, targets),
                "model_outputs": outputs,
                "batch_size": len(targets),
            }

    def eval_epoch_end(self) -> None:
        """At the end of an evaluation epoch."""

    def training_run_epoch_end(self) -> None:
        """After an epoch's training and evaluation."""

    def training_run_end(self) -> None:
        """At the end of a training run; ``model`` is the bare one again."""

    def evaluation_run_start(self) -> None:
        """At the start of an evaluation run; everything is prepared."""

    def evaluation_run_end(self) -> None:
        """At the end of an evaluation run; ``model`` is the bare one again."""

    num_updates: Any = _NumUpdates()
    """Number of optimizer updates that the latest training run has made."""

    # The training run

    def _run_training(self) -> None:
        self._run_until_stopped(self._train_epochs, self.training_run_end, "on_training_run_end")

    def _train_epochs(self) -> None:
        self.optimizer_zero_grad()
        self._announce(self.training_run_start, "on_training_run_start")
        self._restore_random_if_due(in_epoch=False)
        if self._stopped is not None:
            self.print(f"the run is over, it was stopped: {self._stopped}")
        else:
            try:
                self._train_epochs_left()
            except StopTrainingError as stop:
                self._leave_window()
                self._save_states_asked_for()
                self._save_at_end(stopped=str(stop))
                raise
            self._save_at_end()
        if self._random_to_restore is not None:  # of a run that had nothing left to do
            self._put_random_state(self._random_to_restore)
            self._random_to_restore = None
        if self.eval_dataset is not None:
            self.model.eval()

    def _train_epochs_left(self) -> None:
        config, loop = self._config, self._loop
        while loop.epoch < config.num_epochs and (loop.in_epoch or not self._has_reached_limit()):
            # A run may go on from the middle of what comes after the batches.
            is_evaluated = loop.is_evaluated
            is_limit_reached = self._has_reached_limit()
            if loop.is_trained:
                self._restore_random_if_due(in_epoch=True)
            else:
                is_limit_reached = self._run_train_epoch(self._train_dataloader)
            if self.eval_dataset is not None and not is_evaluated:
                self._random_before_eval = self._random_state()
                self._run_eval_epoch(self._eval_dataloader)
                self._random_before_eval = {}
            loop.end_epoch()
            self._step_schedulers_at_epoch_end()
            try:
                self._announce(self.training_run_epoch_end, "on_training_run_epoch_end")
            finally:
                self.run_history.increment_epoch()
            if is_limit_reached and loop.epoch < config.num_epochs:
                self.print(f"max_num_train_steps is reached: {loop.num_updates} updates")
            self._after_epoch()
            if is_limit_reached:
                return

    def _run_train_epoch(self, train_dl: Any) -> bool:
        """Train for an epoch; returns whether the limit on updates is reached."""
        self.model.train()
        keep_frozen_modules_in_eval(self.model)
        if self._loop.batch == 0:
            self._loss_tracker.reset()
            self._norm_tracker.reset()
        self._loop.in_epoch = True
        self._loop.go_on_with_epoch()
        self._announce(self.train_epoch_start, "on_train_epoch_start")
        self._check_nothing_was_unfrozen()
        self._train_batches(train_dl)
        self._agree_on_stop()

        self._hook(self.train_epoch_end)
        self.run_history.update_metric("train_loss_epoch", self._mean(self._loss_tracker))
        if self._norm_tracker.running_count:
            norm = self._norm_tracker.average
            self.run_history.update_metric("train_grad_norm_epoch", norm)
        self._loop.is_trained = True
        self._announce(None, "on_train_epoch_end")
        return self._has_reached_limit()

    def _train_batches(self, train_dl: Any) -> None:
        """Go through the batches, from the loop's position to the epoch's end or the limit.

        The last epoch goes on with another pass for as many updates as mixed precision skipped.
        """
        loop = self._loop
        # A run that went on from within a second pass may have more epochs now.
        if not loop.num_repeats or self._has_skipped_updates_to_make():
            self._train_pass(train_dl)
        while self._has_skipped_updates_to_make():
            loop.repeat_epoch()
            num_updates = loop.num_updates
            self._train_pass(train_dl)
            if loop.num_updates == num_updates:
                warnings.warn(
                    f"the run ends after {num_updates} of {self._config.max_num_train_steps} "
                    f"updates: mixed precision skips all, since no gradient is finite",
                    stacklevel=2,
                )
                break
        self._restore_random_if_due(in_epoch=True)
        was_whole = loop.num_repeats or loop.batch == length(train_dl)
        loop.is_cut_short = self._has_reached_limit() and not was_whole

    def _has_skipped_updates_to_make(self) -> bool:
        config, loop = self._config, self._loop
        return (
            loop.num_skipped > 0
            and loop.epoch + 1 == config.num_epochs
            and config.max_num_train_steps is not None
            and not self._has_reached_limit()
        )

    def _is_pass_over(self) -> bool:
        """Whether no batch of the pass is to follow."""
        loop = self._loop
        return self._has_reached_limit() or (loop.num_repeats > 0 and not loop.num_skipped)

    def _train_pass(self, train_dl: Any) -> None:
        """Go through the batches that are left of a pass over the data."""
        loop, steps = self._loop, self._config.gradient_accumulation_steps
        is_alone = self._num_processes == 1
        if self._is_pass_over():
            return
        loader = self._batches_left(train_dl)
        windows = accumulation_windows(loader, steps, first_batch=loop.batch)
        self._remember_before_window()
        for step, batch, self._window_size, completes_window in windows:
            if completes_window or is_alone:
                batch_output = self._perform_forward_and_backward_passes(batch, step)
            else:
                with self._accelerator.no_sync(self.model):
                    batch_output = self._perform_forward_and_backward_passes(batch, step)
            was_updated = completes_window and self._update(step)
            self._fire("on_train_step_end", batch=batch, batch_output=batch_output, step=step)
            self._is_between_updates = completes_window
            if was_updated:
                self._fire("on_update_end")
            if completes_window:
                self._save_states_asked_for()
                if not is_alone and loop.batch // steps % STOP_CHECK_INTERVAL == 0:
                    self._agree_on_stop()
                self._after_update(was_updated)
                if self._is_pass_over():
                    break
                self._remember_before_window()
        else:
            if not self._is_between_updates:  # the loader has fewer batches than its length says
                self.optimizer_zero_grad()
                self._window_items = []
                self._is_between_updates = True
                loop.batch = step + 1
                self._save_states_asked_for()
        self._before_window = None

    def _remember_before_window(self) -> None:
        """Keep what a window of several batches changes, as a stop may come within it."""
        if self._checkpoints is not None and self._config.gradient_accumulation_steps > 1:
            self._before_window = self._random_state(), copy.deepcopy(self._loss_tracker)

    def _leave_window(self) -> None:
        """Go back to the last update that was made, if a stop came within the next one."""
        if self._before_window is not None:
            random_state, self._loss_tracker = self._before_window
            self._put_random_state(random_state)
        self._before_window = None
        self._is_between_updates = True

    def _batches_left(self, train_dl: Any) -> Any:
        """The batches of the epoch at hand from the loop's position on."""
        loop = self._loop
        if loop.batch:
            # The order may have been drawn from any generator.
            current = self._random_state()
            self._put_random_state(self._random_at_epoch_start or current)
        else:
            self._random_at_epoch_start = self._random_state()
        self._train_generator.manual_seed(loop.epoch_seed())
        tell_epoch(train_dl, loop.data_epoch)
        self._before_workers_start(train_dl)
        if not loop.batch:
            return train_dl
        left = batches_after(train_dl, loop.batch)
        self._put_random_state(current)
        self._restore_random_if_due(in_epoch=True)
        return left

    def _perform_forward_and_backward_passes(self, batch: Any, step: int) -> dict[str, Any]:
        """Add the gradients of a batch; returns what `calculate_train_batch_loss` did."""
        self._is_between_updates = False
        self._fire("on_train_step_start")
        batch_output = self.calculate_train_batch_loss(batch)
        loss = self._track_loss(batch_output, "calculate_train_batch_loss")
        if not loss.requires_grad:
            raise ValueError(
                "the loss that calculate_train_batch_loss returned has no gradient, so nothing "
                "can be learned from it: is every parameter frozen, or was it made under "
                "torch.no_grad(), by detach() or from item()?"
            )
        self.backward_step(self._weighed(loss, batch_output.get("num_items_in_batch")))
        return batch_output

    def _weighed(self, loss: Tensor, num_items: Any) -> Tensor:
        """The loss, such that the gradients of a window add up to those of its mean loss."""
        if num_items is None:
            return loss if self._window_size == 1 else loss / self._window_size
        if self._window_size == 1 and self._num_processes == 1:
            return loss
        # The window's items are known only at its end: `_divide_by_items` divides by them.
        self._window_items.append(num_items)
        weighed: Tensor = loss * num_items
        return weighed

    def _update(self, step: int) -> bool:
        """Make an optimizer update with the gradients of a window; returns whether it was made.

        Mixed precision skips an update whose gradients are not finite.
        """
        config, loop = self._config, self._loop
        if self._window_items:
            self._divide_by_items()
        if config.gradient_clip_value is not None or config.gradient_clip_norm is not None:
            self._clip_gradients()
        self.optimizer_step()
        loop.batch, self._before_window = step + 1, None
        was_made: bool = not self._accelerator.optimizer_step_was_skipped
        if loop.num_repeats == 0:
            loop.num_skipped += not was_made
        else:
            loop.num_skipped -= was_made
        if was_made:
            loop.num_updates += 1
            if self._gradient_norm is not None:
                self._norm_tracker.update(self._gradient_norm)
            try:
                self._fire("on_optimizer_step_end")
            finally:
                # No error or stop of a callback's may part the schedule from the updates.
                if self.scheduler is not None:
                    self.scheduler_step()
        self.optimizer_zero_grad()
        return was_made

    def _divide_by_items(self) -> None:
        """Divide the gradients by the items of the window over all processes."""
        items, self._window_items = self._window_items, []
        if len(items) != self._window_size:
            raise ValueError(
                f"num_items_in_batch was given for {len(items)} of the {self._window_size} "
                f"batches of an update: give it for all or none"
            )
        total = torch.as_tensor(sum(items), device=self.device)
        if self._num_processes > 1:
            total = self._accelerator.reduce(total)
        # Distributed training has averaged the gradients over the processes. Without items they
        # are 0 already.
        factor = self._num_processes / torch.where(total > 0, total, 1)
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    def _clip_gradients(self) -> None:
        """Clip the gradients by norm, then by value."""
        norm, value = self._config.gradient_clip_norm, self._config.gradient_clip_value
        if norm is not None:
            self._gradient_norm = self._accelerator.clip_grad_norm_(self.model.parameters(), norm)
        if value is not None and norm is None:
            self._accelerator.clip_grad_value_(self.model.parameters(), value)
        elif value is not None:
            # Clipping by norm has unscaled the gradients, which may be done once only.
            nn.utils.clip_grad_value_(self.model.parameters(), value)

    def _has_reached_limit(self) -> bool:
        limit = self._config.max_num_train_steps
        return limit is not None and self._loop.num_updates >= limit

    def _warn_of_other_lengths(self) -> None:
        """Say once that a schedule is not as long as the run, which looks like a mistake."""
        horizon = self._config.max_num_train_steps
        # A step of one's own may count something else than updates.
        counts_updates = type(self).scheduler_step in (
            Trainer.scheduler_step,
            TrainerWithTimmScheduler.scheduler_step,
        )
        if horizon is None or not counts_updates or not self._accelerator.is_main_process:
            return
        for line in scheduling.length_mismatches(self.scheduler, self._loop.num_updates, horizon):
            warnings.warn(line, stacklevel=3)

    def _step_schedulers_at_epoch_end(self) -> None:
        """Step the schedulers that wait for a metric."""
        if self.scheduler is not None:
            default = "train_loss_epoch" if self.eval_dataset is None else "eval_loss_epoch"
            metric = self._scheduler_metric or default
            scheduling.step_on_metric(self.scheduler, self.run_history, metric)

    # The evaluation run

    def _run_evaluation(self) -> None:
        self._run_until_stopped(
            self._evaluate_once, self.evaluation_run_end, "on_evaluation_run_end"
        )

    def _evaluate_once(self) -> None:
        self._announce(self.evaluation_run_start, "on_evaluation_run_start")
        self._run_eval_epoch(self._eval_dataloader, is_training=False)
        self.model.eval()

    def _run_eval_epoch(
        self, valid_dl: Any, is_training: bool = True, is_intermediate: bool = False
    ) -> None:
        """Evaluate for an epoch; each module then returns to the mode that it was in."""
        modes = [(module, module.training) for module in self.model.modules()]
        outer_tracker, self._loss_tracker = self._loss_tracker, LossTracker()
        try:
            self.model.eval()
            with no_buffer_broadcast(self.model):
                self._announce(
                    self.eval_epoch_start, "on_eval_epoch_start", is_intermediate=is_intermediate
                )
                self._evaluate_batches(valid_dl)
                self._agree_on_stop()
                self._hook(self.eval_epoch_end)
                name = "eval_loss_epoch" if is_training else "evaluation_loss"
                name = "intermediate_eval_loss" if is_intermediate else name
                self.run_history.update_metric(name, self._mean(self._loss_tracker))
                if is_training and not is_intermediate:
                    self._loop.is_evaluated = self._loop.is_trained
                self._announce(None, "on_eval_epoch_end", is_intermediate=is_intermediate)
        finally:
            self._loss_tracker = outer_tracker
            for module, was_training in modes:
                module.training = was_training

    def _evaluate_batches(self, valid_dl: Any) -> None:
        """Go through the batches, whose number may differ between processes."""
        self._eval_generator.manual_seed(self._loop.epoch_seed())
        self._before_workers_start(valid_dl)
        for batch in valid_dl:
            self._fire("on_eval_step_start")
            with torch.no_grad():
                batch_output = self.calculate_eval_batch_loss(batch)
            self._track_loss(batch_output, "calculate_eval_batch_loss")
            self._fire("on_eval_step_end", batch=batch, batch_output=batch_output)
            if self._stop is not None:
                return

    def _track_loss(self, batch_output: dict[str, Any], source: str) -> Tensor:
        """Add the loss of a batch to those of the epoch."""
        loss, batch_size = loss_and_size(batch_output, source)
        self._loss_tracker.update(loss, batch_size)
        return loss


class TrainerWithTimmScheduler(Trainer):
    """A Trainer for schedulers of the timm kind.

    Such a scheduler is told the number of updates after each one, and the number of epochs done
    at the end of each training epoch; it decides which of the two it goes by. Others that are in
    a list with it are stepped as in `Trainer`.
    """

    def scheduler_step(self) -> None:
        """Tell each scheduler the number of updates made."""
        for scheduler in scheduling.each(self.scheduler):
            if scheduling.is_of_timm_kind(scheduler):
                scheduler.step_update(num_updates=self.num_updates)
            else:
                scheduling.step(scheduler, self.num_updates)

    def _step_schedulers_at_epoch_end(self) -> None:
        super()._step_schedulers_at_epoch_end()
        for scheduler in scheduling.each(self.scheduler):
            if scheduling.is_of_timm_kind(scheduler):
                scheduler.step(self._loop.epoch)

    def _position_for_schedulers(self, loop: LoopState, is_new: bool) -> scheduler_states.Position:
        position = super()._position_for_schedulers(loop, is_new)
        return replace(position, epochs_told=loop.epoch)
