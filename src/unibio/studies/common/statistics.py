"""Intervals and comparisons of samples that several studies share."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from unibio.studies.common.curves import Array

#: Confidence of intervals.
CONFIDENCE = 0.95


def auc_error(auc: Array, right: int, wrong: int) -> Array:
    """Standard error of an AUC over samples, (n,), after Hanley and McNeil (1982), equations for negative exponentials.

    Args:
        auc: (n,) in [0, 1].
        right, wrong: number of clean and of corrupted samples.
    """
    both_right, both_wrong = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (right - 1) * (both_right - auc**2) + (wrong - 1) * (both_wrong - auc**2)
    return np.sqrt(np.maximum(variance, 0) / (right * wrong))


def no_higher(first: Array, second: Array, margin: float) -> int:
    """Whether one sample is no higher than another, with a margin: 1 for yes, −1 for no, 0 where it is not told.

    Yes: every value of the first lies at or below every value of the second, or the upper end of Welch's one-sided 95%
    interval of the difference of means lies below the margin. No: every value of the first lies above every value of
    the second and the means are further apart than the margin. More spread makes either less likely. Equal values count
    once, and samples of fewer than two distinct values or with one that is not finite tell nothing.

    Args:
        first, second: (n,), (m,) independent values, the smaller the better.
        margin: of the difference of means that does not matter, at least 0.
    """
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return 0
    first, second = np.unique(first), np.unique(second)
    if min(len(first), len(second)) < 2:
        return 0
    apart = float(first.mean() - second.mean())
    parts = [float(sample.var(ddof=1)) / len(sample) for sample in (first, second)]
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(first) - 1) + parts[1] ** 2 / (len(second) - 1))
    if first.max() <= second.min() or apart + stdtrit(freedom, CONFIDENCE) * np.sqrt(sum(parts)) <= margin:
        return 1
    return -1 if first.min() > second.max() and apart > margin else 0
