import json

import pytest

from tests.callbacks.test_trackers import read_events
from tests.launching import forked


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    forked(2, "tests.callbacks.distributed_cases", folder, seconds=180)
    files = [folder / f"results_{rank}.json" for rank in range(2)]
    return folder, [json.loads(file.read_text()) for file in files]


def of_both(launched, case):
    return [results[case] for results in launched[1]]


def test_a_nan_on_one_process_ends_all_at_the_same_batch(launched):
    first, second = of_both(launched, "nan_on_one_process")
    assert first == second
    assert first["triggered"]
    assert first["calls"] <= 7


def test_old_states_are_removed_only_after_all_have_written(launched):
    assert of_both(launched, "rotating_states") == [["final", "step_7"]] * 2


def test_early_stopping_and_the_best_model_agree(launched):
    first, second = of_both(launched, "best_and_early")
    assert first == second
    assert first["epochs"] == 2


def test_the_average_is_the_same_everywhere_and_is_evaluated(launched):
    first, second = of_both(launched, "average")
    assert first == second
    assert len(first["losses"]) == 2
    assert first["intermediate"] == 4


def test_a_metric_covers_each_sample_once_over_all_processes(launched):
    for value, expected in of_both(launched, "metric"):
        assert value == pytest.approx(expected, rel=1e-5)


def test_the_tracked_loss_is_the_mean_over_processes(launched):
    first, second = of_both(launched, "tracker")
    events = read_events(launched[0] / "run")
    means = {k: (a + b) / 2 for k, (a, b) in enumerate(zip(first, second, strict=True))}
    assert first != second
    assert events["train_loss"] == pytest.approx(means)


def test_limits_count_the_batches_of_each_process_and_give_each_its_share(launched):
    for trained, evaluated in of_both(launched, "limits"):
        assert trained == 3 + 7
        assert evaluated == [1, 3]


def test_batch_norm_stays_as_it_is_on_cpu_with_a_warning(launched):
    assert of_both(launched, "sync_batch_norm_on_cpu") == [["BatchNorm1d", 1]] * 2
