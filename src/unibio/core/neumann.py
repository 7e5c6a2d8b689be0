"""Stochastic Neumann estimators of the hypergradient whose sample is an object of its own.

Variance-reduced methods evaluate one realisation of the estimator at two points. :func:`draw_sample` fixes everything
random about an estimate (data, noise, the length of a product) without looking at a point, and :func:`neumann_at`
evaluates that realisation anywhere, as often as wanted.

    sum             v = c Σ_{q<Q} Π_{j=1}^{q} (I − c H_j) f_y                                Ghadimi & Wang, 2018
    random length   v = Q c Π_{j=1}^{P} (I − c H_j) f_y,   P ~ U{0, …, Q−1}                  the same in expectation

then ĥ = f_x − ∇²_xy g · v. The random length costs (Q − 1)/2 HVPs on average instead of Q − 1, and has the sum's bias
‖∇²_xy g (I − cH)^Q H⁻¹ f_y‖ with a larger variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.algorithm import Diagnosis, State
from unibio.core.hypergradients import classical, neumann_sum, precondition
from unibio.core.oracle import Oracle, Sample
from unibio.core.parameters import PerRun
from unibio.core.spectrum import largest_eigenvalue_at, remainder, too_few_terms, unstable_step


@dataclass(frozen=True)
class HypergradientSample:
    """Everything random about one Neumann estimate.

    Attributes:
        upper: ξ of f_x and f_y.
        factors: ζ_1 … ζ_m of the Hessians; one entry repeated where they share a sample.
        jacobian: ζ_0 of ∇²_xy g.
        length: P per row, (runs, 1) int64; None for the whole sum.
    """

    upper: Sample
    factors: tuple[Sample, ...]
    jacobian: Sample
    length: Tensor | None = None


def draw_sample(
    oracle: Oracle,
    *,
    terms: int,
    samples: str = "fresh",
    random_length: bool = False,
    batch_size: int | None = None,
) -> HypergradientSample:
    """Draw a realisation of the estimator.

    Every row uses up the same number of samples, whatever its random length, so that a trajectory does not depend on
    the other rows of its batch.

    Args:
        oracle: where samples come from.
        terms: Q ≥ 1.
        samples: "fresh" gives every factor a sample of its own, "shared" one sample to all factors.
        random_length: draw P ~ U{0, …, Q−1} per row instead of summing.
        batch_size: minibatch size of all samples; None for the oracle's.
    """
    upper = oracle.sample_upper(batch_size)
    length, needed = None, terms - 1
    if random_length:
        length = oracle.draw("neumann length").integers(terms)
        needed = int(length.max())
    if samples == "shared":
        factors = (oracle.sample_lower(batch_size),) * needed if needed else ()
        if terms > 1 and not needed:
            oracle.pass_over_lower(1, batch_size)
    else:
        factors = tuple(oracle.sample_lower(batch_size) for _ in range(needed))
        oracle.pass_over_lower(terms - 1 - needed, batch_size)
    return HypergradientSample(upper, factors, oracle.sample_lower(batch_size), length)


def neumann_at(
    oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample, *, terms: int, step: PerRun
) -> Tensor:
    """The realisation ``sample`` of the Neumann estimator at (x, y): (runs, d_x).

    Costs one upper gradient, one JVP and Q − 1 HVPs, or P of them in a row whose product has random length P.

    Args:
        oracle: counted derivatives.
        x, y: (runs, d_x), (runs, d_y).
        sample: from :func:`draw_sample` with the same ``terms``.
        terms: Q ≥ 1.
        step: c > 0, a number or (runs, 1); stable below 2/λ_max(∇²_yy g).
    """
    f_x, f_y = oracle.grad_upper(x, y, sample.upper)
    if sample.length is None:
        shared = len({id(factor) for factor in sample.factors}) == 1
        hessian = oracle.hvp_at(x, y, sample.factors[0]) if shared else None

        def factor(r: Tensor, j: int) -> Tensor:
            return hessian(r) if hessian is not None else oracle.hvp(x, y, r, sample.factors[j - 1])

        v = neumann_sum(factor, f_y, terms, step)
    else:
        v = terms * step * f_y
        for j, factor_sample in enumerate(sample.factors, start=1):
            wanted = sample.length >= j
            product = oracle.hvp(x, y, v, factor_sample, rows=wanted[:, 0])
            v = torch.where(wanted, v - step * product, v)
    return f_x - oracle.jvp(x, y, v, sample.jacobian)


def check_sum(
    oracle: Oracle,
    state: State,
    terms: int,
    step: PerRun,
    floor: float | None = None,
    exponent: float | None = None,
) -> Diagnosis:
    """λ_max(D⁻¹∇²_yy g) at a state, and a warning where the sum's step is beyond 2/λ_max or its terms are far too few.

    Where a problem says that settings are checked on a minibatch (``diagnosed``), its terms are not judged: a small
    sum of data points has directions without curvature that no number of terms would solve, and that all data have not.

    Args:
        oracle: counts for nobody.
        state: with x and y.
        terms, step: Q and c.
        floor: δ of the generalised sum; None for the classical one, without D.
        exponent: p that D is taken with; None for the problem's.
    """
    if terms == 1:  # a single term applies no Hessian, so no step can make it grow
        return Diagnosis()
    x, y = state["x"], state["y"]
    at = classical(y) if floor is None else precondition(oracle, y, floor, exponent)
    eigenvalue = largest_eigenvalue_at(oracle, x, at)
    found = unstable_step(step, eigenvalue)
    if found is None and oracle.problem.diagnosed is None:
        found = too_few_terms(terms, *remainder(oracle, x, at, terms, step))
    return Diagnosis({"neumann_lambda_max": eigenvalue[:, 0]}, (found,) if found else ())
