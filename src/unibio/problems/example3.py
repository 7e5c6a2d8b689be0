"""Example 3 of the paper, one-dimensional and coordinate-wise in d dimensions.

    g(x, y) = Σ_i  y_i^p/p − y_i sin u_i,        f(x, y) = Σ_i  clip(y_i^{p−1}),        u = R x, p even

with clip(s) = sin s for |s| ≤ π/2 and ±1 beyond. Hence y* = [sin u]^{∘1/(p−1)}, φ(x) = Σ sin(sin u_i) and
∇φ(x) = Rᵀ(cos u ∘ cos(sin u)), the same φ for every p. At sin u_i = 0, which every trajectory from u_i > 0 to the
minimiser u_i = −π/2 crosses, y*_i = 0 and ∇²_yy g = diag((p−1) y^{p−2}) is singular for p > 2.

One dimension with R = 1 is the paper's Example 3. The d-dimensional form with an orthogonal R, which makes ∇²_xy g
non-diagonal, is ours: a normalised step in one dimension sees only a sign, in d dimensions it tests the estimator.

Noise is a term of the losses, so that all derivatives of one sample fit together:

    G = g + Σ_i  ζ₁ᵢ R(y_i) − ζ₂ᵢ y_i sin u_i + ζ₃ᵢ y_i,        F = f + ⟨ξ, x⟩

with independent Gaussian numbers. ζ₃ and ξ are the noise on the gradients; second derivatives have none of them. ζ₁ and
ζ₂ are that on the generalised second derivatives: with R' = s̄([y]^{∘(p−1)}) and the saturating s̄(z) = z for |z| ≤ 1.5,
d∇_y G/d[y]^{∘(p−1)} is 1 + ζ₁ᵢ there and ∇²_xy G is 1 + ζ₂ᵢ times its own, whatever y, as Assumption 3.4 asks. (Noise
of a constant size on ∇²_yy G would have no bound on the generalised derivative as y_i → 0.) ∇_y G and ∇_x G carry what
they add.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from unibio.core.parameters import PerRun, hyper
from unibio.core.powers import abs_power, scale, signed_power, signed_root
from unibio.core.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec, Sampler
from unibio.core.separable import Separable, Sines, saturating
from unibio.core.streams import Draw
from unibio.problems.mixings import MIXINGS, Dense, Hadamard
from unibio.problems.saturation import saturated, saturating_slope

READINGS = ("variance", "std")
#: See :mod:`unibio.problems.mixings`.
KINDS = ("qr", "hadamard")


@dataclass(frozen=True)
class Example3(ProblemSpec):
    """Example 3: d_x = d_y = 1, start (1, 1)."""

    name: ClassVar[str] = "example3"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    exponent: int = hyper(4, "exponent of uniform convexity", symbol="p", at_least=2, even=True)
    noise: PerRun = hyper(0.0, "Gaussian noise level of the lower-level gradient", symbol="σ²", at_least=0)
    noise_reading: str = hyper("variance", "noise levels are variances (text) or std (script)", choices=READINGS)
    upper_noise: PerRun = hyper(0.0, "Gaussian noise level of the upper-level gradient f_x", symbol="ξ", at_least=0)
    hessian_noise: PerRun = hyper(
        0.0, "noise level of the diagonal of d∇_y g/d[y]^(p−1)", symbol="ζ₁", at_least=0, later=True
    )
    cross_noise: PerRun = hyper(
        0.0, "noise level of the factor of ∇²_xy g in each coordinate", symbol="ζ₂", at_least=0, later=True
    )

    def build(self) -> Problem:
        return _build(self, None, torch.ones(1, dtype=torch.float64))


@dataclass(frozen=True)
class Coordinatewise(ProblemSpec):
    """Coordinate-wise Example 3 with an orthogonal mixing of x; d_x = d_y = dimension. Ours.

    The start has u spread evenly over [0.5, 1.5], so that coordinates reach the singular point u_i = 0 at different
    times, and y = 1. Noise is per coordinate.
    """

    name: ClassVar[str] = "coordinatewise"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    exponent: int = hyper(4, "exponent of uniform convexity", symbol="p", at_least=2, even=True)
    dimension: int = hyper(10, "coordinates of x and of y", symbol="d", at_least=2)
    mixing_seed: int = hyper(0, "seed of the orthogonal matrix R", symbol="R", at_least=0)
    noise: PerRun = hyper(0.0, "Gaussian noise level of the lower-level gradient", symbol="σ²", at_least=0)
    noise_reading: str = hyper("variance", "noise levels are variances (text) or std (script)", choices=READINGS)
    upper_noise: PerRun = hyper(0.0, "Gaussian noise level of the upper-level gradient f_x", symbol="ξ", at_least=0)
    hessian_noise: PerRun = hyper(
        0.0, "noise level of the diagonal of d∇_y g/d[y]^(p−1)", symbol="ζ₁", at_least=0, later=True
    )
    cross_noise: PerRun = hyper(
        0.0, "noise level of the factor of ∇²_xy g in each coordinate", symbol="ζ₂", at_least=0, later=True
    )
    mixing: str = hyper(
        "qr", "a uniform orthogonal matrix (qr, O(d³)) or a fast one (hadamard, O(d log d))", choices=KINDS, later=True
    )

    def build(self) -> Problem:
        mixing = MIXINGS[self.mixing](self.dimension, self.mixing_seed)
        return _build(self, mixing, torch.linspace(0.5, 1.5, self.dimension, dtype=torch.float64))


class Remembered:
    """A function of one tensor that keeps its last value: a lower-level solve asks for sin u at one x dozens of times.

    Another tensor, or the same one written to since, is computed anew; so is anything that autograd follows.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self._function = function
        self._held: tuple[Tensor, int, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if (x.requires_grad and torch.is_grad_enabled()) or x.is_inference():
            return self._function(x)
        held = self._held
        if held is None or held[0] is not x or held[1] != x._version:
            self._held = held = (x, x._version, self._function(x))
        return held[2]


def _deviation(level: PerRun, reading: str) -> Tensor:
    """The standard deviation that a noise level says."""
    number = torch.as_tensor(level, dtype=torch.float64)
    return number.sqrt() if reading == "variance" else number


def _build(spec: Example3 | Coordinatewise, mixing: Dense | Hadamard | None, u0: Tensor) -> Problem:
    p = spec.exponent
    levels = (spec.noise, spec.upper_noise, spec.hessian_noise, spec.cross_noise)
    lower_std, upper_std, hessian_std, cross_std = (_deviation(level, spec.noise_reading) for level in levels)
    dimension = len(u0)
    tensors: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}

    def like(t: Tensor, key: str, value: Tensor) -> Tensor:
        """A constant of the problem on the device and in the dtype of t."""
        at = (key, t.device, t.dtype)
        if at not in tensors:
            tensors[at] = value.to(t.device, t.dtype)
        return tensors[at]

    def mixed(x: Tensor) -> Tensor:
        return x if mixing is None else mixing(x)

    def unmixed(u: Tensor) -> Tensor:
        return u if mixing is None else mixing.back(u)

    def sampler(std: Tensor, key: str) -> Sampler | None:
        if not bool((std > 0).any()):
            return None
        if std.numel() == 1:
            level = float(std)
            return lambda draw: level * draw.normal(dimension)

        def sample(draw: Draw) -> Tensor:
            numbers = draw.normal(dimension)
            return like(numbers, key, std) * numbers

        return sample

    curving, crossing = sampler(hessian_std, "hessian_std"), sampler(cross_std, "cross_std")
    second = curving is not None or crossing is not None

    sine = Remembered(lambda x: torch.sin(mixed(x)))
    cosine = Remembered(lambda x: torch.cos(mixed(x)))
    scaling = Remembered(lambda y: scale(y, p))

    def linear(sample: Tensor | None, t: Tensor) -> Tensor | float:
        return 0.0 if sample is None else (sample * t).sum(-1)

    def lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        exact = (abs_power(y, p) / p - y * torch.sin(mixed(x))).sum(-1)
        if sample is None or not second:
            return exact + linear(sample, y)
        curved, crossed, added = sample.chunk(3, dim=-1)
        relative = curved * saturated(y, p) - crossed * y * torch.sin(mixed(x))
        return exact + linear(added, y) + relative.sum(-1)

    def upper(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        s = signed_power(y, p - 1)
        return torch.sin(s.clamp(-math.pi / 2, math.pi / 2)).sum(-1) + linear(sample, x)

    def grad_lower_x(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return unmixed(-y * cross(x, sample))

    def cross(x: Tensor, sample: Tensor | None) -> Tensor:
        """cos u with its noise: the diagonal of −∇²_uy g."""
        return cosine(x) if sample is None or not second else cosine(x) * (1 + sample.chunk(3, dim=-1)[1])

    def inside_clip(y: Tensor) -> Tensor:
        return abs_power(y, p - 1) <= math.pi / 2

    def grad_upper(x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
        slope = torch.cos(signed_power(y, p - 1)) * scaling(y)
        f_y = torch.where(inside_clip(y), slope, torch.zeros_like(y))
        return torch.zeros_like(x) if sample is None else sample, f_y

    def hvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        product = scaling(y) * v
        if sample is None or not second:
            return product
        return product * (1 + sample[:, :dimension] * saturating_slope(signed_power(y, p - 1)))

    def hessian_diagonal(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return hvp(x, y, torch.ones_like(y), sample)

    def jvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        return unmixed(-cross(x, sample) * v)

    def solution(x: Tensor) -> Tensor:
        return signed_root(sine(x), p - 1)

    def value(x: Tensor) -> Tensor:
        return torch.sin(sine(x)).sum(-1)

    def gradient(x: Tensor) -> Tensor:
        return unmixed(cosine(x) * torch.cos(sine(x)))

    def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        return LazyMetrics(
            hypergradient_norm=lambda: torch.linalg.vector_norm(gradient(x), dim=-1),
            value=lambda: value(x),
            lower_error=lambda: torch.linalg.vector_norm(y - solution(x), dim=-1),
        )

    noisy, sample_upper = bool((lower_std > 0).any()), sampler(upper_std, "upper_std")
    others: dict[str, Callable[..., Any]] = {
        "grad_upper": grad_upper,
        "grad_lower_x": grad_lower_x,
        "hvp": hvp,
        "jvp": jvp,
        "hessian_diagonal": hessian_diagonal,
    }
    separable = Separable(
        exponent=p,
        dimension=dimension,
        target=sine,
        level=lower_std.reshape(-1, 1) if noisy else None,
        others=others,
        linear_noise=True,
        sines=None
        if mixing is not None
        else Sines(None if sample_upper is None else upper_std.reshape(-1, 1), sample_upper, metrics),
    )

    def grad_lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        """With noise on the second derivatives; without it is the declared one."""
        z, target = signed_power(y, p - 1), sine(x)
        if sample is None:
            return z - target
        curved, crossed, added = sample.chunk(3, dim=-1)
        return z - (1 + crossed) * target + curved * saturating(z) + added

    def sample_three(draw: Draw) -> Tensor:
        """ζ₁, ζ₂ and ζ₃ side by side, (runs, 3d); purposes of their own leave ζ₃ what it is without the others."""
        added = separable.sample(draw) if noisy else None
        parts = [
            None if one is None else one(replace(draw, purpose=f"{draw.purpose}/{which}"))
            for which, one in (("hessian", curving), ("cross", crossing))
        ]
        zero = torch.zeros(draw.runs, dimension, device=draw.streams.device, dtype=draw.streams.dtype)
        return torch.cat([zero if part is None else part for part in (*parts, added)], dim=-1)

    return Problem(
        upper=upper,
        lower=lower,
        exponent=p,
        sample_upper=sample_upper,
        sample_lower=sample_three if second else (separable.sample if noisy else None),
        metrics=metrics,
        averaged=spec.averaged,
        derivatives=others | {"grad_lower": grad_lower} if second else separable.derivatives,
        # With a mixing, coordinates of y clip coordinates of u, not of x: the one-dimensional use does not carry over.
        closed_form=ClosedForm(solution, value, gradient, inside_clip if mixing is None else None),
        vanishing_hessian=True,
        # Three kinds of numbers from one draw would be others than one: drawn apart, and so not declared.
        separable=None if second else separable,
        start=(unmixed(u0[None])[0], torch.ones(dimension, dtype=torch.float64)),
        batched=True,
        name=spec.name,
    )
