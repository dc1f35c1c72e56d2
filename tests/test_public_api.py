"""Everything public says what it is and what it takes."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import pytorch_accelerated
from pytorch_accelerated.schedules.terms import Fixed

MODULES = ["pytorch_accelerated"] + [
    module.name
    for module in pkgutil.walk_packages(pytorch_accelerated.__path__, "pytorch_accelerated.")
    if not module.name.endswith("__main__")
]


def public_names(module: Any) -> list[str]:
    """What a module exports; without ``__all__``, what it defines without an underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def documented_things() -> Iterator[tuple[str, Any]]:
    """Public classes and functions of the package, and the public methods of the classes."""
    seen = set()
    for module in map(importlib.import_module, MODULES):
        yield module.__name__, module
        for name in public_names(module):
            value = getattr(module, name)
            is_ours = getattr(value, "__module__", "").startswith("pytorch_accelerated")
            if not is_ours or not callable(value) or value in seen:
                continue
            if not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            seen.add(value)
            full_name = f"{value.__module__}.{value.__qualname__}"
            yield full_name, value
            for member_name, member in vars(value).items() if inspect.isclass(value) else ():
                function = getattr(member, "__func__", member)
                is_method = inspect.isfunction(function) or isinstance(member, property)
                if is_method and not member_name.startswith("_"):
                    yield f"{full_name}.{member_name}", getattr(value, member_name)


THINGS = dict(documented_things())


def test_every_exported_name_exists_once():
    for module in map(importlib.import_module, MODULES):
        names = public_names(module)
        assert len(names) == len(set(names)), module
        assert [name for name in names if not hasattr(module, name)] == [], module


def test_every_public_thing_has_a_docstring_whose_first_line_is_a_sentence():
    texts = {name: inspect.getdoc(thing) or "" for name, thing in THINGS.items()}
    assert len(texts) > 500
    assert [name for name, text in texts.items() if not text.partition("\n")[0].endswith(".")] == []


# What people call; methods may leave an argument to their first line, data classes to Attributes,
# and the classes of schedules to the functions and operators that build them.
EXPORTED = {
    f"{value.__module__}.{value.__qualname__}"
    for module in map(importlib.import_module, MODULES)
    for value in (getattr(module, name) for name in getattr(module, "__all__", ()))
    if inspect.isfunction(value)
    or (inspect.isclass(value) and not is_dataclass(value) and not issubclass(value, Fixed))
}


def documented_arguments(text: str) -> list[str]:
    section = re.search(r"^Args:\n((?:[ ]+.*\n?|\n)+)", text, re.MULTILINE)
    return re.findall(r"^ {4}\*{0,2}(\w+):", section[1], re.MULTILINE) if section else []


CALLABLES = {
    name: thing
    for name, thing in THINGS.items()
    if inspect.isroutine(thing) or (inspect.isclass(thing) and "__init__" in vars(thing))
}


def taken_and_documented(name: str) -> tuple[list[str], list[str]]:
    thing = CALLABLES[name]
    documented = documented_arguments(inspect.cleandoc(thing.__doc__ or ""))
    names = inspect.signature(thing).parameters
    taken = [name for name in names if name not in ("self", "cls")]
    return taken, documented if documented or name in EXPORTED else taken


def test_the_arguments_in_a_docstring_are_those_of_the_signature_in_order():
    found = {name: taken_and_documented(name) for name in CALLABLES}
    assert len(found) > 300
    assert {name: both for name, both in found.items() if both[0] != both[1]} == {}
