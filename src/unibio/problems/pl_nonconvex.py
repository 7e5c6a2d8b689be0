"""A lower level that is not convex and still satisfies the Polyak–Łojasiewicz inequality, everything in closed form.

    w = T(y) = y + a sin(ωy)/ω,  elementwise, 0 ≤ a < 1;      B (d_x, d_y) of full rank, d_y ≥ d_x
    g(x, y) = ½‖B w − x‖²              f(x, y) = ½‖w − b‖² + ½‖x − c‖²

T is a bijection with slopes between 1 − a and 1 + a, so that ‖∇_y g‖² ≥ 2 (1 − a)² λ_min(BBᵀ) g, while ∇²_yy g has
negative eigenvalues where w is far from a solution. With σ = 1/λ, M = BBᵀ and r = x − Bb,

    S(x, σ) = argmin_y σf + g = { T⁻¹(b + Bᵀ(M + σI)⁻¹ r) },                    S(x, 0) = { y: B T(y) = x },
    φ(x) = ½ rᵀM⁻¹r + ½‖x − c‖²,       𝓛*_λ(x) = min_y f + λ(g − g*) = ½ rᵀ(M + σI)⁻¹r + ½‖x − c‖²

φ is the least f over S(x, 0), which is a point where d_y = d_x and a manifold where d_y > d_x; S(x, σ) → S(x, 0⁺), its
point with the least f. This is ours: the slides that state the theory name no problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.core.pseudoinverse import by_pseudoinverse
from unibio.core.streams import Streams
from unibio.errors import InputError
from unibio.problems.error_bound import proximal_residual
from unibio.problems.mixings import orthogonal
from unibio.problems.randomness import gaussian, normal_start

#: ω: how often T bends within a unit of y.
FREQUENCY = 2.0


@dataclass(frozen=True)
class PLNonconvex(ProblemSpec):
    """d_x = ``dimension_x`` ≤ d_y = ``dimension_y``; start: x = 0 and y at ``distance`` from S(x, 1/``penalty``).

    Metrics of x, for the λ of ``penalty``: ``value`` φ(x), ``hypergradient_norm``, ``value_error`` |φ − 𝓛*_λ|,
    ``gradient_error`` ‖∇φ − ∇𝓛*_λ‖, ``solution_error`` the distance of S(x, σ) and S(x, 0⁺), ``slope_error`` that of
    their Jacobians in x (largest singular value), ``solution_slope`` and ``penalty_slope`` ‖∂S/∂x‖ and ‖∂S/∂σ‖,
    ``upper_slope`` ‖f_y‖ at S(x, 0⁺), ``pseudoinverse_error`` the distance of ∇φ and the formula with the pseudoinverse
    of ∇²_yy g. Metrics of x and y: ``solution_distance`` to S(x, σ), ``proximal_residual`` ρ⁻¹‖y − prox_{ρh_σ}(y)‖,
    ``least_curvature`` the smallest eigenvalue of ∇²_yy g, ``lower_gap`` g, ``lower_error`` ‖y − S(x, 0⁺)‖.
    """

    name: ClassVar[str] = "pl_nonconvex"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    dimension_x: int = hyper(3, "upper-level dimension", symbol="d_x", at_least=1)
    dimension_y: int = hyper(
        3, "lower-level dimension, at least d_x; beyond it solutions are a manifold", symbol="d_y", at_least=1
    )
    bend: float = hyper(0.8, "how much the slope of T varies; from 0, convex", symbol="a", at_least=0, below=1)
    condition: float = hyper(4.0, "condition number of BBᵀ, whose largest eigenvalue is 1", symbol="κ", at_least=1)
    penalty: PerRun = hyper(10.0, "penalty that the metrics are of, whatever the algorithm has", symbol="λ", above=0)
    distance: PerRun = hyper(1.0, "distance of the start of y from S(x, σ)", at_least=0)
    start_seed: PerRun = hyper(0, "seed of the direction of the start of y from there", at_least=0)
    proximal_step: float = hyper(0.1, "step of the proximal map", symbol="ρ", above=0)
    noise: PerRun = hyper(0.0, "standard deviation of the noise on each coordinate of g_y and of g_x", at_least=0)
    upper_noise: PerRun = hyper(0.0, "standard deviation of the noise on each coordinate of f_y, of f_x", at_least=0)
    data_seed: int = hyper(0, "seed of the generated data", at_least=0)

    def build(self) -> Problem:
        if self.dimension_y < self.dimension_x:
            raise InputError(
                f"problem.dimension_y = {self.dimension_y} is below problem.dimension_x = {self.dimension_x}: the "
                "lower level could not reach every x; set dimension_y to at least dimension_x"
            )
        return _Built(self).problem()


class _Built:
    """The problem's functions, for one set of parameters."""

    def __init__(self, spec: PLNonconvex):
        self.spec = spec
        n, m, seed = spec.dimension_x, spec.dimension_y, 4 * spec.data_seed
        singular = torch.logspace(0, -0.5, n, base=spec.condition, dtype=torch.float64)
        self.B = (orthogonal(n, seed) * singular) @ orthogonal(m, seed + 1)[:n]
        self.b, self.c = (normal(seed + k, size) for k, size in ((2, m), (3, n)))
        self.M, self.Bb = self.B @ self.B.T, self.B @ self.b
        self.penalty = torch.as_tensor(spec.penalty, dtype=torch.float64).reshape(-1, 1)

    # T ---------------------------------------------------------------------------------------------------------------

    def bent(self, y: Tensor) -> Tensor:
        """T(y)."""
        return y + self.spec.bend / FREQUENCY * torch.sin(FREQUENCY * y)

    def slope(self, y: Tensor) -> Tensor:
        """T'(y)."""
        return 1 + self.spec.bend * torch.cos(FREQUENCY * y)

    def curvature(self, y: Tensor) -> Tensor:
        """T''(y)."""
        return -self.spec.bend * FREQUENCY * torch.sin(FREQUENCY * y)

    def unbent(self, w: Tensor) -> Tensor:
        """T⁻¹(w), by bisection to the last digit."""
        low, high = w - self.spec.bend / FREQUENCY, w + self.spec.bend / FREQUENCY
        for _ in range(60):
            middle = (low + high) / 2
            below = self.bent(middle) < w
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    # Losses ----------------------------------------------------------------------------------------------------------

    def missed(self, x: Tensor, y: Tensor) -> Tensor:
        """B T(y) − x."""
        return self.bent(y) @ like(self.B, x).T - x

    def pulled(self, y: Tensor) -> Tensor:
        """T(y) − b."""
        return self.bent(y) - like(self.b, y)

    def linear(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor | float:
        """What the noise adds to a loss."""
        return 0.0 if sample is None else (sample * torch.cat([x, y], dim=-1)).sum(-1)

    def upper(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        apart = self.pulled(y).square().sum(-1) + (x - like(self.c, x)).square().sum(-1)
        return apart / 2 + self.linear(x, y, sample)

    def lower(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return self.missed(x, y).square().sum(-1) / 2 + self.linear(x, y, sample)

    def grad_upper(self, x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
        f_x, f_y = x - like(self.c, x), self.slope(y) * self.pulled(y)
        return (f_x, f_y) if sample is None else (f_x + sample[:, : x.shape[1]], f_y + sample[:, x.shape[1] :])

    def grad_lower(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        g_y = self.slope(y) * (self.missed(x, y) @ like(self.B, x))
        return g_y if sample is None else g_y + sample[:, x.shape[1] :]

    def grad_lower_x(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        g_x = -self.missed(x, y)
        return g_x if sample is None else g_x + sample[:, : x.shape[1]]

    def hvp(self, x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        B, slope = like(self.B, x), self.slope(y)
        return slope * ((slope * v) @ B.T @ B) + self.curvature(y) * (self.missed(x, y) @ B) * v

    def jvp(self, x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        return -(self.slope(y) * v) @ like(self.B, x).T

    # Closed forms; σ (runs, 1) or a number, 0 for the limit -----------------------------------------------------------

    def pushed(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """(M + σI)⁻¹(x − Bb)."""
        M = like(self.M, x) + torch.as_tensor(sigma, dtype=x.dtype, device=x.device)[..., None] * eye(x)
        return torch.linalg.solve(M, (x - like(self.Bb, x))[..., None])[..., 0]

    def solution(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """S(x, σ), and S(x, 0⁺)."""
        return self.unbent(like(self.b, x) + self.pushed(x, sigma) @ like(self.B, x))

    def value(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """𝓛*_{1/σ}(x), and φ(x)."""
        r = x - like(self.Bb, x)
        return (r * self.pushed(x, sigma)).sum(-1) / 2 + (x - like(self.c, x)).square().sum(-1) / 2

    def gradient(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """∇𝓛*_{1/σ}(x), and ∇φ(x)."""
        return self.pushed(x, sigma) + x - like(self.c, x)

    def jacobian(self, x: Tensor, sigma: Tensor | float = 0.0) -> Tensor:
        """∂S(x, σ)/∂x: (runs, d_y, d_x)."""
        M = like(self.M, x) + torch.as_tensor(sigma, dtype=x.dtype, device=x.device)[..., None] * eye(x)
        inner = torch.linalg.solve(M, like(self.B, x).expand(*M.shape[:-2], *self.B.shape)).mT
        return inner / self.slope(self.solution(x, sigma))[..., None]

    def drift(self, x: Tensor, sigma: Tensor) -> Tensor:
        """∂S(x, σ)/∂σ: (runs, d_y)."""
        M = like(self.M, x) + sigma[..., None] * eye(x)
        inner = torch.linalg.solve(M, self.pushed(x, sigma)[..., None])[..., 0]
        return -(inner @ like(self.B, x)) / self.slope(self.solution(x, sigma))

    def residual(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """ρ⁻¹‖y − prox_{ρh_σ}(y)‖."""
        units = eye(y)

        def gradient(z: Tensor) -> Tensor:
            return sigma * self.grad_upper(x, z, None)[1] + self.grad_lower(x, z, None)

        def hessian(z: Tensor) -> Tensor:
            columns = torch.stack([self.hvp(x, z, unit.expand_as(z), None) for unit in units], dim=-1)
            own = self.slope(z).square() + self.curvature(z) * self.pulled(z)
            return columns + torch.diag_embed(sigma * own)

        return proximal_residual(y, self.spec.proximal_step, gradient, hessian)

    def least_curvature(self, x: Tensor, y: Tensor) -> Tensor:
        columns = torch.stack([self.hvp(x, y, unit.expand_as(y), None) for unit in eye(y)], dim=-1)
        return torch.linalg.eigvalsh(columns)[:, 0]

    # The problem -----------------------------------------------------------------------------------------------------

    def metrics(self, x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        x, y = x.double(), y.double()
        sigma = 1 / self.penalty.to(x.device).expand(len(x), 1)

        def by_formula() -> Tensor:
            oracle = Oracle(self.problem(noisy=False), Streams([0] * len(x), x.device, x.dtype))
            return by_pseudoinverse(oracle, x, self.solution(x)).value

        return LazyMetrics(
            value=lambda: self.value(x),
            hypergradient_norm=lambda: self.gradient(x).norm(dim=-1),
            value_error=lambda: torch.abs(self.value(x) - self.value(x, sigma)),
            gradient_error=lambda: (self.gradient(x) - self.gradient(x, sigma)).norm(dim=-1),
            solution_error=lambda: (self.solution(x) - self.solution(x, sigma)).norm(dim=-1),
            slope_error=lambda: torch.linalg.matrix_norm(self.jacobian(x) - self.jacobian(x, sigma), ord=2),
            solution_slope=lambda: torch.linalg.matrix_norm(self.jacobian(x, sigma), ord=2),
            penalty_slope=lambda: self.drift(x, sigma).norm(dim=-1),
            upper_slope=lambda: self.grad_upper(x, self.solution(x), None)[1].norm(dim=-1),
            pseudoinverse_error=lambda: (by_formula() - self.gradient(x)).norm(dim=-1),
            solution_distance=lambda: (y - self.solution(x, sigma)).norm(dim=-1),
            proximal_residual=lambda: self.residual(x, y, sigma),
            least_curvature=lambda: self.least_curvature(x, y),
            lower_gap=lambda: self.lower(x, y, None),
            lower_error=lambda: (y - self.solution(x)).norm(dim=-1),
        )

    def start(self) -> tuple[Tensor, Tensor]:
        """x = 0, and y at the asked distance from S(0, σ) in a random direction."""
        spec = self.spec
        x = torch.zeros(1, spec.dimension_x, dtype=torch.float64)
        away = normal_start(spec.start_seed, spec.dimension_y, 1.0)
        far = torch.as_tensor(spec.distance, dtype=torch.float64).reshape(-1, 1)
        away = far * (away / away.norm(dim=-1, keepdim=True)).reshape(-1, spec.dimension_y)
        y = self.solution(x.expand(len(self.penalty), -1), 1 / self.penalty) + away
        return (x[0], y[0]) if len(y) == 1 else (x.expand(len(y), -1).clone(), y)

    def problem(self, noisy: bool = True) -> Problem:
        spec, size = self.spec, self.spec.dimension_x + self.spec.dimension_y
        return Problem(
            upper=self.upper,
            lower=self.lower,
            sample_upper=gaussian(spec.upper_noise, size) if noisy else None,
            sample_lower=gaussian(spec.noise, size) if noisy else None,
            metrics=self.metrics,
            averaged=spec.averaged,
            derivatives={
                name: getattr(self, name) for name in ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp")
            },
            closed_form=ClosedForm(self.solution, self.value, self.gradient),
            start=self.start(),
            batched=True,
            name=spec.name,
        )


def normal(seed: int, size: int) -> Tensor:
    """Standard normal numbers, (size,)."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).standard_normal(size))


def like(constant: Tensor, t: Tensor) -> Tensor:
    """A constant in the type and on the device of an iterate."""
    return constant.to(t.device, t.dtype)


def eye(t: Tensor) -> Tensor:
    """The unit matrix of an iterate's last dimension."""
    return torch.eye(t.shape[-1], dtype=t.dtype, device=t.device)
