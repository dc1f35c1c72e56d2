"""Schedulers that travel to another process, and that another thread looks at."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pytest
import torch

from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    ParamScheduler,
    PlateauLrScheduler,
    WSDLrScheduler,
)
from pytorch_accelerated.schedules import linear
from tests.interop.plan import BASE, NUM_UPDATES, PLAN, make_scheduler, planned
from tests.launching import FORKS
from tests.recording import Recorder, adamw, held, sgd, train

EVERY = {
    "schedule": make_scheduler,
    "cosine": lambda optimizer: CosineLrScheduler(optimizer, 2, 4, num_warmup_epochs=1),
    "wsd": lambda optimizer: WSDLrScheduler(optimizer, total_steps=8, num_checkpoints=2),
    "plateau": lambda optimizer: PlateauLrScheduler(optimizer, warmup=linear(8, start=0.0)),
}


def used_from(scheduler: Any, num_updates: int) -> list[float]:
    recorder = Recorder(scheduler.optimizer)
    train(scheduler.optimizer, scheduler, num_updates)
    return [values[0] for values in recorder.used] + held(scheduler.optimizer)


def test_a_pickled_scheduler_goes_on_in_a_worker() -> None:
    results: Any = FORKS.Queue()
    schedulers = [make(sgd([BASE])) for make in EVERY.values()]
    for scheduler in schedulers:
        train(scheduler.optimizer, scheduler, 3)
    process = FORKS.Process(target=_work, args=(pickle.dumps(schedulers), results))
    process.start()
    found = results.get(timeout=300)
    process.join(300)
    assert found == [used_from(scheduler, 5) for scheduler in schedulers]


def _work(pickled: bytes, results: Any) -> None:
    results.put([used_from(scheduler, 5) for scheduler in pickle.loads(pickled)])


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
def test_a_copy_with_its_optimizer_is_on_its_own(make: Any) -> None:
    optimizer = sgd([BASE])
    scheduler = make(optimizer)
    train(optimizer, scheduler, 3)
    twin = copy.deepcopy({"optimizer": optimizer, "scheduler": scheduler})
    assert twin["scheduler"].optimizer is twin["optimizer"]
    before = scheduler.state_dict(), held(optimizer)
    ahead = used_from(twin["scheduler"], 5)
    assert (scheduler.state_dict(), held(optimizer)) == before
    assert used_from(scheduler, 5) == ahead


def test_a_logging_thread_reads_while_training_steps() -> None:
    optimizer = adamw([BASE, 2 * BASE], weight_decay=0.4)
    scheduler = ParamScheduler(optimizer, lr=PLAN, weight_decay=linear(2_000, end=0.0))
    allowed = {(PLAN(k, base=BASE), PLAN(k, base=2 * BASE)) for k in range(NUM_UPDATES + 1)}
    firsts, seconds = map(set, zip(*allowed, strict=True))
    preview = [scheduler.get_updated_values(k) for k in range(20)]
    errors: list[BaseException] = []
    seen: list[Any] = []
    started, stop = threading.Event(), threading.Event()

    def log() -> None:
        try:
            while not stop.is_set():
                last = scheduler.get_last_lr()
                seen.append(last)
                assert last[0] in firsts
                assert last[1] in seconds
                assert [scheduler.get_updated_values(k) for k in range(20)] == preview
                scheduler.state_dict()
                started.set()
        except BaseException as error:
            errors.append(error)
            started.set()

    thread = threading.Thread(target=log)
    thread.start()
    started.wait(300)
    recorder = Recorder(optimizer)
    train(optimizer, scheduler, 2_000)
    stop.set()
    thread.join(300)
    assert not errors
    assert [values[0] for values in recorder.used[: NUM_UPDATES + 1]] == planned()
    assert seen[0] == [PLAN(0, base=BASE), PLAN(0, base=2 * BASE)]
    assert held(optimizer, "weight_decay") == [0.0, 0.0]


def test_two_threads_train_two_optimizers_with_one_schedule() -> None:
    results: dict[int, list[float]] = {}

    def work(index: int) -> None:
        optimizer = sgd([BASE * (index + 1)])
        results[index] = used_from(ParamScheduler(optimizer, lr=PLAN), NUM_UPDATES)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert results == {index: planned(base=BASE * (index + 1)) for index in range(4)}


def test_a_scheduler_survives_torch_save_of_the_whole_object(tmp_path: Any) -> None:
    optimizer = sgd([BASE])
    scheduler = make_scheduler(optimizer)
    train(optimizer, scheduler, 3)
    torch.save(scheduler, tmp_path / "scheduler.pt")
    loaded = torch.load(tmp_path / "scheduler.pt", weights_only=False)
    assert used_from(loaded, 5) == planned(3)
