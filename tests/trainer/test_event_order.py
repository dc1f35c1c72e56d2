import pytest
from torch import nn

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import StopTrainingError
from tests.trainer.tiny import StopAt, Trace, make_trainer, ones

HOOKS = [
    "training_run_start",
    "train_epoch_start",
    "calculate_train_batch_loss",
    "backward_step",
    "optimizer_step",
    "scheduler_step",
    "optimizer_zero_grad",
    "train_epoch_end",
    "eval_epoch_start",
    "calculate_eval_batch_loss",
    "eval_epoch_end",
    "training_run_epoch_end",
    "training_run_end",
    "evaluation_run_start",
    "evaluation_run_end",
    "create_train_dataloader",
    "create_eval_dataloader",
    "create_scheduler",
]


class Traced(Trainer):
    """Notes its hooks in the list of the first callback, among the events."""


def traced(name):
    def hook(self, *args, **kwargs):
        next(iter(self.callback_handler)).names.append(f"{name}()")
        return getattr(Trainer, name)(self, *args, **kwargs)

    return hook


for _hook in HOOKS:
    setattr(Traced, _hook, traced(_hook))


class Scheduler:
    def __init__(self, optimizer):
        pass

    def step(self):
        pass


EVALUATION = """
    eval_epoch_start()
    on_eval_epoch_start
    on_eval_step_start
    calculate_eval_batch_loss()
    on_eval_step_end
    eval_epoch_end()
    on_eval_epoch_end
"""


def test_hooks_and_events_of_a_training_run():
    trace = Trace()
    trainer = make_trainer(trace, kind=Traced)
    trainer.train(
        ones(6),
        1,
        eval_dataset=ones(2),
        per_device_batch_size=2,
        gradient_accumulation_steps=2,
        create_scheduler_fn=Scheduler,
    )
    expected = f"""
        on_init_end
        create_train_dataloader()
        create_eval_dataloader()
        on_prepare_start
        on_prepare_end
        create_scheduler()
        optimizer_zero_grad()
        training_run_start()
        on_training_run_start
        train_epoch_start()
        on_train_epoch_start

        on_train_step_start
        calculate_train_batch_loss()
        backward_step()
        on_train_step_end

        on_train_step_start
        calculate_train_batch_loss()
        backward_step()
        optimizer_step()
        on_optimizer_step_end
        scheduler_step()
        optimizer_zero_grad()
        on_train_step_end
        on_update_end

        on_train_step_start
        calculate_train_batch_loss()
        backward_step()
        optimizer_step()
        on_optimizer_step_end
        scheduler_step()
        optimizer_zero_grad()
        on_train_step_end
        on_update_end

        train_epoch_end()
        on_train_epoch_end
        {EVALUATION}
        training_run_epoch_end()
        on_training_run_epoch_end
        training_run_end()
        on_training_run_end
    """
    assert trace.names == expected.split()


def test_hooks_and_events_of_an_evaluation_run():
    trace = Trace("on_init_end")
    trainer = make_trainer(trace, kind=Traced)
    trainer.evaluate(ones(2))
    expected = f"""
        create_eval_dataloader()
        on_prepare_start
        on_prepare_end
        evaluation_run_start()
        on_evaluation_run_start
        {EVALUATION}
        evaluation_run_end()
        on_evaluation_run_end
    """
    assert trace.names == expected.split()


def test_reaching_the_limit_within_an_epoch_still_ends_the_epoch():
    trace = Trace("on_train_step_start", "on_train_step_end", "on_optimizer_step_end")
    trainer = make_trainer(trace)
    trainer.train(ones(8), 3, eval_dataset=ones(2), per_device_batch_size=2, max_num_train_steps=5)
    assert trace.names.count("on_update_end") == 5
    assert trace.names[-8:] == [
        "on_update_end",
        "on_train_epoch_end",
        "on_eval_epoch_start",
        "on_eval_step_start",
        "on_eval_step_end",
        "on_eval_epoch_end",
        "on_training_run_epoch_end",
        "on_training_run_end",
    ]
    assert trainer.run_history.current_epoch == 3


EVENTS_OF_A_RUN = [
    "on_prepare_start",
    "on_prepare_end",
    "on_training_run_start",
    "on_train_epoch_start",
    "on_train_step_start",
    "on_optimizer_step_end",
    "on_train_step_end",
    "on_update_end",
    "on_train_epoch_end",
    "on_eval_epoch_start",
    "on_eval_step_start",
    "on_eval_step_end",
    "on_eval_epoch_end",
    "on_training_run_epoch_end",
    "on_training_run_end",
]


@pytest.mark.parametrize("event", EVENTS_OF_A_RUN)
def test_a_stop_in_any_event_ends_the_run_cleanly(event, capsys):
    trace = Trace()
    trainer = make_trainer(trace, StopAt(event))
    model, optimizer = trainer.model, trainer.optimizer
    trainer.train(ones(4), 3, eval_dataset=ones(2), per_device_batch_size=2)

    assert "enough" in capsys.readouterr().out
    assert trainer.model is model
    assert trainer.optimizer is optimizer
    assert trace.names.count(event) == 1
    if not event.startswith("on_prepare"):
        assert trace.names.count("on_training_run_end") == 1
        ends_at = ["on_stop_training_error", "on_training_run_end"]
        assert trace.names[-2:] == ends_at or event == "on_training_run_end"
    # The next run is a whole one.
    trainer.train(ones(4), 3, per_device_batch_size=2)
    assert trainer.num_updates == 6


HOOKS_OF_A_RUN = [
    "training_run_start",
    "train_epoch_start",
    "calculate_train_batch_loss",
    "backward_step",
    "optimizer_step",
    "train_epoch_end",
    "eval_epoch_start",
    "calculate_eval_batch_loss",
    "eval_epoch_end",
    "training_run_epoch_end",
    "training_run_end",
]


@pytest.mark.parametrize("hook", HOOKS_OF_A_RUN)
def test_a_stop_in_any_hook_ends_the_run_cleanly(hook, capsys):
    def stop(self, *args):
        raise StopTrainingError("enough of the hook")

    trace = Trace()
    trainer = make_trainer(trace, kind=type("Stopping", (Trainer,), {hook: stop}))
    trainer.train(ones(4), 2, eval_dataset=ones(2), per_device_batch_size=2)
    assert capsys.readouterr().out.count("enough of the hook") == 1
    assert trace.names[-1] == "on_training_run_end"


@pytest.mark.parametrize(
    "event", ["on_train_step_start", "on_optimizer_step_end", "on_train_step_end", "on_update_end"]
)
def test_an_update_that_a_callback_stops_the_run_in_is_finished_with_all_its_events(event):
    def names(*callbacks, num_epochs):
        trace = Trace()
        trainer = make_trainer(trace, *callbacks)
        trainer.train(ones(2), num_epochs, per_device_batch_size=1, gradient_accumulation_steps=2)
        assert trainer.num_updates == 1
        return trace.names

    whole = names(num_epochs=1)
    end_of_update = whole.index("on_update_end") + 1
    stopped = names(StopAt(event), num_epochs=2)
    assert stopped[:end_of_update] == whole[:end_of_update]
    assert stopped[end_of_update:] == ["on_stop_training_error", "on_training_run_end"]


@pytest.mark.parametrize("event", ["on_evaluation_run_start", "on_eval_step_end"])
def test_a_stop_ends_an_evaluation_run_cleanly(event):
    trace = Trace()
    trainer = make_trainer(trace, StopAt(event))
    trainer.evaluate(ones(4), per_device_batch_size=1)
    assert trace.names[-2:] == ["on_stop_training_error", "on_evaluation_run_end"]
    assert trainer.run_history.get_metric_names() == []


def test_an_epoch_that_is_complete_counts_although_its_end_stops_the_run():
    trainer = make_trainer(StopAt("on_training_run_epoch_end", times=2))
    trainer.train(ones(4), 5)
    assert trainer.run_history.current_epoch == 3
    assert len(trainer.run_history.get_metric_values("train_loss_epoch")) == 2


def test_events_at_an_epochs_end_see_the_number_of_that_epoch():
    epochs = []

    class Watch(Trace):
        def on_training_run_epoch_end(self, trainer, **kwargs):
            epochs.append(trainer.run_history.current_epoch)

    make_trainer(Watch("on_training_run_epoch_end")).train(ones(2), 3)
    assert epochs == [1, 2, 3]


def test_overriding_hooks_without_super_keeps_modes_and_unwrapping():
    modes = []

    class Bare(Trainer):
        def train_epoch_start(self):
            modes.append(self.model.training)

        def eval_epoch_start(self):
            modes.append(self.model.training)

        def training_run_end(self):
            pass

        evaluation_run_end = training_run_end

    trainer = make_trainer(model=nn.Sequential(nn.Linear(1, 1)), loss=lambda o, t: o.mean(),
                           kind=Bare)  # fmt: skip
    data = [(x.reshape(1), y) for x, y in ones(2)]
    model = trainer.model
    trainer.train(data, 2, eval_dataset=data)
    trainer.evaluate(data)
    assert modes == [True, False, True, False, False]
    assert trainer.model is model


def test_any_other_exception_leaves_model_and_optimizer_as_they_came():
    class Failing(Trainer):
        def train_epoch_end(self):
            raise KeyError("mine")

    trainer = make_trainer(kind=Failing)
    model, optimizer = trainer.model, trainer.optimizer
    with pytest.raises(KeyError, match="mine"):
        trainer.train(ones(2), 1)
    assert trainer.model is model
    assert trainer.optimizer is optimizer


def test_frozen_modules_stay_in_evaluation_mode_and_intermediate_evaluation_restores_modes():
    from pytorch_accelerated.callbacks import StepBasedEvaluationCallback
    from pytorch_accelerated.finetuning import ModelFreezer

    model = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.Dropout()), nn.Linear(1, 1))
    ModelFreezer(model).freeze(0, 0, set_modules_as_eval=True)
    seen = []

    class Watch(Trainer):
        def calculate_train_batch_loss(self, batch):
            seen.append([module.training for module in self.model.modules()])
            return super().calculate_train_batch_loss(batch)

    data = [(x.reshape(1), y) for x, y in ones(4)]
    trainer = make_trainer(
        StepBasedEvaluationCallback(1), model=model, loss=lambda o, t: o.mean(), kind=Watch
    )
    trainer.train(data, 2, eval_dataset=data, per_device_batch_size=2)
    trainer.train(data, 1, eval_dataset=data, per_device_batch_size=2)
    assert seen == [[True, False, False, False, True]] * 6
