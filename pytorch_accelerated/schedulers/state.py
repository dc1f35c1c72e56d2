"""What a scheduler saves and loads: a position, in plain values that savers keep as they are."""

from __future__ import annotations

import math
from collections.abc import (
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
)
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from pytorch_accelerated.checks import same
from pytorch_accelerated.schedulers.clocks import UPDATES
from pytorch_accelerated.schedulers.held import plain
from pytorch_accelerated.schedulers.naming import Label, labels_of

T = TypeVar("T")

# What a scheduler plans: field, group (None for all), the schedule's text.
Row: TypeAlias = "list[Any]"

#: What a tensor's precision does to a value.
PRECISION = 1e-6

_FORMAT = 1
_KEYS = {"format", "kind", "num_updates", "base_values", "values", "attributes", "plan", "groups"}
_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (list, tuple, dict, set)}
_SHOWN = 160


# Saving and loading --------------------------------------------------------------------------


def saved(scheduler: Any) -> dict[str, Any]:
    """Return the state of a scheduler."""
    groups, labels = scheduler.optimizer.param_groups, labels_of(scheduler.optimizer)
    bases: dict[str, list[Any]] = {}
    values: dict[str, list[Any]] = {}
    for name, field in scheduler._fields.items():
        # A group that was added since the last step has no base yet.
        field.choose(labels)
        held = field.held(groups)
        bases[name] = [
            _listed(plain(field.entry(group[field.initial_key])))
            if field.initial_key in group and now is not None
            else _listed(plain(now))
            for group, now in zip(groups, held, strict=True)
        ]
        values[name] = [_listed(plain(now)) for now in held]
    several = [[label.owner, label.place] for label in labels if not label.is_index]
    return {
        "format": _FORMAT,
        "kind": scheduler._state_kind,
        "num_updates": scheduler._num_updates,
        "base_values": to_pairs(bases),
        "values": to_pairs(values),
        "attributes": to_pairs(plain_attributes(scheduler)),
        "plan": scheduler._planned_rows(),
        **({"groups": several} if several else {}),
    }


def plain_attributes(scheduler: Any) -> dict[str, Any]:
    """Return what a subclass keeps in attributes, in plain values; warn of what cannot be kept."""
    attributes: dict[str, Any] = {}
    lost: list[str] = []
    for name, value in list(vars(scheduler).items()):
        if name in scheduler._own_attributes or _is_cached(scheduler, name):
            continue
        try:
            attributes[name] = _to_plain(value)
        except TypeError as error:
            is_container = isinstance(value, MutableMapping | MutableSequence | MutableSet)
            if is_container and name not in scheduler._told_of:
                scheduler._told_of |= {name}
                lost.append(f"{name} is a {type(value).__name__} that is not saved: {error}")
    if lost:
        scheduler._warn(
            scheduler._num_updates,
            lost,
            "A resumed run has what the constructor makes. Keep plain values in it, or "
            "override state_dict() and load_state_dict().",
        )
    return attributes


def _is_cached(scheduler: Any, name: str) -> bool:
    """Say whether an attribute is computed on use, so that it is not part of the state."""
    return isinstance(getattr(type(scheduler), name, None), cached_property)


def load(scheduler: Any, state_dict: Mapping[str, Any]) -> None:
    """Check a state and have the scheduler continue from it; if that fails, nothing changes."""
    fields, labels = list(scheduler._fields.values()), labels_of(scheduler.optimizer)
    for field in fields:
        field.choose(labels)
    state = _checked(scheduler, state_dict)
    groups, before = scheduler.optimizer.param_groups, dict(vars(scheduler))
    keys = {field.initial_key for field in fields}
    bases = [(group, key, group.get(key)) for group in groups for key in keys]
    try:
        scheduler._adopt(fields)
        _bring_back_bases(scheduler, state)
        scheduler._restore(state)
    except BaseException:
        vars(scheduler).clear()
        vars(scheduler).update(before)
        for group, key, base in bases:
            group.pop(key, None) if base is None else group.update({key: base})
        raise
    for field in fields:
        field.seen, field.found = field.bases(groups), {}
    scheduler._new_groups = ()


def _checked(scheduler: Any, state_dict: Any) -> dict[str, Any]:
    name, kind = type(scheduler).__name__, scheduler._state_kind
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict={state_dict!r} is not a dictionary.")
    if state_dict.get("kind", kind) != kind:  # what another class has besides is not the point
        raise ValueError(
            f"The state is of {state_dict['kind']!r}, but this scheduler is a {name}, which loads "
            f"states of {kind!r}."
        )
    state = {"plan": [], "groups": [], **state_dict}
    if state.keys() != _KEYS:
        pairs = (state_dict, _KEYS - {"groups"})
        has, wanted = (", ".join(sorted(map(repr, keys))) for keys in pairs)
        raise ValueError(
            f"This is not a state of {name}: it has the entries {has or 'none'}, but has to have "
            f"{wanted}. To continue at a position alone, call "
            f"{'step' if scheduler._is_counting else 'step_update'}(n)."
        )
    if type(state["format"]) is not int or state["format"] != _FORMAT:
        raise damaged("format", state["format"], f"{_FORMAT} for this version")
    plan = state["plan"]
    for row in plan if isinstance(plan, list | tuple) else [None]:
        match row:
            case [str(), group, str()] if group is None or type(group) is int:
                continue
        raise damaged("plan", plan, "a list with a field, a group or None, and a text for each")
    if state["num_updates"] is not None or scheduler._is_counting:
        check_count("num_updates", state["num_updates"], scheduler._clock)
    for key in ("base_values", "values", "attributes"):
        state[key] = _from_pairs(key, state[key])
    _put_in_order(state, labels_of(scheduler.optimizer))
    groups, fields = scheduler.optimizer.param_groups, scheduler._fields
    rows = [(key, name) for key in ("base_values", "values") for name in state[key]]
    try:
        for key, name in rows:
            field = fields.get(name)
            held = groups if field is None else field.held(groups)
            for index, (value, now) in enumerate(zip(state[key][name], held, strict=False)):
                # A plan may have left groups alone that another one schedules.
                is_none = value is None and not scheduler._has_values_of_its_own
                if field is not None and index not in field.left_out and not is_none:
                    field.checked_one(value, index, now)
    except (TypeError, ValueError) as error:
        expected = "a list with what each parameter group holds, in finite numbers"
        raise damaged(key, {name: state[key][name]}, expected) from error
    has, own = state["values"].keys(), fields.keys()
    # Another plan of schedules may be one for other fields.
    if own - has if scheduler._has_values_of_its_own else own and not has:
        raise damaged("values", state["values"], f"those of {', '.join(map(repr, own))}")
    state["attributes"] = {
        attribute: _from_plain(attribute, value)
        for attribute, value in state["attributes"].items()
        if not _is_cached(scheduler, attribute)
    }
    for attribute, value in state["attributes"].items():
        on_class = getattr(type(scheduler), attribute, None)
        is_code = callable(on_class) or hasattr(on_class, "__get__")
        if is_code or attribute in scheduler._own_attributes:
            raise damaged(f"attribute {attribute}", value, f"none, as {name} has its own")
    return state


def _put_in_order(state: dict[str, Any], labels: Sequence[Label]) -> None:
    """Put what a state has of several optimizers' groups in the order that they have here."""
    try:
        known = {(str(owner), int(at)): i for i, (owner, at) in enumerate(state["groups"])}
    except (TypeError, ValueError) as error:
        expected = "a list with an optimizer's name and a place there for each group"
        raise damaged("groups", state["groups"], expected) from error
    order = [known.get((label.owner, label.place)) for label in labels]
    if not known or order == [*range(len(known))] or all(label.is_index for label in labels):
        return
    for key in ("base_values", "values"):
        state[key] = {
            name: [row[i] if i is not None and i < len(row) else None for i in order]
            if isinstance(row, list | tuple)
            else row
            for name, row in state[key].items()
        }
    now = {None: None} | {was: index for index, was in enumerate(order)}
    state["plan"] = [[name, now[i], text] for name, i, text in state["plan"] if i in now]


def position_of_another(state_dict: Any) -> int | None:
    """Return the count in the state of another library's scheduler; None for a state of ours."""
    if not isinstance(state_dict, Mapping) or {"format", "kind"} & {*state_dict}:
        return None
    for key in ("last_epoch", "num_updates"):
        count = state_dict.get(key)
        if count is not None:
            check_count(key, count)
            return int(count)
    return None


def damaged(entry: str, value: Any, expected: str) -> ValueError:
    """Return the error for an entry of a state that is not what it has to be."""
    return ValueError(f"The state's {entry!r} is {value!r}, but has to be {expected}.")


def check_count(entry: str, value: Any, clock: str = UPDATES) -> None:
    """Raise if a state's entry is not a count."""
    if clock == "seconds" and type(value) is float and 0.0 <= value < math.inf:
        return
    if type(value) is not int or not 0 <= value < 2**63:
        raise damaged(entry, value, "a count, an integer of at least 0")


def _bring_back_bases(scheduler: Any, state: Mapping[str, Any]) -> None:
    """Put the state's base values where a restored optimizer came without.

    Not every way of restoring an optimizer brings back the keys that are not its own. A group
    without a base that held the very value of the state is of such an optimizer.
    """
    new = {(id(group), key) for group, key in scheduler._new_groups}
    groups = scheduler.optimizer.param_groups
    for name, field in scheduler._fields.items():
        rows = (state[key].get(name, ()) for key in ("values", "base_values"))
        for i, (group, found, value, base) in enumerate(
            zip(groups, field.bases(groups), *rows, strict=False)
        ):
            if found is None or base is None:
                continue  # a plan leaves this group alone
            is_new = (id(group), field.initial_key) in new
            is_lost = is_new and same(found, value, PRECISION)
            if is_lost or not scheduler._bases_live_in_groups:
                field.set_base(i, group, plain(base))
            if is_lost:
                field.seen[i : i + 1] = [plain(base)]


def warn_of_replaced(scheduler: Any, due: Iterable[Any], state: Mapping[str, Any]) -> None:
    """Warn of values that neither the scheduler nor its checkpoint explains."""
    groups, lines = scheduler.optimizer.param_groups, list[str]()
    for field, values in due:
        bases, last = field.bases(groups), field.last
        lines += [
            f"{field.starting(i)} had {field.initial_key}={seen!r} when the scheduler was "
            f"made; now it has {base!r}, which counts."
            for i, (seen, base) in enumerate(zip(field.seen, bases, strict=False))
            if seen is not None and seen != base
        ]
        before = state["values"].get(field.name, values)
        for i, now in enumerate(field.held(groups)):
            held = field.found.get(i, plain(now))
            is_as_left = i not in field.found and i < len(last) and last[i] == now
            known = [bases[i], values[i], *before[i : i + 1]]
            if not is_as_left and not any(same(held, value, PRECISION) for value in known):
                lines.append(
                    f"{field.starting(i)} held {field.name}={held!r}, set by hand since; "
                    f"{plain(values[i])!r} replaces it."
                )
    if lines:
        advice = "To change the rate of a resumed run, change the group's initial_… value."
        scheduler._warn(scheduler._num_updates, lines, advice)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# The plan ------------------------------------------------------------------------------------


def differences(rows: Sequence[Row], planned: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each schedule whose text is not that of the rows.

    Two functions of one name have one text. That they differ is seen by the values in force.
    """
    before = {(field, group): text for field, group, text in rows}
    for field, group, text in planned:
        was = before.get((field, group)) or before.get((field, None)) or text
        if was != text:
            where = field if group is None else f"{field} of parameter group {group}"
            yield (
                f"{where}: the checkpoint's schedule was {_short(was)}, but the one given now is "
                f"{_short(text)}."
            )


def _short(text: str) -> str:
    if len(text) <= _SHOWN:
        return text
    return f"{text[: _SHOWN * 2 // 3]} … {text[-_SHOWN // 3 :]}"


# Plain values --------------------------------------------------------------------------------


def to_pairs(entry: Mapping[str, T]) -> list[list[Any]]:
    """Return a dictionary as what a state holds of it: a list with a name and a value for each.

    ``torch.distributed.checkpoint`` takes dictionaries apart, wherever they are, and loads nothing
    of the keys that the target did not have before. It keeps such a list as one.
    """
    return [[name, value] for name, value in entry.items()]


def _from_pairs(key: str, entry: Any) -> dict[str, Any]:
    """Return what :func:`to_pairs` was given, or a dictionary itself; raise for anything else."""
    pairs = list(entry.items()) if isinstance(entry, Mapping) else entry
    are_pairs = isinstance(pairs, list | tuple) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str)
        for pair in pairs
    )
    if not are_pairs or len(dict(pairs)) < len(pairs):
        raise damaged(key, entry, "a list with a pair of a name and a value for each, none twice")
    return dict(pairs)


def _to_plain(value: Any) -> Any:
    """Return ``value`` in numbers, texts and lists; the other containers become tagged lists."""
    if getattr(value, "shape", None) == () and not hasattr(value, "__setitem__"):
        value = value.item()  # a NumPy scalar
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else ["__float__", repr(value)]
    kind = type(value)
    if kind not in _KINDS.values():
        raise TypeError(f"{value!r} is not a plain value.")
    items = [_to_plain(item) for item in (value.items() if kind is dict else value)]
    if kind is list and not (items and _tag(items[0])):
        return items
    return [f"__{kind.__name__}__", *items]


def _from_plain(name: str, value: Any) -> Any:
    """Return what :func:`_to_plain` was given for an attribute."""
    if not isinstance(value, list | tuple):
        return value
    tag, items = _tag(value[0] if value else None), [_from_plain(name, item) for item in value]
    try:
        if tag == "float":
            return float(items[1])
        return _KINDS[tag](items[1:]) if tag in _KINDS else items
    except (TypeError, ValueError, IndexError) as error:
        raise damaged(f"attribute {name}", value, "as it was saved") from error


def _tag(value: Any) -> str:
    is_one = isinstance(value, str) and len(value) > 4 and value[:2] == value[-2:] == "__"
    return value[2:-2] if is_one else ""
