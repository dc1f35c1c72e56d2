"""The schedulers of a run: which they are and how each is stepped, decided when it begins."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

from pytorch_accelerated import scheduling
from pytorch_accelerated.checkpoints import scheduler_states


class RunSchedulers:
    """What a Trainer has as ``scheduler`` while a run is on.

    The states that schedulers come with are noted: what differs between those of two runs is
    their plan; all that has changed since is position.
    """

    def __init__(self, tells_epochs: bool, are_stepped_by_updates: bool) -> None:
        self._tells_epochs = tells_epochs
        self._are_stepped_by_updates = are_stepped_by_updates
        self._of: Any = None
        self._ways: list[tuple[Any, bool]] = []
        self._at_start: list[Any] = []
        self.is_new = True

    def make(self, trainer: Any, state: Any, num_updates: int) -> None:
        """Make the run's schedulers."""
        earlier, trainer.scheduler = trainer.scheduler, None
        if trainer.create_scheduler_fn is not None:
            scheduling.put_bases_back(earlier)
            trainer.scheduler = trainer.create_scheduler()
        if trainer.scheduler is None:
            if state is not None:
                warnings.warn(
                    "the checkpoint that was loaded holds a scheduler's state, but this run has "
                    "no create_scheduler_fn: the state is dropped",
                    stacklevel=3,
                )
            return
        self.look(trainer.scheduler)
        for one in scheduling.each(trainer.scheduler):
            if scheduling.is_stateless(one):
                one.step_update(num_updates)
        if state is not None:
            scheduler_states.restore(trainer.scheduler, state)

    def look(self, scheduler: Any) -> RunSchedulers:
        """Take notice of the schedulers, also of those that a callback has exchanged."""
        if self._of is scheduler:
            return self
        self._of = scheduler
        self._at_start = [_state_at_start(one) for one in scheduling.each(self._of)]
        self._ways = [
            (one, scheduling.is_stateless(one) or self._is_told_epochs(one))
            for one in scheduling.each(self._of)
            if not isinstance(one, ReduceLROnPlateau)
        ]
        return self

    def _is_told_epochs(self, scheduler: Any) -> bool:
        return self._tells_epochs and scheduling.is_of_timm_kind(scheduler)

    def step(self, num_updates: int) -> None:
        """Put the values after so many updates in force."""
        for scheduler, is_told in self._ways:
            if is_told:
                scheduler.step_update(num_updates)
            else:
                scheduler.step()

    def end_epoch(self, history: Any, metric: str, epoch: int) -> None:
        """Step those that wait for a metric or are told the epochs done."""
        scheduling.step_on_metric(self._of, history, metric)
        for one in scheduling.each(self._of):
            if self._is_told_epochs(one):
                one.step(epoch)

    def warn_of_other_lengths(self, num_updates: int, horizon: int | None) -> None:
        """Say once that a schedule is not as long as the run, which looks like a mistake."""
        # A step of one's own may count something else than updates.
        if horizon is not None and self._are_stepped_by_updates:
            for line in scheduling.length_mismatches(self._of, num_updates, horizon):
                warnings.warn(line, stacklevel=3)

    def state_dict(self) -> list[dict[str, Any]]:
        """Class and states of each."""
        return scheduler_states.saved_states(self._of, self._at_start)

    def load_with_optimizer(
        self,
        saved: list[dict[str, Any]],
        num_updates: int,
        epoch: int,
        optimizer: Any,
        load_optimizer: Callable[[], None],
    ) -> list[str]:
        """Go to the position of a checkpoint, together with the optimizer.

        Returns:
            What differs from the checkpoint.
        """
        position = scheduler_states.Position(
            num_updates,
            epochs_told=epoch if self._tells_epochs else None,
            is_new=self.is_new,
            is_stepped_by_updates=self._are_stepped_by_updates,
        )
        return scheduler_states.go_on(
            self._of, self._at_start, saved, position, optimizer, load_optimizer
        )


def _state_at_start(scheduler: Any) -> Any:
    if scheduling.is_pure(scheduler) or not hasattr(scheduler, "state_dict"):
        return None
    try:
        return copy.deepcopy(scheduler.state_dict())
    except Exception:
        # Whoever saves it is told what is wrong; others need no state.
        return None
