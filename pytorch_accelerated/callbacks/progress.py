"""Telling a person at a terminal how training goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pytorch_accelerated.callbacks.base import TrainerCallback
from pytorch_accelerated.callbacks.schedule_monitor import copy_of_value
from pytorch_accelerated.checks import positive
from pytorch_accelerated.schedulers.applied import PlanCheck, plan_in_short
from pytorch_accelerated.schedulers.optimizers import as_one
from pytorch_accelerated.terminal import (
    BarColumn,
    Console,
    MofNCompleteColumn,
    NotebookText,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    new_console,
)
from pytorch_accelerated.text import readable

_WIDTH = 80  # of a plan that is printed in one line
_LIMITS = {"max_samples": "samples", "max_items": "items", "max_time": "s"}


@dataclass(eq=False, repr=False)
class ProgressBarCallback(TrainerCallback):
    """Shows a bar for each epoch: loss, learning rate, updates per second and time left.

    Bars appear on the first process of a machine, and only if its output is a terminal or a
    notebook, where they are text in one place. They are redrawn at most ``refresh_per_second``
    times a second; only then a loss is read from the device. A bar goes when its epoch is over,
    whose results `LogMetricsCallback` prints; that of an epoch which an error or a stop has ended
    stays, as far as it has come.

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
    _notebook: NotebookText | None = field(default=None, init=False)

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
            self.eval_pbar.close()
            self.eval_pbar = None
        if self.pbar is not None:
            self.pbar.resume()

    def after_run(self, trainer: Any, **kwargs: Any) -> None:
        # After an error, rich would keep the cursor hidden and standard output replaced.
        self._close(stays=True)
        self._notebook = None

    on_stop_training_error = after_run

    def _open(self, trainer: Any, description: str, loader: Any) -> _Bar | None:
        console = self.console or new_console()
        if not trainer.run.accelerator.is_local_main_process or not (
            console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal)
        ):
            return None
        try:
            total = len(loader)
        except TypeError:
            total = None
        if console.is_jupyter and self._notebook is None:
            self._notebook = NotebookText()  # one for all bars of a run
        return _Bar(console, description, total, 1 / self.refresh_per_second, self._notebook)

    def _close(self, stays: bool = False) -> None:
        bars, self.pbar, self.eval_pbar = (self.eval_pbar, self.pbar), None, None
        for bar in bars:
            if bar is not None:
                bar.close(stays)


class _Bar:
    """A bar that counts in plain integers, and reads numbers only when it is time to draw."""

    def __init__(
        self,
        console: Console,
        description: str,
        total: int | None,
        interval: float,
        notebook: NotebookText | None,
    ) -> None:
        self.num_done = self.num_updates = 0
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
            transient=True,
            # What rich draws in a notebook needs ipywidgets.
            disable=notebook is not None,
        )
        self._notebook = notebook
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
        if self._notebook is not None:
            self._notebook.show(self._progress)

    def _numbers(self) -> str:
        numbers = []
        if self._loss is not None:
            numbers.append(f"loss {float(self._loss):.4g}")
        if self.rate is not None:
            numbers.append(f"lr {float(self.rate):.3g}")
        if self.num_updates:
            speed = self.num_updates / (self._drawn - self._started)
            numbers.append(f"{speed:.3g} updates/s")
        return "  ".join(numbers)

    def pause(self) -> None:
        """Take the bar off the screen."""
        self._paused = time.perf_counter()
        self._progress.stop()

    def resume(self) -> None:
        self._started += time.perf_counter() - self._paused
        self._progress.start()

    def close(self, stays: bool = False) -> None:
        """Give the terminal back, with the bar as it is now if it is to stay."""
        self._progress.live.transient = not stays
        try:
            if stays:
                self._draw()
            elif self._notebook is not None:
                self._notebook.show(None)
        finally:
            self._progress.stop()


class PrintProgressCallback(TrainerCallback):
    """Prints the plan before the first update, and after the last whether it was what ran.

    Each update's values are compared with the plan, bit for bit, where schedules alone say the
    values and none of them is a tensor.
    """

    last_in: tuple[str, ...] = ("on_training_run_end",)

    _check: PlanCheck | None = None
    _clocks: Mapping[str, float] | None = None

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        run, optimizer = trainer.run, as_one(trainer.optimizer)
        self._check = PlanCheck(run.all_schedulers if run.steps_schedulers else ())
        self._clocks = run.clocks
        plan = plan_in_short(run.all_schedulers, getattr(optimizer, "param_groups", ()))
        parts = [part for part in (_length_of(trainer), plan) if part]
        one_line = "; ".join(parts)
        trainer.print(readable(one_line if len(one_line) <= _WIDTH else ";\n  ".join(parts)))

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        if self._check is not None:
            self._check.note(trainer.run.num_updates - 1, self._clocks or {})
            self._clocks = self._clocks and trainer.run.clocks

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        if self._check is not None and str(self._check):
            trainer.print(str(self._check))


def _length_of(trainer: Any) -> str:
    """Return how many updates a run has, as far as that is known."""
    config, made = trainer.run_config, trainer.run.num_updates
    total, per_epoch = config.max_num_train_steps, config.num_update_steps_per_epoch
    text = f"{config.num_epochs} epochs" if total is None else f"{total:,} updates"
    if total is not None and per_epoch:
        text += f", {per_epoch:,} an epoch"
    for name, unit in _LIMITS.items():
        if getattr(config, name) is not None:
            text += f", at most {getattr(config, name):,} {unit}"
    return f"{text}, continued after {made:,}" if made else text
