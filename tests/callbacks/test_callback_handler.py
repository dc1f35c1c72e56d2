import copy
import gc
import pickle
import warnings
import weakref

import pytest

from pytorch_accelerated.callbacks import (
    EVENTS,
    CallbackHandler,
    StopTrainingError,
    TrainerCallback,
)


class Recorder(TrainerCallback):
    def __init__(self, log=None):
        self.log = [] if log is None else log

    def on_train_step_end(self, trainer, batch, batch_output, step, **kwargs):
        self.log.append(("step", step))

    def on_anything(self, *args, **kwargs):
        self.log.append((args, kwargs))


class Misspelt(TrainerCallback):
    def on_train_step_end(self, trainer, **kwargs):
        return self.nmae


class Stopper(TrainerCallback):
    def __init__(self, message="enough"):
        self.message = message

    def on_training_run_epoch_end(self, trainer, **kwargs):
        raise StopTrainingError(self.message)


class EpochCounter(TrainerCallback):
    def __init__(self):
        self.epochs = 0

    def on_training_run_epoch_end(self, trainer, **kwargs):
        self.epochs += 1

    def state_dict(self):
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict):
        self.epochs = state_dict["epochs"]


def test_events_reach_callbacks_in_list_order_with_their_arguments():
    log = []
    handler = CallbackHandler([Recorder(log), Recorder(log)])

    handler.call_event("on_train_step_end", None, batch=1, batch_output={}, step=4)

    assert log == [("step", 4), ("step", 4)]


def test_classes_are_made_and_instances_kept():
    recorder = Recorder()

    handler = CallbackHandler([Stopper, recorder])

    assert handler.callback_list == ["Stopper", "Recorder"]
    assert [type(callback) for callback in handler] == [Stopper, Recorder]
    assert handler.callbacks[1] is recorder


def test_a_missing_attribute_inside_a_callback_is_an_attribute_error():
    handler = CallbackHandler([Misspelt])

    with pytest.raises(AttributeError, match="nmae"):
        handler.call_event("on_train_step_end", None)


def test_callbacks_can_be_asked_copied_and_pickled():
    recorder = Recorder([1])

    assert not hasattr(recorder, "nothing")
    assert getattr(recorder, "nothing", 3) == 3
    assert copy.deepcopy(recorder).log == [1]
    assert pickle.loads(pickle.dumps(recorder)).log == [1]


def test_a_used_handler_can_be_copied_and_the_copy_calls_its_own_callbacks():
    handler = CallbackHandler([Recorder])
    handler.call_event("on_anything")

    copied = copy.deepcopy(handler)
    copied.call_event("on_anything")

    assert len(handler.callbacks[0].log) == 1
    assert len(copied.callbacks[0].log) == 2


def test_two_callbacks_of_one_class_are_allowed():
    assert CallbackHandler([Recorder, Recorder()]).callback_list == ["Recorder", "Recorder"]


def test_the_same_instance_twice_is_refused():
    recorder = Recorder()

    with pytest.raises(ValueError, match="added before"):
        CallbackHandler([recorder, recorder])


def test_a_stop_reaches_the_caller_after_later_callbacks_have_seen_the_event():
    handler = CallbackHandler([Stopper("first"), Stopper("second"), EpochCounter()])

    with pytest.raises(StopTrainingError, match="first"):
        handler.call_event("on_training_run_epoch_end", None)

    assert handler.callbacks[2].epochs == 1


def test_other_errors_are_raised_at_once():
    class Failing(TrainerCallback):
        def on_training_run_epoch_end(self, trainer, **kwargs):
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        CallbackHandler([Failing, EpochCounter]).call_event("on_training_run_epoch_end", None)


def test_a_callback_added_after_an_event_is_called_by_the_next_one():
    handler = CallbackHandler([])
    handler.call_event("on_anything", 1)

    handler.add_callback(Recorder())
    handler.call_event("on_anything", 2)
    handler.callbacks.append(Recorder())
    handler.call_event("on_anything", 3)

    assert [callback.log for callback in handler] == [[((2,), {}), ((3,), {})], [((3,), {})]]


def test_cleared_callbacks_are_called_no_more():
    recorder = Recorder()
    handler = CallbackHandler([recorder])
    handler.call_event("on_anything")

    handler.clear_callbacks()
    handler.call_event("on_anything")

    assert len(recorder.log) == 1
    assert len(handler) == 0


def test_a_method_put_on_an_instance_is_called():
    handler = CallbackHandler([TrainerCallback()])
    seen = []
    handler.callbacks[0].on_train_epoch_start = seen.append

    handler.call_event("on_train_epoch_start", "trainer")

    assert seen == ["trainer"]


def test_callbacks_that_ask_to_be_last_in_an_event_see_it_after_the_others():
    order = []

    class Named(TrainerCallback):
        def __init__(self, name, last_in=()):
            self.name, self.last_in = name, last_in

        def on_train_epoch_end(self, trainer):
            order.append(self.name)

        def on_anything(self):
            order.append(self.name)

    handler = CallbackHandler(
        [Named("a", ("on_train_epoch_end",)), Named("b"), Named("c", ("on_train_epoch_end",))]
    )
    handler.call_event("on_train_epoch_end", None)
    handler.call_event("on_anything")

    assert order == ["b", "a", "c", "a", "b", "c"]


def test_an_event_that_nobody_overrides_has_nothing_to_call():
    handler = CallbackHandler([Recorder, EpochCounter])

    for event in EVENTS:
        handler.call_event(event, None, batch=0, batch_output={}, step=0)

    called = {event for event, methods in handler._methods.items() if methods}
    assert called == {"on_train_step_end", "on_training_run_epoch_end"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("on_trian_step_end", "on_train_step_end"),
        ("on_train_stepend", "on_train_step_end"),
        ("on_eval_steps_end", "on_eval_step_end"),
        ("on_training_epoch_end", "on_train_epoch_end"),
        ("on_optimiser_step_end", "on_optimizer_step_end"),
    ],
)
def test_a_misspelt_event_is_refused_with_a_suggestion(name, meant):
    kind = type("Typo", (TrainerCallback,), {name: lambda self, trainer: None})

    with pytest.raises(ValueError, match=rf"Typo\.{name} .* did you mean {meant}\?"):
        CallbackHandler([kind])


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("on_train_epoch_begin", "on_train_epoch_start"),
        ("on_train_batch_end", "on_train_step_end"),
        ("on_validation_epoch_end", "on_eval_epoch_end"),
        ("on_train_end", "on_training_run_end"),
    ],
)
def test_an_event_name_of_another_library_is_warned_about(name, ours):
    kind = type("Foreign", (TrainerCallback,), {name: lambda self, trainer: None})

    with pytest.warns(UserWarning, match=f"calls {ours} at that place"):
        CallbackHandler([kind])


@pytest.mark.parametrize(
    "name",
    [
        "on_custom_event",
        "on_model_updated",
        "on_optimizer_step_start",
        "on_train_step_logged",
        "on_training_run_epoch_start",
        "on_before_backward",
    ],
)
def test_custom_events_need_no_registration(name):
    called = []
    kind = type("Custom", (TrainerCallback,), {name: lambda self, x: called.append(x)})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CallbackHandler([kind]).call_event(name, 7)

    assert called == [7]


def test_a_custom_event_that_resembles_a_known_one_can_be_declared():
    class Declared(TrainerCallback):
        custom_events = ("on_train_step_ended",)
        called = 0

        def on_train_step_ended(self):
            self.called += 1

    handler = CallbackHandler([Declared])
    handler.call_event("on_train_step_ended")

    assert handler.callbacks[0].called == 1


def test_an_event_that_no_callback_knows_is_no_error():
    CallbackHandler([Recorder]).call_event("on_nothing_in_particular", 1, a=2)


@pytest.mark.parametrize("value", ["ProgressBarCallback", 3, None, lambda: None])
def test_what_is_no_callback_is_refused(value):
    with pytest.raises(TypeError, match="subclasses of TrainerCallback"):
        CallbackHandler([value])


def test_a_callback_needs_no_base_class():
    class Plain:
        seen = False

        def on_train_epoch_start(self, trainer):
            self.seen = True

    handler = CallbackHandler([Plain()])
    handler.call_event("on_train_epoch_start", None)

    assert handler.callbacks[0].seen
    assert handler.state_dict() == {}


def test_a_class_that_needs_arguments_is_refused_by_name():
    class Needy(TrainerCallback):
        def __init__(self, path):
            self.path = path

    with pytest.raises(TypeError, match=r"Needy.*missing.*'path'"):
        CallbackHandler([Needy])


def test_states_return_to_the_callbacks_they_came_from():
    def make():
        return CallbackHandler([EpochCounter(), Recorder(), EpochCounter()])

    handler = make()
    handler.callbacks[0].epochs = 3
    handler.callbacks[2].epochs = 5

    restored = make()
    restored.load_state_dict(handler.state_dict())

    assert handler.state_dict() == {"EpochCounter": {"epochs": 3}, "EpochCounter:1": {"epochs": 5}}
    assert [restored.callbacks[i].epochs for i in (0, 2)] == [3, 5]


def test_a_state_without_its_callback_is_reported_and_dropped():
    with pytest.warns(UserWarning, match="EpochCounter, which is not among .*Recorder"):
        CallbackHandler([Recorder]).load_state_dict({"EpochCounter": {"epochs": 3}})


def test_a_dropped_handler_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        handler = CallbackHandler([Recorder])
        handler.call_event("on_anything")
        dead = weakref.ref(handler), weakref.ref(handler.callbacks[0])
        del handler
        assert [ref() for ref in dead] == [None, None]
    finally:
        gc.enable()
