"""A lower level that is strictly, and uniformly, convex, where the proximal error bound fails for p > 2.

    g(x, y) = |y|^p/p − xy          f(x, y) = ½(y − 1)² + ½x²          d_x = d_y = 1

S(x, σ) is the one root of σ(y − 1) + [y]^{p−1} = x. At x = 0 it is y ≈ σ^{1/(p−1)}, where h_σ = σf + g has a curvature
of about (p − 1) σ^{(p−2)/(p−1)}: no μ > 0 serves all small σ in ρ⁻¹‖y − prox(y)‖ ≥ μ dist(y, S(x, σ)), although g(x, ·)
is strictly convex. What uniform convexity gives is a residual of at least μ dist^{p−1}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.powers import abs_power, signed_power
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.problems.error_bound import proximal_residual


@dataclass(frozen=True)
class StrictlyConvex(ProblemSpec):
    """d_x = d_y = 1; start: x = 0 and y at ``distance`` above S(0, 1/``penalty``).

    Metrics, for the σ = 1/λ of ``penalty``: ``solution_distance`` |y − S(x, σ)|, the ``proximal_residual``
    ρ⁻¹|y − prox_{ρh_σ}(y)|, ``solution_slope`` and ``penalty_slope`` |∂S/∂x| and |∂S/∂σ|; ``lower_residual``, the
    residual of g alone, and ``lower_error`` |y − y*(x)|.
    """

    name: ClassVar[str] = "strictly_convex"

    exponent: float = hyper(4.0, "exponent of uniform convexity, any real number", symbol="p", at_least=2)
    penalty: PerRun = hyper(10.0, "penalty that the metrics are of, whatever the algorithm has", symbol="λ", above=0)
    distance: PerRun = hyper(1.0, "distance of the start of y from S(x, σ)", at_least=0)
    proximal_step: float = hyper(0.1, "step of the proximal map", symbol="ρ", above=0)

    def build(self) -> Problem:
        p = float(self.exponent)
        penalty, far = (torch.as_tensor(v, dtype=torch.float64).reshape(-1, 1) for v in (self.penalty, self.distance))

        def slope(x: Tensor, y: Tensor, sigma: Tensor | float) -> Tensor:
            return sigma * (y - 1) + signed_power(y, p - 1) - x

        def curvature(y: Tensor, sigma: Tensor | float) -> Tensor:
            return sigma + (p - 1) * abs_power(y, p - 2)

        def solution(x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
            """By bisection to the last digit: |y|^{p−1} ≤ |x| + σ|y − 1| keeps the root within ±(2 + |x|)."""
            high = 2 + x.abs()
            low = -high
            for _ in range(80):
                middle = (low + high) / 2
                below = slope(x, middle, sigma) < 0
                low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            return (low + high) / 2

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            x, y = x.double(), y.double()
            sigma = 1 / penalty.to(x.device).expand(len(x), 1)
            at = solution(x, sigma)

            def residual(weight: Tensor | float) -> Tensor:
                return proximal_residual(
                    y, self.proximal_step, lambda z: slope(x, z, weight), lambda z: curvature(z, weight)[..., None]
                )

            return LazyMetrics(
                solution_distance=lambda: (y - at).abs()[:, 0],
                proximal_residual=lambda: residual(sigma),
                lower_residual=lambda: residual(0.0),
                solution_slope=lambda: (1 / curvature(at, sigma))[:, 0],
                penalty_slope=lambda: ((at - 1).abs() / curvature(at, sigma))[:, 0],
                lower_error=lambda: (y - solution(x)).abs()[:, 0],
            )

        x0, y0 = torch.broadcast_tensors(
            torch.zeros_like(penalty), solution(torch.zeros_like(penalty), 1 / penalty) + far
        )
        return Problem(
            upper=lambda x, y: ((y - 1).square() + x.square())[:, 0] / 2,
            lower=lambda x, y: (abs_power(y, p) / p - x * y)[:, 0],
            exponent=self.exponent,
            metrics=metrics,
            derivatives={
                "grad_upper": lambda x, y, sample: (x.clone(), y - 1),
                "grad_lower": lambda x, y, sample: slope(x, y, 0.0),
                "grad_lower_x": lambda x, y, sample: -y,
                "hvp": lambda x, y, v, sample: curvature(y, 0.0) * v,
                "jvp": lambda x, y, v, sample: -v,
            },
            closed_form=ClosedForm(solution, lambda x: ((solution(x) - 1).square() + x.square())[:, 0] / 2),
            start=(x0.clone(), y0.clone()) if len(y0) > 1 else (x0[0].clone(), y0[0].clone()),
            batched=True,
            name=self.name,
        )
