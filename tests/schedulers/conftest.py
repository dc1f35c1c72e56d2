"""What the schedulers' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def warn_always() -> Iterator[None]:
    """Have PyTorch repeat warnings that it gives once per process, so that every test sees them."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)
