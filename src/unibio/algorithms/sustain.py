"""SUSTAIN (Khanduri, Zeng, Hong, Wai, Wang & Yang, NeurIPS 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.steps import NeumannSteps
from unibio.core.updates import decay


@dataclass(frozen=True)
class SUSTAIN(NeumannSteps):
    """SUSTAIN, Algorithm 1 of the paper: STORM on both levels, with the random-length Neumann product.

        u_k = g_y(w_k) + (1 − a_k)(u_{k−1} − g_y(w_{k−1}))         same sample at both points,  w = (x, y)
        v_k = ĥ(w_k) + (1 − a_k)(v_{k−1} − ĥ(w_{k−1}))             same samples and same random length P
        x_{k+1} = x_k − η_k v_k;   y_{k+1} = y_k − ρ_k u_k;        u_0 = g_y(w_0),  v_0 = ĥ(w_0)

    with η_k, ρ_k ∝ (k + k₀)^{−1/3} and a_k = (1 − β)(k + k₀)^{−2/3}, the paper's a_k = c_η η_k². ``momentum`` is β, the
    weight of the old direction at k + k₀ = 1. An iteration costs two lower gradients, two upper gradients, 2P HVPs and
    two JVPs; the first costs half. Assumes a strongly convex lower level and smooth samples; full batch it is descent
    along ĥ.
    """

    name: ClassVar[str] = "sustain"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")
    random_length: ClassVar[bool] = True

    upper_decay: PerRun = hyper(1 / 3, "the upper step decays like (k + k₀)^(−a)", at_least=0)
    lower_decay: PerRun = hyper(1 / 3, "the lower step decays like (k + k₀)^(−b)", at_least=0)
    momentum: PerRun = hyper(0.5, "weight of the old direction where (k + k₀) = 1", symbol="1 − a", at_least=0, below=1)
    momentum_decay: PerRun = hyper(2 / 3, "the new sample's weight 1 − β decays like (k + k₀)^(−m)", at_least=0)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        zero_x, zero_y = torch.zeros_like(x), torch.zeros_like(y)
        return {"x": x, "y": y, "x_old": x, "y_old": y, "v": zero_x, "u": zero_y, "begun": False, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, k = state["x"], state["y"], state["k"]
        move = self.moves(oracle, state, k)
        lower = oracle.sample_lower()
        sample = self.draw(oracle)
        u, v = oracle.grad_lower(x, y, lower), self.hypergradient(oracle, x, y, sample)
        if state["begun"]:
            x_old, y_old = state["x_old"], state["y_old"]
            keep = 1 - (1 - self.momentum) * decay(k, self.momentum_decay, self.decay_offset)
            u = u + keep * (state["u"] - oracle.grad_lower(x_old, y_old, lower))
            v = v + keep * (state["v"] - self.hypergradient(oracle, x_old, y_old, sample))
        return {
            "x": oracle.project_upper(move.upper(x, self.eta(k), v)),
            "y": oracle.project_lower(move.lower(y, self.rho(k), u)),
            "x_old": x,
            "y_old": y,
            "v": v,
            "u": u,
            "begun": True,
            "k": k + 1,
            **move.carried,
        }
