"""Setting a run up, and taking it down again."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import (
    DistributedType,
    is_compiled_module,
    set_seed,
)
from torch.nn.parallel import DistributedDataParallel

from pytorch_accelerated.callbacks.base import CallbackHandler, StopTrainingError
from pytorch_accelerated.run import (
    accelerating,
    assembling,
    checkpointing,
    counts,
    sharing,
    windows,
)
from pytorch_accelerated.run.data import (
    batch_size_of,
    check_not_empty,
    length,
    own_generators,
)
from pytorch_accelerated.run.loop_state import Plan, Stage
from pytorch_accelerated.run.parts import check_can_be_saved
from pytorch_accelerated.run.processes import warn
from pytorch_accelerated.run.run import Run
from pytorch_accelerated.run.schedulers import class_name
from pytorch_accelerated.run_config import TrainerRunConfig
from pytorch_accelerated.schedulers.optimizers import each_of, groups_in
from pytorch_accelerated.schedules import Schedule
from pytorch_accelerated.sharded import is_sharded

_PACKAGE = __name__.partition(".")[0]

# What Accelerate leaves on a module that it has prepared, wrapped or not.
_ACCELERATES_MARKS = {"forward", "_original_forward", "_is_accelerate_prepared"}

# Several processes of these kinds need nothing of Accelerate's optimizer and backward pass.
_PLAIN = {
    DistributedType.NO,
    DistributedType.MULTI_CPU,
    DistributedType.MULTI_GPU,
}


@contextmanager
def on(run: Run, trainer: Any) -> Iterator[Run]:
    """Begin a run; whatever happens, leave model and optimizer as they came."""
    trainer._accelerator = run.accelerator
    trainer._train_dataloader = trainer._eval_dataloader = None
    trainer._train_dl_kwargs = trainer._eval_dl_kwargs = None
    trainer.callback_handler.look_again()
    with run.of(trainer):
        run.is_on = True
        try:
            yield run
        except StopTrainingError as stop:
            trainer.print(stop)
        finally:
            run.is_on = run.window.is_open = False
            run.mode.eval(run.optimizer)
            unwrap(run)
            if isinstance(trainer.optimizer, AcceleratedOptimizer):
                trainer.optimizer = trainer.optimizer.optimizer
            if run.several is not None:
                run.several = run.optimizer
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

    Callbacks see nothing of it: what they gather is the other run's. Only the Trainer's own metrics
    are computed.
    """
    trainer = outer.trainer
    is_bare = not outer.marks  # at the run's end
    run.limits = tuple(trainer.callback_handler)
    shown |= {"run": run, "callback_handler": CallbackHandler(assembling.metric_callbacks(trainer))}
    shown |= dict.fromkeys(("_train_dataloader", "_eval_dataloader", "_eval_dl_kwargs"))
    # Its data may draw random numbers, which are not those of training.
    with run.of(trainer), run.showing(**shown), outer.random.kept():
        try:
            if is_bare:
                note_marks(run)
                trainer.model = run.accelerator.prepare_model(trainer.model, evaluation_mode=True)
            yield run
        finally:
            if is_bare:
                unwrap(run)
            run.eval_generator.take_back()


# Data, model and optimizer


def make_eval_loader(run: Run, batch_size: int | None, kwargs: Any) -> None:
    """Have the Trainer make the loader of its evaluation data."""
    run.trainer._eval_dataloader = run.trainer.create_eval_dataloader(
        batch_size=batch_size, eval_dl_kwargs=kwargs
    )


def prepare(run: Run) -> None:
    """Have Accelerate prepare model, optimizer and data loaders."""
    trainer, accelerator = run.trainer, run.accelerator
    run.fire("on_prepare_start")
    note_marks(run)
    sharing.look_for_shards(run)
    run.is_plain = accelerator.scaler is None and accelerator.distributed_type in _PLAIN
    if trainer._train_dataloader is not None:
        # A dictionary of optimizers, say, that overridden steps know how to use, has no groups.
        groups = getattr(run.optimizer, "param_groups", None)
        updated = {id(parameter) for group in groups or () for parameter in group["params"]}
        if groups is not None and updated.isdisjoint(map(id, trainer.model.parameters())):
            warn(
                "none of the parameters that the optimizer updates belongs to the model, which "
                "thus learns nothing: make the optimizer of model.parameters(), once the model is "
                "the one to be trained and no copy of it"
            )
        run.random.own = own_generators(trainer._train_dataloader)
    trainer._prepare_model_optimizer_and_dataloaders()
    run.is_sharded = run.is_sharded or is_sharded(trainer.model)
    if run.checkpoints is not None:
        check_can_be_saved(run)
    trainer.model = accelerating.compiled(trainer)
    model = getattr(trainer.model, "_orig_mod", trainer.model)
    if isinstance(model, DistributedDataParallel) and run.processes.count > 1:
        run.exchanged = {id(p) for p in model.parameters() if p.requires_grad}
    run.fire("on_prepare_end")
    if trainer._train_dataloader is not None:
        check_not_empty(
            trainer._train_dataloader, trainer.train_dataset, "train_dataset", run.processes.shares
        )
    if trainer._eval_dataloader is not None:
        trainer._check_eval_batch_size()


def name_of_eval_data(trainer: Any) -> str:
    """Return the argument by which the caller knows the evaluation data."""
    return "dataset" if trainer.train_dataset is None else "eval_dataset"


def check_eval_data(trainer: Any) -> None:
    """Refuse evaluation data that no batch can be made of."""
    # With fewer batches than processes, some have nothing to evaluate.
    loader = trainer._eval_dataloader if trainer.run.processes.shares == 1 else None
    check_not_empty(loader, trainer.eval_dataset, name_of_eval_data(trainer))


def prepare_objects(trainer: Any) -> None:
    """Prepare model, optimizer and data loaders, unless a Trainer's subclass does it in its way."""
    run = trainer.run
    accelerator = run.accelerator
    is_training = trainer._train_dataloader is not None
    if run.is_plain:
        # Without training there are no gradients to exchange, and shards exchange theirs.
        is_whole = is_training and not run.is_sharded
        trainer.model = accelerator.prepare_model(trainer.model, evaluation_mode=not is_whole)
        # On CPU there is nowhere to move the optimizer's state to, and the round trip would
        # replace its parameter groups.
        placement = accelerator.device_placement and run.processes.device.type != "cpu"
        if run.optimizer is not None:
            accelerator.prepare_optimizer(run.optimizer, device_placement=placement)
        # The optimizer's wrapper would do nothing but cost time in each step.
    elif run.several is None:
        trainer.model, trainer.optimizer = accelerator.prepare(trainer.model, trainer.optimizer)
    else:
        trainer.model, run.several = accelerator.prepare(trainer.model, run.several)
    if is_training:
        trainer._train_dataloader = sharing.prepare_loader(
            run, trainer._train_dataloader, run.train_generator, even_batches=True
        )
    if trainer._eval_dataloader is not None:
        prepare_eval_loader(run)


def prepare_eval_loader(run: Run) -> None:
    """Share the evaluation data among the processes."""
    trainer = run.trainer
    trainer._eval_dataloader = sharing.prepare_loader(
        run,
        trainer._eval_dataloader,
        run.eval_generator,
        even_batches=trainer._pad_uneven_eval_batches,
    )


def prepare_limited_eval_loader(run: Run) -> None:
    """Share the data of an evaluation within a run, limited as callbacks limit the run's own."""
    prepare_eval_loader(run)
    for callback in run.limits:
        limited = getattr(callback, "limited_evaluation", None)
        if limited is not None:
            run.eval_loader = limited(run.trainer, run.eval_loader)
    run.trainer._check_eval_batch_size()


# Accelerate's wrappers around the model


def note_marks(run: Run) -> None:
    """Note what Accelerate is about to put on the model, which may have it of its own."""
    model = run.trainer.model
    run.was_compiled = is_compiled_module(model)
    run.marks = [
        (module, {name: vars(module)[name] for name in _ACCELERATES_MARKS & set(vars(module))})
        for module in (model, getattr(model, "_orig_mod", model))
    ]


def unwrap(run: Run) -> None:
    """Hand the model back as it came, without wrappers and marks."""
    if not run.marks:
        return
    run.trainer.model = run.accelerator.unwrap_model(
        run.trainer.model, keep_torch_compile=run.was_compiled
    )
    # Otherwise the next run would take the model for prepared, and leave it as it is.
    for module, attributes in run.marks:
        for name in _ACCELERATES_MARKS:
            vars(module).pop(name, None)
        vars(module).update(attributes)
    run.marks = []


def check_nothing_was_unfrozen(run: Run, exchanged: set[int]) -> None:
    """Refuse gradients that distributed training, set up without them, would not exchange."""
    late = [
        name
        for name, parameter in run.trainer.model.named_parameters()
        if parameter.requires_grad and id(parameter) not in exchanged
    ]
    if late:
        raise ValueError(
            f"{len(late)} parameters were unfrozen since the run began, such as {late[0]}: the "
            f"processes would not exchange their gradients, and drift apart. Unfreeze them "
            f"between two calls of train(), the second with reset_run_history=False"
        )


# The plan of a run


def make_config(
    trainer: Any,
    per_device_batch_size: int | None,
    num_epochs: int,
    gradient_accumulation_steps: int | Schedule,
    max_num_train_steps: int | None,
    gradient_clip_value: float | None,
) -> TrainerRunConfig:
    """Return what the run was asked to do, and what follows from it."""
    accelerator, processes = trainer.run.accelerator, trainer.run.processes
    num_processes, num_shares = processes.count, processes.shares
    train_size = batch_size_of(trainer._train_dl_kwargs or {}, per_device_batch_size)
    eval_size = batch_size_of(trainer._eval_dl_kwargs or {}, train_size)
    steps, loader = gradient_accumulation_steps, trainer._train_dataloader
    num_batches = 0 if loader is None else length(loader)
    changes = isinstance(steps, Schedule)
    per_epoch = None if changes else windows.num_updates(steps, 1, num_batches)
    batch_of_all = None if train_size is None or changes else train_size * num_shares * steps
    return TrainerRunConfig(
        num_epochs=num_epochs,
        train_per_device_batch_size=train_size,
        train_dl_kwargs=trainer._train_dl_kwargs,
        eval_per_device_batch_size=eval_size,
        eval_dl_kwargs=trainer._eval_dl_kwargs,
        gradient_accumulation_steps=steps,
        gradient_clip_value=gradient_clip_value,
        train_total_batch_size=batch_of_all,
        eval_total_batch_size=None if eval_size is None else eval_size * num_shares,
        num_update_steps_per_epoch=per_epoch,
        num_local_update_steps_per_epoch=per_epoch,
        max_num_train_steps=windows.num_updates(
            steps, num_epochs, num_batches, max_num_train_steps
        ),
        is_local_process_zero=accelerator.is_local_main_process,
        is_world_process_zero=accelerator.is_main_process,
        is_distributed=num_processes > 1,
        mixed_precision=accelerator.mixed_precision,
        num_processes=num_processes,
    )


def make_plan(
    run: Run,
    config: TrainerRunConfig,
    gradient_clip_norm: float | None,
    max_num_train_steps: int | None,
    saved: dict[str, Any] | None,
    limits: dict[str, Any],
) -> None:
    """Plan the run, and go to the position of a checkpoint in terms of its batches."""
    config = replace(config, gradient_clip_norm=gradient_clip_norm, **limits)
    run.config = run.trainer.run_config = config
    run.plan = Plan(
        num_epochs=config.num_epochs,
        max_num_train_steps=max_num_train_steps,
        num_batches_per_epoch=length(run.trainer._train_dataloader),
        per_device_batch_size=config.train_per_device_batch_size,
        gradient_accumulation_steps=_plain(config.gradient_accumulation_steps),
        num_processes=run.processes.shares,
        gradient_clip_value=config.gradient_clip_value,
        gradient_clip_norm=config.gradient_clip_norm,
        mixed_precision=config.mixed_precision,
        optimizer=", ".join(map(class_name, each_of(run.optimizer))),
        **limits,
    )
    if saved is not None:
        checkpointing.take_position(run, saved, run.plan)
        loop = run.loop
        updates = windows.num_updates(
            config.gradient_accumulation_steps,
            config.num_epochs,
            run.plan.num_batches_per_epoch,
            max_num_train_steps,
            begin=(loop.plan_epoch, loop.plan_batch, loop.plan_update),
        )
        run.config = run.trainer.run_config = replace(config, max_num_train_steps=updates)


def _plain(value: Any) -> Any:
    """Return a schedule as text, and all else as it is."""
    return repr(value) if isinstance(value, Schedule) else value


def start_trackers(run: Run) -> None:
    """Start the experiment trackers."""
    plain = {name: _plain(value) for name, value in run.config.to_dict().items()}
    config = {name: one for name, one in plain.items() if isinstance(one, bool | int | float | str)}
    run.accelerator.init_trackers(run.trainer._project_name, config=config)


def take_up(
    run: Run, saved: dict[str, Any] | None, keeps_history: bool, remembers_stop: bool
) -> None:
    """Make the schedulers, and restore what a checkpoint holds, if there is one."""
    trainer, loop = run.trainer, run.loop
    state, trainer._scheduler_state_to_load = trainer._scheduler_state_to_load, None
    run.schedulers.make(trainer, state, loop)
    if run.scheduler_metric is not None and run.schedulers.wait_for_metric():
        _check_metric(run, run.scheduler_metric)
    if saved is not None:
        run.fire("on_resume_start", num_param_groups=len(groups_in(saved["optimizer"])))
    # What could not work was refused above, and has cost no metrics.
    history = trainer.run_history
    new = {
        name: history.get_metric_values(name)[run.num_recorded.get(name, 0) :]
        for name in history.get_metric_names()
        if saved is not None or not keeps_history
    }
    if not keeps_history:
        history.reset()
    if saved is None:
        loop.first_history_epoch = history.current_epoch
    else:
        checkpointing.restore(run, saved)
    run.counts = counts.begin(run)
    if saved is not None:
        if loop.is_cut_short and not run.has_reached_limit():
            loop.is_cut_short, loop.stage = False, min(loop.stage, Stage.TRAIN)
        # An epoch that the limit on updates ended early counts, unless it is to be continued.
        is_over = loop.is_cut_short and loop.stage is Stage.BEGIN
        history.set_epoch(loop.history_epoch + is_over)
        run.stopped = saved["stopped"] if remembers_stop else None
    for name, values in new.items():
        for value in values:
            history.update_metric(name, value)
    if run.processes.is_main:
        run.schedulers.warn_of_other_lengths(loop.num_updates, run.config)


def _check_metric(run: Run, metric: str) -> None:
    """Refuse a metric that nothing will record, before an epoch is spent on it."""
    trainer = run.trainer
    known = ["train_loss_epoch"]
    known += ["eval_loss_epoch"] if trainer.eval_dataset is not None else []
    known += ["train_grad_norm_epoch"] if run.config.gradient_clip_norm is not None else []
    # A user's own class may record what it likes.
    if metric not in known and not any(
        getattr(one, "records_metrics", type(one).__module__.partition(".")[0] != _PACKAGE)
        for one in [trainer, *trainer.callback_handler]
    ):
        (meant,) = difflib.get_close_matches(metric, known, 1, cutoff=0.0)
        raise ValueError(
            f"scheduler_metric={metric!r} is not among the metrics of this run, which are "
            f"{', '.join(map(repr, known))}. Write scheduler_metric={meant!r}, or have a callback "
            f"record yours."
        )


def seed_all(run: Run, seed: int | None) -> None:
    """Have a seed for the order of the data that all processes share; seed generators if asked."""
    if seed is not None:
        set_seed(seed, device_specific=True)
    else:
        (seed,) = run.processes.from_main([int(torch.randint(2**62, ()).item())])
    run.loop.data_seed = seed
