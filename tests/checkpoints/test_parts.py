"""What a checkpoint holds is one dict of parts, by which it is both saved and restored."""

import pytest

from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.run import parts
from tests.checkpoints.runs import DieAt, Interrupted, make, outcome, train


class Tally(TrainerCallback):
    """Counts updates, outside of the callbacks' states."""

    def __init__(self):
        self.count = 0

    def on_update_end(self, trainer, **kwargs):
        self.count += 1


class TallyPart:
    def __init__(self, tally):
        self.tally = tally

    def state_dict(self):
        return {"count": self.tally.count}

    def load_state_dict(self, state):
        self.tally.count = state["count"]


def test_a_new_part_is_one_line(tmp_path, monkeypatch):
    own, tally, usual = {}, Tally(), parts.parts
    monkeypatch.setattr(parts, "parts", lambda run: {**usual(run), **own})

    own["tally"] = TallyPart(tally)

    with pytest.raises(Interrupted):
        train(make(tally, DieAt(11)), tmp_path)
    tally.count = 0
    resumed = train(make(tally), tmp_path)
    assert tally.count == resumed.num_updates == 18
    assert outcome(resumed) == outcome(train(make()))
