"""The random number generators of a process: Python's, NumPy's, PyTorch's and the device's."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def get(device: torch.device | None = None) -> dict[str, Any]:
    """States of the generators, as plain values and tensors.

    Args:
        device: The process's device, whose own generator is included.
    """
    version, words, gauss = random.getstate()
    numpy_words: Any
    _, numpy_words, *numpy_rest = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": [version, torch.tensor(words), gauss],
        "numpy": [torch.from_numpy(numpy_words.astype("int64")), *map(_number, numpy_rest)],
        "torch": torch.get_rng_state(),
    }
    if device is not None and device.type != "cpu":
        state[device.type] = torch.get_device_module(device).get_rng_state(device)
    return state


def _number(value: Any) -> int | float:
    return float(value) if isinstance(value, float) else int(value)


def put(state: dict[str, Any], device: torch.device | None = None) -> None:
    """Go back to states that `get` returned.

    Args:
        state: The states.
        device: The process's device.
    """
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    numpy_words, *numpy_rest = state["numpy"]
    np.random.set_state(("MT19937", numpy_words.numpy().astype("uint32"), *numpy_rest))
    torch.set_rng_state(state["torch"])
    if device is not None and device.type in state:
        torch.get_device_module(device).set_rng_state(state[device.type], device)


def seed_generators(seed: int) -> None:
    """Seed the generators of a data loader's worker.

    Args:
        seed: A whole number.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed % 2**63)


class Own:
    """A state of Python's, NumPy's and PyTorch's generators that is in force in ``with`` only.

    Args:
        seed: A whole number that it begins with.
    """

    def __init__(self, seed: int) -> None:
        others = _states()
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed % 2**63)
        self._own = _states()
        _put_states(others)

    def __enter__(self) -> None:
        self._others = _states()
        _put_states(self._own)

    def __exit__(self, *exception: object) -> None:
        self._own = _states()
        _put_states(self._others)


def _states() -> tuple[Any, Any, torch.Tensor]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _put_states(states: tuple[Any, Any, torch.Tensor]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
