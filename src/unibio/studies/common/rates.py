"""Power laws fitted on log–log axes: slope, its interval over the seeds, and both by fit range.

Every seed's curve is fitted by itself; the slope is the mean of the seeds' slopes, that is, the slope of their
geometric mean. Points are weighted by the logarithmic length they stand for, so that every decade counts the same and
the slope does not depend on where the history happens to be logged.

The interval is Student's on the seeds' slopes: seeds are independent of each other, points of one curve are not, and
nothing is assumed of them. Where slopes are normally distributed over the seeds its coverage is exact whatever their
number; simulated with 5, 10 and 30 seeds it is 95% to within a percentage point, both for errors along a curve that are
an AR(1) process and for seeds that have slopes of their own (``tests/studies/test_rates.py``). Residuals give no
standard error: those of a running average are so correlated that it would be a tenth of the truth.

Seeds whose curves are equal to the bit are one run and count once. A single run has no interval: if it is deterministic
there is nothing to be uncertain about, and if it is not, nothing is known of the spread.

An interval holds for a fit range that was fixed beforehand. Rules that look at many ranges must ask the same of each
of them: what is required of all holds at least with the confidence of a single one, and no range is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from unibio.errors import InputError
from unibio.studies.common.curves import Array

#: Confidence of the intervals of slopes.
LEVEL = 0.95
#: A range shorter than this factor shows a tangent rather than a power law.
SHORTEST = 3.0
#: Of a table of slopes by fit range.
COLUMNS = ["low", "high", "slope", "interval_low", "interval_high", "of_mean", "seeds"]


@dataclass(frozen=True)
class Fit:
    """value ≈ constant · t^slope for t in [low, high].

    Attributes:
        slope, constant: of the geometric mean over the seeds; the slope is the mean of the seeds' own.
        interval: of the slope, Student's at 95% over the distinct seeds; None for a single one, or where their slopes
            are all equal.
        of_mean: slope of the logarithm of the arithmetic mean over the seeds, which a bound on an expectation is about;
            it leaves ``slope`` where few seeds make up the mean. No interval belongs to it.
        low, high: the fit range.
        points: logged iterations in it.
        seeds: how many of them are distinct.
    """

    slope: float
    constant: float
    interval: tuple[float, float] | None
    of_mean: float
    low: float
    high: float
    points: int
    seeds: int

    def __call__(self, t: Array) -> Array:
        return self.constant * np.asarray(t, dtype=float) ** self.slope

    def row(self) -> list[float]:
        """Its entries in the order of ``COLUMNS``, NaN for the interval where there is none."""
        interval = self.interval or (math.nan, math.nan)
        return [self.low, self.high, self.slope, *interval, self.of_mean, self.seeds]

    def said(self) -> str:
        """ "slope −0.250 (95% interval −0.270 to −0.230, 10 seeds)", or that there is no interval."""
        return f"slope {_minus(self.slope)} ({interval_said(*(self.interval or (math.nan, math.nan)), self.seeds)})"


def interval_said(low: float, high: float, seeds: float) -> str:
    """An interval of a slope in words; NaN where there is none."""
    if math.isfinite(low):
        return f"{LEVEL:.0%} interval {_minus(low)} to {_minus(high)}, {int(seeds)} seeds"
    return "no interval: a single run" if seeds == 1 else f"no interval: the same for all {int(seeds)} seeds"


def _minus(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def fit_power_law(t: Array, values: Array, low: float | None = None, high: float | None = None) -> Fit:
    """Least squares of log(value) on log t for every seed.

    Args:
        t: (n,) ascending; points at t ≤ 0 are left out.
        values: (seeds, n) or (n,), positive.
        low, high: fit range, both ends included; default everything. To be fixed before looking at the values: the
            interval knows nothing of a choice among ranges.

    Raises:
        InputError: fewer than three points in the range, or values there that are not positive and finite.
    """
    t, values = np.asarray(t, dtype=float), distinct(values)
    low = low if low is not None else 0.0
    return _fit_range(t, values, low, high if high is not None else math.inf)


def distinct(values: Array) -> Array:
    """(distinct seeds, n): curves (seeds, n) or (n,) of which those that are equal to the bit are taken once."""
    values = np.atleast_2d(np.asarray(values, dtype=float))
    _, first = np.unique(values, axis=0, return_index=True)
    kept: Array = values[np.sort(first)]
    return kept


def _fit_range(t: Array, values: Array, low: float, high: float) -> Fit:
    inside = (t > 0) & (t >= low) & (t <= high)
    if np.sum(inside) < 3:
        raise InputError(f"a power law needs at least 3 points, the fit range [{low:g}, {high:g}] has {np.sum(inside)}")
    if not np.isfinite(values[:, inside]).all() or not (values[:, inside] > 0).all():
        raise InputError(f"a power law needs positive finite values in the fit range [{low:g}, {high:g}]")
    return _fit(t[inside], values[:, inside])


def fit_sweep(horizons: Sequence[float], samples: Sequence[Array]) -> Fit:
    """The same for a sweep of horizons, each with runs of the same seeds: final values against T.

    A seed's slope is that of its runs over the horizons, whose errors may depend on each other.

    Args:
        horizons: T, ascending.
        samples: one (seeds,) array a horizon, the seeds in the same order.

    Raises:
        InputError: fewer than three horizons, numbers of seeds that differ, or values that are not positive and finite.
    """
    if len(horizons) < 3:
        raise InputError(f"a power law needs at least 3 horizons, there are {len(horizons)}")
    if len({len(sample) for sample in samples}) != 1:
        raise InputError(f"a sweep needs the same seeds at every horizon, has {[len(sample) for sample in samples]}")
    return fit_power_law(np.asarray(horizons, dtype=float), np.stack([np.asarray(s) for s in samples], axis=1))


def _fit(t: Array, values: Array) -> Fit:
    """The fit of (distinct seeds, n) positive values."""
    x, y = np.log(t), np.log(values)
    weight = np.gradient(x)
    x0 = np.average(x, weights=weight)
    row = weight * (x - x0) / np.sum(weight * (x - x0) ** 2)  # slope = row · y
    slopes = y @ row
    slope, seeds = float(slopes.mean()), len(slopes)
    constant = float(np.average(y.mean(axis=0), weights=weight) - slope * x0)
    of_mean = float(row @ np.log(values.mean(axis=0)))
    ends = (float(t[0]), float(t[-1]))
    return Fit(slope, math.exp(constant), student(slopes), of_mean, *ends, len(t), seeds)


def student(values: Array, confidence: float = LEVEL) -> tuple[float, float] | None:
    """Student's interval of the mean of independent values; None for fewer than two, or where all are equal."""
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    half = stdtrit(len(values) - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def slopes_by_start(t: Array, values: Array, shortest: float = 10**0.5, count: int = 30) -> pd.DataFrame:
    """Slopes of fits to [low, T] for ``count`` log-spaced low from the first t > 0 to T/``shortest``.

    Returns:
        ``COLUMNS``, NaN for intervals that there are not; empty where the curve is too short for it.
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
    t, values, rows = np.asarray(t, dtype=float), distinct(values), []
    for low, high in ranges:
        slack = 1 + 1e-9  # a rounded end must not lose its point
        if np.sum((t >= low / slack) & (t <= high * slack)) >= 3:
            fit = _fit_range(t, values, low / slack, high * slack)
            rows.append([low, high, *fit.row()[2:]])
    return pd.DataFrame(rows, columns=COLUMNS)


def standard_ranges(last: float) -> list[tuple[float, float]]:
    """The fit ranges that are reported, as far as a curve that ends at ``last`` has room for them.

    Everything; without the start; the last decade; what a run of a tenth the length would have shown.
    """
    ranges = ((1.0, last), (10.0, last), (last / 10, last), (10.0, last / 10))
    return [(low, high) for low, high in ranges if high >= SHORTEST * low]


def bound_exponent(p: float) -> float:
    """−1/(3p−2): the averaged hypergradient norm is at most C·T^{−1/(3p−2)} under Theorem 5.1's schedule."""
    return -1 / (3 * p - 2)


def against_bound(slopes: pd.DataFrame, bound: float) -> int:
    """Whether fits over several ranges all lie at or below an exponent (−1), all above it (1), or neither (0).

    At or below: the upper end of every interval is, and so is the slope of every arithmetic mean over the seeds. Above:
    both the lower end of every interval and every slope of the mean are. Without an interval the slope stands for it,
    which only a caller who knows that the run is deterministic may let it do.

    Args:
        slopes: ``COLUMNS``, at least one row.
    """
    if slopes.empty:
        raise InputError("no fit to hold against an exponent")
    low, high = (slopes[f"interval_{end}"].fillna(slopes["slope"]) for end in ("low", "high"))
    if (np.maximum(high, slopes["of_mean"]) <= bound).all():
        return -1
    return int((np.minimum(low, slopes["of_mean"]) > bound).all())
