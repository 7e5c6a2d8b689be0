"""Global optimality from random starts: distances to optima that are known independently.

Every method runs at the best of its pairs of steps, at each penalty: the one of the least mean distance over the
choosing starts. Other starts judge it.

On every problem two numbers must vanish together: the gap of f to the global optimum and the lower level's own gap
g − g*. On linear hyper-cleaning the penalty undercuts the optimum of f, so that its gap is negative: its size counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common import methods
from unibio.studies.common.curves import Array, axes
from unibio.studies.common.effort import Effort
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.search import Search, touched_by_any
from unibio.studies.common.starts import mean_over_starts, over_starts
from unibio.studies.common.widening import Touched

EXPERIMENT = "global_optimality"

PROBLEMS = {
    "representation": "representation learning",
    "linear_cleaning": "linear hyper-cleaning",
    "double_well": "a spurious local minimum",
}

#: Both gaps below this: the global optimum is reached.
REACHED = 1e-4
#: PBGD with fewer inner steps a step than this does not follow the lower level of representation learning.
FEW = 10
#: A well counts as the worse one where φ ends this much above its minimum.
WORSE = 0.1
#: Decades of the gap between which iterations are counted for the log curve, and how many times longer the later
#: decades may take than the first: log² for three and then six decades allows 3, one more for the start.
LEVELS, SLOWER = (1e-1, 1e-4, 1e-7), 4.0
#: Different starts that a statement about every start needs.
STARTS = 3
#: Least penalty of fits in γ: below it the weights' box is active and the penalty too weak to be in its limit.
LEAST_PENALTY = 30.0
#: Exponents in γ: −1 for f, −2 for g, and how far a fit over little more than a decade may be off.
EXPONENTS, OFF = {"upper": -1.0, "lower": -2.0}, 0.25


@dataclass(frozen=True)
class Descents:
    """The runs of one method with one penalty on one problem at its best steps, from the judging starts.

    Attributes:
        problem, algorithm: names.
        few: whether it takes few inner steps, in the comparison with as many as it needs.
        penalty: γ; nan for methods without.
        t: (n,) logged iterations.
        upper, lower: (starts, n) the gaps; inf after a run has diverged.
        effort: what it was given.
        steps: the chosen ones, by axis; {} where one setting was run.
        edges: {axis: "low" or "high"} where a chosen step is an end of its range.
        last_gain: what the last grid step towards these ends lowered the mean distance by, on the choosing starts.
    """

    problem: str
    algorithm: str
    few: bool
    penalty: float
    t: Array
    upper: Array
    lower: Array
    effort: Effort
    steps: dict[str, float]
    edges: dict[str, str]
    last_gain: float

    @property
    def method(self) -> str:
        """The method's label, with its inner steps where they are few."""
        return methods.label(self.algorithm) + ", few inner steps" * self.few

    @property
    def starts(self) -> int:
        """How many of the starts are different: runs that are equal to the bit are one."""
        return len(np.unique(np.concatenate([self.upper, self.lower], axis=1), axis=0))

    @property
    def close(self) -> bool:
        """Whether it is PBGD that follows the lower level closely."""
        return self.algorithm == "pbgd" and not self.few

    @property
    def label(self) -> str:
        """For legends and tables."""
        return self.method + (f", γ = {self.penalty:.3g}" if math.isfinite(self.penalty) else "")

    @property
    def reached(self) -> Array:
        """(starts,) whether both gaps end below ``REACHED``."""
        return (np.abs(self.upper[:, -1]) <= REACHED) & (self.lower[:, -1] <= REACHED)


def descents(evidence: Evidence, problem: str | None = None) -> list[Descents]:
    """Every method and penalty, in the order of ``PROBLEMS``, of the methods and of γ."""
    found: list[Descents] = []
    for record in evidence.require(EXPERIMENT):
        name = record.config["problem"]["name"]
        if problem in (None, name):
            found += _split(record, name)
    return sorted(found, key=lambda one: (list(PROBLEMS).index(one.problem), one.few, one.method, one.penalty))


def _split(record: Record, problem: str) -> list[Descents]:
    algorithm = record.config["algorithm"]
    name = algorithm["name"]
    few = problem == "representation" and name == "pbgd" and int(algorithm["lower_iterations"]) < FEW
    t, values = _gaps(record)
    found = []
    for penalty, at, one in _searches(record, values[..., -1]):
        cell = one.best() or (0,) * len(one.steps)
        upper, lower = values[:, at[one.runs(cell, judging=True)]]
        steps = {axis: step for axis, step in one.at(cell).items() if axis != "setting"}
        given = (one.effort(), steps, one.ends(cell), one.gain_at_ends(cell))
        found.append(Descents(problem, name, few, penalty, t, upper, lower, *given))
    return found


def _gaps(record: Record) -> tuple[Array, Array]:
    """(n,) logged iterations and (2, runs, n) both gaps."""
    history = record.history
    t, at = np.unique(history["iteration"].to_numpy(), return_inverse=True)
    values = np.full((2, len(record.runs), len(t)), np.inf)
    for i, column in enumerate(("upper_gap", "lower_gap")):
        numbers = history[column].to_numpy(dtype=float)
        values[i, history["run"].to_numpy(), at] = np.where(np.isfinite(numbers), numbers, np.inf)
    values[:, (record.runs["status"] != "completed").to_numpy(), -1] = np.inf  # also where all have diverged
    return t, values


def _searches(record: Record, ends: Array) -> Iterator[tuple[float, NDArray[np.intp], Search]]:
    """By penalty: its runs, and their search over steps, from both gaps at the end, (2, runs)."""
    algorithm, runs = record.config["algorithm"], record.runs.reset_index(drop=True)
    if "penalty" not in runs:
        runs["penalty"] = float(algorithm["penalty"]) if algorithm["name"] == "pbgd" else math.nan
    searched = [axis for axis in axes(record) if axis not in ("start_seed", "penalty")]
    start = "start_seed" if "start_seed" in runs else "seed"
    for penalty, group in runs.groupby("penalty", dropna=False):
        at = group.index.to_numpy()
        distance = np.abs(ends[:, at]).max(axis=0)
        choosing = lambda n: max(1, n // 5)  # noqa: E731
        found = over_starts(record.name, group, distance, searched, start, choosing=choosing, middle=mean_over_starts)
        yield float(str(penalty)), at, found


def touched(record: Record) -> list[Touched]:
    """The ranges of one record whose chosen step is one of their ends, at some penalty.

    Raises:
        InputError: a record that does not hold every pair of steps for every start.
    """
    return touched_by_any(record, [found for _, _, found in _searches(record, _gaps(record)[1][..., -1])])


def summary(evidence: Evidence) -> pd.DataFrame:
    """One row per method and penalty: share of the starts that reach the optimum, and the gaps at the end."""
    rows = []
    for one in descents(evidence):
        upper, lower = one.upper[:, -1], one.lower[:, -1]
        row = {"problem": one.problem, "method": one.label, "tried": one.effort.configurations, **one.steps}
        row |= {"starts": len(upper), "reached": float(one.reached.mean())}
        row |= {"upper_gap": _middle(upper), "upper_gap_min": upper.min(), "upper_gap_max": upper.max()}
        rows.append(row | {"lower_gap": _middle(lower), "lower_gap_max": lower.max()})
    return pd.DataFrame(rows)


def _middle(values: Array) -> float:
    return float(np.quantile(values, 0.5, method="higher"))


def penalty_exponents(evidence: Evidence) -> pd.DataFrame:
    """Gaps of linear hyper-cleaning at the end against γ: penalty, |upper|, lower and their ranges over the starts."""
    rows = []
    for one in descents(evidence, "linear_cleaning"):
        if one.close:
            upper, lower = np.abs(one.upper[:, -1]), one.lower[:, -1]
            row = {"penalty": one.penalty, "upper": _middle(upper), "upper_min": upper.min(), "upper_max": upper.max()}
            rows.append(row | {"lower": _middle(lower), "lower_min": lower.min(), "lower_max": lower.max()})
    return pd.DataFrame(rows)
