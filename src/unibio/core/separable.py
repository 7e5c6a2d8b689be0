"""Lower levels that fall apart into coordinates, declared as such, so that a solver may run compiled loops on them.

    ∇_y g = [y]^{∘(p−1)} − s(x) + ζ

coordinate by coordinate: Example 3 and its relatives. With noise of three kinds the gradient is

    ∇_y g = z − (1 + ζ₂) s(x) + ζ₁ s̄(z) + ζ₃,      z = [y]^{∘(p−1)},

where s̄ is :func:`saturating`. ζ are independent Gaussian numbers, one a coordinate and kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from unibio.core.losses import nonzero
from unibio.core.powers import scale, signed_power
from unibio.core.streams import Draw
from unibio.errors import InputError

#: s̄ is linear up to KNEE and constant from KNEE + 1 on.
KNEE = 1.5


def saturating(u: Tensor) -> Tensor:
    """s̄(u): u for |u| ≤ 3/2, of slope falling linearly to 0 at |u| = 5/2, then constant ±2."""
    size = u.abs()
    bent = (size - KNEE).clamp(0, 1)
    return u.sign() * (size.clamp_max(KNEE) + bent - 0.5 * bent * bent)


@dataclass(frozen=True, eq=False)
class Sines:
    """That both levels are made of sines, so that compiled loops may compute whole iterations:

        s(x) = sin x,        f(x, y) = Σ_i  sin(clip([y_i]^{p−1}, ±π/2)) + ξ_i x_i

    and hence, coordinate by coordinate, ∇²_xy g = −cos x and ∇φ = cos x · cos(sin x).

    A problem whose ``sample_upper`` or ``metrics`` are not these is solved without.

    Attributes:
        level: what standard normal numbers are multiplied with to be ξ, (1 or runs, 1) float64; None for no noise.
        sample: the problem's ``sample_upper``, which does so.
        metrics: the problem's own, among which is ``averaged``, ‖∇φ(x)‖.
        averaged: its name, the only one of the problem's averaged metrics.
    """

    level: Tensor | None
    sample: Callable[[Draw], Tensor] | None
    metrics: Callable[[Tensor, Tensor], Mapping[str, Tensor]]
    averaged: str = "hypergradient_norm"


@dataclass(frozen=True, eq=False)
class Separable:
    """A separable lower level: its gradient in y, and its noise.

    A problem declares it (``Problem.separable``) and uses its methods as derivative and sampler: whoever replaces one
    of them has another lower level, which is then solved without the declaration.

    Attributes:
        exponent: p ≥ 2.
        dimension: d_y.
        target: x -> s(x), (runs, d_y).
        level: what standard normal numbers are multiplied with, (1 or runs, 1 or kinds · d_y) float64; None where there
            is no noise.
        kinds: 1 for ζ alone; 3 for ζ₁, ζ₂, ζ₃ in this order, each d_y times.
        others: the problem's own derivatives beside ``grad_lower``.
        linear_noise: whether f is a function of y alone but for noise ⟨ξ, x⟩, and ζ is of one kind. Then f_y and all
            second derivatives are without noise, f_x is ξ or 0, and what depends on y alone can be kept while y stays.
            It takes ``others`` with ``grad_upper``, ``hvp`` and ``jvp``, and is checked at the start of a run.
        sines: that all is made of sines, and how; it takes ``linear_noise``, and is checked likewise.
    """

    exponent: float
    dimension: int
    target: Callable[[Tensor], Tensor]
    level: Tensor | None = None
    kinds: int = 1
    others: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    linear_noise: bool = False
    sines: Sines | None = None
    #: What a solver keeps between calls, of its own making.
    kept: Any = field(default=None, init=False, repr=False)
    _levels: dict[tuple[torch.device, torch.dtype], Tensor] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def derivatives(self) -> dict[str, Callable[..., Any]]:
        """What the problem has to have as its own derivatives."""
        return {**self.others, "grad_lower": self.gradient}

    def sample(self, draw: Draw) -> Tensor:
        """ζ: (runs, kinds · d_y)."""
        numbers = draw.normal(self.kinds * self.dimension)
        return self.level_like(numbers) * numbers

    def level_like(self, t: Tensor) -> Tensor:
        """The levels on the device and in the dtype of ``t``."""
        assert self.level is not None  # there is no sampler without noise
        key = (t.device, t.dtype)
        if key not in self._levels:
            self._levels[key] = self.level.to(t.device, t.dtype)
        return self._levels[key]

    def gradient(self, x: Tensor, y: Tensor, sample: Tensor | None) -> Tensor:
        """∇_y g: (runs, d_y)."""
        z, target = signed_power(y, self.exponent - 1), self.target(x)
        if sample is None:
            return z - target
        if self.kinds == 1:
            return (z - target).add_(sample)
        curved, crossed, added = sample.chunk(3, dim=-1)
        return z - (1 + crossed) * target + curved * saturating(z) + added

    def check(self, x: Tensor, y: Tensor, upper: Any, lower: Any) -> None:
        """Hold ``linear_noise`` to what the derivatives say at a start.

        Args:
            x, y: (runs, d_x), (runs, d_y).
            upper, lower: a sample of either level; None where there is none.

        Raises:
            InputError: they say otherwise, so that estimates would be silently wrong.
        """
        if not self.linear_noise:
            return
        own, y = self.others, nonzero(y)
        f_x, f_y = own["grad_upper"](x, y, upper)
        wrong = {
            "f_x is its sample, or 0": not torch.equal(f_x, torch.zeros_like(x) if upper is None else upper),
            "f_y depends on y alone": not torch.equal(f_y, own["grad_upper"](x + 0.37, y, None)[1]),
            "∇²_yy g is D(y)": not torch.allclose(
                own["hvp"](x, y, y, lower), scale(y, self.exponent) * y, equal_nan=True
            ),
            "∇²_xy g has no noise": not torch.equal(own["jvp"](x, y, y, lower), own["jvp"](x, y, y, None)),
            "noise on ∇_y g is of one kind": self.kinds != 1,
        }
        _refuse("linear_noise=True", wrong)
        if self.sines is None:
            return
        cosine, z = torch.cos(x), signed_power(y, self.exponent - 1)
        inside = torch.where(z.abs() <= math.pi / 2, torch.cos(z), torch.zeros_like(z))
        norm = torch.linalg.vector_norm(cosine * torch.cos(torch.sin(x)), dim=-1)
        wrong = {
            "s is the sine": not torch.equal(self.target(x), torch.sin(x)),
            "f_y is the cosine of the clipped z, times D(y)": not torch.allclose(
                f_y, inside * scale(y, self.exponent), equal_nan=True
            ),
            "∇²_xy g is −cos x": not torch.equal(own["jvp"](x, y, y, None), -cosine * y),
            f"{self.sines.averaged} is ‖cos x · cos(sin x)‖": not torch.equal(
                self.sines.metrics(x, y)[self.sines.averaged], norm
            ),
        }
        _refuse("sines", wrong)


def _refuse(declared: str, wrong: Mapping[str, bool]) -> None:
    """Raise an error that names the first of a declaration's parts that is wrong."""
    for said, found in wrong.items():
        if found:
            raise InputError(f"separable: {declared} says that {said}, but the derivatives do not; leave it out")
