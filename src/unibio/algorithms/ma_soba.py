"""MA-SOBA (Chen, Xiao & Balasubramanian, JMLR 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.algorithms.soba import directions
from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.steps import OnePoint
from unibio.core.updates import mix


@dataclass(frozen=True)
class MASOBA(OnePoint):
    """MA-SOBA: SOBA with a moving average of the hypergradient.

        x ← x − η h;     y ← y − ρ g_y;     z ← z − γ (Hz − f_y)                      all at (x, y, z);  z_0 = 0
        h ← β h + (1−β)(f_x − Jz)                                                     at the same point;  h_0 = 0

    so x moves along the h of before its update. The paper's θ is 1 − β. An iteration costs one lower gradient, one
    upper gradient, one HVP and one JVP, those of the lower level on one sample with ``oracle_samples`` = "shared".
    Assumes a strongly convex, smooth lower level; steps are constant.
    """

    name: ClassVar[str] = "ma_soba"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower", "auxiliary")

    momentum: PerRun = hyper(0.9, "weight of the old average", symbol="1 − θ", at_least=0, below=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": torch.zeros_like(y), "h": torch.zeros_like(x), "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, h, k = state["x"], state["y"], state["z"], state["h"], state["k"]
        lower, auxiliary, upper = directions(oracle, x, y, z, self.oracle_samples)
        move = self.moves(oracle, state, k)
        return {
            "x": oracle.project_upper(move.upper(x, self.eta(k), h)),
            "y": oracle.project_lower(move.lower(y, self.rho(k), lower)),
            "z": move.auxiliary(z, self.gamma(k), auxiliary),
            "h": mix(h, upper, self.momentum),
            "k": k + 1,
            **move.carried,
        }
