"""PL ratios ‖∇‖²/(2 excess) along trajectories, and the iterations that it takes to come within ε.

An inequality holds along trajectories with every μ up to the least of its ratios there. It is seen to hold where the
runs come close to the minimum and the least ratio does not tend to 0 on the way: neither beside the ratios at the starts,
as where runs come to rest elsewhere, nor as a power of the excess over the last decades (of y⁴ it is 1/2).
"""

from __future__ import annotations

import math

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
#: Decades of the excess above ``REACHED`` over which the ratio must not fall.
DECADES = 4


def ratios(evidence: Evidence) -> pd.DataFrame:
    """problem, penalty, part, run, iteration, excess and ratio, of iterates whose excess is above rounding errors.

    A run that diverged has a row whose excess is infinite and whose ratio is not defined.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record without the metrics.
    """
    found: pd.DataFrame = evidence.once(_ratios)
    return found


def _ratios(evidence: Evidence) -> pd.DataFrame:
    parts = [_of_part(record, part) for record in evidence.require(EXPERIMENT) for part in MEASURED[problem_of(record)]]
    found = pd.concat(parts, ignore_index=True)
    return found.sort_values(["problem", "penalty", "part", "run", "iteration"], ignore_index=True)


def problem_of(record: Record) -> str:
    return str(record.config["problem"]["name"])


def penalty_of(record: Record) -> float:
    return float(record.config["algorithm"]["penalty"])


def _of_part(record: Record, part: str) -> pd.DataFrame:
    excess, slope = (column(record, f"{part}_{of}").to_numpy(dtype=float) for of in ("excess", "slope"))
    ratio = np.where(excess < -REACHED, math.nan, slope**2 / (2 * np.maximum(excess, FLOOR)))  # below the minimum
    table = record.history[["run", "iteration"]].assign(
        excess=np.where(excess < -REACHED, math.nan, excess), ratio=ratio
    )
    lost = np.flatnonzero((record.runs["status"] != "completed").to_numpy())
    diverged = pd.DataFrame({"run": lost, "iteration": -1, "excess": math.inf, "ratio": math.nan})
    table = pd.concat([table, diverged], ignore_index=True) if len(lost) else table
    kept = table[~(table["excess"] <= FLOOR)]  # what is not defined stays, and is seen
    return kept.assign(problem=problem_of(record), penalty=penalty_of(record), part=part)


def moduli(evidence: Evidence) -> pd.DataFrame:
    """A row per problem, γ and inequality.

    Returns:
        problem, penalty, part, starts (different ones); least, the largest μ that all iterates allow; middle, the median
        over the starts of their least; share, least over the median ratio at the starts; exponent of the excess in the ratio over the
        last decades, NaN where too few were passed; left, the largest over the starts of the least excess seen.
    """
    found: pd.DataFrame = evidence.once(_moduli)
    return found


def _moduli(evidence: Evidence) -> pd.DataFrame:
    rows = []
    seen = ratios(evidence)
    left = _left(evidence)
    for (problem, penalty, part), group in seen.groupby(["problem", "penalty", "part"], sort=False):
        by_start = group.groupby("run")["ratio"].min()
        least, begun = float(group["ratio"].min(skipna=False)), group.loc[group["iteration"] == 0, "ratio"].median()
        row = {"problem": problem, "penalty": penalty, "part": part, "starts": left[problem, penalty, part][1]}
        row |= {"least": least, "middle": float(by_start.median()), "share": least / begun if begun > 0 else math.nan}
        rows.append(row | {"exponent": _exponent(group), "left": left[problem, penalty, part][0]})
    table = pd.DataFrame(rows)
    order = {name: at for at, name in enumerate((*PROBLEMS, *PARTS))}
    return table.sort_values(["problem", "part", "penalty"], key=lambda c: c.map(order).fillna(c), ignore_index=True)


def _left(evidence: Evidence) -> dict[tuple[str, float, str], tuple[float, int]]:
    """Of every problem, γ and inequality the largest over the starts of the least excess, and how many differ."""
    found = {}
    for record in evidence.require(EXPERIMENT):
        completed = (record.runs["status"] == "completed").to_numpy()
        for part in MEASURED[problem_of(record)]:
            excess = record.history.assign(excess=column(record, f"{part}_excess").to_numpy(dtype=float))
            least = excess.groupby("run")["excess"].agg(lambda values: values.min(skipna=False)).to_numpy(dtype=float)
            curves = excess.pivot_table(index="run", columns="iteration", values="excess", dropna=False).to_numpy()
            found[problem_of(record), penalty_of(record), part] = (
                float(np.max(least)) if completed.all() else math.inf,
                len(distinct(curves)),
            )
    return found


def _exponent(group: pd.DataFrame) -> float:
    """Slope of the logarithm of the least ratio of a decade against that of the excess; NaN without the last decades."""
    decades = np.floor(np.log10(group["excess"].to_numpy(dtype=float)))
    first = round(math.log10(REACHED))
    least = group.groupby(decades)["ratio"].min()
    least = least[(least.index >= first) & (least.index < first + DECADES)]
    if len(least) < DECADES or not (np.isfinite(least) & (least > 0)).all():
        return math.nan
    return float(np.polyfit(least.index.to_numpy(dtype=float), np.log10(least.to_numpy()), 1)[0])


def first_within(evidence: Evidence, penalty: float, levels: Array) -> Array:
    """(starts, levels) iterations until both gaps of representation learning are at most a level, and stay there.

    Interpolated in the logarithm of the gap between logged iterations; NaN where a run does not get there, or lies
    below from the start on.
    """
    (record,) = [
        one for one in evidence.require(EXPERIMENT) if problem_of(one) == REPRESENTATION and penalty_of(one) == penalty
    ]
    found = np.full((len(record.runs), len(levels)), math.nan)
    gaps = np.maximum(column(record, "upper_gap").abs(), column(record, "lower_gap"))
    for run, part in record.history.assign(gap=gaps).groupby("run"):
        if record.runs["status"].iloc[int(str(run))] != "completed":
            continue
        t, gap = part["iteration"].to_numpy(dtype=float), np.maximum(part["gap"].to_numpy(dtype=float), 1e-300)
        for place, level in enumerate(levels):
            above = np.flatnonzero(~(gap <= level))
            if len(above) and above[-1] + 1 < len(t):
                i = above[-1]
                share = math.log(gap[i] / level) / math.log(gap[i] / gap[i + 1])
                found[int(str(run)), place] = t[i] + share * (t[i + 1] - t[i])
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
