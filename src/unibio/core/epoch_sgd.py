"""Algorithm 1: Epoch-SGD with shrinking balls, the lower-level solver of UniBiO."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import torch
from torch import Tensor

from unibio.core.oracle import Oracle
from unibio.core.separable_sgd import Schedule, loops_for, solve
from unibio.core.updates import descend
from unibio.errors import InputError


@dataclass(frozen=True)
class Epoch:
    """One epoch k of Algorithm 1: ⌊T_k⌋ steps, and the factors of γ₁ and D₁ that hold in it."""

    length: int
    step_factor: float
    radius_factor: float


def epochs(budget: int, first_length: float, exponent: float) -> Iterator[Epoch]:
    """The schedule: T_{k+1} = 2^τ T_k with τ = 2(p−1)/p, γ_{k+1} = γ_k/2, D_{k+1} = D_k/2^{1/p}.

    The real-valued T_k decide when the budget K is used up (T₁ + … + T_k ≤ K); ⌊T_k⌋ steps are taken.

    Args:
        budget: K ≥ 0.
        first_length: T₁ ≥ 1.
        exponent: p ≥ 2.
    """
    used = 0.0
    for k in count():  # epoch k + 1; powers of k, not repeated products: those turn an integer T_k into 63.999… ⌊63⌋
        length = first_length * 2.0 ** (2 * (exponent - 1) * k / exponent)
        if used + length > budget:
            return
        yield Epoch(int(length), 0.5**k, 2.0 ** (-k / exponent))
        used += length


@lru_cache(maxsize=64)
def schedule_of(budget: int, first_length: float, exponent: float) -> Schedule:
    """All epochs of :func:`epochs`, kept."""
    found = list(epochs(budget, first_length, exponent))
    return Schedule(*(tuple(getattr(e, name) for e in found) for name in ("length", "step_factor", "radius_factor")))


def steps_taken(budget: int, first_length: float, exponent: float) -> int:
    """Lower-level steps that one call of :func:`epoch_sgd` takes."""
    return sum(epoch.length for epoch in epochs(budget, first_length, exponent))


def ball(centre: Tensor, radius: float | Tensor) -> Callable[[Tensor], Tensor]:
    """Π_{B(centre, radius)}, the projection of every row onto its ball; radius a number or (runs, 1)."""
    if centre.shape[-1] == 1:  # an interval, whose ends need computing only once
        low, high = centre - radius, centre + radius
        return lambda y: torch.clamp(y, low, high)

    def project(y: Tensor) -> Tensor:
        offset = y - centre
        norm = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
        outside = norm > radius
        # Most steps end inside; elsewhere than on a CPU asking would make it wait.
        if y.is_cpu and not bool(outside.any() if len(outside) > 1 else outside):
            return y
        return torch.where(outside, centre + offset * (radius / norm), y)

    return project


def project_to_ball(y: Tensor, centre: Tensor, radius: float | Tensor) -> Tensor:
    """Π_{B(centre, radius)}(y) for every row, once; see :func:`ball`."""
    return ball(centre, radius)(y)


def epoch_sgd(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    budget: int,
    first_length: float,
    first_radius: float | Tensor,
    step: float | Tensor,
    average: str = "first",
    exponent: float | None = None,
) -> Tensor:
    """Algorithm 1 at a fixed x. Every call starts again at k = 1.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x) and the start w¹ (runs, d_y).
        budget: K, the number of lower-level steps available.
        first_length, first_radius, step: T₁, D₁, γ₁; the last two may be (runs, 1).
        average: "first" averages w_1 … w_{T_k} (start in, last out; Hazan & Kale); "last" averages
            w_2 … w_{T_k+1}, as the released code does.
        exponent: p that is assumed; None for the problem's.

    Returns:
        w^k, (runs, d_y); the start where T₁ > K, with a warning.

    Raises:
        InputError: the problem restricts y; a ball cut by a feasible set has no simple projection.
    """
    if oracle.problem.project_lower is not None:
        raise InputError(
            f"Epoch-SGD projects onto balls and would leave the feasible set of problem {oracle.problem.name!r} "
            "(project_lower); use an algorithm with projected lower steps"
        )
    if first_length > budget:
        warnings.warn(
            f"Epoch-SGD takes no step: first_length T₁ = {first_length} exceeds the budget K = {budget}", stacklevel=2
        )
    schedule = schedule_of(budget, first_length, oracle.problem.exponent if exponent is None else exponent)
    if not schedule.lengths:
        return y
    loops = loops_for(oracle, x, y, (step, first_radius), schedule.total)
    if loops is not None:
        return solve(loops, oracle, x, y, schedule, first_radius=first_radius, step=step, average=average)
    for length, step_factor, radius_factor in zip(*schedule.parts(), strict=True):
        gamma, radius = step_factor * step, radius_factor * first_radius
        project = ball(y, radius)
        w, total = y, torch.zeros_like(y)
        for _ in range(length):
            if average == "first":
                total += w
            gradient = oracle.grad_lower(x, w)
            oracle.stepped_lower(w)
            w = project(descend(w, gamma, gradient))
            if average == "last":
                total += w
        y = total / length
    return y
