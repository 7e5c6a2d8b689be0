"""Step-size schedules: constant, or decaying like (k + k₀)^{−a}."""

from __future__ import annotations

from torch import Tensor

from unibio.errors import InputError
from unibio.parameters import PerRun


def decay(iteration: int, exponent: PerRun, offset: PerRun = 1.0) -> PerRun:
    """The factor (k + k₀)^{−a} at iteration k = 0, 1, …; exactly 1 for a = 0, a constant step.

    Args:
        iteration: k ≥ 0.
        exponent: a ≥ 0, a number or (runs, 1).
        offset: k₀ > 0; 1 makes the first step the undecayed one.

    Raises:
        InputError: k + k₀ ≤ 0, where the factor does not exist.
    """
    if not isinstance(exponent, Tensor) and exponent == 0:
        return 1.0
    base = iteration + offset
    if bool(base <= 0):
        raise InputError(f"decay_offset must be > 0, so that (k + k₀)^(−a) exists at k = {iteration}; got {offset}")
    return base ** (-exponent)
