import json
import tempfile
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pytorch_accelerated.callbacks import ScheduleMonitorCallback, schedule_monitor
from pytorch_accelerated.checkpoints.contents import join, split
from pytorch_accelerated.checkpoints.folders import part_name, to_json
from pytorch_accelerated.preview import compare, preview
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedulers.groups import plain
from pytorch_accelerated.schedules import linear
from pytorch_accelerated.trainer import Trainer


class Momentum:
    """Schedules nothing but marks momentum as scheduled, as schedulers do."""

    def __init__(self, optimizer):
        self.optimizer, self.count = optimizer, 0
        for group in optimizer.param_groups:
            group["initial_momentum"] = group["momentum"]

    def step(self):
        self.count += 1
        for group in self.optimizer.param_groups:
            group["momentum"] = group["initial_momentum"] / (1 + self.count)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state_dict):
        self.count = state_dict["count"]


def decay(optimizer):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 / (1 + k))


def test_it_records_the_rate_that_each_update_ran_with(make_trainer, train):
    monitor = ScheduleMonitorCallback()
    train(make_trainer(monitor, lr=0.05), num_epochs=2, create_scheduler_fn=decay)
    assert monitor.applied == {"lr": [[0.05 * (1 / (1 + k))] for k in range(12)]}


def test_micro_batches_leave_no_trace(make_trainer, train):
    monitor = ScheduleMonitorCallback()
    train(make_trainer(monitor), create_scheduler_fn=decay, gradient_accumulation_steps=4)
    assert monitor.applied == {"lr": [[0.05], [0.025]]}


def test_by_default_every_scheduled_field_is_recorded(make_trainer, train):
    monitor = ScheduleMonitorCallback()
    train(make_trainer(monitor), create_scheduler_fn=Momentum)
    assert monitor.applied == {
        "lr": [[0.05]] * 6,
        "momentum": [[0.5 / (1 + k)] for k in range(6)],
    }


def test_all_groups_are_recorded_also_those_added_later(make_trainer, train, probe):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD([{"params": [model.weight], "lr": 0.1}])

    def add(trainer):
        if len(trainer.optimizer.param_groups) == 1 and monitor.applied["lr"]:
            trainer.optimizer.add_param_group({"params": [model.bias], "lr": 0.01})

    monitor = ScheduleMonitorCallback(["lr"])
    trainer = Trainer(model, nn.MSELoss(), optimizer, [monitor, probe(on_update_end=add)])
    train(trainer, max_num_train_steps=3)
    assert monitor.applied == {"lr": [[0.1], [0.1, 0.01], [0.1, 0.01]]}


def test_a_run_with_a_group_that_joined_is_compared_with_its_plan(make_trainer, train, probe):
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD([{"params": [model.weight], "lr": 0.1}])

    def add(trainer):
        if trainer.num_updates == 6:
            optimizer.add_param_group({"params": [model.bias], "lr": 0.01})
            trainer.scheduler.step_update(trainer.num_updates)

    monitor = ScheduleMonitorCallback()
    callbacks = [monitor, probe(on_train_epoch_start=add)]
    trainer = Trainer(model, nn.MSELoss(), optimizer, callbacks)
    schedule = ParamScheduler.create_scheduler_fn(lr=linear(end=0.0))
    train(trainer, num_epochs=3, create_scheduler_fn=schedule)
    planned = preview(trainer.scheduler)
    assert str(compare(planned, monitor.applied)) == (
        "applied == planned (18 updates, 30 values); group 1 has values from update 6 on (lr)"
    )


def test_tensor_values_are_copied_on_the_device_and_read_at_the_end(monkeypatch):
    class Holder:
        run = SimpleNamespace(clocks={})

    trainer = Holder()
    trainer.optimizer = Holder()
    lr, beta = torch.tensor(1.0), torch.tensor(0.9)
    trainer.optimizer.param_groups = [{"params": [], "lr": lr, "betas": (beta, 0.5)}]
    monitor = ScheduleMonitorCallback(["lr", "betas"])
    monitor.on_training_run_start(trainer)
    reads = []
    original = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: reads.append(1) or original(self))
    for _ in range(3):
        monitor.on_optimizer_step_end(trainer)
        lr.mul_(0.5)

    assert reads == []
    beta = beta.item()
    expected = {"lr": [[1.0], [0.5], [0.25]], "betas": [[(beta, 0.5)]] * 3}
    assert monitor.applied == expected
    monitor.on_optimizer_step_end(trainer)
    assert monitor.applied["lr"] == [*expected["lr"], [0.125]]


def test_json_gives_the_same_numbers_bit_for_bit(tmp_path):
    monitor = ScheduleMonitorCallback()
    numbers = [0.1 + 0.2, 1e-300, float("inf"), 1 / 3]
    monitor.load_state_dict(
        {"applied": {"lr": [[n] for n in numbers], "betas": [[(n, 0.9)] for n in numbers]}}
    )
    monitor.write_json(tmp_path / "applied.json")
    assert monitor.read_json(tmp_path / "applied.json") == monitor.applied
    assert set(json.loads((tmp_path / "applied.json").read_text())) == {"lr", "betas"}


def test_a_resumed_run_goes_on_with_the_record(make_trainer, train, tmp_path):
    first = ScheduleMonitorCallback()
    train(make_trainer(first), create_scheduler_fn=decay)
    torch.save(first.state_dict(), tmp_path / "state.pt")

    second = ScheduleMonitorCallback()
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    trainer = make_trainer(second)
    train(trainer)
    assert second.applied["lr"] == first.applied["lr"] + [[0.05]] * 6
    train(trainer)
    assert second.applied == {"lr": [[0.05]] * 6}


@pytest.mark.parametrize("fields", [None, ["lr", "momentum"]])
def test_a_field_that_a_resumed_run_adds_has_no_values_before(
    make_trainer, train, tmp_path, fields
):
    first = ScheduleMonitorCallback(["lr"])
    train(make_trainer(first), create_scheduler_fn=decay)
    second = ScheduleMonitorCallback(fields)
    second.load_state_dict(first.state_dict())
    trainer = make_trainer(second)

    def momentum_in_a_tensor(optimizer):
        scheduler = Momentum(optimizer)
        optimizer.param_groups[0]["initial_momentum"] = torch.tensor(0.5)
        optimizer.param_groups[0]["momentum"] = torch.tensor(0.5)
        return scheduler

    train(trainer, create_scheduler_fn=momentum_in_a_tensor)
    second.write_json(tmp_path / "applied.json")
    expected = [[None]] * 6 + [[(torch.tensor(0.5) / (1 + k)).item()] for k in range(6)]
    assert second.read_json(tmp_path / "applied.json")["momentum"] == expected
    assert all(type(value) is float for (value,) in second.applied["momentum"][6:])
    assert len(second.applied["lr"]) == 12


values = st.floats() | st.none() | st.booleans() | st.text(max_size=3) | st.integers(-5, 5)
groups = st.lists(values | st.tuples(st.floats(), values), max_size=3)
updates = st.fixed_dictionaries({"lr": groups, "betas": groups})


class Optimizer:
    def __init__(self, update):
        count = max(map(len, update.values()))
        names = [name for name, of_groups in update.items() if of_groups]
        self.param_groups = [
            {name: update[name][i] for name in names if i < len(update[name])} for i in range(count)
        ]


@given(st.lists(st.tuples(updates, st.integers(1, 4)), max_size=6), st.integers(0, 8))
def test_whatever_was_in_force_is_read_back_and_its_numbers_are_packed(plan, saved_after):
    fields = ["lr", "betas"]
    monitor, expected = ScheduleMonitorCallback(fields), {name: [] for name in fields}
    with mock.patch.multiple(schedule_monitor, _OF_A_PART=3, _TOGETHER=2):
        trainer, made = SimpleNamespace(), 0
        for update, times in plan:
            for _ in range(times):
                trainer.optimizer = Optimizer(update)
                monitor.on_optimizer_step_end(trainer)
                for name in fields:
                    held = [group.get(name) for group in trainer.optimizer.param_groups]
                    expected[name].append([*map(plain, held)])
                made += 1
                if made == saved_after:
                    skeleton, tensors = split(monitor.state_dict(), parts=(parts := []))
                    assert not tensors
                    assert [len(part) for part in parts[:-1]] == [3 * 8] * (len(parts) - 1)
                    monitor = ScheduleMonitorCallback(fields)
                    with tempfile.TemporaryDirectory() as folder:
                        for index, part in enumerate(parts):
                            Path(folder, part_name(index)).write_bytes(part)
                        state = join(json.loads(to_json(skeleton)), tensors, Path(folder))
                    monitor.load_state_dict(state)
    assert repr(monitor.applied) == repr(expected)


def test_a_record_takes_eight_bytes_for_a_number():
    trainer = SimpleNamespace(
        optimizer=SimpleNamespace(param_groups=[{"lr": 0.1 * i, "params": []} for i in range(8)]),
        run=SimpleNamespace(clocks={}),
    )
    monitor = ScheduleMonitorCallback(["lr"])
    monitor.on_training_run_start(trainer)
    tracemalloc.start()
    for _ in range(12 * 1024):
        monitor.on_optimizer_step_end(trainer)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1.2 * 8 * 8 * 12 * 1024
    assert len(monitor.state_dict()["parts"]) == 2


def test_changing_what_was_read_changes_nothing_in_the_record(make_trainer, train):
    monitor = ScheduleMonitorCallback()
    train(make_trainer(monitor))
    monitor.applied["lr"][0][0] = 99
    assert monitor.applied["lr"][0] == [0.05]


def test_a_field_that_no_group_has_is_refused(make_trainer, train):
    with pytest.raises(ValueError, match="no parameter group has the field 'beta1'"):
        train(make_trainer(ScheduleMonitorCallback(["beta1"])))


def test_fields_are_a_list_not_a_string():
    with pytest.raises(TypeError, match=r"Write fields=\['lr'\]"):
        ScheduleMonitorCallback("lr")
