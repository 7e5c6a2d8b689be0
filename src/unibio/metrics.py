"""Metrics for problems that bring none of their own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unibio.draw import Streams
from unibio.hypergradients import conjugate_gradient
from unibio.oracle import Oracle
from unibio.problem import Metrics, Problem

#: The hypergradient norm needs up to 10·d_y HVPs at every logged iteration; above this d_y it is left out.
SMALL = 64


def default_metrics(problem: Problem) -> Metrics:
    """(x, y) -> upper value, norm of the lower gradient and, for d_y ≤ 64, norm of the hypergradient at (x, y).

    All three are evaluated on one fixed sample (the full batch for finite sums) and count for nobody. The
    hypergradient is exact for the given y, that is, an estimate of ∇φ(x) as good as y is.
    """

    def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        oracle = Oracle(problem, Streams([0] * len(x), x.device, x.dtype))
        lower = oracle.sample_lower()
        value, _ = oracle.values(x, y, lower=lower)
        result = {
            "upper_value": value.detach(),
            "lower_gradient_norm": torch.linalg.vector_norm(oracle.grad_lower(x, y, lower), dim=-1),
        }
        if y.shape[-1] <= SMALL:
            gradient = conjugate_gradient(oracle, x, y, tolerance=1e-8)
            result["hypergradient_norm"] = torch.linalg.vector_norm(gradient, dim=-1)
        return result

    return metrics
