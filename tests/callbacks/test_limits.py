import pytest

from pytorch_accelerated.callbacks import (
    LimitBatchesCallback,
    LimitEvalStepsCallback,
    ModelEmaCallback,
    StepBasedEvaluationCallback,
    TrainerCallback,
)
from pytorch_accelerated.utils import LimitBatches


class Count(TrainerCallback):
    def __init__(self):
        self.train, self.eval, self._intermediate = 0, [], None

    def on_train_step_end(self, trainer, **kwargs):
        self.train += 1

    def on_eval_epoch_start(self, trainer, is_intermediate=False, **kwargs):
        self.eval.append([is_intermediate, 0])

    def on_eval_step_end(self, trainer, **kwargs):
        self.eval[-1][1] += 1


def test_epochs_are_limited_and_the_run_is_planned_for_that(make_trainer, train):
    count = Count()
    trainer = make_trainer(count, LimitBatchesCallback(2))

    train(trainer, num_epochs=3)

    assert (count.train, count.eval) == (6, [[False, 2]] * 3)
    assert trainer.run_config.num_update_steps_per_epoch == 2
    assert trainer.run_config.max_num_train_steps == 6


def test_a_limit_above_the_length_changes_nothing(make_trainer, train):
    count = Count()
    trainer = make_trainer(count, LimitBatchesCallback(100))
    train(trainer, gradient_accumulation_steps=4)
    assert count.train == 6
    assert trainer.run_config.num_update_steps_per_epoch == 2


def test_the_last_window_of_a_limited_epoch_is_applied(make_trainer, train, probe):
    updates = probe(on_optimizer_step_end=lambda trainer: None)
    train(make_trainer(updates, LimitBatchesCallback(3)), gradient_accumulation_steps=2)
    assert updates.counts == {"on_optimizer_step_end": 2}


@pytest.mark.parametrize("limit_first", [True, False])
def test_evaluations_of_averaged_weights_are_limited_too(
    make_trainer, train, tmp_path, limit_first
):
    count = Count()
    ema = ModelEmaCallback(save_path=tmp_path / "ema.pt", callbacks=[count])
    limit = LimitEvalStepsCallback(1, limit_intermediate_only=False)
    train(make_trainer(*([limit, ema] if limit_first else [ema, limit])), num_epochs=2)
    assert count.eval == [[False, 1]] * 2


def test_later_runs_with_and_without_evaluation_data_are_limited_too(make_trainer, train, dataset):
    count = Count()
    trainer = make_trainer(count, LimitBatchesCallback(2))
    train(trainer)
    train(trainer, eval_dataset=None)
    trainer.evaluate(dataset, per_device_batch_size=4)
    train(trainer)
    assert (count.train, count.eval) == (6, [[False, 2]] * 3)


def test_the_environment_limits_trainers_made_inside(make_trainer, train):
    count = Count()
    with LimitBatches(1):
        trainer = make_trainer(count)
    train(trainer, num_epochs=2)
    assert (count.train, count.eval) == (2, [[False, 1]] * 2)


def test_each_limited_epoch_is_shuffled_anew(make_trainer, train):
    seen = []

    class See(TrainerCallback):
        def on_train_step_end(self, trainer, batch, **kwargs):
            seen.append(batch[0].sum().item())

    train(make_trainer(See, LimitBatchesCallback(1)), num_epochs=6)
    assert len(set(seen)) > 1


def test_only_intermediate_evaluations_are_limited_by_default(make_trainer, train):
    count = Count()
    train(make_trainer(count, LimitEvalStepsCallback(2), StepBasedEvaluationCallback(4)))
    assert count.eval == [[True, 2], [False, 6]]


def test_all_evaluations_are_limited_if_asked_for(make_trainer, train, dataset):
    count = Count()
    limit = LimitEvalStepsCallback(3, limit_intermediate_only=False)
    trainer = make_trainer(count, limit, StepBasedEvaluationCallback(4))
    train(trainer)
    trainer.evaluate(dataset, per_device_batch_size=4)
    assert count.eval == [[True, 3], [False, 3], [False, 3]]


@pytest.mark.parametrize("kind", [LimitBatchesCallback, LimitEvalStepsCallback])
@pytest.mark.parametrize(
    ("number", "error"), [(0, ValueError), (1.5, ValueError), ("3", TypeError)]
)
def test_limits_are_positive_whole_numbers(kind, number, error):
    with pytest.raises(error, match=f"num_.*={number!r} "):
        kind(number)
