"""SOBA (Dagréou, Ablin, Vaiter & Moreau, NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.algorithms.base import State
from unibio.algorithms.steps import AuxiliarySteps
from unibio.oracle import Oracle
from unibio.parameters import PerRun, hyper
from unibio.updates import descend

_HALF = "SOBA's steps decay like (k + k₀)^(−1/2); 0 is a constant step"


@dataclass(frozen=True)
class SOBA(AuxiliarySteps):
    """SOBA, Algorithm 1 of the paper: three directions at one point, three simultaneous steps.

        y ← y − ρ_k g_y;     z ← z − γ_k (Hz − f_y);     x ← x − η_k (f_x − Jz)        all at (x, y, z);  z_0 = 0

    An iteration costs one lower gradient, one upper gradient, one HVP and one JVP, each on a sample of its own (f_x and
    f_y share one). Assumes a strongly convex, smooth lower level; full batch, constant steps lead to ∇φ = 0.
    """

    name: ClassVar[str] = "soba"

    upper_decay: PerRun = hyper(0.5, _HALF, symbol="a", at_least=0)
    lower_decay: PerRun = hyper(0.5, _HALF, symbol="b", at_least=0)
    auxiliary_decay: PerRun = hyper(0.5, _HALF, at_least=0)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": torch.zeros_like(y), "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        lower, auxiliary, upper = directions(oracle, x, y, z)
        return {
            "x": oracle.project_upper(descend(x, self.eta(k), upper)),
            "y": oracle.project_lower(descend(y, self.rho(k), lower)),
            "z": descend(z, self.gamma(k), auxiliary),
            "k": k + 1,
        }


def directions(oracle: Oracle, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(g_y, Hz − f_y, f_x − Jz) at one point."""
    g_y = oracle.grad_lower(x, y)
    f_x, f_y = oracle.grad_upper(x, y)
    return g_y, oracle.hvp(x, y, z) - f_y, f_x - oracle.jvp(x, y, z)
