"""A bare PyTorch loop: two parameter groups, two scheduled fields, one scheduler.

The learning rate warms up and anneals; weight decay stays for half of the run, then fades. Each
group follows the same schedule from its own base value. Nothing here needs the Trainer.
"""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from pytorch_accelerated.preview import preview
from pytorch_accelerated.schedulers import ParamScheduler
from pytorch_accelerated.schedules import constant, cosine, linear


def main() -> tuple[torch.optim.Optimizer, float]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=10)
    epochs = parser.parse_args().epochs

    torch.manual_seed(0)
    pictures, labels = load_digits(return_X_y=True)
    digits = TensorDataset(torch.tensor(pictures / 16).float(), torch.tensor(labels))
    train_set, test_set = random_split(digits, [0.8, 0.2])
    loader = DataLoader(train_set, batch_size=32, shuffle=True)

    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "lr": 4e-3},
            {"params": [p for p in model.parameters() if p.ndim <= 1], "lr": 1e-3},
        ],
        weight_decay=0.1,
    )
    total = epochs * len(loader)
    warmup, half = total // 10, total // 2
    scheduler = ParamScheduler(  # puts the values for update 0 in force
        optimizer,
        lr=linear(warmup, start=0.0) >> cosine(total - warmup, end=0.01),
        weight_decay=constant(half) >> linear(total - half, end=0.0),
    )
    print(preview(scheduler, total).table())

    for _ in range(epochs):
        for inputs, targets in loader:
            loss = nn.functional.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()  # after each optimizer update
            optimizer.zero_grad()

    inputs, targets = test_set[:]
    accuracy = (model(inputs).argmax(dim=1) == targets).float().mean().item()
    print(f"\nTest accuracy {accuracy:.1%} after {scheduler.num_updates} updates")
    for index, group in enumerate(optimizer.param_groups):
        print(f"group {index} ended with lr {group['lr']}, weight decay {group['weight_decay']}")
    return optimizer, accuracy


if __name__ == "__main__":
    main()
