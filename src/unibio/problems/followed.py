"""Two problems on which methods are followed by more than x and y: three proximal residuals, a Lyapunov function. Ours.

Of a method's iterate (x_k, y_k, z_k) and its penalty λ_k = 1/σ_k (see :mod:`unibio.core.followed`), h_σ = σf + g:

    residual_y = ρ⁻¹‖y − prox_{ρh_σ(x,·)}(y)‖ / σ         residual_z = ρ⁻¹‖z − prox_{ρg(x,·)}(z)‖ / σ
    residual_x = ‖∇_x h_σ(x, y) − ∇_x g(x, z)‖ / σ         stationarity = the largest of the three

so that a triple is ε-stationary, as the slides define it, where ``stationarity`` ≤ ε; x is not constrained here.
``distance_y`` is dist(y, S(x, σ)), ``distance_z`` that of z from a point of S(x, 0), which is the nearest if solutions
are a point; ``weight`` is λ_k. All are NaN for a method that does not tell of z and λ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.core.followed import followed, parts
from unibio.core.parameters import PerRun, hyper
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec
from unibio.problems.pl_nonconvex import PLNonconvex, _Built, like
from unibio.problems.randomness import gaussian, normal_start

Measure = Callable[[], Tensor]

#: Newton steps of the proximal map, at most.
_STEPS = 15
#: What may be left of the proximal equation, beside 1 and y, or beside the way to the proximal point.
_SETTLED, _SOLVED = 1e-15, 1e-6


def residual(
    y: Tensor, step: float, gradient: Callable[[Tensor], Tensor], hessian: Callable[[Tensor], Tensor]
) -> Tensor:
    """ρ⁻¹‖y − prox_{ρh}(y)‖ as ‖∇h‖ at the proximal point, (runs,); NaN where Newton's method does not find that.

    :func:`unibio.problems.error_bound.proximal_residual` is the same to its last digits, and slower: here many iterates
    are looked at, and few digits are wanted.

    Args:
        y: (runs, d).
        step: ρ > 0, small enough that ρh + ½‖· − y‖² is strongly convex.
        gradient, hessian: ∇h and ∇²h, (runs, d) and (runs, d, d) of (runs, d).
    """
    unit, z = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device), y
    for _ in range(_STEPS):
        left = step * gradient(z) + z - y
        if bool((left.norm(dim=-1) <= _SETTLED * (1 + y.norm(dim=-1))).all()):
            break
        z = z - torch.linalg.solve_ex(step * hessian(z) + unit, left[..., None])[0][..., 0]
    slope = gradient(z)
    missed = (step * slope + z - y).norm(dim=-1)
    found = slope.norm(dim=-1)
    solved = (missed <= _SETTLED * (1 + y.norm(dim=-1))) | (missed <= _SOLVED * step * found)
    return torch.where(solved, found, torch.nan)


def stationarity(residuals: Mapping[str, Measure]) -> dict[str, Measure]:
    """Three residuals over σ, by name, and the largest of them."""
    return {**residuals, "stationarity": lambda: torch.stack([one() for one in residuals.values()]).amax(dim=0)}


@dataclass(frozen=True)
class FollowedPLNonconvex(PLNonconvex):
    """``pl_nonconvex`` with the metrics above, ``hypergradient_norm`` and ``value`` φ(x).

    ``penalty`` is that of the start alone; what is measured is of the method's.
    """

    name: ClassVar[str] = "followed_pl_nonconvex"

    def build(self) -> Problem:
        problem, built = super().build(), _Built(self)

        def metrics(x: Tensor, y: Tensor, buffers: Tensor) -> Mapping[str, Tensor]:
            x, y, (z, penalty) = x.double(), y.double(), parts(buffers)
            sigma = 1 / penalty
            residuals: dict[str, Measure] = {
                "residual_y": lambda: self._residual(built, x, y, sigma) / sigma[:, 0],
                "residual_z": lambda: self._residual(built, x, z, torch.zeros_like(sigma)) / sigma[:, 0],
                "residual_x": lambda: _direction(built, x, y, z, penalty).norm(dim=-1),
            }
            return LazyMetrics(
                hypergradient_norm=lambda: built.gradient(x).norm(dim=-1),
                value=lambda: built.value(x),
                **stationarity(residuals),
                distance_y=lambda: (y - built.solution(x, sigma)).norm(dim=-1),
                distance_z=lambda: (z - _pushed_back(built, x, z)).norm(dim=-1),
                weight=lambda: penalty[:, 0],
            )

        return dataclasses.replace(problem, metrics=metrics, buffers=followed(self.dimension_y))

    def _residual(self, built: _Built, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        B = like(built.B, x)

        def gradient(t: Tensor) -> Tensor:
            return sigma * built.grad_upper(x, t, None)[1] + built.grad_lower(x, t, None)

        def hessian(t: Tensor) -> Tensor:
            slope, bending = built.slope(t), built.curvature(t)
            own = bending * (built.missed(x, t) @ B) + sigma * (slope.square() + bending * built.pulled(t))
            return slope[..., None] * (B.T @ B) * slope[..., None, :] + torch.diag_embed(own)

        return residual(y, self.proximal_step, gradient, hessian)


def _direction(built: _Built, x: Tensor, y: Tensor, z: Tensor, penalty: Tensor) -> Tensor:
    """f_x + λ(g_x(x, y) − g_x(x, z))."""
    apart = built.grad_lower_x(x, y, None) - built.grad_lower_x(x, z, None)
    return built.grad_upper(x, y, None)[0] + penalty * apart


def _pushed_back(built: _Built, x: Tensor, z: Tensor) -> Tensor:
    """The point of S(x, 0) whose T is nearest to T(z)."""
    missed = torch.linalg.solve(like(built.M, x), built.missed(x, z)[..., None])[..., 0]
    return built.unbent(built.bent(z) - missed @ like(built.B, x))


@dataclass(frozen=True)
class FollowedWells(ProblemSpec):
    """A hyper-objective that is not convex, over a lower level that is strongly convex, everything in closed form.

        f(x, y) = Σ_i ¼(y_i² − 1)² + t y_i        g(x, y) = ½ Σ_i h_i (y_i − x_i)²,    h_i from 1/κ to 1

    so that y*(x) = x, φ(x) = f(x, x) has 2^d minima, and y*_λ(x) is the root of y³ − y + t + λh(y − x) in every
    coordinate, one where λ > κ. Start: normal numbers of standard deviation ``start_scale``, y at ``distance`` from x.

    Metrics beside those above: ``lyapunov``, the slides' function

        V = φ(x) − min φ + λL‖y − y*_λ(x)‖² + ½λL‖z − y*(x)‖²,     L = 2 the largest eigenvalue of the Hessian of g,

    its parts ``value_gap``, ``distance_y`` (which is ‖y − y*_λ‖) and ``distance_z``, and ``hypergradient_norm``.
    """

    name: ClassVar[str] = "followed_wells"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    dimension: int = hyper(4, "coordinates of x and of y", symbol="d", at_least=1)
    condition: float = hyper(1.0, "condition number of ∇²_yy g", symbol="κ", at_least=1)
    tilt: float = hyper(0.1, "t: how much worse the minimum near 1 is; two minima below 0.38", above=0, below=0.38)
    start_seed: PerRun = hyper(0, "seed of the start", at_least=0)
    start_scale: float = hyper(1.5, "standard deviation of the start of x", above=0)
    distance: float = hyper(1.0, "distance of the start of y from x", at_least=0)
    proximal_step: float = hyper(0.1, "step of the proximal map", symbol="ρ", above=0, below=1)
    noise: PerRun = hyper(0.0, "standard deviation of the noise on each coordinate of g_y and of g_x", at_least=0)
    upper_noise: PerRun = hyper(0.0, "standard deviation of the noise on each coordinate of f_y, of f_x", at_least=0)

    def build(self) -> Problem:
        wells, d = _Wells(self), self.dimension
        away = normal_start(self.start_seed, 2 * d, 1.0)
        x = self.start_scale * away[..., :d]
        y = x + self.distance * away[..., d:] / away[..., d:].norm(dim=-1, keepdim=True)
        return Problem(
            upper=lambda x, y, sample: wells.height(y).sum(-1) + 0 * x.sum(-1) + wells.linear(x, y, sample),
            lower=lambda x, y, sample: (wells.h(x) * (y - x) ** 2).sum(-1) / 2 + wells.linear(x, y, sample),
            sample_upper=gaussian(self.upper_noise, 2 * d),
            sample_lower=gaussian(self.noise, 2 * d),
            metrics=wells.metrics,
            averaged=self.averaged,
            derivatives={
                "grad_upper": lambda x, y, sample: (
                    _plus(torch.zeros_like(x), sample, slice(0, d)),
                    _plus(wells.slope(y), sample, slice(d, None)),
                ),
                "grad_lower": lambda x, y, sample: _plus(wells.h(x) * (y - x), sample, slice(d, None)),
                "grad_lower_x": lambda x, y, sample: _plus(wells.h(x) * (x - y), sample, slice(0, d)),
                "hvp": lambda x, y, v, sample: wells.h(x) * v,
                "jvp": lambda x, y, v, sample: -wells.h(x) * v,
            },
            closed_form=ClosedForm(lambda x: x.clone(), lambda x: wells.height(x).sum(-1), wells.slope),
            buffers=followed(d),
            start=(x, y),
            batched=True,
            name=self.name,
        )


def _plus(gradient: Tensor, sample: Tensor | None, places: slice) -> Tensor:
    return gradient if sample is None else gradient + sample[:, places]


class _Wells:
    """The functions of :class:`FollowedWells`."""

    def __init__(self, spec: FollowedWells):
        self.spec = spec
        self.curvatures = torch.logspace(0, -1, spec.dimension, base=spec.condition, dtype=torch.float64)
        roots = np.roots([1.0, 0.0, -1.0, spec.tilt])
        self.lowest = spec.dimension * float(self.height(torch.tensor(min(roots.real), dtype=torch.float64)))

    def h(self, like_x: Tensor) -> Tensor:
        """(d,)."""
        return like(self.curvatures, like_x)

    def height(self, t: Tensor) -> Tensor:
        """¼(t² − 1)² + t·tilt, elementwise, as all below."""
        return (t * t - 1) ** 2 / 4 + self.spec.tilt * t

    def slope(self, t: Tensor) -> Tensor:
        return t * (t * t - 1) + self.spec.tilt

    @staticmethod
    def linear(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor | float:
        """What the noise adds to a loss: (runs,)."""
        return 0.0 if sample is None else (sample * torch.cat([x, y], dim=-1)).sum(-1)

    def solution(self, x: Tensor, penalty: Tensor) -> Tensor:
        """y*_λ(x), by bisection to the last digit; NaN where λh ≤ 1, as there may be several."""
        pull = penalty * self.h(x)
        high = 1 + self.spec.tilt + pull * x.abs()
        low = -high
        for _ in range(100):
            middle = (low + high) / 2
            below = self.slope(middle) + pull * (middle - x) < 0
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return torch.where(pull > 1, (low + high) / 2, torch.nan)

    def residual(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """ρ⁻¹‖y − prox_{ρh_σ}(y)‖: (runs,)."""
        h = self.h(x)
        return residual(
            y,
            self.spec.proximal_step,
            lambda t: sigma * self.slope(t) + h * (t - x),
            lambda t: torch.diag_embed(sigma * (3 * t * t - 1) + h),
        )

    def metrics(self, x: Tensor, y: Tensor, buffers: Tensor) -> Mapping[str, Tensor]:
        x, y, (z, penalty) = x.double(), y.double(), parts(buffers)
        sigma, weight = 1 / penalty, penalty[:, 0]

        def gap() -> Tensor:
            return self.height(x).sum(-1) - self.lowest

        def off(point: Tensor, solution: Tensor) -> Tensor:
            return (point - solution).square().sum(-1)

        residuals: dict[str, Measure] = {
            "residual_y": lambda: self.residual(x, y, sigma) * weight,
            "residual_z": lambda: self.residual(x, z, torch.zeros_like(sigma)) * weight,
            "residual_x": lambda: weight * (self.h(x) * (z - y)).norm(dim=-1),
        }
        return LazyMetrics(
            hypergradient_norm=lambda: self.slope(x).norm(dim=-1),
            value_gap=gap,
            **stationarity(residuals),
            distance_y=lambda: off(y, self.solution(x, penalty)).sqrt(),
            distance_z=lambda: off(z, x).sqrt(),
            lyapunov=lambda: gap() + 2 * weight * (off(y, self.solution(x, penalty)) + off(z, x) / 2),
            weight=lambda: weight,
        )
