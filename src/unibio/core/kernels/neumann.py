"""The generalised Neumann sum where ∇²_yy g is D itself: the numbers of ``core.hypergradients``, to the bit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unibio.core.kernels.epochs import descended
from unibio.core.kernels.jit import fma, jit

__all__ = ["descended", "direction", "moved", "trial"]

Floats = NDArray[np.floating]


@jit
def moved(y: Floats, floor: float, exponent: int, out: Floats, scale: Floats) -> None:
    """The point ỹ at least ``floor`` away from 0, and D there.

    Args:
        y: (size,).
        floor: δ > 0.
        exponent: p > 2.
        out, scale: (size,), written into.
    """
    floor_like, factor, zero = y.dtype.type(floor), y.dtype.type(exponent - 1), y.dtype.type(0)
    for i in range(len(y)):
        size = abs(y[i])
        size = floor_like if size < floor_like else size  # NaN stays NaN
        out[i] = np.copysign(size, y[i] + zero)
        square = out[i] if exponent % 2 == 0 else abs(out[i])
        power, started, q = square, False, exponent - 2
        while q:
            if q & 1:
                power = power * square if started else square
                started = True
            q >>= 1
            if q:
                square = square * square
        scale[i] = factor * power


@jit
def direction(slope: Floats, scale: Floats, terms: int, step: Floats, out: Floats) -> None:
    """v = c Σ_{q<Q} (I − c D⁻¹∇²_yy g)^q D⁻¹ f_y.

    Args:
        slope: f_y, (size,).
        scale: D, (size,).
        terms: Q ≥ 1.
        step: c, (1,) or (size,).
        out: v, (size,), written into.
    """
    one = slope.dtype.type(1)
    for i in range(len(slope)):
        inverse, c = one / scale[i], step[i if len(step) > 1 else 0]
        r = inverse * slope[i]
        total = r
        for _ in range(terms - 1):
            r = fma(inverse * (scale[i] * r), -c, r)
            total = total + r
        out[i] = c * total


def trial() -> None:
    """Raise whatever keeps a loop from being compiled."""
    moved(np.ones(1), 1e-3, 4, np.ones(1), np.ones(1))
