"""Curves of a metric over iterations, one array a cell of the grid, and their bands over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.quantiles import quartiles, worst
from unibio.store.records import Record
from unibio.studies.common.evidence import axes, column, exponent, setting
from unibio.studies.common.verdicts import TAIL

Array = NDArray[Any]

#: Settings that tell the curves of a study apart, beside the exponent and whatever else is an axis of a record.
CELL = ("noise", "upper_noise", "upper_step", "lower_step", "neumann_step", "inner_budget", "estimator")


@dataclass(frozen=True)
class Curves:
    """The runs of one cell: everything fixed but the seed.

    Attributes:
        exponent: p.
        cell: value of every setting in ``CELL`` that the record has, and of its other axes.
        iterations: (n,) logged iterations.
        calls: (n,) oracle calls by then.
        values: (seeds, n) the metric; inf after a run has diverged, and at the end of one in any case.
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

    Raises:
        InputError: the history has no such column.
    """
    runs = cells(record)
    keep = np.ones(len(runs), dtype=bool)
    for name, value in wanted.items():
        keep &= np.isclose(runs[name].to_numpy(dtype=float), value)
    history, logged = record.history, column(record, metric)
    rows = keep[history["run"].to_numpy()]
    run, at = history["run"].to_numpy()[rows], history["iteration"].to_numpy()[rows]
    iterations, position = np.unique(at, return_inverse=True)
    values = np.full((len(runs), len(iterations)), np.inf)
    values[run, position] = np.nan_to_num(logged.to_numpy(dtype=float)[rows], nan=np.inf, posinf=np.inf)
    if len(iterations):  # where all have diverged, no row of another run is left to tell that they are not finished
        values[(record.runs["status"] != "completed").to_numpy(), -1] = np.inf
    calls = np.zeros(len(iterations), dtype=np.int64)  # all runs of a job spend alike; diverged ones stop earlier
    np.maximum.at(calls, position, history["oracle_calls"].to_numpy()[rows])
    return [
        Curves(exponent(record), cell, iterations, calls, values[group.index.to_numpy()])
        for cell, group in by_cell(runs[keep], cell_names(record))
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


def cell_names(record: Record) -> list[str]:
    """The columns of :func:`cells` that tell its cells apart: runs that differ in any of them are never one curve."""
    own = axes(record)
    return [n for n in CELL if n in own or setting(record, n) is not None] + [n for n in own if n not in CELL]


def by_cell(runs: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The cells of a table, told apart by some of its columns: settings and rows, in the order of the rows."""
    if not names:
        yield {}, runs
        return
    for values, group in runs.groupby(list(names), sort=False):
        yield {n: v if isinstance(v, str) else float(v) for n, v in zip(names, values, strict=True)}, group


def values_of(records: Sequence[Record], name: str) -> list[float]:
    """The values of a setting over several records, ascending."""
    return sorted({float(v) for record in records for v in cells(record)[name].unique()})


def last_rows(history: pd.DataFrame) -> pd.DataFrame:
    """The last row of every run, indexed by run; what is NaN there stays NaN, unlike in pandas' own ``last``."""
    return history.drop_duplicates("run", keep="last").set_index("run")


def final(record: Record, metric: str) -> Array:
    """(runs,) the metric at each run's last iteration; inf for diverged runs and where it is not defined.

    Raises:
        InputError: the history has no such column.
    """
    last = np.full(len(record.runs), np.inf)
    last[record.history["run"].to_numpy()] = column(record, metric).to_numpy(dtype=float)  # the last of several stays
    last[(record.runs["status"] != "completed").to_numpy() | np.isnan(last)] = np.inf
    return last


def late(record: Record, name: str) -> Array:
    """(runs,) median of a column over the last part of each run; inf for diverged runs and where it is not defined.

    Raises:
        InputError: the history has no such column.
    """
    history = record.history[["run", "iteration"]].assign(**{name: worst(column(record, name))})
    tail = history[history["iteration"] >= (1 - TAIL) * history["iteration"].max()]
    found = tail.groupby("run")[name].median().reindex(range(len(record.runs))).to_numpy(dtype=float).copy()
    found[(record.runs["status"] != "completed").to_numpy() | np.isnan(found)] = np.inf
    return found
