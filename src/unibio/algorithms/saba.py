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
from unibio.tables import GIB, Blocks, average, check_memory

#: The five tables: on the lower level's blocks, on the upper level's.
LOWER = ("g_y", "Hz", "Jz")
UPPER = ("f_x", "f_y")


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
        widths = {"g_y": y.shape[-1], "Hz": y.shape[-1], "Jz": x.shape[-1], "f_x": x.shape[-1], "f_y": y.shape[-1]}
        counts = {name: (lower if name in LOWER else upper).count for name in widths}
        check_memory(
            len(x) * sum(counts[name] * widths[name] for name in widths),
            x.element_size(),
            self.table_limit,
            f"{len(x)} runs × ({lower.count} lower blocks × (2·{y.shape[-1]} + {x.shape[-1]}) + {upper.count} upper "
            f"blocks × ({x.shape[-1]} + {y.shape[-1]})) numbers of {x.element_size()} bytes",
        )
        tables = {f"{name} table": x.new_zeros((counts[name], len(x), widths[name])) for name in widths}
        state: State = {"x": x, "y": y, "z": torch.zeros_like(y), "k": 0, **tables}
        if self.table_start == "filled":
            self.fill(oracle, state, lower, upper)
        for name in widths:
            blocks, table = (lower if name in LOWER else upper), state[f"{name} table"]
            weights = blocks.weight(torch.arange(blocks.count, device=x.device), x.dtype)
            state[f"{name} mean"] = (weights[..., None] * table).sum(0)
        return state

    def fill(self, oracle: Oracle, state: State, lower: Blocks, upper: Blocks) -> None:
        """One pass over all blocks at the start; Hz and Jz stay 0, as z_0 = 0."""
        x, y = state["x"], state["y"]
        everyone = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        for b in range(lower.count):
            state["g_y table"][b] = oracle.grad_lower(x, y, lower.sample(oracle, everyone + b))
        for b in range(upper.count):
            state["f_x table"][b], state["f_y table"][b] = oracle.grad_upper(x, y, upper.sample(oracle, everyone + b))

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        lower, upper = self.blocks(oracle, len(x))
        i, j = lower.pick(oracle), upper.pick(oracle)
        zeta, xi = lower.sample(oracle, i), upper.sample(oracle, j)
        f_x, f_y = oracle.grad_upper(x, y, xi)
        new = {
            "g_y": oracle.grad_lower(x, y, zeta),
            "Hz": oracle.hvp(x, y, z, zeta),
            "Jz": oracle.jvp(x, y, z, zeta),
            "f_x": f_x,
            "f_y": f_y,
        }
        d = {}
        for names, blocks, block in ((LOWER, lower, i), (UPPER, upper, j)):
            weight = blocks.weight(block, x.dtype)
            for name in names:
                d[name], state[f"{name} mean"] = average(
                    state[f"{name} table"], state[f"{name} mean"], block, new[name], weight, blocks.count
                )
        return state | {
            "x": oracle.project_upper(x - self.eta(k) * (d["f_x"] - d["Jz"])),
            "y": oracle.project_lower(y - self.rho(k) * d["g_y"]),
            "z": z - self.gamma(k) * (d["Hz"] - d["f_y"]),
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
