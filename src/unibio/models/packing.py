"""Sentences of different lengths as one packed array, for a recurrence whose batch shrinks as sentences end.

Sequences are sorted by length, longest first; the tokens of time 0 of all sequences come first, then those of time 1 of
the sequences that are that long, and so on. No entry is padding, so that padding costs nothing and cannot leak into a
result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """Where every token of a batch of S sequences with N tokens in all stands.

    Attributes:
        order: (S,) the given sequences, longest first.
        sequence, time: (N,) of every packed token: its sequence's rank in ``order``, and its place in the sentence.
        counts: tokens at each time, not increasing; they sum to N.
        starts: where each time's tokens begin.
        previous: (N − S,) for every token but the first of each sequence, the packed place of the one before it.
        place: (S,) the rank of every given sequence, the inverse of ``order``.
    """

    order: Tensor
    sequence: Tensor
    time: Tensor
    counts: list[int]
    starts: list[int]
    previous: Tensor
    place: Tensor

    @classmethod
    def of(cls, lengths: Tensor, device: torch.device) -> Packing:
        """The packing of sequences of the given lengths.

        Args:
            lengths: (S,) integers ≥ 1, on the CPU: the loop over time needs the counts there anyway.
            device: where the indices are wanted.
        """
        order = torch.argsort(lengths, descending=True, stable=True)
        time, sequence = (torch.arange(int(lengths.max()))[:, None] < lengths[order]).nonzero(as_tuple=True)
        count = torch.bincount(time)
        start = count.cumsum(0) - count
        later = slice(len(lengths), None)
        previous = start[time[later] - 1] + sequence[later]
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order))
        found = (t.to(device) for t in (order, sequence, time, previous, place))
        order, sequence, time, previous, place = found
        return cls(order, sequence, time, count.tolist(), start.tolist(), previous, place)

    def before(self, states: Tensor) -> Tensor:
        """Every token's predecessor's row, 0 for first tokens: (N, h) from (N, h)."""
        first = states.new_zeros(self.counts[0], states.shape[1])
        return torch.cat((first, states.index_select(0, self.previous)))

    def winners(self, states: Tensor) -> Tensor:
        """For every sequence and column, the packed place of its largest entry over its own tokens: (S, h) int64."""
        best = states[: self.counts[0]].clone()
        time = torch.zeros(best.shape, dtype=torch.int16, device=states.device)
        # Comparing time by time takes an eighth of what argmax over a padded array does.
        for t, (start, count) in enumerate(zip(self.starts, self.counts, strict=True)):
            now, largest = states[start : start + count], best[:count]
            time[:count].masked_fill_(now > largest, t)
            torch.maximum(largest, now, out=largest)
        starts = torch.tensor(self.starts, device=states.device)
        rank = torch.arange(self.counts[0], device=states.device)
        return starts[time.long()] + rank[:, None]

    def largest(self, states: Tensor) -> Tensor:
        """For every sequence, in the given order, the maximum over its own tokens: (S, h)."""
        best = states[: self.counts[0]].clone()
        for start, count in zip(self.starts, self.counts, strict=True):
            torch.maximum(best[:count], states[start : start + count], out=best[:count])
        return best[self.place]
