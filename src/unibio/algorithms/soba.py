"""SOBA (Dagréou, Ablin, Vaiter & Moreau, NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.steps import OnePoint

_HALF = "SOBA's steps decay like (k + k₀)^(−1/2); 0 is a constant step"


@dataclass(frozen=True)
class SOBA(OnePoint):
    """SOBA, Algorithm 1 of the paper: three directions at one point, three simultaneous steps.

        y ← y − ρ_k g_y;     z ← z − γ_k (Hz − f_y);     x ← x − η_k (f_x − Jz)        all at (x, y, z);  z_0 = 0

    An iteration costs one lower gradient, one upper gradient, one HVP and one JVP, each on a sample of its own (f_x and
    f_y share one); with ``oracle_samples`` = "shared" those of the lower level are on one. Assumes a strongly convex,
    smooth lower level; full batch, constant steps lead to ∇φ = 0.
    """

    name: ClassVar[str] = "soba"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower", "auxiliary")

    upper_decay: PerRun = hyper(0.5, _HALF, symbol="a", at_least=0)
    lower_decay: PerRun = hyper(0.5, _HALF, symbol="b", at_least=0)
    auxiliary_decay: PerRun = hyper(0.5, _HALF, at_least=0)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": torch.zeros_like(y), "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        lower, auxiliary, upper = directions(oracle, x, y, z, self.oracle_samples)
        move = self.moves(oracle, state, k)
        return {
            "x": oracle.project_upper(move.upper(x, self.eta(k), upper)),
            "y": oracle.project_lower(move.lower(y, self.rho(k), lower)),
            "z": move.auxiliary(z, self.gamma(k), auxiliary),
            "k": k + 1,
            **move.carried,
        }


def directions(
    oracle: Oracle, x: Tensor, y: Tensor, z: Tensor, samples: str = "fresh"
) -> tuple[Tensor, Tensor, Tensor]:
    """(g_y, Hz − f_y, f_x − Jz) at one point; ``samples`` as in :class:`~unibio.core.steps.OnePoint`."""
    if samples == "shared":
        g_y, Hz, Jz = oracle.lower_at_once(x, y, z)
    else:
        g_y, Hz, Jz = oracle.grad_lower(x, y), oracle.hvp(x, y, z), oracle.jvp(x, y, z)
    f_x, f_y = oracle.grad_upper(x, y)
    return g_y, Hz - f_y, f_x - Jz
