"""Checkpoints of other models are refused as a whole; those of compiled parts are not others."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from pytorch_accelerated.callbacks import TrainerCallback
from tests.checkpoints.runs import Net, make, names, outcome, train

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")


def with_more():
    model = Net()
    model.more = nn.Linear(1, 1)
    return model


def without_some():
    model = Net()
    model.last = nn.Identity()
    return model


def wider():
    model = Net()
    model.first, model.last = nn.Linear(2, 5), nn.Linear(5, 1)
    return model


OTHERS = {
    with_more: "it has no 'more.weight', which the model has",
    without_some: "it has 'last.weight', which the model does not have",
    wider: r"'first.weight' has the shape \[4, 2\] there, and \[5, 2\] here",
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_model_is_refused_and_nothing_has_changed(tmp_path, finished, other):
    trainer = make(model=other())
    if other is not without_some:
        train(trainer, num_epochs=1)
    before, history = outcome(trainer), trainer.run_history.current_epoch
    says = rf"update_000000018_end holds the state of another model: {OTHERS[other]}\. Nothing"
    with pytest.raises(ValueError, match=says):
        train(trainer, tmp_path, resume=finished)
    assert {**outcome(trainer), "updates": before["updates"]} == before
    assert trainer.run_history.current_epoch == history
    assert names(tmp_path) == []


@pytest.mark.parametrize("other", [with_more, wider])
def test_a_state_of_another_model_is_refused_within_a_run(finished, other):
    class Load(TrainerCallback):
        def on_update_end(self, trainer, **kwargs):
            before = outcome(trainer)
            with pytest.raises(ValueError, match=OTHERS[other]):
                trainer.load_training_state(finished / "update_000000004")
            assert outcome(trainer) == before

    train(make(Load(), model=other()), max_num_train_steps=1)


def test_an_optimizer_of_other_groups_is_refused_before_the_model_is_loaded(finished):
    def fewer(model):
        return torch.optim.SGD(model.first.parameters(), lr=0.005, momentum=0.9)

    trainer = make(optimizer=fewer)
    before = outcome(trainer)
    with pytest.raises(ValueError, match=r"with \[2\] parameters, but .* with \[4\]: make it"):
        train(trainer, resume=finished)
    assert outcome(trainer)["weights"] == before["weights"]


def test_a_model_that_knows_its_older_names_loads_them(tmp_path, finished):
    class Renamed(Net):
        def __init__(self):
            super().__init__()
            self.front = self.first
            del self.first
            self._register_load_state_dict_pre_hook(self._know_older_names)

        def _know_older_names(self, state, *rest):
            for name in [name for name in state if name.startswith("first.")]:
                state[name.replace("first.", "front.")] = state.pop(name)

        def forward(self, x):
            return self.last(self.dropout(self.front(x)))

    def reordered(model):
        parameters = [*model.front.parameters(), *model.last.parameters()]
        return torch.optim.SGD(parameters, lr=0.005, momentum=0.9)

    resumed = train(make(model=Renamed(), optimizer=reordered), resume=finished)
    assert resumed.num_updates == 18
    weight = load_file(finished / "update_000000018_end" / "model.safetensors")["first.weight"]
    assert torch.equal(resumed.model.front.weight, weight)


def compiled(module):
    return torch.compile(module, backend="eager")


def with_compiled_parts():
    model = Net()
    model.first = compiled(nn.Sequential(compiled(nn.Linear(2, 4))))
    return model


def plain():
    model = Net()
    model.first = nn.Sequential(nn.Linear(2, 4))
    return model


def wholly():
    return compiled(with_compiled_parts())


MODELS = {make_model.__name__: make_model for make_model in (plain, with_compiled_parts, wholly)}
KEYS = {"first.0.weight", "first.0.bias", "last.weight", "last.bias"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The files and states of each model."""
    folder = tmp_path_factory.mktemp("compiled")
    for name, make_model in MODELS.items():
        torch.manual_seed(0)
        trainer = train(make(model=make_model()), folder / name, num_epochs=1)
        trainer.save_checkpoint(folder / f"{name}.pt")
    return folder


@pytest.mark.parametrize("before", MODELS)
def test_a_compiled_part_leaves_nothing_in_the_names(saved, before):
    state = load_file(saved / before / "update_000000006_end" / "model.safetensors")
    file = torch.load(saved / f"{before}.pt", weights_only=True)["model_state_dict"]
    assert state.keys() == file.keys() == KEYS
    plain().load_state_dict(state)


@pytest.mark.parametrize("before", MODELS)
@pytest.mark.parametrize("now", MODELS)
def test_compiled_and_plain_models_load_each_other_s_checkpoints(saved, before, now):
    file = torch.load(saved / f"{before}.pt", weights_only=True)["model_state_dict"]
    by_file = make(model=MODELS[now]())
    by_file.load_checkpoint(saved / f"{before}.pt", load_optimizer=False)
    resumed = train(make(model=MODELS[now]()), resume=saved / before, num_epochs=1)
    for trainer in (by_file, resumed):
        weights = trainer.get_model(keep_torch_compile=False).state_dict()
        found = {name.replace("_orig_mod.", ""): value for name, value in weights.items()}
        assert found.keys() == KEYS
        assert all(torch.equal(found[name], file[name]) for name in KEYS)
