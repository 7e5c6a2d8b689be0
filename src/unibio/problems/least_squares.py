"""Nonlinear least squares by Levenberg and Marquardt's method, for problems that solve their lower level exactly."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Damping at the start, and its factors after a step that was good and one that was not.
_DAMPING, _LESS, _MORE = 1e-3, 0.2, 5.0
#: The least damping: below it a step is Gauss and Newton's, of least norm.
_LEAST = 1e-14


def descended(
    residual: Callable[[Tensor], Tensor], jacobian: Callable[[Tensor], Tensor], start: Tensor, steps: int
) -> Tensor:
    """Where damped Gauss–Newton steps end that each reduce ‖residual‖² or are not taken: (runs, d).

    Args:
        residual, jacobian: (runs, k) and (runs, k, d) of (runs, d).
        start: (runs, d).
        steps: at most.
    """
    y, damping = start.clone(), torch.full_like(start[:, :1], _DAMPING)
    left = residual(y)
    unit = torch.eye(min(left.shape[-1], y.shape[-1]), dtype=y.dtype, device=y.device)
    for _ in range(steps):
        J, size = jacobian(y), left.square().sum(-1, keepdim=True)
        if bool((size <= torch.finfo(y.dtype).eps ** 2).all()):
            break
        if left.shape[-1] <= y.shape[-1]:
            inner = torch.linalg.solve_ex(J @ J.mT + damping[..., None] * unit, left[..., None])[0]
            move = (J.mT @ inner)[..., 0]
        else:
            move = torch.linalg.solve_ex(J.mT @ J + damping[..., None] * unit, J.mT @ left[..., None])[0][..., 0]
        there = residual(y - move)
        better = there.square().sum(-1, keepdim=True) < size
        y, left = torch.where(better, y - move, y), torch.where(better, there, left)
        damping = (damping * torch.where(better, _LESS, _MORE)).clamp(_LEAST, 1e8)
    return y
