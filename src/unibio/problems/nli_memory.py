"""What a run of the recurrent network needs at least, checked before its first step."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from unibio.data import PairData
from unibio.errors import InputError
from unibio.models.pair_rnn import Architecture
from unibio.tables import GIB

#: Vectors of the size of all weights that a step of a method without tables has at once: iterates, a gradient or
#: product and its parts, the terms of a Neumann sum, temporaries.
VECTORS = 8
#: Arrays of (tokens, width) per layer that a Hessian–vector product has at once: states, their predecessors, slopes,
#: two backward passes and two tangents.
STATES = 9
#: Pairs of a minibatch that is assumed.
BATCH = 128


def estimate(net: Architecture, tokens: float, element: int) -> int:
    """Bytes that a step needs, without the tables of SABA, which has a check of its own.

    Args:
        net: sizes.
        tokens: mean number of tokens of a pair.
        element: bytes of a number.
    """
    weights = VECTORS * net.size
    states = BATCH * tokens * (STATES * net.layers * net.width + net.dimension)
    return int(element * (weights + states))


def check_memory(net: Architecture, data: PairData) -> Callable[[Tensor], None]:
    """A check of weights: whether the memory of their device holds :func:`estimate`.

    Raises:
        InputError: (the check) it does not.
    """
    lengths = torch.cat((data.train.premise_length, data.train.hypothesis_length))
    tokens = 2 * float(lengths.double().mean())

    @cache
    def check(device: torch.device, element: int) -> None:
        needed, there = estimate(net, tokens, element), _memory(device)
        if needed > there:
            raise InputError(
                f"problem.width = {net.width} needs about {needed / GIB:.3g} GiB for its {net.size:,} weights, and "
                f"{device} has {there / GIB:.3g} GiB; use a smaller width, dtype=float32, or another device"
            )

    return lambda y: check(y.device, y.element_size())


def _memory(device: torch.device) -> float:
    """Bytes that a device has in all; infinite where nobody says."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")
