"""What a trainer adds to each update, over a hand-written PyTorch loop that does the same."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.measure import Makers, Measured, clock
from benchmarks.reference import Reference

WARM_UP = 30  # updates before the clock starts: by then every trainer is under way
UPDATES = 150  # … and updates in all
FEW = 4  # updates where only the first one counts


class Clocked(torch.optim.SGD):
    """Notes when its updates are made: the same clock for whoever calls it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.updates = 0
        self.first = self.begin = self.end = 0.0

    def step(self, closure: Any = None) -> Any:
        result = super().step(closure)
        self.updates += 1
        if self.updates == 1:
            self.first = clock()
        elif self.updates == WARM_UP:
            self.begin = clock()
        elif self.updates == UPDATES:
            self.end = clock()
        return result


def data(batch_size: int, updates: int = UPDATES) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch_size * updates, 32, generator=generator)
    return TensorDataset(inputs, torch.randint(10, (len(inputs),), generator=generator))


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))


def optimizer_of(model: nn.Module) -> Clocked:
    return Clocked(model.parameters(), lr=0.01, momentum=0.9)


def decay(update: int) -> float:
    return 1.0 - update / UPDATES


Run = Callable[[Any, int], Clocked]


def pytorch(dataset: Any, batch_size: int) -> Clocked:
    model, loss_function = network(), nn.CrossEntropyLoss()
    optimizer = optimizer_of(model)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, decay)
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)
    model.train()
    total, count = torch.zeros(()), 0
    for inputs, targets in loader:
        loss = loss_function(model(inputs), targets)
        total += loss.detach() * len(targets)
        count += len(targets)
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    float(total / count)
    return optimizer


def sliced(dataset: Any, batch_size: int) -> Clocked:
    """Train without a data loader: the limit where the data are tensors in memory."""
    model, loss_function = network(), nn.CrossEntropyLoss()
    optimizer = optimizer_of(model)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, decay)
    model.train()
    total, count = torch.zeros(()), 0
    for indices in torch.randperm(len(dataset)).split(batch_size):
        inputs, targets = (tensor[indices] for tensor in dataset.tensors)
        loss = loss_function(model(inputs), targets)
        total += loss.detach() * len(targets)
        count += len(targets)
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    float(total / count)
    return optimizer


def ours(dataset: Any, batch_size: int) -> Clocked:
    from pytorch_accelerated import Trainer

    optimizer = optimizer_of(model := network())
    Trainer(model, nn.CrossEntropyLoss(), optimizer).train(
        dataset,
        num_epochs=1,
        per_device_batch_size=batch_size,
        create_scheduler_fn=lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, decay),
        # The default of ours on CPU; the reference would start a process for each core.
        train_dataloader_kwargs={"num_workers": 0},
    )
    return optimizer


def accelerate(dataset: Any, batch_size: int) -> Clocked:
    from accelerate import Accelerator

    accelerator = Accelerator()
    model, loss_function = network(), nn.CrossEntropyLoss()
    own = optimizer_of(model)
    model, optimizer, loader, scheduler = accelerator.prepare(
        model,
        own,
        DataLoader(dataset, batch_size=batch_size, shuffle=True),
        torch.optim.lr_scheduler.LambdaLR(own, decay),
    )
    model.train()
    total, count = torch.zeros(()), 0
    for inputs, targets in loader:
        with accelerator.accumulate(model):
            loss = loss_function(model(inputs), targets)
            total += loss.detach() * len(targets)
            count += len(targets)
            accelerator.backward(loss)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
    float(total / count)
    return own


def ignite(dataset: Any, batch_size: int) -> Clocked:
    from ignite.engine import Events, create_supervised_trainer
    from ignite.metrics import RunningAverage

    model = network()
    optimizer = optimizer_of(model)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, decay)
    engine = create_supervised_trainer(
        model, optimizer, nn.CrossEntropyLoss(), output_transform=lambda x, y, y_pred, loss: loss
    )
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: scheduler.step())
    RunningAverage(output_transform=lambda loss: loss.detach()).attach(engine, "loss")
    engine.run(DataLoader(dataset, batch_size=batch_size, shuffle=True), max_epochs=1)
    return optimizer


def lightning(dataset: Any, batch_size: int) -> Clocked:
    import lightning as L  # noqa: N812

    optimizer = optimizer_of(model := network())

    class Module(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss_function = model, nn.CrossEntropyLoss()

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self.loss_function(self.model(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, decay)
            return [optimizer], [{"scheduler": scheduler, "interval": "step"}]

    L.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False).fit(
        Module(), DataLoader(dataset, batch_size=batch_size, shuffle=True)
    )
    return optimizer


def transformers(dataset: Any, batch_size: int) -> Clocked:
    from transformers import Trainer, TrainingArguments

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss_function = network(), nn.CrossEntropyLoss()

        def forward(self, inputs: Any, labels: Any) -> Any:
            outputs = self.model(inputs)
            return {"loss": self.loss_function(outputs, labels), "logits": outputs}

    def collate(samples: list[Any]) -> dict[str, Any]:
        inputs, labels = torch.utils.data.default_collate(samples)
        return {"inputs": inputs, "labels": labels}

    model = Model()
    optimizer = optimizer_of(model)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=batch_size,
            report_to=[],
            save_strategy="no",
            logging_strategy="epoch",
            use_cpu=True,
            max_grad_norm=0.0,
            remove_unused_columns=False,
        )
        Trainer(
            model=model,
            args=arguments,
            train_dataset=dataset,
            data_collator=collate,
            optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, decay)),
        ).train()
    return optimizer


def quiet(run: Run) -> Run:
    """Run with output that is not a terminal."""

    def quietly(dataset: Any, batch_size: int) -> Clocked:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            return run(dataset, batch_size)

    return quietly


@contextlib.contextmanager
def terminal() -> Iterator[Any]:
    """Give a file that is a terminal, which another process reads."""
    reader, writer = pty.openpty()
    sink = subprocess.Popen(
        ["cat"], stdin=reader, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(reader)
    try:
        with os.fdopen(writer, "w") as file:
            yield file
    finally:
        sink.kill()
        sink.wait()


def at_a_terminal(run: Run) -> Run:
    """Run with a terminal as output, so that progress bars are drawn."""

    def at_it(dataset: Any, batch_size: int) -> Clocked:
        os.environ["TERM"] = "xterm-256color"
        with terminal() as file, contextlib.redirect_stdout(file):
            return run(dataset, batch_size)

    return at_it


def per_update(run: Run, dataset: Any, batch_size: int) -> Measured:
    """Return a function that trains and gives the seconds of an update."""

    def measured() -> float:
        optimizer = run(dataset, batch_size)
        if optimizer.updates != UPDATES:
            raise RuntimeError(f"{run} made {optimizer.updates} updates, not {UPDATES}")
        return (optimizer.end - optimizer.begin) / (UPDATES - WARM_UP)

    return measured


def until_first_update(run: Run, dataset: Any, batch_size: int) -> Measured:
    """Return a function that trains and gives the seconds until the first update is made."""

    def measured() -> float:
        start = clock()
        return run(dataset, batch_size).first - start

    return measured


RUNS: dict[str, Run] = {
    "PyTorch, by hand": pytorch,
    "PyTorch, slices by hand": sliced,
    "Trainer": quiet(ours),
    "Trainer, at a terminal": at_a_terminal(ours),
    "Accelerate, by hand": quiet(accelerate),
    "Ignite": quiet(ignite),
    "Lightning": quiet(lightning),
    "Transformers": quiet(transformers),
}


def candidates(batch_size: int) -> Makers:
    """Return what is compared, the hand-written loop first."""
    return _under_way(per_update, data(batch_size), batch_size)


def reference_candidates(batch_size: int, reference: Reference) -> Makers:
    """Return the reference and a hand-written loop in processes of the same kind.

    A process that has imported less is quicker at the same work.
    """
    return {
        "PyTorch, by hand": partial(reference.candidate, "by hand", batch_size),
        "reference Trainer": partial(reference.candidate, "loop", batch_size),
    }


def start_up(reference: Reference | None = None) -> Makers:
    """Return what is compared: the seconds until the first update is made."""
    makers = _under_way(until_first_update, data(16, FEW), 16)
    if reference is not None:
        makers["reference Trainer"] = partial(reference.candidate, "start-up", 16)
    return makers


def _under_way(
    measure: Callable[[Run, Any, int], Measured], dataset: Any, batch_size: int
) -> Makers:
    def make(run: Run) -> Measured:
        measured = measure(run, dataset, batch_size)
        measured()  # what a first run costs more is measured with start-up, in new processes
        return measured

    return {name: partial(make, run) for name, run in RUNS.items()}
