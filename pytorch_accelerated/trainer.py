"""The Trainer: what people call, and what they override."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pytorch_accelerated import checks, run_config
from pytorch_accelerated.callbacks import get_default_callbacks
from pytorch_accelerated.placeholders import (
    TrainerPlaceholderValues,
    replace_trainer_placeholder_values,
)
from pytorch_accelerated.run import (
    accelerating,
    assembling,
    checkpointing,
    data,
    evaluating,
    gradients,
    loop,
    preparing,
    processes,
    single_file,
    windows,
)
from pytorch_accelerated.run.run import NumUpdates, Run
from pytorch_accelerated.run.schedulers import RunSchedulers, make_schedulers
from pytorch_accelerated.schedulers.optimizers import as_one
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.tracking import InMemoryRunHistory, LossTracker, RunHistory

__all__ = [
    "DEFAULT_CALLBACKS",
    "Trainer",
    "TrainerPlaceholderValues",
    "TrainerWithTimmScheduler",
    "replace_trainer_placeholder_values",
]

DEFAULT_CALLBACKS: tuple[Any, ...] = get_default_callbacks()


class Trainer:
    """Trains and evaluates a model; every step of the loop is a method that can be overridden.

    Launch and device settings, mixed precision and `torch.compile` come from Accelerate.

    Args:
        model: The model.
        loss_func: Takes the model's output and the target, returns the mean loss of a batch.
        optimizer: The optimizer of the model's parameters, or a list of several, which are
            stepped, cleared, clipped, saved and prepared together.
        callbacks: Subclasses of `TrainerCallback` that need no arguments, or instances.
        run_history: Where metrics are recorded; by default an `InMemoryRunHistory`.
        log_with: Experiment trackers for `accelerate.Accelerator`, such as ``"tensorboard"``;
            they are started and ended with each run.
        project_dir: Folder of the trackers that write files.
        project_name: Name of the project in the trackers.
        metrics: What evaluations compute, by name: functions of outputs and targets, whose mean
            over samples is recorded as ``eval_name``, or metrics for a `TorchMetricsCallback`.
        mixed_precision: ``"bf16"``, ``"fp16"``, ``"fp8"`` or ``"no"``; by default the launcher's.
        device: The device that this process has to get, such as ``"cpu"``; by default any.
        compile: Whether to compile the model while a run is on, or arguments of `torch.compile`.

    Attributes:
        model: The model; wrapped by Accelerate while a run is on.
        loss_func: The loss function.
        optimizer: The optimizer; wrapped by Accelerate while a run is on that needs it. A list is
            what it was all the time.
        callback_handler: Holds the callbacks.
        run_history: The metrics.
        run_config: The `TrainerRunConfig` of the latest run, or ``None``.
        scheduler: The scheduler of the latest run, a list of several, or ``None``.
        create_scheduler_fn: What made the scheduler, or ``None``.
        train_dataset: The training data of the latest run, or ``None``.
        eval_dataset: The evaluation data of the latest run, or ``None``.
        collate_fn: What makes a batch of samples, or ``None`` for PyTorch's own.
        run: The latest run; between runs it tells how the last one ended.
    """

    # Whether schedulers of the timm kind are told the numbers of updates and of epochs.
    _tells_epochs = False

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
        metrics: Mapping[str, Any] | None = None,
        mixed_precision: str | None = None,
        device: str | torch.device | None = None,
        compile: bool | Mapping[str, Any] = False,
    ) -> None:
        self.model = model
        self.loss_func: Any = loss_func
        self.optimizer = optimizer
        self.run_history = InMemoryRunHistory() if run_history is None else run_history
        run_config.check_kinds(loss_func=loss_func, run_history=self.run_history)
        self.run_config: run_config.TrainerRunConfig | None = None
        self.scheduler: Any = None
        self.create_scheduler_fn: Any = None
        self.collate_fn: Callable[[list[Any]], Any] | None = None
        self.train_dataset: Any = None
        self.eval_dataset: Any = None
        self._callbacks = callbacks
        self._log_with, self._project_dir, self._project_name = log_with, project_dir, project_name
        self._metrics = metrics
        self._mixed_precision = accelerating.checked_precision(mixed_precision)
        self._asked_device = accelerating.checked_device(device)
        self._compile = accelerating.checked_compile(compile)
        self._train_dataloader: Any = None
        self._eval_dataloader: Any = None
        self._train_dl_kwargs: dict[str, Any] | None = None
        self._eval_dl_kwargs: dict[str, Any] | None = None
        self._pad_uneven_eval_batches = False
        self._loss_tracker = LossTracker()
        self._scheduler_state_to_load: Any = None

        self.run = self._training = self._new_run()
        self._accelerator = self.run.accelerator
        self.callback_handler = self._create_callback_handler()
        self.callback_handler.call_event("on_init_end", self)

    def _new_run(self, loop: Any = None, within: Run | None = None) -> Run:
        is_ours = type(self).scheduler_step is Trainer.scheduler_step
        return Run(self, RunSchedulers(self._tells_epochs, is_ours), loop, within)

    # Runs

    def train(
        self,
        train_dataset: Any,
        num_epochs: int,
        eval_dataset: Any = None,
        per_device_batch_size: int = 8,
        max_num_train_steps: int | None = None,
        gradient_accumulation_steps: int | Schedule | str = 1,
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
        checkpoint_sharded: bool = False,
        resume: str | os.PathLike[str] | None = None,
        max_samples: int | None = None,
        max_items: int | None = None,
        max_time: float | str | None = None,
    ) -> RunHistory:
        """Train the model; return the run history.

        The run ends after ``num_epochs``, ``max_num_train_steps``, ``max_samples``, ``max_items``
        or ``max_time``, whichever comes first.

        Args:
            train_dataset: The training data, or a ``DataLoader`` with one process's batches, which
                counts instead of the arguments about batches.
            num_epochs: Number of passes over it.
            eval_dataset: Data to evaluate on after each epoch, or a ``DataLoader``; without it
                there is no evaluation.
            per_device_batch_size: Batch size of one process.
            max_num_train_steps: Largest number of optimizer updates.
            gradient_accumulation_steps: Batches per optimizer update. A window of batches that
                the end of an epoch cuts short is averaged over the batches that it has. A schedule
                of whole numbers, also as text, has as many as it says of each update:
                ``milestones({500: 2.0, 1_000: 4.0})``. Updates that mixed precision skips count
                there, so the number of updates is known before the run.
            gradient_clip_value: Bound on each element of the gradients, which are clipped to
                [−v, v] once an update.
            create_scheduler_fn: Takes the optimizer, or the list of them, and returns a scheduler,
                which is stepped after each optimizer update. Give a list for several schedulers.
                Placeholders in a `functools.partial` are filled in, see
                `TrainerPlaceholderValues`.
            train_dataloader_kwargs: Arguments for the training data loader.
            eval_dataloader_kwargs: Arguments for the evaluation data loader.
            reset_run_history: Whether to forget earlier metrics and count epochs from 1.
            collate_fn: Makes a batch of samples, for both loaders.
            resume_from: Folder written by `save_training_state`: continues the run that it is from,
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
            checkpoint_sharded: Whether each process writes its own part of a sharded model, all at
                the same time, also in `save_training_state`; by default the first process gathers
                the model and writes it. Both resume on any number of processes.
            resume: What to continue from, exactly where it was: ``"auto"`` for the newest usable
                checkpoint in ``checkpoint_dir``, if there is one; or a checkpoint or a folder of
                them, for a branch that leaves that folder alone. Once ``checkpoint_dir`` holds
                checkpoints of the branch, it continues from those.
            max_samples: The run ends with the update that makes it so many samples, over all
                processes; updates that were skipped count for nothing.
            max_items: The same for items, such as tokens: what ``num_items_in_batch`` counts.
            max_time: The same for whole seconds, or text such as ``"5min"``, by `seconds`.
                A run that continues goes on from the time that its updates had taken.

        Raises:
            ValueError: An argument is out of range, the data is empty, a checkpoint has done more
                updates than this run is to have or is of another kind of optimizer, or
                ``checkpoint_dir`` holds those of another run.
            TypeError: An argument is of a wrong type, or ``create_scheduler_fn`` returns something
                unsuitable.
            CheckpointError: The checkpoint to continue from is incomplete or damaged.
            OSError: A checkpoint could not be written.
            RuntimeError: A run of this Trainer is on.
        """
        if self.run.is_on or self._training.is_on:
            raise RuntimeError(
                "train() was called while a run of this Trainer is on: call it when that is over"
            )
        loader_kwargs = {"train_dataloader_kwargs": train_dataloader_kwargs}
        if eval_dataset is not None or eval_dataloader_kwargs is not None:
            loader_kwargs["eval_dataloader_kwargs"] = eval_dataloader_kwargs
        per_device_batch_size = run_config.batch_size(per_device_batch_size, **loader_kwargs)
        num_epochs = checks.whole("num_epochs", num_epochs, 1)
        max_num_train_steps = run_config.optional_count("max_num_train_steps", max_num_train_steps)
        steps = windows.checked(gradient_accumulation_steps)
        # An infinite bound only has the gradients measured.
        if gradient_clip_value not in (None, math.inf):
            checks.positive("gradient_clip_value", gradient_clip_value)
        if gradient_clip_norm not in (None, math.inf):
            checks.positive("gradient_clip_norm", gradient_clip_norm)
        seed = run_config.optional_count("seed", seed, 0)
        limits = run_config.limits(max_samples, max_items, max_time)
        checkpoint_every = run_config.optional_count("checkpoint_every", checkpoint_every)
        keep_last = run_config.optional_count("keep_last", keep_last)
        folder = run_config.checkpoint_folder(
            checkpoint_dir, checkpoint_every, keep_last, resume, resume_from
        )
        run_config.check_kinds(
            model=self.model,
            optimizer=self.optimizer,
            collate_fn=collate_fn,
            scheduler_metric=scheduler_metric,
        )
        self.train_dataset = train_dataset
        self.eval_dataset = eval_dataset
        self.create_scheduler_fn = create_scheduler_fn
        self.collate_fn = collate_fn
        run = self.run = self._training = self._new_run()
        run.writes_shards = checkpoint_sharded
        with preparing.on(run, self), checkpointing.to(run, folder, checkpoint_every, keep_last):
            # A folder of that name is meant by resume_from="auto".
            start = resume if resume_from is None else Path(resume_from)
            saved = checkpointing.find(run, start, folder)
            preparing.seed_all(run, seed)
            self._train_dataloader = self.create_train_dataloader(
                batch_size=per_device_batch_size, train_dl_kwargs=train_dataloader_kwargs
            )
            if eval_dataset is not None:
                preparing.make_eval_loader(run, per_device_batch_size, eval_dataloader_kwargs)
            preparing.prepare(run)
            config = self._create_run_config(
                per_device_batch_size=per_device_batch_size,
                num_epochs=num_epochs,
                gradient_accumulation_steps=steps,
                max_num_train_steps=max_num_train_steps,
                gradient_clip_value=gradient_clip_value,
            )
            preparing.make_plan(run, config, gradient_clip_norm, max_num_train_steps, saved, limits)
            if self._log_with is not None:
                preparing.start_trackers(run)
            run.scheduler_metric = scheduler_metric
            keeps_history = not reset_run_history or resume_from is not None
            preparing.take_up(run, saved, keeps_history, remembers_stop=resume == "auto")
            self._run_training()
        return self.run_history

    def evaluate(
        self,
        dataset: Any = None,
        per_device_batch_size: int = 8,
        dataloader_kwargs: dict[str, Any] | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> dict[str, Any]:
        """Evaluate the model; the loss is recorded as ``evaluation_loss``.

        The run history keeps what it has; what it gets is returned, by the same names.

        A callback may call it while a run is on, on every process, say for another data set after
        each epoch: then the model is evaluated as it is at that moment, no event is fired, only
        the Trainer's own metrics are computed, and the run continues as if nothing had been.

        Args:
            dataset: The data, or a ``DataLoader``; by default the evaluation data of the last run.
            per_device_batch_size: Batch size of one process.
            dataloader_kwargs: Arguments for the data loader.
            collate_fn: Makes a batch of samples; by default that of the latest run.

        Raises:
            ValueError: There is no data.
        """
        return evaluating.evaluate(
            self, dataset, per_device_batch_size, dataloader_kwargs, collate_fn
        )

    def predict(
        self,
        dataset: Any,
        per_device_batch_size: int = 8,
        dataloader_kwargs: dict[str, Any] | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
    ) -> Any:
        """Return what the model says of a data set, in its order, on the CPU of every process.

        Tensors that `predict_batch` returns are joined along their first dimension, within tuples
        and dicts, too; lists have an entry for each sample. No event of evaluation is fired.

        Args:
            dataset: The data, with or without targets; or a ``DataLoader`` that does not shuffle.
            per_device_batch_size: Batch size of one process.
            dataloader_kwargs: Arguments for the data loader.
            collate_fn: Makes a batch of samples; by default that of the latest run.

        Raises:
            ValueError: The order of the data is not known, or the outputs do not fit together.
            TypeError: A batch is a dict, for which `predict_batch` has to be overridden.
        """
        return evaluating.predict(
            self, dataset, per_device_batch_size, dataloader_kwargs, collate_fn
        )

    # Steps that are made to be overridden

    def create_train_dataloader(
        self, batch_size: int, train_dl_kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The loader of the whole training data; Accelerate shares it among processes later.

        Args:
            batch_size: Batch size of one process.
            train_dl_kwargs: Arguments for the loader that win over the defaults.
        """
        dataset = self.train_dataset
        if data.is_loader(dataset):
            self._train_dl_kwargs = data.kwargs_of(dataset, train_dl_kwargs, "train_dataset")
            return dataset
        defaults = self.get_default_train_dl_kwargs(batch_size)
        self._train_dl_kwargs = data.merge_loader_kwargs(defaults, train_dl_kwargs, dataset)
        data.check_is_data(dataset, "train_dataset")
        # By this module's name: scripts and tests replace DataLoader here.
        kwargs = {"dataset": dataset, "collate_fn": self.collate_fn, **self._train_dl_kwargs}
        return DataLoader(**kwargs)

    def create_eval_dataloader(
        self, batch_size: int, eval_dl_kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The loader of the whole evaluation data; Accelerate shares it among processes later.

        Args:
            batch_size: Batch size of one process.
            eval_dl_kwargs: Arguments for the loader that win over the defaults.
        """
        dataset, name = self.eval_dataset, preparing.name_of_eval_data(self)
        if data.is_loader(dataset):
            self._eval_dl_kwargs = data.kwargs_of(dataset, eval_dl_kwargs, name)
            return dataset
        defaults = self.get_default_eval_dl_kwargs(batch_size)
        self._eval_dl_kwargs = data.merge_loader_kwargs(defaults, eval_dl_kwargs, dataset)
        data.check_is_data(dataset, name)
        kwargs = {"dataset": dataset, "collate_fn": self.collate_fn, **self._eval_dl_kwargs}
        return DataLoader(**kwargs)

    def get_default_train_dl_kwargs(self, batch_size: int) -> dict[str, Any]:
        """Arguments of the training data loader if the user says nothing.

        Args:
            batch_size: Batch size of one process.
        """
        return data.default_loader_kwargs(self.train_dataset, batch_size, shuffle=True)

    def get_default_eval_dl_kwargs(self, batch_size: int) -> dict[str, Any]:
        """Arguments of the evaluation data loader if the user says nothing.

        Args:
            batch_size: Batch size of one process.
        """
        return data.default_loader_kwargs(self.eval_dataset, batch_size, shuffle=False)

    def create_scheduler(self) -> Any:
        """The scheduler of this run, or a list of several, from ``create_scheduler_fn``.

        It is called in runs that were given a ``create_scheduler_fn``.
        """
        return make_schedulers(self, self.create_scheduler_fn)

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
        return loop.batch_loss(self, batch)

    def backward_step(self, loss: Tensor) -> None:
        """Add the gradients of a loss.

        Args:
            loss: The loss, weighed for the window of batches that it is part of.
        """
        if self.run.is_plain:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            self._accelerator.backward(loss)

    def optimizer_step(self) -> None:
        """Update the parameters."""
        (self.run.several or self.optimizer).step()

    def scheduler_step(self) -> None:
        """Step the scheduler; called after each optimizer update, if there is a scheduler.

        Override it for a scheduler with another way of stepping; ``num_updates`` is the number
        of updates made.
        """
        self.run.schedulers.look(self.scheduler).step(self.num_updates)

    def optimizer_zero_grad(self) -> None:
        """Clear the gradients."""
        (self.run.several or self.optimizer).zero_grad()

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
            return loop.batch_loss(self, batch)

    def predict_batch(self, batch: Any) -> Any:
        """Pass a batch through the model, for `predict`; no gradients are recorded.

        Args:
            batch: What the data loader gave: inputs, or a list or tuple of which they are first.

        Returns:
            The outputs: a tensor, or a tuple, dict or list of outputs.
        """
        return evaluating.predictions(self, batch)

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

    def seconds(self) -> float:
        """Seconds on a clock that only goes forward; override it to measure time otherwise.

        The first process's counts; it is asked after each update, and only if a limit or a
        scheduler's clock is in seconds.
        """
        return time.monotonic()

    num_updates: Any = NumUpdates()
    """Number of optimizer updates that the latest training run has made."""

    # Of use in callbacks and hooks

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return torch.device(self._accelerator.device)

    def gather(self, tensor: Any, padding_value: float | None = None) -> Any:
        """Tensors of all processes, joined along their first dimension, in every process.

        Args:
            tensor: A tensor, or lists, tuples and dicts of tensors.
            padding_value: Give one if the processes' first dimensions differ in length. Entries
                of the first dimension that hold nothing but this value are left out, on one
                process, too: a process that found nothing may send one such entry. All others
                are in the result, so choose a value that none of them is made of.
        """
        return processes.gather(self._accelerator, tensor, padding_value)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on the first process of each machine.

        Args:
            *args: As for `print`.
            **kwargs: As for `print`.
        """
        self._accelerator.print(*args, **kwargs)

    def get_model(self, keep_torch_compile: bool = True) -> nn.Module:
        """The model without Accelerate's wrappers.

        Args:
            keep_torch_compile: Whether to leave the wrapper of `torch.compile`.
        """
        model: nn.Module = self._accelerator.unwrap_model(
            self.model, keep_torch_compile=keep_torch_compile
        )
        return model

    def save_checkpoint(
        self,
        save_path: str | os.PathLike[str],
        checkpoint_kwargs: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_scheduler: bool = True,
        save_per_node: bool = True,
    ) -> None:
        """Write model, optimizer and scheduler to one file.

        Args:
            save_path: The file; it appears complete or not at all.
            checkpoint_kwargs: More items for the file: tensors and plain Python values.
            save_optimizer: Whether to save the optimizer's state.
            save_scheduler: Whether to save the scheduler's state, if there is a scheduler.
            save_per_node: Whether to write the file on each machine, or on the first only.

        Raises:
            ValueError: An item's name is one of the Trainer's own.
            TypeError: An item could not be loaded again without running code from the file.
        """
        single_file.save(
            self, save_path, checkpoint_kwargs or {}, save_optimizer, save_scheduler, save_per_node
        )

    def load_checkpoint(
        self,
        checkpoint_path: str | os.PathLike[str],
        load_optimizer: bool = True,
        load_scheduler: bool = True,
    ) -> dict[str, Any]:
        """Restore model, optimizer and scheduler from a file of `save_checkpoint`.

        Before and between runs, the next run's scheduler takes its state up. If anything does not
        fit, nothing has changed.

        Args:
            checkpoint_path: The file.
            load_optimizer: Whether to restore the optimizer, if the file holds its state.
            load_scheduler: Whether to restore the scheduler, if the file holds its state.

        Returns:
            All of the file.

        Raises:
            OSError: There is no such file, or it cannot be read.
            CheckpointError: It is damaged, or no file of `save_checkpoint`.
            ValueError: A state does not fit the model, the optimizer or the scheduler that is
                there, or there is no optimizer.
        """
        checkpoint = single_file.read(Path(checkpoint_path))
        takes_scheduler = load_scheduler and self.scheduler is not None
        wanted = {"optimizer_state_dict": load_optimizer, "scheduler_state_dict": takes_scheduler}
        contents = {name: checkpoint[name] for name in checkpoint if wanted.get(name, True)}
        model = self.get_model(keep_torch_compile=False)
        optimizer = as_one(self.optimizer)
        with self.run.mode.evaluating(optimizer):
            single_file.load(checkpoint_path, contents, model, optimizer, self.scheduler)
            self.run.mode.forget()
        # What is loaded between two runs is for the next one's schedulers.
        if load_scheduler and not (takes_scheduler and self._training.is_on):
            state = checkpoint.get("scheduler_state_dict")
            self._scheduler_state_to_load = state or self._scheduler_state_to_load
        return checkpoint

    def save_training_state(
        self, output_dir: str | os.PathLike[str], checkpoint_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Write all that a run needs to continue to a folder; call it on every process.

        The folder appears complete or not at all, and replaces a training state of that name. If
        an update is under way, it is written when that is done, after ``on_update_end``.

        Args:
            output_dir: The folder.
            checkpoint_kwargs: More items for its metadata: tensors and plain Python values.

        Raises:
            RuntimeError: There was no training run yet.
            ValueError: An item's name is one of the Trainer's own.
            TypeError: An item could not be loaded again without running code from the file.
            OSError: The folder could not be written.
        """
        with self._training.of(self) as run:
            checkpointing.ask_for(run, Path(output_dir), dict(checkpoint_kwargs or {}))

    def load_training_state(self, input_dir: str | os.PathLike[str]) -> dict[str, Any]:
        """Restore model, optimizer, schedulers and generators from `save_training_state`.

        The position in the run, the run history and the callbacks stay as they are:
        ``train(resume=…)`` restores them, too.

        Args:
            input_dir: The folder.

        Returns:
            The metadata: what was given to `save_training_state`, and ``current_epoch``.

        Raises:
            RuntimeError: No training run is on, so there is nothing to restore into.
            FileNotFoundError: There is no such folder.
            CheckpointError: It is incomplete or damaged.
            ValueError: It holds the state of another kind of optimizer.
        """
        with self._training.of(self) as run:
            return checkpointing.load(run, Path(input_dir))

    # What older scripts override, or call

    __repr__ = assembling.described
    _create_accelerator = accelerating.make_accelerator
    _create_callback_handler = assembling.make_callback_handler
    _prepare_model_optimizer_and_dataloaders = preparing.prepare_objects
    _create_run_config = preparing.make_config
    _check_eval_batch_size = preparing.check_eval_data
    _run_training = loop.run_training
    _run_train_epoch = loop.train_epoch
    _perform_forward_and_backward_passes = loop.forward_and_backward
    _clip_gradients = gradients.clip
    _run_evaluation = loop.run_evaluation
    _run_eval_epoch = loop.evaluate_epoch


class TrainerWithTimmScheduler(Trainer):
    """A Trainer for schedulers of the timm kind.

    Such a scheduler is told the number of updates after each one, and the number of epochs done
    at the end of each training epoch; it decides which of the two it goes by. Others that are in
    a list with it are stepped as in `Trainer`.
    """

    _tells_epochs = True
