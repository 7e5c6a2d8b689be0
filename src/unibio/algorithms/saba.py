"""SABA (Dagréou, Ablin, Vaiter & Moreau, NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from unibio.core.algorithm import Diagnosis, State
from unibio.core.oracle import Oracle
from unibio.core.parameters import hyper
from unibio.core.saga import GIB, Blocks, SharedTable, Tables, check_memory
from unibio.core.steps import AuxiliarySteps
from unibio.errors import InputError


class Kept(NamedTuple):
    """What SABA remembers: the partitions of both levels, tables of g_y, Hz, f_y, and of Jz, f_x or of Jz alone."""

    lower: Blocks
    upper: Blocks
    of_y: Tables
    of_x: Tables | SharedTable

    @classmethod
    def of(cls, oracle: Oracle, runs: int) -> Kept:
        """What is kept for an oracle's problem and batch size.

        Raises:
            InputError: several runs with blocks of unequal size.
        """
        problem = oracle.problem
        points = (problem.size_upper or 1, problem.size_lower or 1)  # without data points a level is one block
        return cls.of_points(points, oracle.batch_size, problem.weighted is not None, runs)

    @classmethod
    def of_points(cls, points: tuple[int, int], batch_size: int | None, weighted: bool, runs: int) -> Kept:
        """What is kept for so many points of the upper and the lower level; errors as in :meth:`of`."""
        kept = _kept(*points, batch_size, weighted)
        if runs > 1:
            kept.lower.check_equal()
            kept.upper.check_equal()
        return kept

    def size(self, runs: int, dx: int, dy: int, element_size: int, limit: float) -> int:
        """Bytes of all tables; more than ``limit`` GiB are refused, as :func:`~unibio.core.saga.check_memory` does."""
        lower, upper = self.lower.count, self.upper.count
        if isinstance(self.of_x, SharedTable):
            each, said = lower * 2 * dy + upper * dy + dx, f"2·{dy} + {upper} upper blocks × {dy} + {dx}"
        else:
            each = lower * (2 * dy + dx) + upper * (dx + dy)
            said = f"(2·{dy} + {dx}) + {upper} upper blocks × ({dx} + {dy})"
        check_memory(runs * each, f"{runs} runs × ({lower} lower blocks × {said})", element_size, limit)
        return runs * each * element_size


@lru_cache(maxsize=16)  # an iteration on a small problem should not be spent on setting this up
def _kept(size_upper: int, size_lower: int, batch_size: int | None, weighted: bool) -> Kept:
    lower, upper = Blocks.of("lower", size_lower, batch_size), Blocks.of("upper", size_upper, batch_size)
    of_x = SharedTable("x", lower) if weighted else Tables("x", (lower, upper))
    return Kept(lower, upper, Tables("y", (lower, lower, upper)), of_x)


@dataclass(frozen=True)
class SABA(AuxiliarySteps):
    """SABA, Algorithm 1 with SAGA directions: SOBA's steps with every oracle's variance reduced by a table.

        i, j drawn;  for each of g_y, Hz, Jz (block i) and f_x, f_y (block j), at (x, y, z):
            estimate = new − stored + mean of the table;   stored ← new
        y ← y − ρ g_y;     z ← z − γ (Hz − f_y);     x ← x − η (f_x − Jz)                             z_0 = 0

    Blocks are the fixed minibatches of ``batch_size`` consecutive data points; 1 is the paper's per-sample table. For
    n and m data points the tables hold ⌈n/batch⌉(2 d_y + d_x) + ⌈m/batch⌉(d_x + d_y) numbers per run, reported as
    ``table_gib``; more than ``table_limit`` is refused before anything is allocated. Filling them at the start costs
    one lower gradient per lower block and one upper gradient per upper block (Hz and Jz are 0 at z_0 = 0).

    An iteration costs one lower gradient, one upper gradient, one HVP and one JVP. Assumes finite sums, and a strongly
    convex, smooth lower level; converges to ∇φ = 0 with constant steps, also on minibatches.
    """

    name: ClassVar[str] = "saba"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower", "auxiliary")

    table_start: str = hyper("filled", "tables at the start: one full pass, or zeros", choices=("filled", "zeros"))
    table_limit: float = hyper(2.0, "GiB that the tables may take", above=0)

    def remembered(
        self, points: tuple[int, int], sizes: tuple[int, int], runs: int, weighted: bool, element_size: int
    ) -> int:
        kept = Kept.of_points(points, self.batch_size, weighted, runs)
        return kept.size(runs, *sizes, element_size, self.table_limit)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        kept = Kept.of(oracle, len(x))
        if self.upper_update is not None and isinstance(kept.of_x, SharedTable):
            raise InputError(
                "upper_update: where x weights data points (weighted), SABA steps only where its tables change, "
                "which no rule does; leave weighted out of the problem, or upper_update"
            )
        kept.size(len(x), x.shape[-1], y.shape[-1], x.element_size(), self.table_limit)
        state: State = {"x": x, "y": y, "z": torch.zeros_like(y), "k": 0}
        kept.of_x.begin(state, x)
        kept.of_y.begin(state, y)
        if self.table_start == "filled":
            self.fill(oracle, state, kept)
        return state

    def fill(self, oracle: Oracle, state: State, kept: Kept) -> None:
        """One pass over all blocks at the start; Hz and Jz stay 0, as z_0 = 0."""
        x, y = state["x"], state["y"]
        everyone = torch.zeros((len(x), 1), dtype=torch.int64, device=x.device)
        g_y, f_y = kept.of_y.entries(state, 0), kept.of_y.entries(state, 2)
        for b in range(kept.lower.count):
            g_y[b] = oracle.grad_lower(x, y, kept.lower.sample(oracle, everyone + b))
        for b in range(kept.upper.count):
            f_x, f_y[b] = oracle.grad_upper(x, y, kept.upper.sample(oracle, everyone + b))
            if isinstance(kept.of_x, Tables):
                kept.of_x.entries(state, 1)[b] = f_x
        kept.of_y.sum_up(state)
        if isinstance(kept.of_x, Tables):
            kept.of_x.sum_up(state)

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        kept, move = Kept.of(oracle, len(x)), self.moves(oracle, state, k)
        i, j = kept.lower.pick(oracle), kept.upper.pick(oracle)
        zeta, xi = kept.lower.sample(oracle, i), kept.upper.sample(oracle, j)
        f_x, f_y = oracle.grad_upper(x, y, xi)
        g_y, Hz, Jz = oracle.lower_at_once(x, y, z, zeta)
        g_y, Hz, f_y = kept.of_y.average(state, (i, i, j), (g_y, Hz, f_y))
        if isinstance(kept.of_x, SharedTable):  # and f_x = 0
            assert oracle.problem.weighted is not None
            new_x = kept.of_x.descend(state, x, -self.eta(k), i, oracle.problem.weighted(zeta.value), Jz)
        else:
            Jz, f_x = kept.of_x.average(state, (i, j), (Jz, f_x))
            new_x = move.upper(x, self.eta(k), f_x - Jz)
        return state | {
            "x": oracle.project_upper(new_x),
            "y": oracle.project_lower(move.lower(y, self.rho(k), g_y)),
            "z": move.auxiliary(z, self.gamma(k), Hz - f_y),
            "k": k + 1,
            **move.carried,
        }

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        tables = [value for key, value in state.items() if key.endswith(" table")]
        gib = sum(table.numel() * table.element_size() for table in tables) / GIB
        x = state["x"]
        return Diagnosis({"table_gib": x.new_full((len(x),), gib / len(x))})
