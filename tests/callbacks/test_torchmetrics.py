import pytest
import torch
from torchmetrics import MeanAbsoluteError, MetricCollection, R2Score

from pytorch_accelerated.callbacks import StepBasedEvaluationCallback, TorchMetricsCallback


class Count:
    """Anything with these three methods is a metric."""

    def __init__(self):
        self.n = 0

    def update(self, outputs, targets):
        self.n += len(targets)

    def compute(self):
        return self.n

    def reset(self):
        self.n = 0


def expected_error(trainer, dataset):
    x, y = dataset.tensors
    with torch.no_grad():
        return (trainer.get_model()(x) - y).abs().mean().item()


def test_a_metric_over_each_evaluation_epoch_is_in_the_history(make_trainer, train, dataset):
    trainer = make_trainer(TorchMetricsCallback({"mae": MeanAbsoluteError()}))
    train(trainer, num_epochs=2)
    values = trainer.run_history.get_metric_values("eval_mae")
    assert len(values) == 2
    assert values[-1] == pytest.approx(expected_error(trainer, dataset), rel=1e-5)
    assert "train_mae" not in list(trainer.run_history.get_metric_names())


def test_both_phases_have_their_own_even_with_evaluations_in_between(make_trainer, train):
    trainer = make_trainer(
        TorchMetricsCallback({"n": Count()}, phases=("train", "eval")),
        StepBasedEvaluationCallback(4),
    )
    train(trainer)
    history = trainer.run_history
    assert history.get_metric_values("train_n") == [24]
    assert history.get_metric_values("intermediate_eval_n") == [24]
    assert history.get_metric_values("eval_n") == [24]


def test_an_evaluation_run_has_its_own_name(make_trainer, dataset):
    trainer = make_trainer(TorchMetricsCallback({"n": Count()}))
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert trainer.run_history.get_metric_values("evaluation_n") == [24]


def test_a_collection_gives_a_metric_for_each_key(make_trainer, train, dataset):
    both = MetricCollection({"mae": MeanAbsoluteError(), "r2": R2Score()})
    trainer = train(make_trainer(TorchMetricsCallback({"fit": both})))
    value = trainer.run_history.get_latest_metric("eval_fit_mae")
    assert value == pytest.approx(expected_error(trainer, dataset), rel=1e-5)
    assert "eval_fit_r2" in list(trainer.run_history.get_metric_names())


def test_arguments_can_be_chosen(make_trainer, train):
    metrics = TorchMetricsCallback(
        {"zero": MeanAbsoluteError()}, get_arguments=lambda batch, output: (batch[1], batch[1])
    )
    trainer = train(make_trainer(metrics))
    assert trainer.run_history.get_metric_values("eval_zero") == [0.0]


def test_updating_keeps_no_graph(make_trainer, train):
    class Keep(Count):
        kept = None

        def update(self, outputs, targets):
            Keep.kept = outputs * 2

    train(make_trainer(TorchMetricsCallback({"n": Keep()}, phases="train")))
    assert not Keep.kept.requires_grad


def test_what_is_no_metric_is_refused():
    with pytest.raises(TypeError, match=r"metrics\['accuracy'\] is a class"):
        TorchMetricsCallback({"accuracy": MeanAbsoluteError})
    with pytest.raises(ValueError, match="is empty"):
        TorchMetricsCallback({})
    with pytest.raises(TypeError, match="dict of metrics by name"):
        TorchMetricsCallback([MeanAbsoluteError()])
    with pytest.raises(ValueError, match=r"phases=\['test'\] has to hold"):
        TorchMetricsCallback({"n": Count()}, phases=("test",))


def test_a_table_is_recorded_as_lists(make_trainer, train):
    class Table(Count):
        def compute(self):
            return torch.tensor([[1, 2], [3, self.n]])

    trainer = train(make_trainer(TorchMetricsCallback({"table": Table()})))
    assert trainer.run_history.get_latest_metric("eval_table") == [[1, 2], [3, 24]]
