"""First hits, final values and costs: what is compared between exponents, steps and noise levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from unibio.analysis.curves import CELL, by_cell, cells, final, quartiles
from unibio.analysis.study import dimension, exponent
from unibio.records import Record

_PREFIX = "iterations_to "


def target(record: Record, metric: str = "hypergradient_norm") -> str | None:
    """The smallest recorded target of a metric, as in ``hypergradient_norm<0.1``; None where there is none."""
    names = [c[len(_PREFIX) :] for c in record.runs.columns if c.startswith(f"{_PREFIX}{metric}<")]
    return min(names, key=lambda name: float(name.split("<")[1])) if names else None


def first_hits(records: Sequence[Record], metric: str = "hypergradient_norm") -> pd.DataFrame:
    """Iterations and oracle calls to the metric's target, one row per exponent and cell.

    Returns:
        p, the cell's settings, target, runs, reached (fraction of the runs), and median, q25, q75 of ``iterations``
        and of ``oracle_calls`` over the seeds, where a run that never gets there counts as inf.
    """
    rows = []
    for record in records:
        name = target(record, metric)
        if name is None:
            continue
        for cell, group in by_cell(cells(record)):
            row: dict[str, Any] = {"p": exponent(record), **cell}
            row |= {"target": name, "runs": len(group), "reached": group[f"{_PREFIX}{name}"].notna().mean()}
            for cost in ("iterations", "oracle_calls"):
                hit = group[f"{cost}_to {name}"].to_numpy(dtype=float)
                low, middle, high = quartiles(np.where(np.isnan(hit), np.inf, hit))
                row |= {cost: float(middle), f"{cost}_q25": float(low), f"{cost}_q75": float(high)}
            rows.append(row)
    return pd.DataFrame(rows)


def finals(records: Sequence[Record], metric: str) -> pd.DataFrame:
    """Median and quartiles over the seeds of a metric's last value, one row per exponent and cell; diverged is inf."""
    tables = []
    for record in records:
        runs = cells(record).assign(value=np.minimum(final(record, metric), _HUGE * 1e50))  # quantiles do without inf
        names = [name for name in CELL if name in runs]
        groups = runs.groupby(names, sort=False)["value"]
        table = groups.quantile([0.25, 0.5, 0.75]).unstack().rename(columns={0.25: "q25", 0.5: "median", 0.75: "q75"})
        table = table.where(table < _HUGE, np.inf).assign(runs=groups.size()).reset_index()
        tables.append(table[[*names, "runs", "median", "q25", "q75"]].assign(p=exponent(record)))
    found = pd.concat(tables, ignore_index=True)
    return found[["p", *(name for name in found if name != "p")]]


_HUGE = 1e200


def epoch_sgd_steps(p: float, budget: int, first_length: float) -> int:
    """Lower-level steps one call of Epoch-SGD takes (Algorithm 1), written independently of the algorithm's code.

    Epochs of ⌊T_k⌋ steps, T_{k+1} = 2^τ T_k with τ = 2(p−1)/p, as long as T_1 + … + T_k ≤ K.
    """
    steps, used, k = 0, 0.0, 0
    while used + (length := first_length * 2 ** (2 * (p - 1) / p * k)) <= budget:
        steps, used, k = steps + math.floor(length), used + length, k + 1
    return steps


def inner_iterations(record: Record) -> float:
    """Average lower gradients per call of Epoch-SGD over the completed runs; nan where none completed."""
    runs = record.runs[record.runs["status"] == "completed"]
    calls = 1 + (runs["stopped_at"].to_numpy() - 1) // int(record.config["algorithm"]["period"])
    return float(np.mean(runs["grad_lower"].to_numpy() / calls)) if len(runs) else math.nan


def costs(records: Sequence[Record]) -> pd.DataFrame:
    """Running time and inner iterations, one row per record.

    Returns:
        p, dimension, iterations T, seconds (median of the repeats), seconds_min, seconds_max, repeats,
        inner_iterations (measured), inner_expected (from the schedule), oracle_calls per run.
    """
    rows = []
    for record in records:
        algorithm = record.config["algorithm"]
        seconds = record.summary.get("seconds_repeats") or [record.summary["seconds"]]
        kinds = [c for c in ("grad_upper", "grad_lower", "grad_lower_x", "hvp", "jvp", "value") if c in record.runs]
        rows.append(
            {
                "p": exponent(record),
                "dimension": dimension(record),
                "iterations": int(record.config["steps"]),
                "seconds": float(np.median(seconds)),
                "seconds_min": float(np.min(seconds)),
                "seconds_max": float(np.max(seconds)),
                "repeats": len(seconds),
                "inner_iterations": inner_iterations(record),
                "inner_expected": epoch_sgd_steps(
                    exponent(record), int(algorithm["inner_budget"]), float(algorithm["first_length"])
                ),
                "oracle_calls": float(record.runs[kinds].sum(axis=1).median()),
            }
        )
    return pd.DataFrame(rows)
