import pytest
from torch import nn

from pytorch_accelerated.callbacks import StepBasedEvaluationCallback, TrainerCallback


class When(TrainerCallback):
    """Notes after how many updates an evaluation starts."""

    def __init__(self):
        self.updates, self.at = 0, []

    def on_update_end(self, trainer, **kwargs):
        self.updates += 1

    def on_eval_epoch_start(self, trainer, is_intermediate=False, **kwargs):
        if is_intermediate:
            self.at.append(self.updates)


@pytest.mark.parametrize(("every", "accumulation", "expected"), [
    (4, 1, [4, 8, 12]),
    (2, 3, [2, 4]),
    (5, 4, []),
])  # fmt: skip
def test_it_evaluates_after_every_n_updates_of_the_run(
    make_trainer, train, every, accumulation, expected
):
    when = When()
    trainer = make_trainer(when, StepBasedEvaluationCallback(every))
    train(trainer, num_epochs=2, gradient_accumulation_steps=accumulation)
    assert when.at == expected
    values = trainer.run_history.get_metric_values("intermediate_eval_loss")
    assert len(values) == len(expected)


def test_the_training_loss_is_not_disturbed(make_trainer, train):
    losses = []
    for callbacks in ([], [StepBasedEvaluationCallback(1)]):
        trainer = make_trainer(*callbacks)
        train(trainer, train_dataloader_kwargs={"shuffle": False})
        losses.append(trainer.run_history.get_metric_values("train_loss_epoch"))
    assert losses[0] == losses[1]


def test_each_module_returns_to_the_mode_it_was_in(make_trainer, train):
    modes = []

    class Modes(TrainerCallback):
        def on_train_epoch_start(self, trainer, **kwargs):
            trainer.get_model()[1].eval()

        def on_train_step_start(self, trainer, **kwargs):
            modes.append([module.training for module in trainer.get_model()])

    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.Dropout(), nn.Linear(3, 1))
    train(make_trainer(Modes, StepBasedEvaluationCallback(2), model=model))
    assert modes == [[True, False, True, True]] * 6


def test_it_works_while_metrics_have_a_prefix(make_trainer, train):
    trainer = make_trainer(StepBasedEvaluationCallback(3))
    trainer.run_history.set_metric_name_prefix("fold_1_")
    train(trainer, reset_run_history=False)
    assert "fold_1_intermediate_eval_loss" in list(trainer.run_history.get_metric_names())


def test_without_evaluation_data_it_is_refused_at_the_start(make_trainer, train):
    with pytest.raises(ValueError, match="eval_dataset="):
        train(make_trainer(StepBasedEvaluationCallback(2)), eval_dataset=None)


def test_an_interval_below_1_is_refused():
    with pytest.raises(ValueError, match="eval_every_n_steps=0 "):
        StepBasedEvaluationCallback(0)
