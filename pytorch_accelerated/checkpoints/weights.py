"""A model's state: under the names that it has uncompiled, and refused as a whole."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

# What `torch.compile` puts into the names of a module that is compiled, at any depth.
_COMPILED = re.compile(r"(^|\.)_orig_mod\.")
_plain = partial(_COMPILED.sub, r"\1")


@dataclass
class Weights:
    """The state of a model, which is the same whether parts of it are compiled or not."""

    model: nn.Module

    def state_dict(self) -> dict[str, Any]:
        """Return the model's state under the names of the uncompiled model."""
        state = self.model.state_dict()
        if not any(map(_COMPILED.search, state)):
            return state
        return {_plain(name): value for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state, whichever parts of the model it is from were compiled."""
        own = self.model.state_dict()
        if any(map(_COMPILED.search, (*own, *state))):
            names = {_plain(name): name for name in own}
            state = {names.get(_plain(name), name): value for name, value in state.items()}
        self.model.load_state_dict(state)

    def copied(self) -> dict[str, Any]:
        """Return a copy of the state, to go back to."""
        return {
            name: value.to("cpu", copy=True)
            if isinstance(value, Tensor) and not is_lazy(value)
            else copy.deepcopy(value)
            for name, value in self.model.state_dict().items()
        }

    def check(self, state: Mapping[str, Any], where: str) -> None:
        """Refuse the state of another model; nothing has changed then.

        Raises:
            ValueError: A name or a shape differs, and the model has no way of its own to load it.
        """
        problem = self._first_difference(state)
        if not problem:
            return
        before = self.copied()
        try:
            self.load_state_dict(state)  # hooks of the model may know older names
        except Exception as error:
            raise ValueError(
                f"{where} holds the state of another model: {problem}. Nothing was loaded: make "
                f"the model as it was; or, to continue from those weights that fit, load "
                f"model.safetensors with safetensors.torch.load_file, and begin a new run in "
                f"another folder"
            ) from error
        finally:
            self.model.load_state_dict(before)

    def _first_difference(self, state: Mapping[str, Any]) -> str:
        own = self.state_dict()
        theirs = {_plain(name): value for name, value in state.items()}
        for name, value in own.items():
            if name not in theirs:
                return f"it has no {name!r}, which the model has"
            if isinstance(value, Tensor) and not is_lazy(value):
                there = getattr(theirs[name], "shape", None)
                if there != value.shape:
                    there = there and list(there)
                    return f"{name!r} has the shape {there} there, and {list(value.shape)} here"
        extra = [name for name in theirs if name not in own]
        return f"it has {extra[0]!r}, which the model does not have" if extra else ""
