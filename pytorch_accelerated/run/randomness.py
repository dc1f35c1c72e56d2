"""The random numbers of a run: saved as they are, and put back where the run continues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pytorch_accelerated.checkpoints import random_state


class Randomness:
    """States of all generators that training draws from, also of the loader's own.

    Attributes:
        own: Generators of the user's own that the training data loader draws from.
        at_epoch_start: The states in which the pass at hand began: the order of its data may
            have been drawn from any of them.
        before_evaluation: The states before an evaluation that is under way. It would be made
            again after a resume, and has to be the same.
        to_restore: What a checkpoint holds, until it is put back.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.own: list[torch.Generator] = []
        self.at_epoch_start: dict[str, Any] = {}
        self.before_evaluation: dict[str, Any] | None = None
        self.to_restore: dict[str, Any] | None = None

    def now(self) -> dict[str, Any]:
        """The states as they are."""
        own = [generator.get_state() for generator in self.own]
        return {**random_state.get(self._device), "own": own}

    def put(self, state: dict[str, Any]) -> None:
        """Go to other states."""
        random_state.put(state, self._device)
        for generator, its_state in zip(self.own, state["own"], strict=False):
            generator.set_state(its_state)

    @contextmanager
    def kept(self, is_needed: bool = True) -> Iterator[None]:
        """Undo what is drawn within: a run that continues in an epoch has drawn it before."""
        now = self.now() if is_needed else None
        try:
            yield
        finally:
            if now is not None:
                self.put(now)

    def put_back(self) -> None:
        """Go to the states of the checkpoint that the run continues from, once."""
        if self.to_restore is not None:
            self.put(self.to_restore)
            self.to_restore = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        now = self.before_evaluation or self.now()
        return {"now": now, "at_epoch_start": self.at_epoch_start}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Have the states put back where the run continues."""
        self.to_restore, self.at_epoch_start = state["now"], state["at_epoch_start"]
