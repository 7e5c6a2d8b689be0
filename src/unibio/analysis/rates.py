"""Power laws fitted on log–log axes: slope, standard error, bootstrap interval over seeds, slope by fit range.

Points are weighted by the logarithmic length they stand for, so that every decade counts the same and the slope does
not depend on where the history happens to be logged. The standard error treats residuals as independent, which those
of a running average are not: the bootstrap interval is the one to trust, and the spread over fit ranges usually
exceeds both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from unibio.analysis.curves import Array
from unibio.errors import InputError

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Fit:
    """value ≈ constant · t^slope for t in [low, high].

    Attributes:
        slope, constant: of the mean over the seeds.
        error: standard error of the slope from the residuals.
        interval: 95% bootstrap percentile interval of the slope over seeds.
        low, high: the fit range.
        points: logged iterations in it.
    """

    slope: float
    constant: float
    error: float
    interval: tuple[float, float]
    low: float
    high: float
    points: int

    def __call__(self, t: Array) -> Array:
        return self.constant * np.asarray(t, dtype=float) ** self.slope


def fit_power_law(t: Array, values: Array, low: float | None = None, high: float | None = None) -> Fit:
    """Least squares of log(mean over seeds) on log t.

    Args:
        t: (n,) ascending; points at t ≤ 0 are left out.
        values: (seeds, n) or (n,), positive.
        low, high: fit range, both ends included; default everything.

    Raises:
        InputError: fewer than three points in the range, or values there that are not positive and finite.
    """
    t, values = np.asarray(t, dtype=float), np.atleast_2d(np.asarray(values, dtype=float))
    low = low if low is not None else 0.0
    return _fit_range(t, values, _resampled(values), low, high if high is not None else math.inf)


def _resampled(values: Array) -> Array:
    """(resamples, n) means over seeds drawn with replacement; always the same draws."""
    return _shares(len(values)) @ np.where(np.isfinite(values), values, np.nan)


@lru_cache(maxsize=8)
def _shares(seeds: int) -> Array:
    """(resamples, seeds): how often each seed is drawn, over the number of seeds."""
    return np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds


def _fit_range(t: Array, values: Array, resampled: Array, low: float, high: float) -> Fit:
    inside = (t > 0) & (t >= low) & (t <= high)
    if np.sum(inside) < 3:
        raise InputError(f"a power law needs at least 3 points, the fit range [{low:g}, {high:g}] has {np.sum(inside)}")
    if not np.isfinite(values[:, inside]).all() or not (values[:, inside] > 0).all():
        raise InputError(f"a power law needs positive finite values in the fit range [{low:g}, {high:g}]")
    return _fit(t[inside], values[:, inside].mean(axis=0), resampled[:, inside])


def fit_sweep(horizons: Sequence[float], samples: Sequence[Array]) -> Fit:
    """The same for one independent set of seeds per horizon: final values against T.

    Args:
        horizons: T, ascending.
        samples: one (seeds,) array a horizon.

    Raises:
        InputError: fewer than three horizons, or values that are not positive and finite.
    """
    if len(horizons) < 3:
        raise InputError(f"a power law needs at least 3 horizons, there are {len(horizons)}")
    if not all(np.isfinite(s).all() and (np.asarray(s) > 0).all() for s in samples):
        raise InputError("a power law needs positive finite values at every horizon")
    rng = np.random.default_rng(0)
    drawn = [s[rng.integers(len(s), size=(RESAMPLES, len(s)))].mean(axis=1) for s in map(np.asarray, samples)]
    return _fit(np.asarray(horizons, dtype=float), np.array([np.mean(s) for s in samples]), np.stack(drawn, axis=1))


def _fit(t: Array, mean: Array, resampled: Array) -> Fit:
    """The fit of ``mean`` (n,), with the interval from ``resampled`` (resamples, n)."""
    x, y = np.log(t), np.log(mean)
    weight = np.gradient(x)
    weight = weight / weight.mean()
    x0 = np.average(x, weights=weight)
    spread = np.sum(weight * (x - x0) ** 2)
    row = weight * (x - x0) / spread  # slope = row · y
    slope = float(row @ y)
    constant = float(np.average(y, weights=weight) - slope * x0)
    residual = y - constant - slope * x
    error = math.sqrt(float(np.sum(weight * residual**2)) / (len(x) - 2) / float(spread))
    ends = np.quantile(np.log(resampled) @ row, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    interval = (float(ends[0]), float(ends[1]))
    return Fit(slope, math.exp(constant), error, interval, float(t[0]), float(t[-1]), len(t))


def slopes_by_start(t: Array, values: Array, shortest: float = 10**0.5, count: int = 30) -> pd.DataFrame:
    """Slopes of fits to [low, T] for ``count`` log-spaced low from the first t > 0 to T/``shortest``.

    Returns:
        low, high, slope, error, interval_low, interval_high; empty where the curve is too short for it.
    """
    first, last = _ends(t)
    starts = np.geomspace(first, last / shortest, count if last / shortest > first else 0)
    return slopes_by_range(t, values, [(low, last) for low in starts])


def slopes_by_window(t: Array, values: Array, width: float = 10.0, count: int = 30) -> pd.DataFrame:
    """Slopes of fits to the windows [low, ``width`` · low] inside the curve; columns as in :func:`slopes_by_start`."""
    first, last = _ends(t)
    starts = np.geomspace(first, last / width, count if last / width > first else 0)
    return slopes_by_range(t, values, [(low, low * width) for low in starts])


def _ends(t: Array) -> tuple[float, float]:
    positive = np.asarray(t, dtype=float)[np.asarray(t) > 0]
    return (float(positive[0]), float(positive[-1])) if len(positive) else (1.0, 0.5)


def slopes_by_range(t: Array, values: Array, ranges: Sequence[tuple[float, float]]) -> pd.DataFrame:
    """Slopes of fits to the ranges [low, high] that hold three points or more; columns as above."""
    t, values = np.asarray(t, dtype=float), np.atleast_2d(np.asarray(values, dtype=float))
    resampled, rows = _resampled(values), []
    for low, high in ranges:
        slack = 1 + 1e-9  # a rounded end must not lose its point
        if np.sum((t >= low / slack) & (t <= high * slack)) >= 3:
            fit = _fit_range(t, values, resampled, low / slack, high * slack)
            rows.append((low, high, fit.slope, fit.error, *fit.interval))
    return pd.DataFrame(rows, columns=["low", "high", "slope", "error", "interval_low", "interval_high"])


def standard_ranges(last: float) -> list[tuple[float, float]]:
    """The fit ranges the study reports, as far as a curve that ends at ``last`` has room for them.

    Everything; without the start; the last decade; what a run of a tenth the length would have shown.
    """
    ranges = ((1.0, last), (10.0, last), (last / 10, last), (10.0, last / 10))
    return [(low, high) for low, high in ranges if high >= _SHORTEST * low]


#: A range shorter than this factor shows a tangent rather than a power law.
_SHORTEST = 3.0


def bound_exponent(p: float) -> float:
    """−1/(3p−2): the averaged hypergradient norm is at most C·T^{−1/(3p−2)} under Theorem 5.1's schedule."""
    return -1 / (3 * p - 2)
