"""Step-size schedules: constant, or decaying like (k + k₀)^{−a}."""

from __future__ import annotations

from torch import Tensor

from unibio.parameters import PerRun


def decay(iteration: int, exponent: PerRun, offset: PerRun = 1.0) -> PerRun:
    """The factor (k + k₀)^{−a} at iteration k = 0, 1, …; exactly 1 for a = 0, a constant step.

    Args:
        iteration: k ≥ 0.
        exponent: a ≥ 0, a number or (runs, 1).
        offset: k₀ > 0, a number or (runs, 1); 1 makes the first step the undecayed one.
    """
    if not isinstance(exponent, Tensor) and exponent == 0:
        return 1.0
    return (iteration + offset) ** (-exponent)
