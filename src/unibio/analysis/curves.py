"""Curves of a metric over iterations, one array a cell of the grid, and their bands over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.analysis.study import axes, exponent, setting
from unibio.errors import InputError
from unibio.records import Record

Array = NDArray[Any]

#: Settings that tell the curves of a study apart, beside the exponent: numbers, and one word.
CELL = ("noise", "upper_step", "lower_step", "neumann_step", "inner_budget", "estimator")

_HUGE = 1e200


@dataclass(frozen=True)
class Curves:
    """The runs of one cell: everything fixed but the seed.

    Attributes:
        exponent: p.
        cell: value of every setting in ``CELL`` that the record has.
        iterations: (n,) logged iterations.
        calls: (n,) oracle calls by then.
        values: (seeds, n) the metric; inf after a run has diverged.
    """

    exponent: int
    cell: dict[str, Any]
    iterations: Array
    calls: Array
    values: Array

    def table(self) -> pd.DataFrame:
        """p, the cell, iteration, oracle_calls, median, lower and upper quartile over the seeds."""
        low, middle, high = quartiles(self.values)
        columns = {"p": self.exponent, **self.cell, "iteration": self.iterations, "oracle_calls": self.calls}
        return pd.DataFrame({**columns, "median": middle, "q25": low, "q75": high})


def curves(record: Record, metric: str = "hypergradient_norm", **wanted: float) -> list[Curves]:
    """The cells of a record, in the order of its runs.

    Args:
        record: of one job.
        metric: a column of the history.
        wanted: keep cells with these values only, e.g. ``noise=0.0``.
    """
    runs = cells(record)
    keep = np.ones(len(runs), dtype=bool)
    for name, value in wanted.items():
        keep &= np.isclose(runs[name].to_numpy(dtype=float), value)
    history = record.history
    rows = keep[history["run"].to_numpy()]
    run, at = history["run"].to_numpy()[rows], history["iteration"].to_numpy()[rows]
    iterations, position = np.unique(at, return_inverse=True)
    values = np.full((len(runs), len(iterations)), np.inf)
    values[run, position] = np.nan_to_num(history[metric].to_numpy(dtype=float)[rows], nan=np.inf, posinf=np.inf)
    calls = np.zeros(len(iterations), dtype=np.int64)  # all runs of a job spend alike; diverged ones stop earlier
    np.maximum.at(calls, position, history["oracle_calls"].to_numpy()[rows])
    return [
        Curves(exponent(record), cell, iterations, calls, values[group.index.to_numpy()])
        for cell, group in by_cell(runs[keep])
    ]


def cells(record: Record) -> pd.DataFrame:
    """``runs`` with a column for every setting in ``CELL``, whether it is an axis or the same for all runs."""
    runs = record.runs.reset_index(drop=True).copy()
    for name in CELL:
        if name not in axes(record):
            value = setting(record, name)
            if value is not None:
                runs[name] = value if isinstance(value, str) else float(value)
    return runs


def by_cell(runs: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The cells of a table with columns of ``CELL``: settings and rows, in the order of the rows."""
    names = [name for name in CELL if name in runs]
    for values, group in runs.groupby(names, sort=False):
        yield {n: v if isinstance(v, str) else float(v) for n, v in zip(names, values, strict=True)}, group


def values_of(records: Sequence[Record], name: str) -> list[float]:
    """The values of a setting over several records, ascending."""
    return sorted({float(v) for record in records for v in cells(record)[name].unique()})


def final(record: Record, metric: str) -> Array:
    """(runs,) the metric at each run's last iteration; inf for diverged runs."""
    history = record.history
    last = history.groupby("run")[metric].last().reindex(range(len(record.runs))).to_numpy(dtype=float).copy()
    last[(record.runs["status"] != "completed").to_numpy() | np.isnan(last)] = np.inf
    return last


def steps_and_seeds(record: Record) -> tuple[Array, Array, Array, tuple[Array, Array, Array]]:
    """The upper steps, lower steps and seeds of a full grid of them, and each run's place in it, (runs,) thrice.

    Raises:
        InputError: an axis is missing, or the grid does not hold every pair of steps for every seed.
    """
    table, names = record.runs, ("upper_step", "lower_step", "seed")
    if not set(names) <= set(table):
        raise InputError(
            f"{record.name}: the comparison needs the axes upper_step, lower_step and seed, that is, several seeds at "
            "pairs of upper_step and lower_step"
        )
    (upper, i), (lower, j), (seeds, s) = (np.unique(table[n].to_numpy(), return_inverse=True) for n in names)
    if len(table) != len(upper) * len(lower) * len(seeds):
        raise InputError(f"{record.name}: the comparison needs every pair of steps for every seed")
    return upper.astype(float), lower.astype(float), seeds, (i, j, s)


def quartiles(values: Array) -> tuple[Array, Array, Array]:
    """Lower quartile, median, upper quartile along axis 0; runs that are inf count as larger than all others."""
    if len(values) == 0:
        raise ValueError("no runs to take quartiles of")
    low, middle, high = np.quantile(np.minimum(values, _HUGE * 1e50), [0.25, 0.5, 0.75], axis=0)
    return tuple(np.where(q > _HUGE, np.inf, q) for q in (low, middle, high))  # type: ignore[return-value]
