"""Sharded models train in the Trainer as whole ones do."""

import json

import pytest

from pytorch_accelerated import Trainer
from tests.launching import forked
from tests.sharded import models
from tests.sharded.approximate import same


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    forked(2, "tests.sharded.training", folder, seconds=200)
    return json.loads((folder / "results.json").read_text())


@pytest.mark.parametrize("case", ["fully", "late", "tensor parallel", "tensor rates"])
def test_a_sharded_model_learns_what_a_whole_one_does(results, case):
    """Losses, norms, weights, moments, average: each exchanged or clipped over all processes."""
    expected = results["whole"]
    assert expected["updates"] == 8
    assert same(results[case], expected)
    # Values of the schedules are equal bit for bit; tensors hold them in single precision.
    is_exact = case != "tensor rates"
    assert not is_exact or results[case]["applied"] == expected["applied"]


def test_law_1_update_k_of_a_sharded_optimizer_runs_with_value_k(results):
    assert len(results["law 1"]) > 5
    for used, planned in results["law 1"]:
        assert used == planned


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("partly", "its gradients would not be exchanged"),
        ("searched", "Call find_lr on one process, before fully_shard"),
        ("nothing to evaluate", "a process has no batch to evaluate"),
    ],
)
def test_what_cannot_work_is_refused(results, case, message):
    assert message in results[case]


def test_accelerate_s_flag_is_refused_where_it_does_nothing(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    model = models.Net()
    trainer = Trainer(model, None, models.sgd(model), callbacks=())
    with pytest.raises(ValueError, match=r"Accelerate shards nothing on CPU: call .*fully_shard"):
        trainer.train(models.data(8), num_epochs=1)
