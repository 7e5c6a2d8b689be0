"""Epoch-SGD on a declared separable lower level by compiled loops: the same numbers in a fraction of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unibio.core import compiled
from unibio.core.oracle import Oracle
from unibio.core.separable import Separable
from unibio.core.updates import descend

#: Seconds that a step of the general solver takes beside its arithmetic, and for every coordinate.
CALLS, COORDINATE = 1.5e-5, 6e-9
#: Settings whose tables a schedule keeps: a search goes through many.
MOST_TABLES = 64
_SEEDS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Schedule:
    """Epochs: their lengths, and their factors of γ₁ and D₁."""

    lengths: tuple[int, ...]
    step_factors: tuple[float, ...]
    radius_factors: tuple[float, ...]
    _tables: dict[Any, NDArray[np.floating]] = field(default_factory=dict, init=False, repr=False)

    def parts(self) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
        """All three."""
        return self.lengths, self.step_factors, self.radius_factors

    @cached_property
    def total(self) -> int:
        """Steps of all epochs."""
        return sum(self.lengths)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """The steps at which epochs end."""
        return np.cumsum(np.asarray(self.lengths, dtype=np.int64))

    def steps(self, first: float | Tensor, dtype: np.dtype[Any]) -> NDArray[np.floating]:
        """γ_k: (epochs, 1 or runs)."""
        return self._table("steps", self.step_factors, first, dtype)

    def radii(self, first: float | Tensor, dtype: np.dtype[Any]) -> NDArray[np.floating]:
        """D_k: (epochs, 1 or runs)."""
        return self._table("radii", self.radius_factors, first, dtype)

    def _table(
        self, name: str, factors: tuple[float, ...], first: float | Tensor, dtype: np.dtype[Any]
    ) -> NDArray[np.floating]:
        if isinstance(first, Tensor):
            return torch.stack([(factor * first).reshape(-1) for factor in factors]).numpy()
        key = (name, first, dtype)
        if key not in self._tables:
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            self._tables[key] = np.asarray([factor * first for factor in factors], dtype=dtype)[:, None]
        return self._tables[key]


def loops_for(
    oracle: Oracle, x: Tensor, y: Tensor, settings: Sequence[float | Tensor], steps: int
) -> ModuleType | None:
    """The compiled loops, where they compute what the general solver computes and are worth it.

    Args:
        oracle: of the problem to be solved.
        x, y: (runs, d_x), (runs, d_y).
        settings: step and radius.
        steps: of the solve.

    Returns:
        None where the problem declares no separable lower level or has replaced a part of it, p is no integer, tensors
        lie elsewhere than on a CPU or are followed by autograd, there is no compiler, or too little to do; and where
        torch has been built so that it rounds differently.
    """
    lower = oracle.problem.own_separable()
    if lower is None or not computable(lower, x, y, settings):
        return None
    if not compiled.worthwhile(steps * (CALLS + COORDINATE * y.numel())):
        return None
    loops = compiled.epochs()
    return loops if loops is not None and rounds_alike(loops, y.dtype, lower.dimension) else None


def computable(lower: Separable, x: Tensor, y: Tensor, settings: Sequence[float | Tensor]) -> bool:
    """Whether compiled loops can take these arguments: p is an integer, tensors lie on a CPU, autograd follows none."""
    if not float(lower.exponent).is_integer() or y.shape[-1] != lower.dimension or not len(y):
        return False
    if y.dtype not in (torch.float32, torch.float64) or type(y) is not Tensor:
        return False
    followed = torch.is_grad_enabled()
    for t in (x, y, *settings):
        if isinstance(t, Tensor) and (not t.is_cpu or t.dtype != y.dtype or (followed and t.requires_grad)):
            return False
    return True


def solve(
    loops: ModuleType,
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    schedule: Schedule,
    *,
    first_radius: float | Tensor,
    step: float | Tensor,
    average: str,
) -> Tensor:
    """The steps of all epochs, each on a fresh sample and counted as a lower gradient.

    Args:
        loops: of :func:`loops_for`.
        oracle, x, y: as there.
        schedule: at least one epoch.
        first_radius, step, average: D₁, γ₁ and which iterates: see :func:`unibio.core.epoch_sgd.epoch_sgd`.

    Returns:
        (runs, d_y).
    """
    lower = oracle.problem.separable
    assert isinstance(lower, Separable)  # loops_for has looked
    centre = y.detach().clone(memory_format=torch.contiguous_format)
    w, total, target = centre.clone(), torch.zeros_like(centre), lower.target(x).detach().contiguous()
    arrays = [t.numpy() for t in (centre, w, total, target)]
    kind = arrays[0].dtype
    gammas, reaches = schedule.steps(step, kind), schedule.radii(first_radius, kind)
    by_reciprocal, total_steps = not isinstance(first_radius, Tensor), schedule.total
    noisy, streams, taken = lower.level is not None, oracle.streams, 0
    level = lower.level_like(centre).numpy() if noisy else np.empty((0, 0), dtype=kind)
    columns = streams.columns if noisy and not streams.distinct else _SEEDS
    while taken < total_steps:
        left = total_steps - taken
        if noisy:
            noise = streams.ahead("lower", oracle.next("lower"), lower.kinds * lower.dimension).numpy()
        else:
            noise = np.empty((left, 0, 0), dtype=kind)
        count = min(left, len(noise))
        oracle.take("grad_lower", count)
        loops.run(
            *arrays,
            int(lower.exponent) - 1,
            noise,
            columns,
            level,
            gammas,
            reaches,
            by_reciprocal,
            schedule.ends,
            average == "last",
            taken,
            count,
        )
        taken += count
    return centre


@cache
def rounds_alike(loops: ModuleType, dtype: torch.dtype, dimension: int = 1) -> bool:
    """Whether torch rounds a step and sums a norm as the loops do: a matter of how it was built, asked once."""
    random = np.random.Generator(np.random.Philox(dimension))
    y, step, g = (torch.from_numpy(random.standard_normal((1001, 1))).to(dtype) for _ in range(3))
    fused = torch.from_numpy(loops.descended(*(t[:, 0].numpy() for t in (y, step, g))))
    single = torch.from_numpy(loops.descended(y[:, 0].numpy(), step[:1, 0].expand(1001).numpy(), g[:, 0].numpy()))
    if not (torch.equal(descend(y, step, g)[:, 0], fused) and torch.equal(descend(y, float(step[0]), g)[:, 0], single)):
        return False
    rows = torch.from_numpy(random.standard_normal((200, dimension))).to(dtype)
    if dimension == 1:
        return True
    alone = torch.cat([torch.linalg.vector_norm(row[None], dim=-1) for row in rows[:50]])
    found = torch.from_numpy(loops.norms(rows.numpy()))
    return torch.equal(torch.linalg.vector_norm(rows, dim=-1), found) and torch.equal(alone, found[:50])
