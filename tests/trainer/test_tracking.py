import collections
import fractions
import json
import pathlib

import numpy
import pytest
import torch

from pytorch_accelerated.callbacks import TrainerCallback
from pytorch_accelerated.tracking import (
    InMemoryRunHistory,
    LossTracker,
    OnDiskRunHistory,
    RunHistory,
)
from pytorch_accelerated.trainer import Trainer
from tests.trainer.tiny import Scale, make_trainer, mean_output, ones


@pytest.fixture(params=["in memory", "on disk"])
def new_history(request, tmp_path):
    if request.param == "in memory":
        return InMemoryRunHistory
    return lambda: OnDiskRunHistory(tmp_path / "history.jsonl")


@pytest.fixture
def history(new_history):
    return lambda **metrics: recorded(new_history(), **metrics)


def recorded(history, **metrics):
    for name, values in metrics.items():
        for value in values:
            history.update_metric(name, value)
    return history


def test_reading_an_unknown_metric_registers_nothing(history):
    empty = history(known=[1])
    assert empty.get_metric_values("unknown") == []
    with pytest.raises(ValueError, match=r"no value was recorded for the metric 'unknown'.*known"):
        empty.get_latest_metric("unknown")
    empty.delete_metric("unknown")
    assert empty.get_metric_names() == ["known"]


def test_names_come_in_the_order_of_their_first_values_and_values_are_a_copy(history):
    some = history(b=[1, 2], a=[3], c=[])
    some.update_metric("b", 4)
    assert some.get_metric_names() == ["b", "a"]
    some.get_metric_values("b").clear()
    assert some.get_metric_values("b") == [1, 2, 4]
    assert some.get_latest_metric("b") == 4


def test_a_prefix_counts_for_writing_reading_and_deleting_and_ends_with_a_reset(history):
    some = history(loss=[1])
    some.set_metric_name_prefix("ema_")
    some.update_metric("loss", 2)
    some.update_metric("ema_loss", 3)
    assert some.metric_name_prefix == "ema_"
    assert some.get_metric_values("loss") == some.get_metric_values("ema_loss") == [2, 3]
    assert some.get_latest_metric("loss") == 3
    some.delete_metric("loss")
    assert some.get_metric_names() == ["loss"]
    some.reset()
    assert some.metric_name_prefix == ""
    assert some.get_metric_names() == []
    with pytest.raises(TypeError, match="prefix=None"):
        some.set_metric_name_prefix(None)


def test_the_epoch_counts_from_1(new_history):
    some = new_history()
    some.increment_epoch()
    some._increment_epoch()
    assert some.current_epoch == 3
    some.set_epoch(7)
    assert some.current_epoch == 7
    some._set_epoch(2)
    assert some.current_epoch == 2
    some.reset()
    assert some.current_epoch == 1


def test_a_state_is_plain_and_brings_all_back(tmp_path):
    some = recorded(
        InMemoryRunHistory(), a=[torch.tensor(0.5), 2, "text"], b=[torch.tensor([1, 2])]
    )
    some.increment_epoch()
    torch.save(some.state_dict(), tmp_path / "state")
    other = recorded(InMemoryRunHistory(), old=[1])
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert other.get_metric_names() == ["a", "b"]
    assert other.get_metric_values("a") == [0.5, 2, "text"]
    assert isinstance(other.get_metric_values("a")[0], float)
    assert other.current_epoch == 2


def methods(**more):
    names = (
        "get_metric_names", "get_metric_values", "get_latest_metric", "set_metric_name_prefix",
        "metric_name_prefix", "update_metric", "delete_metric", "current_epoch", "reset",
    )  # fmt: skip
    return {**dict.fromkeys(names, lambda *args: None), **more}


def test_a_history_may_implement_public_or_earlier_underscored_names():
    calls = []
    for underscore in ("", "_"):
        kind = type(
            "Own",
            (RunHistory,),
            methods(
                **{
                    f"{underscore}increment_epoch": lambda self: calls.append("increment"),
                    f"{underscore}set_epoch": lambda self, epoch: calls.append(epoch),
                }
            ),
        )
        own = kind()
        own.increment_epoch()
        own._set_epoch(3)
    assert calls == ["increment", 3] * 2


@pytest.mark.parametrize("name", ["increment_epoch", "_increment_epoch"])
def test_a_history_may_extend_either_name_and_call_both(name):
    def extended(self):
        self.increments += 1
        getattr(super(kind, self), name)()

    kind = type("Extended", (InMemoryRunHistory,), {"increments": 0, name: extended})
    own = kind()
    own.increment_epoch()
    own._increment_epoch()
    assert (own.increments, own.current_epoch) == (2, 3)


def test_a_history_without_one_of_the_names_is_incomplete():
    with pytest.raises(TypeError, match="increment_epoch"):
        type("Incomplete", (RunHistory,), methods())()


def test_a_tracker_weighs_losses_by_samples():
    tracker = LossTracker()
    assert (tracker.average, tracker.total_loss, tracker.running_count) == (0.0, 0.0, 0)
    tracker.update(torch.tensor(2.0, requires_grad=True) * 1, batch_size=3)
    tracker.update(6.0)
    assert tracker.loss_value == 6.0
    assert tracker.total_loss == 12.0
    assert tracker.running_count == 4
    assert tracker.average == 3.0
    tracker.reset()
    assert (tracker.average, tracker.total_loss, tracker.running_count) == (0.0, 0.0, 0)


def test_a_tracker_takes_batch_sizes_that_are_tensors():
    tracker = LossTracker()
    tracker.update(torch.tensor(2.0), batch_size=torch.tensor(3))
    tracker.update(torch.tensor(4.0), batch_size=torch.tensor(1))
    assert tracker.average == 2.5
    assert tracker.totals(torch.device("cpu")).tolist() == [10.0, 4.0]


def test_many_small_losses_add_up():
    tracker = LossTracker()
    tracker.update(torch.tensor(1.0), batch_size=2**24)
    for _ in range(100):
        tracker.update(torch.tensor(0.5))
    assert tracker.total_loss == 2**24 + 50


def test_a_tracker_keeps_no_graph():
    weight = torch.ones((), requires_grad=True)
    tracker = LossTracker()
    tracker.update(weight * 2)
    assert not tracker.totals(torch.device("cpu")).requires_grad


def fill(history, values=(0.5, 0.25, 0.125)):
    for value in values:
        history.update_metric("loss", value)
        history.increment_epoch()


def test_a_history_on_disk_goes_on_where_its_file_ends(tmp_path):
    path = tmp_path / "runs" / "history.jsonl"
    first = OnDiskRunHistory(path)
    fill(first)
    first.update_metric("gone", 1)
    first.delete_metric("gone")
    second = OnDiskRunHistory(path)
    assert second.get_metric_names() == ["loss"]
    assert second.get_latest_metric("loss") == 0.125
    assert second.get_metric_values("loss") == [0.5, 0.25, 0.125]
    assert second.current_epoch == 4


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path):
    path = tmp_path / "history.jsonl"
    fill(OnDiskRunHistory(path))
    complete = path.read_bytes()
    path.write_bytes(complete + b'{"metric": "loss", "va')
    again = OnDiskRunHistory(path)
    assert path.read_bytes() == complete
    again.update_metric("loss", torch.tensor(1.5))
    assert again.get_metric_values("loss") == [0.5, 0.25, 0.125, 1.5]


def test_a_reset_keeps_the_file_and_forgets_what_was_before(tmp_path):
    path = tmp_path / "history.jsonl"
    history = OnDiskRunHistory(path)
    fill(history)
    before = path.read_bytes()
    history.reset()
    assert path.read_bytes().startswith(before)
    history.update_metric("loss", 7)
    for one in (history, OnDiskRunHistory(path)):
        assert one.get_metric_values("loss") == [7]
        assert one.current_epoch == 1


def test_states_move_between_the_two_histories(tmp_path):
    on_disk = OnDiskRunHistory(tmp_path / "history.jsonl")
    fill(on_disk)
    in_memory = InMemoryRunHistory()
    in_memory.load_state_dict(on_disk.state_dict())
    assert in_memory.state_dict() == on_disk.state_dict()
    other = OnDiskRunHistory(tmp_path / "other.jsonl")
    fill(other, [9, 9])
    other.load_state_dict(json.loads(json.dumps(in_memory.state_dict())))
    assert other.state_dict() == on_disk.state_dict()


def test_other_files_and_values_that_json_lacks_are_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    with pytest.raises(ValueError, match=r"not a run history.*my notes"):
        OnDiskRunHistory(path)
    assert path.read_text() == "my notes\n"
    history = OnDiskRunHistory(tmp_path / "history.jsonl")
    with pytest.raises(TypeError, match="made of numbers, strings"):
        history.update_metric("loss", object())
    assert history.get_metric_names() == []


def test_each_process_has_a_file_of_its_own(tmp_path, monkeypatch):
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        OnDiskRunHistory(tmp_path / "h").update_metric("m", 1)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["h", "h.1"]


def test_training_with_a_history_on_disk_records_what_one_in_memory_does(tmp_path):
    states = []
    for history in (InMemoryRunHistory(), OnDiskRunHistory(tmp_path / "history.jsonl")):
        model = Scale()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        trainer = Trainer(model, mean_output, optimizer, callbacks=(), run_history=history)
        trainer.train(ones(8), num_epochs=3, eval_dataset=ones(4), per_device_batch_size=4)
        states.append(history.state_dict())
    assert states[0] == states[1]
    assert states[0]["metrics"]["train_loss_epoch"] == [-0.25, -1.25, -2.25]


PLAIN = [
    (numpy.float32(0.5), 0.5),
    (numpy.int64(3), 3),
    (numpy.bool_(True), True),
    (numpy.longdouble(0.5), 0.5),
    (numpy.array([1.0, 2.0]), [1.0, 2.0]),
    (numpy.array(7), 7),
    ({"a": numpy.float64(0.5), "b": [numpy.int32(1)]}, {"a": 0.5, "b": [1]}),
    ([{"c": (numpy.float16(0.5), None)}], [{"c": (0.5, None)}]),
    (collections.defaultdict(int, {numpy.int64(1): numpy.int64(2)}), {1: 2}),
    ({numpy.float32(0.5), 2}, {0.5, 2}),
    ({"loss": torch.tensor(0.25), "each": torch.tensor([1, 2])}, None),
    (torch.tensor(0.5, requires_grad=True), 0.5),
    (fractions.Fraction(1, 2), 0.5),
    ("text", "text"),
    (None, None),
]


@pytest.mark.parametrize(("value", "expected"), PLAIN, ids=repr)
def test_what_is_recorded_is_plain_and_goes_into_a_checkpoint(value, expected, tmp_path):
    histories = []

    class Recorder(TrainerCallback):
        def on_train_epoch_end(self, trainer, **kwargs):
            trainer.run_history.update_metric("metric", value)
            histories.append(trainer.run_history)

    def train(num_epochs):
        trainer = make_trainer(Recorder())
        trainer.train(ones(4), num_epochs, checkpoint_dir=tmp_path, resume="auto")
        return trainer.run_history.get_metric_values("metric")

    (recorded,) = train(1)
    with pytest.warns(UserWarning, match="num_epochs: 1 before, 2 now"):
        continued, again = train(2)
    if expected is None and value is not None:
        assert float(recorded["loss"]) == continued["loss"] == 0.25
        assert recorded["each"].tolist() == continued["each"].tolist() == [1, 2]
    else:
        assert recorded == continued == again == expected
        assert type(continued) is type(expected)


@pytest.mark.parametrize(
    "value", [object(), {"a": [object()]}, 1j, numpy.complex64(1), pathlib.Path("a"), {"a": print}]
)
@pytest.mark.parametrize("on_disk", [False, True])
def test_what_no_checkpoint_can_hold_is_refused_when_it_is_recorded(value, on_disk, tmp_path):
    history = OnDiskRunHistory(tmp_path / "h") if on_disk else InMemoryRunHistory()
    with pytest.raises(TypeError, match=r"the metric 'score' holds .* has to be made of numbers"):
        history.update_metric("score", value)
    assert history.get_metric_names() == []


def test_a_tensor_that_is_filled_again_keeps_what_was_recorded(new_history):
    history = new_history()
    tensor = torch.tensor(1.0)
    history.update_metric("loss", tensor)
    tensor.fill_(2.0)
    history.update_metric("loss", tensor)
    assert history.get_metric_values("loss") == [1.0, 2.0]


def test_a_history_counts_its_values(new_history):
    history = new_history()
    for i in range(3):
        history.update_metric("loss", i)
    assert history.num_values("loss") == 3
    assert history.num_values("other") == 0
    history.set_metric_name_prefix("ema_")
    history.update_metric("loss", 1)
    assert history.num_values("loss") == 1
    history.delete_metric("loss")
    assert history.num_values("loss") == 0
    history.load_state_dict(history.state_dict())
    history.set_metric_name_prefix("")
    assert history.num_values("loss") == 3
    history.reset()
    assert history.num_values("loss") == 0


def test_a_history_is_shown_as_text_as_a_frame_and_as_a_picture(history):
    history = history()
    name = type(history).__name__
    assert repr(history) == f"<{name}, empty>"
    with pytest.raises(ValueError, match="train first"):
        history.plot()
    recorded = {
        "train_loss_epoch": [0.5, 0.25],
        "eval_loss_epoch": [torch.tensor(0.75), 0.5],
        "eval_accuracy": [1.0],
        "note": ["a", "b"],
    }
    for metric, values in recorded.items():
        for value in values:
            history.update_metric(metric, value)
    assert repr(history) == (
        f"<{name}, latest of 2: train_loss_epoch 0.2500, eval_loss_epoch 0.5000, "
        f"eval_accuracy 1.000>"
    )
    frame = history.to_frame()
    assert list(frame.index) == [1, 2]
    assert list(frame["eval_loss_epoch"]) == [0.75, 0.5]
    assert frame["eval_accuracy"].isna().tolist() == [False, True]
    losses, accuracy = history.plot().axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in losses.lines}
    assert drawn == {"train_loss": [0.5, 0.25], "eval_loss": [0.75, 0.5]}
    assert accuracy.get_ylabel() == "eval_accuracy"
    history.set_metric_name_prefix("ema_")
    assert repr(history) == f"<{name}, empty>"
