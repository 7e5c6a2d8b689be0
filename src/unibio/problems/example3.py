"""Example 3 of the paper, one-dimensional and coordinate-wise in d dimensions.

    g(x, y) = Σ_i  y_i^p/p − y_i sin u_i,        f(x, y) = Σ_i  clip(y_i^{p−1}),        u = R x, p even

with clip(s) = sin s for |s| ≤ π/2 and ±1 beyond. Hence y* = [sin u]^{∘1/(p−1)}, φ(x) = Σ sin(sin u_i) and
∇φ(x) = Rᵀ(cos u ∘ cos(sin u)), the same φ for every p. At sin u_i = 0, which every trajectory from u_i > 0 to the
minimiser u_i = −π/2 crosses, y*_i = 0 and ∇²_yy g = diag((p−1) y^{p−2}) is singular for p > 2.

One dimension with R = 1 is the paper's Example 3. The d-dimensional form with an orthogonal R, which makes ∇²_xy g
non-diagonal, is ours: a normalised step in one dimension sees only a sign, in d dimensions it tests the estimator.

Noise enters as linear terms, ⟨ζ, y⟩ in g and ⟨ξ, x⟩ in f, so that gradients carry it and nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unibio.draw import Draw
from unibio.parameters import PerRun, hyper
from unibio.powers import abs_power, scale, signed_power, signed_root
from unibio.problem import ClosedForm, LazyMetrics, Problem, ProblemSpec, Sampler

READINGS = ("variance", "std")


@dataclass(frozen=True)
class Example3(ProblemSpec):
    """Example 3: d_x = d_y = 1, start (1, 1)."""

    name: ClassVar[str] = "example3"
    averaged: ClassVar[tuple[str, ...]] = ("hypergradient_norm",)

    exponent: int = hyper(4, "exponent of uniform convexity", symbol="p", at_least=2, even=True)
    noise: PerRun = hyper(0.0, "Gaussian noise level of the lower-level gradient", symbol="σ²", at_least=0)
    noise_reading: str = hyper("variance", "the noise level is a variance (text) or std (script)", choices=READINGS)
    upper_noise: PerRun = hyper(0.0, "standard deviation of the noise on f_x", at_least=0)

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
    noise_reading: str = hyper("variance", "the noise level is a variance (text) or std (script)", choices=READINGS)
    upper_noise: PerRun = hyper(0.0, "standard deviation of the noise on f_x", at_least=0)

    def build(self) -> Problem:
        gaussian = np.random.Generator(np.random.Philox(self.mixing_seed)).standard_normal((self.dimension,) * 2)
        q, r = np.linalg.qr(gaussian)
        mixing = torch.from_numpy(q * np.sign(np.diag(r)))  # the signs make R uniform, and the factorisation unique
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


def _build(spec: Example3 | Coordinatewise, mixing: Tensor | None, u0: Tensor) -> Problem:
    p = spec.exponent
    lower_std = torch.as_tensor(spec.noise, dtype=torch.float64)
    if spec.noise_reading == "variance":
        lower_std = lower_std.sqrt()
    upper_std = torch.as_tensor(spec.upper_noise, dtype=torch.float64)
    dimension = len(u0)
    tensors: dict[tuple[str, torch.device, torch.dtype], Tensor] = {}

    def like(t: Tensor, key: str, value: Tensor) -> Tensor:
        """A constant of the problem on the device and in the dtype of t."""
        at = (key, t.device, t.dtype)
        if at not in tensors:
            tensors[at] = value.to(t.device, t.dtype)
        return tensors[at]

    def mixed(x: Tensor) -> Tensor:
        return x if mixing is None else x @ like(x, "mixing", mixing).T

    def unmixed(u: Tensor) -> Tensor:
        return u if mixing is None else u @ like(u, "mixing", mixing)

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

    sine = Remembered(lambda x: torch.sin(mixed(x)))
    cosine = Remembered(lambda x: torch.cos(mixed(x)))
    scaling = Remembered(lambda y: scale(y, p))

    def linear(sample: Tensor | None, t: Tensor) -> Tensor | float:
        return 0.0 if sample is None else (sample * t).sum(-1)

    def lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return (abs_power(y, p) / p - y * torch.sin(mixed(x))).sum(-1) + linear(sample, y)

    def upper(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        s = signed_power(y, p - 1)
        return torch.sin(s.clamp(-math.pi / 2, math.pi / 2)).sum(-1) + linear(sample, x)

    def grad_lower(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        gradient = signed_power(y, p - 1) - sine(x)
        return gradient if sample is None else gradient.add_(sample)

    def grad_lower_x(x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        return unmixed(-y * cosine(x))

    def inside_clip(y: Tensor) -> Tensor:
        return abs_power(y, p - 1) <= math.pi / 2

    def grad_upper(x: Tensor, y: Tensor, sample: Tensor | None) -> tuple[Tensor, Tensor]:
        slope = torch.cos(signed_power(y, p - 1)) * scaling(y)
        f_y = torch.where(inside_clip(y), slope, torch.zeros_like(y))
        return torch.zeros_like(x) if sample is None else sample, f_y

    def hvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        return scaling(y) * v

    def jvp(x: Tensor, y: Tensor, v: Tensor, sample: Tensor | None) -> Tensor:
        return unmixed(-cosine(x) * v)

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

    return Problem(
        upper=upper,
        lower=lower,
        exponent=p,
        sample_upper=sampler(upper_std, "upper_std"),
        sample_lower=sampler(lower_std, "lower_std"),
        metrics=metrics,
        averaged=spec.averaged,
        derivatives={
            "grad_upper": grad_upper,
            "grad_lower": grad_lower,
            "grad_lower_x": grad_lower_x,
            "hvp": hvp,
            "jvp": jvp,
        },
        # With a mixing, coordinates of y clip coordinates of u, not of x: the one-dimensional use does not carry over.
        closed_form=ClosedForm(solution, value, gradient, inside_clip if mixing is None else None),
        vanishing_hessian=True,
        start=(unmixed(u0[None])[0], torch.ones(dimension, dtype=torch.float64)),
        batched=True,
        name=spec.name,
    )
