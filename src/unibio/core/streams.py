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

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unibio.core.generator import CHUNK, Generator, purpose_key

# Numbers of a trajectory made at once. More amortises the call, fewer keep memory per trajectory small (1 kB), and
# with it the numbers of ten thousand trajectories in the processor's cache.
BLOCK = 128
_MASK = (1 << 64) - 1


@dataclass
class _Made:
    """Numbers that are held: blocks ``first`` … ``first + count − 1``, (draws, seeds, size).

    Draws of block ``number`` are held one by one as well: numbers have then been handed out, and whoever has them may
    keep them. Else the memory that they were made in, ``made``, can be used again: fresh memory costs more than they.
    """

    first: int
    count: int
    made: Tensor
    numbers: Tensor
    number: int = -1
    draws: Sequence[Tensor] = ()


class Streams:
    """The random streams of a batch of trajectories, one per distinct seed.

    Rows that share a seed share their numbers (common random numbers across step sizes or noise levels).

    Args:
        seeds: one integer per row, in [−2⁶³, 2⁶³).
        device: where samples are delivered; generation is always on the CPU.
        dtype: floating type of delivered samples. Normal numbers of float32 are made in float32; all others are made
            in float64.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64):
        rows = np.asarray(list(seeds), dtype=np.int64)
        unique, inverse = np.unique(rows, return_inverse=True)
        self._generator = Generator(unique)
        self.seeds = self._generator.seeds
        self.runs = len(rows)
        self.device = torch.device(device)
        self.dtype = dtype
        self._product = _product(inverse, len(unique))
        self.distinct = self._product == (1, 1)
        self.columns = np.ascontiguousarray(inverse, dtype=np.int64)
        self._rows = torch.as_tensor(self.columns, device=self.device)
        self._made: dict[tuple[str, str, int, int], _Made] = {}
        self._orders: dict[str, tuple[int, Tensor]] = {}

    def block(self, purpose: str, kind: str, index: int, size: int, below: int = 0) -> Tensor:
        """Numbers of draw ``index``: (runs, size), standard normal or uniform on [0, 1).

        With ``below`` the uniform ones become integers 0 … below − 1, int64.
        """
        per_block = max(1, BLOCK // size)
        number, offset = divmod(index, per_block)
        made = self._blocks(purpose, kind, number, size, below)
        if made.number != number:
            begin = (number - made.first) * per_block
            made.number, made.draws = number, self._spread(made.numbers[begin : begin + per_block])
        numbers = made.draws[offset]
        if self.distinct:
            return numbers
        # Reading spread-out numbers is several times faster than selecting rows, where the rows are a product.
        return numbers.index_select(0, self._rows) if self._product is None else numbers.reshape(self.runs, size)

    def ahead(self, purpose: str, index: int, size: int) -> Tensor:
        """Standard normal numbers of draw ``index`` and those that follow, as many as are at hand: (≥ 1, seeds, size).

        Shared storage: do not write into it, nor read it after the next call.
        """
        number, offset = divmod(index, max(1, BLOCK // size))
        made = self._blocks(purpose, "normal", number, size, 0)
        return made.numbers[(number - made.first) * max(1, BLOCK // size) + offset :]

    def _blocks(self, purpose: str, kind: str, number: int, size: int, below: int) -> _Made:
        """Block ``number`` among those that are held, which may be many where seeds are few: calls cost, too."""
        key = (purpose, kind, size, below)
        held = self._made.get(key)
        if held is not None and 0 <= number - held.first < held.count:
            return held
        per_block = max(1, BLOCK // size)
        width = -(-per_block * size // 8) * 8
        count = 1
        if held is not None and number == held.first + held.count:  # read in order
            count = min(2 * held.count, max(1, CHUNK // (width * max(1, len(self.seeds)))))
        free = held is not None and held.number < 0 and len(held.made) == count
        made = self._generator.make(
            purpose, kind, number, count, width, size, self.dtype, held.made if held is not None and free else None
        )
        numbers = made[:, : per_block * size].unflatten(1, (per_block, size)).transpose(2, 3).flatten(0, 1)
        if below:  # (1 − 2⁻⁵³)·n is rounded to less than n
            numbers = (numbers * below).to(torch.int64)
        numbers = numbers.to(self.device, torch.int64 if below else self.dtype).contiguous()
        self._made[key] = held = _Made(number, count, made, numbers)
        return held

    def _spread(self, numbers: Tensor) -> Sequence[Tensor]:
        """The draws (draws, seeds, size) one by one, each (seeds, size), or spread out as (a, seeds, b, size)."""
        if self._product is not None and not self.distinct:
            outer, inner = self._product
            numbers = numbers[:, None, :, None].expand(-1, outer, -1, inner, -1)
        return numbers.unbind(0)

    def permutation(self, purpose: str, epoch: int, n: int) -> Tensor:
        """A permutation of 0…n−1 per row for one epoch: (runs, n) int64."""
        key = f"{purpose}/permutation/{n}"
        held = self._orders.get(key)
        if held is None or held[0] != epoch:
            place, seek = (purpose_key(key), 1), self._generator.seek
            orders = [seek(place, (0, seed & _MASK, epoch, n)).permutation(n) for seed in self.seeds]
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

    @property
    def runs(self) -> int:
        """Rows of a sample."""
        return self.streams.runs

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
