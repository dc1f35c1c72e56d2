"""The range test finds where the loss falls, and leaves everything as it was."""

from __future__ import annotations

import copy
import itertools
import math
import random
from functools import partial
from unittest.mock import Mock

import numpy
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from pytorch_accelerated.preview import find_lr
from pytorch_accelerated.preview.lr_range import _smoothed, _steepest


def data(count: int = 64) -> TensorDataset:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(count, 4, generator=generator)
    return TensorDataset(inputs, inputs @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]))


def network() -> nn.Module:
    generator = torch.Generator().manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def trained(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Make an update, so that the optimizer has state, and leave gradients behind."""
    inputs, targets = data()[:16]
    nn.functional.mse_loss(model(inputs), targets).backward()
    optimizer.step()


def state_of(model, optimizer):
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    gradients = [p.grad for p in model.parameters()]
    state = (model.state_dict(), model.training, gradients, optimizer.state_dict(), groups)
    return copy.deepcopy(state)


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW, torch.optim.Adagrad])
def test_model_optimizer_and_random_numbers_come_back_unchanged(kind):
    model = network().eval()
    optimizer = kind(model.parameters(), lr=0.01)
    trained(optimizer, model)
    generator = torch.Generator().manual_seed(1)
    loader = DataLoader(data(), batch_size=16, shuffle=True, generator=generator)
    before = state_of(model, optimizer)
    parameters = list(model.parameters())
    groups = optimizer.param_groups[0]
    rng = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1].copy()
    loader_rng = generator.get_state()
    find_lr(model, nn.MSELoss(), optimizer, loader, num_updates=12)
    assert equal(state_of(model, optimizer), before)
    assert [id(p) for p in model.parameters()] == [id(p) for p in parameters]
    assert optimizer.param_groups[0] is groups
    assert torch.equal(torch.get_rng_state(), rng[0])
    assert random.getstate() == rng[1]
    assert (numpy.random.get_state()[1] == rng[2]).all()
    assert torch.equal(generator.get_state(), loader_rng)


def test_everything_comes_back_when_the_test_fails_too():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state = torch.get_rng_state()
    calls = itertools.count()

    def failing(output, target):
        if next(calls) == 3:
            raise RuntimeError("out of memory")
        return nn.functional.mse_loss(output, target)

    before = state_of(model, optimizer)
    with pytest.raises(RuntimeError, match="out of memory"):
        find_lr(model, failing, optimizer, DataLoader(data(), 16, shuffle=True))
    assert equal(state_of(model, optimizer), before)
    assert torch.equal(torch.get_rng_state(), state)


class Counting(nn.Module):
    """A model with everything that a module may hold."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("hidden", torch.zeros(()), persistent=False)
        self.plain = torch.zeros(())
        self.calls = 0
        self.register_buffer("wide", torch.ones(1).expand(3))

    def forward(self, x):
        self.calls += 1
        self.hidden += 1
        self.plain += 1
        self.mean = 0.9 * self.mean + 0.1 * x.mean(dim=0).detach()
        return self.linear(x - self.mean)


def test_all_that_a_model_holds_comes_back_bit_for_bit():
    model = Counting()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, capturable=False)
    trained(optimizer, model)
    with torch.no_grad():
        model.linear.bias.fill_(-0.0)
    mean, gradient = model.mean, model.linear.weight.grad
    kept = [tensor.clone() for tensor in (mean, gradient, model.hidden, model.plain)]
    find_lr(model, nn.MSELoss(), optimizer, DataLoader(data(), 16), num_updates=12)
    assert model.calls == 1
    assert model.mean is mean
    assert model.linear.weight.grad is gradient
    for tensor, before in zip((mean, gradient, model.hidden, model.plain), kept, strict=True):
        assert torch.equal(tensor, before)
    assert math.copysign(1.0, model.linear.bias.item()) == -1.0


def compiled(model):
    model.forward = torch.compile(model.forward, backend="eager")


def replaced(model):
    forward = model.forward
    model.forward = lambda x: forward(x)


def of_a_submodule(model):
    first = model[0]
    model[3].forward = lambda x: nn.functional.linear(x, first.weight.mean(dim=1)[None])


@pytest.mark.parametrize("change_forward", [compiled, replaced, of_a_submodule])
def test_a_model_that_calls_itself_through_a_function_is_tested_and_left_alone(change_forward):
    def test(change=None):
        model = network()
        model[2].p = 0.0
        if change is not None:
            change(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        before = state_of(model, optimizer)
        found = find_lr(model, nn.MSELoss(), optimizer, DataLoader(data(), 16))
        assert equal(state_of(model, optimizer), before)
        assert all(parameter.grad is None for parameter in model.parameters())
        return found

    found = test(change_forward)
    assert found.suggestion > 1e-4
    if change_forward is not of_a_submodule:
        assert found.losses == test().losses


def test_an_optimizer_that_evaluates_with_other_weights_is_tested_in_training_mode():
    schedulefree = pytest.importorskip("schedulefree")
    model = network()
    optimizer = schedulefree.SGDScheduleFree(model.parameters(), lr=0.1)
    optimizer.train()
    trained(optimizer, model)
    optimizer.eval()
    before = state_of(model, optimizer)
    found = find_lr(model, nn.MSELoss(), optimizer, DataLoader(data(), 16))
    assert found.suggestion is not None
    assert equal(state_of(model, optimizer), before)


def test_a_loss_that_is_a_function_over_a_module_leaves_no_gradient():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

    model, scaled = network(), Scaled()
    optimizer = torch.optim.SGD([*model.parameters(), *scaled.parameters()], lr=0.1)
    loss = lambda output, target: scaled.scale * nn.functional.mse_loss(output, target)  # noqa: E731
    find_lr(model, loss, optimizer, DataLoader(data(), 16), num_updates=20)
    assert scaled.scale.item() == 1.0
    assert scaled.scale.grad is None


def test_rates_rise_in_equal_ratios_from_the_lowest_to_the_highest():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    loader = DataLoader(data(), 32)
    found = find_lr(
        model, nn.MSELoss(), optimizer, loader, lowest=1e-6, highest=1e-3, num_updates=10
    )
    assert not found.has_diverged
    assert len(found.losses) == len(found.smoothed) == len(found.learning_rates) == 10
    assert found.learning_rates[0] == pytest.approx(1e-6, rel=1e-12)
    assert found.learning_rates[-1] == pytest.approx(1e-3, rel=1e-12)
    ratios = [b / a for a, b in itertools.pairwise(found.learning_rates)]
    assert ratios == pytest.approx([10 ** (3 / 9)] * 9, rel=1e-9)


def test_groups_keep_their_proportions_and_a_schedulers_base_counts():
    model = network()
    groups = [
        {"params": list(model[0].parameters()), "lr": 0.01},
        {"params": list(model[3].parameters()), "lr": torch.tensor(0.1)},
    ]
    optimizer = torch.optim.SGD(groups)
    native = lr_scheduler.LambdaLR(optimizer, lambda k: 0.5)
    seen = []

    class Loss(nn.Module):
        def forward(self, output, target):
            return nn.functional.mse_loss(output, target)

    def step(*arguments):
        seen.append("a hook ran")

    optimizer.register_step_pre_hook(step)
    found = find_lr(model, Loss(), optimizer, DataLoader(data(), 32), highest=1e-4, num_updates=5)
    assert found.learning_rates[-1] == pytest.approx(1e-4, rel=1e-6)
    assert seen == []
    assert [float(group["lr"]) for group in optimizer.param_groups] == pytest.approx([0.005, 0.05])
    assert native.last_epoch == 0


def test_several_optimizers_are_tested_as_one_of_all_their_groups():
    def tested(are_several):
        model = network()
        first, *others = model
        weights = [p for one in others for p in one.parameters()]
        groups = [{"params": [*first.parameters()], "lr": 0.01}, {"params": weights, "lr": 0.1}]
        kind = partial(torch.optim.SGD, momentum=0.9)
        optimizers = [kind([group]) for group in groups] if are_several else [kind(groups)]
        before = [state_of(model, one) for one in optimizers]
        given = optimizers if are_several else optimizers[0]
        torch.manual_seed(2)  # of the dropout
        found = find_lr(model, nn.MSELoss(), given, DataLoader(data(), 16), num_updates=12)
        assert equal([state_of(model, one) for one in optimizers], before)
        return found

    assert tested(are_several=True) == tested(are_several=False)
    one = torch.optim.SGD(network().parameters())
    with pytest.raises(ValueError, match=r"optimizer\[1\] is there twice"):
        find_lr(network(), nn.MSELoss(), [one, one], [])


def test_the_optimizers_copy_trains_the_model():
    # On a parabola, gradient descent diverges for rates above 2 over the curvature.
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    batch = (torch.ones(1, 1), torch.zeros(1, 1))  # loss w², curvature 2: diverges above 1
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = find_lr(
        model, nn.MSELoss(), optimizer, [batch], lowest=1e-4, highest=100.0, num_updates=200
    )
    assert found.has_diverged
    assert 1.0 < found.learning_rates[-1] < 20.0
    assert found.suggestion is not None
    assert 1e-3 < found.suggestion < 0.5
    assert model.weight.item() == 1.0
    weight, expected = 1.0, []
    for rate in found.learning_rates:
        expected.append(weight**2)
        weight -= rate * 2 * weight
    assert found.losses == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_a_loss_with_parameters_comes_back_too():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, output, target):
            return (self.scale * (output - target)).square().mean()

    model, loss = network(), Weighted()
    optimizer = torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.1)
    find_lr(model, loss, optimizer, DataLoader(data(), 16), num_updates=20)
    assert loss.scale.item() == 1.0
    assert loss.scale.grad is None


def test_the_end_is_divergence_also_without_a_number():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    calls = itertools.count()

    def loss(output, target):
        value = nn.functional.mse_loss(output, target)
        return value * math.nan if next(calls) == 6 else value

    loader = DataLoader(data(), 16)
    found = find_lr(model, loss, optimizer, loader, highest=1e-3)
    assert found.has_diverged
    assert len(found.losses) == 6
    with pytest.raises(ValueError, match="very first batch"):
        find_lr(model, lambda o, t: (o * math.nan).sum(), optimizer, loader)


def test_a_loss_that_never_falls_gives_no_suggestion():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rising = itertools.count(1.0, 0.01)
    found = find_lr(
        model,
        lambda output, target: output.sum() * 0.0 + next(rising),
        optimizer,
        DataLoader(data(), 16),
        num_updates=20,
    )
    assert found.suggestion is None
    assert str(found).startswith("No suggestion: the loss does not fall (20 updates from 1e-07")
    assert found.plot()._repr_png_().startswith(b"\x89PNG")


def test_the_picture_shows_loss_and_suggestion():
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    found = find_lr(model, nn.MSELoss(), optimizer, DataLoader(data(), 16))
    (axes,) = found.plot().axes
    assert axes.get_xscale() == "log"
    raw, thick, *_ = axes.get_lines()
    assert list(raw.get_ydata()) == list(found.losses)
    assert list(thick.get_ydata()) == list(found.smoothed)
    assert found.suggestion in found.learning_rates
    marked = [line for line in axes.get_lines() if list(line.get_xdata()) == [found.suggestion]]
    assert len(marked) == 1
    assert f"Suggested learning rate: {found.suggestion:.3g}" in str(found)
    assert axes.get_ylim()[0] < min(found.losses)


def test_on_handwritten_digits_the_suggestion_trains_and_nothing_has_changed():
    pictures, labels = load_digits(return_X_y=True)
    inputs = torch.tensor(pictures / 16).float().reshape(-1, 1, 8, 8)
    loader = DataLoader(TensorDataset(inputs, torch.tensor(labels)), batch_size=64, shuffle=True)

    def new():
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Flatten()),
            nn.Linear(8 * 36, 10),
        )
        return model, torch.optim.AdamW(model.parameters(), lr=1e-3)

    model, optimizer = new()
    model(inputs[:32])  # so that batch normalisation has statistics
    before, rng = state_of(model, optimizer), torch.get_rng_state()
    found = find_lr(model, nn.CrossEntropyLoss(), optimizer, loader)
    assert equal(state_of(model, optimizer), before)
    assert torch.equal(torch.get_rng_state(), rng)
    assert found.suggestion is not None

    def loss_with(rate):
        model, optimizer = new()
        optimizer.param_groups[0]["lr"] = rate
        for batch, targets in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), targets).backward()
            optimizer.step()
        return nn.functional.cross_entropy(model.eval()(inputs), torch.tensor(labels)).item()

    assert loss_with(found.suggestion) < 0.5 * loss_with(found.suggestion / 30)
    assert loss_with(found.suggestion) < 0.5 * loss_with(found.suggestion * 300)


def test_smoothing_has_no_lag_and_is_not_bent_by_an_explosion():
    falling = [10.0 - k for k in range(10)]
    smooth = _smoothed(falling, 0.5)
    assert smooth[4] + smooth[5] == pytest.approx(falling[4] + falling[5])  # symmetric
    assert _smoothed(falling, 0.0) == falling
    assert max(_smoothed([*falling, 1e30], 0.8)) <= 10.0


def test_the_steepest_is_before_the_minimum():
    losses = [5.0, 4.9, 4.0, 2.0, 1.5, 1.4, 9.0, 3.0]
    rates = [float(k) for k in range(8)]
    assert _steepest(rates, losses) == 2.0
    assert _steepest([1.0], [3.0]) is None
    assert _steepest([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) is None


def test_wrong_arguments_are_refused_in_words():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(data(), 16)

    def test(**options):
        return find_lr(
            options.pop("model", model),
            nn.MSELoss(),
            options.pop("optimizer", optimizer),
            options.pop("dataloader", loader),
            **options,
        )

    for options, kind, message in [
        ({"lowest": 0.0}, ValueError, r"lowest=0.0, highest=10.0"),
        ({"lowest": 1.0, "highest": 0.1}, ValueError, "below the highest"),
        ({"highest": math.inf}, ValueError, "finite"),
        ({"num_updates": 1}, ValueError, "num_updates=1"),
        ({"smoothing": 1.0}, ValueError, "smoothing=1.0"),
        ({"divergence": 1.0}, ValueError, "divergence=1.0"),
        ({"dataloader": []}, ValueError, "no batches"),
        ({"dataloader": [torch.ones(3)]}, TypeError, "pair of input and target"),
        ({"optimizer": 3}, TypeError, "optimizer=3"),
        ({"optimizer": Mock()}, TypeError, "optimizer=<Mock"),
        ({"model": 3}, TypeError, "model=3"),
        (
            {"optimizer": torch.optim.SGD(model.parameters(), lr=0.0)},
            ValueError,
            "learning rate above 0",
        ),
    ]:
        with pytest.raises(kind, match=message):
            test(**options)
