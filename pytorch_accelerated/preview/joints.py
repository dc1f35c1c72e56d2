"""The joints of a plan that is written as text, and the numbers there that they come from.

To move a joint is to write other numbers into the text; all else in it stays as it is.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pytorch_accelerated.schedules import Affine, Schedule, Sequence, absolute, constant, epochs
from pytorch_accelerated.schedules.curves import CURVES
from pytorch_accelerated.schedules.expression import VOCABULARY, parse_schedule
from pytorch_accelerated.schedules.recipes import (
    linear_to_zero,
    one_cycle,
    one_cycle_momentum,
    warmup_cosine,
    wsd,
)
from pytorch_accelerated.schedules.terms import exact

Interval: TypeAlias = tuple[float, float]

_SHAPES: tuple[Callable[..., Any], ...] = (constant, *(entry.factory for entry in CURVES))
_RECIPES: tuple[Callable[..., Any], ...] = (
    *(warmup_cosine, linear_to_zero, wsd),
    *(one_cycle, one_cycle_momentum),
)
_MOST_PARTS = 60  # whose numbers are looked for


@dataclass(frozen=True)
class Number:
    """A number in the text, or a place where one can be put.

    Attributes:
        start: Where it begins in the text.
        end: Where it ends; at its start, if nothing is written there yet.
        value: What it is.
        unit: What it counts: updates for a length, the base for a multiple of it.
        before: What has to be written before one that is put in.
        after: What has to be written after it.
        is_whole: Whether it is a whole number.
    """

    start: int
    end: int
    value: float
    unit: float
    before: str = ""
    after: str = ""
    is_whole: bool = False


@dataclass(frozen=True)
class Joint:
    """A point of a plan at which a phase begins or ends.

    Attributes:
        name: What it is, for people.
        update: Where it is.
        value: Offset and scale that are reached there.
        grows: The length that is larger, the later the joint.
        shrinks: The length that is smaller then, so that what follows stays where it is.
        least: The first update to which it can be moved.
        most: The last one, None if there is none.
        values: The numbers that the value comes from.
    """

    name: str
    update: int
    value: Affine
    grows: Number | None = None
    shrinks: Number | None = None
    least: int = 0
    most: int | None = None
    values: tuple[Number, ...] = ()


@dataclass(frozen=True)
class _Part:
    """One call in a chain of ``>>``, with the updates at which its pieces begin and end."""

    factory: Callable[..., Any] | None  # None if its numbers cannot be told
    arguments: Mapping[str, ast.expr]
    joints: list[int]
    inside: int  # just before its closing bracket
    comma: str  # what is written before another argument


class Plan:
    """A schedule as text, which begins at ``start`` of a longer one, with its joints."""

    def __init__(
        self, text: str, start: int, plan: Schedule, num_updates: int, per_epoch: int | None
    ) -> None:
        self.text, self.start = text, start
        self.units = {"share": float(num_updates), "epochs": float(per_epoch or 1)}
        self.ends = {row.last: row.end for row in plan.phases if row.end is not None}
        self.starts = {row.first: row.start for row in plan.phases if row.start is not None}
        self.parts = list(self._parts(plan))

    def _parts(self, plan: Schedule) -> Iterator[_Part]:
        lengths = [one.horizon for one in (plan.parts if isinstance(plan, Sequence) else (plan,))]
        # Of the same length, so that places stay: a line break within brackets is a space.
        readable = re.sub(r"\s", " ", self.text)
        nodes = [*_chain(ast.parse(readable, mode="eval").body)]
        if len(nodes) > _MOST_PARTS:
            return
        counts = []
        for node in nodes:
            own = parse_schedule(ast.get_source_segment(readable, node) or "")
            counts.append(len(own.parts) if isinstance(own, Sequence) else 1)
        if sum(counts) != len(lengths):
            return  # something is laid out as several phases only now
        update = 0
        for node, count in zip(nodes, counts, strict=True):
            joints = [update]
            for _ in range(count):
                joints.append(joints[-1] + (lengths.pop(0) or 0))
            update = joints[-1]
            factory, arguments = _call(node)
            inside = self._place(node)[1] - 1
            written = readable[self._place(node)[0] - self.start : inside - self.start].rstrip()
            comma = "" if written.endswith("(") else " " if written.endswith(",") else ", "
            yield _Part(factory, arguments, joints, inside, comma)

    def _place(self, node: ast.expr) -> tuple[int, int]:
        """Return where a node begins and ends in the longer text; Python counts in bytes."""
        data = self.text.encode()
        begin, end = node.col_offset, node.end_col_offset or 0
        return tuple(self.start + len(data[:byte].decode()) for byte in (begin, end))  # type: ignore[return-value]

    # Joints ----------------------------------------------------------------------------------

    def joints(self) -> list[Joint]:
        """Return the joints, in order."""
        found: list[Joint] = []
        for index, part in enumerate(self.parts):
            if part.factory is None or part.joints[0] == part.joints[-1]:
                continue
            name = part.factory.__name__
            if part.factory is not constant and (index == 0 or "start" in part.arguments):
                found += self._start(index, part, name)
            if part.factory in _RECIPES:
                found += self._inner(part, name)
            found.append(self._end(index, part, name))
        return found

    def _start(self, index: int, part: _Part, name: str) -> Iterator[Joint]:
        update = part.joints[0]
        before = self.ends.get(update)
        value = self.starts.get(update)
        if value is None or value == before:
            return
        values = [*filter(None, [self._value(part, "start", value)])]
        grows, shrinks = self._lengths(index - 1) if index else (None, None)
        least = self.parts[index - 1].joints[-2] + 1 if index else 0
        most = part.joints[1] - 1 if shrinks else None
        yield Joint(f"start of {name}", update, value, grows, shrinks, least, most, tuple(values))

    def _end(self, index: int, part: _Part, name: str) -> Joint:
        update = part.joints[-1]
        value = self.ends.get(update, Affine(0.0, 0.0))
        grows, shrinks = self._lengths(index)
        values = [*filter(None, [self._end_value(index)])]
        later = self.parts[index + 1] if index + 1 < len(self.parts) else None
        if later and later.factory and self.starts.get(update) == value:
            # Where both are written, both change, so that there is no jump.
            own = "value" if later.factory is constant else "start"
            if own in later.arguments:
                values += filter(None, [self._value(later, own, value)])
        most = later.joints[1] - 1 if later and shrinks else None
        return Joint(
            f"end of {name}",
            update,
            value,
            grows,
            shrinks,
            part.joints[-2] + 1,
            most,
            tuple(values),
        )

    def _inner(self, part: _Part, name: str) -> Iterator[Joint]:
        """Yield the joints within a recipe: the end of its warmup, and the start of its decay."""
        first, *inner, last = part.joints
        signature = inspect.signature(VOCABULARY[name])
        length = self._length(part.arguments.get("length"))
        share = length.value * length.unit if length else self.units["share"]
        for place, own in zip(inner, ("warmup", "decay"), strict=False):
            node = part.arguments.get(own)
            default = signature.parameters[own].default
            number = self._length(node, share)
            if node is None:
                number = Number(part.inside, part.inside, default, share, f"{part.comma}{own}=")
            values = [self._value(part, "low", None)] if "low" in signature.parameters else []
            yield Joint(
                f"end of {own}" if own == "warmup" else f"start of {own}",
                place,
                self.ends.get(place, Affine(0.0, 0.0)),
                number if own == "warmup" else None,
                number if own == "decay" else None,
                first + 1,
                last - 1,
                tuple(filter(None, values)),
            )

    def _lengths(self, index: int) -> tuple[Number | None, Number | None]:
        """Return the lengths on both sides of the joint at the end of a part, if they move it."""
        grows = self._length(self.parts[index].arguments.get("length"))
        shrinks = None
        if index + 1 < len(self.parts):
            shrinks = self._length(self.parts[index + 1].arguments.get("length"))
        if grows and shrinks:
            return grows, shrinks
        # What comes after the part that takes the rest is laid out from the end.
        is_from_end = any(
            part.factory and "length" not in part.arguments for part in self.parts[: index + 1]
        )
        return (None, shrinks) if is_from_end else (grows, None)

    def _length(self, node: ast.expr | None, share: float | None = None) -> Number | None:
        if _is_call_of(node, epochs):
            number = self._number(node.args[0], 1.0) if node.args else None  # type: ignore[union-attr]
            return number and replace(number, unit=self.units["epochs"], is_whole=False)
        number = None if node is None else self._number(node, 1.0)
        if number is None or not 0.0 < number.value < 1.0:
            return number
        unit = self.units["share"] if share is None else share
        return Number(number.start, number.end, number.value, unit)

    def _end_value(self, index: int) -> Number | None:
        """Return the number that a part ends with; a constant may have that of the one before."""
        part = self.parts[index]
        if part.factory is None:
            return None
        update = part.joints[-1]
        if part.factory is constant:
            if "value" in part.arguments or index == 0:
                return self._value(part, "value", self.ends.get(update))
            return self._end_value(index - 1)
        name = "high" if part.factory is one_cycle_momentum else "end"
        return self._value(part, name, self.ends.get(update))

    def _value(self, part: _Part, name: str, now: Affine | None) -> Number | None:
        if name not in inspect.signature(part.factory or constant).parameters:
            return None
        node = part.arguments.get(name)
        if _is_call_of(node, absolute):
            return self._level(node.args[0], 0.0) if node.args else None  # type: ignore[union-attr]
        unit = 0.0 if part.factory is one_cycle_momentum else 1.0  # a multiple of the base
        if node is not None:
            return self._level(node, unit)
        if now is None or (now.offset and unit):
            return None
        after = ""
        update = part.joints[-1]
        if name == "start" and part.factory in _SHAPES and "end" not in part.arguments:
            # Where a start is given, an open end is another one.
            end = self.ends.get(update)
            after = f", end={end.scale!r}" if end is not None and not end.offset else ""
        before = f"{part.comma}{name}="
        return Number(part.inside, part.inside, now.scale or now.offset, unit, before, after)

    def _level(self, node: ast.expr, unit: float) -> Number | None:
        number = self._number(node, unit)
        return number and replace(number, is_whole=False)

    def _number(self, node: ast.expr, unit: float) -> Number | None:
        """Return a number that is written out, not computed."""
        bare = node.operand if isinstance(node, ast.UnaryOp) else node
        if not isinstance(bare, ast.Constant) or type(bare.value) not in (int, float):
            return None
        value = ast.literal_eval(node)
        return Number(*self._place(node), value, unit, is_whole=type(value) is int)


def _chain(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
        yield from _chain(node.left)
        yield from _chain(node.right)
    else:
        yield node


def _call(node: ast.expr) -> tuple[Callable[..., Any] | None, dict[str, ast.expr]]:
    """Return the shape or recipe that is called, and its arguments by name."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return None, {}
    factory = VOCABULARY[node.func.id]
    if factory not in _SHAPES and factory not in _RECIPES:
        return None, {}
    names = list(inspect.signature(factory).parameters)
    positional = dict(zip(names, node.args, strict=False))
    named = {str(keyword.arg): keyword.value for keyword in node.keywords}
    given = {**positional, **named}
    # None stands for what is left out.
    return factory, {
        name: one
        for name, one in given.items()
        if not (isinstance(one, ast.Constant) and one.value is None)
    }


def _is_call_of(node: ast.expr | None, function: Callable[..., Any]) -> bool:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return is_call and VOCABULARY.get(node.func.id) is function  # type: ignore[union-attr]


# Moving ---------------------------------------------------------------------------------------


def moved(
    text: str, joint: Joint, update: Interval | None, value: Interval | None, base: float
) -> str:
    """Return the text with a joint elsewhere: at the roundest numbers within two intervals.

    Args:
        text: The whole text.
        joint: One of its joints.
        update: Between which updates to put it; None leaves it there.
        value: Between which values; None leaves it there.
        base: The base value that these are for.
    """
    edits: list[tuple[Number, str]] = []
    if update is not None:
        edits += _moved_aside(text, joint, update)
    for number in joint.values if value is not None else ():
        unit = number.unit * base or 1.0
        low, high = sorted(one / unit for one in value or ())
        edits.append((number, _written(text, number, roundest(low, high))))
    for number, written in sorted(edits, key=lambda one: one[0].start, reverse=True):
        put = f"{number.before}{written}{number.after}"
        text = text[: number.start] + put + text[number.end :]
    return text


def _moved_aside(text: str, joint: Joint, update: Interval) -> Iterator[tuple[Number, str]]:
    grows, shrinks = joint.grows, joint.shrinks
    number = grows or shrinks
    if number is None:
        return
    most = math.inf if joint.most is None else max(joint.most, joint.least)
    way = 1.0 if grows else -1.0
    to = [min(max(one, joint.least), most) - joint.update for one in update]
    low, high = sorted(number.value + way * step / number.unit for step in to)
    new = roundest(low, high, number.is_whole)
    yield number, _written(text, number, new)
    if grows and shrinks:
        change = (exact(float(new)) - exact(float(number.value))) * exact(number.unit)
        other = exact(float(shrinks.value)) - change / exact(shrinks.unit)
        left = round(other) if shrinks.is_whole else float(f"{float(other):.12g}")
        yield shrinks, _written(text, shrinks, left)


def _written(text: str, number: Number, value: float) -> str:
    """Return a number as the one in its place is written: 10_000, 500 or 0.1."""
    old = text[number.start : number.end]
    if number.is_whole or (old.isdecimal() and value == round(value)):
        return f"{round(value):_}" if "_" in old else str(round(value))
    return repr(float(value))


def roundest(low: float, high: float, is_whole: bool = False) -> float:
    """Return the number with the fewest digits from ``low`` to ``high``, nearest to their middle.

    Example:
        >>> [roundest(0.0948, 0.1022), roundest(0.0968, 0.0992), roundest(1180.0, 1204.0, True)]
        [0.1, 0.098, 1200]
    """
    middle = (low + high) / 2
    if low <= 0.0 <= high:
        return 0 if is_whole else 0.0
    first = math.floor(math.log10(max(abs(low), abs(high))))
    for exponent in range(first, -1 if is_whole else first - 17, -1):
        step = 10.0**exponent
        number = float(f"{round(middle / step)}e{exponent}")
        if low <= number <= high:
            return int(number) if is_whole else number
    return round(middle) if is_whole else middle
