"""Sentences of different lengths as one packed array, for a recurrence whose batch shrinks as sentences end.

Sequences are sorted by length, longest first; the tokens of time 0 of all sequences come first, then those of time 1 of
the sequences that are that long, and so on. No entry is padding, so that padding costs nothing and cannot leak into a
result.

Most tokens of a batch are words that other tokens of it are too: 128 pairs of SNLI have about 2,850 tokens and 715
different words. :class:`Words` holds every word once, and products with the word vectors are done once a word.

Places are found by NumPy on the CPU: minibatches need some fifty small operations for them, whose fixed cost is
several times lower there than in torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Integers = NDArray[np.integer]


@dataclass
class Packing:
    """Where every token of a batch of S sequences with N tokens in all stands.

    Attributes:
        tokens: (N,) of every packed token, its place among the tokens that the sequences were taken from; on the CPU.
        counts: tokens at each time, not increasing; they sum to N.
        starts: where each time's tokens begin.
        previous: (N − S,) for every token but the first of each sequence, the packed place of the one before it.
        order: (S,) the given sequences, longest first.
    """

    tokens: Integers
    counts: list[int]
    starts: list[int]
    previous: Tensor
    order: Tensor

    @classmethod
    def of(cls, lengths: Integers, begin: Integers, device: torch.device) -> Packing:
        """The packing of sequences that lie in one piece each in some array of tokens.

        Args:
            lengths: (S,) their lengths ≥ 1; of 8 or 16 bits they are sorted faster.
            begin: (S,) where they begin.
            device: where ``previous`` and ``order`` are wanted.
        """
        return cls.several(lengths[None], begin[None])[0].to(device)

    @classmethod
    def several(cls, lengths: Integers, begin: Integers) -> list[Packing]:
        """The packings of K batches of up to S sequences, on the CPU; together they cost half of what they cost alone.

        Args:
            lengths, begin: (K, S), as in :meth:`of`; a shorter batch ends in sequences of length 0.
        """
        batches, size = lengths.shape
        rising = lengths.argsort(axis=1, kind="stable")
        order = rising[:, ::-1].copy()  # no tensor has negative strides
        longest = int(lengths.max())
        # count[k, t]: sequences of batch k that have a token at time t.
        place = lengths + (np.arange(batches) * (longest + 1))[:, None]
        upto = np.bincount(place.ravel(), minlength=batches * (longest + 1)).reshape(batches, -1).cumsum(1)
        count = size - upto[:, :-1]
        each = count.ravel()
        starts = each.cumsum().reshape(batches, -1) - count  # over all batches
        first, sizes = starts[:, 0].tolist(), count[:, 0].tolist()
        every = _upto(int(each.sum()))
        rank = every - (starts - size * _upto(batches)[:, None]).ravel().repeat(each)
        tokens = np.take_along_axis(begin, order, 1).ravel().take(rank)
        tokens += np.tile(_upto(longest), batches).repeat(each)
        # A token at time t stands as far behind its predecessor as there are tokens at time t − 1.
        behind = starts[:, :1].repeat(longest, 1)
        behind[:, 1:] += count[:, :-1]
        previous = every - behind.ravel().repeat(each)
        found = []
        for k, (here, there) in enumerate(pairwise([*first, len(every)])):
            times = int(np.count_nonzero(count[k]))
            found.append(
                cls(
                    tokens[here:there],
                    count[k, :times].tolist(),
                    (starts[k, :times] - here).tolist(),
                    torch.from_numpy(previous[here + sizes[k] : there]),
                    torch.from_numpy(order[k, : sizes[k]]),
                )
            )
        return found

    def to(self, device: torch.device) -> Packing:
        """The same with ``previous`` and ``order`` on another device."""
        if device == self.order.device:
            return self
        return replace(self, previous=self.previous.to(device), order=self.order.to(device))

    @property
    def later(self) -> slice:
        """The tokens that have a predecessor: all but the first of each sequence."""
        return slice(self.counts[0], None)

    def before(self, states: Tensor) -> Tensor:
        """The predecessors' rows of later tokens: (N − S, h) from (N, h)."""
        return states.index_select(0, self.previous)

    def winners(self, states: Tensor) -> Tensor:
        """For every given sequence and column, the packed place of the largest entry over its tokens: (S, h) int64."""
        best = states[: self.counts[0]].clone()
        time = torch.zeros(best.shape, dtype=torch.int16, device=states.device)
        # Comparing time by time takes an eighth of what argmax over a padded array does.
        for t, (start, count) in enumerate(zip(self.starts, self.counts, strict=True)):
            now, largest = states[start : start + count], best[:count]
            time[:count].masked_fill_(now > largest, t)
            torch.maximum(largest, now, out=largest)
        starts = torch.tensor(self.starts, device=states.device)
        rank = torch.arange(self.counts[0], device=states.device)
        return self._given(starts[time.long()].add_(rank[:, None]))

    def largest(self, states: Tensor) -> Tensor:
        """For every given sequence, the maximum over its own tokens: (S, h)."""
        best = states[: self.counts[0]].clone()
        for start, count in zip(self.starts, self.counts, strict=True):
            torch.maximum(best[:count], states[start : start + count], out=best[:count])
        return self._given(best)

    def _given(self, ranked: Tensor) -> Tensor:
        """Rows (S, h) of sequences by length, in the order in which the sequences were given."""
        return torch.empty_like(ranked).index_copy_(0, self.order, ranked)


class Different(NamedTuple):
    """The U different words among N tokens, on the CPU.

    Attributes:
        ids: (U,) int64, rising.
        word: (N,) int64 the place in ``ids`` of every token's word.
        tokens: (N,) int32 the tokens, sorted by word; of 32 bits because the sums over them are twice as fast.
        first: (U,) int32 where the tokens of every word begin in ``tokens``.
    """

    ids: Tensor
    word: Tensor
    tokens: Tensor
    first: Tensor

    @classmethod
    def of(cls, ids: Integers, words: int) -> Different:
        """The words of tokens.

        Args:
            ids: (N,) below ``words``, N ≥ 1; 16-bit ones are sorted faster.
            words: there are in all.
        """
        tokens = ids.argsort(kind="stable")
        alike = ids.take(tokens)
        new = np.empty(len(ids), bool)
        new[0] = True
        np.not_equal(alike[1:], alike[:-1], out=new[1:])
        first = new.nonzero()[0]
        different = alike.take(first).astype(np.int64)
        row = np.empty(words, np.int64)  # of these words alone: nothing else of it is touched
        row[different] = _upto(len(first))
        found = different, row.take(ids), tokens.astype(np.int32), first.astype(np.int32)
        return cls(*map(torch.from_numpy, found))


@dataclass
class Words:
    """The word vectors of N tokens, every one of the U different words once.

    Attributes:
        vectors: (U, d) of the different words.
        word, tokens, first: as in :class:`Different`.
    """

    vectors: Tensor
    word: Tensor
    tokens: Tensor
    first: Tensor

    @classmethod
    def of(cls, different: Different, table: Tensor) -> Words:
        """The words, from a table (words, d) of all vectors, on the device where everything is wanted."""
        ids, *rest = different if table.is_cpu else (part.to(table.device) for part in different)
        return cls(table.index_select(0, ids), *rest)

    def times(self, W: Tensor, b: Tensor) -> Tensor:
        """W x + b of every token, (N, h), for W (h, d) and b (h,)."""
        return torch.addmm(b, self.vectors, W.t()).index_select(0, self.word)

    def outer(self, delta: Tensor, out: Tensor) -> None:
        """Σ δ xᵀ over tokens, for rows δ of ``delta`` (N, h), written to ``out`` (h, d)."""
        # Sums of rows by index are atomic on CUDA, in any order; bags are summed in the order of their tokens.
        sums = F.embedding_bag(self.tokens, delta, self.first, mode="sum")
        torch.mm(sums.t(), self.vectors, out=out)


@dataclass
class States:
    """The states of a layer as the inputs of the next one, to which they are what :class:`Words` are to the first.

    Attributes:
        vectors: (N, h), a row for every token.
    """

    vectors: Tensor

    def times(self, W: Tensor, b: Tensor) -> Tensor:
        """As :meth:`Words.times`."""
        return torch.addmm(b, self.vectors, W.t())

    def outer(self, delta: Tensor, out: Tensor) -> None:
        """As :meth:`Words.outer`."""
        torch.mm(delta.t(), self.vectors, out=out)


#: The integers from 0; a part of them is cheaper than making them again.
_EVERY = np.arange(1 << 14)
_EVERY.flags.writeable = False


def _upto(count: int) -> Integers:
    """0 … count − 1; not to be written into."""
    return _EVERY[:count] if count <= len(_EVERY) else np.arange(count)
