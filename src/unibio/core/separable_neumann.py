"""The generalised Neumann estimate on a declared separable problem: the same numbers with far fewer calls.

Where noise is linear, v of (★) depends on y alone and is kept while y stays: UniBiO changes y every I-th iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from unibio.core import compiled
from unibio.core.oracle import Oracle
from unibio.core.separable import Separable
from unibio.core.separable_sgd import computable, rounds_alike

#: Seconds that the general estimate takes more.
SAVED = 6e-5


@dataclass(frozen=True)
class Direction:
    """v at one y, and what it was computed for: floor, terms, step."""

    y: Tensor
    version: int
    settings: tuple[float, int, float | Tensor]
    point: Tensor
    v: Tensor


def estimate(
    oracle: Oracle, x: Tensor, y: Tensor, *, terms: int, step: float | Tensor, floor: float, samples: str
) -> Tensor | None:
    """ĥ as :func:`unibio.core.hypergradients.generalised_neumann` computes it; None where that has to be asked.

    Args: as there.
    """
    problem = oracle.problem
    lower = problem.own_separable()
    if lower is None or not lower.linear_noise or not (problem.vanishing_hessian or problem.exponent == 2):
        return None
    if problem.size_upper is not None or y.is_inference() or not computable(lower, x, y, (step,)):
        return None
    if not compiled.worthwhile(SAVED):
        return None
    loops = compiled.neumann()
    if loops is None or not rounds_alike(loops, y.dtype):
        return None
    noise = oracle.sample_upper().value
    oracle.take("grad_upper", samples=0)
    if terms > 1:
        oracle.take("hvp", terms - 1, samples=None if samples == "fresh" else 1)
    oracle.take("jvp")
    at = _direction(loops, oracle, lower, x, y, (floor, terms, step))
    product = problem.derivatives["jvp"](x, at.point, at.v, None)
    return (torch.zeros_like(x) if noise is None else noise) - product


def _direction(
    loops: ModuleType,
    oracle: Oracle,
    lower: Separable,
    x: Tensor,
    y: Tensor,
    settings: tuple[float, int, float | Tensor],
) -> Direction:
    """v at y, kept from the last time where nothing has changed."""
    kept = lower.kept
    if isinstance(kept, Direction) and kept.y is y and kept.version == y._version:
        (*before, old), (*now, new) = kept.settings, settings
        numbers = not isinstance(old, Tensor) and not isinstance(new, Tensor)
        if before == now and (old is new or (numbers and old == new)):  # a tensor is the same only as itself
            return kept
    floor, terms, step = settings
    flat = y.detach().contiguous()
    point, scale = flat, torch.ones_like(flat)
    if lower.exponent != 2:
        point = torch.empty_like(flat)
        loops.moved(*_flat(flat), floor, int(lower.exponent), *_flat(point, scale))
    slope = oracle.problem.derivatives["grad_upper"](x, point, None)[1].contiguous()
    v = torch.empty_like(flat)
    factor = (
        step.expand_as(flat).reshape(-1).numpy()
        if isinstance(step, Tensor)
        else np.asarray([step], slope.numpy().dtype)
    )
    loops.direction(*_flat(slope, scale), terms, factor, *_flat(v))
    found = Direction(y, y._version, settings, point, v)
    object.__setattr__(lower, "kept", found)
    return found


def _flat(*tensors: Tensor) -> list[np.ndarray]:
    return [t.numpy().reshape(-1) for t in tensors]
