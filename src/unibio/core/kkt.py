"""∇φ where the lower level is constrained, by the pseudoinverse of its KKT matrix.

Let y be a solution of min g(x, ·) over {y: C y ≤ b}, A the constraints that are active there and ν their multipliers,
g_y + C_Aᵀν = 0. The slides of the first-order family state that under nondegeneracy ∇φ is given by "a formula involving
pseudoinverse of the KKT matrix"; differentiating the conditions of the active set in x, that is

    ∇φ(x) = f_x − [∇²_xy g  0] K⁺ [f_y; 0],          K = [∇²_yy g  C_Aᵀ; C_A  0].

Nondegenerate means: the rows of C_A are linearly independent (LICQ), and all ν_A > 0 (strict complementarity), so that
the active set stays as it is around x. Where K is singular, as it may be, x must not move y along its null space. Where
one of these does not hold the formula is of one side of φ or of nothing, and no number is given for ∇φ without a word:
``value`` is NaN and ``trouble`` says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from unibio.core.hypergradients import dense_hessian, ratio
from unibio.core.oracle import Oracle
from unibio.core.polytope import Polytope
from unibio.errors import InputError

#: Eigenvalues of K, beside the largest, that count as 0: units of rounding times the size of K.
_ZERO = 1e2


class Degenerate(IntEnum):
    """Why the formula does not hold at a point; codes of int8 tensors of shape (runs,)."""

    NONE = 0
    NOT_FINITE = 1
    NO_SOLUTION = 2
    LICQ = 3
    STRICT = 4
    OUTSIDE = 5
    TORN = 6


_SAID = {
    Degenerate.NOT_FINITE: "a derivative is not finite",
    Degenerate.NO_SOLUTION: "y is no solution of the lower level: no multipliers ≥ 0 of the active constraints balance "
    "∇_y g",
    Degenerate.LICQ: "LICQ fails: gradients of active constraints are linearly dependent",
    Degenerate.STRICT: "strict complementarity fails: an active constraint has the multiplier 0, and φ may have a kink",
    Degenerate.OUTSIDE: "∇_y f is not in the range of the KKT matrix",
    Degenerate.TORN: "the KKT matrix is singular in a direction in which x moves the solution: solutions may tear",
}


def reasons(trouble: Tensor) -> str:
    """The reasons found in ``trouble``, as one clause; empty where there are none."""
    return "; ".join(_SAID[Degenerate(code)] for code in trouble[trouble != Degenerate.NONE].unique().tolist())


@dataclass(frozen=True)
class Constrained:
    """The formula at a point, row by row.

    Attributes:
        value: the hypergradient (runs, d_x); NaN in rows with trouble.
        formula: what the formula gives, also where it does not hold.
        active: the active set, bool (runs, constraints).
        multipliers: ν, 0 off the active set and of least norm where LICQ fails, (runs, constraints).
        licq, strict: whether the two conditions hold, bool (runs,); ``strict`` is of these multipliers.
        residual: ‖g_y + C_Aᵀν‖ over ‖g_y‖, (runs,); 0 at a solution.
        outside: the part of [f_y; 0] outside the range of K over the whole, (runs,).
        trouble: codes of :class:`Degenerate`, (runs,) int8.
    """

    value: Tensor
    formula: Tensor
    active: Tensor
    multipliers: Tensor
    licq: Tensor
    strict: Tensor
    residual: Tensor
    outside: Tensor
    trouble: Tensor


def by_kkt(oracle: Oracle, x: Tensor, y: Tensor, tolerance: float | None = None) -> Constrained:
    """The formula by dense eigendecompositions, in float64: d_y HVPs, a gradient of either level, three JVPs.

    Args:
        oracle: counted derivatives of a problem whose ``project_lower`` is a :class:`Polytope`.
        x, y: (runs, d_x), (runs, d_y).
        tolerance: slack up to which a constraint is active, beside 1 + |b|, and up to which a multiplier is 0, beside
            1 + ‖g_y‖; None for the square root of the dtype's rounding.

    Raises:
        InputError: the lower level has no constraints, or ones that are not known.
    """
    polytope = oracle.problem.project_lower
    if not isinstance(polytope, Polytope):
        found = "has no project_lower" if polytope is None else "has a project_lower that is any function"
        raise InputError(
            f"the KKT matrix needs the constraints of the lower level, but problem {oracle.problem.name} {found}: give "
            "Problem(project_lower=unibio.core.polytope.Polytope(C, b, projection))"
        )
    tolerance = torch.finfo(y.dtype).eps ** 0.5 if tolerance is None else tolerance
    f_x, f_y = oracle.grad_upper(x, y)
    sample = oracle.sample_lower()
    g_y, hessian = oracle.grad_lower(x, y, sample).double(), dense_hessian(oracle, x, y, sample).double()
    active = polytope.active(y, tolerance)
    rows = polytope.matrix.to(y).double() * active[..., None].double()  # C_A, 0 in the place of the other rows
    finite = torch.isfinite(hessian).all(-1).all(-1) & torch.isfinite(g_y).all(-1) & torch.isfinite(f_y).all(-1)
    hessian = torch.where(finite[:, None, None], (hessian + hessian.mT) / 2, 0.0)
    g_y, slope = (torch.where(finite[:, None], t, 0.0) for t in (g_y, f_y.double()))

    gram, rank = _pseudo(rows @ rows.mT, y)
    multipliers = -(gram @ (rows @ g_y[..., None]))[..., 0]
    scale = tolerance * (1 + torch.linalg.vector_norm(g_y, dim=-1))
    balance = torch.linalg.vector_norm(g_y + (multipliers[:, None, :] @ rows)[:, 0], dim=-1)
    solved = (balance <= scale) & (multipliers >= -scale[:, None]).all(-1)
    licq = rank == active.sum(-1)
    strict = (~active | (multipliers > scale[:, None])).all(-1)

    corner = torch.zeros(len(x), rows.shape[1], rows.shape[1], dtype=hessian.dtype, device=x.device)
    matrix = torch.cat([torch.cat([hessian, rows.mT], dim=-1), torch.cat([rows, corner], dim=-1)], dim=-2)
    inverse, _ = _pseudo(matrix, y)
    rhs = torch.cat([slope, torch.zeros_like(multipliers)], dim=-1)
    solution = (inverse @ rhs[..., None])[..., 0]
    outside = ratio(rhs - (matrix @ solution[..., None])[..., 0], rhs)
    d = y.shape[-1]

    def pushed(v: Tensor) -> Tensor:
        return oracle.jvp(x, y, v[:, :d].to(y.dtype), sample)

    formula = f_x - pushed(solution)
    # A vector of the null space drawn at random sees whatever ∇²_xy g does not map to 0.
    drawn = oracle.draw("null space").normal(rhs.shape[-1]).double()
    null = drawn - (inverse @ (matrix @ drawn[..., None]))[..., 0]
    moved = torch.linalg.vector_norm(pushed(null), dim=-1)
    still = moved <= tolerance * torch.linalg.vector_norm(pushed(drawn), dim=-1)

    trouble = torch.full_like(licq, int(Degenerate.NONE), dtype=torch.int8)
    for holds, code in (  # the last that fails is said: it makes those before it moot
        (still, Degenerate.TORN),
        (outside <= tolerance, Degenerate.OUTSIDE),
        (strict, Degenerate.STRICT),
        (licq, Degenerate.LICQ),
        (solved, Degenerate.NO_SOLUTION),
        (finite, Degenerate.NOT_FINITE),
    ):
        trouble = torch.where(holds, trouble, int(code)).to(torch.int8)
    return Constrained(
        value=torch.where(trouble[:, None] == Degenerate.NONE, formula, torch.nan),
        formula=torch.where(finite[:, None], formula, torch.nan),
        active=active,
        multipliers=multipliers.to(y.dtype),
        licq=licq,
        strict=strict,
        residual=ratio(g_y + (multipliers[:, None, :] @ rows)[:, 0], g_y).to(y.dtype),
        outside=outside.to(y.dtype),
        trouble=trouble,
    )


def _pseudo(matrices: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Pseudoinverses and ranks of symmetric matrices, (runs, k, k) and (runs,)."""
    values, vectors = torch.linalg.eigh(matrices)
    least = _ZERO * matrices.shape[-1] * torch.finfo(like.dtype).eps
    null = values.abs() <= least * values.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)
    inverse = (vectors * torch.where(null, 0.0, 1 / values)[:, None, :]) @ vectors.mT
    return inverse, (~null).sum(-1)
