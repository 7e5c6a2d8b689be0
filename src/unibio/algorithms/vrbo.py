"""VRBO (Yang, Ji & Liang, NeurIPS 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import State
from unibio.core.oracle import Oracle
from unibio.core.parameters import hyper
from unibio.core.steps import NeumannSteps


@dataclass(frozen=True)
class VRBO(NeumannSteps):
    """VRBO, Algorithm 2 of the paper: SPIDER on both levels, refreshed from a large batch every q iterations.

        if k mod q = 0:   v = ĥ(x_k, y_k),  u = g_y(x_k, y_k)            on a large batch
        x_{k+1} = x_k − η v
        for t = 0 … m:    v += ĥ(now) − ĥ(before),  u += g_y(now) − g_y(before)         same sample at both points
                          y ← y − ρ u

    with now = (x_{k+1}, y_t) and before = (x_k, y_0) at t = 0, (x_{k+1}, y_{t−1}) later; v and u are carried to k + 1.
    So stated, the carried directions do not know of an iteration's last lower step until the next checkpoint: even full
    batch, v is then not ĥ(x_k, y_k). ``final_correction`` adds the missing change, t = m + 1 without a step, after
    which it is. A checkpoint costs one lower gradient, one upper gradient, Q − 1 HVPs and one JVP, each inner step, and
    the final correction, twice that.
    Assumes a strongly convex lower level and smooth samples; full batch it stops at ‖J(I − cH)^Q H⁻¹f_y‖.
    """

    name: ClassVar[str] = "vrbo"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")

    lower_iterations: int = hyper(2, "inner steps per iteration", symbol="m + 1", at_least=1)
    period: int = hyper(2, "iterations between checkpoints", symbol="q", at_least=1)
    final_correction: bool = hyper(False, "correct the carried directions for the last lower step too")
    checkpoint_batch_size: int | None = hyper(None, "batch size at checkpoints; null: full batch", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "v": torch.zeros_like(x), "u": torch.zeros_like(y), "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, v, u, k = state["x"], state["y"], state["v"], state["u"], state["k"]
        move = self.moves(oracle, state, k)
        if k % self.period == 0:
            size = self.checkpoint_size(oracle)
            u = oracle.grad_lower(x, y, oracle.sample_lower(size))
            v = self.hypergradient(oracle, x, y, self.draw(oracle, size))
        before, now = (x, y), (oracle.project_upper(move.upper(x, self.eta(k), v)), y)
        for t in range(self.lower_iterations + self.final_correction):
            lower, sample = oracle.sample_lower(), self.draw(oracle)
            v = v + self.hypergradient(oracle, *now, sample) - self.hypergradient(oracle, *before, sample)
            u = u + oracle.grad_lower(*now, lower) - oracle.grad_lower(*before, lower)
            if t < self.lower_iterations:
                before, now = now, (now[0], oracle.project_lower(move.lower(now[1], self.rho(k), u)))
        return {"x": now[0], "y": now[1], "v": v, "u": u, "k": k + 1, **move.carried}

    def checkpoint_size(self, oracle: Oracle) -> int | None:
        """The large batch: as configured, or every data point of the larger level (a level's own size caps it)."""
        sizes = [size for size in (oracle.problem.size_upper, oracle.problem.size_lower) if size is not None]
        return self.checkpoint_batch_size or max(sizes, default=None)
