"""Names for numbers that are known only when a run starts, such as its number of epochs.

They stand in the arguments of a scheduler factory, and arithmetic on them is kept until the
Trainer fills them in.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Rational, Real
from operator import attrgetter
from typing import Any, ClassVar, NoReturn

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "neg": operator.neg,
    "abs": operator.abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
}

ONLY_IN_PARTIALS = (
    "Placeholders are filled in only where they are arguments of a functools.partial: write "
    "create_scheduler_fn=functools.partial(…) instead of a lambda or function that uses them, "
    "for example functools.partial(make, epochs=TrainerPlaceholderValues.NUM_EPOCHS) for a "
    "function make(optimizer, epochs)"
)


def _binary(symbol: str) -> tuple[Callable[[Any, Any], TrainerPlaceholderValues], ...]:
    """Return the method of an operator, and that for a number on its left."""

    def method(self: Any, other: Any) -> TrainerPlaceholderValues:
        if not isinstance(other, (Real, TrainerPlaceholderValues)):
            return NotImplemented  # type: ignore[no-any-return]
        return TrainerPlaceholderValues(symbol, (self, other))

    def reflected(self: Any, other: Any) -> TrainerPlaceholderValues:
        if not isinstance(other, Real):
            return NotImplemented  # type: ignore[no-any-return]
        return TrainerPlaceholderValues(symbol, (other, self))

    return method, reflected


def _unary(symbol: str) -> Callable[..., TrainerPlaceholderValues]:
    def method(self: Any, *digits: Any) -> TrainerPlaceholderValues:
        return TrainerPlaceholderValues(symbol, (self, *digits))

    return method


def _not_yet(use: str) -> Callable[..., NoReturn]:
    def method(self: Any, *others: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} is a placeholder, which has no number before the run starts: it cannot be "
            f"{use}. {ONLY_IN_PARTIALS}"
        )

    return method


@dataclass(frozen=True, repr=False)
class TrainerPlaceholderValues:
    """A number of the run to come, or arithmetic on such numbers.

    ==========================================  ==================================================
    member                                      value
    ==========================================  ==================================================
    ``NUM_EPOCHS``                              the run's epochs. If ``max_num_train_steps`` ends
                                                it earlier, or it continues from a checkpoint with
                                                other batches: ``MAX_NUM_TRAIN_STEPS`` divided by
                                                ``NUM_UPDATE_STEPS_PER_EPOCH``, as an exact
                                                `fractions.Fraction` if that is not whole
    ``NUM_UPDATE_STEPS_PER_EPOCH``              optimizer updates in a whole epoch
    ``PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH``  the same number: every process makes each update
    ``MAX_NUM_TRAIN_STEPS``                     optimizer updates of the run, its horizon
    ``MAX_SAMPLES``                             ``max_samples`` of the run
    ``MAX_ITEMS``                               ``max_items`` of the run
    ``MAX_TIME``                                ``max_time`` of the run in seconds
    ``TRAIN_DATALOADER_LEN``                    training batches of one process in an epoch
    ``EVAL_DATALOADER_LEN``                     evaluation batches of one process in an epoch
    ==========================================  ==================================================

    So ``NUM_EPOCHS * NUM_UPDATE_STEPS_PER_EPOCH`` always is the number of updates that the run
    makes, whichever limit ends it. The operators ``+ - * / // % **``, `abs`, `round` and
    `math.floor`, `math.ceil`, `math.trunc` work with numbers and other placeholders, on either
    side. Which of two numbers is larger is known only in the run, so ``<`` and the like, `float`
    and `int` raise a `TypeError`.

    Example:
        >>> T = TrainerPlaceholderValues
        >>> total = T.NUM_EPOCHS * T.NUM_UPDATE_STEPS_PER_EPOCH
        >>> total // 10 + 1
        ((NUM_EPOCHS * NUM_UPDATE_STEPS_PER_EPOCH) // 10) + 1
        >>> (total // 10 + 1).resolve({"NUM_EPOCHS": 5, "NUM_UPDATE_STEPS_PER_EPOCH": 20}.get)
        11
    """

    name: str
    operands: tuple[Any, ...] = ()

    NUM_EPOCHS: ClassVar[TrainerPlaceholderValues]
    NUM_UPDATE_STEPS_PER_EPOCH: ClassVar[TrainerPlaceholderValues]
    PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH: ClassVar[TrainerPlaceholderValues]
    MAX_NUM_TRAIN_STEPS: ClassVar[TrainerPlaceholderValues]
    MAX_SAMPLES: ClassVar[TrainerPlaceholderValues]
    MAX_ITEMS: ClassVar[TrainerPlaceholderValues]
    MAX_TIME: ClassVar[TrainerPlaceholderValues]
    TRAIN_DATALOADER_LEN: ClassVar[TrainerPlaceholderValues]
    EVAL_DATALOADER_LEN: ClassVar[TrainerPlaceholderValues]

    __add__, __radd__ = _binary("+")
    __sub__, __rsub__ = _binary("-")
    __mul__, __rmul__ = _binary("*")
    __truediv__, __rtruediv__ = _binary("/")
    __floordiv__, __rfloordiv__ = _binary("//")
    __mod__, __rmod__ = _binary("%")
    __pow__, __rpow__ = _binary("**")
    __neg__, __abs__, __round__ = _unary("neg"), _unary("abs"), _unary("round")
    __floor__, __ceil__, __trunc__ = _unary("floor"), _unary("ceil"), _unary("trunc")
    __lt__ = __le__ = __gt__ = __ge__ = _not_yet("compared")
    __float__, __int__ = _not_yet("made a float"), _not_yet("made an int")
    __index__ = _not_yet("used as an integer")

    @classmethod
    def placeholder_set(cls) -> set[str]:
        """Names of the members."""
        return set(_LOOKUPS)

    def resolve(self, lookup: Callable[[str], Any]) -> Any:
        """The number that this stands for.

        Args:
            lookup: Gives the number of a member, by name.

        Returns:
            The number; a whole `fractions.Fraction` is given as an ``int``.
        """
        if not self.operands:
            return lookup(self.name)
        numbers = [
            operand.resolve(lookup) if isinstance(operand, TrainerPlaceholderValues) else operand
            for operand in self.operands
        ]
        return _whole_as_int(_FUNCTIONS[self.name](*numbers))

    def __repr__(self) -> str:
        if not self.operands:
            return self.name
        if self.name.isalpha():
            return f"{self.name}({', '.join(map(repr, self.operands))})"
        left, right = map(_bracketed, self.operands)
        return f"{left} {self.name} {right}"


def _bracketed(operand: Any) -> str:
    """Return an operand's text, in brackets unless it is a name or a number without a sign."""
    text = repr(operand)
    return text if text.isidentifier() or text[0].isdigit() else f"({text})"


def _whole_as_int(number: Any) -> Any:
    if isinstance(number, Rational) and number.denominator == 1:
        return number.numerator
    return number


def _num_epochs(trainer: Any) -> Any:
    config = trainer.run_config
    horizon = getattr(config, "max_num_train_steps", None)
    per_epoch = getattr(config, "num_update_steps_per_epoch", None)
    if horizon is None or not per_epoch or horizon == config.num_epochs * per_epoch:
        return config.num_epochs
    from fractions import Fraction  # on use: its import takes 5 ms

    return _whole_as_int(Fraction(horizon, per_epoch))


_BUDGETS = ("MAX_SAMPLES", "MAX_ITEMS", "MAX_TIME")
_LOOKUPS: dict[str, Callable[[Any], Any]] = {
    "NUM_EPOCHS": _num_epochs,
    "NUM_UPDATE_STEPS_PER_EPOCH": attrgetter("run_config.num_update_steps_per_epoch"),
    "PER_PROCESS_NUM_UPDATE_STEPS_PER_EPOCH": attrgetter(
        "run_config.num_local_update_steps_per_epoch"
    ),
    "MAX_NUM_TRAIN_STEPS": attrgetter("run_config.max_num_train_steps"),
    **{name: attrgetter(f"run_config.{name.lower()}") for name in _BUDGETS},
    "TRAIN_DATALOADER_LEN": lambda trainer: len(trainer._train_dataloader),
    "EVAL_DATALOADER_LEN": lambda trainer: len(trainer._eval_dataloader),
}
for _name in _LOOKUPS:
    setattr(TrainerPlaceholderValues, _name, TrainerPlaceholderValues(_name))


def _look_up(trainer: Any, name: str) -> Any:
    try:
        number = _LOOKUPS[name](trainer)
    except TypeError:  # of a loader that has no length
        number = None
    if number is None and name in _BUDGETS:
        argument = name.lower()
        raise ValueError(
            f"{name} is not known in this run: write train(…, {argument}=…), which shares of the "
            f"run in that unit are shares of, or give the scheduler a horizon=… of its own."
        )
    if number is None:
        raise ValueError(
            f"{name} is not known in this run, which has no such data, data without a length, or "
            f"epochs of different numbers of updates, as gradient_accumulation_steps "
            f"changes. Give max_num_train_steps and use MAX_NUM_TRAIN_STEPS, or write a number. A "
            f"schedule for such data can be in updates or in shares of the run, but not in epochs."
        )
    return number


def replace_trainer_placeholder_values(trainer: Any, instance: Any) -> Any:
    """Fill in the placeholders among the arguments of a `functools.partial`.

    They are found in positional and keyword arguments, also within lists, tuples, dicts and
    further partials.

    Args:
        trainer: Anything with ``run_config``, ``_train_dataloader`` and ``_eval_dataloader``.
        instance: A partial; anything else is returned unchanged.

    Returns:
        A new partial with numbers in place of the placeholders.

    Raises:
        ValueError: A number is not known in this run, for example the length of an evaluation
            loader when there is none.
    """
    if not isinstance(instance, functools.partial):
        return instance
    return _replace(instance, functools.partial(_look_up, trainer))


def _replace(value: Any, lookup: Callable[[str], Any]) -> Any:
    if isinstance(value, TrainerPlaceholderValues):
        return value.resolve(lookup)
    if not any(find_placeholders(value)):
        return value
    if isinstance(value, functools.partial):
        arguments = [_replace(argument, lookup) for argument in value.args]
        keywords = {name: _replace(item, lookup) for name, item in value.keywords.items()}
        return functools.partial(_replace(value.func, lookup), *arguments, **keywords)
    if isinstance(value, dict):
        return {_replace(key, lookup): _replace(item, lookup) for key, item in value.items()}
    items = [_replace(item, lookup) for item in value]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def find_placeholders(value: Any) -> Iterator[TrainerPlaceholderValues]:
    """Give each placeholder in a value, also within lists, tuples, dicts and partials."""
    if isinstance(value, TrainerPlaceholderValues):
        yield value
    elif isinstance(value, functools.partial):
        yield from find_placeholders((value.func, value.args, value.keywords))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from find_placeholders(key)
            yield from find_placeholders(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from find_placeholders(item)
