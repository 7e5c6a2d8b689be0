"""Minibatches, additive noise and random starts of problems; each run's depend on its own seeds and levels alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from unibio.core.parameters import PerRun
from unibio.core.problem import Sampler
from unibio.core.streams import Draw


def minibatches(n: int) -> Sampler:
    """A sampler of indices of a minibatch per row, (runs, size); None stands for all n data points."""

    def sample(draw: Draw) -> Tensor | None:
        return None if draw.size is None or draw.size >= n else draw.minibatch(n)

    return sample


def normal_start(seed: PerRun, size: int, scale: float) -> Tensor:
    """``scale`` times standard normal numbers: (size,) for a number, (runs, size) for seeds that are (runs, 1)."""
    if isinstance(seed, Tensor):
        rows = seed[:, 0].tolist()
        made = {row: _normal(int(row), size) for row in set(rows)}
        return scale * torch.stack([made[row] for row in rows])
    return scale * _normal(int(seed), size)


def _normal(seed: int, size: int) -> Tensor:
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).standard_normal(size))


def gaussian(level: PerRun, size: int) -> Sampler | None:
    """A sampler of ``level`` times standard normal numbers, (runs, size); None where no run has noise.

    Args:
        level: standard deviation, a number or (runs, 1).
        size: numbers a sample.
    """
    if isinstance(level, Tensor):
        if not bool((level > 0).any()):
            return None
        return lambda draw: level.to(draw.streams.device, draw.streams.dtype) * draw.normal(size)
    if level == 0:
        return None

    def sample(draw: Draw) -> Tensor:
        return level * draw.normal(size)

    return sample
