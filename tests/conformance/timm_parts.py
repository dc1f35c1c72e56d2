"""timm's schedulers and optimizers, without the rest of timm.

Importing timm imports its models and with them torchvision, which its schedulers and its functions
for parameter groups do not need.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType


@cache
def timm_part(name: str) -> ModuleType:
    """Return a part of timm, such as ``scheduler`` or ``optim``."""
    with _without_models():
        return importlib.import_module(f"timm.{name}")


@contextmanager
def _without_models() -> Iterator[None]:
    """Let parts of timm be imported, and leave no trace for those who ask whether timm is there."""
    found = importlib.machinery.PathFinder.find_spec("timm")
    if found is None or found.submodule_search_locations is None:
        raise ImportError(
            "timm is not installed: pip install --no-deps -r requirements-no-deps.lock"
        )
    before = _modules_of_timm()
    package, models = ModuleType("timm"), ModuleType("timm.models")
    package.__path__ = list(found.submodule_search_locations)
    models.group_parameters = None  # type: ignore[attr-defined]  # for models of timm's own only
    sys.modules.update({"timm": package, "timm.models": models})
    try:
        yield
    finally:
        for name in _modules_of_timm():
            del sys.modules[name]
        sys.modules.update(before)


def _modules_of_timm() -> dict[str, ModuleType]:
    return {name: m for name, m in sys.modules.items() if name.partition(".")[0] == "timm"}
