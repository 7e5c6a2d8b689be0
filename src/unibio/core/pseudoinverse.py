"""∇φ where the lower level's Hessian is singular at its solutions, by the pseudoinverse of the Hessian.

Where the solution set of σf + g is Lipschitz in (x, σ), the slides of the first-order family state, with S(x, 0⁺) its
limit for σ ↓ 0,

    ∇φ(x) = f_x − ∇²_xy g · (∇²_yy g)⁺ f_y       at any y* ∈ S(x, 0⁺).

There f_y lies in the range of ∇²_yy g: y* has the least f among the solutions, to first order.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.hypergradients import dense_hessian, ratio
from unibio.core.oracle import Oracle

#: Units of rounding, times the dimension, of the largest eigenvalue up to which another counts as 0.
_ZERO = 1e2


@dataclass(frozen=True)
class Pseudoinverted:
    """The formula at a point, row by row.

    Attributes:
        value: the hypergradient (runs, d_x).
        outside: the part of f_y outside the range of ∇²_yy g over the whole, (runs,); 0 at S(x, 0⁺).
        residual: ‖∇²_yy g · v − f_y‖ over ‖f_y‖, (runs,), which is ``outside`` up to rounding.
        least: smallest eigenvalue of ∇²_yy g over the largest absolute one, (runs,); negative off a minimiser.
    """

    value: Tensor
    outside: Tensor
    residual: Tensor
    least: Tensor


def by_pseudoinverse(oracle: Oracle, x: Tensor, y: Tensor) -> Pseudoinverted:
    """The formula by a dense eigendecomposition, in float64: d_y HVPs, one upper gradient, one JVP, on one sample.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
    """
    f_x, f_y = oracle.grad_upper(x, y)
    sample = oracle.sample_lower()
    hessian = dense_hessian(oracle, x, y, sample).double()
    finite = torch.isfinite(hessian).all(-1).all(-1)
    unit = torch.eye(y.shape[-1], dtype=hessian.dtype, device=y.device)
    values, vectors = torch.linalg.eigh(torch.where(finite[:, None, None], (hessian + hessian.mT) / 2, unit))
    size = values.abs().amax(-1, keepdim=True)
    null = values.abs() <= _ZERO * y.shape[-1] * torch.finfo(y.dtype).eps * size
    rhs = f_y.double()
    along = (vectors.mT @ rhs[..., None])[..., 0]
    v = (vectors @ torch.where(null, 0.0, along / values)[..., None])[..., 0]
    value = f_x - oracle.jvp(x, y, v.to(y.dtype), sample)
    return Pseudoinverted(
        value=torch.where(finite[:, None], value, torch.nan),
        outside=ratio(torch.where(null, along, 0.0), along).to(y.dtype),
        residual=ratio((hessian @ v[..., None])[..., 0] - rhs, rhs).to(y.dtype),
        least=torch.where(finite, values[:, 0] / size[:, 0], torch.nan).to(y.dtype),
    )
