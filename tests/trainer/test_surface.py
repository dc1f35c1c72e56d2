"""Scripts that were written for version 0.1 find everything that they use."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from pytorch_accelerated import TrainerPlaceholderValues, callbacks, finetuning, utils
from pytorch_accelerated import trainer as trainer_module
from pytorch_accelerated.callbacks import CallbackHandler, StopTrainingError, TrainerCallback
from pytorch_accelerated.run_config import TrainerRunConfig
from pytorch_accelerated.schedulers import (
    CosineLrScheduler,
    StatefulSchedulerBase,
    WSDLrScheduler,
)
from pytorch_accelerated.tracking import InMemoryRunHistory, LossTracker
from pytorch_accelerated.trainer import Trainer, TrainerWithTimmScheduler
from tests.trainer import surface
from tests.trainer.tiny import make_trainer, ones

CALLABLES = [
    (module, name, parameters)
    for module, names in surface.SIGNATURES.items()
    for name, parameters in names.items()
]


def resolved(module: str, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def parameters_of(function: Any, is_method: bool) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    return parameters[1:] if is_method else parameters


def known_parameters(text: str) -> list[inspect.Parameter]:
    """Parameters as they stand in the table; their defaults as source text."""
    arguments = ast.parse(f"def f({text}): ...").body[0].args
    kinds = inspect.Parameter
    positional = [kinds(a.arg, kinds.POSITIONAL_OR_KEYWORD) for a in arguments.args]
    for index, default in enumerate(reversed(arguments.defaults), start=1):
        positional[-index] = positional[-index].replace(default=ast.unparse(default))
    if arguments.vararg:
        positional.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    if arguments.kwarg:
        positional.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    return positional


@pytest.mark.parametrize("module", surface.NAMES)
def test_every_known_name_imports(module):
    imported = importlib.import_module(module)
    for name in surface.NAMES[module].split():
        assert getattr(imported, name) is not None


@pytest.mark.parametrize(("module", "name", "text"), CALLABLES, ids=[c[1] for c in CALLABLES])
def test_every_known_call_can_be_made_as_before(module, name, text):
    function = resolved(module, name)
    owner = name.rpartition(".")[0]
    is_method = bool(owner) and not inspect.ismethod(function)
    ours = parameters_of(function, is_method)
    known = known_parameters(text)
    values = {**vars(importlib.import_module(module)), **vars(TrainerPlaceholderValues)}
    values["ModelEma"] = utils.ModelEma

    for index, expected in enumerate(known):
        assert ours[index].name == expected.name
        assert ours[index].kind == expected.kind
        if expected.default is inspect.Parameter.empty:
            continue
        assert ours[index].default == eval(expected.default, values), expected.name
    for extra in ours[len(known) :]:
        has_default = extra.default is not inspect.Parameter.empty
        assert has_default or extra.kind is inspect.Parameter.VAR_KEYWORD, extra.name


@pytest.fixture
def instances(tmp_path, monkeypatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)

    class Constant(StatefulSchedulerBase):
        def get_updated_values(self, num_updates):
            return None

    freezer = finetuning.ModelFreezer(nn.Sequential(nn.Linear(1, 1)))
    made = {
        "Trainer": make_trainer(),
        "TrainerWithTimmScheduler": make_trainer(kind=TrainerWithTimmScheduler),
        "CallbackHandler": CallbackHandler([]),
        "StatefulSchedulerBase": Constant(optimizer),
        "CosineLrScheduler": CosineLrScheduler(optimizer, 1, 10),
        "WSDLrScheduler": WSDLrScheduler(optimizer, total_steps=10),
        "InMemoryRunHistory": InMemoryRunHistory(),
        "LossTracker": LossTracker(),
        "DataLoaderSlice": utils.DataLoaderSlice(DataLoader([1, 2]), 1),
        "ModelEma": utils.ModelEma(nn.Linear(1, 1)),
        "ModelFreezer": freezer,
        "LayerGroup": freezer.get_layer_groups()[0],
        "Layer": freezer.get_layers()[0],
    }
    for name in surface.ATTRIBUTES:
        if name not in made:
            made[name] = getattr(callbacks, name)()
    return made


@pytest.mark.parametrize("name", surface.ATTRIBUTES)
def test_every_known_attribute_is_there(name, instances):
    assert all(
        hasattr(instances[name], attribute) for attribute in surface.ATTRIBUTES[name].split()
    )


def test_the_placeholders_are_members_with_the_known_names():
    names = surface.PLACEHOLDERS.split()
    assert TrainerPlaceholderValues.placeholder_set() >= set(names)
    for name in names:
        member = getattr(TrainerPlaceholderValues, name)
        assert isinstance(member, TrainerPlaceholderValues)
        assert member.name == name


def test_the_run_config_begins_with_the_known_fields_in_order():
    known = surface.RUN_CONFIG_FIELDS.split()
    fields = [field.name for field in dataclasses.fields(TrainerRunConfig)]
    assert fields[: len(known)] == known
    trainer = make_trainer()
    trainer.train(ones(4), num_epochs=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        trainer.run_config.num_epochs = 2
    assert list(trainer.run_config.to_dict())[: len(known)] == known


def test_the_default_callbacks_are_the_known_ones_in_order():
    known = surface.DEFAULT_CALLBACKS.split()
    assert [callback.__name__ for callback in trainer_module.DEFAULT_CALLBACKS] == known
    assert callbacks.get_default_callbacks() == trainer_module.DEFAULT_CALLBACKS
    without_bar = callbacks.get_default_callbacks(progress_bar=False)
    assert [c.__name__ for c in without_bar] == [n for n in known if n != "ProgressBarCallback"]


def test_the_default_loader_arguments_have_the_known_names():
    trainer = make_trainer()
    known = surface.LOADER_KWARGS.split()
    for kwargs in (
        trainer.get_default_train_dl_kwargs(3),
        trainer.get_default_eval_dl_kwargs(batch_size=3),
    ):
        assert list(kwargs) == known
        assert kwargs["batch_size"] == 3
        assert kwargs["worker_init_fn"] is utils.worker_init_fn


def test_a_data_loader_that_is_patched_into_the_trainers_module_is_used(monkeypatch):
    made = []

    class Counting(DataLoader):
        def __init__(self, *args, **kwargs):
            made.append(kwargs)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(trainer_module, "DataLoader", Counting)
    make_trainer().train(ones(4), num_epochs=1, eval_dataset=ones(4))
    assert len(made) == 2


class RecordKeywords(TrainerCallback):
    def __init__(self) -> None:
        self.keywords: dict[str, set[frozenset[str]]] = {}
        for event in surface.EVENTS:
            setattr(self, event, functools.partial(self._note, event))

    def _note(self, event: str, trainer: Trainer, **kwargs: Any) -> None:
        assert isinstance(trainer, Trainer)
        self.keywords.setdefault(event, set()).add(frozenset(kwargs))
        if event == "on_training_run_epoch_end":
            raise StopTrainingError("enough")


def test_every_event_is_fired_with_exactly_the_known_keywords():
    record = RecordKeywords()
    trainer = make_trainer(record, callbacks.StepBasedEvaluationCallback(1))
    trainer.train(ones(4), num_epochs=2, eval_dataset=ones(4))
    trainer.evaluate(ones(4))
    assert record.keywords == {
        event: {frozenset(keywords.split())} for event, keywords in surface.EVENTS.items()
    }
    assert set(callbacks.EVENTS) >= set(surface.EVENTS)
    assert set(trainer.run_history.get_metric_names()) == set(surface.METRICS.split())


def test_the_accelerated_package_exports_accelerates_own_launcher_and_seed():
    import accelerate
    import accelerate.utils

    import pytorch_accelerated

    assert pytorch_accelerated.notebook_launcher is accelerate.notebook_launcher
    assert pytorch_accelerated.set_seed is accelerate.utils.set_seed
    assert isinstance(pytorch_accelerated.__version__, str)
    assert utils.LIMIT_BATCHES_ENV_VAR == "PT_ACC_LIMIT_BATCHES"
