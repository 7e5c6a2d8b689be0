"""First hits and final values: what is compared between exponents, steps and noise levels.

What is said of all of something is said with :func:`every`, which refuses to say it of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.quantiles import HUGE, quartiles
from unibio.store.records import Record
from unibio.studies.common.curves import by_cell, cell_names, cells, final
from unibio.studies.common.evidence import exponent

_PREFIX = "iterations_to "


def every(conditions: Iterable[Any]) -> bool:
    """Whether all conditions hold, of which there is at least one: an array or a table of them, or any iterable.

    Raises:
        InputError: there is none; "all" of nothing would be true.
    """
    found = np.asarray(conditions if isinstance(conditions, (np.ndarray, pd.DataFrame, pd.Series)) else [*conditions])
    if found.size == 0:
        raise InputError("a comparison needs something to compare, and there is nothing")
    return bool(found.astype(bool).all())


def target(record: Record, metric: str = "hypergradient_norm") -> str | None:
    """The smallest recorded target of a metric, as in ``hypergradient_norm<0.1``; None where there is none."""
    names = [c[len(_PREFIX) :] for c in record.runs.columns if c.startswith(f"{_PREFIX}{metric}<")]
    return min(names, key=lambda name: float(name.split("<")[1])) if names else None


def first_hits(records: Sequence[Record], metric: str = "hypergradient_norm") -> pd.DataFrame:
    """Iterations and oracle calls to the metric's target, one row per exponent and cell.

    Returns:
        p, the cell's settings, target, runs, reached (fraction of the runs), and median, q25, q75 of ``iterations``
        and of ``oracle_calls`` over the seeds, where a run that never gets there counts as inf.

    Raises:
        InputError: a record without a target of the metric, or with another than the others.
    """
    rows, names = [], {record.name: target(record, metric) for record in records}
    if absent := [record for record, name in names.items() if name is None]:
        raise InputError(f"{absent[0]} has no first hits of {metric}; run it with targets")
    if len(kinds := sorted({str(name) for name in names.values()})) > 1:
        raise InputError(f"first hits of {' and '.join(kinds)} are of different targets and not compared")
    for record in records:
        name = names[record.name]
        for cell, group in by_cell(cells(record), cell_names(record)):
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
        runs = cells(record).assign(value=np.minimum(final(record, metric), HUGE * 1e50))  # quantiles do without inf
        names = cell_names(record)
        groups = runs.groupby(names, sort=False)["value"]
        table = groups.quantile([0.25, 0.5, 0.75]).unstack().rename(columns={0.25: "q25", 0.5: "median", 0.75: "q75"})
        table = table.where(table < HUGE, np.inf).assign(runs=groups.size()).reset_index()
        tables.append(table[[*names, "runs", "median", "q25", "q75"]].assign(p=exponent(record)))
    found = pd.concat(tables, ignore_index=True)
    return found[["p", *(name for name in found if name != "p")]]
