"""Appendix E.1 at an equal number of oracle calls: what an iteration of each method costs counts here.

Each problem's number of calls is what the cheapest run of any method made in all. Criterion: the hypergradient norm
averaged over the iterates that so many calls pay for, between two logged iterations by linear interpolation of its sum.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common.curves import Array, last_rows
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.soundness import descended
from unibio.studies.e1.search import METRIC, SMALL_CAP, MethodSearch, ranking, searches


def searches_by_calls(evidence: Evidence, experiment: str) -> list[MethodSearch]:
    """Every method's search with the criterion at equal calls.

    Raises:
        MissingRecordsError, InputError: as :func:`unibio.studies.e1.search.searches`.
    """
    return evidence.once(_by_calls, experiment)


def _by_calls(evidence: Evidence, experiment: str) -> list[MethodSearch]:
    found = searches(evidence, experiment)
    equal = budgets_of(evidence, experiment)
    return [_judged_at(one, equal[one.problem]) for one in found]


def _judged_at(one: MethodSearch, budget: float) -> MethodSearch:
    values = np.where(descended(one.record), average_at(one.record, budget), np.inf)
    return replace(one, search=replace(one.search, values=one.search.on_grid(values)))


def budgets_of(evidence: Evidence, experiment: str) -> dict[tuple[int, int], float]:
    """:func:`budgets` of an experiment's searches."""
    return evidence.once(_budgets_of, experiment)


def _budgets_of(evidence: Evidence, experiment: str) -> dict[tuple[int, int], float]:
    return budgets(searches(evidence, experiment))


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
    return last_rows(record.history)["oracle_calls"].reindex(done).to_numpy(dtype=float)


def average_at(record: Record, budget: float) -> Array:
    """(runs,) hypergradient norm averaged over the iterates that a number of oracle calls pays for; inf for diverged
    runs."""
    history = record.history[["run", "iteration", "oracle_calls", f"{METRIC}_mean"]]
    paid = _paid(record, budget)
    everything = range(len(record.runs))
    before = last_rows(history[paid]).reindex(everything).to_numpy(dtype=float).T
    after = history[~paid].groupby("run").head(1).set_index("run").reindex(everything).to_numpy(dtype=float).T
    after = np.where(np.isnan(after[0]), before, after)  # the whole run is paid for
    with np.errstate(invalid="ignore", over="ignore"):
        span = after[1] - before[1]
        part = np.where(span > 0, (budget - before[1]) / np.where(span > 0, span, 1.0), 0.0)
        iterations = before[0] + part * (after[0] - before[0])
        total = before[0] * before[2] + part * (after[0] * after[2] - before[0] * before[2])
        found = np.where(iterations > 0, total / np.where(iterations > 0, iterations, 1.0), before[2])
    failed = (record.runs["status"] != "completed").to_numpy() | ~np.isfinite(found)
    return np.where(failed, np.inf, found)


def _paid(record: Record, budget: float) -> NDArray[np.bool_]:
    """(rows,) of the history up to a number of oracle calls."""
    return np.asarray(record.history["oracle_calls"].to_numpy() <= budget)


def around(record: Record, budget: float) -> NDArray[np.bool_]:
    """(rows,) of the history between which :func:`average_at` interpolates: of every run the last that is paid for, and
    the first that is not."""
    runs, paid = record.history["run"], _paid(record, budget)
    last = paid & ~runs.where(paid).duplicated(keep="last").to_numpy()
    first = ~paid & ~runs.where(~paid).duplicated(keep="first").to_numpy()
    return np.asarray(last | first)


def ranks(evidence: Evidence, experiment: str) -> pd.DataFrame:
    """One row per problem and method: calls of a run, calls that all are compared at, ranks there with and without the
    cap on small steps.

    Raises:
        MissingRecordsError, InputError: as :func:`searches_by_calls`.
    """
    found = searches_by_calls(evidence, experiment)
    equal = budgets_of(evidence, experiment)
    caps = {"": math.inf, f", η ≤ {SMALL_CAP:g}": SMALL_CAP}
    ranked = {said: ranking(found, [cap]).set_index(["d", "p", "method"])["rank"] for said, cap in caps.items()}
    rows = []
    for one in found:
        row = {"d": one.dimension, "p": one.exponent, "method": one.method}
        row |= {"calls": calls(one), "equal calls": equal[one.problem]}
        key = (one.dimension, one.exponent, one.method)
        rows.append(row | {f"rank, equal calls{said}": int(rank[key]) for said, rank in ranked.items()})
    return pd.DataFrame(rows)
