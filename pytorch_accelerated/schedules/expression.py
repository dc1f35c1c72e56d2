"""Schedules from text, such as a command line or a configuration file: read, never evaluated."""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any

from pytorch_accelerated.checks import wrong_kind
from pytorch_accelerated.schedules.compose import Sequence, num_pieces
from pytorch_accelerated.schedules.derived import maximum, minimum
from pytorch_accelerated.schedules.phase import constant
from pytorch_accelerated.schedules.points import milestones
from pytorch_accelerated.schedules.recipes import NAMED
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.terms import Affine, absolute, epochs

#: What an expression may call. A user's own functions cannot be written as text.
VOCABULARY: Mapping[str, Callable[..., Any]] = {
    "absolute": absolute,
    "constant": constant,
    "epochs": epochs,
    "maximum": maximum,
    "milestones": milestones,
    "minimum": minimum,
    "Affine": Affine,
    **{entry.name: entry.factory for entry in NAMED},
}
# Of a minus and a division of schedules, the operators themselves say what to write instead.
_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}

# An expression may come from anywhere, so it can neither be long nor build anything large.
_MOST_CHARACTERS = 4000
_MOST_NODES = 2000
_DEEPEST = 100
_MOST_PIECES = 30_000  # that are laid out while one expression is read
_MOST_EXPANDED = 100  # phases whose lengths are fractions
_LARGEST = 1e15


def _modest(**growths: Any) -> None:
    for name, growth in growths.items():
        if isinstance(growth, int | float) and not 0.01 <= growth <= 100:
            raise ValueError(f"{name}={growth!r} has to be between 0.01 and 100")


def repeat(schedule: Schedule, count: Any = None, length: Any = 1.0, peak: Any = 1.0) -> Schedule:
    """Repeat a schedule, but not with periods that take long to compute."""
    _modest(length=length, peak=peak)
    is_expanded = schedule.is_relative or length != 1.0 or peak != 1.0
    most = _MOST_EXPANDED / num_pieces(schedule) if is_expanded else math.inf
    if isinstance(count, int | float) and count > most:
        raise ValueError(f"it has more than {_MOST_EXPANDED} phases")
    return schedule.repeat(count, length, peak)


def stretched(schedule: Schedule, factor: Any) -> Schedule:
    """Stretch a schedule, but not one that has so many phases that this takes long."""
    _modest(factor=factor)
    if num_pieces(schedule) > _MOST_EXPANDED:
        raise ValueError(f"it has more than {_MOST_EXPANDED} phases")
    return schedule.stretched(factor)


_METHODS: Mapping[str, Callable[..., Any]] = {
    "repeat": repeat,
    "over": Schedule.over,
    "until": Schedule.until,
    "stretched": stretched,
    "rounded": Schedule.rounded,
}
_MAY_FOLLOW = ", ".join(f".{name}(…)" for name in _METHODS)


class ExpressionError(ValueError):
    """A text is not a schedule.

    Attributes:
        span: Where what is wrong begins and ends in the text, without spaces around it, if known.
    """

    span: tuple[int, int] | None = None


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that ``text`` describes, in the notation of Python code.

    It may use the vocabulary's names, numbers and their arithmetic, ``>>``, ``*`` and ``+``, calls
    with keywords, the methods ``repeat``, ``over``, ``until``, ``stretched`` and ``rounded``, and a
    dictionary for milestones. Nothing is evaluated as code, and what would be large is refused. The
    ``repr`` of a schedule reads back as itself, unless it holds a function.

    Args:
        text: The expression.

    Raises:
        ExpressionError: If it is not a schedule, with where and why. It is a ``ValueError``.
        TypeError: If ``text`` is not a string.

    Example:
        >>> from pytorch_accelerated.schedules.expression import parse_schedule
        >>> parse_schedule("linear(500, start=0.0) >> cosine(9500, end=0.1)")
        linear(500, start=0.0) >> cosine(9500, end=0.1)
        >>> parse_schedule("cosine.__class__")
        Traceback (most recent call last):
        ...
        pytorch_accelerated.schedules.expression.ExpressionError: 'cosine.__class__' at column 1: \
only .repeat(…), .over(…), .until(…), .stretched(…), .rounded(…) can follow a schedule.
    """
    if not isinstance(text, str):
        raise wrong_kind("text", text, "a string.")
    if len(text) > _MOST_CHARACTERS:
        raise ExpressionError(
            f"The expression has {len(text)} characters; {_MOST_CHARACTERS} are allowed."
        )
    text = re.sub(r"\s", " ", text.strip())
    if not text:
        raise ExpressionError("The expression is empty. Write, for example, cosine(1_000).")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of, such as 1if, is wrong here
            tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        at = f" at column {error.offset}" if error.offset else ""
        wrong = ExpressionError(f"{_short(text)} is not an expression{at}: {error.msg}.")
        if error.offset:
            wrong.span = error.offset - 1, error.offset
        raise wrong from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise ExpressionError(f"{_short(text)} cannot be read: {error}.") from None
    _check_size(tree)
    value = _Reader(text).read(tree.body)
    if not isinstance(value, Schedule):
        raise ExpressionError(
            f"{_short(text)} is {value!r}, but has to be a schedule, for example "
            "linear(500, start=0.0) >> cosine(9500, end=0.1)."
        )
    return value


def _check_size(tree: ast.AST) -> None:
    count, level, layer = 0, 0, [tree]
    while layer:
        level += 1
        count += len(layer)
        layer = [child for node in layer for child in _children(node)]
        if level > _DEEPEST or count > _MOST_NODES:
            raise ExpressionError("The expression is too large or too deeply nested.")


def _children(node: ast.AST) -> list[ast.AST]:
    # A chain of >> is one level however long it is, as it is no deeper to a reader.
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
        return [*_chain(node)]
    return list(ast.iter_child_nodes(node))


def _chain(node: ast.expr) -> list[ast.expr]:
    """Return a, b, c of ``a >> b >> c``."""
    parts: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


class _Reader:
    """Turns checked nodes into schedules and numbers."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.num_pieces = 0

    def read(self, node: ast.expr) -> Any:
        """Return what a node stands for."""
        if isinstance(node, ast.Constant):
            if node.value is not None and type(node.value) not in (int, float):
                raise self._error(node, "only numbers can be written here")
            return self._built(node, lambda: node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self._built(node, operator.neg, self._operand(node.operand))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
            return self._built(node, Sequence, [self._operand(part) for part in _chain(node)])
        if isinstance(node, ast.BinOp):
            if type(node.op) not in _OPERATORS:
                raise self._error(node, "only the operators >>, * and + are allowed")
            left, right = self._operand(node.left), self._operand(node.right)
            return self._built(node, _OPERATORS[type(node.op)], left, right)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Name):
            if node.id in VOCABULARY:
                raise self._error(node, f"write it with brackets, {node.id}(…)")
            raise self._error(node, f"it is not known; {self._hint(node)}")
        if isinstance(node, ast.Attribute):
            raise self._error(node, f"only {_MAY_FOLLOW} can follow a schedule")
        if isinstance(node, ast.Dict):
            raise self._error(node, "a dictionary is only allowed as milestones({30: 0.1, …})")
        raise self._error(
            node, "this is not allowed; numbers, the vocabulary's names, >>, * and + are"
        )

    def _operand(self, node: ast.expr) -> Any:
        value = self.read(node)
        if not isinstance(value, Schedule | int | float):
            raise self._error(node, "only schedules and numbers can be combined")
        return value

    def _call(self, node: ast.Call) -> Any:
        function = node.func
        target: Callable[..., Any]
        if isinstance(function, ast.Attribute) and function.attr in _METHODS:
            schedule = self.read(function.value)
            if not isinstance(schedule, Schedule):
                raise self._error(function, f".{function.attr}(…) has to follow a schedule")
            target = partial(_METHODS[function.attr], schedule)
        elif isinstance(function, ast.Name) and function.id in VOCABULARY:
            target = VOCABULARY[function.id]
        else:
            self.read(function)  # says what is wrong with it
            raise self._error(function, "this cannot be called")
        if any(keyword.arg is None for keyword in node.keywords):
            raise self._error(node, "** is not allowed")
        positional = [self._argument(argument, target) for argument in node.args]
        self._check_once(node, [keyword.arg for keyword in node.keywords])
        named = {str(k.arg): self._argument(k.value, target) for k in node.keywords}
        return self._built(node, target, *positional, **named)

    def _hint(self, node: ast.Name) -> str:
        """Say what somebody may have meant by a name, also with hyphens, or as in PyTorch."""
        written = re.match(r"[\w-]+", self.text.encode()[node.col_offset :].decode())
        names = [node.id, written[0].replace("-", "_") if written else ""]
        for name in reversed(names):
            plain = re.sub(r"annealing|warm_?restarts|(_?lr)?(_?scheduler)?$", "", name.lower())
            near = get_close_matches(plain, VOCABULARY, 1)
            if near:
                return f"did you mean {near[0]}(…)?"
        return f"known are {', '.join(VOCABULARY)}"

    def _argument(self, node: ast.expr, target: Callable[..., Any]) -> Any:
        if not isinstance(node, ast.Dict) or target is not milestones:
            return self.read(node)
        if any(key is None for key in node.keys):
            raise self._error(node, "** is not allowed")
        keys = [self.read(key) for key in node.keys if key is not None]
        self._check_once(node, keys)
        return dict(zip(keys, map(self.read, node.values), strict=True))

    def _check_once(self, node: ast.expr, names: list[Any]) -> None:
        """Raise for a name that is there twice, of which Python takes the last in silence."""
        for name in names:
            if names.count(name) > 1:
                raise self._error(node, f"{name} is there twice")

    def _built(self, node: ast.expr, build: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            value = build(*args, **named)
            if isinstance(value, Schedule):
                self.num_pieces += num_pieces(value)
        except (TypeError, ValueError, ArithmeticError) as error:
            why = str(error).rstrip(".")
            if isinstance(node, ast.Call) and " keyword argument " in why:
                why += f"; its arguments are {', '.join(signature(build).parameters)}"
            raise self._error(node, why) from None
        if self.num_pieces > _MOST_PIECES:
            raise self._error(node, "with it the expression has too many phases")
        size = value.horizon if isinstance(value, Schedule) else value
        if isinstance(size, int | float) and not abs(size) <= _LARGEST:
            raise self._error(node, f"it is too large; {_LARGEST:g} is the largest")
        return value

    def _error(self, node: ast.expr, why: str) -> ExpressionError:
        code = ast.get_source_segment(self.text, node) or self.text
        # Python counts in bytes.
        column = len(self.text.encode()[: node.col_offset].decode())
        end = "" if why.endswith("?") else "."
        error = ExpressionError(f"{_short(code)} at column {column + 1}: {why}{end}")
        error.span = column, column + len(code)
        return error


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
