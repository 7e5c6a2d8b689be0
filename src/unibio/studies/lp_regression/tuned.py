"""ℓ_p-regression hyper-cleaning: every method at its best pair of steps, for each p, from the records of one budget.

Criterion: φ at the end of the budget. The pair of steps is chosen by its median over the first half of the seeds;
everything reported comes from the other half, so that no method is rewarded for the luck of its best cell. The seeds
draw minibatches: they share one data set, and what varies between data sets is not in their spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common import methods, widening
from unibio.studies.common.curves import Array, last_rows
from unibio.studies.common.evidence import Evidence, exponent
from unibio.studies.common.search import Cell, Search, search
from unibio.studies.common.statistics import CONFIDENCE, auc_error
from unibio.studies.common.widening import Touched

EXPERIMENT = "lp_regression"
#: The exponents of this experiment; 3 instead of 8, which the data do not need.
EXPONENTS = (2, 3, 4, 6)
METRIC = "value"
AXES = ("upper_step", "lower_step")
#: A method that draws this many times the data points of another for the same calls spends more, whatever calls say.
SAME_SAMPLES = 1.1

#: The methods, in the order of tables and legends.
ORDER = ("unibio", "stocbio", "bsa", "ttsa", "sustain", "mrbo", "vrbo", "soba", "ma_soba", "saba", "amigo", "bo_rep")


@dataclass(frozen=True, eq=False)
class Tuned:
    """One method at one exponent: its search, and the runs at the best pair of steps.

    Attributes:
        record: it comes from.
        exponent: p.
        search: over (a, b) pairs of upper and lower steps; φ at the end is the criterion.
        at: the chosen pair; None where no pair is finite.
        runs: the reported runs of the chosen pair, one row each: the last logged values; φ is inf in a diverged run.
        diverged: how many of all the record's runs diverged.
    """

    record: Record
    exponent: int
    search: Search
    at: Cell | None
    runs: pd.DataFrame
    diverged: int

    @property
    def algorithm(self) -> str:
        """The method's name."""
        return str(self.record.config["algorithm"]["name"])

    @property
    def own(self) -> bool:
        """Whether it is UniBiO, which takes part with two inner budgets."""
        return self.algorithm == "unibio"

    @property
    def method(self) -> str:
        """The method's label; UniBiO's carries the inner budget K."""
        budget = f", K = {self.record.config['algorithm']['inner_budget']}" if self.own else ""
        return methods.label(self.algorithm) + budget

    @property
    def steps(self) -> dict[str, float]:
        """The chosen steps, by axis; NaN where no pair is finite."""
        return dict.fromkeys(AXES, math.nan) if self.at is None else self.search.at(self.at)

    @property
    def values(self) -> Array:
        """(reported seeds,) φ at the end; empty where no pair is finite."""
        return self.runs[METRIC].to_numpy(dtype=float)

    def middle(self, column: str = METRIC) -> float:
        """Median of a column over the reported runs; for φ inf, else nan, where there is none."""
        values = self.runs[column].to_numpy(dtype=float)
        if column == METRIC:
            return float(np.quantile(values, 0.5, method="higher")) if len(values) else math.inf
        values = values[np.isfinite(self.values)]
        return float(np.median(values)) if len(values) else math.nan

    def spread(self, column: str) -> tuple[float, float]:
        """Least and largest of a column over the reported runs that did not diverge; nan where there is none."""
        values = self.runs[column].to_numpy(dtype=float)[np.isfinite(self.values)]
        return (float(values.min()), float(values.max())) if len(values) else (math.nan, math.nan)

    def edges(self) -> dict[str, str]:
        """{"upper_step" | "lower_step": "low" | "high"} where the chosen step is an end of its range."""
        return self.search.ends(self.at)

    def last_gain(self) -> float:
        """What the last grid step towards the edges lowered φ by, on the choosing seeds; 0 where no edge is touched."""
        return self.search.gain_at_ends(self.at)

    def auc_interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Interval of the AUC: the union of the reported runs' intervals over images (Hanley and McNeil, 1982).

        Args:
            confidence: of every run's own interval, in (0, 1).
        """
        problem = self.record.config["problem"]
        wrong = round(float(problem["corruption_rate"]) * int(problem["size_lower"]))
        right = int(problem["size_lower"]) - wrong
        values = self.runs["cleaning_auc"].to_numpy(dtype=float)[np.isfinite(self.values)]
        if not len(values) or not wrong or not right:
            return math.nan, math.nan
        error = auc_error(values, right, wrong) * NormalDist().inv_cdf((1 + confidence) / 2)
        return float((values - error).min()), float((values + error).max())


def tuned(evidence: Evidence, p: int | None = None) -> list[Tuned]:
    """Every method at every exponent (or at one), by exponent, UniBiO first.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that is not a full grid of both steps and the seeds.
    """
    return [one for one in evidence.once(_all_tuned) if p is None or one.exponent == p]


def _all_tuned(evidence: Evidence) -> list[Tuned]:
    return sorted(map(tune, evidence.require(EXPERIMENT)), key=lambda one: (one.exponent, _place(one)))


def _place(one: Tuned) -> tuple[int, int]:
    """Sorting key: in the order of ``ORDER``, the larger inner budget before the smaller."""
    place = ORDER.index(one.algorithm) if one.algorithm in ORDER else len(ORDER)
    return place, -int(one.record.config["algorithm"].get("inner_budget") or 0)


def tune(record: Record) -> Tuned:
    """Choose the pair of steps of one record.

    Raises:
        InputError: the record does not hold every pair of ``upper_step`` and ``lower_step`` for every seed.
    """
    table = record.runs.reset_index(drop=True)
    last = last_rows(record.history).reindex(range(len(table)))
    failed = (table["status"] != "completed").to_numpy() | ~np.isfinite(last[METRIC].to_numpy(dtype=float))
    last[METRIC] = np.where(failed, np.inf, last[METRIC].to_numpy(dtype=float))
    found = search(record.name, table, last[METRIC].to_numpy(), AXES, choosing=lambda seeds: max(1, seeds // 2))
    at = found.best()
    keep = np.zeros(len(table), dtype=bool) if at is None else found.runs(at, judging=True)
    runs = last[keep].assign(run=np.flatnonzero(keep), status=table["status"].to_numpy()[keep])
    return Tuned(record, exponent(record), found, at, runs, int(failed.sum()))


def reported(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_]:
    """(runs,) the judging ones at the chosen pair, whose curves alone are shown."""
    found = np.zeros(len(record.runs), dtype=bool)
    found[tune(record).runs["run"].to_numpy()] = True
    return found


def summary(found: Sequence[Tuned]) -> pd.DataFrame:
    """One row per exponent and method: the chosen steps and whether they are at an edge, and the reported values."""
    rows = []
    for one in found:
        edges = one.edges()
        row: dict[str, Any] = {"p": one.exponent, "method": one.method, "algorithm": one.algorithm}
        for name, step in one.steps.items():
            row |= {name: step, f"{name.removesuffix('_step')}_edge": edges.get(name, "")}
        row |= {"gain_of_last_step_outwards": one.last_gain()}
        row |= {"value_choosing_seeds": math.inf if one.at is None else float(one.search.chosen_by[one.at])}
        row |= {"value": one.middle(), "value_min": one.spread(METRIC)[0], "value_max": one.spread(METRIC)[1]}
        for column in ("test_accuracy", "cleaning_auc"):
            low, high = one.spread(column)
            row |= {column: one.middle(column), f"{column}_min": low, f"{column}_max": high}
        low, high = one.auc_interval()
        row |= {"cleaning_auc_low": low, "cleaning_auc_high": high}
        for column in ("weight_spread", "lower_error", "hypergradient_norm", "oracle_calls", "samples", "iteration"):
            row[column] = one.middle(column)
        row |= {"reported_seeds": len(one.runs), "seeds_split": one.search.split}
        row |= {"reported_diverged": int((~np.isfinite(one.values)).sum())}
        row |= {"diverged": one.diverged, "runs": len(one.record.runs)}
        rows.append(row)
    return pd.DataFrame(rows)


def curve(one: Tuned) -> pd.DataFrame:
    """φ of the reported runs at the chosen steps: iteration, oracle_calls, median, min, max; empty where none is.

    A run that spent its budget early (random lengths of Neumann sums) keeps its last value while the others go on.
    """
    history = one.record.history
    rows = history[history["run"].isin(one.runs["run"])]
    calls, values = (
        rows.pivot(index="iteration", columns="run", values=name).astype(float).ffill()
        for name in ("oracle_calls", METRIC)
    )
    for run in one.runs["run"][~np.isfinite(one.values)]:
        values[run] = values[run].where(values.index < rows["iteration"][rows["run"] == run].max(), np.inf)
    table = {"oracle_calls": calls.median(axis=1), "median": values.quantile(0.5, axis=1, interpolation="higher")}
    return pd.DataFrame({**table, "min": values.min(axis=1), "max": values.max(axis=1)}).reset_index()


def lowest(found: Sequence[Tuned]) -> dict[int, float]:
    """{p: the lowest φ at the end that any run of any method and any pair of steps has}."""
    least: dict[int, float] = {}
    for one in found:
        runs = one.record.runs.reset_index(drop=True)
        done = runs.index[runs["status"] == "completed"]
        last = last_rows(one.record.history)[METRIC].reindex(done)
        least[one.exponent] = min(least.get(one.exponent, math.inf), float(last.min()) if len(last) else math.inf)
    return least


def separated(first: Tuned, second: Tuned) -> int:
    """−1 where all reported runs of the first end lower than all of the second, 1 where all end higher, else 0.

    0, too, where one of them has fewer than two runs, of which one each is always apart, or a run that diverged: to be
    finite is not to be lower. What two methods that are alike give is :func:`false_alarm`.
    """
    one, other = first.values, second.values
    if min(len(one), len(other)) < 2 or not (np.isfinite(one).all() and np.isfinite(other).all()):
        return 0
    return -1 if one.max() < other.min() else (1 if one.min() > other.max() else 0)


def false_alarm(first: Tuned, second: Tuned) -> float:
    """Chance that :func:`separated` orders two methods that are alike, one way or the other: 2 / (n + m over n)."""
    n, m = len(first.values), len(second.values)
    return 2 / math.comb(n + m, n) if min(n, m) >= 2 else 0.0


def touched(record: Record) -> list[Touched]:
    """The ranges of one search whose chosen step is one of their ends: φ changes little in relative terms.

    Raises:
        InputError: a record that is not a full grid of both steps.
    """
    found = tune(record)
    return widening.touched(record, found.search.steps, {axis: [end] for axis, end in found.edges().items()})
