"""Setting a run up, and taking it down again."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import DistributedType
from torch import nn

from pytorch_accelerated.callbacks.base import StopTrainingError
from pytorch_accelerated.checkpoints.contents import SavedState
from pytorch_accelerated.checkpoints.scheduler_states import class_name
from pytorch_accelerated.run import resuming
from pytorch_accelerated.run.data import batch_size_of, length, own_generators, prepare_loader
from pytorch_accelerated.run.plan import Plan
from pytorch_accelerated.run.run import Run
from pytorch_accelerated.run_config import TrainerRunConfig, horizon

# Several processes of these kinds need nothing of Accelerate's optimizer and backward pass.
_PLAIN = {
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
}


@contextmanager
def on(run: Run, trainer: Any) -> Iterator[Run]:
    """Begin a run; whatever happens, leave model and optimizer as they came."""
    with run.of(trainer), _on(run, trainer):
        yield run


@contextmanager
def _on(run: Run, trainer: Any) -> Iterator[None]:
    trainer._accelerator = run.accelerator
    run.train_loader = run.eval_loader = None
    trainer._train_dl_kwargs = trainer._eval_dl_kwargs = None
    trainer.callback_handler.look_again()
    run.is_on = True
    try:
        yield
    except StopTrainingError as stop:
        trainer.print(stop)
    finally:
        run.is_on = run.window.is_open = False
        run.unwrap()
        if isinstance(trainer.optimizer, AcceleratedOptimizer):
            trainer.optimizer = trainer.optimizer.optimizer
        run.train_generator.take_back()
        run.eval_generator.take_back()
        try:
            # Callbacks that hold on to something beyond the run let go of it.
            trainer.callback_handler.call_event("after_run", trainer)
        finally:
            for tracker in run.accelerator.trackers:
                tracker.finish()


@contextmanager
def within(run: Run, outer: Run, **shown: Any) -> Iterator[Run]:
    """Evaluate while another run is on; afterwards the Trainer shows what that one has.

    Callbacks see nothing of it: what they gather is the other run's.
    """
    trainer = run.trainer = outer.trainer
    is_bare = not outer.wrapping.is_on  # at the run's end
    with run.showing(run=run, **shown):
        try:
            if is_bare:
                run.wrapping.note_before(trainer.model)
                trainer.model = run.accelerator.prepare_model(trainer.model, evaluation_mode=True)
            yield run
        finally:
            if is_bare:
                run.unwrap()
            run.eval_generator.take_back()
            del run.trainer


def prepare(run: Run) -> None:
    """Have Accelerate prepare model, optimizer and data loaders."""
    trainer, accelerator = run.trainer, run.accelerator
    run.fire("on_prepare_start")
    run.wrapping.note_before(trainer.model)
    run.is_plain = accelerator.scaler is None and accelerator.distributed_type in _PLAIN
    if run.train_loader is not None:
        _warn_of_another_models_optimizer(trainer.optimizer, trainer.model)
        run.random.own = own_generators(run.train_loader)
        run.is_prepared = True
    trainer._prepare_model_optimizer_and_dataloaders()
    run.wrapping.note_after(trainer.model)
    run.fire("on_prepare_end")


def prepare_objects(run: Run) -> None:
    """Model, optimizer and data loaders, unless the Trainer's subclass does it in its way."""
    trainer, accelerator = run.trainer, run.accelerator
    is_training = run.train_loader is not None
    if run.is_plain:
        # Without training there are no gradients to exchange.
        trainer.model = accelerator.prepare_model(trainer.model, evaluation_mode=not is_training)
        # On CPU there is nowhere to move the optimizer's state to, and the round trip would
        # replace its parameter groups.
        placement = accelerator.device_placement and run.processes.device.type != "cpu"
        if trainer.optimizer is not None:
            accelerator.prepare_optimizer(trainer.optimizer, device_placement=placement)
        # The optimizer's wrapper would do nothing but cost time in each step.
    else:
        trainer.model, trainer.optimizer = accelerator.prepare(trainer.model, trainer.optimizer)
    if is_training:
        run.train_loader = prepare_loader(
            run.train_loader, accelerator, run.train_generator, even_batches=True
        )
    if run.eval_loader is not None:
        prepare_eval_loader(run)


def prepare_eval_loader(run: Run) -> None:
    """Share the evaluation data among the processes."""
    trainer = run.trainer
    run.eval_loader = prepare_loader(
        run.eval_loader,
        run.accelerator,
        run.eval_generator,
        even_batches=trainer._pad_uneven_eval_batches,
    )


def make_config(
    run: Run,
    per_device_batch_size: int,
    num_epochs: int,
    gradient_accumulation_steps: int,
    max_num_train_steps: int | None,
    gradient_clip_value: float | None,
) -> TrainerRunConfig:
    """What the run was asked to do, and what follows from it."""
    trainer, accelerator = run.trainer, run.accelerator
    num_processes = run.processes.count
    train_size = batch_size_of(trainer._train_dl_kwargs or {}, per_device_batch_size)
    eval_size = batch_size_of(trainer._eval_dl_kwargs or {}, train_size)
    updates: int | None = 0
    if run.train_loader is not None:
        batches = length(run.train_loader)
        updates = None if batches is None else math.ceil(batches / gradient_accumulation_steps)
    return TrainerRunConfig(
        num_epochs=num_epochs,
        train_per_device_batch_size=train_size,
        train_dl_kwargs=trainer._train_dl_kwargs,
        eval_per_device_batch_size=eval_size,
        eval_dl_kwargs=trainer._eval_dl_kwargs,
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


def make_plan(run: Run, max_num_train_steps: int | None, saved: SavedState | None) -> None:
    """Go to the position of a checkpoint, in terms of this run's batches."""
    config = run.config
    optimizer = getattr(run.trainer.optimizer, "optimizer", run.trainer.optimizer)
    run.plan = Plan(
        num_epochs=config.num_epochs,
        max_num_train_steps=max_num_train_steps,
        num_batches_per_epoch=length(run.train_loader),
        per_device_batch_size=config.train_per_device_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        num_processes=config.num_processes,
        gradient_clip_value=config.gradient_clip_value,
        gradient_clip_norm=config.gradient_clip_norm,
        mixed_precision=config.mixed_precision,
        optimizer=class_name(optimizer),
    )
    if saved is not None:
        resuming.take_position(run, saved, run.plan)
        updates = horizon(
            config.num_epochs,
            config.num_update_steps_per_epoch,
            max_num_train_steps,
            run.loop.num_replanned,
        )
        run.set_config(replace(config, max_num_train_steps=updates))


def start_trackers(run: Run, log_with: Any, project_name: str) -> None:
    """Start the experiment trackers, if there are any."""
    if log_with is not None:
        config = {
            name: value
            for name, value in run.config.to_dict().items()
            if isinstance(value, (bool, int, float, str))
        }
        run.accelerator.init_trackers(project_name, config=config)


def draw_data_seed(run: Run, seed: int | None) -> None:
    """Have a seed for the order of the data that all processes share."""
    if seed is None:
        (seed,) = run.processes.from_main([int(torch.randint(2**62, ()).item())])
    run.loop.data_seed = seed


def _warn_of_another_models_optimizer(optimizer: Any, model: nn.Module) -> None:
    groups = getattr(optimizer, "param_groups", None)
    if groups is None:  # a list of optimizers, say, that overridden steps know how to use
        return
    updated = {id(parameter) for group in groups for parameter in group["params"]}
    if updated.isdisjoint(map(id, model.parameters())):
        warnings.warn(
            "none of the parameters that the optimizer updates belongs to the model, which "
            "thus learns nothing: make the optimizer of model.parameters(), once the model is "
            "the one to be trained and no copy of it",
            stacklevel=4,
        )
