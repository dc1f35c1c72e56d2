import copy

import pytest
import torch
from torch import nn

from pytorch_accelerated.finetuning import (
    BN_MODULES,
    Layer,
    LayerGroup,
    ModelFreezer,
    _module_is_batch_norm,
    keep_frozen_modules_in_eval,
)


class Transformerish(nn.Module):
    """Owns a parameter itself, as does a module with children inside (attention)."""

    def __init__(self):
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.stem = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.head = nn.Linear(4, 2)


def make_model():
    return nn.Sequential(
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)),
        nn.Sequential(nn.Linear(4, 4), nn.ReLU()),
        nn.Linear(4, 2),
    )


def frozen_groups(freezer):
    return [group.is_frozen for group in freezer.get_layer_groups()]


def test_everything_is_unfrozen_at_the_start():
    model = make_model().requires_grad_(False)

    freezer = ModelFreezer(model)

    assert frozen_groups(freezer) == [False, False, False]
    assert len(freezer.get_trainable_parameters()) == len(list(model.parameters()))
    assert (freezer.model, freezer.num_groups, freezer.freeze_bn) == (model, 3, False)


def test_groups_are_children_and_layers_are_leaves_with_both_indices():
    model = make_model()
    freezer = ModelFreezer(model)

    groups, layers = freezer.get_layer_groups(), freezer.get_layers()

    assert groups[1] == LayerGroup((1, -2), model[1], False)
    assert layers[1] == Layer((0, -3), model[0][1], False)
    assert [layer.layer_group_idx[0] for layer in layers] == [0, 0, 0, 1, 1, 2]


def test_freeze_covers_all_groups_but_the_last_and_passes_batch_norms_over():
    model = make_model()
    freezer = ModelFreezer(model)

    freezer.freeze()

    assert frozen_groups(freezer) == [True, True, False]
    assert all(parameter.requires_grad for parameter in model[0][1].parameters())
    assert {id(p) for p in freezer.get_trainable_parameters()} == {
        id(p) for module in (model[0][1], model[2]) for p in module.parameters()
    }


def test_batch_norms_are_frozen_when_asked_for():
    model = make_model()

    ModelFreezer(model, freeze_batch_norms=True).freeze()

    assert not any(parameter.requires_grad for parameter in model[0].parameters())


def test_freezing_leaves_the_mode_alone_by_default():
    model = make_model()

    ModelFreezer(model).freeze()

    assert all(module.training for module in model.modules())


def test_freezing_with_eval_freezes_and_sets_eval_mode():
    model = make_model()
    freezer = ModelFreezer(model)

    freezer.freeze(set_modules_as_eval=True)

    assert frozen_groups(freezer) == [True, True, False]
    assert not model[0][2].training
    assert model[0][1].training, "a batch norm that is not frozen keeps learning"
    assert model[2].training
    assert [layer.is_frozen for layer in freezer.get_layers()] == [
        True, False, True, True, True, False
    ]  # fmt: skip


def test_unfreezing_returns_the_newly_unfrozen_parameters_of_each_group():
    model = make_model()
    freezer = ModelFreezer(model, freeze_batch_norms=True)
    freezer.freeze()

    first = freezer.unfreeze(from_index=-2, to_index=-1)
    rest = freezer.unfreeze()

    assert list(first) == [1]
    assert first[1]["params"] == [model[1][0].weight, model[1][0].bias]
    assert list(rest) == [0]
    assert len(rest[0]["params"]) == 4
    assert freezer.unfreeze() == {}


def test_unfrozen_groups_extend_an_optimizer():
    model = make_model()
    freezer = ModelFreezer(model)
    freezer.freeze()
    optimizer = torch.optim.SGD(freezer.get_trainable_parameters(), lr=0.1)

    for group in freezer.unfreeze().values():
        optimizer.add_param_group(group)

    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


def test_unfreezing_without_training_mode_unfreezes_and_keeps_the_mode():
    model = make_model()
    freezer = ModelFreezer(model)
    freezer.freeze(set_modules_as_eval=True)

    freezer.unfreeze(set_modules_as_training=False)

    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model[0][2].training
    freezer.unfreeze()
    assert all(module.training for module in model.modules())


def test_parameters_that_a_module_with_children_owns_are_frozen_and_unfrozen():
    model = Transformerish()
    freezer = ModelFreezer(model)

    freezer.freeze()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    unfrozen = freezer.unfreeze()

    assert frozen == {name for name, _ in model.named_parameters() if not name.startswith("head")}
    assert any(p is model.class_token for p in unfrozen[0]["params"])
    assert any(p is model.attention.in_proj_weight for p in unfrozen[1]["params"])
    assert frozen_groups(freezer) == [False, False, False]


def test_freezing_all_but_the_last_of_one_group_freezes_nothing():
    freezer = ModelFreezer(nn.Sequential(nn.Linear(2, 2)))

    freezer.freeze()
    assert frozen_groups(freezer) == [False]
    freezer.freeze(0, 0)
    assert frozen_groups(freezer) == [True]


def test_a_model_without_children_is_one_group():
    model = nn.Linear(2, 2)
    freezer = ModelFreezer(model)

    freezer.freeze(-1, -1)

    assert freezer.get_layer_groups() == [LayerGroup((0, -1), model, True)]
    assert freezer.unfreeze()[0]["params"] == [model.weight, model.bias]


def test_bounds_are_inclusive_negative_or_not_in_any_order():
    for bounds in [(0, 1), (1, 0), (-3, -2), (-2, 0)]:
        freezer = ModelFreezer(make_model())
        freezer.freeze(*bounds)
        assert frozen_groups(freezer) == [True, True, False]


@pytest.mark.parametrize("bounds", [(0, 3), (-4, 0), (5, 7)])
@pytest.mark.parametrize("method", ["freeze", "unfreeze"])
def test_an_index_out_of_range_is_refused_and_changes_nothing(method, bounds):
    freezer = ModelFreezer(make_model())
    freezer.freeze(0, 0)

    with pytest.raises(
        ValueError, match=r"index=-?\d is out of range: the model has 3 layer groups"
    ):
        getattr(freezer, method)(*bounds)

    assert frozen_groups(freezer) == [True, False, False]


def test_a_layer_with_any_frozen_parameter_counts_as_frozen():
    model = make_model()
    freezer = ModelFreezer(model)
    model[2].bias.requires_grad_(False)

    assert freezer.get_layers()[-1].is_frozen
    assert frozen_groups(freezer) == [False, False, True]


def test_frozen_modules_return_to_eval_mode_after_the_model_was_set_to_train():
    model = make_model()
    freezer = ModelFreezer(model)
    freezer.freeze(set_modules_as_eval=True)

    for candidate in (model, copy.deepcopy(model)):
        candidate.train()
        keep_frozen_modules_in_eval(candidate)
        assert not candidate[0][2].training
        assert candidate[0][1].training
        assert candidate[2].training

    freezer.unfreeze()
    keep_frozen_modules_in_eval(model)
    assert all(module.training for module in model.modules())


def test_batch_norms_are_told_apart():
    assert all(_module_is_batch_norm(kind(3)) for kind in BN_MODULES)
    assert not _module_is_batch_norm(nn.LayerNorm(3))


@pytest.mark.parametrize("model", [5, None, nn.Linear, [nn.Linear(1, 1)]])
def test_what_is_not_a_module_is_refused(model):
    with pytest.raises(TypeError, match=r"model=.* has to be a torch\.nn\.Module"):
        ModelFreezer(model)
    with pytest.raises(TypeError, match=r"model=.* has to be a torch\.nn\.Module"):
        keep_frozen_modules_in_eval(model)


@pytest.mark.parametrize(
    ("index", "error"), [("a", TypeError), (1.5, ValueError), (True, TypeError)]
)
@pytest.mark.parametrize("method", ["freeze", "unfreeze"])
def test_what_is_not_an_index_is_refused_and_changes_nothing(method, index, error):
    freezer = ModelFreezer(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
    with pytest.raises(error, match=f"from_index={index!r} "):
        getattr(freezer, method)(index)
    with pytest.raises(error, match=f"to_index={index!r} "):
        getattr(freezer, method)(0, index)
    assert len(freezer.get_trainable_parameters()) == 4
