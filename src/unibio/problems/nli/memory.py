"""What a run of the recurrent network needs, checked before anything is allocated."""

from __future__ import annotations

from typing import Any

import torch

from unibio.core.saga import GIB
from unibio.errors import InputError
from unibio.memory import available
from unibio.problems.nli.network import STATES_AT_ONCE
from unibio.problems.nli.pair_rnn import Architecture

# Measured as the peak of whole runs of eight methods at widths 256 to 2048: the estimate was 1.05 to 1.6 times it, 1.05
# to 1.5 times from 512 units on.
#: Vectors of the size of all weights: the start in double precision, iterates, results, a gradient or product and its
#: parts, the terms of a Neumann sum, temporaries. SABA's tables come on top.
VECTORS = 24
#: Arrays of (tokens, width) per layer: of a Hessian–vector product and of the minibatches that are kept.
STATES = 12
#: Arrays of ``STATES_AT_ONCE`` while metrics are evaluated, and what libraries take.
EVALUATION = 3
#: Pairs of a minibatch that is assumed where the method is not known; also what settings are checked on.
BATCH = 128


def estimate(net: Architecture, tokens: float, element: int, batch: int = BATCH, runs: int = 1) -> int:
    """Bytes that a run needs, without tables for data points as SABA's.

    Args:
        net: sizes.
        tokens: mean number of tokens of a pair.
        element: bytes of a number.
        batch: most pairs in a minibatch.
        runs: rows, which keep their own weights and are computed one after another.
    """
    weights = VECTORS * net.size * runs
    states = batch * tokens * (STATES * net.layers * net.width + net.dimension)
    return int(element * (weights + states + EVALUATION * STATES_AT_ONCE))


def largest_batch(algorithm: Any, points: int) -> int:
    """Most pairs in a minibatch of an algorithm on a level of so many pairs; where a batch size is null it has all."""
    names = [name for name in ("batch_size", "checkpoint_batch_size") if hasattr(algorithm, name)]
    sizes = [getattr(algorithm, name) for name in names]
    return min(points, max([BATCH, *(points if size is None else size for size in sizes)]))


def check(net: Architecture, needed: float, device: torch.device, tables: float = 0) -> None:
    """Refuse a network whose run does not fit.

    Args:
        net: sizes.
        needed: bytes.
        device: whose memory has to hold them.
        tables: how many of them are for tables of the method.

    Raises:
        InputError: it cannot.
    """
    free = available(device)
    if needed > free:
        kept = f" and the method's tables ({tables / GIB:.3g} GiB)" if tables else ""
        raise InputError(
            f"problem.width = {net.width} needs about {needed / GIB:.3g} GiB for its {net.size:,} weights{kept}, and "
            f"{device} has {max(free, 0) / GIB:.3g} GiB left; use a smaller width or batch, dtype=float32, or another "
            "device"
        )
