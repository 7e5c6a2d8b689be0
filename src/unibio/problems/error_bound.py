"""The proximal residual of h_σ = σf + g, and the slope of its error bound.

For a set of solutions S(x, σ) = argmin_y h_σ(x, y) the slides of the first-order family ask for the error bound

    ρ⁻¹ ‖y − prox_{ρh_σ}(y)‖  ≥  μ dist(y, S(x, σ))                                                       (PL-σ)

with one μ for all x, y and small σ. The left side is ‖∇_y h_σ‖ at the proximal point.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Newton steps of the proximal map; they double the digits, so that what has not settled by then will not.
_STEPS = 60
#: The proximal equation's residual, beside 1 and y, below which no further step is made.
_SETTLED = 1e-17
#: The same beside the way to the proximal point, up to which that counts as found; rounding y leaves no less.
_SOLVED = 1e-6


def proximal_residual(
    y: Tensor, step: float, gradient: Callable[[Tensor], Tensor], hessian: Callable[[Tensor], Tensor]
) -> Tensor:
    """ρ⁻¹‖y − prox_{ρh}(y)‖ for every row by Newton's method with halved steps; NaN where it does not get there.

    Args:
        y: (runs, d).
        step: ρ > 0, small enough that ρh + ½‖· − y‖² is strongly convex: below 1/λ for every −λ that is an eigenvalue
            of the Hessian of h.
        gradient, hessian: ∇h and ∇²h, (runs, d) and (runs, d, d) of (runs, d).

    Returns:
        (runs,).
    """
    unit = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)

    def left(z: Tensor) -> Tensor:
        return step * gradient(z) + z - y

    z = y.clone()
    for _ in range(_STEPS):
        residual = left(z)
        if bool((residual.norm(dim=-1) <= _SETTLED * (1 + y.norm(dim=-1))).all()):
            break
        move = torch.linalg.solve_ex(step * hessian(z) + unit, residual[..., None])[0][..., 0]
        share = torch.ones_like(y[:, :1])
        for _ in range(20):  # halve until the residual falls
            worse = left(z - share * move).norm(dim=-1, keepdim=True) > residual.norm(dim=-1, keepdim=True)
            if not bool(worse.any()):
                break
            share = torch.where(worse, share / 2, share)
        z = z - share * move
    found = (y - z).norm(dim=-1) / step
    missed = left(z).norm(dim=-1) > _SOLVED * step * found.clamp_min(torch.finfo(y.dtype).tiny)
    return torch.where(missed & (found > 0), torch.nan, found)
