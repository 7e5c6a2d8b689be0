"""Corrupted labels: every method at the best of its configurations, all of them given the same number.

The outer loss is that of the W a method holds. A method can lower it by training W on the validation data, away from
the lower level's solution; only configurations whose ‖g_W‖ ends below ``SOLVED`` times the start's may be chosen, and a
method that has none is shown but not judged.

A method's search lies in several records, one for each of its ``paper.variant``: what decides the program (a schedule,
a number of inner steps) cannot be an axis of a batch. The configuration is chosen by its median over the first seeds;
the last ``JUDGING`` seeds report and judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import pandas as pd

from unibio.store.records import Record
from unibio.studies.common import methods, widening
from unibio.studies.common.curves import Array, axes, final, last_rows
from unibio.studies.common.effort import Effort
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.search import Cell, Search, search
from unibio.studies.common.widening import Touched

EXPERIMENT = "corrupted_labels"

WITHOUT = "lower_only"
FIRST_ORDER = ("f2sa", "f3sa", "f2ba", "bome")
SECOND_ORDER = ("stocbio", "soba", "unibio")
ORDER = (WITHOUT, *FIRST_ORDER, *SECOND_ORDER)

#: ‖g_W‖ at the end over the one at the start, above which the lower level was not solved.
SOLVED = 0.8
#: Seeds that judge and do not choose.
JUDGING = 5

_SETTING = tuple[str, float, int]


@dataclass(frozen=True, eq=False)
class AtBest:
    """One method at its best configuration.

    Attributes:
        method: key of ``ORDER``.
        rate, batch: corruption rate and batch size.
        chosen: the configuration: searched steps and weights, and what tells the method's variants apart.
        edges: {axis: "low" or "high"} where a chosen value is an end of a range.
        last_gain: what the last grid step towards these ends lowered the outer loss by, on the choosing seeds.
        effort: what the method was given.
        solved: whether some configuration solves the lower level, as far as the choosing seeds tell: the chosen one.
        history: of the judging runs.
        loss: (judging seeds,) at the end; inf for a diverged run.
    """

    method: str
    rate: float
    batch: int
    chosen: dict[str, Any]
    edges: dict[str, str]
    last_gain: float
    effort: Effort
    solved: bool
    history: pd.DataFrame
    loss: Array

    @property
    def setting(self) -> str:
        """For titles."""
        return f"{self.rate:.0%} wrong, batch {self.batch}"

    @property
    def configuration(self) -> str:
        """The chosen configuration in words."""
        said = {name: f"{value:.3g}" if isinstance(value, float) else str(value) for name, value in self.chosen.items()}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said.items())

    def middle(self, column: str) -> float:
        """Median over the seeds of a column's last value; NaN where it is not defined for one of them."""
        return float(last_rows(self.history)[column].median(skipna=False))


def best(evidence: Evidence) -> list[AtBest]:
    """Every method at every corruption rate and batch size; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a record that does not hold every combination of its axes for every seed.
    """
    return evidence.once(_all_at_best)


def _all_at_best(evidence: Evidence) -> list[AtBest]:
    groups: dict[_SETTING, list[Record]] = {}
    for record in evidence.require(EXPERIMENT):
        algorithm, problem = record.config["algorithm"], record.config["problem"]
        key = (str(algorithm["name"]), float(problem["corruption_rate"]), int(algorithm["batch_size"]))
        groups.setdefault(key, []).append(record)
    found = [_at_best(setting, records) for setting, records in groups.items()]
    return sorted(found, key=lambda one: (one.rate, one.batch, ORDER.index(one.method)))


def _at_best(setting: _SETTING, records: Sequence[Record]) -> AtBest:
    searches = [_search_of(record) for record in records]
    allowed = [_allowed(record, found) for record, found in zip(records, searches, strict=True)]
    solved = any(np.isfinite(one).any() for one in allowed)
    if not solved:
        allowed = [found.chosen_by for found in searches]
    least = [float(one.min()) for one in allowed]
    i = int(np.argmin(least))
    record, found = records[i], searches[i]
    cell: Cell = found.best(allowed[i]) or (0,) * (found.values.ndim - 1)
    runs = found.runs(cell, judging=True)
    method, rate, batch = setting
    return AtBest(
        method=method,
        rate=rate,
        batch=batch,
        chosen=found.at(cell) | _told_apart(record, records),
        edges=found.ends(cell),
        last_gain=found.gain_at_ends(cell),
        effort=reduce(add, (one.effort() for one in searches)),
        solved=solved,
        history=record.history[runs[record.history["run"].to_numpy()]],
        loss=final(record, "upper_loss")[runs],
    )


def _search_of(record: Record) -> Search:
    loss = final(record, "upper_loss")
    return search(record.name, record.runs, loss, axes(record), choosing=lambda n: max(1, n - JUDGING))


def _allowed(record: Record, found: Search) -> Array:
    """(…) the choosing criterion; inf where W ends no nearer to a solution of the lower level than ``SOLVED`` asks."""
    grouped = record.history.groupby("run")["lower_gradient_norm"]
    start = grouped.first().reindex(range(len(record.runs))).to_numpy(dtype=float)
    ratio = found.on_grid(final(record, "lower_gradient_norm") / start)[..., : found.choosing_seeds]
    return np.where(found.middle(ratio) <= SOLVED, found.chosen_by, np.inf)


def _told_apart(record: Record, records: Sequence[Record]) -> dict[str, Any]:
    """The parameters of the algorithm by which a method's records differ."""
    own = record.config["algorithm"]
    varied = [name for name in own if len({repr(one.config["algorithm"].get(name)) for one in records}) > 1]
    return {name: own[name] for name in varied if name not in axes(record)}


def summary(evidence: Evidence) -> pd.DataFrame:
    """One row per rate, batch and method: the configuration, how many were tried, and of the judging seeds at the end
    the outer loss (median, range) and medians of accuracy, AUC, calls and seconds."""
    rows = []
    for one in best(evidence):
        row: dict[str, Any] = {"rate": one.rate, "batch": one.batch, "method": methods.label(one.method)}
        row |= {"configuration": one.configuration, "tried": one.effort.configurations, "solved": one.solved}
        row |= {"edges": ", ".join(f"{axis} {end}" for axis, end in one.edges.items())}
        row |= {"upper_loss": float(np.median(one.loss)), "min": one.loss.min(), "max": one.loss.max()}
        row |= {name: one.middle(name) for name in _ENDS}
        rows.append(row)
    return pd.DataFrame(rows)


_ENDS = ("test_accuracy", "cleaning_auc", "lower_gradient_norm", "oracle_calls", "seconds")


def curve(one: AtBest, column: str) -> pd.DataFrame:
    """oracle_calls, seconds and the median over the seeds of a column, by logged iteration."""
    return one.history.groupby("iteration")[["oracle_calls", "seconds", column]].median().reset_index(drop=True)


def touched(record: Record) -> list[Touched]:
    """The ranges of one record whose best value is one of their ends.

    Raises:
        InputError: a record that does not hold every combination of its axes for every seed.
    """
    found = _search_of(record)
    ends = {axis: [end] for axis, end in found.ends(found.best()).items()}
    return widening.touched(record, found.steps, ends)
