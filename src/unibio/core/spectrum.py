"""What decides whether Neumann sums converge: the largest eigenvalue, and what so many terms leave unsolved."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unibio.core.hypergradients import DEFAULT_FLOOR, Preconditioned, classical, precondition, ratio
from unibio.core.oracle import Oracle
from unibio.core.updates import descend

#: A run's sum is too short where it leaves more than this part of its system unsolved at the start.
UNSOLVED = 0.9
#: The part that the number of terms named then would leave.
ENOUGH = 0.1


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
    at = precondition(oracle, y, floor) if preconditioned else classical(y)
    return largest_eigenvalue_at(oracle, x, at, iterations)


def largest_eigenvalue_at(oracle: Oracle, x: Tensor, at: Preconditioned, iterations: int = 100) -> Tensor:
    """:func:`largest_eigenvalue` at a point and with a D that are given."""
    hessian = oracle.hvp_at(x, at.y, oracle.sample_lower())
    root = at.scale.rsqrt()
    u = oracle.draw("power iteration").normal(at.y.shape[-1])
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


def remainder(oracle: Oracle, x: Tensor, at: Preconditioned, terms: int, step: float | Tensor) -> tuple[Tensor, Tensor]:
    """What a Neumann sum leaves of its system at a point, on one sample: Q HVPs and one upper gradient.

    Args:
        at: from ``precondition`` for the generalised sum, from ``classical`` for the classical one.
        terms: Q ≥ 1.
        step: c, a number or (runs, 1).

    Returns:
        ‖(I − cA)^Q b‖/‖b‖ with b = D⁻¹f_y, and the factor by which the last term shrank it, (runs,) each.
    """
    f_y = oracle.grad_upper_y(x, at.y)
    hessian = oracle.hvp_at(x, at.y, oracle.sample_lower())
    first = before = r = f_y / at.scale
    for _ in range(terms):
        before, r = r, descend(r, step, hessian(r) / at.scale)
    return ratio(r, first), ratio(r, before)


def too_few_terms(terms: int, left: Tensor, factor: Tensor) -> str | None:
    """A sentence saying that a sum leaves nearly all of its system unsolved, with the number of terms that would do.

    Args:
        terms: Q.
        left, factor: from :func:`remainder`.
    """
    short = (left > UNSOLVED) & (factor < 1)
    if not bool(short.any()):
        return None
    worst = int(torch.where(short, left, -1.0).argmax())
    needed = terms_needed(terms, float(left[worst]) / ENOUGH, float(factor[worst]))
    return (
        f"neumann_terms = {terms} leave {float(left[worst]):.0%} of the hypergradient's linear system unsolved in "
        f"{int(short.sum())} of {len(short)} runs at the start; about {needed:,} would leave {ENOUGH:.0%}, fewer with "
        "a larger neumann_step below 2/λ_max"
    )


def terms_needed(terms: int, excess: float, factor: float) -> int:
    """How many terms it takes to shrink what ``terms`` leave by ``excess``, each by ``factor`` in (0, 1)."""
    return terms + max(1, math.ceil(math.log(excess) / -math.log(factor)))
