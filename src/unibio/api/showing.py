"""How results look where they are printed, in a terminal and in a notebook: what ended how, instead of the tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from unibio.core.oracle import KINDS
from unibio.quantiles import quartiles


@dataclass(frozen=True)
class Shown:
    """A title, a table of text, and remarks.

    Attributes:
        title: one line.
        rows: cells, every row as long as the first.
        header: names of the columns; none where the first column names the rows.
        remarks: lines below the table.
    """

    title: str
    rows: Sequence[Sequence[str]]
    header: Sequence[str] = ()
    remarks: Sequence[str] = ()

    def text(self) -> str:
        """As ``print`` shows it."""
        lines = [list(self.header), *map(list, self.rows)] if self.header else [list(row) for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = ["  " + "  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        return "\n".join([self.title, *table, *(f"  {remark}" for remark in self.remarks)])

    def html(self) -> str:
        """As a notebook shows it."""
        head = f"<thead><tr>{_cells('th', self.header)}</tr></thead>" if self.header else ""
        rows = (f"<tr>{_cells('td', row)}</tr>" for row in self.rows)
        remarks = "".join(f"<p>{escape(remark)}</p>" for remark in self.remarks)
        return f"<table><caption>{escape(self.title)}</caption>{head}<tbody>{''.join(rows)}</tbody></table>{remarks}"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f'<{tag} style="text-align: left">{escape(text)}</{tag}>' for text in texts)


def metrics_of(history: pd.DataFrame) -> list[str]:
    """Names of a history's metrics, means included: what stands behind its ``seconds``."""
    names = list(history.columns)
    return names[names.index("seconds") + 1 :]


def shown_runs(
    x: Tensor,
    y: Tensor,
    history: pd.DataFrame,
    runs: pd.DataFrame,
    seconds: float,
    warnings: Sequence[str],
    single: bool,
) -> Shown:
    """What ``solve`` returned.

    Iterations, calls and metrics are those at the end: of a single run its own, of a grid those of the completed runs,
    or of all where none completed.
    """
    completed = (runs["status"] == "completed").to_numpy()
    counted = completed if completed.any() else ~completed
    last = history.groupby("run").tail(1).set_index("run").reindex(range(len(runs)))[counted]
    kinds = ", ".join(f"{_range(last[kind])} {kind}" for kind in KINDS if last[kind].any())
    rows = [
        ["iterations", _range(runs["stopped_at"][counted])],
        ["oracle calls", f"{_range(last['oracle_calls'])} ({kinds})"],
        *([name, _middle(last[name].to_numpy(dtype=float))] for name in metrics_of(history)),
        ["x, y", f"{tuple(x.shape)}, {tuple(y.shape)}, {str(x.dtype).removeprefix('torch.')} on {x.device}"],
        ["seconds", f"{seconds:.3g}"],
    ]
    remarks = [f"warning: {message}" for message in warnings]
    if single:
        return Shown(f"Result: {runs['status'].iloc[0]}", rows, remarks=remarks)
    over = "the runs that completed" if completed.any() else "all runs, of which none completed"
    axes = ", ".join(f"{name}: {runs[name].nunique()}" for name in runs.columns[: runs.columns.get_loc("status")])
    counts = ", ".join(f"{count} {status}" for status, count in runs["status"].value_counts().items())
    title = f"Result of {len(runs)} {_runs(len(runs))} ({axes}): {counts}"
    return Shown(title, rows, remarks=[f"metrics: median (and quartiles) over {over}", *remarks])


def shown_summary(summary: pd.DataFrame, metric: str, runs: int, warnings: Sequence[str]) -> Shown:
    """What ``compare`` returned: its summary, best first."""
    rows = [[_cell(value) for value in row] for row in summary.itertuples(index=False)]
    what = f"{len(summary)} algorithms by {metric}, {runs} {_runs(runs)} each, best first"
    header = [str(name).replace("_", " ") for name in summary.columns]
    return Shown(f"Comparison of {what}", rows, header, [f"warning: {message}" for message in warnings])


def _cell(value: Any) -> str:
    if isinstance(value, (str, bool, np.bool_)):
        return str(value)
    if value is None or value != value:  # a parameter that another algorithm was tuned in
        return "–"
    return f"{value:,}" if isinstance(value, (int, np.integer)) else f"{value:.4g}"


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


def _range(values: pd.Series) -> str:
    """The one number that all runs have, or the least and the largest."""
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _middle(values: np.ndarray) -> str:
    """A run's value; of several runs the median and the quartiles, and how many have no value."""
    if len(values) == 1:
        return f"{values[0]:.4g}"
    known = values[~np.isnan(values)]
    absent = len(values) - len(known)
    said = f"nan in {absent} {_runs(absent)}" if absent else ""
    if not len(known):
        return said
    low, middle, high = quartiles(known)
    return f"{middle:.4g} ({low:.4g} to {high:.4g})" + (f", {said}" if said else "")
