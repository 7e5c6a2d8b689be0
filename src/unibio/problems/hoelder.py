"""A problem on which the exponent p matters: φ's gradient is Hölder, of exponent 1/(p − 1), and no better. Ours.

    g(x, y) = Σ_i  |y_i|^p/p − y_i s(u_i),        f(x, y) = Σ_i  Ψ(y_i) + q(u_i),        u = A x,  A orthogonal

with the change of variables z = [y]^{∘(p−1)} and dΨ/dz = ψ(y), that is Ψ(y) = ∫_0^y ψ(t) (p−1)|t|^{p−2} dt. Hence

    ∇_y g = z − s(u),    y* = [s(u)]^{∘1/(p−1)},    ∂φ/∂u_i = s'(u_i) ψ(y*_i) + q'(u_i).

On Example 3 f is smooth in z, so that φ is the same smooth function for every p. Here f is smooth in y only: ψ is
Lipschitz in y, as Assumption 3.3(ii) asks, and ψ(y*) = s^{1/(p−1)} near u_i = 0, the minimiser, so that Eq. (8) of the
paper holds with its first term and with nothing less.

- *symmetric*: ψ(y) = clip(y, ±2);  *asymmetric*: the same for y ≥ 0 and a quarter of it for y < 0, so that errors of y
  with symmetric noise do not cancel.
- s(u) = u for |u| ≤ 1.5, of slope falling linearly to 0 at |u| = 2.5, then constant ±2. It has to be bounded: with
  s(u) = u no L₀, L₁ satisfy Assumption 3.2(ii) where p > 2. It has to be monotone: with s = sin a method that leaves y
  stale would settle on a smooth maximum of φ.
- q'(u) = 4 clip(|u| − 1.5, 0, 1) sign(u): u = 0 is the only stationary point.

The noise sits on the *generalised* derivatives, as Assumption 3.4 asks, and enters as terms of the losses, all numbers
Gaussian and one a coordinate: ζ₁ R(y) − ζ₂ y s(u) + ζ₃ y in g, with R'(y) = s(z), and ξ z in f. The saturating s in R
keeps the noise on ∇_y g bounded by what ζ₁ brings; plain noise on f_y would violate the assumption near y_i = 0 for
p > 2, where its generalised derivative D(y)⁻¹ξ is unbounded.

In d dimensions the modulus of uniform convexity is μ d^{1−p/2}, with the μ of one dimension. One dimension is an easy
instance: φ is convex there and a normalised step sees a sign only. What is to tell good lower levels from bad wants
d ≥ 2, mixed and asymmetric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.powers import abs_power, scale, signed_power, signed_root
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec, Sampler
from unibio.core.separable import KNEE, Separable, saturating
from unibio.problems.example3 import Remembered
from unibio.problems.matrices import Constants
from unibio.problems.mixings import Dense
from unibio.problems.saturation import beyond_knee, saturated, saturating_slope

SHAPES = ("symmetric", "asymmetric")
#: ψ is constant beyond it. (s is linear up to KNEE, and constant from KNEE + 1 on.)
CLIP = 2.0
#: What ψ's slope is at y < 0.
SLOPES = {"symmetric": 1.0, "asymmetric": 0.25}


@dataclass(frozen=True)
class Hoelder(ProblemSpec):
    """The Hölder problem, ours: ∇φ is Hölder with exponent 1/(p−1), so that p matters; d_x = d_y = dimension.

    Start (1, 1) in every coordinate unless another is given; minimiser 0. Metrics, in closed form:
    ``hypergradient_norm`` ‖∇φ(x)‖, averaged over iterations, ``value`` φ(x), ``lower_error`` ‖y − y*(x)‖, ``lower_gap``
    g(x, y) − g(x, y*(x)) and ``hypergradient_bias``, the distance of Theorem 4.1's formula at y from ∇φ(x). The noises
    are variances; 1, 0.0625, 0.25 and 0.25 in the order below are the reference size.
    """

    name: ClassVar[str] = "hoelder"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    exponent: float = hyper(4.0, "exponent of uniform convexity, any real number", symbol="p", at_least=2)
    shape: str = hyper("symmetric", "whether f bends alike on both sides of y = 0", choices=SHAPES)
    dimension: int = hyper(1, "coordinates of x and of y", symbol="d", at_least=1)
    mixing_seed: int | None = hyper(
        0, "seed of the orthogonal matrix A; null for A = I, as in one dimension", symbol="A", at_least=0
    )
    noise: PerRun = hyper(0.0, "variance of the noise on each coordinate of g_y", symbol="ζ₃", at_least=0)
    hessian_noise: PerRun = hyper(
        0.0, "variance of the noise on the diagonal of d∇_y g/dz, bounded on g_y", symbol="ζ₁", at_least=0
    )
    cross_noise: PerRun = hyper(
        0.0, "variance of the factor of ∇²_xy g in each coordinate, which g_y has, too", symbol="ζ₂", at_least=0
    )
    upper_noise: PerRun = hyper(0.0, "variance of the noise on each coordinate of df/dz", symbol="ξ", at_least=0)
    start_x: PerRun = hyper(1.0, "every coordinate of the start x", symbol="x₀", later=True)
    start_y: PerRun = hyper(1.0, "every coordinate of the start y", symbol="y₀", later=True)

    def build(self) -> Problem:
        return _Built(self).problem()


def wall(u: Tensor) -> Tensor:
    """q(u)."""
    bent = beyond_knee(u)
    return 2 * bent * bent + 4 * (u.abs() - (KNEE + 1)).clamp_min(0)


def wall_slope(u: Tensor) -> Tensor:
    """q'(u)."""
    return 4 * beyond_knee(u) * u.sign()


def levels(dimension: int, *variances: PerRun) -> Tensor | None:
    """Standard deviations of noise of several kinds, ``dimension`` numbers each, (1 or runs, ·); None for no noise."""
    columns = [torch.as_tensor(v, dtype=torch.float64).reshape(-1, 1).sqrt() for v in variances]
    found = torch.cat([column.expand(-1, dimension) for column in torch.broadcast_tensors(*columns)], dim=1)
    return found if bool((found > 0).any()) else None


class _Built:
    """The problem's functions, for one set of parameters."""

    def __init__(self, spec: Hoelder):
        self.spec, p = spec, float(spec.exponent)
        self.p, self.d, self.slope = p, spec.dimension, SLOPES[spec.shape]
        seed = None if self.d == 1 else spec.mixing_seed
        self.mixing = None if seed is None else Dense(self.d, seed)
        target = Remembered(lambda x: saturating(self.mixed(x)))
        level = levels(self.d, spec.hessian_noise, spec.cross_noise, spec.noise)
        others: dict[str, Callable[..., Any]] = {
            "grad_upper": self.grad_upper,
            "grad_lower_x": self.grad_lower_x,
            "hvp": self.hvp,
            "jvp": self.jvp,
            "hessian_diagonal": self.hessian_diagonal,
        }
        self.separable = Separable(spec.exponent, self.d, target, level, kinds=3, others=others)
        self.target = target
        self.steepness = Remembered(lambda x: saturating_slope(self.mixed(x)))
        self.scaling = Remembered(lambda y: scale(y, p))

    def mixed(self, x: Tensor) -> Tensor:
        """u."""
        return x if self.mixing is None else self.mixing(x)

    def unmixed(self, u: Tensor) -> Tensor:
        """Aᵀu."""
        return u if self.mixing is None else self.mixing.back(u)

    def sample_upper(self) -> Sampler | None:
        """ξ: (runs, d)."""
        level = levels(self.d, self.spec.upper_noise)
        if level is None:
            return None
        at = Constants({"level": level})
        return lambda draw: at("level", numbers := draw.normal(self.d)) * numbers

    # f ---------------------------------------------------------------------------------------------------------------

    def bend(self, y: Tensor) -> Tensor:
        """ψ(y)."""
        clipped = y.clamp(-CLIP, CLIP)
        return clipped if self.slope == 1 else torch.where(y < 0, self.slope * clipped, clipped)

    def bent(self, y: Tensor) -> Tensor:
        """Ψ(y)."""
        p, near = self.p, y.clamp(-CLIP, CLIP)
        inside = (p - 1) / p * abs_power(near, p)
        beyond = CLIP * (abs_power(y, p - 1) - abs_power(near, p - 1))
        whole = inside + beyond
        return whole if self.slope == 1 else torch.where(y < 0, self.slope * whole, whole)

    def upper(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        loss = (self.bent(y) + wall(self.mixed(x))).sum(-1)
        return loss if sample is None else loss + (sample * signed_power(y, self.p - 1)).sum(-1)

    def grad_upper(self, x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
        slope = self.bend(y)
        if sample is not None:
            slope = slope + sample
        return self.unmixed(wall_slope(self.mixed(x))), slope * self.scaling(y)

    # g ---------------------------------------------------------------------------------------------------------------

    def lower(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        power, linear = abs_power(y, self.p) / self.p, y * saturating(self.mixed(x))
        if sample is None:
            return (power - linear).sum(-1)
        curved, crossed, added = sample.chunk(3, dim=-1)
        return (power - (1 + crossed) * linear + curved * saturated(y, self.p) + added * y).sum(-1)

    def grad_lower_x(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return self.unmixed(-self.crossing(x, sample) * y)

    def hvp(self, x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        product = self.scaling(y) * v
        if sample is None:
            return product
        return (1 + sample[:, : self.d] * saturating_slope(signed_power(y, self.p - 1))) * product

    def hessian_diagonal(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return self.hvp(x, y, torch.ones_like(y), sample)

    def jvp(self, x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        return self.unmixed(-self.crossing(x, sample) * v)

    def crossing(self, x: Tensor, sample: Tensor | None) -> Tensor:
        """(1 + ζ₂) s'(u)."""
        slope = self.steepness(x)
        return slope if sample is None else (1 + sample[:, self.d : 2 * self.d]) * slope

    # Closed forms ----------------------------------------------------------------------------------------------------

    def solution(self, x: Tensor) -> Tensor:
        return signed_root(self.target(x), self.p - 1)

    def value(self, x: Tensor) -> Tensor:
        return (self.bent(self.solution(x)) + wall(self.mixed(x))).sum(-1)

    def gradient(self, x: Tensor) -> Tensor:
        return self.unmixed(self.steepness(x) * self.bend(self.solution(x)) + wall_slope(self.mixed(x)))

    def metrics(self, x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        return LazyMetrics(
            hypergradient_norm=lambda: torch.linalg.vector_norm(self.gradient(x), dim=-1),
            value=lambda: self.value(x),
            lower_error=lambda: torch.linalg.vector_norm(y - self.solution(x), dim=-1),
            lower_gap=lambda: self.gap(x, y),
            hypergradient_bias=lambda: self.bias(x, y),
        )

    def gap(self, x: Tensor, y: Tensor) -> Tensor:
        """g(x, y) − g(x, y*(x)); 0 where rounding would make it less."""
        return (self.lower(x, y, None) - self.lower(x, self.solution(x), None)).clamp_min(0)

    def bias(self, x: Tensor, y: Tensor) -> Tensor:
        """How far s'(u) ψ(y) + q'(u), Theorem 4.1's formula at y, is from ∇φ(x); A leaves lengths as they are."""
        off = self.steepness(x) * (self.bend(y) - self.bend(self.solution(x)))
        return torch.linalg.vector_norm(off, dim=-1)

    def problem(self) -> Problem:
        spec, one = self.spec, torch.ones(self.d, dtype=torch.float64)
        return Problem(
            upper=self.upper,
            lower=self.lower,
            exponent=spec.exponent,
            sample_upper=self.sample_upper(),
            sample_lower=None if self.separable.level is None else self.separable.sample,
            metrics=self.metrics,
            averaged=spec.averaged,
            derivatives=self.separable.derivatives,
            closed_form=ClosedForm(self.solution, self.value, self.gradient, minimiser=torch.zeros_like(one)),
            vanishing_hessian=True,
            separable=self.separable,
            start=(spec.start_x * one, spec.start_y * one),
            batched=True,
            name=spec.name,
        )
