"""Lower layers never import higher ones, and no module imports one that imports it.

Imports within functions and under ``TYPE_CHECKING`` count, too: a reader follows them all the same.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pytorch_accelerated

FOLDER = Path(pytorch_accelerated.__file__).parent
PACKAGE = FOLDER.name

#: What the top level has names of, each loaded on first use, as type checkers see them: the one
#: rule by which a part that lies below all may name those above it.
TOP = ("schedules", "schedulers", "preview", "callbacks", "placeholders", "integrations", "trainer")

#: Each part of the package, with those that it may import; every part may import itself.
MAY_IMPORT = {
    "checks": "",
    "door": "",
    "loss_tracker": "",
    "names": "",
    "text": "",
    "terminal": "text",
    "borrowed": "checks",
    "placeholders": "checks",
    "ema": "borrowed checks sharded",
    "run_config": "checks schedules",
    "sharded": "",
    "finetuning": "borrowed checks",
    "tracking": "checks door loss_tracker text",
    "schedules": "names checks door",
    "schedulers": "names checks door placeholders schedules text",
    "preview": "names borrowed checks sharded schedules schedulers",
    "checkpoints": "borrowed checks placeholders sharded schedules schedulers",
    "callbacks": "names borrowed checks ema finetuning run_config sharded terminal text tracking "
    "schedules schedulers checkpoints",
    "run": "checks ema finetuning placeholders run_config sharded tracking "
    "schedules schedulers checkpoints callbacks",
    "trainer": "borrowed checks ema finetuning placeholders run_config tracking "
    "schedules schedulers checkpoints callbacks run",
    "integrations": "borrowed checks schedules schedulers preview",
    "utils": "ema callbacks run",
    "__init__": " ".join(TOP),
    "cli_output": "preview text",
    "cli_compare": "cli_output preview",
    "cli_edit": "cli_output preview",
    "cli_own": "cli_output preview schedules",
    "cli": "__init__ cli_compare cli_edit cli_output cli_own preview checkpoints",
    "__main__": "cli",
}
#: What finds a module by its name: the door, names that are loaded on first use, and the command
#: line, for a module of the user's.
BY_NAME = {"cli_own", "door", "names", "__init__", "preview"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module of the package, by its name within the package."""
    trees = {}
    for path in sorted(FOLDER.rglob("*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


def within(name: str) -> str | None:
    """Return a module's name within the package; None for one of another package."""
    head, _, rest = name.partition(".")
    return (rest or "__init__") if head == PACKAGE else None


@cache
def imports(module: str) -> frozenset[str]:
    """Return the modules of the package that a module imports, anywhere in its code."""
    found: set[str] = set()
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            found.update(name for one in node.names if (name := within(one.name)) is not None)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            home = within(node.module or "")
            if home is not None:
                inner = {within(f"{node.module}.{one.name}") for one in node.names}
                found |= {one if one in modules() else home for one in inner}
    return frozenset(found - {module})


def part_of(module: str) -> str:
    return module.partition(".")[0]


def test_every_part_of_the_package_has_its_place() -> None:
    assert set(map(part_of, modules())) <= set(MAY_IMPORT)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    allowed = {part, *MAY_IMPORT[part].split()}
    upward = {
        (module, other)
        for module in modules()
        if part_of(module) == part
        for other in imports(module)
        if part_of(other) not in allowed
    }
    assert upward == set()


def test_the_table_itself_has_no_circle() -> None:
    assert list(circles({part: set(MAY_IMPORT[part].split()) for part in MAY_IMPORT})) == []


def test_no_module_imports_one_that_imports_it() -> None:
    assert list(circles({module: set(imports(module)) for module in modules()})) == []


def test_only_the_door_and_names_loaded_on_first_use_find_a_module_by_its_name() -> None:
    users = {
        module
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute)
        if (node.id if isinstance(node, ast.Name) else node.attr) in ("import_module", "__import__")
    }
    assert users == BY_NAME


def circles(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Yield the modules of each circle: whoever is reached from what it reaches."""

    def reached_from(one: str) -> set[str]:
        found: set[str] = set()
        ahead = [*graph[one]]
        while ahead:
            other = ahead.pop()
            if other not in found:
                found.add(other)
                ahead += graph[other]
        return found

    reached = {one: reached_from(one) for one in graph}
    seen: set[str] = set()
    for one in graph:
        circle = {other for other in reached[one] if one in reached[other]}
        if circle and one not in seen:
            seen |= circle
            yield circle


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a", "e"}}
    assert [sorted(circle) for circle in circles(graph)] == [["b", "c"], ["e"]]


@pytest.mark.parametrize(
    "steps",
    [
        [
            ("checks", ["torch", "pytorch_accelerated.schedules"]),
            ("cli", ["torch", "yaml", "pytorch_accelerated.schedules"]),
            ("schedules", ["torch", "numpy", "pytorch_accelerated.schedulers"]),
            ("schedulers", ["accelerate", "pytorch_accelerated.preview"]),
            ("checkpoints", ["accelerate", "pytorch_accelerated.run"]),
            ("callbacks", ["pytorch_accelerated.run", "pytorch_accelerated.trainer"]),
        ],
        [
            (
                "preview",
                ["torch", "matplotlib", "plotly", "pandas", "pytorch_accelerated.schedulers"],
            )
        ],
    ],
    ids=["up to callbacks", "preview"],
)
def test_a_layer_loads_nothing_that_is_above_it(steps: list[tuple[str, list[str]]]) -> None:
    code = "import importlib, sys\n"
    for module, without in steps:
        code += (
            f"importlib.import_module('{PACKAGE}.{module}')\n"
            f"loaded = [name for name in {without} if name in sys.modules]\n"
            f"assert not loaded, ('{module}', loaded)\n"
        )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
