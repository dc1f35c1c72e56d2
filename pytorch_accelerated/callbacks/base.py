"""The events of a run, and the machinery that hands them to callbacks."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pytorch_accelerated.checks import entries, kind_of


class StopTrainingError(Exception):
    """Raise it in a callback or a Trainer hook to end the run cleanly; its message is printed."""


class CallbackMethodNotImplementedError(Exception):
    """Nothing raises this any more; the name stays for code that still catches it."""


class TrainerCallback:
    """Base class of callbacks: override the events that matter, the others do nothing.

    A training run fires, in this order::

        on_prepare_start
        on_prepare_end
        on_resume_start                         (only if the run continues from a checkpoint)
        on_training_run_start
        for each epoch:
            on_train_epoch_start
            for each batch:
                on_train_step_start
                on_optimizer_step_end           (only if this batch completes an optimizer update)
                on_train_step_end
                on_update_end                   (only if this batch completed an optimizer update)
            on_train_epoch_end
            on_eval_epoch_start, (on_eval_step_start, on_eval_step_end) for each batch,
            on_eval_epoch_end                   (only with an evaluation dataset)
            on_training_run_epoch_end
        on_training_run_end

    Each event follows the Trainer's own hook of the same place. Callbacks run in the order in
    which they were given, except that those which name an event in ``last_in`` see it after the
    others: so a checkpoint holds what the other callbacks made of the epoch.

    Any other method that is called ``on_…`` is a custom event: ``call_event("on_my_event", …)`` on
    the Trainer's ``callback_handler`` calls it on every callback that has it. A name that is
    almost a known event is refused as a typing mistake; list it in ``custom_events`` if it is
    meant.

    ``trainer.run`` has what belongs to the run rather than to the Trainer; what callbacks may use
    of it is listed in :doc:`callbacks`. ``trainer`` has no type here, so that a callback may
    annotate it with ``Trainer`` or a class of its own.

    Attributes:
        custom_events: Names of custom events that look like a known event, but are meant.
        last_in: Names of events that this callback sees after those callbacks which do not name
            them.
        has_state_of_each_process: Whether a checkpoint has to hold the state that each process
            has, such as sums over its own batches, rather than that of the first one.

    Example:
        >>> class CountUpdates(TrainerCallback):
        ...     def __init__(self):
        ...         self.count = 0
        ...
        ...     def on_optimizer_step_end(self, trainer, **kwargs):
        ...         self.count += 1
    """

    custom_events: tuple[str, ...] = ()
    last_in: tuple[str, ...] = ()
    has_state_of_each_process: bool = False

    def on_init_end(self, trainer: Any, **kwargs: Any) -> None:
        """At the end of the Trainer's constructor, before a subclass's own attributes exist."""

    def on_prepare_start(self, trainer: Any, **kwargs: Any) -> None:
        """At the start of a run of either kind, before Accelerate wraps the model.

        The place to replace parts of ``trainer.model``.
        """

    def on_prepare_end(self, trainer: Any, **kwargs: Any) -> None:
        """After model, optimizer and data loaders were prepared, before the run is planned.

        The place to wrap or replace data loaders: the run's configuration and the scheduler take
        the length of what they find.
        """

    def on_resume_start(self, trainer: Any, **kwargs: Any) -> None:
        """Before a run takes over what a checkpoint holds.

        The place to add parameter groups to the optimizer that were added while the run was on;
        ``num_param_groups`` says how many the checkpoint has a state for.
        """

    def on_training_run_start(self, trainer: Any, **kwargs: Any) -> None:
        """Before the first epoch of a training run; everything is prepared."""

    def on_train_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        """Before the first batch of a training epoch."""

    def on_train_step_start(self, trainer: Any, **kwargs: Any) -> None:
        """Before a training batch is passed through the model."""

    def on_train_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], step: int, **kwargs: Any
    ) -> None:
        """After a training batch: its backward pass, and the update that it may complete.

        ``batch`` is what the data loader gave, ``batch_output`` what ``calculate_train_batch_loss``
        returned, and ``step`` the index of the batch in its epoch, from 0.
        """

    def on_optimizer_step_end(self, trainer: Any, **kwargs: Any) -> None:
        """After an optimizer update, before the scheduler's step.

        The parameter groups still hold the values that this update ran with. Not fired for a
        step that mixed precision skipped, nor for a batch that only accumulates gradients.
        """

    def on_update_end(self, trainer: Any, **kwargs: Any) -> None:
        """After an optimizer update, the scheduler's step and ``on_train_step_end``.

        The parameter groups hold the values of the next update, and nothing of this one is
        left to do: the place to save or to evaluate within an epoch.
        """

    def on_train_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        """After the last batch of a training epoch; its loss is in the history."""

    def on_eval_epoch_start(self, trainer: Any, **kwargs: Any) -> None:
        """Before the first batch of an evaluation epoch.

        ``is_intermediate`` says whether this evaluation is within a training epoch.
        """

    def on_eval_step_start(self, trainer: Any, **kwargs: Any) -> None:
        """Before an evaluation batch is passed through the model."""

    def on_eval_step_end(
        self, trainer: Any, batch: Any, batch_output: dict[str, Any], **kwargs: Any
    ) -> None:
        """After the loss of an evaluation batch was calculated.

        ``batch`` is what the data loader gave, ``batch_output`` what ``calculate_eval_batch_loss``
        returned.
        """

    def on_eval_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        """After the last batch of an evaluation epoch; its loss is in the history.

        ``is_intermediate`` says whether this evaluation is within a training epoch.
        """

    def on_training_run_epoch_end(self, trainer: Any, **kwargs: Any) -> None:
        """After an epoch's training and evaluation."""

    def on_training_run_end(self, trainer: Any, **kwargs: Any) -> None:
        """At the end of a training run, also of one that was stopped."""

    def on_evaluation_run_start(self, trainer: Any, **kwargs: Any) -> None:
        """Before an evaluation run (``Trainer.evaluate``); everything is prepared."""

    def on_evaluation_run_end(self, trainer: Any, **kwargs: Any) -> None:
        """At the end of an evaluation run, also of one that was stopped."""

    def on_stop_training_error(self, trainer: Any, **kwargs: Any) -> None:
        """After a `StopTrainingError` ended a run early, before the run's end event."""

    def after_run(self, trainer: Any) -> None:
        """Let go of what was held for the run; called after each run, also one that failed."""

    def before_checkpoint(self, trainer: Any) -> None:
        """Finish what is under way, since `state_dict` is asked next; called on every process."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to hold to continue: plain Python values and tensors."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned; called before ``on_training_run_start``."""


EVENTS: tuple[str, ...] = tuple(name for name in vars(TrainerCallback) if name.startswith("on_"))
"""Names of the events that the Trainer fires."""

# Above this similarity a name is a slip of the keys: one letter lost, doubled or swapped stays
# above it, while another word in place of one ("logged" for "end") falls below.
_TYPO_SIMILARITY = 0.9

# What neighbouring libraries call these moments, by our words.
_OTHER_WORDS = {"begin": "start", "batch": "step", "validation": "eval", "evaluation": "eval"}
_OTHER_WORDS |= dict.fromkeys(("valid", "val", "evaluate"), "eval")
_OTHER_EVENTS = {
    "on_train": "on_training_run",
    "on_fit": "on_training_run",
    "on_epoch": "on_train_epoch",
    "on_step": "on_train_step",
    "on_eval": "on_eval_epoch",
}


def _check_event_names(callback: object) -> None:
    """Refuse methods that are almost a known event, since nothing would ever call them."""
    kind = type(callback)
    declared = {*EVENTS, *getattr(callback, "custom_events", ())}
    for name in dir(kind):
        if not name.startswith("on_") or name in declared:
            continue
        if not callable(getattr(kind, name, None)):
            continue
        custom = f"If it is a custom event of yours, write custom_events = ({name!r},) in the class"
        similar = difflib.get_close_matches(name, EVENTS, n=1, cutoff=_TYPO_SIMILARITY)
        if similar:
            raise ValueError(
                f"{kind.__name__}.{name} is not an event of the Trainer, so it would never be "
                f"called: did you mean {similar[0]}? {custom}."
            )
        words = "_".join(_OTHER_WORDS.get(word, word) for word in name.split("_"))
        moment, _, end = words.rpartition("_")
        ours = f"{_OTHER_EVENTS.get(moment, moment)}_{end}"
        if ours in EVENTS:
            warnings.warn(
                f"{kind.__name__}.{name} is not an event of the Trainer, which calls {ours} at "
                f"that place. {custom}.",
                stacklevel=4,
            )


def _as_callback(callback: object) -> Any:
    if isinstance(callback, type):
        callback = callback()
    if not isinstance(callback, TrainerCallback) and not any(
        callable(getattr(callback, event, None)) for event in EVENTS
    ):
        raise TypeError(
            f"callbacks holds {callback!r}, which is {kind_of(callback)}, but has to hold "
            f"subclasses of TrainerCallback or instances of them."
        )
    return callback


class CallbackHandler:
    """Holds callbacks and calls their events in order.

    Args:
        callbacks: Subclasses of `TrainerCallback` that need no arguments, or instances.

    Example:
        >>> class Greeter(TrainerCallback):
        ...     def on_greeting(self, name):
        ...         print("hello", name)
        >>> handler = CallbackHandler([Greeter])
        >>> handler.call_event("on_greeting", name="world")
        hello world
        >>> handler.callback_list
        ['Greeter']
    """

    def __init__(self, callbacks: Iterable[Any] = ()) -> None:
        self._callbacks: list[Any] = []
        self._methods: dict[str, tuple[Callable[..., Any], ...]] = {}
        self.add_callbacks(callbacks)

    @property
    def callbacks(self) -> list[Any]:
        """The callbacks, in calling order; the list may be changed."""
        # Whoever asks for the list may change it, or a callback's methods.
        self.look_again()
        return self._callbacks

    @callbacks.setter
    def callbacks(self, callbacks: Iterable[Any]) -> None:
        self._callbacks = []
        self._methods.clear()
        self.add_callbacks(callbacks)

    def add_callback(self, cb: Any) -> None:
        """Append a callback: an instance, or a class that needs no arguments.

        Raises:
            TypeError: It is not a callback, or a class that needs arguments.
            ValueError: This very instance is here already, or one of its methods is almost, but
                not quite, called like an event.
        """
        callback = _as_callback(cb)
        if any(callback is present for present in self._callbacks):
            raise ValueError(f"this instance of {type(callback).__name__} was added before")
        _check_event_names(callback)
        self._callbacks.append(callback)
        self._methods.clear()

    def add_callbacks(self, callbacks: Iterable[Any]) -> None:
        """Append several callbacks; see `add_callback`."""
        for callback in entries("callbacks", callbacks, "[…], also for a single one"):
            self.add_callback(callback)

    def look_again(self) -> None:
        """Take notice of callbacks and methods that were changed since the last event."""
        self._methods.clear()

    def clear_callbacks(self) -> None:
        """Remove all callbacks."""
        self.callbacks = []

    def __iter__(self) -> Iterator[Any]:
        return iter(self._callbacks)

    def __len__(self) -> int:
        return len(self._callbacks)

    @property
    def callback_list(self) -> list[str]:
        """Class names of the callbacks, in calling order."""
        return [type(callback).__name__ for callback in self._callbacks]

    def call_event(self, event: str, *args: Any, **kwargs: Any) -> None:
        """Call the method named like a known or custom event on every callback that has it.

        A `StopTrainingError` is held back until every callback has seen the event.

        Raises:
            StopTrainingError: The first one that a callback raised.
        """
        methods = self._methods.get(event)
        if methods is None:
            methods = self._methods[event] = self._find_methods(event)
        stop: StopTrainingError | None = None
        for method in methods:
            try:
                method(*args, **kwargs)
            except StopTrainingError as error:  # noqa: PERF203 (every callback has its own)
                stop = stop or error
        if stop is not None:
            try:
                raise stop
            finally:
                del stop  # the traceback holds this frame: no cycle

    def _find_methods(self, event: str) -> tuple[Callable[..., Any], ...]:
        """Bound methods for an event, without those that TrainerCallback itself defines."""
        empty = vars(TrainerCallback).get(event)
        ordered = sorted(self._callbacks, key=lambda one: event in getattr(one, "last_in", ()))
        methods = (getattr(callback, event, None) for callback in ordered)
        return tuple(
            method
            for method in methods
            if callable(method) and getattr(method, "__func__", method) is not empty
        )

    def state_dict(self, of_each_process: bool = False) -> dict[str, Any]:
        """Return the states of the callbacks that have any, by class name and position in its kind.

        With ``of_each_process``, those are left out of which the first process's will do.
        """
        states = {}
        for name, callback in self._named():
            if of_each_process and not getattr(callback, "has_state_of_each_process", False):
                continue
            state = callback.state_dict() if hasattr(callback, "state_dict") else {}
            if state:
                states[name] = state
        return states

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Hand the states of `state_dict` back.

        A callback without a state there starts anew. A state without a callback is dropped
        with a warning.
        """
        callbacks = dict(self._named())
        for name, state in state_dict.items():
            if name in callbacks:
                callbacks[name].load_state_dict(state)
            else:
                warnings.warn(
                    f"the checkpoint holds a state for the callback {name}, which is not among "
                    f"the Trainer's callbacks ({', '.join(callbacks) or 'none'}): it is ignored",
                    stacklevel=2,
                )

    def _named(self) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for callback, name in zip(self._callbacks, self.callback_list, strict=True):
            count = seen[name] = seen.get(name, -1) + 1
            yield (f"{name}:{count}" if count else name), callback
