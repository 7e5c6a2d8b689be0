"""Random samples as pure functions of (seed, purpose, index, size).

A trajectory's randomness must depend on nothing but its own seed: not on the other rows of its batch, not on the
device, not on where a run was interrupted. So there is no generator state. Numbers come from the counter-based Philox
generator (Salmon et al., 2011), run by NumPy on the CPU for every device: the purpose is its key, and seed and index
are places in its sequence. Asking twice for one draw gives the same numbers twice, which is what variance-reduced
methods mean by "the same sample at two points".

Every number takes a fixed share of the sequence (normals by Box and Muller's transform, which rejects nothing), so
that neighbouring seeds lie side by side in it and thousands of streams are made by one call.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Numbers of a trajectory made at once. More amortises the call, fewer keep memory per trajectory small (1 kB), and
# with it the numbers of ten thousand trajectories in the processor's cache.
BLOCK = 128
# Numbers transformed at once: a few arrays of this size stay in a core's own cache.
CHUNK = 1 << 16
_MASK = (1 << 64) - 1


@lru_cache(maxsize=256)
def _purpose_key(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=8).digest(), "little")


class Streams:
    """The random streams of a batch of trajectories, one per distinct seed.

    Rows that share a seed share their numbers (common random numbers across step sizes or noise levels).

    Args:
        seeds: one integer per row, in [−2⁶³, 2⁶³).
        device: where samples are delivered; generation is always on the CPU.
        dtype: floating type of delivered samples; generation is always in float64.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64):
        rows = np.asarray(list(seeds), dtype=np.int64)
        unique, inverse = np.unique(rows, return_inverse=True)
        self.seeds = [int(s) for s in unique]
        self.runs = len(rows)
        self.device = torch.device(device)
        self.dtype = dtype
        self._product = _product(inverse, len(unique))
        self._distinct = self._product == (1, 1)
        self._rows = torch.as_tensor(inverse, device=self.device)
        # Where runs of consecutive seeds begin, and the end of the last: such a run is one stretch of the sequence.
        self._breaks = [0, *(np.flatnonzero(np.diff(unique) != 1) + 1).tolist(), len(unique)]
        self._philox = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._philox)
        self._state: Any = self._philox.state
        self._blocks: dict[tuple[str, str, int, int], tuple[int, Sequence[Tensor]]] = {}
        self._orders: dict[str, tuple[int, Tensor]] = {}

    def _seek(self, key: tuple[int, int], counter: Sequence[int]) -> np.random.Generator:
        """The shared generator, moved to a place of the sequence of ``key``."""
        state = self._state
        state["state"]["key"][:] = key
        state["state"]["counter"][:] = counter
        state["buffer_pos"] = 4
        state["has_uint32"] = 0
        self._philox.state = state
        return self._generator

    def block(self, purpose: str, kind: str, index: int, size: int, below: int = 0) -> Tensor:
        """Numbers of draw ``index``: (runs, size), standard normal or uniform on [0, 1).

        With ``below`` the uniform ones become integers 0 … below − 1, int64.
        """
        per_block = max(1, BLOCK // size)
        number, offset = divmod(index, per_block)
        key = (purpose, kind, size, below)
        held = self._blocks.get(key)
        if held is None or held[0] != number:
            held = (number, self._make(f"{purpose}/{kind}", kind, number, per_block, size, below))
            self._blocks[key] = held
        numbers = held[1][offset]
        if self._distinct:
            return numbers
        # Reading spread-out numbers is several times faster than selecting rows, where the rows are a product.
        return numbers.index_select(0, self._rows) if self._product is None else numbers.reshape(self.runs, size)

    def _make(self, purpose: str, kind: str, number: int, per_block: int, size: int, below: int) -> Sequence[Tensor]:
        """The numbers of ``per_block`` successive draws, each (seeds, size), or spread out as (a, seeds, b, size)."""
        width = -(-per_block * size // 8) * 8  # Philox makes four 64-bit words at a time, a word makes two normals
        transform, words = (_normal, width // 2) if kind == "normal" else (_uniform, width)
        numbers = torch.empty(width, len(self.seeds), dtype=torch.float64)
        at_once = max(1, CHUNK // width)
        for first in range(0, len(self.seeds), at_once):
            last = min(first + at_once, len(self.seeds))
            raw = np.empty((last - first, words), dtype=np.uint64)
            for begin, end in self._stretches(first, last):
                place = (self.seeds[begin] + (1 << 63)) * (words // 4)
                self._seek((_purpose_key(purpose), 0), (place & _MASK, place >> 64, number, size))
                raw[begin - first : end - first] = self._philox.random_raw((end - begin) * words).reshape(-1, words)
            transform(raw, numbers[:, first:last])
        block = numbers[: per_block * size].view(per_block, size, len(self.seeds)).transpose(1, 2)
        if below:  # (1 − 2⁻⁵³)·n is rounded to less than n
            block = (block * below).to(torch.int64)
        block = block.to(self.device, torch.int64 if below else self.dtype).contiguous()
        if self._product is not None and not self._distinct:
            outer, inner = self._product
            block = block[:, None, :, None].expand(-1, outer, -1, inner, -1)
        return block.unbind(0)

    def _stretches(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Runs of consecutive seeds among the seeds number ``first`` … ``last`` − 1."""
        i = bisect_right(self._breaks, first)
        while first < last:
            end = min(self._breaks[i], last)
            yield first, end
            first, i = end, i + 1

    def permutation(self, purpose: str, epoch: int, n: int) -> Tensor:
        """A permutation of 0…n−1 per row for one epoch: (runs, n) int64."""
        key = f"{purpose}/permutation/{n}"
        held = self._orders.get(key)
        if held is None or held[0] != epoch:
            place = (_purpose_key(key), 1)
            orders = [self._seek(place, (0, seed & _MASK, epoch, n)).permutation(n) for seed in self.seeds]
            held = (epoch, torch.from_numpy(np.stack(orders)).to(self.device).index_select(0, self._rows))
            self._orders[key] = held
        return held[1]


def _product(inverse: np.ndarray, seeds: int) -> tuple[int, int] | None:
    """(a, b) where rows are a repetitions of all seeds in order, each b times, as in product grids; None otherwise."""
    if not len(inverse):
        return 1, 1
    inner = int(np.argmax(inverse != inverse[0])) or len(inverse)
    outer, rest = divmod(len(inverse), seeds * inner)
    pattern = np.tile(np.repeat(np.arange(seeds), inner), outer)
    return None if rest or not np.array_equal(pattern, inverse) else (outer, inner)


def _normal(raw: np.ndarray, out: Tensor) -> None:
    """Standard normals by Box and Muller's transform, from 32 bits for a radius (up to 6.8) and 32 for an angle.

    cos and sin come from t = tan(angle/2), as (1 − t²)/(1 + t²) and 2t/(1 + t²): of these functions NumPy has a
    vectorised tan only, and together with its log this takes half the time of torch's log, cos and sin.

    Args:
        raw: (streams, width/2) random 64-bit words.
        out: (width, streams).
    """
    half = len(out) // 2
    bits = torch.from_numpy(raw.view(np.int32)).t().contiguous().to(torch.float64).numpy()  # in [−2³¹, 2³¹)
    radius, t = bits[:half], bits[half:]
    radius *= 2.0**-32
    radius += 0.5 + 2.0**-33
    np.log(radius, out=radius)
    radius *= -2
    np.sqrt(radius, out=radius)
    t *= math.pi * 2.0**-32
    np.tan(t, out=t)
    square = t * t
    radius /= 1 + square
    t *= 2
    np.multiply(radius, 1 - square, out=out[:half].numpy())
    np.multiply(radius, t, out=out[half:].numpy())


def _uniform(raw: np.ndarray, out: Tensor) -> None:
    """Uniform numbers on [0, 1), multiples of 2⁻⁵³. Args as in :func:`_normal`, with raw: (streams, width)."""
    out.copy_(torch.from_numpy((raw >> np.uint64(11)) * 2.0**-53).t())


@dataclass(slots=True)  # not frozen, which takes twice as long to make: one is made for every sample
class Draw:
    """One sample's identity: which streams, for what purpose, the how-manieth, and how many data points.

    Attributes:
        streams: the rows' random streams.
        purpose: what the sample is for, e.g. ``"lower"``; purposes never share numbers.
        index: 0, 1, 2, … within the purpose.
        size: requested minibatch size, None where the problem has no data points or the full batch is meant.
        places: (runs, s), a minibatch that is not to be drawn but is given.
    """

    streams: Streams = field(repr=False)
    purpose: str
    index: int
    size: int | None = None
    places: Tensor | None = None

    def normal(self, size: int) -> Tensor:
        """Standard normal numbers, (runs, size). Shared storage: do not write into it."""
        return self.streams.block(self.purpose, "normal", self.index, size)

    def uniform(self, size: int) -> Tensor:
        """Uniform numbers on [0, 1), (runs, size). Shared storage: do not write into it."""
        return self.streams.block(self.purpose, "uniform", self.index, size)

    def integers(self, n: int) -> Tensor:
        """One of 0…n−1 per row, uniformly, (runs, 1) int64. Shared storage: do not write into it."""
        return self.streams.block(self.purpose, "uniform", self.index, 1, below=n)

    def minibatch(self, n: int) -> Tensor:
        """Indices of a minibatch of 0…n−1 without replacement within an epoch: (runs, size) int64.

        The last batch of an epoch may be smaller. Successive indices of one purpose walk through a fresh permutation
        per epoch; ``size`` None or ≥ n gives all indices in order.

        Raises:
            ValueError: if n < 1 or the draw's size < 1.
        """
        if self.places is not None:
            return self.places
        if n < 1 or (self.size is not None and self.size < 1):
            raise ValueError(f"a minibatch needs n ≥ 1 and size ≥ 1, got n = {n}, size = {self.size}")
        if self.size is None or self.size >= n:
            return torch.arange(n, device=self.streams.device).expand(self.streams.runs, n)
        per_epoch = -(-n // self.size)
        epoch, batch = divmod(self.index, per_epoch)
        order = self.streams.permutation(f"{self.purpose}/{self.size}", epoch, n)
        return order[:, batch * self.size : (batch + 1) * self.size]

    def length(self, n: int) -> int:
        """How many indices :meth:`minibatch` of 0…n−1 gives."""
        if self.size is None or self.size >= n:
            return n
        return min(self.size, n - self.index % -(-n // self.size) * self.size)
