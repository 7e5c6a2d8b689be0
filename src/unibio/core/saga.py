"""Tables of per-block derivatives for methods of the SAGA family, over a fixed partition of a finite sum's points.

From the new derivative of the visited block and a table of the last one of every block, SAGA estimates the sum by

    B w_b (new − stored(b)) + Σ_b w_b stored(b),          B blocks of weight w_b; B w_b = 1 where blocks are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from unibio.core.oracle import Oracle, Sample
from unibio.core.updates import descend
from unibio.errors import InputError

GIB = 2**30


@dataclass(frozen=True)
class Blocks:
    """Consecutive blocks of one level's data points: 0…s−1, s…2s−1, …; the last may be shorter.

    Attributes:
        level: "upper" or "lower".
        points: n.
        size: s; 1 makes every sample a block.
    """

    level: str
    points: int
    size: int

    @classmethod
    def of(cls, level: str, points: int, batch_size: int | None) -> Blocks:
        """The partition for a batch size; None means all points."""
        return cls(level, points, min(batch_size or points, points))

    def check_equal(self) -> None:
        """Raises:
        InputError: blocks are of unequal size, and so cannot be visited by several runs side by side.
        """
        if not self.equal:
            raise InputError(
                f"algorithm.batch_size = {self.size} does not divide the {self.points} data points of the {self.level} "
                "level: blocks differ in size, which works for a single run only. Use a divisor, or one run at a time."
            )

    @cached_property
    def count(self) -> int:
        """Number of blocks."""
        return -(-self.points // self.size)

    @cached_property
    def equal(self) -> bool:
        """Whether all blocks have one size."""
        return self.points % self.size == 0

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """w_b of all blocks."""
        return tuple(min(self.size, self.points - first) / self.points for first in range(0, self.points, self.size))

    def pick(self, oracle: Oracle) -> Tensor:
        """A block per row, uniformly and independently of earlier ones (SAGA's sampling): (runs, 1) int64."""
        return oracle.draw(f"{self.level} block").integers(self.count)

    def sample(self, oracle: Oracle, block: Tensor) -> Sample:
        """The sample that holds a block (runs, 1) of data points; the whole level where there is only one."""
        problem = oracle.problem
        sampler = problem.sample_upper if self.level == "upper" else problem.sample_lower
        # Only the last block can be shorter, and then all rows are on it.
        length = self.size if self.equal else min(self.size, self.points - int(block[0]) * self.size)
        if sampler is None:
            return Sample(None, length)
        places = block * self.size + torch.arange(length, device=block.device) if self.count > 1 else None
        draw = oracle.draw(f"{self.level} block sample", self.size)
        draw.places = places  # any sampler that is a function of ``Draw.minibatch`` then serves blocks
        return Sample(sampler(draw), length)


@lru_cache(maxsize=256)
def _constant(values: tuple[float, ...], repeats: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Every number ``repeats`` times."""
    return torch.tensor(values, dtype=dtype, device=device).repeat_interleave(repeats)


@lru_cache(maxsize=256)
def _column(values: tuple[float, ...], repeats: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return _constant(values, repeats, dtype, device)[:, None]


@dataclass(frozen=True)
class Tables:
    """Tables of several derivatives of one length d, kept in a state as one tensor, with the sums Σ_b w_b stored(b).

    All derivatives are visited at once: on small problems the calls cost more than the numbers.

    Attributes:
        name: ``NAME table`` in the state is ((B_1 + … + B_K)·runs, d), entries not weighted; ``NAME mean`` (K·runs, d).
        parts: of which partition each of the K derivatives is.
    """

    name: str
    parts: tuple[Blocks, ...]

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """Where every part's entries begin."""
        counts = [part.count for part in self.parts]
        return tuple(sum(counts[:k]) for k in range(len(counts)))

    @cached_property
    def equal(self) -> bool:
        """Whether no partition has unequal blocks."""
        return all(part.equal for part in self.parts)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Every part's first w_b, that of all its blocks where they are equal."""
        return tuple(part.shares[0] for part in self.parts)

    def begin(self, state: dict[str, Any], like: Tensor) -> None:
        """Put tables of zeros for rows of derivatives like ``like`` (runs, d) into a state."""
        runs, width = like.shape
        state[f"{self.name} table"] = like.new_zeros((sum(part.count for part in self.parts) * runs, width))
        state[f"{self.name} mean"] = like.new_zeros((len(self.parts) * runs, width))

    def entries(self, state: dict[str, Any], k: int) -> Tensor:
        """The entries of derivative k: (B_k, runs, d), to be written into; :meth:`sum_up` must follow."""
        table, mean = state[f"{self.name} table"], state[f"{self.name} mean"]
        every = table.view(-1, len(mean) // len(self.parts), table.shape[-1])
        return every[self.firsts[k] : self.firsts[k] + self.parts[k].count]

    def sum_up(self, state: dict[str, Any]) -> None:
        """Recompute the sums from the entries."""
        means = []
        for k, part in enumerate(self.parts):
            entries = self.entries(state, k)
            means.append(torch.tensordot(_constant(part.shares, 1, entries.dtype, entries.device), entries, dims=1))
        state[f"{self.name} mean"] = torch.cat(means)

    def average(self, state: dict[str, Any], blocks: Sequence[Tensor], new: Sequence[Tensor]) -> Sequence[Tensor]:
        """SAGA's estimate of every derivative; the visited entries and the sums are overwritten in place.

        Args:
            state: holds the tables.
            blocks: K times (runs, 1), the block visited in every row.
            new: K times (runs, d), the new derivatives there.

        Returns:
            K times (runs, d).
        """
        table, mean, runs = state[f"{self.name} table"], state[f"{self.name} mean"], len(new[0])
        rows, fresh = torch.cat(tuple(blocks)).view(-1), torch.cat(tuple(new))
        rows = rows + _constant(self.firsts, runs, rows.dtype, rows.device)
        if runs > 1:
            rows = (rows.view(-1, runs) * runs + torch.arange(runs, device=rows.device)).view(-1)
        change = table.index_select(0, rows)
        torch.sub(fresh, change, out=change)
        table.index_copy_(0, rows, fresh)
        estimate = mean + change
        if self.equal:
            shares = self.shares
        else:  # then there is a single row
            shares = tuple(part.shares[int(block)] for part, block in zip(self.parts, blocks, strict=True))
            surplus = tuple(part.count * share - 1 for part, share in zip(self.parts, shares, strict=True))
            estimate.addcmul_(change, _column(surplus, runs, mean.dtype, mean.device))
        mean.addcmul_(change, _column(shares, runs, mean.dtype, mean.device))
        return torch.split_with_sizes(estimate, [runs] * len(new))


@dataclass(frozen=True)
class SharedTable:
    """The table of a derivative whose entries of different blocks do not overlap, in the space of a single one.

    So it is with ∇²_xy g · v where every data point has an entry of x of its own, a weight say (``Problem.weighted``).

    Attributes:
        name: ``NAME table`` in the state is (runs, n): at every place, the entry of the block that the place is of.
        blocks: of the n data points.
    """

    name: str
    blocks: Blocks

    def begin(self, state: dict[str, Any], like: Tensor) -> None:
        """Put a table of zeros for rows of derivatives like ``like`` (runs, n) into a state."""
        state[f"{self.name} table"] = torch.zeros_like(like)

    def descend(
        self, state: dict[str, Any], x: Tensor, step: float | Tensor, block: Tensor, places: Tensor | None, new: Tensor
    ) -> Tensor:
        """x − step · SAGA's estimate, which is not formed itself; the visited entries are overwritten in place.

        Args:
            state: holds the table.
            x: (runs, n).
            step: a number or (runs, 1).
            block: (runs, 1), the block visited in every row.
            places: (runs, s) int64, the places of its data points; None where it has all.
            new: (runs, n), the new derivative, 0 off these places.

        Returns:
            (runs, n).
        """
        if places is None:
            return descend(x, step, new)
        table, blocks = state[f"{self.name} table"], self.blocks
        fresh = new.gather(1, places)
        change = fresh - table.gather(1, places)
        if blocks.equal:
            x = descend(x, step * blocks.shares[0], table)
        else:  # then there is a single row
            shares = tuple(blocks.shares[place // blocks.size] for place in range(blocks.points))
            x = descend(x, step * _constant(shares, 1, table.dtype, table.device), table)
            change *= blocks.count * blocks.shares[int(block)]
        table.scatter_(1, places, fresh)
        return x.scatter_add_(1, places, change.mul_(-step))


def check_memory(numbers: int, what: str, element_size: int, limit: float) -> None:
    """Refuse tables that cannot fit, before anything is allocated.

    Args:
        numbers: entries in all tables.
        what: how they come about, for the message.
        element_size: bytes of one.
        limit: GiB allowed.

    Raises:
        InputError: the tables need more than the limit.
    """
    needed = numbers * element_size / GIB
    if needed > limit:
        raise InputError(
            f"SABA's tables need {needed:.3g} GiB ({what} numbers of {element_size} bytes), more than "
            f"algorithm.table_limit = {limit:g} GiB. Use a larger algorithm.batch_size (fewer blocks), fewer runs, "
            "float32, or raise the limit."
        )
