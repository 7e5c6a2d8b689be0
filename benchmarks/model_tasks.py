"""Two problems of networks, those of ``docs/your-own-model.md``: hyper-cleaning, and a weight decay a parameter.

Data are scikit-learn's digits. A task holds what a user has before choosing a library: data sets, modules, two losses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

PIXELS, CLASSES = 64, 10


class Task(NamedTuple):
    """A problem before any library.

    Attributes:
        what: for notes.
        train, valid, test: images (n, 64) and their labels.
        modules: seed -> the modules of both levels, (upper, network).
        lower_loss, upper_loss: (upper, network, images, labels, places in the data set) -> scalar.
    """

    what: str
    train: TensorDataset
    valid: TensorDataset
    test: TensorDataset
    modules: Callable[[int], tuple[nn.Module, nn.Module]]
    lower_loss: Callable[..., Tensor]
    upper_loss: Callable[..., Tensor]


@dataclass(frozen=True)
class Settings:
    """How a task is solved, by whichever library: Adam above, plain steps below, a Neumann sum with their step.

    Attributes:
        steps: upper steps.
        lower_step, upper_step: of the two levels.
        lower_iterations: lower steps an upper step.
        terms: of the Neumann sum.
        batch: items of a minibatch.
        seed: of the network's start and of minibatches.
    """

    steps: int
    lower_step: float = 0.5
    upper_step: float = 0.05
    lower_iterations: int = 5
    terms: int = 5
    batch: int = 100
    seed: int = 0


class Weights(nn.Module):
    """A weight in (0, 1) for every training item."""

    def __init__(self, count: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(count))

    def forward(self, index: Tensor) -> Tensor:
        return torch.sigmoid(self.logits[index])


class Decay(nn.Module):
    """The logarithm of a weight decay for every parameter of a module."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.logs = nn.ParameterList(torch.full_like(p, -6.0) for p in module.parameters())

    def forward(self, module: nn.Module) -> Tensor:
        terms = [(log.exp() * p**2).sum() for log, p in zip(self.logs, module.parameters(), strict=True)]
        return torch.stack(terms).sum()


def network(units: int, layers: int, seed: int) -> nn.Module:
    """Tanh layers of so many units, from a seed; torch's generator goes on as if nothing had been."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        widths = [PIXELS, *[units] * layers]
        hidden = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.Tanh())]
        return nn.Sequential(*hidden, nn.Linear(units, CLASSES))


@cache
def _digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)


def _parts(train: int) -> list[TensorDataset]:
    """The first items to train on, 300 to validate, the rest to test."""
    images, labels = _digits()
    cuts = [slice(0, train), slice(train, train + 300), slice(train + 300, None)]
    return [TensorDataset(images[cut], labels[cut].clone()) for cut in cuts]


def _plain(_: nn.Module, net: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
    return cross_entropy(net(x), y)


def hyper_cleaning(units: int, layers: int = 1) -> Task:
    """600 training items, 40 % of which have a random label, and a weight for every one."""
    train, valid, test = _parts(600)
    generator = torch.Generator().manual_seed(0)
    labels = train.tensors[1]
    wrong = torch.rand(len(train), generator=generator) < 0.4
    labels[wrong] = torch.randint(CLASSES, (int(wrong.sum()),), generator=generator)

    def lower(weigh: nn.Module, net: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        return (weigh(index) * cross_entropy(net(x), y, reduction="none")).mean()

    def modules(seed: int) -> tuple[nn.Module, nn.Module]:
        return Weights(len(train)), network(units, layers, seed)

    return Task("hyper-cleaning, 600 items, 40 % mislabelled", train, valid, test, modules, lower, _plain)


def weight_decay(units: int, layers: int = 1) -> Task:
    """150 training items, and a decay for every parameter of the network."""
    train, valid, test = _parts(150)

    def lower(decay: nn.Module, net: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        return cross_entropy(net(x), y) + decay(net)

    def modules(seed: int) -> tuple[nn.Module, nn.Module]:
        net = network(units, layers, seed)
        return Decay(net), net

    return Task("a weight decay a parameter, 150 items", train, valid, test, modules, lower, _plain)


TASKS: dict[str, Callable[..., Task]] = {"hyper_cleaning": hyper_cleaning, "weight_decay": weight_decay}


def accuracy(net: Any, data: TensorDataset) -> float:
    """The share of a data set's items that a network classifies correctly."""
    x, y = data.tensors
    with torch.no_grad():
        return float((net(x).argmax(-1) == y).double().mean())
