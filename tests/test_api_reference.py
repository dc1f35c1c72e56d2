"""Every public name is in the API reference."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.test_public_api import MODULES, public_names

DOCS = Path(__file__).parent.parent / "docs"
#: Modules without ``__all__`` that have something for users; None stands for all of it.
WITHOUT_LIST = {
    "pytorch_accelerated.cli": ["main"],
    "pytorch_accelerated.finetuning": None,
    "pytorch_accelerated.run_config": ["TrainerRunConfig"],
    "pytorch_accelerated.tracking": None,
    "pytorch_accelerated.utils": None,
}
#: Gathers the parts of another library; its names are that library's.
GATHERED = "pytorch_accelerated.terminal"


@pytest.fixture(scope="module")
def built() -> Path:
    """Build the documentation, in which a warning is an error."""
    folder = DOCS / "_build" / "html"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run([*command, DOCS, folder], capture_output=True, text=True, cwd=DOCS.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def documented(built: Path) -> set[str]:
    """Return the names that the documentation has."""
    inventory = (built / "objects.inv").read_bytes().split(b"\n", maxsplit=4)[4]
    lines = zlib.decompress(inventory).decode("utf-8").splitlines()
    return {name for name, kind, *_ in map(str.split, lines) if kind.startswith("py:")}


def is_documented(module: str, name: str, documented: set[str]) -> bool:
    if f"{module}.{name}" in documented:
        return True
    # Or under another of its names: a module's own, or where a package shows it.
    value = getattr(importlib.import_module(module), name)
    return callable(value) and any(
        found.rpartition(".")[2] == name and found_at(found) is value for found in documented
    )


def found_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:  # a method's path names a class in the module's place
        return None


def test_every_public_name_is_in_the_reference(documented: set[str]) -> None:
    public = {
        module: [name for name in importlib.import_module(module).__all__ if name[:2] != "__"]
        for module in MODULES
        if module != GATHERED and hasattr(importlib.import_module(module), "__all__")
    }
    for module, names in WITHOUT_LIST.items():
        public.setdefault(module, names or public_names(importlib.import_module(module)))
    assert "OnDiskRunHistory" in public["pytorch_accelerated.tracking"]
    missing = [
        f"{module}.{name}"
        for module, names in public.items()
        for name in names
        if not is_documented(module, name, documented)
    ]
    assert missing == []


def test_a_missing_name_is_noticed(documented: set[str]) -> None:
    without = {name for name in documented if not name.endswith(".find_lr")}
    assert is_documented("pytorch_accelerated.preview", "find_lr", documented)
    assert not is_documented("pytorch_accelerated.preview", "find_lr", without)


def test_the_search_finds_what_people_look_for(built: Path) -> None:
    text = (built / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))
    assert {"one cycle", "warmup", "warm restarts", "wsd"} <= {*index["indexentries"]}
    assert "muon" in index["titleterms"]


def test_the_pages_load_nothing_from_elsewhere(built: Path) -> None:
    pages = {path: path.read_text(encoding="utf-8") for path in built.rglob("*.html")}
    assert any('class="formula"' in text for text in pages.values())
    for path, text in pages.items():
        tags = re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", text)
        assert not [tag for tag in tags if re.search(r'(?:src|href)="(?:https?:)?//', tag)], path
