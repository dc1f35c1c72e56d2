"""Schedules from text, such as a command line or a configuration file: read, never evaluated."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from pytorch_accelerated.checks import kind_of
from pytorch_accelerated.schedules.compose import Sequence, num_pieces
from pytorch_accelerated.schedules.curves import CURVES
from pytorch_accelerated.schedules.lengths import epochs
from pytorch_accelerated.schedules.phase import constant
from pytorch_accelerated.schedules.points import milestones
from pytorch_accelerated.schedules.schedule import Schedule
from pytorch_accelerated.schedules.value import Affine, absolute

#: What an expression may call. A user's own functions cannot be written as text.
VOCABULARY: Mapping[str, Callable[..., Any]] = {
    "absolute": absolute,
    "constant": constant,
    "epochs": epochs,
    "milestones": milestones,
    "Affine": Affine,
    **{curve.name: curve.factory for curve in CURVES},
}
_METHODS = ("repeat", "over")

# An expression may come from anywhere, so it can neither be long nor build anything large.
_MOST_CHARACTERS = 4000
_MOST_NODES = 2000
_DEEPEST = 100
_MOST_PIECES = 30_000  # that are laid out while one expression is read
_MOST_EXPANDED = 100  # phases whose lengths are fractions
_LARGEST = 1e15


class ExpressionError(ValueError):
    """A text is not a schedule."""


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that ``text`` describes, in the notation of Python code.

    It may use the vocabulary's names, numbers, ``>>``, ``*``, ``+``, a minus sign, calls with
    keywords, ``.repeat(…)``, ``.over(…)``, and a dictionary for milestones. Nothing is evaluated
    as code, and what would be large is refused. The ``repr`` of a schedule reads back as itself,
    unless it holds a function.

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
only .repeat(…) and .over(…) can follow a schedule.
    """
    if not isinstance(text, str):
        raise TypeError(f"text={text!r} is {kind_of(text)}, but has to be a string.")
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
        raise ExpressionError(f"{_short(text)} is not an expression{at}: {error.msg}.") from None
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
            return self._constant(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._number(node.operand)
        if isinstance(node, ast.BinOp):
            return self._operation(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Name):
            if node.id in VOCABULARY:
                raise self._error(node, f"write it with brackets, {node.id}(…)")
            raise self._error(node, f"it is not known; known are {', '.join(VOCABULARY)}")
        if isinstance(node, ast.Attribute):
            raise self._error(node, "only .repeat(…) and .over(…) can follow a schedule")
        if isinstance(node, ast.Dict):
            raise self._error(node, "a dictionary is only allowed as milestones({30: 0.1, …})")
        raise self._error(
            node, "this is not allowed; numbers, the vocabulary's names, >>, * and + are"
        )

    def _constant(self, node: ast.Constant) -> float | None:
        value = node.value
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._error(node, "only numbers can be written here")
        return self._within(value, node)

    def _within(self, value: float, node: ast.expr) -> float:
        if not abs(value) <= _LARGEST:
            raise self._error(node, f"the number is too large; {_LARGEST:g} is the largest")
        return value

    def _number(self, node: ast.expr) -> Any:
        value = self.read(node)
        if not isinstance(value, int | float):
            raise self._error(
                node, "only a number can have a minus sign; for a schedule write -1.0 * …"
            )
        return value

    def _operation(self, node: ast.BinOp) -> Any:
        if isinstance(node.op, ast.RShift):
            parts = [(part, self.read(part)) for part in _chain(node)]
            for part, value in parts:
                if not isinstance(value, Schedule):
                    raise self._error(part, "only schedules can follow one another with >>")
            return self._built(node, Sequence, tuple(value for _, value in parts))
        if isinstance(node.op, ast.Sub):
            raise self._error(
                node,
                "a minus can only be the sign of a number; for a - b of two schedules write "
                "a + -1.0 * b, and for a - b of two numbers the result",
            )
        if not isinstance(node.op, ast.Mult | ast.Add):
            raise self._error(node, "only the operators >>, * and + are allowed")
        left, right = self.read(node.left), self.read(node.right)
        is_number = [isinstance(value, int | float) for value in (left, right)]
        if isinstance(node.op, ast.Mult) and all(is_number):
            return self._within(left * right, node)
        if isinstance(node.op, ast.Mult):
            if not any(isinstance(value, Schedule) for value in (left, right)):
                raise self._error(node, "only schedules and numbers can be multiplied")
            return self._built(node, lambda: left * right)
        if not (isinstance(left, Schedule) and isinstance(right, Schedule)):
            raise self._error(node, "only schedules can be added")
        return self._built(node, lambda: left + right)

    def _call(self, node: ast.Call) -> Any:
        function = node.func
        target: Callable[..., Any]
        if isinstance(function, ast.Attribute) and function.attr in _METHODS:
            schedule = self.read(function.value)
            if not isinstance(schedule, Schedule):
                raise self._error(function, f".{function.attr}(…) has to follow a schedule")
            target = getattr(schedule, function.attr)
        elif isinstance(function, ast.Name) and function.id in VOCABULARY:
            schedule = None
            target = VOCABULARY[function.id]
        else:
            self.read(function)  # says what is wrong with it
            raise self._error(function, "this cannot be called")
        if any(keyword.arg is None for keyword in node.keywords):
            raise self._error(node, "** is not allowed")
        positional = [self._argument(argument, target) for argument in node.args]
        named = {str(k.arg): self._argument(k.value, target) for k in node.keywords}
        if schedule is not None and target == schedule.repeat:
            self._check_repeat(node, schedule, positional, named)
        return self._built(node, target, *positional, **named)

    def _argument(self, node: ast.expr, target: Callable[..., Any]) -> Any:
        if not isinstance(node, ast.Dict) or target is not milestones:
            return self.read(node)
        if any(key is None for key in node.keys):
            raise self._error(node, "** is not allowed")
        return {
            self.read(key): self.read(value)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }

    def _check_repeat(
        self,
        node: ast.Call,
        schedule: Schedule,
        positional: list[Any],
        named: dict[str, Any],
    ) -> None:
        arguments = dict(zip(("count", "length", "peak"), positional, strict=False)) | named
        growths = {name: arguments.get(name, 1.0) for name in ("length", "peak")}
        if schedule.is_relative or any(growth != 1.0 for growth in growths.values()):
            count = arguments.get("count")
            if isinstance(count, int | float) and count * num_pieces(schedule) > _MOST_EXPANDED:
                raise self._error(node, f"it has more than {_MOST_EXPANDED} phases")
        for name, growth in growths.items():
            if isinstance(growth, int | float) and not 0.01 <= growth <= 100:
                raise self._error(node, f"{name}={growth!r} has to be between 0.01 and 100")

    def _built(self, node: ast.expr, build: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            value = build(*args, **named)
            if isinstance(value, Schedule):
                self.num_pieces += num_pieces(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._error(node, str(error).rstrip(".")) from None
        if self.num_pieces > _MOST_PIECES:
            raise self._error(node, "with it the expression has too many phases")
        if isinstance(value, Schedule) and (value.horizon or 0) > _LARGEST:
            raise self._error(node, f"it has more than {_LARGEST:g} updates")
        return value

    def _error(self, node: ast.expr, why: str) -> ExpressionError:
        code = ast.get_source_segment(self.text, node) or self.text
        return ExpressionError(f"{_short(code)} at column {node.col_offset + 1}: {why}.")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}…")
