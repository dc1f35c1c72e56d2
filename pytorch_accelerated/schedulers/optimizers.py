"""Several optimizers as one: all of their groups, stepped, cleared and saved together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from torch.optim import Optimizer

from pytorch_accelerated.checks import kind_of

OneOrMore: TypeAlias = "Optimizer | Sequence[Optimizer]"


class Optimizers(Optimizer):
    """Several optimizers as one.

    Each is called after its class, and the second of a class ``AdamW.1``. Groups are always listed
    optimizer by optimizer; they are added to the optimizer that they are for.

    It equals each of its optimizers: frameworks look for a scheduler's optimizer among their own.
    """

    def __init__(self, optimizers: Sequence[Any]) -> None:
        # Optimizer.__init__ would make groups of its own, so it is left out on purpose.
        self.optimizers = tuple(optimizers)
        if not self.optimizers:
            raise TypeError("optimizer=[] is empty: it has no param_groups. Write an optimizer.")
        for index, one in enumerate(self.optimizers):
            check_optimizer(f"optimizer[{index}]", one)
            if any(one is other for other in self.optimizers[:index]):
                raise ValueError(f"optimizer[{index}] is there twice. Write each one once.")

    @property
    def names(self) -> list[str]:
        """What the optimizers are called."""
        counts: Counter[str] = Counter()
        names = []
        for kind in map(class_of, self.optimizers):
            names.append(f"{kind}.{counts[kind]}" if counts[kind] else kind)
            counts[kind] += 1
        return names

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of all, optimizer by optimizer."""
        return [group for one in self.optimizers for group in one.param_groups]

    @property
    def state(self) -> dict[Any, Any]:  # type: ignore[override]
        """What all keep for each parameter."""
        return {weight: kept for one in self.optimizers for weight, kept in one.state.items()}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Step all of them; a closure is called once, by the first."""
        first, *others = self.optimizers
        loss = first.step() if closure is None else first.step(closure)
        for one in others:
            one.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all."""
        for one in self.optimizers:
            one.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refuse: a group is one of a certain optimizer."""
        raise TypeError(
            "A group is added to one of several optimizers: write optimizers[0].add_param_group(…)."
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each under its name."""
        return {
            name: one.state_dict() for name, one in zip(self.names, self.optimizers, strict=True)
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the states of all or none; their order may be another, but for those of one class.

        Raises:
            ValueError: If they are of other optimizers, or of other groups.
        """
        if {*state_dict} != {*self.names}:
            raise ValueError(
                f"The state is one of the optimizers {', '.join(state_dict)}, but has to be one of "
                f"{', '.join(self.names)}."
            )
        before = self.state_dict()
        try:
            for name, one in zip(self.names, self.optimizers, strict=True):
                one.load_state_dict(state_dict[name])
        except BaseException:
            for name, one in zip(self.names, self.optimizers, strict=True):
                one.load_state_dict(before[name])
            raise

    def __eq__(self, other: object) -> bool:
        return self is other or any(one is other for one in self.optimizers)

    __hash__ = object.__hash__

    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def as_one(optimizer: Any) -> Any:
    """Return an optimizer as it is, and a list of them as one."""
    return Optimizers(optimizer) if isinstance(optimizer, list | tuple) else optimizer


def each_of(optimizer: Any) -> tuple[Any, ...]:
    """Return the optimizers of several as one, or the only one."""
    return optimizer.optimizers if isinstance(optimizer, Optimizers) else (optimizer,)


def groups_in(state: Mapping[str, Any], optimizer: Any = None) -> list[dict[str, Any]]:
    """Return the groups in the state of an optimizer, or of several in the order of those."""
    states = [state] if "param_groups" in state else [*state.values()]
    if isinstance(optimizer, Optimizers):
        states = [state[name] for name in optimizer.names]
    return [group for one in states for group in one["param_groups"]]


def class_of(optimizer: Any) -> str:
    """Return the name of an optimizer's class, not of a wrapper such as Accelerate's."""
    own = getattr(optimizer, "optimizer", optimizer)
    return str(getattr(own, "kind", type(own).__name__))


def check_optimizer(name: str, optimizer: Any) -> None:
    """Raise if something has no list of parameter groups."""
    if not isinstance(getattr(optimizer, "param_groups", None), list):
        raise TypeError(
            f"{name} is {kind_of(optimizer)}, which has no list of param_groups. Hand over the "
            "optimizer itself, for example torch.optim.AdamW(model.parameters())."
        )
