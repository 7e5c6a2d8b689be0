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

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.oracle import Oracle, Sample
from unibio.powers import away_from_zero, scale
from unibio.updates import descend

#: δ: the distance from 0 below which y_i is treated as above.
DEFAULT_FLOOR = 1e-3

Operator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Preconditioned:
    """The point at which a hypergradient is evaluated, and the diagonal of D there (p = 2: y itself and ones)."""

    y: Tensor
    scale: Tensor


def precondition(oracle: Oracle, y: Tensor, floor: float) -> Preconditioned:
    """Treat y near 0 as the problem's Hessian asks for (module docstring).

    Args:
        oracle: gives the exponent and which treatment applies.
        y: (runs, d_y).
        floor: δ > 0.
    """
    problem = oracle.problem
    if problem.exponent == 2:
        return Preconditioned(y, torch.ones_like(y))
    if problem.vanishing_hessian:
        moved = away_from_zero(y, floor)
        return Preconditioned(moved, scale(moved, problem.exponent))
    return Preconditioned(y, scale(y.abs().clamp_min_(floor), problem.exponent))  # D does not see the sign


def neumann_sum(apply: Callable[[Tensor, int], Tensor], rhs: Tensor, terms: int, step: float | Tensor) -> Tensor:
    """``c Σ_{q<Q} Π_{j≤q}(I − c A_j) rhs`` by Q − 1 applications of A.

    Args:
        apply: (r, j) ↦ A_j r for factor j = 1…Q−1.
        rhs: (runs, d).
        terms: Q ≥ 1.
        step: c, a number or (runs, 1).
    """
    total = r = rhs
    for j in range(1, terms):
        r = descend(r, step, apply(r, j))
        total = total + r
    return step * total


def generalised_neumann(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    terms: int,
    step: float | Tensor,
    floor: float = DEFAULT_FLOOR,
    samples: str = "fresh",
) -> Tensor:
    """UniBiO's estimator (paper §4.2): the Neumann sum of (★), then ĥ = f_x − ∇²_xy g · v.

    Costs one upper gradient, Q − 1 HVPs and one JVP; with ``samples="fresh"`` each uses a sample of its own, with
    ``"shared"`` all HVPs use one.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        terms: Q ≥ 1.
        step: c > 0, the paper's 1/C; stable below 2/λ_max(D⁻¹∇²_yy g), see :func:`largest_eigenvalue`.
        floor: δ > 0.
        samples: "fresh" or "shared".

    Returns:
        (runs, d_x).
    """
    at = precondition(oracle, y, floor)
    f_x, f_y = oracle.grad_upper(x, at.y)
    inverse = 1.0 / at.scale
    v = neumann_sum(_factors(oracle, x, at, inverse, samples, terms), inverse * f_y, terms, step)
    return f_x - oracle.jvp(x, at.y, v)


def neumann(
    oracle: Oracle, x: Tensor, y: Tensor, *, terms: int, step: float | Tensor, samples: str = "fresh"
) -> Tensor:
    """The classical Neumann estimator (Ghadimi & Wang, 2018), the same sum without D."""
    ones = torch.ones_like(y)
    f_x, f_y = oracle.grad_upper(x, y)
    v = neumann_sum(_factors(oracle, x, Preconditioned(y, ones), ones, samples, terms), f_y, terms, step)
    return f_x - oracle.jvp(x, y, v)


def _factors(
    oracle: Oracle, x: Tensor, at: Preconditioned, inverse: Tensor, samples: str, terms: int
) -> Callable[[Tensor, int], Tensor]:
    if terms > 1 and samples == "shared":
        hessian = oracle.hvp_at(x, at.y, oracle.sample_lower())
        return lambda r, j: inverse * hessian(r)
    return lambda r, j: inverse * oracle.hvp(x, at.y, r)


def conjugate_gradient(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
    floor: float = DEFAULT_FLOOR,
) -> Tensor:
    """AID-CG: solves ∇²_yy g · v = f_y on one sample, with D as preconditioner where the Hessian vanishes with D.

    There it runs on the symmetrised system D^{−1/2}∇²_yy g D^{−1/2} u = D^{−1/2} f_y, which stays well scaled while D
    spans many orders of magnitude, and stops on the residual of (★). A regular Hessian does not follow D, which would
    spoil the condition number and hide all residuals but those where y_i ≈ 0: there it is plain conjugate gradient.

    A row whose Hessian turns out not to be positive definite keeps the iterate it had then.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        tolerance: relative residual at which a row stops.
        max_iterations: default 10·d_y.
        floor: δ > 0.

    Returns:
        (runs, d_x).
    """
    at = precondition(oracle, y, floor)
    f_x, f_y = oracle.grad_upper(x, at.y)
    sample = oracle.sample_lower()
    hessian = oracle.hvp_at(x, at.y, sample)
    root = at.scale.rsqrt() if oracle.problem.vanishing_hessian else torch.ones_like(y)
    r = root * f_y
    u, direction = torch.zeros_like(r), r
    rr = (r * r).sum(-1, keepdim=True)
    target = tolerance * (root * r).norm(dim=-1, keepdim=True)
    running = torch.ones_like(rr, dtype=torch.bool)
    for _ in range(10 * y.shape[-1] if max_iterations is None else max_iterations):
        running &= (root * r).norm(dim=-1, keepdim=True) > target
        if not running.any():
            break
        product = root * hessian(root * direction)
        curvature = (direction * product).sum(-1, keepdim=True)
        running &= curvature > 0  # a row stopped here must stay stopped: its directions are no longer conjugate
        length = torch.where(running, rr / curvature, torch.zeros_like(rr))
        u = u + length * direction
        r = r - length * product
        previous, rr = rr, (r * r).sum(-1, keepdim=True)
        direction = r + torch.where(previous > 0, rr / previous, torch.zeros_like(rr)) * direction
    return f_x - oracle.jvp(x, at.y, root * u, sample)


def dense_hessian(oracle: Oracle, x: Tensor, y: Tensor, sample: Sample | None = None) -> Tensor:
    """∇²_yy g, (runs, d_y, d_y), by d_y HVPs on one sample."""
    hessian = oracle.hvp_at(x, y, sample or oracle.sample_lower())
    units = torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)
    return torch.stack([hessian(unit.expand_as(y)) for unit in units], dim=-1)


def exact(oracle: Oracle, x: Tensor, y: Tensor, *, floor: float = DEFAULT_FLOOR) -> Tensor:
    """(★) by a dense solve on one sample, for small d_y: d_y HVPs.

    Raises:
        torch.linalg.LinAlgError: D⁻¹∇²_yy g is singular at y; where f_y vanishes with it, the problem should be
            declared ``vanishing_hessian=True``.
    """
    at = precondition(oracle, y, floor)
    f_x, f_y = oracle.grad_upper(x, at.y)
    sample = oracle.sample_lower()
    matrix = dense_hessian(oracle, x, at.y, sample) / at.scale[..., None]
    v, info = torch.linalg.solve_ex(matrix, f_y / at.scale)
    if bool((info != 0).any()) or not bool(torch.isfinite(v).all()):
        raise torch.linalg.LinAlgError(
            "the lower-level Hessian is singular at y; if f_y vanishes there too (as in Example 3), declare the "
            "problem with vanishing_hessian=True"
        )
    return f_x - oracle.jvp(x, at.y, v, sample)


def largest_eigenvalue(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    floor: float = DEFAULT_FLOOR,
    preconditioned: bool = True,
    iterations: int = 100,
) -> Tensor:
    """The eigenvalue λ of largest modulus of D⁻¹∇²_yy g, or of ∇²_yy g, per row: (runs, 1).

    A Neumann step must stay below 2/λ_max. By power iteration on one sample, at most ``iterations`` HVPs; the estimate
    is a Rayleigh quotient of the symmetrised matrix, hence in exact arithmetic never above λ_max.
    """
    at = precondition(oracle, y, floor) if preconditioned else Preconditioned(y, torch.ones_like(y))
    hessian = oracle.hvp_at(x, at.y, oracle.sample_lower())
    root = at.scale.rsqrt()
    u = oracle.draw("power iteration").normal(y.shape[-1])
    u = u / u.norm(dim=-1, keepdim=True)
    value = torch.zeros_like(u[:, :1])
    for _ in range(iterations):
        product = root * hessian(root * u)
        old, value = value, (u * product).sum(-1, keepdim=True)
        norm = product.norm(dim=-1, keepdim=True)
        u = torch.where(norm > 0, product / norm, u)
        if bool(((value - old).abs() <= 1e-4 * value.abs()).all()):
            break
    return value


def unstable_step(step: float | Tensor, eigenvalue: Tensor) -> str | None:
    """A sentence saying that a Neumann step is beyond 2/λ_max, or that no step is small enough, or None.

    Args:
        step: c, a number or (runs, 1).
        eigenvalue: of largest modulus per row, (runs, 1), see :func:`largest_eigenvalue`.
    """
    hopeless = ~(eigenvalue >= 0)  # also where it is not a number
    if bool(hopeless.any()):
        return (
            f"the Neumann sum grows with its terms for every neumann_step in {int(hopeless.sum())} of {len(hopeless)} "
            f"runs: power iteration finds the eigenvalue {float(eigenvalue[hopeless][0]):.4g}, so the lower level is "
            "not convex, or not finite, at this point"
        )
    beyond = eigenvalue * step >= 2
    if not bool(beyond.any()):
        return None
    worst = float(eigenvalue.max())
    return (
        f"neumann_step is not below 2/λ_max in {int(beyond.sum())} of {len(beyond)} runs: power iteration finds λ_max "
        f"up to {worst:.4g}, so the Neumann sum grows with its terms; use neumann_step < {2 / worst:.4g} (1/λ_max is "
        "safe)"
    )
