"""Importing has no side effects."""

from __future__ import annotations

import subprocess
import sys


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_law_9_schedulers_load_neither_accelerate_nor_plotting_and_seed_nothing() -> None:
    run_python(
        """
import logging, random, sys
import numpy, torch
before = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
handlers = list(logging.root.handlers), logging.root.level, dict(logging.root.manager.loggerDict)
import pytorch_accelerated.schedulers
after = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
assert before == after
assert handlers == (logging.root.handlers, logging.root.level, logging.root.manager.loggerDict)
for name in ("accelerate", "matplotlib", "plotly", "pandas", "rich", "pytorch_accelerated.trainer"):
    assert name not in sys.modules, name
"""
    )


def test_law_9_the_package_alone_loads_neither_torch_nor_accelerate() -> None:
    run_python(
        """
import sys
import pytorch_accelerated
import pytorch_accelerated.schedules
for name in ("torch", "numpy", "accelerate", "rich"):
    assert name not in sys.modules, name
"""
    )
