import copy
from contextlib import nullcontext
from types import MethodType

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from pytorch_accelerated.callbacks import (
    LogMetricsCallback,
    ModelEmaCallback,
    SaveBestModelCallback,
    StepBasedEvaluationCallback,
    TrainerCallback,
)
from pytorch_accelerated.ema import ModelEma
from tests.trainer.tiny import Mixed


@pytest.fixture
def ema(tmp_path):
    def make(**kwargs):
        return ModelEmaCallback(**{"save_path": tmp_path / "ema.pt", **kwargs})

    return make


def test_the_average_moves_at_each_optimizer_update(make_trainer, train, ema):
    plain, expected = [], []

    class Follow(TrainerCallback):
        def on_training_run_start(self, trainer, **kwargs):
            expected.append(trainer.get_model().weight.detach().clone())

        def on_optimizer_step_end(self, trainer, **kwargs):
            plain.append(1)
            expected[0] = 0.9 * expected[0] + 0.1 * trainer.get_model().weight.detach()

    callback = ema(decay=0.9)
    train(make_trainer(callback, Follow), num_epochs=2, gradient_accumulation_steps=2)

    assert len(plain) == 6
    torch.testing.assert_close(callback.ema_model.module.weight, expected[0])


def test_the_averaged_model_is_evaluated_after_each_epoch_under_its_prefix(
    make_trainer, train, ema, dataset
):
    callback = ema()
    trainer = train(make_trainer(callback), num_epochs=2)

    values = trainer.run_history.get_metric_values("ema_model_eval_loss_epoch")
    x, y = dataset.tensors
    with torch.no_grad():
        expected = nn.functional.mse_loss(callback.ema_model.module(x), y).item()
    assert len(values) == len(trainer.run_history.get_metric_values("eval_loss_epoch")) == 2
    assert values[-1] == pytest.approx(expected, rel=1e-5)
    assert trainer.run_history.metric_name_prefix == ""


def test_the_best_average_is_saved_alone_and_never_loaded(make_trainer, train, ema, tmp_path):
    callback = ema()
    trainer = train(
        make_trainer(callback),
        num_epochs=2,
        create_scheduler_fn=torch.optim.lr_scheduler.ConstantLR,
    )

    saved = torch.load(tmp_path / "ema.pt", weights_only=True)
    assert set(saved) == {"model_state_dict", "ema_model_eval_loss_epoch"}
    assert torch.equal(saved["model_state_dict"]["weight"], callback.ema_model.module.weight)
    assert not torch.equal(trainer.get_model().weight, callback.ema_model.module.weight)


def test_without_evaluation_the_average_is_saved_after_each_epoch(
    make_trainer, train, ema, tmp_path
):
    callback = ema(evaluate_during_training=False)
    trainer = train(make_trainer(callback), num_epochs=2, eval_dataset=None)

    saved = torch.load(tmp_path / "ema.pt", weights_only=True)
    assert torch.equal(saved["model_state_dict"]["weight"], callback.ema_model.module.weight)
    assert list(trainer.run_history.get_metric_names()) == ["train_loss_epoch"]


@pytest.mark.parametrize("first", [0.0, 0.99])
def test_several_averages_are_judged_by_their_own_evaluations(
    make_trainer, train, ema, dataset, tmp_path, first
):
    several = [ema(decay=d, save_path=tmp_path / f"{d}.pt") for d in (first, 0.99 - first)]
    train(make_trainer(*several), num_epochs=3)
    x, y = dataset.tensors
    for callback in several:
        saved = torch.load(callback.save_path, weights_only=True)
        model = nn.Linear(3, 1)
        model.load_state_dict(saved["model_state_dict"])
        loss = nn.functional.mse_loss(model(x), y).item()
        assert callback.best_metric == pytest.approx(loss, rel=1e-5)
        assert saved["ema_model_eval_loss_epoch"] == callback.best_metric
    assert several[0].best_metric != several[1].best_metric


def test_each_of_several_averages_has_metrics_of_its_own(make_trainer, train, ema, tmp_path):
    several = [ema(decay=d, save_path=tmp_path / f"{d}.pt") for d in (0.0, 0.5, 0.99)]
    trainer = train(make_trainer(*several), num_epochs=2)
    history = trainer.run_history
    for name, callback in zip(("", "2_", "3_"), several, strict=True):
        values = history.get_metric_values(f"ema_model_{name}eval_loss_epoch")
        assert len(values) == 2
        assert min(values) == callback.best_metric
    assert len({callback.best_metric for callback in several}) == 3


def compiled(model):
    model.forward = torch.compile(model.forward, backend="eager")


def replaced(model):
    forward = model.forward
    model.forward = lambda x: forward(x)


@pytest.mark.parametrize("change_forward", [compiled, replaced])
def test_a_model_that_calls_itself_through_a_function_is_evaluated_with_the_average(
    make_trainer, train, ema, dataset, tmp_path, change_forward
):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    change_forward(model)
    callback = ema()
    trainer = train(make_trainer(callback, model=model))
    history = trainer.run_history

    averaged = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    averaged.load_state_dict(torch.load(callback.save_path, weights_only=True)["model_state_dict"])
    x, y = dataset.tensors
    expected = nn.functional.mse_loss(averaged(x), y).item()
    values = history.get_metric_values("ema_model_eval_loss_epoch")
    assert values == [pytest.approx(expected, rel=1e-5)]
    assert values != [pytest.approx(history.get_latest_metric("eval_loss_epoch"), rel=1e-3)]
    # The model has its own weights again.
    loss = nn.functional.mse_loss(model(x), y).item()
    assert loss == pytest.approx(history.get_latest_metric("eval_loss_epoch"), rel=1e-5)


def test_the_average_of_a_half_precision_model_moves_and_is_saved_in_its_type(
    make_trainer, train, ema, dataset
):
    callback = ema(decay=0.999)
    x, y = dataset.tensors
    half = TensorDataset(x.bfloat16(), y.bfloat16())
    model = nn.Linear(3, 1).bfloat16()
    nn.init.ones_(model.weight)
    train(make_trainer(callback, model=model, lr=1.0), train_dataset=half, eval_dataset=half)
    assert (callback.ema_model.state_dict()["wide.0"] != 1).all()
    saved = torch.load(callback.save_path, weights_only=True)["model_state_dict"]
    assert saved["weight"].dtype == callback.ema_model.module.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"decay": "a"}, TypeError),
        ({"decay": 1.5}, ValueError),
        ({"save_path": 5}, TypeError),
        ({"watch_metric": 5}, TypeError),
        ({"model_ema": 5}, TypeError),
        ({"callbacks": [5]}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, error):
    with pytest.raises(error, match=next(iter(arguments))):
        ModelEmaCallback(**arguments)


def test_only_its_own_callbacks_see_the_averages_evaluation(make_trainer, train, ema, probe):
    def count(**kwargs):
        return probe(on_eval_step_end=lambda *args, **kwargs: None)

    outer, inner = count(), count()
    train(make_trainer(outer, ema(callbacks=[inner])), num_epochs=2)
    assert outer.counts == inner.counts == {"on_eval_step_end": 12}


def test_other_savers_and_logs_see_its_metric_wherever_they_are_listed(
    make_trainer, train, ema, tmp_path
):
    logged = []

    class Log(LogMetricsCallback):
        def log_metrics(self, trainer, metrics):
            logged.extend(metrics)

    saver = SaveBestModelCallback(tmp_path / "best.pt", "ema_model_eval_loss_epoch")
    train(make_trainer(saver, Log, ema()))
    assert saver.best_metric is not None
    assert "ema_model_eval_loss_epoch" in logged


def test_evaluating_before_any_training_leaves_the_average_alone(make_trainer, ema, dataset):
    callback = ema()
    trainer = make_trainer(callback)
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert callback.ema_model is None
    assert list(trainer.run_history.get_metric_names()) == ["evaluation_loss"]


def test_intermediate_and_later_evaluations_do_not_evaluate_the_average(
    make_trainer, train, ema, dataset
):
    trainer = make_trainer(ema(), StepBasedEvaluationCallback(2))
    train(trainer, num_epochs=2)
    assert len(trainer.run_history.get_metric_values("ema_model_eval_loss_epoch")) == 2
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert len(trainer.run_history.get_metric_values("ema_model_eval_loss_epoch")) == 2


def test_evaluations_after_a_run_that_failed_do_not_evaluate_the_average(
    make_trainer, train, ema, dataset, probe
):
    def fail(trainer):
        raise RuntimeError("disk full")

    trainer = make_trainer(ema(), probe(on_training_run_epoch_end=fail))
    with pytest.raises(RuntimeError, match="disk full"):
        train(trainer)
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert len(trainer.run_history.get_metric_values("ema_model_eval_loss_epoch")) == 1


def test_an_error_in_its_evaluation_leaves_the_trainer_as_it_was(make_trainer, train, ema):
    class Failing(TrainerCallback):
        def on_eval_step_end(self, trainer, **kwargs):
            raise RuntimeError("disk full")

    callback = ema(callbacks=[Failing])
    trainer = make_trainer(callback)
    handler = trainer.callback_handler
    with pytest.raises(RuntimeError, match="disk full"):
        train(trainer)

    assert trainer.callback_handler is handler
    assert trainer.get_model() is not callback.ema_model.module
    assert trainer.run_history.metric_name_prefix == ""


def test_a_stop_in_its_evaluation_still_ends_the_run_for_all(make_trainer, train, ema, probe):
    from pytorch_accelerated.callbacks import StopTrainingError

    class Stop(TrainerCallback):
        def on_eval_epoch_end(self, trainer, **kwargs):
            raise StopTrainingError("enough")

    outer = probe(on_training_run_end=lambda trainer: None)
    train(make_trainer(ema(callbacks=[Stop]), outer), num_epochs=3)
    assert outer.counts == {"on_training_run_end": 1}


def test_average_and_best_start_anew_with_each_run(make_trainer, train, ema):
    callback = ema()
    trainer = make_trainer(callback)
    train(trainer, num_epochs=2)
    first, best = callback.ema_model, callback.best_metric
    callback.best_metric = -1.0

    train(trainer, num_epochs=1)

    assert callback.ema_model is not first
    assert 0 < callback.best_metric != best


def test_evaluating_without_data_is_refused_at_the_start(make_trainer, train, ema):
    with pytest.raises(ValueError, match="has no eval_dataset"):
        train(make_trainer(ema()), eval_dataset=None)


def test_another_kind_of_average_can_be_given(make_trainer, train, ema):
    class Copy(ModelEma):
        def update_fn(self, old, new):
            return new

    callback = ema(model_ema=Copy)
    trainer = train(make_trainer(callback))
    assert torch.equal(callback.ema_model.module.weight, trainer.get_model().weight)


def test_a_resumed_run_goes_on_with_the_average_and_the_best(make_trainer, train, ema, tmp_path):
    first = ema()
    train(make_trainer(first), num_epochs=2)
    torch.save(first.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)

    resumed = ema()
    resumed.load_state_dict(copy.deepcopy(state))
    train(make_trainer(resumed, lr=0.0))

    expected = first.ema_model.module.weight * 0.99**6  # the new model stays at 0
    torch.testing.assert_close(resumed.ema_model.module.weight, expected)
    assert resumed.best_metric <= first.best_metric


def test_batch_norms_counter_is_followed(make_trainer, train, ema):
    callback = ema()
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    train(make_trainer(callback, model=model), num_epochs=2)
    assert callback.ema_model.module[1].num_batches_tracked.item() == 12


@pytest.mark.usefixtures("own_accelerator_state")
@pytest.mark.parametrize("error", [False, True])
@pytest.mark.parametrize("has_own_forward", [False, True])
def test_mixed_precision_leaves_no_trace_on_the_average(
    make_trainer, train, ema, probe, error, has_own_forward
):
    dtypes, plain = [], []

    class Watched(nn.Linear):
        def forward(self, x):
            output = super().forward(x)
            dtypes.append(output.dtype)
            return output

    def look(trainer):
        plain.append("_original_forward" not in vars(callback.ema_model.module))
        if error:
            raise RuntimeError("disk full")

    callback = ema()
    model = Watched(3, 1)
    if has_own_forward:
        model.forward = MethodType(lambda self, x: Watched.forward(self, x) + 1, model)
    trainer = make_trainer(callback, probe(on_training_run_end=look), model=model, trainer=Mixed)
    with pytest.raises(RuntimeError, match="disk full") if error else nullcontext():
        train(trainer)

    averaged = callback.ema_model.module
    assert set(dtypes) == {torch.bfloat16}
    assert plain == [True]
    assert averaged(torch.ones(1, 3)).dtype == torch.float32
    assert dtypes.pop() == torch.float32
    assert {"_original_forward", "_is_accelerate_prepared"}.isdisjoint(vars(averaged))
    assert ("forward" in vars(averaged)) is has_own_forward
    expected = nn.functional.linear(torch.ones(1, 3), averaged.weight, averaged.bias)
    assert torch.equal(averaged(torch.ones(1, 3)), expected + has_own_forward)


@pytest.mark.usefixtures("own_accelerator_state")
def test_nor_does_a_run_that_is_interrupted(make_trainer, train, ema, probe):
    def interrupt(trainer, **kwargs):
        raise KeyboardInterrupt

    callback = ema()
    trainer = make_trainer(callback, probe(on_train_epoch_end=interrupt), trainer=Mixed)
    with pytest.raises(KeyboardInterrupt):
        train(trainer)
    assert {"forward", "_original_forward"}.isdisjoint(vars(callback.ema_model.module))
