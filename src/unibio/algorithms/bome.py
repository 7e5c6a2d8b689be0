"""BOME (Liu, Ye, Wright, Stone & Liu, NeurIPS 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.algorithm import Algorithm, State
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper


@dataclass(frozen=True)
class BOME(Algorithm):
    """BOME: descend f while the lower level's value gap q decreases at least as fast as φ asks.

        w = T steps  w ← w − ρ g_y(x, w)  from y
        q = g(x, y) − g(x, w),   ∇q = (g_x(x, y) − g_x(x, w), g_y(x, y))                                one sample
        λ = max((φ − ⟨∇f, ∇q⟩)/‖∇q‖², 0),   φ = η‖∇q‖² or ηq
        (x, y) ← (x, y) − ξ (∇f + λ∇q)

    ``guard`` is added to ‖∇q‖², which vanishes at a lower-level solution. An iteration costs one upper and T + 1 lower
    gradients and two g_x; φ = ηq also two values of g. Assumes a lower level that satisfies the Polyak–Łojasiewicz
    inequality. Full batch it stops where f_x − J(I − (I − ρH)^T)H⁻¹f_y vanishes, up to its constant step ξ.
    """

    name: ClassVar[str] = "bome"
    updates: ClassVar[tuple[str, ...]] = ("upper", "lower")

    upper_step: PerRun = hyper(0.1, "step of x and y", symbol="ξ", above=0)
    lower_step: PerRun = hyper(0.1, "step of w", symbol="ρ", above=0)
    lower_iterations: int = hyper(10, "steps of w per iteration", symbol="T", at_least=1)
    control: PerRun = hyper(0.5, "how much of the gap is asked to go", symbol="η", above=0)
    barrier: str = hyper("gradient", "φ = η‖∇q‖² (gradient) or ηq (value)", choices=("gradient", "value"))
    guard: float = hyper(1e-8, "added to ‖∇q‖² in the denominator", at_least=0)
    batch_size: int | None = hyper(None, "minibatch size for finite sums; null means the full batch", at_least=1)

    def init(self, oracle: Oracle, x: Tensor, y: Tensor) -> State:
        return {"x": x, "y": y, "k": 0}

    def step(self, oracle: Oracle, state: State) -> State:
        x, y, k = state["x"], state["y"], state["k"]
        move = self.moves(oracle, state, k)
        w = y
        for _ in range(self.lower_iterations):
            w = oracle.project_lower(move.lower(w, self.lower_step, oracle.grad_lower(x, w), "w"))
        f_x, f_y = oracle.grad_upper(x, y)
        sample = oracle.sample_lower()
        q_x = oracle.grad_lower_x(x, y, sample) - oracle.grad_lower_x(x, w, sample)
        q_y = oracle.grad_lower(x, y, sample)
        square = (q_x * q_x).sum(-1, keepdim=True) + (q_y * q_y).sum(-1, keepdim=True)
        if self.barrier == "gradient":
            wanted = self.control * square
        else:
            gap = oracle.value_lower(x, y, sample) - oracle.value_lower(x, w, sample)
            wanted = self.control * gap[:, None]
        alignment = (f_x * q_x).sum(-1, keepdim=True) + (f_y * q_y).sum(-1, keepdim=True)
        multiplier = torch.clamp((wanted - alignment) / (square + self.guard), min=0)
        return {
            "x": oracle.project_upper(move.upper(x, self.upper_step, f_x + multiplier * q_x)),
            "y": oracle.project_lower(move.upper(y, self.upper_step, f_y + multiplier * q_y, "y")),
            "k": k + 1,
            **move.carried,
        }
