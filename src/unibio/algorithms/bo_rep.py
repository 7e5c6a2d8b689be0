"""BO-REP (Hao, Gong & Liu, ICLR 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import State
from unibio.core.epoch_sgd import epoch_sgd
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.steps import AuxiliarySteps
from unibio.core.updates import mix, normalised


@dataclass(frozen=True)
class BOREP(AuxiliarySteps):
    """BO-REP: initialisation refinement, periodic lower updates, normalised momentum.

        y = EpochSGD(x_0, y; K₀);   z_0 = h = 0
        for t = 0 … T−1:
            if t > 0 and t mod I = 0:   y ← average of N steps  y ← Π_{B(start of the period, R)}(y − ρ g_y(x_t, y))
            h ← β h + (1−β)(f_x − Jz_t)
            z_{t+1} = z_t − γ (Hz_t − f_y)                                              both at (x_t, y_t)
            x_{t+1} = x_t − η h/‖h‖

    The average is over the N new iterates. An iteration costs one upper gradient, one HVP and one JVP, every I-th also
    N lower gradients, and the start what Epoch-SGD takes of K₀. Assumes a strongly convex lower level and an upper
    level of unbounded smoothness; its normalised constant step ends within O(η) of a stationary point.
    """

    name: ClassVar[str] = "bo_rep"
    in_epochs: ClassVar[bool] = True
    updates: ClassVar[tuple[str, ...]] = ("upper", "auxiliary")
    no_update: ClassVar[Mapping[str, str]] = {
        "lower": "its lower steps are an epoch of Epoch-SGD, projected onto a ball and averaged; amigo takes one"
    }

    upper_step: PerRun = hyper(0.01, "normalised upper-level step", symbol="η", above=0)
    momentum: PerRun = hyper(0.9, "weight of the old momentum", symbol="β", at_least=0, below=1)
    period: int = hyper(2, "iterations between lower updates", symbol="I", at_least=1)
    lower_iterations: int = hyper(10, "lower steps per update", symbol="N", at_least=1)
    radius: PerRun = hyper(1.0, "radius of the ball around a period's start", symbol="R", above=0)
    warm_budget: int = hyper(100, "lower-level steps available to Epoch-SGD at the start", symbol="K₀", at_least=1)
    warm_step: PerRun = hyper(0.1, "first step of Epoch-SGD", symbol="γ₁", above=0)
    first_length: float = hyper(5.0, "length of Epoch-SGD's first epoch", symbol="T₁", at_least=1)
    first_radius: PerRun = hyper(1.0, "radius of the ball in the first epoch", symbol="D₁", above=0)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        y = epoch_sgd(
            oracle,
            x,
            y,
            budget=self.warm_budget,
            first_length=self.first_length,
            first_radius=self.first_radius,
            step=self.warm_step,
        )
        return {"x": x, "y": y, "z": torch.zeros_like(y), "h": torch.zeros_like(x), "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, z, h, k = state["x"], state["y"], state["z"], state["h"], state["k"]
        move = self.moves(oracle, state, k)
        if k > 0 and k % self.period == 0:
            y = self.update_lower(oracle, x, y, k)
        f_x, f_y = oracle.grad_upper(x, y)
        h = mix(h, f_x - oracle.jvp(x, y, z), self.momentum)
        z = move.auxiliary(z, self.gamma(k), oracle.hvp(x, y, z) - f_y)
        x = oracle.project_upper(move.upper(x, self.eta(k), normalised(h)))
        return {"x": x, "y": y, "z": z, "h": h, "k": k + 1, **move.carried}

    def update_lower(self, oracle: Oracle, x: Tensor, y: Tensor, k: int) -> Tensor:
        """N projected, averaged steps: a single epoch of Epoch-SGD."""
        return epoch_sgd(
            oracle,
            x,
            y,
            budget=self.lower_iterations,
            first_length=self.lower_iterations,
            first_radius=self.radius,
            step=self.rho(k),
            average="last",
        )
