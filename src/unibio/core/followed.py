"""What a metric may know of a method's state besides x and y: its second lower iterate, and its penalty.

Metrics are of x and y. What the first-order theory says of its methods, a Lyapunov function or that a triple (x, y, z)
is nearly stationary, is also of z, which follows argmin g, and of λ_k. A problem that measures such things asks for
them by having :class:`Followed` as its buffers; a method that knows of it (:mod:`unibio.algorithms.followed`) writes
them there after every iteration, and they reach metrics and checkpoints as all buffers do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unibio.core.buffers import Buffers
from unibio.core.oracle import Oracle
from unibio.core.parameters import PerRun


@dataclass(frozen=True)
class Followed(Buffers):
    """Room for z and λ, (d_y + 1,), which lower steps leave alone. NaN, and so are metrics, until a method writes."""


def followed(dimension_y: int) -> Followed:
    """Room for z: (d_y,) and λ."""
    start = torch.full((dimension_y + 1,), math.nan, dtype=torch.float64)
    return Followed(start, lambda x, y, sample, buffers: buffers)


def parts(buffers: Tensor) -> tuple[Tensor, Tensor]:
    """z: (runs, d_y) and λ: (runs, 1) of what was written, (runs, d_y + 1)."""
    return buffers[:, :-1], buffers[:, -1:]


def write(oracle: Oracle, z: Tensor, penalty: PerRun) -> bool:
    """Write z: (runs, d_y) and λ where the problem has room for them; whether it has."""
    if not isinstance(oracle.problem.buffers, Followed):
        return False
    assert oracle.held is not None  # a problem with buffers has them
    column = torch.as_tensor(penalty, dtype=torch.float64, device=z.device).reshape(-1, 1).expand(len(z), 1)
    oracle.held.values = torch.cat([z.double(), column], dim=1)
    return True
