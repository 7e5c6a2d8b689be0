"""A lower level that is not strongly convex, where the penalty function converges but not uniformly.

    min over x ∈ [−1, 1] of x² + y²,        y ∈ argmin over y ∈ [−1, 1] of xy

y*(x) = −sign x, and every y is optimal at x = 0. The hyper-objective φ(x) = min over the optimal y of f, x² + 1 for
x ≠ 0 and 0 at x = 0, is discontinuous at its minimiser. The penalty function has y*_λ(x) = clip(−λx/2, −1, 1) and

    𝓛*_λ(x) = x² + λ|x| − λ²x²/4   for |x| ≤ 2/λ,      x² + 1   beyond,

so that x = 0 is its global minimiser for every λ, with a basin that shrinks like 2/λ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, Problem, ProblemSpec


@dataclass(frozen=True)
class Nasty(ProblemSpec):
    """The nasty example, d_x = d_y = 1, with projections of both levels.

    Metrics: ``x_abs`` and ``y_abs``; ``value`` φ(x); ``upper_loss`` f(x, y); ``lower_gap`` g(x, y) − g*(x) = xy + |x|;
    ``distance`` to the solution (0, 0).
    """

    name: ClassVar[str] = "nasty"

    start_x: PerRun = hyper(0.5, "start of x, in [−1, 1]", at_least=-1)
    start_y: PerRun = hyper(0.0, "start of y, in [−1, 1]", at_least=-1)

    def build(self) -> Problem:
        starts = [torch.as_tensor(start, dtype=torch.float64) for start in (self.start_x, self.start_y)]
        x0, y0 = (start.reshape(-1, 1) if start.ndim else start.reshape(1) for start in starts)
        if x0.ndim != y0.ndim:
            x0, y0 = torch.broadcast_tensors(x0, y0)
        return Problem(
            upper=lambda x, y: (x * x + y * y)[:, 0],
            lower=lambda x, y: (x * y)[:, 0],
            project_upper=_interval,
            project_lower=_interval,
            metrics=_metrics,
            derivatives={
                "grad_upper": lambda x, y, sample: (2 * x, 2 * y),
                "grad_lower": lambda x, y, sample: x.clone(),
                "grad_lower_x": lambda x, y, sample: y.clone(),
                "hvp": lambda x, y, v, sample: torch.zeros_like(v),
                "jvp": lambda x, y, v, sample: v.clone(),
            },
            closed_form=ClosedForm(solution=lambda x: -x.sign(), value=value),
            start=(_interval(x0), _interval(y0)),
            batched=True,
            name=self.name,
        )


def _interval(t: Tensor) -> Tensor:
    return t.clamp(-1.0, 1.0)


def value(x: Tensor) -> Tensor:
    """φ(x): (runs,) of (runs, 1)."""
    return torch.where(x == 0, torch.zeros_like(x), x * x + 1)[:, 0]


def penalised_solution(x: Tensor, penalty: float) -> Tensor:
    """y*_λ(x) = clip(−λx/2, −1, 1), elementwise."""
    return (-penalty * x / 2).clamp(-1.0, 1.0)


def penalised_value(x: Tensor, penalty: float) -> Tensor:
    """𝓛*_λ(x), elementwise."""
    inside = x * x + penalty * x.abs() - (penalty * x) ** 2 / 4
    return torch.where(x.abs() <= 2 / penalty, inside, x * x + 1)


def _metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
    return {
        "x_abs": x.abs()[:, 0],
        "y_abs": y.abs()[:, 0],
        "value": value(x),
        "upper_loss": (x * x + y * y)[:, 0],
        "lower_gap": (x * y + x.abs())[:, 0],
        "distance": (x * x + y * y).sqrt()[:, 0],
    }
