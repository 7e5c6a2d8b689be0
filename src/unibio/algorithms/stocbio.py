"""StocBiO (Ji, Yang & Liang, ICML 2021), and BSA (Ghadimi & Wang, 2018) as the same loop with the random length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import hyper
from unibio.core.steps import NeumannSteps


@dataclass(frozen=True)
class StocBiO(NeumannSteps):
    """StocBiO, Algorithm 2 of the paper: several lower steps, then the Neumann sum.

        D times:  y ← y − ρ g_y(x, y)
        v = c Σ_{q<Q} Π_{j≤q} (I − c H_j) f_y(x, y)
        x ← x − η (f_x(x, y) − J v)

    Every use draws a sample of its own. An iteration costs D lower gradients, one upper gradient, Q − 1 HVPs and one
    JVP. Assumes a strongly convex, smooth lower level; full batch, it stops at ‖J(I − cH)^Q H⁻¹f_y‖, not at 0.
    """

    name: ClassVar[str] = "stocbio"
    restarts: ClassVar[bool] = True
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")

    lower_iterations: int = hyper(10, "lower steps per iteration", symbol="D", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, k = state["x"], state["y"], state["k"]
        move = self.moves(oracle, state, k)
        for _ in range(self.lower_iterations):
            y = oracle.project_lower(move.lower(y, self.rho(k), oracle.grad_lower(x, y)))
        h = self.hypergradient(oracle, x, y, self.draw(oracle))
        x = oracle.project_upper(move.upper(x, self.eta(k), h))
        return {"x": x, "y": y, "k": k + 1, **move.carried}


@dataclass(frozen=True)
class BSA(StocBiO):
    """BSA: StocBiO's loop with v = Q c Π_{j≤P}(I − c H_j) f_y, P uniform on {0, …, Q−1}.

    An iteration costs D lower gradients, one upper gradient, P HVPs ((Q − 1)/2 on average) and one JVP.
    """

    name: ClassVar[str] = "bsa"
    random_length: ClassVar[bool] = True
