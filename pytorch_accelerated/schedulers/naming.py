"""What parameter groups are called, and which of them the keys of a mapping mean."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from pytorch_accelerated.schedulers.optimizers import Optimizers, class_of, each_of


class Label(NamedTuple):
    """What a parameter group is called: by keys of mappings, and in messages.

    Attributes:
        name: Its own name, or that of its optimizer and its place there.
        kind: The class of its optimizer.
        owner: What its optimizer is called.
        place: Its place in the optimizer; this and the owner tell it from all others.
        is_index: Whether the place is also its index among all groups.
        text: What messages call it.
    """

    name: str
    kind: str
    owner: str
    place: int
    is_index: bool
    text: str


def labels_of(optimizer: Any) -> list[Label]:
    """Return what the groups of an optimizer, or of several as one, are called.

    One without a name is called after its optimizer and its place there: ``AdamW/0``.
    """
    is_several = isinstance(optimizer, Optimizers)
    labels = []
    for one, owner in zip(
        each_of(optimizer), optimizer.names if is_several else [class_of(optimizer)], strict=True
    ):
        for place, group in enumerate(one.param_groups):
            kind = getattr(group, "kind", class_of(one))
            name = str(group.get("name") or f"{owner}/{place}")
            text = f"parameter group {name!r}" if is_several else f"parameter group {place}"
            text = getattr(group, "text", text)
            labels.append(Label(name, kind, owner, place, not is_several, text))
    return labels


def chosen(
    field: str, by_key: Mapping[str | int, Any], labels: Sequence[Label]
) -> list[Any | None]:
    """Return what there is for each group under its most exact key; None where no key matches.

    A name is more exact than an index, that than an optimizer and that than its class; a pattern
    of Python's ``fnmatch`` is less exact, and ``"*"`` least.
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
    known = [*names, *dict.fromkeys(name for label in labels for name in (label.kind, label.owner))]
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
        return 5 if type(key) is int and key == label.place and label.is_index else 0
    if key == label.name:
        return 6
    if key == label.owner != label.kind:
        return 4
    if key == label.kind:
        return 3
    if key == "*":
        return 1
    # What is the name of some group, such as "layer[0]", is not a pattern for others.
    return 2 if key not in names and fnmatchcase(label.name, key) else 0
