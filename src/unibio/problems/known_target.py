"""The construction behind the lower bounds, set up so that oracle calls to an accuracy can be counted.

    min over x, y of y   subject to   y ∈ argmin over z of ½(z − F(x))²,        F(x) = Σ_i (√(1 + x_i²) − 1)

as :mod:`unibio.problems.lower_bound`, which says what λ does to the noise, with three differences. F grows at infinity
with a bounded slope: on one that is flat there, long steps reach small gradients by walking away. What is averaged is
‖∇φ‖², which the theory of stochastic gradients bounds. And g_y has noise of its own level, which may be 0: one lower
step of length 1 then gives y*(x) = F(x) and y*_λ(x) = F(x) − 1/λ exactly, and a method that takes it has the slides'
y*-oracle. Noise of ∇²_xy g is in g_x alone for the same reason: estimates of g_x and g_y are unbiased, as the slides
ask, and not the two gradients of one random loss.
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
class KnownTarget(ProblemSpec):
    """The construction in d_x = dimension, d_y = 1. Start: x = 1 in every coordinate, y = 0; ‖∇φ‖ = √(d_x/2) there.

    A lower-level sample adds ζ·y + ⟨ξ, x⟩ + θ y Σx_i to g, with the standard deviations ``target_noise``, ``noise`` per
    coordinate, and ``cross_noise``; g_y is sampled without the last term. Metrics:
    ``hypergradient_norm``, and ``hypergradient_square`` ‖∇φ‖², averaged.
    """

    name: ClassVar[str] = "known_target"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_square",)

    dimension: int = hyper(1, "coordinates of x", symbol="d_x", at_least=1)
    noise: PerRun = hyper(0.0, "standard deviation of each g_x at y = 0", symbol="σ", at_least=0)
    cross_noise: PerRun = hyper(0.0, "standard deviation of each entry of ∇²_xy g", symbol="θ", at_least=0)
    target_noise: PerRun = hyper(0.0, "standard deviation of g_y", at_least=0)

    def build(self) -> Problem:
        d = self.dimension
        stds = (self.noise, self.target_noise, self.cross_noise)
        columns = torch.broadcast_tensors(*(torch.as_tensor(std, dtype=torch.float64).reshape(-1, 1) for std in stds))
        levels = torch.cat([columns[0].expand(-1, d), *columns[1:]], dim=1)  # of ξ, ζ and θ
        standard = gaussian(1.0, d + 2)
        assert standard is not None

        def lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            loss = 0.5 * (y - target(x))[:, 0] ** 2
            if sample is None:
                return loss
            noise = (sample[:, :d] * x).sum(-1) + sample[:, d] * y[:, 0]
            return loss + noise + sample[:, d + 1] * y[:, 0] * x.sum(-1)

        def grad_lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            gradient = y - target(x)
            return gradient if sample is None else gradient + sample[:, d : d + 1]

        def grad_lower_x(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            gradient = (target(x) - y) * slope(x)
            return gradient if sample is None else gradient + sample[:, :d] + sample[:, d + 1 :] * y

        def jvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
            return -slope(x) * v if sample is None else (sample[:, d + 1 :] - slope(x)) * v

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            return LazyMetrics(
                hypergradient_norm=lambda: slope(x).norm(dim=-1),
                hypergradient_square=lambda: slope(x).square().sum(-1),
            )

        return Problem(
            upper=lambda x, y: y[:, 0] + 0 * x.sum(-1),
            lower=lower,
            sample_lower=(lambda draw: levels.to(draw.streams.device, draw.streams.dtype) * standard(draw))
            if bool((levels > 0).any())
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
            approximate=("grad_lower",),
            closed_form=ClosedForm(target, lambda x: target(x)[:, 0], slope, minimiser=torch.zeros(d).double()),
            start=(torch.ones(d, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)),
            batched=True,
            name=self.name,
        )


def target(x: Tensor) -> Tensor:
    """F(x): (runs, d) → (runs, 1)."""
    return ((1 + x * x).sqrt() - 1).sum(-1, keepdim=True)


def slope(x: Tensor) -> Tensor:
    """∇F(x): (runs, d)."""
    return x / (1 + x * x).sqrt()
