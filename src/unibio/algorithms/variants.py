"""The released code's local deviations from the published methods, as named variants: to measure what each one does.

Nobody should run these for results. Each class or function differs from the method it names in one place only, and its
docstring says what the consequence is on a quadratic, where everything can be computed (tests/test_variants.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from unibio.estimators import HypergradientSample
from unibio.hypergradients import neumann_sum
from unibio.oracle import Oracle
from unibio.parameters import PerRun


def headless_neumann_at(
    oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample, *, terms: int, step: PerRun
) -> Tensor:
    """:func:`~unibio.estimators.neumann_at` with Σ_{q=1}^{Q} instead of Σ_{q=0}^{Q−1}, the first term missing.

    The limit for Q → ∞ is H⁻¹f_y − c f_y: a bias of c‖J f_y‖ that no number of terms removes. Costs Q HVPs on the Q − 1
    samples of the sum, the last one used twice.
    """
    f_x, f_y = oracle.grad_upper(x, y, sample.upper)
    factors = sample.factors or (sample.jacobian,)
    first = f_y - step * oracle.hvp(x, y, f_y, factors[0])
    v = neumann_sum(lambda r, j: oracle.hvp(x, y, r, factors[min(j, len(factors) - 1)]), first, terms, step)
    return f_x - oracle.jvp(x, y, v, sample.jacobian)


def bare_product_at(
    oracle: Oracle, x: Tensor, y: Tensor, sample: HypergradientSample, *, terms: int, step: PerRun
) -> Tensor:
    """The random-length product c Π_{j≤P}(I − c H_j) f_y without its factor Q, with powers 1 … Q instead of 0 … Q−1.

    In expectation a Q-th of the sum without its first term: v is about Q times too short.
    """
    assert sample.length is not None  # a whole sum has no length to lose
    f_x, f_y = oracle.grad_upper(x, y, sample.upper)
    v = step * f_y
    factors = (*sample.factors, sample.jacobian)[: int(sample.length.max()) + 1]
    for j, factor in enumerate(factors):
        wanted = sample.length >= j
        v = torch.where(wanted, v - step * oracle.hvp(x, y, v, factor, rows=wanted[:, 0]), v)
    return f_x - oracle.jvp(x, y, v, sample.jacobian)
