"""Evaluations and predictions that a user asks for, between two runs or within one that is on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, RandomSampler

from pytorch_accelerated import run_config
from pytorch_accelerated.callbacks.log_metrics import NewMetrics
from pytorch_accelerated.run import preparing
from pytorch_accelerated.run.data import by_rows
from pytorch_accelerated.run.processes import evaluated_alike
from pytorch_accelerated.run.run import Run
from pytorch_accelerated.run.sharing import in_step

_NOTHING = object()

# What a prediction leaves as it was.
_OF_RUNS = ("run", "run_config", "train_dataset", "eval_dataset", "collate_fn")


@contextmanager
def evaluating(trainer: Any, run: Run) -> Iterator[None]:
    """Have the model in evaluation mode; each module then returns to the mode that it was in."""
    modes = [(module, module.training) for module in trainer.model.modules()]
    try:
        trainer.model.eval()
        with run.evaluation_weights(), evaluated_alike(trainer.model):
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def evaluate(trainer: Any, *given: Any) -> dict[str, Any]:
    """Evaluate, on the data of the latest run if none is given; return what was recorded."""

    def make(run: Run, is_within: bool) -> None:
        if is_within:
            run.fire("on_evaluation_run_start")  # to what computes metrics, nobody else hears it
            trainer._run_eval_epoch(trainer._eval_dataloader, is_training=False)
            return
        if trainer._log_with is not None:
            preparing.start_trackers(run)
        trainer._run_evaluation()

    new = NewMetrics()
    new.know_all(trainer.run_history)
    _on_data(trainer, make, *given)
    return {name: values[-1] for name, values in new.take(trainer.run_history).items()}


def predict(trainer: Any, *given: Any) -> Any:
    """Return what the model says of a data set, in its order, on every process."""
    outputs: list[Any] = []

    def make(run: Run, is_within: bool) -> None:
        loader = trainer._eval_dataloader
        _check_order(trainer.eval_dataset, loader, run.processes.shares)
        run.processes.before_workers_start(loader)
        with evaluating(trainer, run), torch.no_grad():
            batches = in_step(run, by_rows(loader), trainer.predict_batch)
            found = [_on_cpu(trainer.predict_batch(batch)) for batch in batches]
        if run.processes.count > 1:
            # Each share is every so many-th batch; several processes may have had the same.
            shares = dict(run.processes.each((run.processes.share, found)))
            in_order = [shares[share] for share in sorted(shares)]
            rounds = zip_longest(*in_order, fillvalue=_NOTHING)
            found = [one for batches in rounds for one in batches if one is not _NOTHING]
        outputs.extend(found)

    before = {name: getattr(trainer, name) for name in _OF_RUNS}
    try:
        _on_data(trainer, make, *given)
    finally:
        vars(trainer).update(before)
    return _joined(outputs)


def _on_data(
    trainer: Any,
    make: Callable[[Run, bool], None],
    dataset: Any,
    batch_size: Any,
    loader_kwargs: Any,
    collate_fn: Any,
) -> None:
    """Prepare the data, and the model if no run is on, for what is made of them."""
    if dataset is None and trainer.eval_dataset is None:
        raise ValueError("dataset is None, and no run has had evaluation data: give a dataset")
    batch_size = run_config.batch_size(batch_size, dataloader_kwargs=loader_kwargs)
    run_config.check_kinds(model=trainer.model, collate_fn=collate_fn)
    shown = {
        "eval_dataset": trainer.eval_dataset if dataset is None else dataset,
        "collate_fn": trainer.collate_fn if collate_fn is None else collate_fn,
        "train_dataset": None,
    }
    outer = trainer.run if trainer.run.is_on else None
    run = trainer._new_run(trainer._training.loop, outer)
    if outer is not None:
        with preparing.within(run, outer, **shown):
            preparing.make_eval_loader(run, batch_size, loader_kwargs)
            preparing.prepare_limited_eval_loader(run)
            make(run, True)
        return
    trainer.run = run
    with preparing.on(run, trainer):
        vars(trainer).update(shown)
        preparing.make_eval_loader(run, batch_size, loader_kwargs)
        preparing.prepare(run)
        run.config = trainer.run_config = trainer._create_run_config(
            per_device_batch_size=batch_size,
            num_epochs=1,
            gradient_accumulation_steps=1,
            max_num_train_steps=None,
            gradient_clip_value=None,
        )
        make(run, False)


def _check_order(given: Any, loader: Any, num_processes: int) -> None:
    """Refuse data whose order would not be that of the outputs."""
    if isinstance(given, DataLoader) and isinstance(given.sampler, RandomSampler):
        raise ValueError(
            "the DataLoader shuffles, so its outputs would be in an order that nobody knows: "
            "make it with shuffle=False, or give its data set"
        )
    if num_processes > 1 and isinstance(getattr(loader, "dataset", None), IterableDataset):
        raise ValueError(
            "the data is a stream, of which several processes cannot keep the order: predict on "
            "one process, or give a data set with a length"
        )


def predictions(trainer: Any, batch: Any) -> Any:
    """Pass the inputs of a batch through the model."""
    if isinstance(batch, Mapping):
        raise TypeError(
            f"a batch is a {type(batch).__name__}, of which only you know what the model takes: "
            f"override predict_batch, for example with return self.model(batch['inputs'])"
        )
    return trainer.model(batch[0] if isinstance(batch, list | tuple) else batch)


def _on_cpu(outputs: Any) -> Any:
    """Return outputs with all tensors on the CPU."""
    if isinstance(outputs, Tensor):
        return outputs.detach().cpu()
    if isinstance(outputs, Mapping):
        return {name: _on_cpu(one) for name, one in outputs.items()}
    if isinstance(outputs, list | tuple):
        return (
            type(outputs)(map(_on_cpu, outputs))
            if type(outputs) in (list, tuple)
            else (
                type(outputs)(*map(_on_cpu, outputs))  # a named tuple
            )
        )
    return outputs


def _joined(batches: list[Any]) -> Any:
    """Return the outputs of all batches as one, of the kind that each of them is."""
    first = batches[0]
    if isinstance(first, Mapping):
        return {name: _joined([batch[name] for batch in batches]) for name in first}
    if isinstance(first, tuple):
        parts = (_joined([batch[i] for batch in batches]) for i in range(len(first)))
        return tuple(parts) if type(first) is tuple else type(first)(*parts)
    if isinstance(first, list):
        return [one for batch in batches for one in batch]
    if not isinstance(first, Tensor):
        return batches
    try:
        return torch.cat(batches)
    except RuntimeError as error:
        raise ValueError(
            f"the outputs of the batches do not fit together: {error}. Have predict_batch return "
            f"tensors that differ in their first dimension only, or a list with one entry a sample"
        ) from None
