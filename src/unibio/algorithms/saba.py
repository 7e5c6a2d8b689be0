"""SABA (Dagréou, Ablin, Vaiter & Moreau, NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.algorithms.base import Diagnosis, State
from unibio.algorithms.steps import AuxiliarySteps
from unibio.oracle import Oracle
from unibio.parameters import hyper
from unibio.tables import GIB, Blocks, check_memory


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

    table_start: str = hyper("filled", "tables at the start: one full pass, or zeros", choices=("filled", "zeros"))
    table_limit: float = hyper(2.0, "GiB that the tables may take", above=0)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        lower, upper = self.blocks(oracle, len(x))
        runs, dx, dy = len(x), x.shape[-1], y.shape[-1]
        check_memory(
            runs * (lower.count * (2 * dy + dx) + upper.count * (dx + dy)),
            x.element_size(),
            self.table_limit,
            f"{runs} runs × ({lower.count} lower blocks × (2·{dy} + {dx}) + {upper.count} upper blocks × "
            f"({dx} + {dy})) numbers of {x.element_size()} bytes",
        )
        state: State = {"x": x, "y": y, "z": torch.zeros_like(y), "k": 0}
        state["lower table"] = x.new_zeros((lower.count, runs, 2 * dy + dx))
        state["upper table"] = x.new_zeros((upper.count, runs, dx + dy))
        if self.table_start == "filled":
            self.fill(oracle, state, lower, upper)
        for blocks in (lower, upper):
            state[f"{blocks.level} mean"] = blocks.mean(state[f"{blocks.level} table"])
        return state

    def fill(self, oracle: Oracle, state: State, lower: Blocks, upper: Blocks) -> None:
        """One pass over all blocks at the start; Hz and Jz stay 0, as z_0 = 0."""
        x, y = state["x"], state["y"]
        everyone = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        for b in range(lower.count):
            state["lower table"][b, :, : y.shape[-1]] = oracle.grad_lower(x, y, lower.sample(oracle, everyone + b))
        for b in range(upper.count):
            state["upper table"][b] = torch.cat(oracle.grad_upper(x, y, upper.sample(oracle, everyone + b)), -1)

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        lower, upper = self.blocks(oracle, len(x))
        i, j = lower.pick(oracle), upper.pick(oracle)
        zeta, xi = lower.sample(oracle, i), upper.sample(oracle, j)
        new_upper = torch.cat(oracle.grad_upper(x, y, xi), -1)
        new_lower = [oracle.grad_lower(x, y, zeta), oracle.hvp(x, y, z, zeta), oracle.jvp(x, y, z, zeta)]
        dx, dy = x.shape[-1], y.shape[-1]
        g_y, Hz, Jz = lower.average(state, i, torch.cat(new_lower, -1)).split((dy, dy, dx), -1)
        f_x, f_y = upper.average(state, j, new_upper).split((dx, dy), -1)
        return state | {
            "x": oracle.project_upper(x - self.eta(k) * (f_x - Jz)),
            "y": oracle.project_lower(y - self.rho(k) * g_y),
            "z": z - self.gamma(k) * (Hz - f_y),
            "k": k + 1,
        }

    def blocks(self, oracle: Oracle, runs: int) -> tuple[Blocks, Blocks]:
        """The two levels' partitions."""
        return Blocks.of(oracle, "lower", runs), Blocks.of(oracle, "upper", runs)

    def diagnose(self, oracle: Oracle, state: State) -> Diagnosis:
        tables = [value for key, value in state.items() if key.endswith(" table")]
        gib = sum(table.numel() * table.element_size() for table in tables) / GIB
        x = state["x"]
        return Diagnosis({"table_gib": x.new_full((len(x),), gib / len(x))})
