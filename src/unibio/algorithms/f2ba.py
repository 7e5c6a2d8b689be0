"""F²BA (Chen, Ma & Zhang, JMLR 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.algorithms.first_order import PenaltySteps
from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper


@dataclass(frozen=True)
class F2BA(PenaltySteps):
    """F²BA: a fixed penalty λ = O(1/ε), T = O(κ) inner steps, and x steps that λ does not shorten.

        T times:  z ← z − αλ g_y(x, z);     y ← y − α (f_y(x, y) + λ g_y(x, y))          z_0 = y_0;  αλ = 1/(2L_g)
        x ← x − η (f_x(x, y) + λ (g_x(x, y) − g_x(x, z)))                                at the new y, z;  η = O(κ^{−3})

    as the Hessian of 𝓛*_λ is bounded whatever λ. ``lower_step`` is αλ, the effective step on g for both iterates.
    ``restart`` begins z at y in every iteration, as the authors' code does. ``difference_samples`` = "shared" takes one
    sample for both g_x, whose difference then has a variance of O(‖y − z‖²) = O(λ^{−2}) per unit of smoothness, so that
    the direction's stays O(1) (a stochastically smooth oracle); "fresh" leaves O(λ²). Iterations Õ(ε^{−2}) for exact
    gradients. An iteration costs T + 1 upper and 2T lower gradients and two g_x. Full batch it stops at ∇𝓛*_λ = 0,
    where ‖∇φ‖ = O(1/λ). Assumes a strongly convex lower level.
    """

    name: ClassVar[str] = "f2ba"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")

    upper_step: PerRun = hyper(0.1, "upper-level step", symbol="η", above=0)
    lower_step: PerRun = hyper(0.1, "effective step on g of z and y", symbol="αλ", above=0)
    lower_iterations: int = hyper(10, "steps of z and y per iteration", symbol="T", at_least=1)
    restart: bool = hyper(False, "begin z at y in every iteration")
    difference_samples: str = hyper("fresh", "samples of the two g_x", choices=("fresh", "shared"))

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": y, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, k = state["x"], state["y"], state["k"]
        move = self.moves(oracle, state, k)
        z = y if self.restart else state["z"]
        for _ in range(self.lower_iterations):
            z = oracle.project_lower(move.lower(z, self.lower_step, oracle.grad_lower(x, z), "z"))
            f_y = oracle.grad_upper_y(x, y)
            g_y = oracle.grad_lower(x, y)
            y = oracle.project_lower(move.lower(y, self.lower_step, f_y / self.penalty + g_y))
        f_x = oracle.grad_upper_x(x, y)
        first = oracle.sample_lower()
        second = first if self.difference_samples == "shared" else oracle.sample_lower()
        direction = f_x + self.penalty * (oracle.grad_lower_x(x, y, first) - oracle.grad_lower_x(x, z, second))
        x = oracle.project_upper(move.upper(x, self.upper_step, direction))
        return {"x": x, "y": y, "z": z, "k": k + 1, **move.carried}
