"""Appendix E.1 at an equal number of oracle calls: what an iteration of each method costs counts here.

Each problem's number of calls is what the cheapest run of any method made in all. Criterion: the hypergradient norm
averaged over the iterates that so many calls pay for, between two logged iterations by linear interpolation of its sum.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from unibio.analysis.curves import Array, steps_and_seeds
from unibio.analysis.e1 import METRIC, SMALL_CAP, MethodSearch, median, ranking, searches
from unibio.analysis.study import Study
from unibio.records import Record


def searches_by_calls(study: Study, experiment: str) -> list[MethodSearch]:
    """Every method's search with the criterion at equal calls; raises as :func:`unibio.analysis.e1.searches` does."""
    return study.once(_by_calls, experiment)


def _by_calls(study: Study, experiment: str) -> list[MethodSearch]:
    found = searches(study, experiment)
    equal = budgets(found)
    return [_judged_at(one, equal[one.problem]) for one in found]


def budgets(found: list[MethodSearch]) -> dict[tuple[int, int], float]:
    """{(d, p): calls that every completed run of every method made}."""
    least: dict[tuple[int, int], float] = {}
    for one in found:
        ends = _ends(one.record)
        least[one.problem] = min(least.get(one.problem, math.inf), float(ends.min()) if len(ends) else math.inf)
    return least


def calls(one: MethodSearch) -> float:
    """Oracle calls of a completed run in all, median; NaN where none completed."""
    ends = _ends(one.record)
    return float(np.median(ends)) if len(ends) else math.nan


def _ends(record: Record) -> Array:
    """(completed runs,) oracle calls at the end."""
    done = np.flatnonzero((record.runs["status"] == "completed").to_numpy())
    return record.history.groupby("run")["oracle_calls"].last().reindex(done).to_numpy(dtype=float)


def _judged_at(one: MethodSearch, budget: float) -> MethodSearch:
    upper, lower, seeds, place = steps_and_seeds(one.record)
    averages = np.empty((len(upper), len(lower), len(seeds)))
    averages[place] = average_at(one.record, budget)
    half = one.choosing.shape[-1]
    judging = averages[..., half:] if half < len(seeds) else averages
    chosen_by = median(averages[..., :half])
    return replace(one, choosing=averages[..., :half], chosen_by=chosen_by, criterion=median(judging))


def average_at(record: Record, budget: float) -> Array:
    """(runs,) hypergradient norm averaged over the iterates that a number of oracle calls pays for; inf for diverged
    runs."""
    history = record.history[["run", "iteration", "oracle_calls", f"{METRIC}_mean"]]
    paid = history["oracle_calls"].to_numpy() <= budget
    everything = range(len(record.runs))
    before = history[paid].groupby("run").last().reindex(everything).to_numpy(dtype=float).T
    after = history[~paid].groupby("run").first().reindex(everything).to_numpy(dtype=float).T
    after = np.where(np.isnan(after), before, after)  # the whole run is paid for
    with np.errstate(invalid="ignore", over="ignore"):
        span = after[1] - before[1]
        part = np.where(span > 0, (budget - before[1]) / np.where(span > 0, span, 1.0), 0.0)
        iterations = before[0] + part * (after[0] - before[0])
        total = before[0] * before[2] + part * (after[0] * after[2] - before[0] * before[2])
        found = np.where(iterations > 0, total / np.where(iterations > 0, iterations, 1.0), before[2])
    failed = (record.runs["status"] != "completed").to_numpy() | ~np.isfinite(found)
    return np.where(failed, np.inf, found)


def ranks(study: Study, experiment: str) -> pd.DataFrame:
    """One row per problem and method: calls of a run, calls that all are compared at, ranks there with and without the
    cap on small steps; raises as :func:`searches_by_calls` does."""
    found = searches_by_calls(study, experiment)
    equal = budgets(found)
    caps = {"": math.inf, f", η ≤ {SMALL_CAP:g}": SMALL_CAP}
    ranked = {said: ranking(found, [cap]).set_index(["d", "p", "method"])["rank"] for said, cap in caps.items()}
    rows = []
    for one in found:
        row = {"d": one.dimension, "p": one.exponent, "method": one.method}
        row |= {"calls": calls(one), "equal calls": equal[one.problem]}
        key = (one.dimension, one.exponent, one.method)
        rows.append(row | {f"rank, equal calls{said}": int(rank[key]) for said, rank in ranked.items()})
    return pd.DataFrame(rows)
