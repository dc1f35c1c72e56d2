"""How many functions of the package a resume and an update pass through, counted, not timed.

python -m benchmarks.calls [--list]

A reader who follows a run reads these functions, so their number is a cost of its own. To count
another version of the package, put its folder first in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

import pytorch_accelerated
from pytorch_accelerated import Trainer
from pytorch_accelerated.schedulers import CosineLrScheduler, StatefulSchedulerBase

PACKAGE = Path(pytorch_accelerated.__file__).parent
COUNTED_UPDATE = 6  # by then all that is done once is done

Calls = Counter[tuple[str, str]]  # file and name of a function


class HalfCosine(StatefulSchedulerBase):
    """A user's own schedule, one line long."""

    def get_updated_values(self, num_updates: int) -> Any:
        return [v * (0.5 + 0.5 * math.cos(num_updates / 20)) for v in self.base_lr_values]


class InterruptedRunError(Exception):
    """Ends a run in its middle."""


class Data(Dataset[Any]):
    """Samples up to the one that ends the run and the counting."""

    def __init__(self, num_samples_until_end: int) -> None:
        self.left = num_samples_until_end

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            sys.setprofile(None)
            raise InterruptedRunError
        return torch.zeros(1), torch.zeros(1)


class Watched(torch.optim.SGD):
    """Counts from the end of one update to the end of the next."""

    calls: Calls

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        result = super().step(closure)
        self.updates = getattr(self, "updates", 0) + 1
        if self.updates == COUNTED_UPDATE - 1:
            self.calls = Counter()
            sys.setprofile(_count_into(self.calls))
        elif self.updates == COUNTED_UPDATE:
            sys.setprofile(None)
        return result


def resume() -> Calls:
    """Count from ``train(resume="auto")`` to the first batch, within the second epoch."""
    calls: Calls = Counter()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(None):
        for samples in (50, 0):
            trainer = _trainer()
            if samples == 0:
                sys.setprofile(_count_into(calls))
            with suppress(InterruptedRunError):
                trainer.train(
                    Data(samples),
                    num_epochs=3,
                    per_device_batch_size=4,
                    create_scheduler_fn=CosineLrScheduler.create_scheduler_fn(),
                    checkpoint_dir=folder,
                    checkpoint_every=5,
                    resume="auto",
                )
    return calls


def update(create_scheduler_fn: Any) -> Calls:
    """Count an update, from the end of one optimizer step to the end of the next."""
    trainer = _trainer()
    trainer.train(Data(32), 1, per_device_batch_size=4, create_scheduler_fn=create_scheduler_fn)
    calls: Calls = trainer.optimizer.calls
    return calls


def counted() -> dict[str, Calls]:
    """Count everything."""
    return {
        'train(resume="auto") to the first batch': resume(),
        "an update with a built-in schedule": update(CosineLrScheduler.create_scheduler_fn()),
        "an update with a user's subclass": update(HalfCosine),
    }


def _trainer() -> Trainer:
    model = nn.Linear(1, 1)
    return Trainer(model, nn.MSELoss(), Watched(model.parameters(), lr=0.1), callbacks=[])


def _count_into(calls: Calls) -> Any:
    def count(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        path = Path(code.co_filename)
        # Comprehensions are functions only to some versions of Python.
        is_named = not code.co_name.startswith("<") or code.co_name == "<lambda>"
        if event == "call" and is_named and path.is_relative_to(PACKAGE):
            calls[str(path.relative_to(PACKAGE)), f"{code.co_name}:{code.co_firstlineno}"] += 1

    return count


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the functions, too")
    chosen = parser.parse_args(arguments)
    print(f"{PACKAGE}: {pytorch_accelerated.__version__}")
    for name, calls in counted().items():
        files = {file for file, _ in calls}
        print(f"{name}: {len(calls)} functions in {len(files)} files, {calls.total()} calls")
        if chosen.list:
            for (file, function), number in calls.items():
                print(f"  {number:4} {file} {function}")


if __name__ == "__main__":
    main()
