"""The metrics of a run."""

from __future__ import annotations

import json
import numbers
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pytorch_accelerated import door
from pytorch_accelerated.loss_tracker import LossTracker as LossTracker
from pytorch_accelerated.text import measured

if TYPE_CHECKING:
    from pandas import DataFrame


class RunHistory(ABC):
    """Metrics and the epoch of a run.

    While a prefix is set, every name given to `update_metric`, `get_metric_values`,
    `get_latest_metric` or `delete_metric` gets it in front, unless it begins with it already.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Histories written for older versions implement, extend or call the underscored names.
        for name in ("increment_epoch", "set_epoch"):
            for one, other in ((name, f"_{name}"), (f"_{name}", name)):
                if other in vars(cls) and one not in vars(cls):
                    setattr(cls, one, vars(cls)[other])

    @abstractmethod
    def get_metric_names(self) -> Iterable[str]:
        """Return the names of all metrics with a value, in the order of their first ones."""

    @abstractmethod
    def get_metric_values(self, metric_name: str) -> list[Any]:
        """Return all values of a metric, oldest first, as a new list; none if it has none."""

    def num_values(self, metric_name: str) -> int:
        """Return how many values a metric has; override it if counting them is cheaper."""
        return len(list(self.get_metric_values(metric_name)))

    def _all(self) -> dict[str, list[Any]]:
        metrics = {name: self.get_metric_values(name) for name in self.get_metric_names()}
        # While a prefix is set, other metrics are not to be had.
        return {name: _numbers(values) for name, values in metrics.items() if values}

    def __repr__(self) -> str:
        metrics = self._all()
        shown = [
            f"{name} {measured(values[-1]) if isinstance(values[-1], float) else values[-1]}"
            for name, values in metrics.items()
            if isinstance(values[-1], int | float)
        ]
        count = max(map(len, metrics.values()), default=0)
        latest = f", latest of {count}: {', '.join(shown)}" if count else ", empty"
        return f"<{type(self).__name__}{latest}>"

    def to_frame(self) -> DataFrame:
        """Return a pandas frame with a column for each metric, and the n-th values in row n.

        Of metrics that are recorded once an epoch, these are the values of an epoch.

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            from pandas import DataFrame, Index, Series
        except ImportError as error:
            raise ImportError("A frame needs pandas: pip install pandas") from error
        columns = {
            name: Series(values, index=range(1, len(values) + 1))
            for name, values in self._all().items()
        }
        frame: DataFrame = DataFrame(columns)
        frame.index = Index(frame.index, name="n")
        return frame

    def plot(self, log: bool | None = None) -> Any:
        """Draw the metrics over epochs, with matplotlib: all losses together, others one by one.

        Args:
            log: Whether the scales are logarithmic; by default, where values span decades.

        Returns:
            A figure, with ``savefig(path)``; a notebook shows it.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: There are no numbers to draw.
        """
        metrics = {
            name: [float(one) for one in values]
            for name, values in self._all().items()
            if all(isinstance(one, int | float) for one in values)
        }
        return door.preview().plot_metrics(metrics, log)

    def _repr_html_(self) -> Any:
        """Return what a notebook shows: a picture and a table of the metrics."""
        return door.preview().html_of_metrics(self._all())

    @abstractmethod
    def get_latest_metric(self, metric_name: str) -> Any:
        """Return the newest value of a metric.

        Raises:
            ValueError: The metric has no value.
        """

    @abstractmethod
    def set_metric_name_prefix(self, prefix: str = "") -> None:
        """Set what metric names begin with from now on; empty for nothing."""

    @property
    @abstractmethod
    def metric_name_prefix(self) -> str:
        """What metric names begin with at present."""

    @abstractmethod
    def update_metric(self, metric_name: str, metric_value: Any) -> None:
        """Append a value to a metric.

        The library's histories take what a checkpoint can hold: numbers, strings, tensors,
        ``None``, and lists, tuples, sets and dicts of these. NumPy's become plain Python; anything
        else is a `TypeError`. That on disk takes what JSON has, and lists for tensors.
        """

    @abstractmethod
    def delete_metric(self, metric_name: str) -> None:
        """Forget a metric and its values, if it has any."""

    @property
    @abstractmethod
    def current_epoch(self) -> int:
        """The epoch at hand, from 1."""

    @abstractmethod
    def increment_epoch(self) -> None:
        """Count one epoch more."""

    @abstractmethod
    def set_epoch(self, epoch: int) -> None:
        """Set the epoch at hand, from 1."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all metrics and the prefix, and go back to epoch 1."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a training state has to hold of the history; nothing unless overridden."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # noqa: B027 (optional)
        """Continue from what `state_dict` returned; does nothing unless overridden."""

    def _increment_epoch(self) -> None:
        self.increment_epoch()

    def _set_epoch(self, epoch: int) -> None:
        self.set_epoch(epoch)


class InMemoryRunHistory(RunHistory):
    """Keeps metrics in lists.

    Example:
        >>> history = InMemoryRunHistory()
        >>> history.update_metric("train_loss_epoch", 0.5)
        >>> history.set_metric_name_prefix("ema_")
        >>> history.update_metric("loss", 0.25)
        >>> history.get_latest_metric("loss")
        0.25
        >>> history.get_metric_names()
        ['train_loss_epoch', 'ema_loss']
    """

    def __init__(self) -> None:
        self.reset()

    def get_metric_names(self) -> list[str]:
        return list(self._metrics)

    def get_metric_values(self, metric_name: str) -> list[Any]:
        return list(self._metrics.get(self._full_name(metric_name), []))

    def num_values(self, metric_name: str) -> int:
        return len(self._metrics.get(self._full_name(metric_name), ()))

    def get_latest_metric(self, metric_name: str) -> Any:
        values = self._metrics.get(self._full_name(metric_name))
        if not values:
            raise ValueError(
                f"no value was recorded for the metric {self._full_name(metric_name)!r}; there "
                f"are values for: {', '.join(self._metrics) or 'none'}"
            )
        return values[-1]

    def set_metric_name_prefix(self, prefix: str = "") -> None:
        if not isinstance(prefix, str):
            raise TypeError(f"prefix={prefix!r} is not a string. Write prefix='' for none.")
        self._prefix = prefix

    @property
    def metric_name_prefix(self) -> str:
        return self._prefix

    def update_metric(self, metric_name: str, metric_value: Any) -> None:
        value = _plain(metric_value, f"the value of the metric {metric_name!r}")
        self._metrics.setdefault(self._full_name(metric_name), []).append(value)

    def delete_metric(self, metric_name: str) -> None:
        self._metrics.pop(self._full_name(metric_name), None)

    @property
    def current_epoch(self) -> int:
        return self._current_epoch

    def increment_epoch(self) -> None:
        self._current_epoch += 1

    def set_epoch(self, epoch: int) -> None:
        self._current_epoch = epoch

    def reset(self) -> None:
        self._current_epoch = 1
        self._metrics: dict[str, list[Any]] = {}
        self._prefix = ""

    def state_dict(self) -> dict[str, Any]:
        """Return all metrics, as plain numbers where they are numbers, and the epoch."""
        metrics = {name: _numbers(values) for name, values in self._metrics.items()}
        return {"metrics": metrics, "current_epoch": self._current_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._current_epoch = state_dict["current_epoch"]
        self._metrics = {name: list(values) for name, values in state_dict["metrics"].items()}

    def _full_name(self, metric_name: str) -> str:
        if metric_name.startswith(self._prefix):
            return metric_name
        return self._prefix + metric_name


class OnDiskRunHistory(InMemoryRunHistory):
    """Keeps metrics in a file with one JSON object a line, and only the newest value in memory.

    The file only grows, so it survives a crash at any moment; `reset` begins a new part of it,
    and what came before is not read any more. An existing file is continued where it ends. With
    several processes each one has a file: the first one ``path``, the others ``path`` with their
    rank added.

    Args:
        path: The file.

    Raises:
        ValueError: The file holds something else.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> history = OnDiskRunHistory(f"{folder.name}/history.jsonl")
        >>> for loss in (0.5, 0.25):
        ...     history.update_metric("train_loss_epoch", loss)
        >>> history.get_metric_values("train_loss_epoch")
        [0.5, 0.25]
        >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        rank = os.environ.get("RANK", "0")
        self._path = Path(path) if rank == "0" else Path(f"{os.fspath(path)}.{rank}")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._begin = 0  # where the part that counts begins
        self._counts: Counter[str] = Counter()
        super().reset()
        with open(self._path, "ab+") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # drops a line that a crash cut short
            file.seek(0)
            for line in iter(file.readline, b""):
                self._replay(self._parsed(line), file.tell())

    def _parsed(self, line: bytes) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict) or entry.keys() not in _ENTRIES:
                raise ValueError("not an entry")
        except ValueError:
            raise ValueError(
                f"{self._path} is not a run history: it holds the line {line[:80]!r}. Give the "
                f"path of a file that such a history has written, or of none yet."
            ) from None
        return entry

    def _replay(self, entry: dict[str, Any], end: int) -> None:
        if "metric" in entry:
            self._metrics[entry["metric"]] = [entry["value"]]
            self._counts[entry["metric"]] += 1
        elif "deleted" in entry:
            self._metrics.pop(entry["deleted"], None)
            self._counts.pop(entry["deleted"], None)
        else:
            self._current_epoch = entry["epoch"]
            if "reset" in entry:
                self._metrics.clear()
                self._counts.clear()
                self._begin = end

    def _write(self, *entries: dict[str, Any]) -> None:
        lines = [json.dumps(entry) for entry in entries]
        with open(self._path, "ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
            end = file.tell()
        for line in lines:
            self._replay(json.loads(line), end)

    def get_metric_values(self, metric_name: str) -> list[Any]:
        return self._read().get(self._full_name(metric_name), [])

    def num_values(self, metric_name: str) -> int:
        return self._counts[self._full_name(metric_name)]

    def _read(self) -> dict[str, list[Any]]:
        metrics: dict[str, list[Any]] = {}
        with open(self._path, "rb") as file:
            file.seek(self._begin)
            for entry in map(self._parsed, file):
                if "metric" in entry:
                    metrics.setdefault(entry["metric"], []).append(entry["value"])
                elif "deleted" in entry:
                    metrics.pop(entry["deleted"], None)
        return metrics

    def update_metric(self, metric_name: str, metric_value: Any) -> None:
        value = _plain(metric_value, f"the value of the metric {metric_name!r}")
        value = _numbers(value, tensors=True)
        self._write({"metric": self._full_name(metric_name), "value": value})

    def delete_metric(self, metric_name: str) -> None:
        if self._full_name(metric_name) in self._metrics:
            self._write({"deleted": self._full_name(metric_name)})

    def increment_epoch(self) -> None:
        self.set_epoch(self._current_epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        self._write({"epoch": epoch})

    def reset(self) -> None:
        """Forget all metrics and the prefix, and go back to epoch 1; the file keeps them."""
        self._prefix = ""
        self._write({"reset": True, "epoch": 1})

    def state_dict(self) -> dict[str, Any]:
        return {"metrics": self._read(), "current_epoch": self._current_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, also that of an `InMemoryRunHistory`."""
        self._write({"reset": True, "epoch": state_dict["current_epoch"]})
        for name, values in state_dict["metrics"].items():
            self._write(*({"metric": name, "value": value} for value in values))


# The keys of the lines in a history's file.
_ENTRIES = ({"metric", "value"}, {"deleted"}, {"epoch"}, {"reset", "epoch"})


def _plain(value: Any, where: str) -> Any:
    """Return a value as plain Python and tensors; raise if it holds anything else."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Tensor):
        return value.detach().clone()  # somebody may fill it again; nothing waits for its device
    if isinstance(value, Mapping):
        return {_plain(key, where): _plain(item, where) for key, item in value.items()}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return kind(_plain(item, where) for item in value)
    if hasattr(value, "tolist"):  # NumPy's
        return _plain(value.tolist(), where)
    raise TypeError(
        f"{where} holds {value!r}, of the type {type(value).__name__}, but has to be made of "
        f"numbers, strings, tensors, None, and lists, tuples, sets and dicts of these. Convert it "
        f"first, for example with float() or str()."
    )


def _numbers(value: Any, tensors: bool = False) -> Any:
    """Return a value with numbers in place of tensors that hold one; with ``tensors``, of all."""
    if isinstance(value, Tensor):
        return value.tolist() if tensors or value.dim() == 0 else value
    if isinstance(value, dict):
        return {key: _numbers(item, tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_numbers(item, tensors) for item in value)
    return value
