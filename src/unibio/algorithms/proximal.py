"""Proximal penalty methods for lower levels that need not be convex (Kwon, Kwon, Wright & Nowak, ICLR 2024)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.algorithms.first_order import ScheduledPenalty, chosen, kept, lower_estimates, upper_estimates
from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.updates import decay, descend


@dataclass(frozen=True)
class ProximalSteps(ScheduledPenalty):
    """Adds the proximal term ‖w − centre‖²/(2ρ) and the centres' step; gradients are those of σ_k f + g, σ = 1/λ."""

    no_update: ClassVar[Mapping[str, str]] = {
        "upper": "its theory ties the steps of x to those of the centres y and z; f2sa, f2ba and pbgd take one",
        "lower": "its lower steps are projected steps on a smoothed problem whose centres y and z move by centre_step; "
        "f2sa, f2ba and pbgd take one",
    }

    upper_step: PerRun = hyper(0.1, "upper-level step", symbol="α", above=0)
    lower_step: PerRun = hyper(0.1, "step of w_y and w_z", symbol="γ", above=0)
    penalty: PerRun = hyper(1.0, "weight of the lower level where k + k₀ = 1", symbol="1/σ", above=0)
    smoothing: PerRun = hyper(1.0, "1 over the weight of the proximal terms ‖w − centre‖²/2", symbol="ρ", above=0)
    centre_step: PerRun = hyper(0.5, "share of the way that centres move to w", symbol="β", above=0)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "z": y, "w_y": y, "w_z": y, "k": 0}

    def pulled(self, w: Tensor, centre: Tensor) -> Tensor:
        """The gradient of the proximal term."""
        return (w - centre) / self.smoothing


@dataclass(frozen=True)
class Proximal(ProximalSteps):
    """The two-loop method: projected steps on proximally smoothed problems around slowly moving centres y and z.

        T_k times:  v ← P(v − γ_k (g_y(x, v) + (v − z)/ρ));   u ← P(u − γ_k (σ_k f_y(x, u) + g_y(x, u) + (u − y)/ρ))
        w_z = v,  w_y = u;      z ← z + β(w_z − z);   y ← y + β(w_y − y)
        x ← P(x − α/M_k Σ_m (σ_k f_x(x, w_y) + g_x(x, w_y) − g_x(x, w_z)))

    with u, v starting at the last w_y, w_z; σ_k ∝ (k + k₀)^{−1/3}, γ_k ∝ (k + k₀)^{−c}, T_k = ⌈T(k + 1)^c⌉,
    M_k = ⌈M(k + 1)^c⌉ and c = 4/3, 2/3, 0 for noise on both levels, on the upper, on none. P are the projections onto
    the feasible sets. An iteration costs T_k + M_k upper and 2T_k lower gradients and 2M_k g_x, each on a sample of its
    own. Without strong convexity it finds a stationary point of the smoothed penalty problem, not of φ.
    """

    name: ClassVar[str] = "proximal"
    growths: ClassVar[dict[str, float]] = {"exact": 0.0, "upper": 2 / 3, "both": 4 / 3}

    lower_iterations: int = hyper(5, "steps of w_y and w_z in the first iteration", symbol="T", at_least=1)
    upper_average: int = hyper(1, "x directions averaged in the first iteration", symbol="M", at_least=1)
    penalty_growth: float = hyper(1 / 3, "λ grows like (k + k₀)^e", symbol="e", at_least=0)
    inner_growth: float | None = hyper(
        None, "T and M grow, γ decays with this exponent; null: the schedule's", symbol="c", at_least=0
    )

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, u, v, k = (state[name] for name in ("x", "y", "z", "w_y", "w_z", "k"))
        growth = chosen(self.inner_growth, self.growths[self.schedule])
        share, gamma = 1 / self.grown(k, self.penalty_growth), self.decayed(self.lower_step, k, growth)
        for _ in range(self.times(self.lower_iterations, k, growth)):
            v = oracle.project_lower(v - gamma * (oracle.grad_lower(x, v) + self.pulled(v, z)))
            f_y = oracle.grad_upper_y(x, u)
            u = oracle.project_lower(u - gamma * (share * f_y + oracle.grad_lower(x, u) + self.pulled(u, y)))
        directions, total = self.times(self.upper_average, k, growth), torch.zeros_like(x)
        for _ in range(directions):
            f_x = oracle.grad_upper_x(x, u)
            total = total + share * f_x + oracle.grad_lower_x(x, u) - oracle.grad_lower_x(x, v)
        return {
            "x": oracle.project_upper(x - self.upper_step / directions * total),
            "y": y + self.centre_step * (u - y),
            "z": z + self.centre_step * (v - z),
            "w_y": u,
            "w_z": v,
            "k": k + 1,
        }

    def times(self, count: int, k: int, growth: float) -> int:
        """⌈count (k + 1)^growth⌉; without k₀, which may differ from row to row, where a loop's length cannot."""
        return math.ceil(count * (k + 1) ** growth - 1e-9)


@dataclass(frozen=True)
class ProximalMomentum(ProximalSteps):
    """The single-loop method: one step of w_z and w_y per iteration, with STORM estimates of the six gradients.

        w_z ← P(w_z − γ_k (ĝ_y(x, w_z) + (w_z − z)/ρ));   w_y ← P(w_y − γ_k (σ_k f̂_y + ĝ_y + (w_y − y)/ρ))
        z ← z + β_k(w_z − z);   y ← y + β_k(w_y − y)                                              with the new w_z, w_y
        x ← P(x − α_k (σ_k f̂_x(x, w_y) + ĝ_x(x, w_y) − ĝ_x(x, w_z)))

    Hats are the estimates of F³SA with the new sample's weight η_k. α, β, γ ∝ (k + k₀)^{−a}, σ ∝ (k + k₀)^{−s},
    η = (1 − momentum)(k + k₀)^{−n}; (a, s, n) = (2/5, 1/5, 4/5), (1/4, 1/4, 1/2), (0, 1/3, 0) for noise on both levels,
    on the upper, on none. An iteration costs four upper and four lower gradients and four g_x; half of that without
    memory (the first iteration; n = momentum = 0).
    """

    name: ClassVar[str] = "proximal_momentum"
    exponents: ClassVar[dict[str, tuple[float, float, float]]] = {
        "exact": (0.0, 1 / 3, 0.0),
        "upper": (1 / 4, 1 / 4, 1 / 2),
        "both": (2 / 5, 1 / 5, 4 / 5),
    }

    momentum: PerRun = hyper(0.0, "weight of the old estimate where k + k₀ = 1", symbol="1 − η", at_least=0, below=1)
    step_decay: float | None = hyper(None, "exponent of all steps; null: the schedule's", symbol="a", at_least=0)
    penalty_growth: float | None = hyper(None, "λ grows like (k + k₀)^s; null: the schedule's", symbol="s", at_least=0)
    momentum_decay: float | None = hyper(
        None, "the new sample's weight decays like (k + k₀)^(−n); null: the schedule's", symbol="n", at_least=0
    )

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, w_y, w_z, k = (state[name] for name in ("x", "y", "z", "w_y", "w_z", "k"))
        a, s, n = self.exponents[self.schedule]
        factor = decay(k, chosen(self.step_decay, a), self.decay_offset)
        share = 1 / self.grown(k, chosen(self.penalty_growth, s))
        keep = kept((1 - self.momentum) * decay(k, chosen(self.momentum_decay, n), self.decay_offset))
        d = lower_estimates(oracle, state, "w_y w_z", keep)
        gamma, beta = self.lower_step * factor, self.centre_step * factor
        new_z = oracle.project_lower(w_z - gamma * (d["g_y(z)"] + self.pulled(w_z, z)))
        new_y = oracle.project_lower(w_y - gamma * (share * d["f_y(y)"] + d["g_y(y)"] + self.pulled(w_y, y)))
        old = {"w_y old": w_y, "w_z old": w_z}
        d |= upper_estimates(oracle, state | {"w_y": new_y, "w_z": new_z} | old, "w_y w_z", keep)
        direction = share * d["f_x(y)"] + d["g_x(y)"] - d["g_x(z)"]
        return {
            "x": oracle.project_upper(descend(x, self.upper_step * factor, direction)),
            "y": y + beta * (new_y - y),
            "z": z + beta * (new_z - z),
            "w_y": new_y,
            "w_z": new_z,
            "x old": x,
            **old,
            **d,
            "k": k + 1,
        }
