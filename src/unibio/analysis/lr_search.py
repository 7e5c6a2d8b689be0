"""The learning-rate search: a criterion for every pair of steps, what is tied with the best, and whether the searched
range was wide enough.

Criterion: the metric averaged over the iterates 0 … T−1, median over the seeds. Cells within 5% of the best are
tied. Along each axis the tied region is

* ``interior``: it touches neither end;
* ``flat``: ties span the whole axis, or run unbroken for two decades up to the end they touch: the criterion has
  levelled off, and a wider range would show more of the same;
* ``edge``: it touches an end otherwise: the range must be widened there before "best" means anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.analysis.comparisons import finals
from unibio.analysis.curves import Array
from unibio.analysis.study import exponent, paper_step
from unibio.errors import InputError
from unibio.records import Record

#: Cells within this fraction of the best criterion are tied with it.
TIE = 0.05
#: A tied region that runs this many decades up to an end of the axis has levelled off there.
LEVELLED_OFF_DECADES = 2.0
#: The paper's step is looked up at the nearest grid point, if that is within this factor.
NEAREST = 1.5
#: The paper's lower-level step on Example 3, for every p.
PAPER_LOWER_STEP = 1.0


@dataclass(frozen=True)
class Axis:
    """What the tied region does along one axis: ``kind`` interior, flat or edge; ``where`` it touches an end.

    A comparison that looks at single seeds, too, calls an edge ``alike`` that they do not tell from the inside.
    """

    kind: str
    where: str
    low: float
    high: float

    def describe(self) -> str:
        """A few words for the table."""
        if self.kind == "edge":
            return f"at the {self.where} edge: widen the range"
        if self.kind == "alike":
            return f"tied at the {self.where} edge, no better there than inside"
        if self.kind == "flat" and self.where != "both":
            return f"flat towards the {self.where} end"
        return self.kind


@dataclass(frozen=True)
class Search:
    """One exponent's search.

    Attributes:
        exponent: p.
        upper, lower: (a,), (b,) steps, ascending.
        criterion: (a, b).
        tied: (a, b) within ``TIE`` of the best.
        best: (upper step, lower step).
        axes: {"upper_step": Axis, "lower_step": Axis}.
        paper: the paper's (upper step, lower step), None where the record does not say.
    """

    exponent: int
    upper: Array
    lower: Array
    criterion: Array
    tied: NDArray[np.bool_]
    best: tuple[float, float]
    axes: dict[str, Axis]
    paper: tuple[float, float] | None

    def paper_cell(self) -> tuple[int, int] | None:
        """Indices of the grid point nearest to the paper's steps; None where none is within a factor ``NEAREST``."""
        if self.paper is None:
            return None
        found = []
        for grid, at in zip((self.upper, self.lower), self.paper, strict=True):
            away = np.abs(np.log(grid / at))
            if away.min() > math.log(NEAREST):
                return None
            found.append(int(away.argmin()))
        return found[0], found[1]

    def row(self) -> dict[str, Any]:
        """The search in one row of a table."""
        row: dict[str, Any] = {
            "p": self.exponent,
            "best_upper_step": self.best[0],
            "best_lower_step": self.best[1],
            "best_criterion": float(self.criterion.min()),
        }
        for name, axis in self.axes.items():
            row |= {f"tied_{name}_low": axis.low, f"tied_{name}_high": axis.high, name: axis.describe()}
        cell = self.paper_cell()
        if self.paper is not None:
            row |= {"paper_upper_step": self.paper[0], "paper_lower_step": self.paper[1]}
            nearest = None if cell is None else float(self.criterion[cell])
            row |= {
                "paper_nearest_upper_step": math.nan if cell is None else float(self.upper[cell[0]]),
                "paper_criterion": math.nan if nearest is None else nearest,
                "paper_over_best": math.nan if nearest is None else nearest / float(self.criterion.min()),
                "paper_tied": cell is not None and bool(self.tied[cell]),
            }
        return row

    def table(self) -> pd.DataFrame:
        """Every cell: p, upper_step, lower_step, criterion, tied."""
        a, b = np.meshgrid(self.upper, self.lower, indexing="ij")
        columns = {"upper_step": a, "lower_step": b, "criterion": self.criterion, "tied": self.tied}
        return pd.DataFrame({"p": self.exponent, **{name: column.ravel() for name, column in columns.items()}})


def search(record: Record, metric: str = "hypergradient_norm_mean") -> Search:
    """Evaluate a record with axes ``upper_step`` and ``lower_step``.

    Raises:
        InputError: the record does not hold both axes as a full grid, or every cell diverged.
    """
    table = finals([record], metric)
    try:
        square = table.pivot(index="upper_step", columns="lower_step", values="median").sort_index(axis=0)
    except ValueError as error:
        raise InputError(
            f"{record.name}: the learning-rate search needs one cell per pair of steps: {error}"
        ) from error
    square = square.sort_index(axis=1)
    upper, lower = square.index.to_numpy(dtype=float), square.columns.to_numpy(dtype=float)
    criterion = np.nan_to_num(square.to_numpy(dtype=float), nan=np.inf, posinf=np.inf)
    best = criterion.min()
    if not np.isfinite(best):
        raise InputError(f"{record.name}: no pair of steps has a finite criterion")
    tied = criterion <= (1 + TIE) * best
    i, j = np.unravel_index(int(criterion.argmin()), criterion.shape)
    eta = paper_step(record)
    return Search(
        exponent=exponent(record),
        upper=upper,
        lower=lower,
        criterion=criterion,
        tied=tied,
        best=(float(upper[i]), float(lower[j])),
        axes={"upper_step": judge(upper, tied.any(axis=1)), "lower_step": judge(lower, tied.any(axis=0))},
        paper=None if eta is None else (eta, PAPER_LOWER_STEP),
    )


def judge(values: Array, tied: NDArray[np.bool_]) -> Axis:
    """Judge one axis from which of its values (ascending, positive) have a tied cell."""
    inside = np.flatnonzero(tied)
    low, high = float(values[inside[0]]), float(values[inside[-1]])
    if tied.all() and len(values) >= 3:
        return Axis("flat", "both", low, high)
    ends = [name for name, touched in (("low", tied[0]), ("high", tied[-1])) if touched]
    if not ends:
        return Axis("interior", "", low, high)
    runs = {"low": int(np.argmin(tied)), "high": int(np.argmin(tied[::-1]))}  # ties unbroken from that end
    first, last = values[0], values[-1]
    reach = {
        "low": math.log10(values[max(runs["low"] - 1, 0)] / first),
        "high": math.log10(last / values[len(values) - max(runs["high"], 1)]),
    }
    short = [name for name in ends if reach[name] < LEVELLED_OFF_DECADES - 1e-9]
    if short:
        return Axis("edge", " and ".join(short), low, high)
    return Axis("flat", " and ".join(ends), low, high)
