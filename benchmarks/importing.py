"""What importing costs, and what a first run in a new process costs."""

from __future__ import annotations

import subprocess
import sys

_SECONDS = """
import time, torch
began = time.process_time()
import {module}
print(time.process_time() - began)
"""

_FIRST_RUN = """
from benchmarks import loops
from benchmarks.measure import stay_on_one_core
from pytorch_accelerated import Trainer

stay_on_one_core()
dataset = loops.data(16, loops.FEW)
by_hand = loops.until_first_update(loops.pytorch, dataset, 16)
by_hand()  # torch imports its compiler with the first update of all
ours = loops.until_first_update(loops.quiet(loops.ours), dataset, 16)()
print(ours - by_hand())
"""


def _printed(code: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def seconds(module: str) -> float:
    """Return the seconds that importing a module adds to importing torch, in a new process."""
    return float(_printed(_SECONDS.format(module=module)))


def first_run() -> float:
    """Return the seconds until the first update, over those of a hand-written loop.

    It is the first run in a new process, so that it imports whatever training needs.
    """
    return float(_printed(_FIRST_RUN))


def imports(module: str, unwanted: str) -> bool:
    """Say whether importing one module, in a new process, imports another one as well."""
    return _printed(f"import sys, {module}; print({unwanted!r} in sys.modules)") == "True"
