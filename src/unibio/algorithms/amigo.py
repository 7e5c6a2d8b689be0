"""AmIGO (Arbel & Mairal, ICLR 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import hyper
from unibio.core.steps import AuxiliarySteps


@dataclass(frozen=True)
class AmIGO(AuxiliarySteps):
    """AmIGO, Algorithm 1 of the paper: both inner problems warm-started, several SGD steps each.

        n times:  y ← y − ρ g_y(x, y)
        (f_x, f_y) at (x, y)
        m times:  z ← z − γ (Hz − f_y)                                                                  z_0 = 0
        x ← x − η (f_x − Jz)

    An iteration costs n lower gradients, one upper gradient (its sample serves f_x and every z step), m HVPs and one
    JVP. Assumes a strongly convex, smooth lower level; full batch it converges to ∇φ = 0.
    """

    name: ClassVar[str] = "amigo"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower", "auxiliary")

    lower_iterations: int = hyper(10, "lower steps per iteration", symbol="n", at_least=1)
    auxiliary_iterations: int = hyper(10, "steps on z per iteration", symbol="m", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": torch.zeros_like(y), "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        move = self.moves(oracle, state, k)
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(move.lower(y, self.rho(k), oracle.grad_lower(x, y)))
        f_x, f_y = oracle.grad_upper(x, y)
        for _ in range(self.auxiliary_iterations):
            z = move.auxiliary(z, self.gamma(k), oracle.hvp(x, y, z) - f_y)
        x = oracle.project_upper(move.upper(x, self.eta(k), f_x - oracle.jvp(x, y, z)))
        return {"x": x, "y": y, "z": z, "k": k + 1, **move.carried}
