"""Windows of batches whose size follows a schedule: the updates of a run are known before it."""

import itertools
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytorch_accelerated import TrainerPlaceholderValues as T
from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TrainerCallback
from pytorch_accelerated.run import windows
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import (
    absolute,
    constant,
    cosine,
    from_function,
    linear,
    milestones,
)
from tests.checkpoints.runs import Data, DieAt, Interrupted, make, names, outcome, train
from tests.trainer.test_mixed_precision import Scaled
from tests.trainer.tiny import Record, Stream, make_trainer, ones

GROWING = milestones({3: 2.0, 6: 4.0})


class Windows(TrainerCallback):
    """How many batches each window had."""

    def __init__(self):
        self.sizes, self._batches = [], 0

    def on_train_step_end(self, trainer, **kwargs):
        self._batches += 1
        if self._batches == trainer.run.window.size:
            self.sizes.append(self._batches)
            self._batches = 0

    def state_dict(self):
        return {"sizes": self.sizes}

    def load_state_dict(self, state):
        self.sizes = state["sizes"]


def test_each_update_has_as_many_batches_as_the_schedule_says():
    rate = cosine(end=0.0) * milestones({3: 2**0.5, 6: 2.0})  # follows by the square root
    seen, record = Windows(), Record()
    trainer = make_trainer(seen, record, lr=0.1)
    trainer.train(
        ones(23),
        2,
        per_device_batch_size=1,
        gradient_accumulation_steps=GROWING,
        create_scheduler_fn=ParamScheduler.create_scheduler_fn(lr=rate),
    )
    # What an epoch has left is a window of its own; the schedule goes on over the epochs.
    first, second = [1, 1, 1, 2, 2, 2, 4, 4, 4, 2], [4, 4, 4, 4, 4, 3]
    assert seen.sizes == first + second
    assert record.gradients == [1.0] * 16
    config = trainer.run_config
    assert trainer.num_updates == config.max_num_train_steps == 16
    assert record.used == [*rate.over(16).values(16, base=0.1)]
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0
    assert config.gradient_accumulation_steps == GROWING
    assert trainer.run.plan.gradient_accumulation_steps == repr(GROWING)
    assert config.num_update_steps_per_epoch is config.train_total_batch_size is None


STEPS = st.one_of(
    st.integers(1, 5),
    st.dictionaries(st.integers(0, 30), st.integers(1, 5).map(float), min_size=1, max_size=4).map(
        lambda found: milestones(dict(sorted(found.items())))
    ),
    st.just(linear(9, start=absolute(1), end=absolute(6)).rounded()),
    st.just((constant(2) >> constant(3, value=2.0)).repeat()),  # has no end
    st.just(from_function(lambda update: 1 + update % 3)),
)


@given(
    STEPS,
    st.integers(1, 6),
    st.integers(1, 30),
    st.none() | st.integers(1, 60),
    st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 20)),
)
def test_the_updates_of_a_run_are_those_that_its_windows_make(
    steps, num_epochs, num_batches, limit, begin
):
    epoch, batch, update = begin
    batch = min(batch, num_batches)
    expected = update
    for number in range(epoch, num_epochs):
        left = num_batches - (batch if number == epoch else 0)
        sizes = (windows.size(steps, expected + place) for place in itertools.count())
        made = list(windows.accumulation_windows(range(left), left, sizes))
        assert [batch for _, batch, *_ in made] == [*range(left)]
        expected += sum(is_last for *_, is_last in made)
    if limit is not None:
        expected = min(expected, limit)
    begin = epoch, batch, update
    assert windows.num_updates(steps, num_epochs, num_batches, limit, begin) == expected


def test_so_many_epochs_and_updates_are_counted_at_once():
    steps = milestones({500: 2.0, 1_000: 4.0})
    assert windows.num_updates(steps, 10**12, 4_000) == 500 + 500 + 625 + (10**12 - 1) * 1_000
    assert windows.num_updates(steps, 10**12, 10**12, 10**6) == 10**6


@pytest.mark.parametrize("died_at", [10, 21, 33])
def test_a_run_continues_within_an_epoch_as_if_nothing_had_been(tmp_path, died_at):
    plan = linear(8, start=absolute(1), end=absolute(4)).rounded()
    kwargs = {
        "train_dataset": Data(22),
        "per_device_batch_size": 1,
        "gradient_accumulation_steps": repr(plan),  # as text
        "checkpoint_every": 1,
        "num_epochs": 2,
        "create_scheduler_fn": ParamScheduler.create_scheduler_fn(lr=linear(end=0.0)),
    }
    straight = train(make(ScheduleMonitorCallback(), Windows()), tmp_path / "a", **kwargs)
    dying = make(ScheduleMonitorCallback(), Windows(), DieAt(died_at))
    with pytest.raises(Interrupted):
        train(dying, tmp_path / "b", **kwargs)
    assert 0 < len(names(tmp_path / "b")) < straight.num_updates
    seen = Windows()
    resumed = train(make(ScheduleMonitorCallback(), seen), tmp_path / "b", **kwargs)
    assert outcome(resumed) == outcome(straight)
    assert sum(seen.sizes) == 2 * 22
    assert resumed.run_config.max_num_train_steps == resumed.num_updates


def test_windows_may_grow_from_a_checkpoint_on(tmp_path):
    kwargs = {"per_device_batch_size": 1, "num_epochs": 2, "checkpoint_every": 1}
    rate = ParamScheduler.create_scheduler_fn(lr=linear(end=0.0))
    with pytest.raises(Interrupted):
        train(make(DieAt(6)), tmp_path, create_scheduler_fn=rate, **kwargs)
    growing = milestones({8: 3.0, 12: 6.0})
    with pytest.warns(UserWarning, match=r"gradient_accumulation_steps: 1 before, 'milestones"):
        trainer = train(
            make(seen := Windows()),
            tmp_path,
            create_scheduler_fn=rate,
            gradient_accumulation_steps=growing,
            **kwargs,
        )
    done = trainer.num_updates - len(seen.sizes)
    assert seen.sizes == [1] * (8 - done) + [3, 3, 3, 3, 4, 6, 6, 6, 6]
    assert trainer.num_updates == trainer.run_config.max_num_train_steps == 17
    assert trainer.optimizer.param_groups[0]["lr"] == 0.0


def test_updates_that_mixed_precision_skips_count_in_the_schedule_of_windows():
    trainer = make_trainer(seen := Windows(), record := Record(), kind=Scaled)
    trainer.overflow_at = (0, 3)
    trainer.train(ones(12), 1, per_device_batch_size=1, gradient_accumulation_steps=GROWING)
    # 1, 1, 1, 2, 2, 2 and 3 batches were planned, of which the first and the fourth made nothing;
    # a second pass makes two more, of the size that comes after all that were planned.
    assert seen.sizes == [1, 1, 1, 2, 2, 2, 3, 4, 4]
    assert trainer.num_updates == trainer.run_config.max_num_train_steps == 7
    assert record.gradients[-2:] == [1.0, 1.0]


def test_data_without_a_length_grows_up_to_the_limit_on_updates():
    trainer = make_trainer(seen := Windows())
    trainer.train(
        Stream(ones(12)), 2, per_device_batch_size=1, max_num_train_steps=8,
        gradient_accumulation_steps=GROWING,
    )  # fmt: skip
    assert seen.sizes == [1, 1, 1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (linear(8, start=1.0, end=5.0), ValueError, r"is 1\.5 at update 1, .*\.rounded\(\)"),
        (milestones({5: 2.5}), ValueError, r"is 2\.5 at update 5"),
        (milestones({5: 0.0}), ValueError, "is 0 at update 5, but a window has a whole number"),
        (milestones({0.5: 2.0}), ValueError, r"milestones\({0\.5: 2\.0}\) has lengths that are sh"),
        ("milestones({5: 2.0}", ValueError, "gradient_accumulation_steps: "),
        ({5: 2.0}, TypeError, "gradient_accumulation_steps={5: 2.0} is a dict"),
    ],
)
@pytest.mark.parametrize("data", [ones(12), Stream(ones(12))])
def test_sizes_that_cannot_be_are_refused_before_anything_is_trained(data, steps, error, message):
    trainer = make_trainer(record := Record())
    with pytest.raises(error, match=message):
        trainer.train(
            data, 1, per_device_batch_size=1, gradient_accumulation_steps=steps,
            max_num_train_steps=9,
        )  # fmt: skip
    assert record.gradients == []
    assert trainer.model.weight == 0.0


def test_epochs_have_no_number_of_updates_then():
    of_epochs = partial(lambda optimizer, count: None, count=T.NUM_UPDATE_STEPS_PER_EPOCH)
    with pytest.raises(ValueError, match="as gradient_accumulation_steps changes"):
        make_trainer().train(
            ones(4), 1, gradient_accumulation_steps=GROWING, create_scheduler_fn=of_epochs
        )
