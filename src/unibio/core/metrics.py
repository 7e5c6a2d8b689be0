"""Metrics that problems share, and those of problems that bring none of their own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unibio.core.oracle import Oracle
from unibio.core.problem import Metrics, Problem
from unibio.core.reference import reference
from unibio.core.streams import Streams

#: The hypergradient norm needs d_y HVPs and a dense solve at every logged iteration; above this d_y it is left out.
SMALL = 64
#: Data points that default metrics are evaluated on at the least, where there are so many.
FEWEST = 128
#: Rows of history, as a rule, and at the least.
LOG_POINTS, FEWEST_ROWS = 200, 50
#: Of what a run's own derivatives use, what its default metrics may.
SHARE = 0.1
#: Derivatives on a minibatch that an iteration makes at the least, and gradients that a row of metrics is worth.
CALLS, CALLS_A_ROW = 4, 1.5


def default_metrics(problem: Problem, points: int | None = None) -> Metrics:
    """(x, y) -> upper value, norm of the lower gradient and, for d_y ≤ 64, norm of the hypergradient at (x, y).

    All three are evaluated on one fixed sample (the full batch for finite sums) and count for nobody. The
    hypergradient is exact for the given y, that is, an estimate of ∇φ(x) as good as y is, and NaN where y does not
    determine it: :func:`~unibio.core.reference.reference`.

    Args:
        problem: the problem.
        points: data points of either level to evaluate on, always the same; None for all.
    """

    held: dict[tuple[int, torch.device, torch.dtype], Streams] = {}  # a subsample is of a permutation, made once

    def metrics(x: Tensor, y: Tensor) -> Mapping[str, Tensor]:
        key = (len(x), x.device, x.dtype)
        if key not in held:
            held[key] = Streams([0] * len(x), x.device, x.dtype)
        oracle = Oracle(problem, held[key], points)
        lower, upper = oracle.sample_lower(), oracle.sample_upper()
        result = {
            "upper_value": oracle.value_upper(x, y, upper).detach(),
            "lower_gradient_norm": torch.linalg.vector_norm(oracle.grad_lower(x, y, lower), dim=-1),
        }
        if y.shape[-1] <= SMALL:
            result["hypergradient_norm"] = torch.linalg.vector_norm(reference(oracle, x, y).value, dim=-1)
        return result

    return metrics


def points_to_log(
    sizes: tuple[int | None, int | None], batch_size: int | None, iterations: float, rows: int
) -> int | None:
    """How many data points default metrics had better be evaluated on: a fixed subsample where data are large.

    What a run on minibatches is about to do decides, by sizes alone: its metrics may use a tenth of the data points
    that its derivatives use, and at least :data:`FEWEST`. None, which is all of them, on full batches, and where that
    would not halve them.

    Args:
        sizes: data points of the upper and of the lower level; None where there are none.
        batch_size: of the run; None for full batches.
        iterations: that it makes.
        rows: of its history.
    """
    points = max((size for size in sizes if size is not None), default=0)
    if batch_size is None or batch_size >= points:
        return None
    allowed = SHARE * CALLS * batch_size * iterations / (CALLS_A_ROW * max(rows, 1))
    chosen = max(FEWEST, batch_size, int(min(allowed, points)))
    return chosen if 2 * chosen <= points else None


def rows_to_log(dimension: int, iterations: float, most: int) -> int:
    """How many rows of default metrics a history had better have: ``most``, or fewer in a short run.

    The exact hypergradient of a row takes d_y HVPs and a solve, worth some 2 d_y + 10 calls; together they may take a
    tenth of the calls that a run makes at the least. :data:`FEWEST_ROWS` there are in any case.

    Args:
        dimension: d_y.
        iterations: of the run.
        most: rows.
    """
    if dimension > SMALL:
        return most
    return max(FEWEST_ROWS, min(most, int(SHARE * CALLS * iterations / (2 * dimension + 10))))


def separation(x: Tensor, corrupted: Tensor) -> Tensor:
    """The probability that a clean entry of a row exceeds a corrupted one, ties counting half: (runs,).

    Args:
        x: (runs, n).
        corrupted: bool (n,), neither all nor none.
    """
    clean, wrong = x[:, ~corrupted].sort(dim=-1).values, x[:, corrupted].contiguous()
    below = torch.searchsorted(clean, wrong) + torch.searchsorted(clean, wrong, right=True)
    return 1 - below.double().mean(-1) / (2 * clean.shape[1])
