"""Tables of per-block derivatives for methods of the SAGA family, over a fixed partition of a finite sum's points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from unibio.draw import Draw
from unibio.errors import InputError
from unibio.oracle import Oracle, Sample

GIB = 2**30


@dataclass(frozen=True)
class _BlockDraw(Draw):
    """A draw whose minibatch is a named block instead of the next of a permutation.

    Any sampler that is a function of ``Draw.minibatch`` serves blocks through it, so a problem needs nothing extra.
    """

    block: Tensor | None = field(default=None, repr=False)

    def minibatch(self, n: int) -> Tensor:
        assert self.block is not None
        assert self.size is not None
        first = self.block * self.size
        # Only the last block can be shorter, and then all rows are on it.
        length = min(self.size, n - int(first[0])) if n % self.size else self.size
        return first[:, None] + torch.arange(length, device=first.device)


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
    def of(cls, oracle: Oracle, level: str, runs: int) -> Blocks:
        """The partition for an oracle's batch size; a level without data points is one block.

        Raises:
            InputError: several runs with blocks of unequal size, which cannot be visited side by side.
        """
        points = (oracle.problem.size_upper if level == "upper" else oracle.problem.size_lower) or 1
        blocks = cls(level, points, min(oracle.batch_size or points, points))
        if runs > 1 and points % blocks.size:
            raise InputError(
                f"algorithm.batch_size = {blocks.size} does not divide the {points} data points of the {level} level, "
                "so blocks differ in size; that works for a single run only. Use a divisor, or one run at a time."
            )
        return blocks

    @property
    def count(self) -> int:
        """Number of blocks."""
        return -(-self.points // self.size)

    @property
    def equal(self) -> bool:
        """Whether all blocks have one size."""
        return self.points % self.size == 0

    def weight(self, block: Tensor, dtype: torch.dtype) -> float | Tensor:
        """A block's share of all points: one number where blocks are equal, else (runs, 1)."""
        if self.equal:
            return 1 / self.count
        length = (self.points - block * self.size).clamp(max=self.size)
        return (length.to(dtype) / self.points)[:, None]

    def mean(self, table: Tensor) -> Tensor:
        """Σ_b w_b stored(b) of a table: (B, runs, d) → (runs, d)."""
        weight = self.weight(torch.arange(self.count, device=table.device), table.dtype)
        return (weight[..., None] * table).sum(0) if isinstance(weight, Tensor) else table.sum(0) * weight

    def pick(self, oracle: Oracle) -> Tensor:
        """A block per row, uniformly and independently of earlier ones (SAGA's sampling): (runs,) int64."""
        uniform = oracle.draw(f"{self.level} block").uniform(1)[:, 0]
        return (uniform * self.count).to(torch.int64).clamp(max=self.count - 1)

    def sample(self, oracle: Oracle, block: Tensor) -> Sample:
        """The sample that holds a block's data points; the whole level where there is only one block."""
        problem = oracle.problem
        sampler = problem.sample_upper if self.level == "upper" else problem.sample_lower
        length = self.size if self.equal else min(self.size, self.points - int(block[0]) * self.size)
        if sampler is None:
            return Sample(None, length)
        draw = oracle.draw(f"{self.level} block sample", self.size)
        if self.count > 1:
            draw = _BlockDraw(draw.streams, draw.purpose, draw.index, draw.size, block)
        return Sample(sampler(draw), length)

    def average(self, state: dict[str, Any], block: Tensor, new: Tensor) -> Tensor:
        """SAGA's estimate from the level's table; the visited entries and the table's mean are overwritten in place.

        estimate = B w_b (new − stored(b)) + Σ_b w_b stored(b), with B blocks of weight w_b; for equal blocks B w_b = 1.

        Args:
            state: its ``LEVEL table`` is (B, runs, d), entries not weighted, its ``LEVEL mean`` Σ_b w_b stored(b).
            block: (runs,), the entry visited in every row.
            new: (runs, d).

        Returns:
            (runs, d).
        """
        mean, flat = state[f"{self.level} mean"], state[f"{self.level} table"].view(-1, new.shape[-1])
        entries = block * len(block) + torch.arange(len(block), device=block.device)
        change = flat.index_select(0, entries)
        torch.sub(new, change, out=change)
        flat.index_copy_(0, entries, new)
        weight = self.weight(block, new.dtype)
        if isinstance(weight, Tensor):
            estimate = torch.addcmul(mean, change, self.count * weight)
            mean.addcmul_(change, weight)
        else:
            estimate = mean + change
            mean.add_(change, alpha=weight)
        return estimate


def check_memory(numbers: int, element_size: int, limit: float, what: str) -> None:
    """Refuse tables that cannot fit, before anything is allocated.

    Args:
        numbers: entries in all tables.
        element_size: bytes of one.
        limit: GiB allowed.
        what: how ``numbers`` came about, for the message.

    Raises:
        InputError: the tables need more than the limit.
    """
    needed = numbers * element_size / GIB
    if needed > limit:
        raise InputError(
            f"SABA's tables need {needed:.3g} GiB ({what}), more than algorithm.table_limit = {limit:g} GiB. Use a "
            "larger algorithm.batch_size (fewer blocks), fewer runs, float32, or raise the limit."
        )
