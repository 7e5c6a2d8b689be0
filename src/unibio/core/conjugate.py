"""Conjugate gradient on symmetric systems, one a row, that knows of every row whether it solved it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.trouble import Trouble

#: A residual below this many units of rounding of ‖A‖‖u‖ is as small as the dtype allows.
ROUNDING = 10.0
#: Where rounding alone leaves more than this part of the right-hand side, a small residual says nothing.
WORST_ROUNDING = 1e-2


@dataclass(frozen=True)
class Iterated:
    """What the iteration came to. Rows are systems.

    Attributes:
        solution: (runs, d); the last iterate of a row that was not solved.
        trouble: codes of :class:`Trouble`, (runs,) int8.
        iterations: products with the matrix that a row asked for, (runs,) int64.
        residual: the last ‖weight · r‖ over ‖weight · b‖, (runs,).
    """

    solution: Tensor
    trouble: Tensor
    iterations: Tensor
    residual: Tensor


def conjugate_gradients(
    apply: Callable[[Tensor, Tensor], Tensor],
    rhs: Tensor,
    *,
    weight: Tensor,
    tolerance: float,
    max_iterations: int,
) -> Iterated:
    """Solve A u = b in every row, A symmetric and positive definite.

    A row is solved once ‖weight · r‖ ≤ tolerance · ‖weight · b‖, or, where the limit comes first, if its residual is as
    small as rounding allows. r is the recursion's; it differs from b − A u by rounding.

    Args:
        apply: (u, rows) ↦ A u, (runs, d), row by row; rows, bool (runs,), are those that ask.
        rhs: b, (runs, d).
        weight: of the norm in which residuals are measured, (runs, d).
        tolerance: relative, > 0.
        max_iterations: products with A at most.
    """
    unit = torch.ldexp(torch.ones_like(rhs[:, :1]), -torch.frexp(rhs.abs().amax(-1, keepdim=True)).exponent)
    r = rhs = unit * rhs  # by a power of two: no bit changes, and squares neither overflow nor vanish
    u, direction = torch.zeros_like(r), r
    rr = (r * r).sum(-1, keepdim=True)
    begin = (weight * r).norm(dim=-1, keepdim=True)
    target = tolerance * begin
    running = torch.ones_like(rr, dtype=torch.bool)
    largest = torch.zeros_like(rr)  # Rayleigh quotient so far: a lower estimate of ‖A‖
    bad = torch.where(torch.isfinite(begin), int(Trouble.NONE), int(Trouble.NOT_FINITE))
    iterations = torch.zeros_like(rr, dtype=torch.int64)
    for _ in range(max_iterations):
        running &= (weight * r).norm(dim=-1, keepdim=True) > target
        if not running.any():
            break
        iterations += running
        product = apply(direction, running[:, 0])
        curvature = (direction * product).sum(-1, keepdim=True)
        quotient = curvature / (direction * direction).sum(-1, keepdim=True)
        rounding = ROUNDING * torch.finfo(r.dtype).eps * largest
        broken = torch.where(quotient < -rounding, int(Trouble.NOT_CONVEX), int(Trouble.SINGULAR))
        broken = torch.where(torch.isfinite(curvature), broken, int(Trouble.NOT_FINITE))
        bad = torch.where(running & ~(curvature > 0), broken, bad)
        running &= curvature > 0  # a row stopped here must stay stopped: its directions are no longer conjugate
        largest = torch.where(running, torch.maximum(largest, quotient), largest)
        length = torch.where(running, rr / curvature, torch.zeros_like(rr))
        u = torch.where(running, u + length * direction, u)
        r = torch.where(running, r - length * product, r)
        previous, rr = rr, (r * r).sum(-1, keepdim=True)
        direction = r + torch.where(previous > 0, rr / previous, torch.zeros_like(rr)) * direction
    attainable = torch.finfo(r.dtype).eps * largest * u.norm(dim=-1, keepdim=True)
    left = (weight * r).norm(dim=-1, keepdim=True)
    solved = (left <= target) | (r.norm(dim=-1, keepdim=True) <= ROUNDING * attainable)
    lost = attainable > WORST_ROUNDING * rhs.norm(dim=-1, keepdim=True)
    ended = torch.where(lost, int(Trouble.ILL_CONDITIONED), int(Trouble.NONE))
    ended = torch.where(solved, ended, int(Trouble.LIMIT))
    ended = torch.where(torch.isfinite(left), ended, int(Trouble.NOT_FINITE))
    trouble = torch.where(bad != Trouble.NONE, bad, ended)
    residual = torch.where(begin == 0, begin, left / begin)
    return Iterated(u / unit, trouble[:, 0].to(torch.int8), iterations[:, 0], residual[:, 0])
