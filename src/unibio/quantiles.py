"""Quantiles of values among which infinity and NaN mean worse than everything: no run is left out for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Values above this stand for infinity where an interpolated quantile cannot do with inf itself.
HUGE = 1e200


def worst(values: Any) -> NDArray[Any]:
    """Values to be made small, with those that are not finite (not defined, diverged) as infinity."""
    values = np.asarray(values, dtype=float)
    return np.where(np.isfinite(values), values, np.inf)


def quartiles(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Lower quartile, median, upper quartile along axis 0; runs that are inf or NaN count as larger than all others.

    Raises:
        ValueError: no runs.
    """
    if len(values) == 0:
        raise ValueError("no runs to take quartiles of")
    low, middle, high = np.quantile(np.fmin(values, HUGE * 1e50), [0.25, 0.5, 0.75], axis=0)
    return tuple(np.where(q > HUGE, np.inf, q) for q in (low, middle, high))  # type: ignore[return-value]
