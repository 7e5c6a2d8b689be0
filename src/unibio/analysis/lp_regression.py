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

from unibio.analysis.curves import Array, steps_and_seeds
from unibio.analysis.study import Study, exponent
from unibio.records import Record

EXPERIMENT = "lp_regression"
#: The exponents of this experiment; 3 instead of 8, which the data do not need.
EXPONENTS = (2, 3, 4, 6)
METRIC = "value"
#: Confidence of the intervals of the AUC.
CONFIDENCE = 0.95
#: A method that draws this many times the data points of another for the same calls spends more, whatever calls say.
SAME_SAMPLES = 1.1


@dataclass(frozen=True)
class Tuned:
    """One method at one exponent: the criterion of every pair of steps, and the runs of the best.

    Attributes:
        record: it comes from.
        method: its label; UniBiO's carries the inner budget K.
        exponent: p.
        upper, lower: (a,), (b,) steps, ascending.
        chosen_by: (a, b) median φ at the end over the choosing seeds; inf where a run diverged.
        at: indices of the chosen pair; None where no pair is finite.
        runs: the reported runs of the chosen pair, one row each: the last logged values; φ is inf in a diverged run.
        split: whether they are other seeds than those that chose.
        diverged: how many of all the record's runs diverged.
    """

    record: Record
    method: str
    exponent: int
    upper: Array
    lower: Array
    chosen_by: Array
    at: tuple[int, int] | None
    runs: pd.DataFrame
    split: bool
    diverged: int

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
        found = {}
        for name, i, size in self._axes():
            if size > 1 and i in (0, size - 1):
                found[name] = "low" if i == 0 else "high"
        return found

    def last_gain(self) -> float:
        """What the last grid step towards the edges lowered φ by, on the choosing seeds; 0 where no edge is touched.

        A gap larger than this is unlikely to close by one more step of the same size outwards.
        """
        if self.at is None:
            return 0.0
        gains, (i, j) = [0.0], self.at
        for name, end in self.edges().items():
            inwards = 1 if end == "low" else -1
            beside = (i + inwards, j) if name == "upper_step" else (i, j + inwards)
            gains.append(float(self.chosen_by[beside] - self.chosen_by[i, j]))
        return max(gains)

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

    def _axes(self) -> list[tuple[str, int, int]]:
        if self.at is None:
            return []
        return [("upper_step", self.at[0], len(self.upper)), ("lower_step", self.at[1], len(self.lower))]


def auc_error(auc: Array, right: int, wrong: int) -> Array:
    """Standard error of an AUC over samples, (n,), after Hanley and McNeil (1982), equations for negative exponentials.

    Args:
        auc: (n,) in [0, 1].
        right, wrong: number of clean and of corrupted samples.
    """
    both_right, both_wrong = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (right - 1) * (both_right - auc**2) + (wrong - 1) * (both_wrong - auc**2)
    return np.sqrt(np.maximum(variance, 0) / (right * wrong))


def label(record: Record) -> str:
    """The method, with the inner budget for UniBiO, which takes part with two."""
    algorithm = record.config["algorithm"]
    budget = f", K = {algorithm['inner_budget']}" if algorithm["name"] == "unibio" else ""
    return NAMES.get(algorithm["name"], str(algorithm["name"])) + budget


NAMES = {"unibio": "UniBiO", "stocbio": "StocBiO", "bsa": "BSA", "ttsa": "TTSA", "sustain": "SUSTAIN", "mrbo": "MRBO"}
NAMES |= {"vrbo": "VRBO", "soba": "SOBA", "ma_soba": "MA-SOBA", "saba": "SABA", "amigo": "AmIGO", "bo_rep": "BO-REP"}


def is_unibio(one: Tuned) -> bool:
    """Whether it is one of UniBiO's."""
    return one.record.config["algorithm"]["name"] == "unibio"


def place(one: Tuned) -> tuple[int, int]:
    """Sorting key: UniBiO first, the larger inner budget before the smaller, then in the order of ``NAMES``."""
    name = one.record.config["algorithm"]["name"]
    order = list(NAMES)
    return (order.index(name) if name in order else len(order)), -int(
        one.record.config["algorithm"].get("inner_budget") or 0
    )


def tuned(study: Study, p: int | None = None) -> list[Tuned]:
    """Every method at every exponent (or at one), by exponent, UniBiO first.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that is not a full grid of both steps and the seeds.
    """
    return [one for one in study.once(_all_tuned) if p is None or one.exponent == p]


def _all_tuned(study: Study) -> list[Tuned]:
    return sorted(map(tune, study.require(EXPERIMENT)), key=lambda one: (one.exponent, place(one)))


def tune(record: Record) -> Tuned:
    """Choose the pair of steps of one record.

    Raises:
        InputError: the record does not hold every pair of ``upper_step`` and ``lower_step`` for every seed.
    """
    table = record.runs.reset_index(drop=True)
    upper, lower, seeds, (i, j, s) = steps_and_seeds(record)
    last = record.history.groupby("run").last().reindex(range(len(table)))
    failed = (table["status"] != "completed").to_numpy() | ~np.isfinite(last[METRIC].to_numpy(dtype=float))
    last[METRIC] = np.where(failed, np.inf, last[METRIC].to_numpy(dtype=float))
    values = np.empty((len(upper), len(lower), len(seeds)))
    values[i, j, s] = last[METRIC]
    half = len(seeds) // 2 if len(seeds) > 1 else 1
    chosen_by = np.quantile(values[..., :half], 0.5, axis=-1, method="higher")
    split = len(seeds) > 1
    at = None
    keep: NDArray[np.bool_] = np.zeros(len(table), dtype=bool)
    if np.isfinite(chosen_by).any():
        a, b = np.unravel_index(int(chosen_by.argmin()), chosen_by.shape)
        at = (int(a), int(b))
        keep = (i == a) & (j == b) & ((s >= half) | (not split))
    runs = last[keep].assign(run=np.flatnonzero(keep), status=table["status"].to_numpy()[keep])
    return Tuned(record, label(record), exponent(record), upper, lower, chosen_by, at, runs, split, int(failed.sum()))


def summary(found: Sequence[Tuned]) -> pd.DataFrame:
    """One row per exponent and method: the chosen steps and whether they are at an edge, and the reported values."""
    rows = []
    for one in found:
        at, edges, algorithm = one.at, one.edges(), one.record.config["algorithm"]
        row: dict[str, Any] = {"p": one.exponent, "method": one.method, "algorithm": algorithm["name"]}
        row |= {"upper_step": math.nan if at is None else float(one.upper[at[0]])}
        row |= {"upper_edge": edges.get("upper_step", "")}
        row |= {"lower_step": math.nan if at is None else float(one.lower[at[1]])}
        row |= {"lower_edge": edges.get("lower_step", "")}
        row |= {"gain_of_last_step_outwards": one.last_gain()}
        row |= {"value_choosing_seeds": math.inf if at is None else float(one.chosen_by[at])}
        row |= {"value": one.middle(), "value_min": one.spread(METRIC)[0], "value_max": one.spread(METRIC)[1]}
        for column in ("test_accuracy", "cleaning_auc"):
            low, high = one.spread(column)
            row |= {column: one.middle(column), f"{column}_min": low, f"{column}_max": high}
        low, high = one.auc_interval()
        row |= {"cleaning_auc_low": low, "cleaning_auc_high": high}
        for column in ("weight_spread", "lower_error", "hypergradient_norm", "oracle_calls", "samples", "iteration"):
            row[column] = one.middle(column)
        row |= {"reported_seeds": len(one.runs), "seeds_split": one.split}
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
    wide = {name: rows.pivot(index="iteration", columns="run", values=name).astype(float).ffill() for name in _CURVE}
    for run in one.runs["run"][~np.isfinite(one.values)]:
        wide[METRIC][run] = wide[METRIC][run].where(
            wide[METRIC].index < rows["iteration"][rows["run"] == run].max(), np.inf
        )
    calls, values = wide["oracle_calls"], wide[METRIC]
    table = {"oracle_calls": calls.median(axis=1), "median": values.quantile(0.5, axis=1, interpolation="higher")}
    return pd.DataFrame({**table, "min": values.min(axis=1), "max": values.max(axis=1)}).reset_index()


_CURVE = ("oracle_calls", METRIC)


def lowest(found: Sequence[Tuned]) -> dict[int, float]:
    """{p: the lowest φ at the end that any run of any method and any pair of steps has}."""
    least: dict[int, float] = {}
    for one in found:
        runs = one.record.runs.reset_index(drop=True)
        done = runs.index[runs["status"] == "completed"]
        ends = one.record.history.groupby("run")[METRIC].last().reindex(done)
        least[one.exponent] = min(least.get(one.exponent, math.inf), float(ends.min()) if len(ends) else math.inf)
    return least


def separated(first: Tuned, second: Tuned) -> int:
    """−1 where all reported runs of the first end lower than all of the second, 1 where all end higher, else 0.

    0, too, where one of them has fewer than two runs: one run of each is always apart. What two methods that are alike
    give is :func:`false_alarm`.
    """
    one, other = first.values, second.values
    if min(len(one), len(other)) < 2:
        return 0
    return -1 if one.max() < other.min() else (1 if one.min() > other.max() else 0)


def false_alarm(first: Tuned, second: Tuned) -> float:
    """Chance that :func:`separated` orders two methods that are alike, one way or the other: 2 / (n + m over n)."""
    n, m = len(first.values), len(second.values)
    return 2 / math.comb(n + m, n) if min(n, m) >= 2 else 0.0
