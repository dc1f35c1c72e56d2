"""What parameter groups are called, and which of them the keys of a mapping mean."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple


class Label(NamedTuple):
    """What a parameter group is called: by keys of mappings, and in messages."""

    name: str
    kind: str
    place: int
    text: str


def labels_of(optimizer: Any) -> list[Label]:
    """Return what the groups of an optimizer are called.

    One without a name is called after the optimizer's class and its place there: ``AdamW/0``.
    """
    own = getattr(optimizer, "optimizer", optimizer)  # Accelerate's wrapper
    labels = []
    for index, group in enumerate(optimizer.param_groups):
        kind = getattr(group, "kind", type(own).__name__)
        name = str(group.get("name") or f"{kind}/{index}")
        text = getattr(group, "text", f"parameter group {index}")
        labels.append(Label(name, kind, index, text))
    return labels


def chosen(
    field: str, by_key: Mapping[str | int, Any], labels: Sequence[Label]
) -> list[Any | None]:
    """Return what there is for each group under its most exact key; None where no key matches.

    A name is more exact than an index, that than the class of an optimizer, a pattern of
    :func:`fnmatch.fnmatch` less, and ``"*"`` least.
    """
    result: list[Any | None] = []
    names = {label.name for label in labels}
    for label in labels:
        ranks = {key: _exactness(key, label, names) for key in by_key}
        best = max(ranks.values(), default=0)
        keys = [key for key, rank in ranks.items() if rank == best > 0]
        for key in keys[1:]:
            if by_key[key] != by_key[keys[0]]:
                raise ValueError(
                    f"{field}: {keys[0]!r} and {key!r} both match {label.name!r}, with schedules "
                    f"that differ. Write one for {label.name!r}, too: the most exact key counts."
                )
        result.append(by_key[keys[0]] if keys else None)
    return result


def check_keys(field: str, keys: Iterable[Any], labels: Sequence[Label]) -> None:
    """Raise for a key that matches no group, and say what it may be meant for."""
    names = [*dict.fromkeys(label.name for label in labels)]
    known = [*names, *dict.fromkeys(label.kind for label in labels)]
    for key in keys:
        if key == "*" or any(_exactness(key, label, names) for label in labels):
            continue
        near = difflib.get_close_matches(str(key), known, 1)
        hint = f"Is {near[0]!r} meant?" if near else ""
        if not near and isinstance(key, str):
            hint = f"Name a group with {{'params': …, 'name': {key!r}}}."
        raise ValueError(
            f"{field}: no parameter group is called {key!r}; the groups are called "
            f"{', '.join(map(repr, names))}. {hint}".rstrip()
        )


def field_missing(name: str, key: str, there: Sequence[Label], lacking: Sequence[Label]) -> str:
    """Return what to say of a field that some groups lack: which, and the mapping to write."""
    kinds = {label.kind for label in lacking}
    keys = dict.fromkeys(label.name if label.kind in kinds else label.kind for label in there)
    names = ", ".join(repr(label.name) for label in lacking)
    mapping = ", ".join(f"{one!r}: …" for one in keys)
    return (
        f"There is no field {key!r} to schedule in {names}. To schedule it where it is, write "
        f"{name}={{{mapping}}}."
    )


def _exactness(key: Any, label: Label, names: Container[str]) -> int:
    if not isinstance(key, str):
        return 4 if type(key) is int and key == label.place else 0
    if key == label.name:
        return 5
    if key == label.kind:
        return 3
    if key == "*":
        return 1
    # What is the name of some group, such as "layer[0]", is not a pattern for others.
    return 2 if key not in names and fnmatchcase(label.name, key) else 0
