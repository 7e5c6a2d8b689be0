"""F²SA (Kwon, Kwon, Wright & Nowak, ICML 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unibio.algorithms.first_order import ScheduledPenalty, chosen
from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper


@dataclass(frozen=True)
class PenalisedIterate(ScheduledPenalty):
    """Schedules of x, z, y and λ with the exponents (a, c): α_k ∝ (k + k₀)^{−a}, γ_k ∝ (k + k₀)^{−c}."""

    exponents: ClassVar[dict[str, tuple[float, float]]]
    replaced: ClassVar[Mapping[str, tuple[str, ...]]] = {"lower": ("penalised_step", "penalised_decay")}

    upper_step: PerRun = hyper(0.1, "upper-level step", symbol="ξα", above=0)
    lower_step: PerRun = hyper(0.1, "step of z, which minimises g", symbol="γ", above=0)
    penalised_step: PerRun = hyper(0.1, "step of y, which minimises f + λg", symbol="α", above=0)
    penalty: PerRun = hyper(1.0, "weight of the lower level where k + k₀ = 1", symbol="λ", above=0)
    upper_decay: float | None = hyper(None, "exponent of the upper step; null: a of the schedule", at_least=0)
    lower_decay: float | None = hyper(None, "exponent of the step of z; null: the schedule's", symbol="c", at_least=0)
    penalised_decay: float | None = hyper(
        None, "exponent of the step of y; null: the schedule's", symbol="a", at_least=0
    )
    penalty_growth: float | None = hyper(None, "λ grows like (k + k₀)^e; null: e = a − c", at_least=0)

    def eta(self, k: int) -> PerRun:
        """The step of x."""
        return self.decayed(self.upper_step, k, chosen(self.upper_decay, self.exponents[self.schedule][0]))

    def gamma(self, k: int) -> PerRun:
        """The step of z."""
        return self.decayed(self.lower_step, k, chosen(self.lower_decay, self.exponents[self.schedule][1]))

    def alpha(self, k: int) -> PerRun:
        """The step of y."""
        return self.decayed(self.penalised_step, k, chosen(self.penalised_decay, self.exponents[self.schedule][0]))

    def weight(self, k: int) -> PerRun:
        """λ_k."""
        a, c = self.exponents[self.schedule]
        return self.grown(k, chosen(self.penalty_growth, a - c))


@dataclass(frozen=True)
class F2SA(PenalisedIterate):
    """F²SA: the penalty grows while x descends along an estimate of ∇𝓛*_λ.

        T times:  z ← z − γ_k g_y(x, z);     y ← y − α_k (f_y(x, y) + λ_k g_y(x, y))                 z_0 = y_0
        x ← x − ξα_k (f_x(x, y) + λ_k (g_x(x, y) − g_x(x, z)))                                     at the new y, z

    with α_k ∝ (k + k₀)^{−a}, γ_k ∝ (k + k₀)^{−c}, λ_k ∝ (k + k₀)^{a−c}; (a, c) = (5/7, 4/7) for noise on both levels,
    (3/5, 2/5) on the upper only, (1/3, 0) for exact gradients: E‖∇φ‖ = Õ(K^{−1/7}), K^{−1/5}, K^{−1/3}. T = 1 is the
    basic method. An iteration costs T + 1 upper and 2T lower gradients and two g_x, each on a sample of its own. Steps
    must satisfy γL_g < 2 and α(L_f + λL_g) < 2. Assumes a strongly convex lower level.
    """

    name: ClassVar[str] = "f2sa"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")
    exponents: ClassVar[dict[str, tuple[float, float]]] = {
        "exact": (1 / 3, 0.0),
        "upper": (3 / 5, 2 / 5),
        "both": (5 / 7, 4 / 7),
    }

    lower_iterations: int = hyper(1, "steps of z and y per iteration", symbol="T", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": y, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, k = state["x"], state["y"], state["z"], state["k"]
        penalty, move = self.weight(k), self.moves(oracle, state, k)
        for _ in range(self.lower_iterations):
            z = oracle.project_lower(move.lower(z, self.gamma(k), oracle.grad_lower(x, z), "z"))
            f_y = oracle.grad_upper_y(x, y)
            y = oracle.project_lower(move.lower(y, self.alpha(k), f_y + penalty * oracle.grad_lower(x, y)))
        f_x = oracle.grad_upper_x(x, y)
        direction = f_x + penalty * (oracle.grad_lower_x(x, y) - oracle.grad_lower_x(x, z))
        x = oracle.project_upper(move.upper(x, self.eta(k), direction))
        return {"x": x, "y": y, "z": z, "k": k + 1, **move.carried}
