"""Made-up records of the first-order studies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import synthetic
from unibio.analysis.penalty_rates import BOUNDS, CASES

#: (method, case) -> slope of the averaged norm.
Slope = Callable[[str, str], float]


def as_bounded(method: str, case: str) -> float:
    return BOUNDS[method][case] - 0.1


def averaged(slope: float, wobble: float = 0.0):
    """c·t^slope with a factor that differs by seed, and drifts by a wave over the decades."""

    def mean(cell, seed, t):
        at = np.maximum(t, 1.0)
        return (1 + 0.02 * seed) * at ** (slope + wobble * np.sin(np.log(at)))

    return mean


def scheduled(slope: Slope = as_bounded, wobble: float = 0.0, steps: int = 4000, **settings):
    """Records of penalty_rates."""
    return [
        synthetic.record(
            2, {}, mean=averaged(slope(method, case), wobble), name=method, schedule=case, steps=steps, **settings
        )
        for method in ("f2sa", "f3sa")
        for case in CASES
    ]


def fixed(slope: Slope = as_bounded, horizons=(300, 1000, 3000, 10000), **settings):
    """Records of penalty_rates_fixed."""
    found = []
    for case in CASES:
        for steps in horizons:
            made = synthetic.record(
                2, {}, mean=averaged(slope("f2ba", case)), name="f2ba", steps=steps, points=10, **settings
            )
            made.config["paper"] = {"case": case, "horizon": steps}
            found.append(made)
    return found


def whole(scale: str = "paper", steps: int = 400):
    """Every experiment of the first-order studies, small."""
    small = {"scale": scale, "points": 60}
    horizons = (30, 100, 300, 1000) if scale == "paper" else (18, 60)
    return {
        "penalty_rates": scheduled(steps=10 * steps, **small),
        "penalty_rates_fixed": fixed(horizons=horizons, scale=scale),
    }
