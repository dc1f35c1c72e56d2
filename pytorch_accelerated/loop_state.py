"""The position of a training run."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass
class LoopState:
    """How far a training run is: enough to go on at the very next update.

    Attributes:
        epoch: Passes over the training data that are done.
        batch: Batches of the pass at hand whose update is done, on each process.
        num_updates: Optimizer updates done.
        data_seed: Seed that the order of the training data is derived from.
        first_history_epoch: The run history's epoch when the run began.
        in_epoch: Whether a pass is begun whose end, with its evaluation, is still to come.
        is_cut_short: Whether the limit on updates ended the pass at hand before its last batch.
        is_trained: Whether the pass's batches are done and their loss is recorded.
        is_evaluated: Whether the evaluation after them is recorded, too.
        num_replanned: By how many updates the run is longer than its epochs have updates, since
            it began with other batches.
        num_skipped: Updates that mixed precision has skipped and no second pass has made up for.
        num_repeats: Passes of the epoch at hand that are done. It has a second one only if it is
            the run's last, to make up for skipped updates.
    """

    epoch: int = 0
    batch: int = 0
    num_updates: int = 0
    data_seed: int = 0
    first_history_epoch: int = 1
    in_epoch: bool = False
    is_cut_short: bool = False
    is_trained: bool = False
    is_evaluated: bool = False
    num_replanned: int = 0
    num_skipped: int = 0
    num_repeats: int = 0

    @property
    def history_epoch(self) -> int:
        """The run history's epoch that the next batch belongs to."""
        return self.first_history_epoch + self.epoch

    @property
    def data_epoch(self) -> int:
        """Number of the pass at hand, by which samplers and streams order the data."""
        return self.epoch + self.num_repeats

    def end_epoch(self) -> None:
        """Go to the beginning of the next pass, unless this one may have to go on."""
        if not self.is_cut_short:
            self.epoch += 1
            self.batch = self.num_repeats = 0
        self.in_epoch = self.is_trained = self.is_evaluated = False

    def go_on_with_epoch(self) -> None:
        """Go on with a pass that was cut short."""
        self.is_cut_short = self.is_trained = self.is_evaluated = False

    def repeat_epoch(self) -> None:
        """Go to the beginning of another pass of the same epoch."""
        self.batch = 0
        self.num_repeats += 1

    def epoch_seed(self) -> int:
        """Seed of the data order, and of data workers, in the pass at hand.

        Neighbouring seeds and passes give unrelated orders.
        """
        return random.Random(f"{self.data_seed}, {self.data_epoch}").getrandbits(63)
