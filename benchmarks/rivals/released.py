"""The released network loop of UniBiO, written anew from a description of what it does: a user's likeliest start.

    every batch        a loader of its own, reshuffled; sentences become vectors word by word in Python; labels are
                       flipped anew at every access
    network            nn.RNN over padded sentences, pooled over padding, too; as many classes as units
    lower level        every other iteration three steps, whose gradients add up
    hypergradient      Q = 3 Hessian–vector products by double backward on one graph, without the term q = 0, each
                       divided by w^{p−2}; ∇²_xy g · v on the validation batch

Where the description leaves open how often a graph or a batch is made anew, the cheaper reading is taken: one training
batch and one graph for the three products. With three classes, and sentences of one length, its derivatives are ours.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from unibio.data import PairData, Split

REGULARISER, EXPONENT = 1e-4, 3
UPPER_STEP, LOWER_STEP, NEUMANN_STEP, MOMENTUM = 5e-2, 2e-2, 1e-2, 0.9
LOWER_STEPS, PERIOD, TERMS, NOISE = 3, 2, 3, 0.1

#: Places of the biases of the layers that nn.RNN has beside those of ours.
SECOND_BIASES = (3, 7)

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


class Sentences(Dataset):
    """Pairs as lists of words; a pair is its place, two lists and a label.

    Args:
        split: pairs of word ids.
        flipped: the probability that a label is replaced whenever it is read.
    """

    def __init__(self, split: Split, flipped: float = NOISE):
        sides = ((split.premise, split.premise_length), (split.hypothesis, split.hypothesis_length))
        self._sides = [
            [[f"w{i}" for i in row[:n]] for row, n in zip(ids.tolist(), lengths.tolist(), strict=True)]
            for ids, lengths in sides
        ]
        self._labels, self._flipped = split.label.tolist(), flipped

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, place: int) -> tuple[int, list[str], list[str], int]:
        label = self._labels[place]
        if random.random() < self._flipped:
            label = (label + random.randint(1, 2)) % 3
        return place, self._sides[0][place], self._sides[1][place], label


class Network(nn.Module):
    """The classifier on padded vectors (B, time, d)."""

    def __init__(self, dimension: int, width: int, classes: int):
        super().__init__()
        self.rnn = nn.RNN(dimension, width, num_layers=2, batch_first=True)
        self.out = nn.Linear(4 * width, classes)

    def forward(self, premise: Tensor, hypothesis: Tensor) -> Tensor:
        u, v = (self.rnn(side)[0].max(1).values for side in (premise, hypothesis))
        return self.out(torch.cat([u, v, (u - v).abs(), u * v], dim=1))


class Released:
    """The loop.

    Args:
        data: training and validation pairs, as word ids, and the vectors of the words.
        width: units of either layer.
        batch: pairs of a minibatch.
        classes: of the output; ``None`` for as many as units, as released.
        flipped: as of :class:`Sentences`.
    """

    def __init__(self, data: PairData, width: int, batch: int, classes: int | None = None, flipped: float = NOISE):
        vectors = data.vectors
        self.vectors = {f"w{i}": vector for i, vector in enumerate(vectors)}
        self.train, self.valid, self.batch = Sentences(data.train, flipped), Sentences(data.valid, flipped), batch
        torch.manual_seed(0)
        self.network = Network(vectors.shape[1], width, classes or max(3, width)).to(vectors.dtype)
        self.weights = list(self.network.parameters())
        self.x = torch.ones(len(data.train), dtype=vectors.dtype, requires_grad=True)
        self.momentum = torch.zeros_like(self.x)
        self.iteration = 0

    def fresh(self, data: Sentences) -> Batch:
        """A minibatch from a loader of its own."""
        return next(iter(DataLoader(data, self.batch, shuffle=True, collate_fn=self.collate)))

    def collate(self, pairs: Sequence[tuple[int, list[str], list[str], int]]) -> Batch:
        """Places, padded vectors of both sides, labels."""
        places, *sides, labels = zip(*pairs, strict=True)
        padded = [
            pad_sequence([torch.stack([self.vectors[word] for word in words]) for words in side], batch_first=True)
            for side in sides
        ]
        return torch.tensor(places), padded[0], padded[1], torch.tensor(labels)

    def lower(self, batch: Batch) -> Tensor:
        """g on a minibatch; ``grad`` of it by ``weights`` and ``x`` are its derivatives."""
        places, premise, hypothesis, labels = batch
        losses = cross_entropy(self.network(premise, hypothesis), labels, reduction="none")
        regular = sum((w.abs() ** EXPONENT).sum() for w in self.weights)
        return (torch.sigmoid(self.x[places]) * losses).mean() + REGULARISER * regular

    def upper(self, batch: Batch) -> Tensor:
        """f on a minibatch."""
        _, premise, hypothesis, labels = batch
        return cross_entropy(self.network(premise, hypothesis), labels)

    def slopes(self, batch: Batch) -> Sequence[Tensor]:
        """g_w, to be differentiated again."""
        return grad(self.lower(batch), self.weights, create_graph=True)

    def product(self, slopes: Sequence[Tensor], v: Sequence[Tensor]) -> Sequence[Tensor]:
        """∇²_ww g · v; the graph is kept."""
        return grad(slopes, self.weights, v, retain_graph=True)

    def mixed(self, batch: Batch, v: Sequence[Tensor]) -> Tensor:
        """∇²_λw g · v."""
        return grad(self.slopes(batch), self.x, v)[0]

    def step(self) -> None:
        """One iteration."""
        if self.iteration % PERIOD == 0:
            for _ in range(LOWER_STEPS):
                self.lower(self.fresh(self.train)).backward()  # nothing sets gradients back to zero
                with torch.no_grad():
                    for w in self.weights:
                        w -= LOWER_STEP * w.grad
            for w in self.weights:
                w.grad = None
        checked = self.fresh(self.valid)
        r: Sequence[Tensor] = grad(self.upper(checked), self.weights)
        v = [torch.zeros_like(w) for w in self.weights]
        slopes = self.slopes(self.fresh(self.train))
        for _ in range(TERMS):
            scaled = self.product(slopes, list(self._divided(r)))
            r = [a - NEUMANN_STEP * b for a, b in zip(r, scaled, strict=True)]
            v = [a + NEUMANN_STEP * b for a, b in zip(v, r, strict=True)]
        h = -self.mixed(checked, v)
        with torch.no_grad():
            self.momentum = MOMENTUM * self.momentum + (1 - MOMENTUM) * h
            self.x -= UPPER_STEP * self.momentum / self.momentum.norm().clamp_min(1e-30)
        self.x.grad = None
        self.iteration += 1

    def _divided(self, r: Sequence[Tensor]) -> Iterator[Tensor]:
        """D⁻¹r, kept from growing without bound, as the released division would: times are to be measured."""
        for part, w in zip(r, self.weights, strict=True):
            yield part / (w.detach().abs() ** (EXPONENT - 2)).clamp_min(0.5)


def flat(parts: Sequence[Tensor]) -> Tensor:
    """Parts in the order of :attr:`Released.weights` as one vector in the order of ours, which has one bias a layer."""
    return torch.cat([part.reshape(-1) for place, part in enumerate(parts) if place not in SECOND_BIASES])
