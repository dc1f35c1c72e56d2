"""What a Trainer does before the first batch of a run, and after the last."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import (
    DistributedType,
    GradientAccumulationPlugin,
    broadcast_object_list,
    is_compiled_module,
)
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pytorch_accelerated import scheduling
from pytorch_accelerated.callbacks import (
    CallbackHandler,
    LimitBatchesCallback,
    LogToTrackersCallback,
    StopTrainingError,
)
from pytorch_accelerated.checkpointing import Checkpointing
from pytorch_accelerated.checkpoints import scheduler_states
from pytorch_accelerated.checkpoints.plan import Plan
from pytorch_accelerated.data_loading import (
    EpochGenerator,
    batch_size_of,
    check_not_empty,
    length,
    own_generators,
    prepare_loader,
)
from pytorch_accelerated.run_config import TrainerRunConfig, horizon
from pytorch_accelerated.tracking import LossTracker
from pytorch_accelerated.utils import get_limit_batches_from_env, runs_on_cpu

# Several processes of these kinds need nothing of Accelerate's optimizer and backward pass.
_PLAIN = {
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
}

# What an evaluation of other data within a run replaces.
_OF_EVALUATION = (
    "callback_handler",
    "collate_fn",
    "eval_dataset",
    "train_dataset",
    "_eval_dataloader",
    "_eval_dl_kwargs",
    "_eval_generator",
)

# What Accelerate leaves on a module that it has prepared, wrapped or not.
_ACCELERATES_MARKS = {"forward", "_original_forward", "_is_accelerate_prepared"}


class Preparation(Checkpointing):
    """The part of the Trainer that sets a run up and takes it down again."""

    run_config: TrainerRunConfig | None
    train_dataset: Any
    eval_dataset: Any
    create_scheduler_fn: Any
    create_scheduler: Callable[[], Any]
    _argument: Callable[[str], str]

    _callbacks: Iterable[Any]
    _log_with: Any
    _project_dir: str | os.PathLike[str] | None
    _project_name: str
    _train_dataloader: Any
    _eval_dataloader: Any
    _train_dl_kwargs: dict[str, Any] | None
    _eval_dl_kwargs: dict[str, Any] | None
    _pad_uneven_eval_batches: bool
    _train_generator: EpochGenerator
    _eval_generator: EpochGenerator
    _is_running: bool
    _was_compiled: bool
    _marked_modules: list[tuple[nn.Module, dict[str, Any]]]
    _is_plain: bool
    _exchanged: set[int] | None
    _window_items: list[Any]
    _before_window: tuple[dict[str, Any], LossTracker] | None
    _gradient_norm: Tensor | None

    @contextmanager
    def _run(self) -> Iterator[None]:
        """Begin a run; whatever happens, leave model and optimizer as they came."""
        if not isinstance(self.model, nn.Module):
            raise TypeError(f"model is {self.model!r}: give a torch.nn.Module")
        self._accelerator = self._create_accelerator()
        # Windows are counted here; Accelerate, whose launcher may set this, would divide again.
        self._accelerator.gradient_accumulation_steps = 1
        self._was_compiled = is_compiled_module(self.model)
        self._train_dataloader = self._train_dl_kwargs = None
        self._eval_dataloader = self._eval_dl_kwargs = None
        self._marked_modules = []
        self._window_items = []
        self._before_window = None
        self._gradient_norm = None
        self._stop = None
        self.callback_handler.look_again()
        self._is_running = True
        try:
            yield
        except StopTrainingError as stop:
            self.print(stop)
        finally:
            self._is_running = False
            self._is_between_updates = True
            self._unwrap()
            if isinstance(self.optimizer, AcceleratedOptimizer):
                self.optimizer = self.optimizer.optimizer
            self._train_generator.take_back()
            self._eval_generator.take_back()
            try:
                # No event: callbacks that hold on to something beyond the run let go of it.
                self.callback_handler.call_event("_on_run_over", self)
            finally:
                for tracker in self._accelerator.trackers:
                    tracker.finish()

    @contextmanager
    def _evaluation_within_run(self) -> Iterator[None]:
        """Let a run evaluate other data; afterwards everything is the run's own again.

        Callbacks see nothing of it: what they gather is the run's.
        """
        before = {name: getattr(self, name) for name in _OF_EVALUATION}
        is_bare = not self._marked_modules  # at the run's end
        self.callback_handler = CallbackHandler()
        self._eval_generator = EpochGenerator()
        try:
            if is_bare:
                self._note_modules()
                self.model = self._accelerator.prepare_model(self.model, evaluation_mode=True)
            yield
        finally:
            if is_bare:
                self._unwrap()
            self._eval_generator.take_back()
            for name, value in before.items():
                setattr(self, name, value)

    def _unwrap(self) -> None:
        self.model = self._accelerator.unwrap_model(
            self.model, keep_torch_compile=self._was_compiled
        )
        # Otherwise the next run would take the model for prepared, and leave it as it is.
        for module, attributes in self._marked_modules:
            for name in _ACCELERATES_MARKS:
                vars(module).pop(name, None)
            vars(module).update(attributes)
        self._marked_modules = []

    def _create_callback_handler(self) -> CallbackHandler:
        if not isinstance(self._callbacks, Iterable):
            raise TypeError(f"callbacks is {self._callbacks!r}: give a list, also for a single one")
        limit = get_limit_batches_from_env()
        first = [] if limit is None else [LimitBatchesCallback(limit)]
        handler = CallbackHandler([*first, *self._callbacks])
        if self._log_with is not None and not any(
            isinstance(callback, LogToTrackersCallback) for callback in handler
        ):
            handler.add_callback(LogToTrackersCallback)
        return handler

    def _create_accelerator(self) -> Accelerator:
        try:
            accelerator = Accelerator(
                cpu=runs_on_cpu(),
                gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
                log_with=self._log_with,
                project_dir=self._project_dir,
            )
        except ValueError as error:
            if self._log_with is None:
                raise
            hint = ""
            if self._project_dir is None and "logging_dir" in str(error):
                hint = " It is the project_dir of the Trainer: give one with log_with"
            raise ValueError(f"log_with is {self._log_with!r}: {error}{hint}") from error
        _check_processes_are_joined(accelerator.num_processes)
        return accelerator

    def _note_modules(self) -> None:
        """Note what Accelerate is about to put on the model, which it may have of its own."""
        modules = (self.model, getattr(self.model, "_orig_mod", self.model))
        self._marked_modules = [
            (module, {name: vars(module)[name] for name in _ACCELERATES_MARKS & set(vars(module))})
            for module in modules
        ]

    def _prepare(self) -> None:
        self._fire("on_prepare_start")
        self._note_modules()
        accelerator = self._accelerator
        self._is_plain = accelerator.scaler is None and accelerator.distributed_type in _PLAIN
        if self._train_dataloader is not None:
            self._warn_of_another_models_optimizer()
            self._own_generators = own_generators(self._train_dataloader)
            self._can_save_state = True
        self._prepare_model_optimizer_and_dataloaders()
        self._exchanged = None
        if isinstance(getattr(self.model, "_orig_mod", self.model), DistributedDataParallel):
            trained = (p for p in self.model.parameters() if p.requires_grad)
            self._exchanged = set(map(id, trained))
        self._fire("on_prepare_end")

    def _warn_of_another_models_optimizer(self) -> None:
        groups = getattr(self.optimizer, "param_groups", None)
        if groups is None:  # a list of optimizers, say, that overridden steps know how to use
            return
        updated = {id(parameter) for group in groups for parameter in group["params"]}
        if updated.isdisjoint(map(id, self.model.parameters())):
            warnings.warn(
                "none of the parameters that the optimizer updates belongs to the model, which "
                "thus learns nothing: make the optimizer of model.parameters(), once the model is "
                "the one to be trained and no copy of it",
                stacklevel=4,
            )

    def _prepare_model_optimizer_and_dataloaders(self) -> None:
        accelerator = self._accelerator
        is_training = self._train_dataloader is not None
        if self._is_plain:
            # Without training there are no gradients to exchange.
            self.model = accelerator.prepare_model(self.model, evaluation_mode=not is_training)
            # On CPU there is nowhere to move the optimizer's state to, and the round trip would
            # replace its parameter groups.
            placement = accelerator.device_placement and self.device.type != "cpu"
            if self.optimizer is not None:
                accelerator.prepare_optimizer(self.optimizer, device_placement=placement)
            # The optimizer's wrapper would do nothing but cost time in each step.
        else:
            self.model, self.optimizer = accelerator.prepare(self.model, self.optimizer)
        if is_training:
            self._train_dataloader = prepare_loader(
                self._train_dataloader, accelerator, self._train_generator, even_batches=True
            )
        if self._eval_dataloader is not None:
            self._prepare_eval_dataloader()

    def _prepare_eval_dataloader(self) -> None:
        self._eval_dataloader = prepare_loader(
            self._eval_dataloader,
            self._accelerator,
            self._eval_generator,
            even_batches=self._pad_uneven_eval_batches,
        )

    def _check_nothing_was_unfrozen(self) -> None:
        """Refuse gradients that distributed training, set up without them, would not exchange."""
        if self._num_processes == 1 or self._exchanged is None:
            return
        late = [
            name
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad and id(parameter) not in self._exchanged
        ]
        if late:
            raise ValueError(
                f"{len(late)} parameters were unfrozen since the run began, such as {late[0]}: the "
                f"processes would not exchange their gradients, and drift apart. Unfreeze them "
                f"between two calls of train(), the second with reset_run_history=False"
            )

    def _create_run_config(
        self,
        per_device_batch_size: int,
        num_epochs: int,
        gradient_accumulation_steps: int,
        max_num_train_steps: int | None,
        gradient_clip_value: float | None,
    ) -> TrainerRunConfig:
        accelerator, num_processes = self._accelerator, self._num_processes
        train_size = batch_size_of(self._train_dl_kwargs or {}, per_device_batch_size)
        eval_size = batch_size_of(self._eval_dl_kwargs or {}, train_size)
        updates: int | None = 0
        if self._train_dataloader is not None:
            batches = length(self._train_dataloader)
            updates = None if batches is None else math.ceil(batches / gradient_accumulation_steps)
        return TrainerRunConfig(
            num_epochs=num_epochs,
            train_per_device_batch_size=train_size,
            train_dl_kwargs=self._train_dl_kwargs,
            eval_per_device_batch_size=eval_size,
            eval_dl_kwargs=self._eval_dl_kwargs,
            gradient_accumulation_steps=gradient_accumulation_steps,
            gradient_clip_value=gradient_clip_value,
            train_total_batch_size=train_size * num_processes * gradient_accumulation_steps,
            eval_total_batch_size=eval_size * num_processes,
            num_update_steps_per_epoch=updates,
            num_local_update_steps_per_epoch=updates,
            max_num_train_steps=horizon(num_epochs, updates, max_num_train_steps),
            is_local_process_zero=accelerator.is_local_main_process,
            is_world_process_zero=accelerator.is_main_process,
            is_distributed=num_processes > 1,
            mixed_precision=accelerator.mixed_precision,
            num_processes=num_processes,
        )

    def _make_plan(self, max_num_train_steps: int | None) -> Plan:
        """What this run was asked to do, for whoever goes on from it."""
        config = self._config
        return Plan(
            num_epochs=config.num_epochs,
            max_num_train_steps=max_num_train_steps,
            num_batches_per_epoch=length(self._train_dataloader),
            per_device_batch_size=config.train_per_device_batch_size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            num_processes=self._num_processes,
            gradient_clip_value=config.gradient_clip_value,
            gradient_clip_norm=config.gradient_clip_norm,
            mixed_precision=config.mixed_precision,
            optimizer=scheduler_states.class_name(
                getattr(self.optimizer, "optimizer", self.optimizer)
            ),
        )

    def _check_eval_batch_size(self) -> None:
        """Refuse evaluation data that no batch can be made of."""
        if self._eval_dataloader is not None:
            # With fewer batches than processes, some have nothing to evaluate.
            loader = self._eval_dataloader if self._num_processes == 1 else None
            check_not_empty(loader, self.eval_dataset, self._argument("eval_dataset"))

    def _start_scheduler(self) -> None:
        earlier, self.scheduler = self.scheduler, None
        if self.create_scheduler_fn is not None:
            scheduling.put_bases_back(earlier)
            self.scheduler = self.create_scheduler()
        state, self._scheduler_state_to_load = self._scheduler_state_to_load, None
        if self.scheduler is None:
            if state is not None:
                warnings.warn(
                    "the checkpoint that was loaded holds a scheduler's state, but this run has "
                    "no create_scheduler_fn: the state is dropped",
                    stacklevel=3,
                )
            return
        self._put_stateless_schedulers_in_force()
        if state is not None:
            scheduler_states.restore(self.scheduler, state)

    def _put_stateless_schedulers_in_force(self) -> None:
        """Give schedulers that are told the number of updates the present one."""
        for scheduler in scheduling.each(self.scheduler):
            if scheduling.is_stateless(scheduler):
                scheduler.step_update(self._loop.num_updates)

    def _start_trackers(self) -> None:
        if self._log_with is not None:
            config = {
                name: value
                for name, value in self._config.to_dict().items()
                if isinstance(value, (bool, int, float, str))
            }
            self._accelerator.init_trackers(self._project_name, config=config)

    @property
    def _config(self) -> TrainerRunConfig:
        if self.run_config is None:
            raise RuntimeError("there is no run: call train() or evaluate()")
        return self.run_config

    def _draw_data_seed(self, seed: int | None) -> int:
        """A seed for the order of the data that all processes share."""
        if seed is not None:
            return seed
        drawn = [int(torch.randint(2**62, ()).item())]
        if self._num_processes > 1:
            broadcast_object_list(drawn)
        return drawn[0]


def _check_processes_are_joined(num_processes: int) -> None:
    """Refuse to train alone as one of several processes."""
    world = os.environ.get("WORLD_SIZE", "1")
    if num_processes == 1 and world.isdecimal() and int(world) > 1:
        raise RuntimeError(
            f"{world} processes were launched (WORLD_SIZE), but Accelerate has joined none of "
            f"them: each would train a model of its own. To train on CPU, set the environment "
            f"variable ACCELERATE_USE_CPU=1 for all processes; if the script makes an Accelerator "
            f"or a PartialState before its Trainer, give cpu=True there"
        )
