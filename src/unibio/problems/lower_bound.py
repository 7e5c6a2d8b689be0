"""The construction behind the lower bounds for noisy first-order oracles.

    min over x, y of y   subject to   y ∈ argmin over z of ½(z − F(x))²,        F(x) = Σ_i x_i²/(1 + x_i²)

so φ = F. Whatever λ, y*_λ(x) = F(x) − 1/λ and ∇𝓛*_λ = λ(g_x(x, y*_λ) − g_x(x, y*)) = ∇F(x): the penalty has no bias in
x, but its direction is λ times a difference of two noisy gradients, of variance 2λ²σ² in every coordinate. For y within
ε of F, λ ~ 1/ε, hence ε^{−2} samples for a direction of variance O(1), and ε^{−6} in all. One sample for both points
cancels additive noise, and leaves of noise θyΣx_i only λθ(y − z) = O(θ): ε^{−4}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.problems.randomness import gaussian


@dataclass(frozen=True)
class LowerBound(ProblemSpec):
    """The construction in d_x = dimension, d_y = 1. Start: x = 1 in every coordinate, y = 0.

    Noise enters as linear terms: a lower-level sample adds ζ·y + ⟨ξ, x⟩ + θ y Σx_i, whose three parts have the standard
    deviations ``noise``, ``noise`` per coordinate, and ``cross_noise``.
    """

    name: ClassVar[str] = "lower_bound"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    dimension: int = hyper(1, "coordinates of x", symbol="d_x", at_least=1)
    noise: PerRun = hyper(0.0, "standard deviation of g_y and of each g_x", symbol="σ", at_least=0)
    cross_noise: PerRun = hyper(0.0, "standard deviation of each entry of ∇²_xy g", at_least=0)

    def build(self) -> Problem:
        d = self.dimension
        stds = (torch.as_tensor(level, dtype=torch.float64).reshape(-1, 1) for level in (self.noise, self.cross_noise))
        linear, cross = torch.broadcast_tensors(*stds)
        levels = torch.cat([linear.expand(-1, d + 1), cross], dim=1)  # of ξ, ζ and θ
        noisy = bool((levels > 0).any())

        def split(sample: Tensor | None) -> tuple[Tensor, Tensor, Tensor] | None:
            """(ξ: (runs, d), ζ: (runs, 1), θ: (runs, 1))."""
            return None if sample is None else (sample[:, :d], sample[:, d : d + 1], sample[:, d + 1 :])

        standard = gaussian(1.0, d + 2)
        assert standard is not None

        def lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            loss = 0.5 * (y - bowl(x)) ** 2
            parts = split(sample)
            if parts is not None:
                loss = loss + parts[1] * y + (parts[0] * x).sum(-1, keepdim=True)
                loss = loss + parts[2] * y * x.sum(-1, keepdim=True)
            return loss[:, 0]

        def grad_lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            gradient, parts = y - bowl(x), split(sample)
            return gradient if parts is None else gradient + parts[1] + parts[2] * x.sum(-1, keepdim=True)

        def grad_lower_x(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            gradient, parts = -(y - bowl(x)) * slope(x), split(sample)
            return gradient if parts is None else gradient + parts[0] + parts[2] * y

        def jvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
            product, parts = -slope(x) * v, split(sample)
            return product if parts is None else product + parts[2] * v

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            return LazyMetrics(
                hypergradient_norm=lambda: slope(x).norm(dim=-1),
                value=lambda: bowl(x)[:, 0],
                lower_error=lambda: (y - bowl(x)).norm(dim=-1),
            )

        return Problem(
            upper=lambda x, y: y[:, 0] + 0 * x.sum(-1),
            lower=lower,
            sample_lower=(lambda draw: levels.to(draw.streams.device, draw.streams.dtype) * standard(draw))
            if noisy
            else None,
            metrics=metrics,
            averaged=self.averaged,
            derivatives={
                "grad_upper": lambda x, y, sample: (torch.zeros_like(x), torch.ones_like(y)),
                "grad_lower": grad_lower,
                "grad_lower_x": grad_lower_x,
                "hvp": lambda x, y, v, sample: v.clone(),
                "jvp": jvp,
            },
            closed_form=ClosedForm(bowl, lambda x: bowl(x)[:, 0], slope, minimiser=torch.zeros(d, dtype=torch.float64)),
            start=(torch.ones(d, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)),
            batched=True,
            name=self.name,
        )


def bowl(x: Tensor) -> Tensor:
    """F(x): (runs, d) → (runs, 1)."""
    return (x * x / (1 + x * x)).sum(-1, keepdim=True)


def slope(x: Tensor) -> Tensor:
    """∇F(x): (runs, d)."""
    return 2 * x / (1 + x * x) ** 2
