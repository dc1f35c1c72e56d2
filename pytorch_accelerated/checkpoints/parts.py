"""What a checkpoint is made of: parts with names, each of which tells its state and takes it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pytorch_accelerated.checkpoints.folders import CheckpointError, from_json, to_json
from pytorch_accelerated.checkpoints.tensor_files import pieces, read
from pytorch_accelerated.checkpoints.trees import join, split

_STATE_FILE = "state.json"

# Parts whose tensors have a file of their own; all others share one.
_OWN_FILES = {"model": "the model's state", "optimizer": "the optimizer's state"}
_SHARED = "state"


class Part(Protocol):
    """Anything with a state: a model, an optimizer, a history, a counter."""

    def state_dict(self) -> Any:
        """What has to be known to continue: tensors and plain Python values."""

    def load_state_dict(self, state: Any) -> Any:
        """Take up what `state_dict` returned."""


@dataclass
class SavedState:
    """What a checkpoint holds, as it was read.

    Attributes:
        folder: Where it was read from.
        contents: The state of each part, by name.
    """

    folder: Path
    contents: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        try:
            return self.contents[name]
        except KeyError:
            raise CheckpointError(
                f"{self.folder / _STATE_FILE} is damaged: it has no {name!r}"
            ) from None


def files_of(states: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The files of a checkpoint; tensors are copied to host memory.

    Args:
        states: The state of each part, by name.

    Raises:
        TypeError: A state could not be loaded again without running code from the file.
    """
    trees = {name: (states[name], where) for name, where in _OWN_FILES.items()}
    shared = {name: state for name, state in states.items() if name not in _OWN_FILES}
    trees[_SHARED] = (shared, "the state of the run")
    skeletons: dict[str, Any] = {}
    files: dict[str, list[Any]] = {}
    for name, (tree, where) in trees.items():
        skeletons[name], tensors = split(tree, where)
        files[f"{name}.safetensors"] = pieces(tensors)
    return {**files, _STATE_FILE: [to_json(skeletons)]}


def read_state(folder: Path) -> SavedState:
    """Read a checkpoint whose files were verified.

    Args:
        folder: The checkpoint.

    Raises:
        CheckpointError: It is not what `files_of` makes.
    """
    path = folder / _STATE_FILE
    try:
        skeletons = from_json(path.read_bytes(), str(path))
        trees = {
            name: join(skeletons[name], read(folder / f"{name}.safetensors"), str(path))
            for name in (*_OWN_FILES, _SHARED)
        }
        shared = trees.pop(_SHARED)
        return SavedState(folder, {**trees, **shared})
    except (OSError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged: {error!r}") from None
