"""Hypergradient estimators under lower-level uniform convexity.

Theorem 4.1 reads, with D(y) = diag((p−1)|y|^{p−2}),

    ∇φ(x) = f_x − ∇²_xy g · v,      D⁻¹ ∇²_yy g · v = D⁻¹ f_y                                                   (★)

at (x, y*(x)): the classical linear system, left-preconditioned by D⁻¹. Its solution stays finite where y_i → 0 makes
∇²_yy g singular, provided f_y vanishes at the same rate. Near y_i = 0 two different situations need two treatments:

* *vanishing Hessian* (Example 3): f_y, ∇²_yy g and D all vanish. Everything is evaluated at the moved point
  ỹ = sign(y)·max(|y|, δ). Flooring D alone would give 0·v = 0, a false stationary point. Bias O(δ) by Lemma B.4.
* *regular Hessian* (networks, regression): only D is singular, and it is a mere preconditioner, so D is floored:
  D_δ = (p−1)max(|y|, δ)^{p−2}. The exact solution does not move; truncated sums do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.conjugate import WORST_ROUNDING, Iterated, conjugate_gradients
from unibio.core.oracle import Oracle, Sample
from unibio.core.powers import away_from_zero, scale
from unibio.core.separable_neumann import estimate
from unibio.core.trouble import Trouble, reasons
from unibio.core.updates import descend
from unibio.core.vanishing import vanishing_question

#: δ: the distance from 0 below which y_i is treated as above.
DEFAULT_FLOOR = 1e-3

Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Preconditioned:
    """The point at which a hypergradient is evaluated, and the diagonal of D there (p = 2: y itself and ones)."""

    y: Tensor
    scale: Tensor


def precondition(oracle: Oracle, y: Tensor, floor: float, exponent: float | None = None) -> Preconditioned:
    """Treat y near 0 as the problem's Hessian asks for (module docstring).

    Args:
        oracle: gives the exponent and which treatment applies.
        y: (runs, d_y).
        floor: δ > 0.
        exponent: p that is assumed; None for the problem's.
    """
    problem = oracle.problem
    exponent = problem.exponent if exponent is None else exponent
    if exponent == 2:
        return classical(y)
    if problem.vanishing_hessian:
        moved = away_from_zero(y, floor)
        return Preconditioned(moved, scale(moved, exponent))
    return Preconditioned(y, scale(y.abs().clamp_min_(floor), exponent))  # D does not see the sign


def classical(y: Tensor) -> Preconditioned:
    """No treatment: y itself, and ones for D."""
    return Preconditioned(y, torch.ones_like(y))


def neumann_sum(apply: Callable[[Tensor, int], Tensor], rhs: Tensor, terms: int, step: float | Tensor) -> Tensor:
    """``c Σ_{q<Q} Π_{j≤q}(I − c A_j) rhs`` by Q − 1 applications of A.

    Args:
        apply: (r, j) ↦ A_j r for factor j = 1…Q−1.
        rhs: (runs, d).
        terms: Q ≥ 1.
        step: c, a number or (runs, 1).
    """
    return _neumann_terms(apply, rhs, terms, step)[0]


def _neumann_terms(
    apply: Callable[[Tensor, int], Tensor], rhs: Tensor, terms: int, step: float | Tensor
) -> tuple[Tensor, Tensor]:
    """The sum, and its last term without the factor c."""
    total = r = rhs
    for j in range(1, terms):
        r = descend(r, step, apply(r, j))
        total = total + r
    return step * total, r


def generalised_neumann(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    terms: int,
    step: float | Tensor,
    floor: float = DEFAULT_FLOOR,
    samples: str = "fresh",
    exponent: float | None = None,
) -> Tensor:
    """UniBiO's estimator (paper §4.2): the Neumann sum of (★), then ĥ = f_x − ∇²_xy g · v.

    Costs one upper gradient, Q − 1 HVPs and one JVP; with ``samples="fresh"`` each uses a sample of its own, with
    ``"shared"`` all HVPs use one. What a finite sum leaves unsolved is not seen here: :func:`neumann_and_residual`.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        terms: Q ≥ 1.
        step: c > 0, the paper's 1/C; stable below 2/λ_max(D⁻¹∇²_yy g): ``largest_eigenvalue`` in ``core.spectrum``.
        floor: δ > 0.
        samples: "fresh" or "shared".
        exponent: p that is assumed; None for the problem's.

    Returns:
        (runs, d_x).
    """
    if exponent is None or exponent == oracle.problem.exponent:
        found = estimate(oracle, x, y, terms=terms, step=step, floor=floor, samples=samples)
        if found is not None:
            return found
    return _neumann(oracle, x, precondition(oracle, y, floor, exponent), terms, step, samples)[0]


def neumann(
    oracle: Oracle, x: Tensor, y: Tensor, *, terms: int, step: float | Tensor, samples: str = "fresh"
) -> Tensor:
    """The classical Neumann estimator (Ghadimi & Wang, 2018), the same sum without D."""
    return _neumann(oracle, x, classical(y), terms, step, samples)[0]


def neumann_and_residual(
    oracle: Oracle, x: Tensor, at: Preconditioned, *, terms: int, step: float | Tensor, samples: str = "fresh"
) -> tuple[Tensor, Tensor]:
    """The estimate of either sum and the relative residual of its system, for one HVP more.

    Args:
        at: from :func:`precondition` for the generalised sum, from :func:`classical` for the classical one.

    Returns:
        ĥ (runs, d_x), and (runs,) the norm of the first term that was left out over that of the first one, or the same
        of D times these terms where that is larger: a small entry of D makes one coordinate all that the former sees.
        With one sample for all factors the terms are c times the residual D⁻¹(f_y − ∇²_yy g · v), and D⁻¹f_y.
    """
    estimate, rhs, last, factor = _neumann(oracle, x, at, terms, step, samples)
    left = descend(last, step, factor(last, terms))
    return estimate, torch.maximum(ratio(left, rhs), ratio(at.scale * left, at.scale * rhs))


def _neumann(
    oracle: Oracle, x: Tensor, at: Preconditioned, terms: int, step: float | Tensor, samples: str
) -> tuple[Tensor, Tensor, Tensor, Callable[[Tensor, int], Tensor]]:
    """ĥ, the sum's first and last term without c, and its factors (r, j) ↦ A_j r."""
    f_x, f_y = oracle.grad_upper(x, at.y)
    inverse = 1.0 / at.scale
    rhs, factor = inverse * f_y, _factors(oracle, x, at, inverse, samples, terms)
    v, last = _neumann_terms(factor, rhs, terms, step)
    return f_x - oracle.jvp(x, at.y, v), rhs, last, factor


def shared_sum(oracle: Oracle, x: Tensor, at: Preconditioned, *, terms: int, step: float | Tensor) -> Tensor:
    """The estimate of either sum with one sample for factors and Jacobian, as a dense solve has: (runs, d_x)."""
    f_x, f_y = oracle.grad_upper(x, at.y)
    sample = oracle.sample_lower()
    hessian = oracle.hvp_at(x, at.y, sample)
    v = neumann_sum(lambda r, j: hessian(r) / at.scale, f_y / at.scale, terms, step)
    return f_x - oracle.jvp(x, at.y, v, sample)


def _factors(
    oracle: Oracle, x: Tensor, at: Preconditioned, inverse: Tensor, samples: str, terms: int
) -> Callable[[Tensor, int], Tensor]:
    if terms > 1 and samples == "shared":
        hessian = oracle.hvp_at(x, at.y, oracle.sample_lower())
        return lambda r, j: inverse * hessian(r)
    return lambda r, j: inverse * oracle.hvp(x, at.y, r)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """‖part‖/‖whole‖ of every row, (runs,); 0 where both are 0."""
    norms = (torch.linalg.vector_norm(t, dim=-1) for t in (part, whole))
    above, below = norms
    return torch.where(above == 0, torch.zeros_like(above), above / below)


def conjugate_gradient(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
    floor: float = DEFAULT_FLOOR,
    unsolved: str = "nan",
) -> Tensor:
    """AID-CG: solves ∇²_yy g · v = f_y on one sample, with D as preconditioner where the Hessian vanishes with D.

    There it runs on the symmetrised system D^{−1/2}∇²_yy g D^{−1/2} u = D^{−1/2} f_y, which stays well scaled while D
    spans many orders of magnitude, and stops on the residual of (★). A regular Hessian does not follow D, which would
    spoil the condition number and hide all residuals but those where y_i ≈ 0: there it is plain conjugate gradient.

    A row that was not solved (derivatives that are not finite, curvature that is not positive, a condition number
    beyond the dtype, no small residual within the iterations) is NaN, and a warning says why. A small residual is all
    that is known of the others: where f_y hardly sees a direction of small curvature, neither does the iteration.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        tolerance: relative residual at which a row stops.
        max_iterations: default 10·d_y.
        floor: δ > 0.
        unsolved: "nan", or "keep" for the last iterate of rows that were not solved, without a warning.

    Returns:
        (runs, d_x).
    """
    estimate, solved = conjugate_gradient_and_trouble(
        oracle, x, y, tolerance=tolerance, max_iterations=max_iterations, floor=floor
    )
    return estimate if unsolved == "keep" else without_unsolved(oracle, estimate, solved.trouble)


def without_unsolved(oracle: Oracle, estimate: Tensor, trouble: Tensor) -> Tensor:
    """An estimate (runs, d_x) with NaN in the rows that have trouble, (runs,), and a warning that says why."""
    if not bool(trouble.any()):
        return estimate
    heard = trouble.cpu()[oracle.running()]  # a run that has ended, or diverged, has been reported
    if bool(heard.any()):
        warnings.warn(f"conjugate gradient: rows not solved are NaN: {reasons(heard)}", stacklevel=3)
    return torch.where(trouble[:, None] == Trouble.NONE, estimate, torch.nan)


def conjugate_gradient_and_trouble(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
    floor: float = DEFAULT_FLOOR,
) -> tuple[Tensor, Iterated]:
    """:func:`conjugate_gradient` with what became of its system, which decides what the estimate is worth."""
    at = precondition(oracle, y, floor)
    f_x, f_y = oracle.grad_upper(x, at.y)
    sample = oracle.sample_lower()
    hessian = oracle.hvp_at(x, at.y, sample)
    root = symmetriser(oracle, at)
    solved = conjugate_gradients(
        lambda u, rows: root * hessian(root * u, rows),
        root * f_y,
        weight=root,
        tolerance=tolerance,
        max_iterations=10 * y.shape[-1] if max_iterations is None else max_iterations,
    )
    return f_x - oracle.jvp(x, at.y, root * solved.solution, sample), solved


def symmetriser(oracle: Oracle, at: Preconditioned) -> Tensor:
    """D^{−1/2} where the Hessian vanishes with D, ones where it does not follow D: (runs, d_y)."""
    return at.scale.rsqrt() if oracle.problem.vanishing_hessian else torch.ones_like(at.scale)


def dense_hessian(oracle: Oracle, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
    """∇²_yy g, (runs, d_y, d_y), by d_y HVPs on one sample."""
    hessian = oracle.hvp_at(x, y, sample or oracle.sample_lower())
    units = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)
    return torch.stack([hessian(unit.expand_as(y)) for unit in units], dim=-2).mT  # columns, in one piece each


def exact(oracle: Oracle, x: Tensor, y: Tensor, *, floor: float = DEFAULT_FLOOR) -> Tensor:
    """(★) by a dense solve on one sample, for small d_y: d_y HVPs. The solve is in float64.

    Raises:
        torch.linalg.LinAlgError: f_y or ∇²_yy g is not finite at y, or D⁻¹∇²_yy g is singular there.
    """
    at = precondition(oracle, y, floor)
    f_x, f_y = oracle.grad_upper(x, at.y)
    sample = oracle.sample_lower()
    hessian = dense_hessian(oracle, x, at.y, sample)
    matrix = hessian / at.scale[..., None]
    for name, part in (("∇_y f", f_y), ("∇²_yy g", matrix)):
        if not bool(torch.isfinite(part).all()):
            raise torch.linalg.LinAlgError(f"{name} is not finite (NaN or infinite) at y")
    v, info = torch.linalg.solve_ex(matrix.double(), (f_y / at.scale).double())
    # ‖A‖‖v‖ far beyond ‖b‖: the right-hand side lies along directions in which the matrix is 0 up to rounding
    root = symmetriser(oracle, at)
    size = torch.linalg.vector_norm(root[..., None] * hessian * root[:, None, :], dim=(-2, -1))
    lost = size * torch.linalg.vector_norm(v / root, dim=-1) * torch.finfo(y.dtype).eps
    lost = lost > WORST_ROUNDING * torch.linalg.vector_norm(root * f_y, dim=-1)
    if bool((info != 0).any()) or bool(lost.any()) or not bool(torch.isfinite(v).all()):
        asked = vanishing_question(oracle, x, y, floor)
        raise torch.linalg.LinAlgError(f"the lower-level Hessian is singular at y{f'; {asked}' if asked else ''}")
    return f_x - oracle.jvp(x, at.y, v.to(y.dtype), sample)
