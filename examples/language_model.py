"""A character language model on Python's own standard library, with warmup, stable, decay.

It reads the sources of the running Python, so nothing is downloaded. Samples are paragraphs of
code of different lengths, so a batch counts by its characters: ``num_items_in_batch`` makes every
character of an update weigh the same, over all batches that are accumulated for it. The stable
phase could go on for as long as you like; the decay at the end brings the loss down.
"""

from __future__ import annotations

import argparse
import sysconfig
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import random_split

from pytorch_accelerated import Trainer
from pytorch_accelerated.callbacks import ScheduleMonitorCallback, TerminateOnNaNCallback
from pytorch_accelerated.schedulers import WSDLrScheduler

NUM_CHARACTERS = 128  # ASCII; 0 fills up short paragraphs
LONGEST = 64


def paragraphs(count: int) -> list[Tensor]:
    """Pieces of the standard library's modules between blank lines, as character codes."""
    pieces: list[Tensor] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text = path.read_text(encoding="ascii", errors="ignore").replace("\0", "")
        pieces += [
            torch.tensor([*piece[:LONGEST].encode(), ord("\n")])
            for piece in text.split("\n\n")
            if len(piece) > LONGEST // 4
        ]
    order = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(0))
    return [pieces[index] for index in order[:count].tolist()]


def pad(samples: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Input and target of a batch: the target is the next character at each place."""
    padded = nn.utils.rnn.pad_sequence(samples, batch_first=True)
    return padded[:, :-1], padded[:, 1:]


class CharacterModel(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(NUM_CHARACTERS, 32, padding_idx=0)
        self.recurrence = nn.GRU(32, width, batch_first=True)
        self.output = nn.Linear(width, NUM_CHARACTERS)

    def forward(self, characters: Tensor) -> Tensor:
        return self.output(self.recurrence(self.embedding(characters))[0])


class LanguageModelTrainer(Trainer):
    def calculate_train_batch_loss(self, batch: Any) -> dict[str, Any]:
        inputs, targets = batch
        logits = self.model(inputs)
        num_characters = (targets != 0).sum()
        return {
            "loss": self.loss_func(logits.flatten(0, 1), targets.flatten()),
            "model_outputs": logits,
            # The loss is a mean over characters: for the update, and in the history.
            "num_items_in_batch": num_characters,
            "batch_size": num_characters,
        }

    def calculate_eval_batch_loss(self, batch: Any) -> dict[str, Any]:
        return self.calculate_train_batch_loss(batch)


@torch.no_grad()
def write(model: nn.Module, beginning: str, length: int = 120) -> str:
    """Let the model go on, character by character."""
    characters = list(beginning.encode())
    generator = torch.Generator().manual_seed(0)
    for _ in range(length):
        logits = model(torch.tensor([characters]))[0, -1] / 0.7
        characters.append(int(torch.multinomial(logits.softmax(0), 1, generator=generator)))
    return bytes(characters).decode()


def main() -> tuple[Trainer, ScheduleMonitorCallback]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--paragraphs", type=int, default=1_500)
    arguments = parser.parse_args()

    torch.manual_seed(0)
    train_set, test_set = random_split(paragraphs(arguments.paragraphs), [0.9, 0.1])
    model = CharacterModel()
    monitor = ScheduleMonitorCallback()
    trainer = LanguageModelTrainer(
        model,
        loss_func=nn.CrossEntropyLoss(ignore_index=0),
        optimizer=torch.optim.AdamW(model.parameters(), lr=3e-2),
        callbacks=[TerminateOnNaNCallback, monitor],
    )
    trainer.train(
        train_set,
        num_epochs=arguments.epochs,
        eval_dataset=test_set,
        per_device_batch_size=16,
        gradient_accumulation_steps=2,
        gradient_clip_norm=1.0,
        collate_fn=pad,
        create_scheduler_fn=WSDLrScheduler.create_scheduler_fn(decay_phase_ratio=0.2),
    )

    losses = trainer.run_history.get_metric_values("eval_loss_epoch")
    updates_per_epoch = trainer.run_config.num_update_steps_per_epoch
    for epoch, loss in enumerate(losses, start=1):
        lr = monitor.applied["lr"][epoch * updates_per_epoch - 1][0]
        print(f"epoch {epoch}: last rate {lr:.2e}, test loss per character {loss:.3f}")
    print(f"\n{write(model.eval(), 'def ')}")
    return trainer, monitor


if __name__ == "__main__":
    main()
