"""Failures known from Lightning, by the ids of the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.interop.test_lightning import Module, batches, pytestmark, trainer  # noqa: F401

peer = pytest.mark.peer


class Plain(Module):
    """Hands over a scheduler with the given settings."""

    def __init__(self, make: Any, **settings: Any) -> None:
        super().__init__(make)
        self.settings = settings

    def configure_optimizers(self) -> Any:
        configured = super().configure_optimizers()
        configured["lr_scheduler"] = {"scheduler": self.scheduler, **self.settings}
        return configured


def halving(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)


@peer
def test_f05_peer_lightning_resumes_with_the_old_length(tmp_path: Path) -> None:
    def cosine(length: int) -> Any:
        return lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, length)

    short = Plain(cosine(4), interval="step")
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(short, batches(4))
    fit.save_checkpoint(tmp_path / "short.ckpt")
    longer = Plain(cosine(8), interval="step")
    trainer(tmp_path, max_epochs=2).fit(
        longer, batches(4), ckpt_path=tmp_path / "short.ckpt", weights_only=False
    )
    assert longer.used()[-1] == pytest.approx(0.1)


@peer
def test_f30_peer_lightning_divides_a_short_window_by_the_full_length(tmp_path: Path) -> None:
    class Gradients(Module):
        gradients: list[float] = []  # noqa: RUF012

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.layer(batch[0]).mean()

        def on_before_optimizer_step(self, optimizer: Any) -> None:
            self.gradients.append(float(self.layer.weight.grad))

    module = Gradients(halving)
    trainer(tmp_path, max_epochs=1, accumulate_grad_batches=3).fit(module, batches(5))
    assert module.gradients == pytest.approx([1.0, 2 / 3])


@peer
@pytest.mark.filterwarnings("ignore:A `OneCycleLR` scheduler is using 'interval'")
def test_f31_peer_lightning_steps_once_an_epoch_unless_told(tmp_path: Path) -> None:
    def one_cycle(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=33)

    module = Plain(one_cycle)
    trainer(tmp_path, max_epochs=2).fit(module, batches(16))
    assert max(module.used()) < 0.2  # of a peak of 1.0


@peer
def test_f32_peer_lightning_counts_batches_of_one_epoch(tmp_path: Path) -> None:
    seldom = Plain(halving, interval="step", frequency=20)
    trainer(tmp_path, max_epochs=3).fit(seldom, batches(16))
    assert set(seldom.used()) == {0.1}
    often = Plain(halving, interval="step", frequency=2)
    trainer(tmp_path, max_epochs=1, accumulate_grad_batches=4).fit(often, batches(16))
    assert len(set(often.used())) == 5
