"""The hypergradient by conjugate gradient that is preconditioned by the Hessian's own diagonal: no exponent, no step.

(★) of :mod:`unibio.core.hypergradients` is the classical system ∇²_yy g · v = f_y with D(y) = diag((p−1)|y|^{p−2}) as
preconditioner: a stand-in for the diagonal of ∇²_yy g that knows p and not the problem. Where the Hessian vanishes with
D the two are alike; where it does not, as in regression, D is far from it and is worse than nothing. The diagonal
itself serves both, and conjugate gradient needs no step: what is left to choose is when to stop.

* *The diagonal* is the problem's own (``derivatives["hessian_diagonal"]``), for what one product costs, or the mean of
  |z ∘ ∇²_yy g · z| over a few vectors z of random signs (Hutchinson's probe; the absolute value, because a
  preconditioner has to be positive). A probe sees the norm of a row where that is larger than its diagonal. Means of
  earlier iterates may be handed on, see :func:`diagonal`. A diagonal that is only roughly right costs iterations and
  changes no solution.
* *The point.* Where f_y and ∇²_yy g vanish together both are evaluated at ỹ, as for the Neumann sum.
* *Samples.* A solve takes one sample for all of its products, and for the JVP: conjugate gradient on products of
  different matrices has no meaning. So ĥ is the hypergradient of one sample's lower level, not that of their mean. With
  the Hessian of the sample (1 + ζ) times its mean along an eigenvector, v is there multiplied by E[1/(1 + ζ)] ≈ 1 +
  Var ζ: a bias of the relative variance of the curvature, which only larger minibatches make smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.algorithm import Diagnosis
from unibio.core.conjugate import Iterated, conjugate_gradients
from unibio.core.hypergradients import DEFAULT_FLOOR, precondition, without_unsolved
from unibio.core.oracle import Oracle, Sample
from unibio.core.trouble import Trouble, reasons
from unibio.core.updates import mix

#: Probes for a diagonal that nothing is remembered of.
PROBES = 10
#: Weight of the diagonal that is remembered when a new probe joins it.
MEMORY = 0.9
#: A run is told where its solves leave more than this part of their system.
UNSOLVED = 0.1


@dataclass(frozen=True)
class Solved:
    """An estimate by one solve.

    Attributes:
        estimate: ĥ with the last iterate of every row, solved or not, (runs, d_x).
        iterated: what became of the rows' systems.
        diagonal: to be remembered, (runs, d_y); None where it is to be asked for anew.
    """

    estimate: Tensor
    iterated: Iterated
    diagonal: Tensor | None


def preconditioned_conjugate_gradient(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
    floor: float = DEFAULT_FLOOR,
    probes: int = PROBES,
    unsolved: str = "nan",
) -> Tensor:
    """ĥ = f_x − ∇²_xy g · v with ∇²_yy g · v = f_y solved on one sample, preconditioned by the Hessian's diagonal.

    Costs one upper gradient, one JVP, one HVP for a diagonal that the problem declares or ``probes`` for one that it
    does not, and the HVPs that each row asks for. A row that was not solved is NaN, and a warning says why, as of
    :func:`~unibio.core.hypergradients.conjugate_gradient`.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        tolerance: a row stops at this ratio of ‖P⁻¹(f_y − ∇²_yy g · v)‖ to ‖P⁻¹f_y‖, P the diagonal.
        max_iterations: default 10·d_y.
        floor: δ > 0, for problems whose Hessian vanishes.
        probes: ≥ 1.
        unsolved: "nan", or "keep" for the last iterate of rows that were not solved, without a warning.

    Returns:
        (runs, d_x).
    """
    solved = solve(
        oracle, x, y, tolerance=tolerance, max_iterations=max_iterations, floor=floor, probes=probes, remembered=None
    )
    kept = unsolved == "keep"
    return solved.estimate if kept else without_unsolved(oracle, solved.estimate, solved.iterated.trouble)


def solve(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    *,
    tolerance: float = 1e-10,
    max_iterations: int | None = None,
    floor: float = DEFAULT_FLOOR,
    probes: int = PROBES,
    remembered: Tensor | None = None,
) -> Solved:
    """:func:`preconditioned_conjugate_gradient` with what became of the system, and with a memory of the diagonal.

    Args:
        oracle, x, y, tolerance, max_iterations, floor, probes: as there.
        remembered: the last solve's ``diagonal``.
    """
    at = precondition(oracle, y, floor).y
    f_x, f_y = oracle.grad_upper(x, at)
    sample = oracle.sample_lower()
    hessian = oracle.hvp_at(x, at, sample)
    found, kept = diagonal(oracle, x, at, sample, hessian, probes=probes, remembered=remembered)
    root = found.rsqrt()
    iterated = conjugate_gradients(
        lambda u, rows: root * hessian(root * u, rows),
        root * f_y,
        weight=root,
        tolerance=tolerance,
        max_iterations=10 * y.shape[-1] if max_iterations is None else max_iterations,
    )
    return Solved(f_x - oracle.jvp(x, at, root * iterated.solution, sample), iterated, kept)


def diagonal(
    oracle: Oracle,
    x: Tensor,
    y: Tensor,
    sample: Sample,
    hessian: Callable[[Tensor], Tensor],
    *,
    probes: int = PROBES,
    remembered: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """|diag ∇²_yy g|, declared or probed, and what is to be remembered of it: (runs, d_y), positive, NaN if not finite.

    Where the Hessian vanishes at y_i → 0 it changes there by orders of magnitude from one iterate to the next, and
    nothing is remembered.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y), the point moved off 0 already.
        sample: of the lower level.
        hessian: v ↦ ∇²_yy g · v there.
        probes: ≥ 1, if nothing is remembered; 1 otherwise.
        remembered: a moving average over earlier solves, which a probe joins with weight 1 − MEMORY.
    """
    declared = oracle.hessian_diagonal(x, y, sample)
    if declared is not None:
        return _usable(declared.abs()), None
    forgets = oracle.problem.vanishing_hessian
    count = probes if remembered is None or forgets else 1
    total = torch.zeros_like(y)
    for _ in range(count):
        signs = torch.where(oracle.draw("hutchinson").uniform(y.shape[-1]) < 0.5, -1.0, 1.0).to(y.dtype)
        total = total + (signs * hessian(signs)).abs()
    found = total / count
    if remembered is not None and not forgets:
        found = mix(remembered, found, MEMORY)
    return _usable(found), None if forgets else found


def _usable(found: Tensor) -> Tensor:
    """What can be divided by. A semidefinite matrix has nothing beside a 0 of its diagonal, so any number serves."""
    largest = found.amax(-1, keepdim=True)
    positive = torch.where(found > 0, found, torch.where(largest > 0, largest, torch.ones_like(largest)))
    return torch.where(torch.isfinite(found), positive, torch.nan)


def check_solve(oracle: Oracle, x: Tensor, y: Tensor, tolerance: float, max_iterations: int, floor: float) -> Diagnosis:
    """The residual of a solve at a point, and a warning where it leaves much, or where it must not be relied on.

    Args:
        oracle: counts for nobody.
        x, y: (runs, d_x), (runs, d_y).
        tolerance, max_iterations, floor: of the algorithm's solves.
    """
    found = solve(oracle, x, y, tolerance=tolerance, max_iterations=max_iterations, floor=floor).iterated
    values = {"pcg_residual": found.residual, "pcg_iterations": found.iterations}
    # a limit that comes first is how such solves are meant to end, as long as they have done most of their work
    short = (found.trouble == Trouble.LIMIT) & (found.residual <= UNSOLVED)
    trouble = torch.where(short, int(Trouble.NONE), found.trouble)
    bad = trouble != Trouble.NONE
    if not bool(bad.any()):
        return Diagnosis(values)
    said = (
        f"estimator=pcg does not solve the hypergradient's linear system in {int(bad.sum())} of {len(bad)} runs at the "
        f"start, where max_products = {max_iterations}: {reasons(trouble)}; the largest residual is "
        f"{float(found.residual[bad].max()):.2g}"
    )
    return Diagnosis(values, (said,))
