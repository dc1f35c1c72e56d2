"""Options from a YAML file: plain data only, and nothing in it that could be read in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

_MOST_NESTING = 10  # no options are deeper, and what is much deeper kills the parser


class _Loader(yaml.SafeLoader):
    """Reads plain data without aliases, and each key of a mapping once."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            # A few lines of them can stand for more than fits into memory.
            anchor = self.peek_event().anchor  # type: ignore[no-untyped-call]
            raise ValueError(f"the alias *{anchor} is not read; write out what it stands for.")
        if self.depth > _MOST_NESTING:
            raise ValueError(f"it is nested more than {_MOST_NESTING} deep.")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        result = super().construct_mapping(node, deep=deep)
        left = list(result)
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            if key not in left:
                line = key_node.start_mark.line + 1
                raise ValueError(f"line {line} has the key {key!r} a second time; leave one out.")
            left.remove(key)
        return result


def read(path: str, allowed: Sequence[str]) -> dict[str, Any]:
    """Return a file's options; raise if they are not a mapping from ``allowed`` names."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"--config {path}: byte {error.start} is not text in UTF-8.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"--config {path}: {getattr(error, 'strerror', error)}.") from None
    try:
        options = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"--config {path} is not YAML: {error}") from None
    except Exception as error:
        # The loader raises whatever comes up within it over a value that it cannot read.
        raise ValueError(f"--config {path} cannot be read: {error}") from None
    if not isinstance(options, dict):
        raise ValueError(
            f"--config {path} has to map options to values, such as schedule: cosine(1000)."
        )
    for name in options:
        if name not in allowed:
            raise ValueError(
                f"--config {path}: {name!r} is not an option; there are {', '.join(allowed)}. A "
                "scheduler is written as in Python, schedule: CosineLrScheduler(…)."
            )
    return options
