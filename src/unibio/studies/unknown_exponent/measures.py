"""Oracle calls to two accuracies of every cell, method by method, from the records of one budget.

A method's settings are chosen by the first half of the seeds, for every accuracy by themselves: the least median
calls. The other half judges. The accuracies of a cell are those that the fair baseline has reached at the best
settings, by the choosing seeds, at two parts of the budget; configuration says at which, and what they are follows from
the records of the baseline alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unibio.store.records import Record
from unibio.studies.common.curves import Array, by_cell
from unibio.studies.common.evidence import Evidence, axes, column, dimension, exponent

MAIN, HOELDER, LP, LABELS = (f"unknown_exponent{name}" for name in ("", "_hoelder", "_lp", "_labels"))
EXPERIMENTS = (MAIN, HOELDER, LP, LABELS)
#: Its parts switched off, and its defaults changed.
PARTS = "unknown_exponent_parts"
#: What is to become small, by problem; elsewhere the norm of ∇φ.
METRICS = {"lp_regression": "value", "corrupted_labels": "upper_loss"}
OWN, FAIR = "adaptive", "windows"
#: An accuracy is reached where so many logged rows after one another keep to it, or all that are left.
STAYS = 3
#: Bootstrap samples of a ratio, and the ends of its interval.
SAMPLES, TAILS = 1000, (0.025, 0.975)


@dataclass(frozen=True, order=True)
class Cell:
    """One problem: name, shape ("" but for the Hölder problem), dimension and p."""

    problem: str
    shape: str
    d: int
    p: int

    @property
    def held_out(self) -> bool:
        """Whether no constant of the method without p was chosen with it, and nobody had looked."""
        return self.problem == "corrupted_labels" or (self.problem == "lp_regression" and self.p in (3, 6))

    @property
    def label(self) -> str:
        """For tables and sentences."""
        names = {
            "example3": "Example 3",
            "coordinatewise": "Example 3, d = 10",
            "hoelder": f"Hölder, {self.shape}, d = {self.d}",
            "lp_regression": "ℓ_p-regression",
            "corrupted_labels": "corrupted labels",
        }
        return f"{names.get(self.problem, self.problem)}, p = {self.p}"


def cell_of(record: Record) -> Cell:
    """Where a record belongs."""
    problem = record.config["problem"]
    sized = problem["name"] == "hoelder"
    d = dimension(record) if sized else 0
    return Cell(str(problem["name"]), str(problem.get("shape", "")) if sized else "", d, exponent(record))


def method_of(record: Record) -> str:
    """adaptive, known, windows, ma_soba or bo_rep; "told P" of what believes in a wrong p, "told" of the true one."""
    method = str(record.config["paper"]["method"])
    if method != "told":
        return method
    told = float(record.config["algorithm"]["assumed_exponent"])
    return "told" if told == exponent(record) else f"told {told:g}"


@dataclass(frozen=True, eq=False)
class Runs:
    """One method in one cell: calls and the metric of every run, by setting and seed.

    Attributes:
        settings: what each of them is.
        calls, values: {(setting, seed): (n,)} of logged rows; values are inf from where a run has diverged.
        seeds: how many.
        budget: of every run.
    """

    settings: list[dict[str, float]]
    calls: dict[tuple[int, int], Array]
    values: dict[tuple[int, int], Array]
    seeds: int
    budget: float

    @property
    def choosing(self) -> int:
        """How many seeds choose, the first."""
        return max(1, self.seeds // 2)

    @property
    def judges(self) -> range:
        """The seeds that judge; the one that there is does both."""
        return range(self.choosing % self.seeds, self.seeds)

    def reached(self, setting: int, seeds: Iterable[int], accuracy: float) -> Array:
        """(seeds,) calls after which the metric keeps to an accuracy, inf for never."""
        return np.array([_first(self.calls[setting, s], self.values[setting, s], accuracy) for s in seeds])

    def at(self, setting: int, seeds: Iterable[int], part: float) -> float:
        """The median over seeds of the metric after a part of the budget."""
        found = []
        for s in seeds:
            calls = self.calls[setting, s]
            place = int(np.searchsorted(calls, part * self.budget, side="right")) - 1
            kept = self.values[setting, s][max(0, place - STAYS + 1) : place + 1]
            found.append(float(kept.max(initial=0)) if len(kept) else math.inf)
        return float(np.median(found))

    def best(self, accuracy: float) -> int:
        """The setting with the least median calls to an accuracy, over the choosing seeds; of ties the lowest end."""
        keys = [
            (median(self.reached(i, range(self.choosing), accuracy)), self.at(i, range(self.choosing), 1.0))
            for i in range(len(self.settings))
        ]
        return min(range(len(keys)), key=lambda i: keys[i])

    def judged(self, accuracy: float) -> Array:
        """(judging seeds,) calls to an accuracy at the setting chosen for it."""
        return self.reached(self.best(accuracy), self.judges, accuracy)


def median(values: Array) -> float:
    """Of (n,) calls: one of them, the upper of two, so that inf is "more than half do not get there"."""
    return float(np.quantile(values, 0.5, method="higher"))


def _first(calls: Array, values: Array, accuracy: float) -> float:
    good = values <= accuracy
    for place in np.flatnonzero(good):
        if good[place : place + STAYS].all() and np.isfinite(values[place:]).all():
            return float(calls[place])
    return math.inf


def own_settings(record: Record) -> dict[str, float]:
    """What all runs of a record share of what is searched."""
    return {k: v for k, v in record.config["algorithm"].items() if k in ("inner_budget", "assumed_exponent") and v}


def runs_of(records: list[Record]) -> Runs:
    """Records of one method in one cell, whose settings are theirs together."""
    settings: list[dict[str, float]] = []
    calls, values, seeds = {}, {}, 0
    for record in records:
        metric = METRICS.get(str(record.config["problem"]["name"]), "hypergradient_norm")
        own = own_settings(record)
        history, runs = record.history, record.runs.reset_index(drop=True)
        order = np.argsort(history["run"].to_numpy(), kind="stable")
        read = column(record, metric).to_numpy(dtype=float)[order]
        read[~np.isfinite(read)] = np.inf
        spent = history["oracle_calls"].to_numpy(dtype=float)[order]
        ends = np.searchsorted(history["run"].to_numpy()[order], np.arange(len(runs) + 1))
        for found, group in by_cell(runs, axes(record)):
            settings.append(own | found)
            for seed, run in enumerate(group.sort_values("seed").index):
                part = slice(ends[run], ends[run + 1])
                calls[len(settings) - 1, seed], kept = spent[part], read[part]
                if runs["status"][run] != "completed":
                    kept = np.append(kept[:-1], np.inf)[: len(kept)]
                values[len(settings) - 1, seed] = kept
            seeds = max(seeds, len(group))
    return Runs(settings, calls, values, seeds, min(float(record.config["budget"]) for record in records))


def gathered(evidence: Evidence) -> dict[Cell, dict[str, Runs]]:
    """{cell: {method: its runs}}; not to be changed.

    Raises:
        MissingRecordsError: the first of the experiments was not run.
    """
    return evidence.once(_gathered)


def _gathered(evidence: Evidence) -> dict[Cell, dict[str, Runs]]:
    found: dict[Cell, dict[str, list[Record]]] = {}
    for record in (*evidence.require(MAIN), *(one for name in EXPERIMENTS[1:] for one in evidence.records(name))):
        found.setdefault(cell_of(record), {}).setdefault(method_of(record), []).append(record)
    return {cell: {name: runs_of(records) for name, records in found[cell].items()} for cell in sorted(found)}


def parts(evidence: Evidence, cell: Cell) -> tuple[float, ...]:
    """The parts of the budget at which a cell's accuracies are taken."""
    names = {"hoelder": HOELDER, "lp_regression": LP, "corrupted_labels": LABELS}
    records = evidence.records(names.get(cell.problem, MAIN))
    return tuple(float(part) for part in records[0].config["paper"]["parts"])


def accuracies(evidence: Evidence, cell: Cell) -> tuple[float, ...]:
    """The two accuracies of a cell, the coarser first; () where the fair baseline was not run there."""
    fair = gathered(evidence)[cell].get(FAIR)
    if fair is None:
        return ()
    seeds = range(fair.choosing)
    found = parts(evidence, cell)
    return tuple(min(fair.at(i, seeds, part) for i in range(len(fair.settings))) for part in found)


def ratio(first: Array, second: Array) -> tuple[float, float, float]:
    """The ratio of median calls, and its bootstrap interval over the seeds of both; inf where the first fails.

    Where the second is there at the start, without a call, it is 1 if the first is, too, and otherwise inf.
    """
    if not math.isfinite(median(first)):
        return math.inf, math.inf, math.inf
    if not math.isfinite(median(second)):
        return 0.0, 0.0, 0.0
    random = np.random.default_rng(0)
    above, below = (
        np.quantile(random.choice(one, (SAMPLES, len(one))), 0.5, axis=1, method="higher") for one in (first, second)
    )
    with np.errstate(divide="ignore", invalid="ignore"):  # 0/0 and ∞/∞ are as good as one another
        drawn = above / below
    drawn[np.isnan(drawn)] = 1.0
    low, high = (float(np.quantile(drawn, tail, method="nearest")) for tail in TAILS)
    middle = median(first) / median(second) if median(second) else (math.inf if median(first) else 1.0)
    return middle, low, high


def decisive(evidence: Evidence, experiment: str, record: Record) -> NDArray[np.bool_] | None:
    """(runs,) those of the settings that an accuracy is judged by; None for UniBiO without p and the fair baseline.

    Where a method's other settings begin and end is enough: read off so little, no accuracy is reached earlier than it
    was, and so no other setting is chosen.
    """
    if experiment == PARTS or method_of(record) in (OWN, FAIR):
        return None
    method, cell = method_of(record), cell_of(record)
    runs = gathered(evidence)[cell][method]
    best = [runs.settings[runs.best(accuracy)] for accuracy in accuracies(evidence, cell)]
    own, found = own_settings(record), np.zeros(len(record.runs), dtype=bool)
    for setting, group in by_cell(record.runs.reset_index(drop=True), axes(record)):
        found[group.index.to_numpy()] = (own | setting) in best
    return found
