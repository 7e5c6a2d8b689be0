"""The recurrent network on the pairs of one split: weighted losses and their derivatives on minibatches.

Pairs lie as word ids, one sentence after another, on the CPU; the vectors of a minibatch's different words are gathered
on the device. What a pass over a minibatch computed is kept until another point or minibatch is asked for: several
products at one point and sample then share its forward and backward pass, and a variance-reduced method that asks for
one sample at two points packs its sentences once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unibio.data import Split
from unibio.problems.nli.packing import Different, Packing, Words
from unibio.problems.nli.pair_rnn import Architecture, At, Pairs, predict

#: Pairs in one pass; a larger batch is cut into several, whose results add up.
AT_ONCE = 512
#: States (tokens × width) of one pass without derivatives.
STATES_AT_ONCE = 1 << 24


class Sentences:
    """The pairs of a split, ready to be gathered.

    Args:
        split: n pairs.
        vectors: float32 (words, d).
    """

    def __init__(self, split: Split, vectors: Tensor):
        sides = (split.premise, split.premise_length), (split.hypothesis, split.hypothesis_length)
        arrays = [(ids.numpy(), lengths.numpy()) for ids, lengths in sides]
        ids = np.concatenate([ids[np.arange(ids.shape[1]) < lengths[:, None]] for ids, lengths in arrays])
        lengths = np.concatenate([lengths for _, lengths in arrays])
        # Of the smallest types, because NumPy sorts integers of up to 16 bits by radix.
        self._ids = ids.astype(np.min_scalar_type(len(vectors) - 1))
        self._lengths = lengths.astype(np.min_scalar_type(lengths.max()))
        self._begin = lengths.cumsum(dtype=np.int64) - lengths
        self._vectors = vectors
        self._expected: dict[str, dict[int, tuple[_Seen, Packing, Different]]] = {}
        self.count = len(split)

    def to(self, like: Tensor) -> Sentences:
        """The same on another device and with vectors of another type."""
        if self._vectors.device == like.device and self._vectors.dtype == like.dtype:
            return self
        moved = Sentences.__new__(Sentences)
        moved.__dict__ |= self.__dict__
        moved._vectors = self._vectors.to(like.device, like.dtype)
        return moved

    def expect(self, purpose: str, minibatches: Sequence[Tensor]) -> None:
        """Prepare minibatches that :meth:`pairs` will be asked for, all at once.

        Args:
            purpose: what they are for; those expected before for the same are forgotten.
            minibatches: int64 (B,), each of up to ``AT_ONCE`` pairs.
        """
        prepared = self._prepared([index.cpu().numpy() for index in minibatches])
        together = zip(minibatches, prepared, strict=True)
        self._expected[purpose] = {index.data_ptr(): (_Seen(index), *one) for index, one in together}

    def _prepared(self, minibatches: Sequence[np.ndarray]) -> list[tuple[Packing, Different]]:
        sizes = [2 * len(index) for index in minibatches]
        rows = np.zeros((len(minibatches), max(sizes)), np.int64)
        for row, index, size in zip(rows, minibatches, sizes, strict=True):
            row[: len(index)], row[len(index) : size] = index, index + self.count
        lengths = self._lengths.take(rows)
        for row, size in zip(lengths, sizes, strict=True):
            row[size:] = 0
        packings = Packing.several(lengths, self._begin.take(rows))
        return [(one, Different.of(self._ids.take(one.tokens), len(self._vectors))) for one in packings]

    def pairs(self, index: Tensor, label: Tensor) -> Pairs:
        """Some pairs, packed.

        Args:
            index: int64 (B,).
            label: int64 (B,), on the device of the vectors.
        """
        place = index.data_ptr()
        found = [held[place] for held in self._expected.values() if place in held and held[place][0].is_(index)]
        packing, different = found[0][1:] if found else self._prepared([index.cpu().numpy()])[0]
        return Pairs(Words.of(different, self._vectors), packing.to(self._vectors.device), label)

    def tokens(self) -> float:
        """Mean tokens of a pair."""
        return len(self._ids) / self.count


class _Seen:
    """Recognises a tensor, or another view of the same numbers, as long as nobody has written into it."""

    def __init__(self, tensor: Tensor):
        self._tensor, self._version = tensor, tensor._version  # holding it keeps its memory from being used again

    def is_(self, other: Tensor) -> bool:
        """Whether ``other`` is the tensor as it was."""
        own = self._tensor
        same = own.data_ptr() == other.data_ptr() and own.shape == other.shape and own.stride() == other.stride()
        return same and own.dtype == other.dtype and self._version == other._version


@dataclass
class _Kept:
    """A minibatch and, once it was asked for, the network at a point of it."""

    index: _Seen
    label: _Seen
    pairs: list[Pairs]
    y: _Seen | None = None
    at: At | None = None


class Network:
    """The network's loss on minibatches of one split. A row of weights at a time: networks are large.

    Args:
        net: sizes.
        sentences: of the split.
    """

    def __init__(self, net: Architecture, sentences: Sentences):
        self.net = net
        self._sentences = sentences
        self._kept: _Kept | None = None

    def expect(self, purpose: str, minibatches: Sequence[Tensor]) -> None:
        """:meth:`Sentences.expect`."""
        self._sentences.expect(purpose, minibatches)

    def _batch(self, like: Tensor, index: Tensor, label: Tensor) -> _Kept:
        kept = self._kept
        moved = self._sentences.to(like)
        if kept is None or moved is not self._sentences or not (kept.index.is_(index) and kept.label.is_(label)):
            self._sentences = moved
            parts = zip(index.split(AT_ONCE), label.split(AT_ONCE), strict=True)
            self._kept = kept = _Kept(_Seen(index), _Seen(label), [moved.pairs(*part) for part in parts])
        return kept

    def at(self, y: Tensor, index: Tensor, label: Tensor) -> list[At]:
        """The network at weights (size,) on a minibatch, in parts of up to ``AT_ONCE`` pairs."""
        kept = self._batch(y, index, label)
        if len(kept.pairs) > 1:
            return [At(self.net, y, pairs) for pairs in kept.pairs]
        if kept.at is None or kept.y is None or not kept.y.is_(y):
            kept.at = None  # two passes at once would double the memory
            kept.y, kept.at = _Seen(y), At(self.net, y, kept.pairs[0])
        return [kept.at]

    def losses(self, y: Tensor, index: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy of every pair: (B,)."""
        kept = self._batch(y, index, label)
        logits = torch.cat([predict(self.net, y, pairs) for pairs in kept.pairs])
        return torch.nn.functional.cross_entropy(logits, label, reduction="none")

    def gradient(self, y: Tensor, index: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """∇ Σ_i weights_i CE_i: (size,)."""
        parts = self.at(y, index, label)
        found = [at.gradient(w) for at, w in zip(parts, weights.split(AT_ONCE), strict=True)]
        return found[0] if len(found) == 1 else torch.stack(found).sum(0)

    def hvp(self, y: Tensor, index: Tensor, label: Tensor, weights: Tensor, v: Tensor) -> Tensor:
        """∇² Σ_i weights_i CE_i · v: (size,)."""
        parts = self.at(y, index, label)
        found = [at.hvp(w, v) for at, w in zip(parts, weights.split(AT_ONCE), strict=True)]
        return found[0] if len(found) == 1 else torch.stack(found).sum(0)

    def tangent(self, y: Tensor, index: Tensor, label: Tensor, v: Tensor) -> Tensor:
        """∇CE_i · v of every pair: (B,)."""
        return torch.cat([at.tangent(v) for at in self.at(y, index, label)])

    def logits(self, y: Tensor) -> Tensor:
        """Logits of every pair of the split, (n, 3), in large parts and without touching what is kept."""
        self._sentences = sentences = self._sentences.to(y)
        size = max(64, int(STATES_AT_ONCE / (sentences.tokens() * self.net.width)))
        blank = torch.zeros(sentences.count, dtype=torch.int64, device=y.device)
        every = torch.arange(sentences.count)
        parts = zip(every.split(size), blank.split(size), strict=True)
        return torch.cat([predict(self.net, y, sentences.pairs(*part)) for part in parts])
