"""Real processes on CPU, launched in several ways, which run the cases of process_cases.py."""

import functools
import json
import re
import sys
from fractions import Fraction
from functools import partial
from math import ceil

import pytest
import torch

from pytorch_accelerated.schedulers import CosineLrScheduler
from pytorch_accelerated.schedules import cosine, linear
from tests.launching import ROOT, TORCHRUN, forked, free_port, run, run_together
from tests.test_documentation import blocks_of
from tests.trainer.tiny import make_trainer

SCRIPT = ROOT / "tests" / "trainer" / "process_cases.py"
PAGE = ROOT / "docs" / "tasks" / "distributed.rst"
(TRAIN,) = (block.code for block in blocks_of(PAGE) if block.caption == "train.py")
(COMMANDS,) = (block.code.split("\n") for block in blocks_of(PAGE) if block.language == "shell")
PRINTED = re.findall(r"^ +(\d+ processes: .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
# What a launcher may set must not change the counting.
SET = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "2"}


def fork(num_processes, folder):
    return forked(num_processes, "tests.trainer.process_cases", folder, seconds=240, **SET)


def as_documented(command, folder):
    """Launch the cases in place of the documentation's script, on a port that is free."""
    *launcher, script = command.split()
    assert script == "train.py"
    if launcher[0] == "torchrun":
        launcher[:1] = [*TORCHRUN, f"--master-port={free_port()}"]
    else:
        port = f"--main_process_port={free_port()}"
        launcher[:2] = [sys.executable, "-m", "accelerate.commands.launch", port]
    launcher += [str(SCRIPT), str(folder), *FEW]
    return run(launcher, seconds=240, ACCELERATE_USE_CPU=None, **SET)


def two_nodes(folder):
    options = f"--nnodes=2 --nproc-per-node=1 --master-addr=127.0.0.1 --master-port={free_port()}"
    commands = [
        [*TORCHRUN, *options.split(), f"--node-rank={rank}", str(SCRIPT), str(folder)]
        for rank in range(2)
    ]
    codes, output = run_together(commands, seconds=240, **SET)
    assert codes == [0, 0], output[-6000:]
    return output


# Those of all cases, and those of few, which have to come to the same as with all.
OF_ALL = {"one": (partial(fork, 1), 1), "four": (partial(fork, 4), 4), "two_nodes": (two_nodes, 2)}
FEW = ["scheduled 21 3 4 True", "same_global_batches", "counted", "stopped on_update_end"]
OF_FEW = {
    "torchrun": (partial(as_documented, COMMANDS[1]), 2),
    "accelerate_launch": (partial(as_documented, COMMANDS[2]), 2),
}
LAUNCHES = OF_ALL | OF_FEW


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results by launch: a list with an entry for each process, and what they printed."""

    @functools.cache
    def of(name):
        launch, num_processes = LAUNCHES[name]
        folder = tmp_path_factory.mktemp("processes")
        (folder / "train.py").write_text(TRAIN, encoding="utf-8")
        output = launch(folder)
        files = [folder / f"results_{rank}.json" for rank in range(num_processes)]
        return [json.loads(file.read_text()) for file in files], output

    return of


@pytest.fixture(params=OF_ALL)
def cases(request, results):
    processes, _ = results(request.param)
    return lambda case: [process[case] for process in processes]


@pytest.mark.parametrize("name", OF_FEW)
def test_the_documented_launches_come_to_what_any_two_processes_do(results, name):
    found, expected = results(name)[0], results("two_nodes")[0]
    for of_one, with_all in zip(found, expected, strict=True):
        assert of_one == {case: with_all[case] for case in FEW}


def test_samples_and_items_are_counted_over_all_processes_and_time_on_the_first(cases):
    after = [0, 10, 36, 78, 88, 114]  # items of 1 + 2 + 3 + 4, 5 + 6 + 7 + 8, …
    for found in cases("counted"):
        assert found["used"] == [linear(114, end=0.0)(n, base=0.5) for n in after[:-1]]
        assert found["seen"] == [
            [4 * k, items, 0.5 * k] for k, items in enumerate(after[1:], start=1)
        ]
        assert found["left"] == 0.0


def test_several_optimizers_and_growing_batches_are_the_same_on_all_processes(cases):
    plans = (linear(8, end=0.0), 0.01), (cosine(8, end=0.0), 0.1)
    for found in cases("several_optimizers"):
        assert found["straight"][0] == 8  # of 1, 1, 2 and 2 batches, then twice of 3 and 3
        assert found["used"] == [[plan(k, base) for plan, base in plans] for k in range(8)]
        assert found["used_then"] == found["used"][3:]


def test_predictions_are_in_order_and_functions_averaged_over_all_samples(cases):
    of_all = cases("predicted")
    for of_one in of_all:
        for samples in (1, 5, 21):
            mean = sum(i > 2 for i in range(samples)) / samples
            assert of_one["found"][str(samples)] == [[*map(float, range(samples))], mean]
        assert (of_one["of a stream"] is None) == (len(of_all) == 1)


def preview(horizon):
    """What updates 0, 1, … of two groups run with, and what is left after the last."""
    weights = [torch.nn.Parameter(torch.ones(())) for _ in range(2)]
    groups = [{"params": [w], "lr": lr} for w, lr in zip(weights, (0.1, 0.02), strict=True)]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    scheduler = CosineLrScheduler(optimizer, 1, horizon, lr_min=1e-4)
    values = []
    for _ in range(horizon + 1):
        values.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return values


@pytest.mark.parametrize("skipped", [False, True])
@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("samples", [24, 21])
def test_every_process_updates_with_exactly_the_previewed_values(
    cases, samples, accumulate, limit, skipped
):
    of_all = cases(f"scheduled {samples} {accumulate} {limit} {skipped}")
    per_epoch = ceil(ceil(samples / 4) / accumulate)
    horizon = min(3 * per_epoch, limit or 10**9)
    values = preview(horizon)
    num_skipped = {(False, 1): 0, (False, 3): 0, (True, 1): 2, (True, 3): 1}[skipped, accumulate]
    for of_one in of_all:
        assert of_one["processes"] == len(of_all)
        assert of_one["num_updates"] == horizon
        assert of_one["num_skipped"] == num_skipped
        assert of_one["per_epoch"] == per_epoch
        assert of_one["horizon"] == horizon
        assert of_one["used"] == values[:horizon]
        assert of_one["left"] == values[horizon] == [1e-4, 1e-4]
        assert of_one["weights"] == of_all[0]["weights"]
    assert of_all[0]["placeholders"] == {
        "epochs": str(Fraction(horizon, per_epoch)),
        "per_epoch": per_epoch,
        "local": per_epoch,
        "horizon": horizon,
        "batches": ceil(samples / 4),
    }


def test_losses_and_weights_are_those_of_one_process_with_the_same_global_batches(cases, results):
    alone = results("one")[0][0]["same_global_batches"]
    for of_one in cases("same_global_batches"):
        assert of_one.keys() == alone.keys() == {"train_loss_epoch", "eval_loss_epoch", "weights"}
        for name in alone:
            torch.testing.assert_close(
                [torch.tensor(value) for value in of_one[name]],
                [torch.tensor(value) for value in alone[name]],
                rtol=1e-5,
                atol=1e-6,
            )


@pytest.mark.parametrize("as_stream", [False, True])
@pytest.mark.parametrize("samples", [1, 2, 5, 21])
def test_evaluation_counts_every_sample_exactly_once(cases, samples, as_stream):
    of_all = cases(f"evaluated {samples} {as_stream}")
    seen = [value for of_one in of_all for value in of_one["seen"]]
    assert sorted(seen) == list(range(samples))
    for of_one in of_all:
        assert of_one["loss"] == pytest.approx((samples - 1) / 2)


def test_processes_may_evaluate_different_numbers_of_batches_within_training(cases):
    of_all = cases("evaluated_within_training")
    assert all(of_one == of_all[0] for of_one in of_all)
    assert len(of_all[0]["losses"]) == 6


def test_other_data_is_evaluated_within_training(cases):
    # Each update takes 0.5 from the weight, and the data have a mean of 2.
    expected = {"losses": [-1.0, -2.0, -2.0], "updates": 2}
    of_all = cases("evaluated_other_data_within_training")
    assert of_all == [expected] * len(of_all)


def test_processes_that_were_seeded_differently_share_one_order(cases):
    seen = [value for of_one in cases("every_sample_in_an_epoch") for value in of_one["seen"]]
    assert sorted(seen) == list(range(16))


def test_samplers_and_streams_are_told_the_epoch(cases):
    of_all = cases("told_the_epoch")
    expected = {"sampler": [0, 1, 2] * 2, "stream": [0, 1, 2], "updates": 12}
    assert of_all == [expected] * len(of_all)


def test_data_sets_are_told_the_epoch_in_their_workers_too(cases):
    of_all = cases("epochs_of_samples")
    expected = [[0.0] * 4 + [1.0] * 4 + [2.0] * 4] * 5
    assert of_all == [{"seen": expected}] * len(of_all)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("as_stream", [False, True])
def test_samples_without_batches_are_shared(cases, as_stream, workers):
    of_all = cases(f"without batches {as_stream} {workers}")
    per_process = ceil(7 / len(of_all))
    assert [of_one["updates"] for of_one in of_all] == [2 * per_process] * len(of_all)
    for epoch in range(2):
        part = slice(epoch * per_process, (epoch + 1) * per_process)
        trained = [number for of_one in of_all for number in of_one["trained"][part]]
        assert len(trained) == per_process * len(of_all)
        assert set(trained) == set(range(7))
    evaluated = [number for of_one in of_all for number in of_one["evaluated"]]
    assert sorted(evaluated) == list(range(7))


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("batches", None),
        ("batches", 5),
        ("batches one by one", 5),
        ("samples", 5),
        ("samples with workers", 5),
        ("lists of samples", 5),
    ],
)
def test_every_sample_is_used_also_if_samplers_draw_from_the_global_generators(cases, name, seed):
    of_all = cases(f"drawn by samplers {name} {seed}")
    rounds = -(-7 // len(of_all))
    for epoch in range(4):  # two runs of two epochs
        seen = [
            sample
            for of_one in of_all
            for sample in of_one["seen"][epoch * rounds * 3 : (epoch + 1) * rounds * 3]
        ]
        assert set(seen) == set(range(21))
        assert len(seen) == rounds * len(of_all) * 3
    evaluated = [sample for of_one in of_all for sample in of_one["evaluated"]]
    assert sorted(evaluated) == sorted([*range(21)] * 4)
    orders = [of_all[0]["seen"][epoch * rounds * 3 :][: rounds * 3] for epoch in range(4)]
    assert orders[0] != orders[1]
    assert (orders[:2] == orders[2:]) == (seed is not None)
    if seed is not None:
        assert len({of_one["left"] for of_one in of_all}) == len(of_all)


def test_a_sampler_that_shares_the_data_itself_is_refused(cases):
    of_all = cases("shared_twice")
    for of_one in of_all:
        if len(of_all) == 1:
            assert of_one == {"error": None, "updates": 1}
        else:
            assert "a sampler is a DistributedSampler" in of_one["error"]
            assert of_one["updates"] == 0


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a fork waits for threads itself")
def test_workers_are_not_forked_while_a_collective_operation_ends(cases):
    # A fork that falls into it hangs now and then; what can be seen each time is the pause.
    of_all = cases("quiet_before_workers")
    for pauses in of_all:
        assert len(pauses) == 4  # training and evaluation in each of two epochs
        assert len(of_all) == 1 or min(pauses) >= 0.01


@pytest.mark.parametrize("accumulate", [1, 3])
def test_losses_over_items_are_weighed_by_the_windows_items_of_all_processes(cases, accumulate):
    of_all = cases(f"items {accumulate}")
    world = len(of_all)
    values = list(range(1, 15 - 14 % world))
    size = world * accumulate
    expected = []
    for start in range(0, len(values), size):
        window = [(value, value % 5 + 1) for value in values[start : start + size]]
        expected.append(sum(v * n for v, n in window) / sum(n for _, n in window))
    for of_one in of_all:
        assert of_one["gradients"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_constant_gradient_stays_what_it_is(cases, accumulate):
    of_all = cases(f"constant {accumulate}")
    updates = 2 * ceil(ceil(ceil(19 / 2) / len(of_all)) / accumulate)
    for of_one in of_all:
        assert of_one["gradients"] == pytest.approx([1.0] * updates, rel=1e-6)


@pytest.mark.parametrize(
    ("event", "alone", "several"),
    [
        # Several processes look after every 16 updates, and where an epoch begins or ends.
        ("on_train_step_end", 5, 16),
        ("on_update_end", 30, 32),
        ("on_train_epoch_start", 20, 20),
        ("on_eval_step_end", 20, 20),
        ("on_training_run_epoch_end", 20, 20),
        ("on_training_run_start", 0, 0),
    ],
)
def test_a_stop_on_one_process_ends_the_run_on_all(cases, event, alone, several):
    of_all = cases(f"stopped {event}")
    stopped_at = alone if len(of_all) == 1 else several
    # The second run of the case is a whole one.
    expected = {"at": stopped_at, "ends": ["stop", "end", "end"], "after": 20}
    assert of_all == [expected] * len(of_all)


@pytest.mark.parametrize("name", LAUNCHES)
def test_the_message_of_the_process_that_stopped_is_printed_once_on_each_machine(results, name):
    _, output = results(name)
    machines = 2 if name == "two_nodes" else 1
    assert output.count("the last process has enough") == (6 if name in OF_ALL else 1) * machines


def test_gathering_keeps_every_entry_of_every_process_that_is_not_all_padding(cases):
    of_all = cases("gathered")
    world = range(len(of_all))
    expected = {
        "a": [entry - 1 for rank in world for entry in range(1, rank + 1)],
        "b": [float(rank) for rank in world],
        "wide": [sum(rank + 1 for rank in world), 2],
        "few": [sum(rank for rank in world if rank % 2), 2],
        "small": ["torch.uint8", sum(rank + 1 for rank in world)],
        "plain": list(world),
    }
    assert of_all == [expected] * len(of_all)


@pytest.mark.parametrize(
    "case",
    ["resumed", "resumed with workers False", "resumed with workers True", "several_optimizers"],
)
def test_a_run_resumed_within_an_epoch_ends_like_the_straight_one(cases, case):
    of_all = cases(case)
    for of_one in of_all:
        (count, weights, losses), straight = of_one["resumed"], of_one["straight"]
        assert straight == of_all[0]["straight"]
        assert count == straight[0]
        if len(of_all) <= 2:
            assert [weights, losses] == straight[1:]
        # Four numbers may be summed in another order: the first exchange arranges them anew.
        for weight, expected in zip(weights, straight[1], strict=True):
            torch.testing.assert_close(torch.tensor(weight), torch.tensor(expected))
        assert losses == pytest.approx(straight[2])


def test_processes_that_join_a_run_share_the_order_that_the_users_generator_drew(cases):
    of_all = cases("resumed on more")
    for of_one in of_all:
        assert of_one["resumed"] == of_one["straight"]
    seen = [sample for of_one in of_all for sample in of_one["resumed"]]
    assert len(set(seen)) == 24 - len(of_all)


def test_a_file_is_saved_once_on_each_machine_or_on_the_first_only(cases, request):
    nodes = range(2 if "two_nodes" in request.node.name else 1)
    expected = ["per_node_False_node_0.pt", *(f"per_node_True_node_{node}.pt" for node in nodes)]
    assert cases("saved_files")[0]["files"] == expected


def test_all_processes_learn_that_the_first_one_could_not_write(cases):
    for rank, of_one in enumerate(cases("failed_to_write")):
        assert of_one["file"] is not None
        assert of_one["checkpoints"] == "RuntimeError" if rank else of_one["checkpoints"]


def test_data_with_less_samples_than_processes_is_refused(cases):
    assert all("fewer" in of_one["error"] for of_one in cases("too_little_data"))


def test_evaluating_first_leaves_training_distributed(cases):
    of_all = cases("trained_after_evaluating")
    mean = (len(of_all) - 1) / 2
    assert of_all == [{"gradients": [mean]}] * len(of_all)


def test_layers_unfrozen_between_runs_train_alike_on_all_processes(cases):
    of_all = cases("unfrozen False")
    assert all(of_one["error"] is None for of_one in of_all)
    assert all(of_one["weights"] == of_all[0]["weights"] for of_one in of_all)


def test_layers_unfrozen_within_a_distributed_run_are_refused(cases):
    of_all = cases("unfrozen True")
    for of_one in of_all:
        if len(of_all) == 1:
            assert of_one["error"] is None
        else:
            assert "0.weight" in of_one["error"]
            assert "between two calls of train()" in of_one["error"]


@pytest.mark.parametrize("name", LAUNCHES)
def test_the_documented_script_prints_what_its_page_says(results, name):
    of_all, output = results(name)
    (expected,) = {line for line in PRINTED if line.startswith(f"{len(of_all)} processes: ")} or {
        "4 processes: applied == planned (6 updates, 6 values)"
    }
    machines = 2 if name == "two_nodes" else 1
    assert output.count(expected) == machines


def test_the_documented_launches_are_those_of_these_tests():
    commands = [command for command in COMMANDS if command]
    assert [command.split()[0] for command in commands] == ["python", "torchrun", "accelerate"]
    assert [line[0] for line in PRINTED] == ["1", "2", "2"]


def test_one_of_several_processes_does_not_train_alone(monkeypatch):
    make_trainer()  # so that Accelerate is set up for one process
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(RuntimeError, match=r"2 processes were launched.*ACCELERATE_USE_CPU=1"):
        make_trainer()
