"""Two groups of hyper-cleaning of sentence pairs compared seed by seed, and what such a comparison could have seen.

A seed has its own flips, initial weights and minibatches, which all methods share: what tells two methods apart is how
far they lie apart *within* seeds. The test pairs are the same for all seeds, so that an interval is about these pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from unibio.studies.common.statistics import CONFIDENCE

#: Fewer seeds tell nothing apart: a spread is not known from two.
LEAST_SEEDS = 3
#: The probability with which a difference of the size that "could have been seen" is seen.
POWER = 0.8


@dataclass(frozen=True)
class Paired:
    """Mean difference of two methods over the seeds that both have.

    Attributes:
        mean: of one minus the other; NaN without a seed.
        low, high: its Student interval; NaN for fewer than two seeds.
        detectable: a mean difference that such an interval tells from 0 with probability ``POWER``, given the spread of
            these seeds; NaN for fewer than two.
        seeds: how many both completed.
        lost: whether one of the two lacks a seed of the other, or diverged on it.
    """

    mean: float
    low: float
    high: float
    detectable: float
    seeds: int
    lost: bool

    @property
    def order(self) -> int:
        """1 where the first is above beyond the interval, −1 where it is below, 0 where that is not told.

        What is left of seeds of which some were lost tells nothing.
        """
        if self.lost or self.seeds < LEAST_SEEDS:
            return 0
        return 1 if self.low > 0 else (-1 if self.high < 0 else 0)

    @property
    def numbers(self) -> dict[str, float]:
        """For JSON."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "detectable": self.detectable}


def paired(one: pd.Series, other: pd.Series, looks: int = 1) -> Paired:
    """Compare by seed.

    Args:
        one, other: (seeds,) values by seed, NaN where a run diverged.
        looks: how many intervals are read together; each is widened for all to hold (Bonferroni).
    """
    found = (one - other).dropna().to_numpy(dtype=float)
    count, width, detectable = len(found), math.nan, math.nan
    if count > 1:
        error = float(found.std(ddof=1)) / math.sqrt(count)
        beyond = float(stdtrit(count - 1, 1 - (1 - CONFIDENCE) / (2 * looks)))
        width, detectable = beyond * error, (beyond + float(stdtrit(count - 1, POWER))) * error
    mean = float(found.mean()) if count else math.nan
    lost = count < len(set(one.index) | set(other.index))
    return Paired(mean, mean - width, mean + width, detectable, count, lost)


def could_be_seen(found: Iterable[Paired]) -> str:
    """As a clause: the largest of what the comparisons could have seen."""
    sizes = [one.detectable for one in found if one.seeds >= LEAST_SEEDS]
    if not sizes:
        return "too few seeds to say which difference could have been seen"
    return f"a difference of {max(sizes):.3f} could have been seen in {POWER:.0%} of such studies"


def rounded(one: Paired, digits: int = 3) -> str:
    """ "+0.012 [−0.001, +0.025]"."""
    mean, low, high = (f"{np.round(value, digits):+.{digits}f}" for value in (one.mean, one.low, one.high))
    return f"{mean} [{low}, {high}]".replace("-", "−")
