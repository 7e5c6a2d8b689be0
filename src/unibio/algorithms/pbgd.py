"""PBGD (Shen & Chen, ICML 2023; Xiao & Chen, Unlocking Global Optimality in Bilevel Optimization)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.algorithms.first_order import PenaltySteps
from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper


@dataclass(frozen=True)
class PBGD(PenaltySteps):
    """Penalty-based gradient descent on f + γ(g − g*), with a fixed penalty γ = O(ε^{−1/2}) and step α = α₀/γ.

        T times:  w ← w − β g_y(x, w)                                                 from its own last value, w_0 = y_0
        joint (Jacobi):            (x, y) ← (x, y) − α (∇f + γ(∇g(x, y) − (g_x(x, w), 0)))            both at (x, y)
        blockwise (Gauss–Seidel):  T_y times  y ← y − (β/γ)(f_y + γ g_y)(x, y);   then the x part at the new y

    ``upper_step`` is α₀, ``lower_step`` β, the effective step on g. The joint iteration costs T + 1 lower and one upper
    gradients and two g_x, the blockwise T + T_y lower and 1 + T_y upper gradients and two g_x. Full batch it stops at
    ∇𝓛*_γ = 0, with g(x, y) − g*(x) = O(γ^{−2}): a global optimum in O(log²(1/ε)) iterations where the penalised
    objective satisfies the Polyak–Łojasiewicz inequality jointly, or blockwise.
    """

    name: ClassVar[str] = "pbgd"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")

    upper_step: PerRun = hyper(0.1, "step times penalty", symbol="α₀", above=0)
    lower_step: PerRun = hyper(0.1, "effective step on g of inner loops", symbol="β", above=0)
    penalty: PerRun = hyper(10.0, "weight of the lower level against the upper", symbol="γ", above=0)
    update: str = hyper("joint", "x and y at once, or y before x", choices=("joint", "blockwise"))
    lower_iterations: int = hyper(10, "steps of w per iteration", symbol="T", at_least=1)
    penalised_iterations: int = hyper(10, "blockwise: steps of y per iteration", symbol="T_y", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "w": y, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, w, k = state["x"], state["y"], state["w"], state["k"]
        move = self.moves(oracle, state, k)
        for _ in range(self.lower_iterations):
            w = oracle.project_lower(move.lower(w, self.lower_step, oracle.grad_lower(x, w), "w"))
        if self.update == "blockwise":
            for _ in range(self.penalised_iterations):
                f_y = oracle.grad_upper_y(x, y)
                g_y = oracle.grad_lower(x, y)
                y = oracle.project_lower(move.lower(y, self.lower_step, f_y / self.penalty + g_y))
        f_x, f_y = oracle.grad_upper(x, y)
        direction = f_x / self.penalty + oracle.grad_lower_x(x, y) - oracle.grad_lower_x(x, w)
        new_x = move.upper(x, self.upper_step, direction)
        if self.update == "joint":
            g_y = oracle.grad_lower(x, y)
            y = oracle.project_lower(move.upper(y, self.upper_step, f_y / self.penalty + g_y, "y"))
        return {"x": oracle.project_upper(new_x), "y": y, "w": w, "k": k + 1, **move.carried}
