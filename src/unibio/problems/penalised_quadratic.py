"""How far the penalty function is from the hyper-objective, measured on quadratics by dense solves.

The quadratic of :mod:`unibio.problems.quadratic` with one data point a level, and metrics that compare, at the given x,
φ with 𝓛*_λ(x) = min_y f(x, y) + λ(g(x, y) − g*(x)): their values, gradients and lower-level solutions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import LazyMetrics, Problem, ProblemSpec
from unibio.problems.quadratic import Quadratic


@dataclass(frozen=True)
class PenalisedQuadratic(ProblemSpec):
    """A quadratic with L_g = 1 and μ_g = 1/κ; start x = −2, y = 0. The metrics depend on x alone.

    Metrics: ``value_error`` |φ − 𝓛*_λ|, ``gradient_error`` ‖∇φ − ∇𝓛*_λ‖, ``solution_error`` ‖y* − y*_λ‖, and
    ``hessian_norm`` ‖∇²𝓛*_λ‖, a constant of the problem, and ``upper_slope`` ‖f_y(x, y*)‖, by theory bounded.
    """

    name: ClassVar[str] = "penalised_quadratic"

    dimension_x: int = hyper(10, "upper-level dimension", symbol="d_x", at_least=1)
    dimension_y: int = hyper(10, "lower-level dimension", symbol="d_y", at_least=1)
    condition: float = hyper(10.0, "condition number of the lower Hessian", symbol="κ", at_least=1)
    coupling: float = hyper(1.0, "norm of ∇²_xy g", at_least=0)
    penalty: PerRun = hyper(10.0, "penalty that the metrics are of, whatever the algorithm has", symbol="λ", above=0)
    data_seed: int = hyper(0, "seed of the generated data", at_least=0)

    def build(self) -> Problem:
        shape = {
            name: getattr(self, name) for name in ("dimension_x", "dimension_y", "condition", "coupling", "data_seed")
        }
        exact = Quadratic(**shape, size_lower=1, size_upper=1, rank=0).build()
        penalty = torch.as_tensor(self.penalty, dtype=torch.float64).reshape(-1, 1)
        solution, gradient, value = exact.closed_form.solution, exact.closed_form.gradient, exact.closed_form.value
        assert solution is not None and gradient is not None and value is not None  # noqa: PT018
        own = exact.derivatives

        def at_zero(x: Tensor) -> Tensor:
            return x.new_zeros(len(x), self.dimension_y)

        def penalised(x: Tensor, weight: Tensor) -> Tensor:
            """y*_λ(x): one Newton step from 0, exact for a quadratic."""
            d, zero = self.dimension_y, at_zero(x)
            units, same = torch.eye(d, dtype=x.dtype, device=x.device), x[:1].expand(d, -1)
            f_yy = own["grad_upper"](same, units, None)[1] - own["grad_upper"](same, 0 * units, None)[1]
            g_yy = own["grad_lower"](same, units, None) - own["grad_lower"](same, 0 * units, None)
            slope = own["grad_upper"](x, zero, None)[1] + weight * own["grad_lower"](x, zero, None)
            return -torch.linalg.solve(f_yy + weight[:, :, None] * g_yy, slope)

        def penalised_gradient(x: Tensor, weight: Tensor) -> Tensor:
            y = penalised(x, weight)
            difference = own["grad_lower_x"](x, y, None) - own["grad_lower_x"](x, solution(x), None)
            return own["grad_upper"](x, y, None)[0] + weight * difference

        def penalised_value(x: Tensor, weight: Tensor) -> Tensor:
            y = penalised(x, weight)
            gap = exact.lower(x, y, None) - exact.lower(x, solution(x), None)
            return exact.upper(x, y, None) + weight[:, 0] * gap

        def hessian_norm(x: Tensor, weight: Tensor) -> Tensor:
            """∇𝓛*_λ is affine in x: its differences along the axes are the Hessian's columns."""
            origin = penalised_gradient(torch.zeros_like(x), weight)
            axes = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
            columns = [penalised_gradient(axis.expand(len(x), -1), weight) - origin for axis in axes]
            return torch.linalg.matrix_norm(torch.stack(columns, dim=-1), ord=2)

        def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
            x = x.double()
            weight = penalty.to(x.device).expand(len(x), 1)
            return LazyMetrics(
                value_error=lambda: torch.abs(value(x) - penalised_value(x, weight)),
                gradient_error=lambda: (gradient(x) - penalised_gradient(x, weight)).norm(dim=-1),
                solution_error=lambda: (solution(x) - penalised(x, weight)).norm(dim=-1),
                hessian_norm=lambda: hessian_norm(x, weight),
                upper_slope=lambda: own["grad_upper"](x, solution(x), None)[1].norm(dim=-1),
            )

        return dataclasses.replace(exact, metrics=metrics, averaged=(), name=self.name)
