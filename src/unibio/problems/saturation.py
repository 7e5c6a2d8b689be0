"""Slope and integral of s̄, the saturating function by which noise on the generalised Hessian stays bounded.

Such noise is a term ζ₁ R(y) of the lower loss. With R(y) = |y|^p/p the gradient would carry ζ₁ z, z = [y]^{∘(p−1)},
which no bound on its variance covers; with R' = s̄(z) it is at most 2|ζ₁|. s̄ is
:func:`unibio.core.separable.saturating`: z up to ``KNEE``, its slope falling linearly to 0 at ``KNEE`` + 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unibio.core.powers import abs_power
from unibio.core.separable import KNEE

#: |s̄| from KNEE + 1 on.
BOUND = 2.0


def beyond_knee(u: Tensor) -> Tensor:
    """How far |u| is beyond ``KNEE``, at most 1."""
    return (u.abs() - KNEE).clamp(0, 1)


def saturating_slope(u: Tensor) -> Tensor:
    """s̄'(u), elementwise."""
    return 1 - beyond_knee(u)


def saturated(y: Tensor, exponent: float) -> Tensor:
    """R(y), the integral of s̄(z) over y: |y|^p/p up to the knee, of slope ±2 from the end of the bend on.

    Args:
        y: of any shape.
        exponent: p ≥ 2.
    """
    p = exponent
    # where z = |y|^{p−1} is the knee of s̄, and the end of its bend
    knee, flat = KNEE ** (1 / (p - 1)), (KNEE + 1) ** (1 / (p - 1))

    def bend(a: Tensor) -> Tensor:  # of s̄(z) = z − (z − 3/2)²/2
        curve = (KNEE + 1) * abs_power(a, p) / p - abs_power(a, 2 * p - 1) / (2 * (2 * p - 1))
        return curve - 0.5 * KNEE**2 * a

    size = y.abs()
    middle = bend(size.clamp(knee, flat)) - bend(torch.full_like(y, knee))
    return abs_power(y.clamp(-knee, knee), p) / p + middle + BOUND * (size - flat).clamp_min(0)
