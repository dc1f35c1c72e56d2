"""A training loop on plain Accelerate, in every way that it can be set up."""

from __future__ import annotations

import math
import warnings
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DataLoaderConfiguration, GradientAccumulationPlugin
from torch.utils.data import DataLoader, TensorDataset

from pytorch_accelerated import monitor
from tests.interop.plan import BASE, NUM_UPDATES, make_scheduler
from tests.recording import Recorder


def make_accelerator(accumulation: int = 1, *, split: bool = False, linked: bool = True) -> Any:
    """An accelerator of its own settings; ``linked`` is ``step_scheduler_with_optimizer``."""
    AcceleratorState._reset_state()
    GradientState._reset_state()
    accelerator = Accelerator(
        cpu=True,
        dataloader_config=DataLoaderConfiguration(split_batches=split),
        step_scheduler_with_optimizer=linked,
        gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=accumulation),
    )
    # The plugin's default, which Accelerate 1.15 loses on the way.
    accelerator.gradient_state.plugin_kwargs["adjust_scheduler"] = True
    return accelerator


def run(
    *,
    prepared: bool,
    guarded: bool,
    linked: bool = True,
    split: bool = False,
    accumulation: int = 1,
    overflows: tuple[int, ...] = (),
    made_from_wrapper: bool = False,
    make: Any = make_scheduler,
    is_watched: bool = False,
) -> dict[str, Any]:
    """Train for the plan's updates; return what each ran with, what is left, and warnings."""
    accelerator = make_accelerator(accumulation, split=split, linked=linked)
    if overflows:
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    model = torch.nn.Linear(1, 1)
    inner = torch.optim.SGD(model.parameters(), lr=BASE)
    count = accelerator.num_processes
    num_batches = (NUM_UPDATES + len(overflows)) * accumulation
    data = TensorDataset(torch.ones(num_batches * 2 * (1 if split else count), 1))
    loader = DataLoader(data, batch_size=2)
    scheduler = None if made_from_wrapper else make(inner)
    model, optimizer, loader = accelerator.prepare(model, inner, loader)
    if scheduler is None:
        scheduler = make(optimizer)
    stepped = accelerator.prepare(scheduler) if prepared else scheduler
    recorder = Recorder(inner)
    num_updates = 0

    watch = monitor(optimizer, stepped) if is_watched else nullcontext()
    with watch as watcher, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for (inputs,) in loader:
            with accelerator.accumulate(model):
                factor = math.inf if num_updates in overflows else 1.0
                accelerator.backward((model(inputs) * factor).mean())
                optimizer.step()
                if not guarded or (
                    accelerator.sync_gradients and not accelerator.optimizer_step_was_skipped
                ):
                    stepped.step()
                num_updates += accelerator.sync_gradients
                optimizer.zero_grad()
    return {
        "used": [values[0] for values in recorder.used] + [inner.param_groups[0]["lr"]],
        "count": scheduler.num_updates,
        "warnings": [str(warning.message) for warning in caught],
        "last": stepped.get_last_lr(),
        "summary": watcher.summary() if watcher else "",
    }
