import copy

import pytest
import torch
from torch import nn

from pytorch_accelerated.ema import ModelEma


def make_model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def change(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape))
    model(torch.randn(8, 3))


def test_the_average_follows_the_formula_for_parameters_and_float_buffers():
    model = make_model()
    ema = ModelEma(model, decay=0.9)
    expected = copy.deepcopy(model.state_dict())

    for _ in range(3):
        change(model)
        ema.update(model)
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = 0.9 * expected[name] + 0.1 * value

    expected["1.num_batches_tracked"] = torch.tensor(3)
    for name, value in ema.module.state_dict().items():
        torch.testing.assert_close(value, expected[name])


def test_integer_buffers_are_copied():
    model = make_model()
    ema = ModelEma(model, decay=0.999)

    for _ in range(5):
        change(model)
        ema.update(model)

    assert ema.module[1].num_batches_tracked.item() == 5


def test_the_copy_is_frozen_in_eval_mode_and_separate():
    model = make_model().train()
    ema = ModelEma(model)
    before = ema.module[0].weight.clone()

    change(model)

    assert model.training
    assert not any(module.training for module in ema.module.modules())
    assert not any(parameter.requires_grad for parameter in ema.parameters())
    assert torch.equal(ema.module[0].weight, before)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_set_copies_everything():
    model = make_model()
    ema = ModelEma(model)
    change(model)

    ema.set(model)

    for name, value in model.state_dict().items():
        assert torch.equal(ema.module.state_dict()[name], value)


def test_another_model_is_refused_by_name_and_nothing_changes():
    ema = ModelEma(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))
    before = copy.deepcopy(ema.state_dict())

    with pytest.raises(ValueError, match=r"lacks \['1.bias', '1.weight'\]"):
        ema.update(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match=r"0.weight has the shape \(3, 2\)"):
        ema.update(nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 2)))

    for name, value in ema.state_dict().items():
        assert torch.equal(value, before[name])


def test_tied_weights_are_averaged_once():
    def tied():
        model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
        model[1].weight = model[0].weight
        nn.init.zeros_(model[0].weight)
        return model

    model = tied()
    ema = ModelEma(model, decay=0.5)
    nn.init.ones_(model[0].weight)
    ema.update(model)

    assert ema.module[1].weight.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_an_overridden_update_fn_decides_the_average():
    class Maximum(ModelEma):
        def update_fn(self, old, new):
            return torch.maximum(old, new)

    model = nn.Linear(2, 2)
    ema = Maximum(model)
    before = ema.module.weight.clone()
    change_by = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    with torch.no_grad():
        model.weight.add_(change_by)
    ema.update(model)

    assert torch.equal(ema.module.weight, before + change_by.clamp(min=0))


def test_wrapped_models_are_looked_through():
    model = nn.Linear(2, 2)
    wrapped = torch.compile(model, backend="eager")
    ema = ModelEma(wrapped, decay=0.0)
    nn.init.ones_(model.weight)

    ema.update(wrapped)

    assert type(ema.module) is nn.Linear
    assert torch.equal(ema.module.weight, torch.ones(2, 2))


def test_a_model_in_lower_precision_is_averaged_in_the_averages_precision():
    model = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(model.weight)
    ema = ModelEma(model, decay=0.75)
    half = copy.deepcopy(model).bfloat16()
    nn.init.ones_(half.weight)
    ema.update(half)

    assert ema.module.weight.dtype == torch.float32
    assert ema.module.weight.tolist() == [[0.25, 0.25], [0.25, 0.25]]


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_a_decay_outside_0_to_1_is_refused(decay):
    with pytest.raises(ValueError, match="decay is"):
        ModelEma(nn.Linear(1, 1), decay=decay)


def test_state_survives_weights_only_loading(tmp_path):
    model = make_model()
    ema = ModelEma(model, decay=0.5)
    change(model)
    ema.update(model)
    torch.save(ema.state_dict(), tmp_path / "ema.pt")

    restored = ModelEma(make_model())
    restored.load_state_dict(torch.load(tmp_path / "ema.pt", weights_only=True))

    for name, value in ema.state_dict().items():
        assert torch.equal(restored.state_dict()[name], value)
