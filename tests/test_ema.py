import copy
import functools
from types import MethodType

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


def test_compiled_parts_leave_nothing_in_the_names_and_averages_load_each_other_s():
    same = nn.Sequential(nn.Sequential(nn.Linear(3, 3)), nn.BatchNorm1d(4), nn.Linear(3, 3))
    same[2] = same[0][0]
    partly = copy.deepcopy(same)
    partly[0][0] = partly[2] = torch.compile(partly[2], backend="eager")
    partly[0] = torch.compile(partly[0], backend="eager")
    ema, other = ModelEma(partly, decay=0.0), ModelEma(same, decay=0.0)
    nn.init.ones_(partly[2].weight)

    ema.update(partly)
    other.load_state_dict(ema.state_dict())
    ema.load_state_dict(other.state_dict())

    assert ema.module.state_dict().keys() == same.state_dict().keys()
    assert torch.equal(other.module[2].weight, torch.ones(3, 3))
    assert other.module[2] is other.module[0][0]
    assert ema.module[2] is ema.module[0][0]
    with other.applied_to(partly):
        assert torch.equal(partly[2].weight, torch.ones(3, 3))


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
    with pytest.raises(ValueError, match=f"decay={decay}"):
        ModelEma(nn.Linear(1, 1), decay=decay)


@pytest.mark.parametrize("decay", ["a", None, True])
def test_a_decay_that_is_not_a_number_is_refused(decay):
    with pytest.raises(TypeError, match=r"decay=.* has to be a number"):
        ModelEma(nn.Linear(1, 1), decay=decay)


@pytest.mark.parametrize("model", [5, None, nn.Linear])
def test_what_is_not_a_module_is_refused(model):
    with pytest.raises(TypeError, match=r"model=.* has to be a torch\.nn\.Module"):
        ModelEma(model)


NARROW = [torch.bfloat16, torch.float16]


def narrow_and_its_average(dtype, num_updates=2000, decay=0.99):
    model = nn.Linear(2, 1).to(dtype)
    nn.init.ones_(model.weight)
    ema = ModelEma(model, decay)
    nn.init.constant_(model.weight, 1.1)
    for _ in range(num_updates):
        ema.update(model)
    return model, ema


@pytest.mark.parametrize("dtype", [*NARROW, torch.float32, torch.float64])
def test_the_average_of_narrow_numbers_does_not_stand_still(dtype):
    model, ema = narrow_and_its_average(dtype)
    target = model.weight.double()
    expected = target + (1.0 - target) * 0.99**2000
    kept = ema.state_dict()["wide.0" if dtype in NARROW else "module.weight"]
    assert kept.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(kept.double(), expected, rtol=1e-5, atol=0.0)
    assert ema.module.weight.dtype == dtype
    assert torch.equal(ema.module.weight, kept.to(dtype))
    assert ema.module(torch.ones(1, 2, dtype=dtype)).dtype == dtype


def test_so_does_not_that_of_narrow_complex_numbers_and_buffers():
    model = nn.BatchNorm1d(1)
    model.register_buffer("turn", torch.ones(1, dtype=torch.complex64) * 1j)
    model.register_buffer("narrow", torch.ones(1, dtype=torch.float16))
    ema = ModelEma(model, 0.999)
    model.narrow += 0.1
    for _ in range(100):
        ema.update(model)
    assert ema.module.narrow.item() == pytest.approx(1.0095, abs=1e-3)
    assert ema.module.turn.item() == 1j


@pytest.mark.parametrize("dtype", NARROW)
def test_a_narrow_average_continues_exactly_from_its_state(dtype, tmp_path):
    model, ema = narrow_and_its_average(dtype, num_updates=3)
    torch.save(ema.state_dict(), tmp_path / "ema.pt")
    resumed = ModelEma(nn.Linear(2, 1).to(dtype), 0.99)
    resumed.load_state_dict(torch.load(tmp_path / "ema.pt", weights_only=True))
    copied = copy.deepcopy(ema)
    for average in (ema, resumed, copied):
        average.update(model)
    for name, value in ema.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value)
        assert torch.equal(copied.state_dict()[name], value)


CASTS = [nn.Module.half, nn.Module.bfloat16, nn.Module.float, lambda ema: ema.to("cpu")]


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("dtype", [*NARROW, torch.float32])
def test_an_average_that_is_cast_does_not_stand_still_either(dtype, cast):
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    ema = ModelEma(model.to(dtype), 0.999)
    nn.init.constant_(model.float().weight, 1.5)
    for k in range(100):
        if k == 50:
            cast(ema)
        ema.update(model)
    expected = 1.5 - 0.5 * 0.999**100
    assert ema.module.weight.item() == pytest.approx(expected, rel=4e-3)
    ema.float()
    assert ema.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_tied_narrow_weights_are_averaged_once():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).bfloat16()
    model[1].weight = nn.init.ones_(model[0].weight)
    ema = ModelEma(model, 0.999)
    nn.init.constant_(model[0].weight, 2.0)
    for _ in range(1000):
        ema.update(model)
    assert ema.module[1].weight.item() == pytest.approx(2 - 0.999**1000, rel=0.01)


def bits(tensor):
    return tensor.detach().clone().view(torch.int32)


def test_a_model_that_held_the_average_gets_its_own_back_bit_for_bit():
    model = make_model()
    ema = ModelEma(model, decay=0.5)
    change(model)
    ema.update(model)
    with torch.no_grad():
        model[0].bias.copy_(torch.tensor([0.0, -0.0, float("nan"), 1.0]))
    gradient = model[0].weight.grad = torch.ones(4, 3)
    before = {name: bits(value) for name, value in model[0].state_dict().items()}
    statistics = model[1].running_mean.clone()

    def fail():
        with ema.applied_to(model):
            assert torch.equal(model[0].weight, ema.module[0].weight)
            assert torch.equal(model[1].running_mean, ema.module[1].running_mean)
            model(torch.ones(8, 3)).sum().backward()
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fail()
    for name, value in model[0].state_dict().items():
        assert torch.equal(bits(value), before[name])
    assert torch.equal(model[1].running_mean, statistics)
    assert model[0].weight.grad is gradient
    assert torch.equal(gradient, torch.ones(4, 3))
    assert model[2].weight.grad is None


def compiled(model):
    model.forward = torch.compile(model.forward, backend="eager")


def replaced(model):
    forward = model.forward
    model.forward = lambda x: forward(x)


def of_a_submodule(model):
    first = model[0]
    model[2].forward = lambda x: first(x)[:, :2]


def with_partial(model):
    call = functools.partial(type(model).forward, model)
    model.forward = lambda x: call(x)


def decorated(model):
    forward = model.forward

    @functools.wraps(forward)
    def wrapper(*arguments):
        return forward(*arguments)

    model.forward = wrapper


def with_hook(model):
    first = model[0]
    model[2].register_forward_hook(lambda module, inputs, output: first(inputs[0])[:, :2])


def bound_around(model):
    forward = model.forward
    model.forward = MethodType(lambda self, x: forward(x), model)


def beside_forward(model):
    model.heads = {"main": [functools.partial(lambda module, x: model[2](x), None)]}


@pytest.mark.parametrize(
    "change_functions",
    [
        compiled, replaced, of_a_submodule, decorated, with_partial,
        with_hook, bound_around, beside_forward,
    ],
)  # fmt: skip
def test_a_copy_whose_functions_call_the_original_says_so(change_functions):
    model = make_model().eval()
    change_functions(model)
    ema = ModelEma(model, decay=0.0)
    with pytest.raises(RuntimeError, match=r"with ema\.applied_to\(model\)"):
        ema.module(torch.ones(1, 3))


def bound(model):
    return MethodType(lambda self, x: nn.Sequential.forward(self, x) + 1, model)


def bound_partly(model):
    return functools.partial(nn.Sequential.forward, model)


@pytest.mark.parametrize("bind", [bound, bound_partly])
def test_a_copy_with_functions_of_its_own_works(bind):
    model = make_model().eval()
    model.forward = bind(model)
    model.act = nn.functional.relu
    ema = ModelEma(model)
    nn.init.zeros_(model[2].weight)
    assert not torch.equal(ema.module(torch.ones(1, 3)), model(torch.ones(1, 3)))


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


@pytest.mark.parametrize(
    "use", [ModelEma.update, ModelEma.set, lambda ema, model: ema.applied_to(model).__enter__()]
)
def test_what_is_not_a_model_is_refused(use):
    with pytest.raises(TypeError, match=r"model=5 is an int, but has to be a torch\.nn\.Module"):
        use(ModelEma(nn.Linear(1, 1)), 5)
