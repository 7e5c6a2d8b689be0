"""The small operations that iterations consist of: steps, moving averages, normalisation, decaying step sizes.

Each takes as few passes over memory as torch allows: an iteration on a small problem costs little more than its calls
into torch, one on a large batch little more than its passes over memory. A step written ``y - step * gradient`` has two
of both, :func:`descend` has one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unibio.core.parameters import PerRun


def descend(y: Tensor, step: float | Tensor, gradient: Tensor) -> Tensor:
    """y − step · gradient: (runs, d); step a number or (runs, 1)."""
    if isinstance(step, Tensor):
        return torch.addcmul(y, step, gradient, value=-1)
    return torch.sub(y, gradient, alpha=step)


def mix(old: Tensor, new: Tensor, weight: float | Tensor) -> Tensor:
    """weight · old + (1 − weight) · new, the moving average of momentum: (runs, d); weight a number or (runs, 1)."""
    return torch.lerp(new, old, weight)


def normalised(direction: Tensor) -> Tensor:
    """Each row divided by its norm; a zero row stays zero, and a row with a NaN stays NaN, so that it is noticed.

    Rows whose squares are lost, of norm below 10⁻¹⁵³ in float64 and 10⁻¹⁹ in float32, become shorter than 1 instead.
    """
    norm = torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
    return direction / norm.clamp_min_(math.sqrt(torch.finfo(direction.dtype).tiny))


def decay(iteration: int, exponent: PerRun, offset: PerRun = 1.0) -> PerRun:
    """The factor (k + k₀)^{−a} at iteration k = 0, 1, …; exactly 1 for a = 0, a constant step.

    Args:
        iteration: k ≥ 0.
        exponent: a ≥ 0, a number or (runs, 1).
        offset: k₀ > 0, a number or (runs, 1); 1 makes the first step the undecayed one.
    """
    if not isinstance(exponent, Tensor) and exponent == 0:
        return 1.0
    return (iteration + offset) ** (-exponent)
