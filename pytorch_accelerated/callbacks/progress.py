"""Telling a person at a terminal how training goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.callbacks.log_metrics import numbers_in
from pytorch_accelerated.callbacks.schedule_monitor import copy_of_value
from pytorch_accelerated.checks import positive
from pytorch_accelerated.schedulers.optimizers import as_one
from pytorch_accelerated.terminal import (
    BarColumn,
    Console,
    MofNCompleteColumn,
    Progress,
    Table,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


@dataclass(eq=False, repr=False)
class ProgressBarCallback(TrainerCallback):
    """Shows a bar for each epoch: loss, learning rate, updates per second and time left.

    Bars appear on the first process of a machine, and only if its output is a terminal or a
    notebook. They are redrawn at most ``refresh_per_second`` times a second; only then a loss is
    read from the device. The bar that an epoch leaves on the screen shows its mean loss and the
    learning rate of its last update.

    Args:
        refresh_per_second: How often to redraw, at most.
        console: Where to draw; by default standard output.

    Attributes:
        pbar: The bar of the training epoch at hand, or ``None``.
        eval_pbar: The bar of the evaluation epoch at hand, or ``None``.

    Raises:
        TypeError: ``refresh_per_second`` is not a number.
        ValueError: It is not a finite number above 0.
    """

    refresh_per_second: float = 4.0
    console: Console | None = None

    pbar: _Bar | None = field(default=None, init=False)
    eval_pbar: _Bar | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.refresh_per_second = positive("refresh_per_second", self.refresh_per_second)

    def on_train_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        self._close()
        description = f"epoch {trainer.run_history.current_epoch}"
        self.pbar = self._open(trainer, description, trainer.run.train_loader)
        if self.pbar is not None:
            self.pbar.num_done = trainer.run.batch

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        if self.pbar is not None:
            self.pbar.num_updates += 1
            self.pbar.rate = copy_of_value(as_one(trainer.optimizer).param_groups[0].get("lr"))

    def on_train_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], step: int, **kwargs: Any
    ) -> None:
        if self.pbar is not None:
            self.pbar.advance(batch_output["loss"])

    def on_train_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        if self.pbar is not None:
            self.pbar.mean_loss = trainer.run_history.get_latest_metric("train_loss_epoch")
        self._close()

    def on_eval_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        # Two live displays cannot share a terminal.
        if self.pbar is not None:
            self.pbar.pause()
        self.eval_pbar = self._open(trainer, "evaluation", trainer.run.eval_loader)

    def on_eval_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], **kwargs: Any
    ) -> None:
        if self.eval_pbar is not None:
            self.eval_pbar.advance(batch_output["loss"])

    def on_eval_epoch_end(self, trainer: Any, is_intermediate: bool = False, **kwargs: Any) -> None:
        if self.eval_pbar is not None:
            name = "evaluation_loss" if trainer.run.train_loader is None else "eval_loss_epoch"
            name = "intermediate_eval_loss" if is_intermediate else name
            self.eval_pbar.mean_loss = trainer.run_history.get_latest_metric(name)
            self.eval_pbar.close()
            self.eval_pbar = None
        if self.pbar is not None:
            self.pbar.resume()

    def after_run(self, trainer: Any, **kwargs: Any) -> None:
        # After an error, rich would keep the cursor hidden and standard output replaced.
        self._close()

    on_stop_training_error = after_run

    def _open(self, trainer: Any, description: str, loader: Any) -> _Bar | None:
        console = self.console or Console()
        if not trainer.run.accelerator.is_local_main_process or not (
            console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal)
        ):
            return None
        try:
            total = len(loader)
        except TypeError:
            total = None
        return _Bar(console, description, total, 1 / self.refresh_per_second)

    def _close(self) -> None:
        bars, self.pbar, self.eval_pbar = (self.eval_pbar, self.pbar), None, None
        for bar in bars:
            if bar is not None:
                bar.close()


class _Bar:
    """A bar that counts in plain integers, and reads numbers only when it is time to draw."""

    def __init__(
        self, console: Console, description: str, total: int | None, interval: float
    ) -> None:
        self.num_done = self.num_updates = 0
        self.mean_loss: float | None = None
        self.rate: Any = None
        self._loss: Any = None
        self._total, self._interval = total, interval
        self._started = self._drawn = time.perf_counter()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=console,
            # No thread beside the training loop: it draws when a batch is done.
            auto_refresh=False,
        )
        self._task: TaskID = self._progress.add_task(description, total=total, numbers="")
        self._progress.start()

    def advance(self, loss: Any) -> None:
        """Count a batch, and draw if it is time to."""
        self.num_done += 1
        self._loss = loss.detach() if torch.is_tensor(loss) else loss
        if time.perf_counter() - self._drawn >= self._interval:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.perf_counter()
        # Updates that mixed precision skipped are made up for beyond the end.
        total = None if self._total is None else max(self._total, self.num_done)
        self._progress.update(
            self._task, completed=self.num_done, total=total, numbers=self._numbers(), refresh=True
        )

    def _numbers(self) -> str:
        numbers = []
        if self.mean_loss is not None:
            numbers.append(f"mean loss {self.mean_loss:.4g}")
        elif self._loss is not None:
            numbers.append(f"loss {float(self._loss):.4g}")
        if self.rate is not None:
            numbers.append(f"lr {float(self.rate):.3g}")
        if self.num_updates:
            speed = self.num_updates / (self._drawn - self._started)
            numbers.append(f"{speed:.3g} updates/s")
        return "  ".join(numbers)

    def pause(self) -> None:
        """Take the bar off the screen, where it would stay as it is."""
        self._paused = time.perf_counter()
        self._progress.live.transient = True
        self._progress.stop()

    def resume(self) -> None:
        self._started += time.perf_counter() - self._paused
        self._progress.live.transient = False
        self._progress.start()

    def close(self) -> None:
        """Draw what stays on the screen, and give the terminal back."""
        try:
            self._draw()
        finally:
            self._progress.stop()


class PrintProgressCallback(TrainerCallback):
    """Prints when runs and epochs start and end, and a summary of the metrics after training."""

    _started: float | None = None
    _updates_before: int = 0

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        self._started = time.perf_counter()
        self._updates_before = trainer.run.num_updates
        trainer.print("Starting training run")

    def on_train_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        trainer.print(f"Starting epoch {trainer.run_history.current_epoch}")

    def on_eval_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        trainer.print("Starting evaluation")

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        done = ""
        if self._started is not None:
            seconds = time.perf_counter() - self._started
            updates = trainer.run.num_updates - self._updates_before
            done = f": {updates} updates in {seconds:.1f} s"
        trainer.print(f"Finished training run{done}")
        if trainer.run.accelerator.is_local_main_process:
            table = summary_table(trainer.run_history)
            if table.row_count:
                Console().print(table)

    def on_evaluation_run_start(self, trainer: Any, **kwargs: Any) -> None:
        trainer.print("Starting evaluation run")

    def on_evaluation_run_end(self, trainer: Any, **kwargs: Any) -> None:
        trainer.print("Finished evaluation run")


def summary_table(run_history: Any) -> Table:
    """Return a row for each metric of a run: its first, lowest, highest and last value."""
    table = Table("metric", *("first", "lowest", "highest", "last"))
    for column in table.columns[1:]:
        column.justify = "right"
    for name in run_history.get_metric_names():
        values = numbers_in(run_history.get_metric_values(name))
        if values:
            shown = (values[0], min(values), max(values), values[-1])
            table.add_row(name, *(f"{value:.6g}" for value in shown))
    return table
