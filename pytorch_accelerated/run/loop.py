"""The loop, as an outline: epochs, passes over the data, updates, evaluations."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from pytorch_accelerated.callbacks.base import StopTrainingError
from pytorch_accelerated.finetuning import keep_frozen_modules_in_eval
from pytorch_accelerated.run import (
    checkpointing,
    counts,
    gradients,
    precision,
    preparing,
    windows,
)
from pytorch_accelerated.run.data import batches_after, by_rows, length, tell_epoch
from pytorch_accelerated.run.evaluating import evaluating
from pytorch_accelerated.run.loop_state import Stage
from pytorch_accelerated.run.processes import STOP_CHECK_INTERVAL, warn
from pytorch_accelerated.run.run import Run
from pytorch_accelerated.run.sharing import in_step
from pytorch_accelerated.tracking import LossTracker


def run_training(trainer: Any) -> None:
    """Make a training run whose objects are prepared."""
    run = trainer.run
    with _ending(run, trainer.training_run_end, "on_training_run_end"):
        trainer.optimizer_zero_grad()
        run.announce(trainer.training_run_start, "on_training_run_start")
        run.random.put_back()
        if run.stopped is not None:
            trainer.print(f"the run is over, it was stopped: {run.stopped}")
        else:
            try:
                train_epochs(trainer, run)
            except StopTrainingError as stop:
                checkpointing.at_end(run, stopped=str(stop))
                raise
            checkpointing.at_end(run)


def run_evaluation(trainer: Any) -> None:
    """Make an evaluation run whose objects are prepared."""
    run = trainer.run
    with _ending(run, trainer.evaluation_run_end, "on_evaluation_run_end"):
        run.announce(trainer.evaluation_run_start, "on_evaluation_run_start")
        trainer._run_eval_epoch(trainer._eval_dataloader, is_training=False)


@contextmanager
def _ending(run: Run, hook: Callable[[], None], event: str) -> Iterator[None]:
    """End a run, also one that is stopped; the model is the bare one by then."""
    try:
        yield
    except StopTrainingError as stop:
        run.trainer.print(stop)
        run.at_end(lambda: run.fire("on_stop_training_error"))
    if run.trainer.eval_dataset is not None:
        run.trainer.model.eval()
    run.mode.eval(run.optimizer)
    preparing.unwrap(run)
    run.at_end(hook)
    run.at_end(lambda: run.fire(event))


def train_epochs(trainer: Any, run: Run) -> None:
    """Make all epochs, from the loop's position on, which may be in the middle of one."""
    loop = run.loop
    while loop.epoch < run.config.num_epochs:
        if loop.stage is Stage.BEGIN and (run.is_enough or run.has_reached_limit()):
            break
        if loop.stage <= Stage.TRAIN:
            run.is_enough = trainer._run_train_epoch(trainer._train_dataloader)
            loop.stage = Stage.EVALUATE
        if loop.stage is Stage.EVALUATE and trainer.eval_dataset is not None:
            run.random.held = run.random.now()
            trainer._run_eval_epoch(trainer._eval_dataloader)
            run.random.held = None
        end_epoch(trainer, run)
    counts.warn_if_data_ended_early(run, length(trainer._train_dataloader))


def train_epoch(trainer: Any, train_dl: Any) -> bool:
    """Make a training epoch; return whether the limit on updates is reached."""
    run, history = trainer.run, trainer.run_history
    loop = run.loop
    trainer.model.train()
    run.mode.train(run.optimizer)
    keep_frozen_modules_in_eval(trainer.model)
    if loop.batch == 0:
        trainer._loss_tracker.reset()
        run.norms.reset()
    loop.stage, loop.is_cut_short = Stage.TRAIN, False
    with run.random.kept(is_needed=loop.batch > 0):
        run.announce(trainer.train_epoch_start, "on_train_epoch_start")
    if run.exchanged is not None:
        preparing.check_nothing_was_unfrozen(run, run.exchanged)
    train_batches(trainer, run, train_dl)
    run.processes.agree_on_stop()

    run.call(trainer.train_epoch_end)
    history.update_metric("train_loss_epoch", run.processes.mean_loss(trainer._loss_tracker))
    if run.norms.running_count:
        history.update_metric("train_grad_norm_epoch", run.norms.average)
    loop.stage = Stage.EVALUATE
    run.announce(None, "on_train_epoch_end")
    is_over: bool = run.has_reached_limit()
    return is_over


def train_batches(trainer: Any, run: Run, loader: Any) -> None:
    """Go through the batches, from the loop's position to the epoch's end or the limit.

    The last epoch has another pass for as many updates as mixed precision skipped.
    """
    loop = run.loop
    # A run that continues within a second pass may have more epochs now.
    if not loop.num_repeats or run.has_skipped_updates_to_make():
        train_pass(trainer, run, loader)
    while run.has_skipped_updates_to_make():
        loop.batch, num_updates = 0, loop.num_updates
        loop.num_repeats += 1
        train_pass(trainer, run, loader)
        if loop.num_updates == num_updates:
            warn(
                f"the run ends after {num_updates} of {run.config.max_num_train_steps} "
                f"updates: mixed precision skips all, since no gradient is finite",
            )
            break
    was_whole = loop.num_repeats or loop.batch == length(loader)
    loop.is_cut_short = run.has_reached_limit() and not was_whole


def train_pass(trainer: Any, run: Run, loader: Any) -> None:
    """Go through the batches that are left of a pass over the data."""
    loop, window = run.loop, run.window
    steps, is_alone = run.config.gradient_accumulation_steps, run.processes.count == 1
    if run.is_pass_over():
        return
    num_batches = length(loader)
    num_left = None if num_batches is None else max(0, num_batches - loop.batch)
    batches = windows.accumulation_windows(
        batches_left(run, loader), num_left, windows.sizes(steps, loop), loop.batch
    )
    for step, batch, window.size, is_last in batches:
        window.is_open = True
        with nullcontext() if is_last or is_alone else run.accelerator.no_sync(trainer.model):
            batch_output = trainer._perform_forward_and_backward_passes(batch, step)
        was_made = is_last and update(trainer, run, step)
        run.fire("on_train_step_end", batch=batch, batch_output=batch_output, step=step)
        if not is_last:
            continue
        window.is_open = False
        if was_made:
            run.fire("on_update_end")
        if run.asked_for:
            checkpointing.save_what_was_asked_for(run)
        if is_alone or loop.num_attempts % STOP_CHECK_INTERVAL == 0:
            run.processes.agree_on_stop()
        if run.checkpoints is not None:
            checkpointing.after_update(run, was_made)
        if run.is_pass_over():
            break
    else:
        if window.is_open:  # the loader has fewer batches than its length says
            trainer.optimizer_zero_grad()
            loop.batch, window.is_open, window.items = step + 1, False, []
            if run.counts is not None:
                run.counts.drop_window()
            checkpointing.save_what_was_asked_for(run)


def batches_left(run: Run, loader: Any) -> Any:
    """Return the batches of the pass at hand from the loop's position on."""
    loop, random = run.loop, run.random
    if not loop.batch:
        random.at_epoch_start = random.now()
    with random.kept(is_needed=loop.batch > 0):
        random.put(random.at_epoch_start or random.now())
        run.train_generator.manual_seed(loop.epoch_seed)
        tell_epoch(loader, loop.epoch + loop.num_repeats)
        run.processes.before_workers_start(loader)
        loader = by_rows(loader)
        return batches_after(loader, loop.batch) if loop.batch else loader


def forward_and_backward(trainer: Any, batch: Any, step: int) -> dict[str, Any]:
    """Add the gradients of a batch; return what `Trainer.calculate_train_batch_loss` did."""
    run = trainer.run
    run.fire("on_train_step_start")
    batch_output: dict[str, Any] = trainer.calculate_train_batch_loss(batch)
    loss, batch_size = loss_and_size(batch_output, "calculate_train_batch_loss")
    trainer._loss_tracker.update(loss, batch_size)
    if run.counts is not None:
        run.counts.note(batch_size, batch_output.get("num_items_in_batch"))
    if not loss.requires_grad:
        raise ValueError(
            "the loss that calculate_train_batch_loss returned has no gradient, so nothing "
            "can be learned from it: is every parameter frozen, or was it made under "
            "torch.no_grad(), by detach() or from item()?"
        )
    # A window's gradients add up to those of its mean loss.
    window, num_items = run.window, batch_output.get("num_items_in_batch")
    if num_items is None:
        loss = loss if window.size == 1 else loss / window.size
    elif window.size > 1 or run.processes.count > 1:
        # The window's items are known only at its end, where the gradients are divided by them.
        window.items.append(num_items)
        loss = (loss * num_items).reshape(())
    trainer.backward_step(loss)
    return batch_output


def update(trainer: Any, run: Run, step: int) -> bool:
    """Make an optimizer update with the gradients of a window; return whether it was made.

    Mixed precision skips an update whose gradients are not finite.
    """
    config, loop, window = run.config, run.loop, run.window
    if window.items:
        gradients.divide_by_items(trainer.model, run)
    if config.gradient_clip_value is not None or config.gradient_clip_norm is not None:
        trainer._clip_gradients()
    was_made = precision.step(run, trainer.optimizer_step)
    loop.batch = step + 1
    if loop.num_repeats == 0:
        loop.num_skipped += not was_made
    else:
        loop.num_skipped -= was_made
    if was_made:
        loop.num_updates += 1
        if run.counts is not None:
            run.counts.add_window(loop, run.processes)
        if window.gradient_norm is not None:
            run.norms.update(window.gradient_norm)
        try:
            run.fire("on_optimizer_step_end")
        finally:
            # No error of a callback's may part the schedule from the updates.
            if trainer.scheduler is not None:
                trainer.scheduler_step()
    elif run.counts is not None:
        run.counts.drop_window()
    trainer.optimizer_zero_grad()
    return was_made


def evaluate_epoch(
    trainer: Any, valid_dl: Any, is_training: bool = True, is_intermediate: bool = False
) -> None:
    """Evaluate for an epoch; each module then returns to the mode that it was in."""
    run = trainer.run
    name = "eval_loss_epoch" if is_training else "evaluation_loss"
    name = "intermediate_eval_loss" if is_intermediate else name
    with evaluating(trainer, run), run.showing(_loss_tracker=LossTracker()):
        run.announce(
            trainer.eval_epoch_start, "on_eval_epoch_start", is_intermediate=is_intermediate
        )
        _evaluate_batches(trainer, run, valid_dl)
        run.processes.agree_on_stop()
        run.call(trainer.eval_epoch_end)
        loss = run.processes.mean_loss(trainer._loss_tracker)
        trainer.run_history.update_metric(name, loss)
        if is_training and not is_intermediate and run.loop.stage is Stage.EVALUATE:
            run.loop.stage = Stage.END
            run.random.held = None
        run.announce(None, "on_eval_epoch_end", is_intermediate=is_intermediate)


def _evaluate_batches(trainer: Any, run: Run, loader: Any) -> None:
    """Go through the batches, whose number may differ between processes."""
    run.eval_generator.manual_seed(run.loop.epoch_seed)
    run.processes.before_workers_start(loader)
    for batch in in_step(run, by_rows(loader), trainer.calculate_eval_batch_loss):
        run.fire("on_eval_step_start")
        with torch.no_grad():
            batch_output = trainer.calculate_eval_batch_loss(batch)
        loss, batch_size = loss_and_size(batch_output, "calculate_eval_batch_loss")
        trainer._loss_tracker.update(loss, batch_size)
        run.fire("on_eval_step_end", batch=batch, batch_output=batch_output)
        if run.processes.stop is not None and not run.is_sharded:
            return


def end_epoch(trainer: Any, run: Run) -> None:
    """Do what follows on an epoch's training and evaluation."""
    loop, is_enough = run.loop, run.is_enough or run.has_reached_limit()
    loop.end_epoch()
    default = "train_loss_epoch" if trainer.eval_dataset is None else "eval_loss_epoch"
    run.schedulers.look(trainer.scheduler).end_epoch(
        trainer.run_history, run.scheduler_metric or default, loop.epoch
    )
    try:
        run.announce(trainer.training_run_epoch_end, "on_training_run_epoch_end")
    finally:
        trainer.run_history.increment_epoch()
    if is_enough and loop.epoch < run.config.num_epochs:
        limit = run.counts and run.counts.spent(loop)
        trainer.print(f"{limit or 'max_num_train_steps'} is reached: {loop.num_updates} updates")
    checkpointing.after_epoch(run)


def batch_loss(trainer: Any, batch: Any) -> dict[str, Any]:
    """Pass a batch of inputs and targets through model and loss function."""
    try:
        inputs, targets = batch[0], batch[1]
    except (TypeError, KeyError, IndexError):
        raise TypeError(
            f"a batch is a {type(batch).__name__}, of which [0] and [1] are not input and "
            f"target: override calculate_train_batch_loss and calculate_eval_batch_loss to "
            f"take it apart"
        ) from None
    outputs = trainer.model(inputs)
    if trainer.loss_func is None:
        raise TypeError(
            "loss_func is None: give one, such as torch.nn.MSELoss(), or override "
            "calculate_train_batch_loss and calculate_eval_batch_loss"
        )
    loss = trainer.loss_func(outputs, targets)
    return {"loss": loss, "model_outputs": outputs, "batch_size": len(targets)}


def loss_and_size(batch_output: Any, source: str) -> tuple[Tensor, Any]:
    """Return the loss of a batch, and the number of samples that it is a mean of."""
    try:
        loss, batch_size = batch_output["loss"], batch_output["batch_size"]
    except (TypeError, KeyError):
        raise TypeError(
            f"{source} returned {type(batch_output).__name__} without 'loss' and "
            f"'batch_size': return a dict with both"
        ) from None
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise TypeError(
            f"{source} returned the loss {loss!r}: it has to be a tensor with one element, such as "
            f"the mean over the batch"
        )
    is_tensor, is_number = isinstance(batch_size, Tensor), isinstance(batch_size, numbers.Real)
    if batch_size.numel() != 1 if is_tensor else not is_number or batch_size < 0:
        raise ValueError(
            f"{source} returned the batch_size {batch_size!r}: it has to be the number of "
            f"samples that the loss is a mean of"
        )
    batch_size = batch_size.reshape(()) if is_tensor else batch_size
    return loss.reshape(()) if loss.dim() else loss, batch_size
