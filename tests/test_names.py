"""What is at the top level, and what is said of names that are not where somebody looks."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import pytorch_accelerated
from pytorch_accelerated import names

NOT_SOUGHT = {"EVENTS", "CallbackMethodNotImplementedError"}


def imported(module: str, name: str) -> object:
    """What ``from module import name`` gives."""
    space: dict[str, object] = {}
    exec(f"from {module} import {name}", space)  # noqa: S102
    return space[name]


def test_the_table_has_every_public_name_of_the_parts_that_people_import_from() -> None:
    homes = names._homes()
    for part in ("schedules", "schedulers", "callbacks"):
        public = set(importlib.import_module(f"pytorch_accelerated.{part}").__all__) - NOT_SOUGHT
        assert {name for name, home in homes.items() if home == part} == public
    for name, home in homes.items():
        assert hasattr(importlib.import_module(f"pytorch_accelerated.{home}"), name), name
    assert set(names._ELSEWHERE.values()) <= set(homes)


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        ("", "CosineLRScheduler", "schedulers import CosineLrScheduler"),
        (".schedulers", "cosine", "schedules import cosine"),
        (".schedules", "ParamScheduler", "schedulers import ParamScheduler"),
        (".schedules", "liner", "schedules import linear"),
        (".callbacks", "ModelCheckpoint", "callbacks import SaveBestModelCallback"),
        (".preview", "get_cosine_schedule_with_warmup", "schedules import warmup_cosine"),
        ("", "OneCycleLR", "schedules import one_cycle"),
    ],
)
def test_a_near_miss_is_answered_with_the_right_place(module: str, name: str, instead: str) -> None:
    owner = importlib.import_module(f"pytorch_accelerated{module}")
    expected = rf"{name!r}\. Write: from pytorch_accelerated\.{instead}$"
    with pytest.raises(ImportError, match=expected):
        imported(f"pytorch_accelerated{module}", name)
    with pytest.raises(AttributeError, match=expected):
        getattr(owner, name)
    assert not hasattr(owner, name)
    home, found = instead.split(" import ")
    assert imported(f"pytorch_accelerated.{home}", found) is not None


def test_what_nobody_knows_and_submodules_are_left_to_python() -> None:
    with pytest.raises(ImportError, match="cannot import name 'banana'"):
        imported("pytorch_accelerated", "banana")
    with pytest.raises(AttributeError, match=r"has no attribute 'banana'$"):
        pytorch_accelerated.banana  # noqa: B018
    assert imported("pytorch_accelerated", "checkpoints") is not None


@pytest.mark.parametrize(
    "first", ["import pytorch_accelerated.preview", "from pytorch_accelerated import preview", ""]
)
def test_preview_is_the_same_in_whatever_order_things_are_imported(first: str) -> None:
    code = f"""
import sys, pytorch_accelerated
assert not {{"torch", "numpy"}} & set(sys.modules)
{first}
from pytorch_accelerated import linear, preview
import pytorch_accelerated.preview
assert preview is pytorch_accelerated.preview is sys.modules["pytorch_accelerated.preview"]
assert str(preview(linear(4, end=0.0))) == str(preview.preview(linear(4, end=0.0)))
from pytorch_accelerated.preview import compare, preview as function
assert compare is pytorch_accelerated.compare and function is preview.preview
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
