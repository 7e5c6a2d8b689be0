"""PL ratios ‖∇‖²/(2 excess) along trajectories, and the iterations that it takes to come within ε.

An inequality holds along trajectories with every μ up to the least of its ratios there. It is seen to hold where the
runs come close to the minimum and the least ratio does not tend to 0 on the way: neither beside the ratios at the
starts, as where runs come to rest elsewhere, nor as a power of the excess over the last decades (of y⁴ it is 1/2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common.curves import Array
from unibio.studies.common.evidence import Evidence, column
from unibio.studies.common.rates import distinct

EXPERIMENT = "pl_conditions"
REPRESENTATION, LINEAR = "representation_conditions", "linear_cleaning_conditions"
WEIGHTED, WELL = "weighted_cleaning_conditions", "double_well_conditions"
PROBLEMS = {
    REPRESENTATION: "representation learning",
    LINEAR: "linear hyper-cleaning",
    WEIGHTED: "hyper-cleaning, weights matter",
    WELL: "a spurious local minimum",
}
#: The inequalities: of the penalised objective in both variables, in y, and of its least value over y.
PARTS = {"joint": "joint", "lower": "blockwise, in y", "upper": "blockwise, in x"}
#: Which of them are measured where: L*_γ of representation learning is constant wherever W₁ is of full rank.
MEASURED = {
    REPRESENTATION: ("joint", "lower"),
    LINEAR: ("joint", "lower", "upper"),
    WEIGHTED: ("joint", "lower", "upper"),
    WELL: ("joint", "lower", "upper"),
}
#: Excesses below the first are mostly rounding; one below the second is small: every run must get there.
FLOOR, REACHED = 1e-10, 1e-8
#: The last decades of the excess above ``REACHED``, over which the ratio must not fall.
DECADES = 4


@dataclass(frozen=True, eq=False)
class Along:
    """One inequality along the trajectories of one record.

    Attributes:
        problem, penalty, part: of ``PROBLEMS``, γ, and of ``PARTS``.
        excess, ratio: (starts, n) by logged iteration; the ratio is inf where the excess is mostly rounding. Both are
            NaN throughout where a run diverged, a number is not finite, or an excess is below the minimum.
    """

    problem: str
    penalty: float
    part: str
    excess: Array
    ratio: Array

    def row(self) -> dict[str, Any]:
        """Its row of :func:`moduli`."""
        by_start, begun = self.ratio.min(axis=1), float(np.median(self.ratio[:, 0]))
        least = float(by_start.min())
        row = {
            "problem": self.problem,
            "penalty": self.penalty,
            "part": self.part,
            "starts": len(distinct(self.excess)),
        }
        row |= {"least": least, "middle": float(np.median(by_start)), "share": least / begun if begun > 0 else math.nan}
        return row | {"exponent": self.exponent(), "left": float(self.excess.min(axis=1).max())}

    def exponent(self) -> float:
        """Slope of the logarithm of a decade's least ratio against that of the excess; NaN for too few decades.

        Over the last decades above ``REACHED`` that iterates were seen in: where x is kept in a box a run may step from
        an excess of 10⁻⁴ to none, and no trajectory then passes what lies between.
        """
        seen = np.isfinite(self.ratio) & (self.excess >= REACHED)
        decade = np.floor(np.log10(np.where(seen, self.excess, math.nan)))
        last = np.unique(decade[seen])[:DECADES]
        least = np.array([np.min(self.ratio, where=decade == one, initial=math.inf) for one in last])
        if len(last) < DECADES or not (least > 0).all():
            return math.nan
        return float(np.polyfit(last, np.log10(least), 1)[0])


def along(evidence: Evidence) -> list[Along]:
    """Every inequality of every record, by problem, inequality and γ; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record without the metrics.
    """
    return evidence.once(_along)


def _along(evidence: Evidence) -> list[Along]:
    found = [_of_part(record, part) for record in evidence.require(EXPERIMENT) for part in MEASURED[problem_of(record)]]
    problems, parts = list(PROBLEMS), list(PARTS)
    return sorted(found, key=lambda one: (problems.index(one.problem), parts.index(one.part), one.penalty))


def problem_of(record: Record) -> str:
    return str(record.config["problem"]["name"])


def penalty_of(record: Record) -> float:
    return float(record.config["algorithm"]["penalty"])


def _of_part(record: Record, part: str) -> Along:
    excess, slope = (_grid(record, column(record, f"{part}_{of}"))[1] for of in ("excess", "slope"))
    completed = bool((record.runs["status"] == "completed").all())
    if not completed or not np.isfinite([excess, slope]).all() or (excess < -REACHED).any():
        excess = slope = np.full(excess.shape, math.nan)
    ratio = np.where(excess <= FLOOR, math.inf, slope**2 / (2 * np.maximum(excess, FLOOR)))
    return Along(problem_of(record), penalty_of(record), part, excess, ratio)


def _grid(record: Record, values: pd.Series) -> tuple[Array, Array]:
    """(n,) logged iterations, and (runs, n) a column of the history, NaN where a run has no row."""
    t, at = np.unique(record.history["iteration"].to_numpy(), return_inverse=True)
    found = np.full((len(record.runs), len(t)), math.nan)
    found[record.history["run"].to_numpy(), at] = values.to_numpy(dtype=float)
    return t, found


def moduli(evidence: Evidence) -> pd.DataFrame:
    """A row per problem, inequality and γ.

    Returns:
        problem, penalty, part, starts (different ones); least, the largest μ that all iterates allow; middle, the
        median over the starts of their least; share, least over the median ratio at the starts; exponent of the excess
        in the ratio over the last decades, NaN where too few were passed; left, the largest over the starts of the
        least excess seen.
    """
    return evidence.once(_moduli)


def _moduli(evidence: Evidence) -> pd.DataFrame:
    return pd.DataFrame([one.row() for one in along(evidence)])


def first_within(evidence: Evidence, penalty: float, levels: Array) -> Array:
    """(starts, levels) iterations until both gaps of representation learning are at most a level, and stay there.

    Interpolated in the logarithm of the gap between logged iterations; NaN where a run does not get there, or lies
    below from the start on.
    """
    (record,) = [
        one for one in evidence.require(EXPERIMENT) if problem_of(one) == REPRESENTATION and penalty_of(one) == penalty
    ]
    t, gaps = _grid(record, np.maximum(column(record, "upper_gap").abs(), column(record, "lower_gap")))
    found = np.full((len(gaps), len(levels)), math.nan)
    for run, gap in enumerate(gaps):
        if record.runs["status"].iloc[run] != "completed":
            continue
        gap = np.maximum(gap, 1e-300)
        for place, level in enumerate(levels):
            above = np.flatnonzero(~(gap <= level))
            if len(above) and above[-1] + 1 < len(t):
                i = above[-1]
                share = math.log(gap[i] / level) / math.log(gap[i] / gap[i + 1])
                found[run, place] = t[i] + share * (t[i + 1] - t[i])
    return found


def penalties(evidence: Evidence, problem: str) -> list[float]:
    """γ of a problem's records, ascending.

    Raises:
        InputError: two records have the same.
    """
    found = sorted(penalty_of(one) for one in evidence.require(EXPERIMENT) if problem_of(one) == problem)
    if len(set(found)) < len(found):
        raise InputError(f"{EXPERIMENT} has several records of {problem} with one penalty; it needs one of each")
    return found
