"""The quadratic with Gaussian noise on its gradients instead of data points: each level's noise is a number.

f and g are the means of :mod:`unibio.problems.quadratic`, plus ⟨ξ, (x, y)⟩ in f and ⟨ζ, (x, y)⟩ in g: every gradient of
a level has noise of one standard deviation per coordinate, and second derivatives have none.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import Problem, ProblemSpec
from unibio.problems.quadratic import Quadratic
from unibio.problems.randomness import gaussian


@dataclass(frozen=True)
class NoisyQuadratic(ProblemSpec):
    """A quadratic of one data point a level, with the metrics and closed forms of :class:`Quadratic`."""

    name: ClassVar[str] = "noisy_quadratic"
    averaged: ClassVar[tuple[str, ...]] = Quadratic.averaged

    dimension_x: int = hyper(5, "upper-level dimension", symbol="d_x", at_least=1)
    dimension_y: int = hyper(5, "lower-level dimension", symbol="d_y", at_least=1)
    condition: float = hyper(4.0, "condition number of the lower Hessian", symbol="κ", at_least=1)
    coupling: float = hyper(1.0, "norm of ∇²_xy g", at_least=0)
    noise: PerRun = hyper(0.0, "standard deviation of each coordinate of lower gradients", symbol="σ_g", at_least=0)
    upper_noise: PerRun = hyper(
        0.0, "standard deviation of each coordinate of upper gradients", symbol="σ_f", at_least=0
    )
    data_seed: int = hyper(0, "seed of the generated data", at_least=0)

    def build(self) -> Problem:
        exact = Quadratic(
            dimension_x=self.dimension_x,
            dimension_y=self.dimension_y,
            size_lower=1,
            size_upper=1,
            condition=self.condition,
            coupling=self.coupling,
            rank=0,
            data_seed=self.data_seed,
        ).build()
        d = self.dimension_x
        own = exact.derivatives

        def linear(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor | float:
            return 0.0 if sample is None else (sample * torch.cat([x, y], dim=-1)).sum(-1)

        def grad_upper(x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
            f_x, f_y = own["grad_upper"](x, y, None)
            return (f_x, f_y) if sample is None else (f_x + sample[:, :d], f_y + sample[:, d:])

        def grad_lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            g_y = own["grad_lower"](x, y, None)
            return g_y if sample is None else g_y + sample[:, d:]

        def grad_lower_x(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
            g_x = own["grad_lower_x"](x, y, None)
            return g_x if sample is None else g_x + sample[:, :d]

        upper, lower = exact.upper, exact.lower
        return dataclasses.replace(
            exact,
            upper=lambda x, y, sample: upper(x, y, None) + linear(x, y, sample),
            lower=lambda x, y, sample: lower(x, y, None) + linear(x, y, sample),
            sample_upper=gaussian(self.upper_noise, d + self.dimension_y),
            sample_lower=gaussian(self.noise, d + self.dimension_y),
            size_upper=None,
            size_lower=None,
            derivatives={
                "grad_upper": grad_upper,
                "grad_lower": grad_lower,
                "grad_lower_x": grad_lower_x,
                "hvp": lambda x, y, v, sample: own["hvp"](x, y, v, None),
                "jvp": lambda x, y, v, sample: own["jvp"](x, y, v, None),
            },
            name=self.name,
        )
