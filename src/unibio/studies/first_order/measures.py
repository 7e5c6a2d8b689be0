"""First-order methods under uniform convexity: do methods without second derivatives cross the vanishing Hessian?

On Example 3 every trajectory must cross x = 0, where y* = 0 and ∇²_yy g = 0 for p > 2. Criterion: oracle calls until
φ − min φ is at most ``NEAR`` and stays there. One large step jumps over the singular point, whatever the method makes
of it, so the best of a grid of steps is taken twice: among all runs, and among those with small steps. These step by at
most ``SMALL`` along ∇φ, with no single logged iteration from φ > ``SMALL`` to φ < −``SMALL`` (early ones are all
logged): an estimate far from ∇φ makes a small step large.

On ℓ_p-regression: the lowest φ at the end of the budget, over the steps and weights searched, all methods given the
same number of configurations. The configuration is chosen by the first seeds; the last ``JUDGING`` report and judge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common import methods, widening
from unibio.studies.common.curves import Array, axes, final
from unibio.studies.common.effort import Effort
from unibio.studies.common.evidence import Evidence, exponent, method
from unibio.studies.common.search import Search, search, upper_median
from unibio.studies.common.widening import Touched

EXAMPLE3, REGRESSION = "first_order_example3", "first_order_lp"

#: φ is near its minimum −sin 1 within this: 3% of its range.
NEAR = 0.05
#: The largest step along ∇φ that counts as small: a tenth of what separates the start from the singular point.
SMALL = 0.1
#: Calls at the largest p over those at p = 2 up to which p makes no difference worth the name.
UNAFFECTED = 2.0

FIRST_ORDER = ("f2sa", "f3sa", "f2ba", "proximal", "proximal_momentum", "bome", "pbgd joint", "pbgd blockwise")
SECOND_ORDER = ("unibio", "soba", "stocbio")
ORDER = (*FIRST_ORDER, *SECOND_ORDER)

#: Seeds that judge on ℓ_p-regression and do not choose.
JUDGING = 5
#: Methods whose direction is ∇𝓛_λ/λ: their step along ∇φ is the upper step over the penalty.
SCALED = ("pbgd", "proximal", "proximal_momentum")


def steps_along(record: Record) -> Array:
    """(runs,) the step along ∇φ of every run."""
    steps = record.runs["upper_step"].to_numpy(dtype=float)
    return steps / record.runs["penalty"].to_numpy(dtype=float) if method(record).split()[0] in SCALED else steps


def small_steps(record: Record) -> NDArray[np.bool_]:
    """(runs,) whether a run has small steps, see above."""
    history = record.history
    value, run = history["value"].to_numpy(dtype=float), history["run"].to_numpy()
    together = (run[1:] == run[:-1]) & (np.diff(history["iteration"].to_numpy()) == 1)
    jumps = together & (value[:-1] > SMALL) & ~(value[1:] >= -SMALL)
    small: NDArray[np.bool_] = steps_along(record) <= SMALL * (1 + 1e-9)
    small[np.unique(run[1:][jumps])] = False
    return small


def settled(record: Record) -> Array:
    """(runs,) oracle calls by which φ is near its minimum for good; inf where it never is, or the run diverged."""
    history = record.history
    run, spent = history["run"].to_numpy(), history["oracle_calls"].to_numpy(dtype=float)
    far = ~(history["value"].to_numpy(dtype=float) + math.sin(1.0) <= NEAR)
    row = np.arange(len(run))
    ends = np.flatnonzero(np.append(run[1:] != run[:-1], True))  # rows are sorted by run
    starts = np.append(0, ends[:-1] + 1)
    # The row after the last that is far, or the run's first.
    first = np.maximum(np.maximum.reduceat(np.where(far, row, -1), starts) + 1, starts)
    calls = np.full(len(record.runs), np.inf)
    near = first <= ends
    calls[run[ends[near]]] = spent[first[near]]
    calls[(record.runs["status"] != "completed").to_numpy()] = np.inf
    return calls


def example3(evidence: Evidence) -> pd.DataFrame:
    """One row per p and method: calls with all steps and with small ones, and the share of the runs that settle."""
    return evidence.once(_example3).copy()


def _example3(evidence: Evidence) -> pd.DataFrame:
    rows = []
    for record in evidence.require(EXAMPLE3):
        calls, small = settled(record), small_steps(record)
        row = {"p": exponent(record), "method": method(record), "runs": len(calls)}
        row |= {"calls": float(calls.min()), "calls_small": float(calls[small].min(initial=np.inf))}
        row |= {"share": float(np.isfinite(calls).mean())}
        row |= {"share_small": float(np.isfinite(calls[small]).mean()) if small.any() else math.nan}
        rows.append(row)
    return _ordered(rows)


def tried(evidence: Evidence) -> dict[str, dict[str, Effort]]:
    """What every method was given on Example 3: {p: {method: effort}}; nothing is random there."""
    given: dict[str, dict[str, Effort]] = {}
    for record in evidence.require(EXAMPLE3):
        effort = Effort(len(record.runs), choosing=1, judging=0, random=False)
        given.setdefault(f"p = {exponent(record)}", {})[methods.label(method(record))] = effort
    return given


@dataclass(frozen=True, eq=False)
class Regressed:
    """One method's search on ℓ_p-regression.

    Attributes:
        method, exponent: what was run.
        steps: the chosen configuration; {} where no configuration has a finite median.
        values: (judging seeds,) φ at the end; of all runs where none is chosen.
        test_accuracy: their median.
        edges: {axis: "low" or "high"} where a chosen value is an end of its range.
        last_gain: what the last grid step towards these ends lowered φ by, on the choosing seeds.
        effort: what the method was given.
    """

    method: str
    exponent: int
    steps: dict[str, float]
    values: Array
    test_accuracy: float
    edges: dict[str, str]
    last_gain: float
    effort: Effort

    @property
    def middle(self) -> float:
        """Median of φ, the larger of two middle ones."""
        return float(upper_median(self.values))


def regressions(evidence: Evidence) -> list[Regressed]:
    """Every method at every p; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that does not hold every combination of its axes for every seed.
    """
    return evidence.once(_regressions)


def _regressions(evidence: Evidence) -> list[Regressed]:
    return [_regressed(record) for record in evidence.require(REGRESSION)]


def _search_of(record: Record) -> Search:
    value = final(record, "value")
    return search(record.name, record.runs, value, axes(record), choosing=lambda n: max(1, n - JUDGING))


def _regressed(record: Record) -> Regressed:
    value, accuracy, found = final(record, "value"), final(record, "test_accuracy"), _search_of(record)
    at = found.best()
    runs = np.ones(len(value), dtype=bool) if at is None else found.runs(at, judging=True)
    return Regressed(
        method=method(record),
        exponent=exponent(record),
        steps={} if at is None else found.at(at),
        values=value[runs],
        test_accuracy=float(np.median(accuracy[runs])),
        edges=found.ends(at),
        last_gain=found.gain_at_ends(at),
        effort=found.effort(),
    )


def regression(evidence: Evidence) -> pd.DataFrame:
    """One row per p and method: of φ at the end over the judging seeds the median, the least and the largest, and the
    chosen configuration."""
    rows = []
    for one in regressions(evidence):
        row = {"p": one.exponent, "method": one.method, "value": one.middle, "value_min": float(one.values.min())}
        row |= {"value_max": float(one.values.max()), "seeds": len(one.values), "test_accuracy": one.test_accuracy}
        row |= {"tried": one.effort.configurations}
        row |= {"edges": ", ".join(f"{axis} {end}" for axis, end in one.edges.items())}
        rows.append(row | one.steps)
    return _ordered(rows)


def touched(record: Record) -> list[Touched]:
    """The ranges of one search on ℓ_p-regression whose chosen value is one of their ends; of Example 3 none is judged.

    Raises:
        InputError: a record that does not hold every combination of its axes for every seed.
    """
    if record.config["problem"]["name"] != "lp_regression":
        return []
    found = _search_of(record)
    return widening.touched(record, found.steps, {axis: [end] for axis, end in found.ends(found.best()).items()})


def _ordered(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A table by p, methods in the order of ``ORDER``."""
    table = pd.DataFrame(rows)
    return table.iloc[np.lexsort((table["method"].map(ORDER.index), table["p"]))].reset_index(drop=True)
