"""Hyper-cleaning of sentence pairs: every method with learned weights beside its twin with frozen ones.

A *group* is what shares everything but the seed: method, exponent, noise, learned or frozen weights. Every seed has its
own label noise, initial weights and minibatches. Differences between a group and its twin are taken seed by seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from unibio.store.records import Record
from unibio.studies.common import methods
from unibio.studies.common.curves import Array
from unibio.studies.common.evidence import Evidence, exponent
from unibio.studies.common.statistics import CONFIDENCE, auc_error
from unibio.studies.nli.setting import TWO_EPOCHS, is_snli, method_of, pairs_of

MAIN, NOISE, EXPONENTS, CONTROLS = "nli", "nli_noise", "nli_exponents", "nli_controls"
RELEASED, FLOOR, WIDTH, WIDE = "nli_released", "nli_floor", "nli_width", "nli_width_256"
#: The search for steps, in parts that are run and published one by one.
SEARCH = ("nli_tuning", "nli_tuning_others", "nli_tuning_saba")
#: Experiments whose groups are compared with each other.
COMPARED = (MAIN, NOISE, EXPONENTS)

ACCURACY, AUC, SPREAD = "test_accuracy", "cleaning_auc", "weight_spread"
#: What is known of the weights at the end, which in a run that diverged is not what the method was after.
_OF_WEIGHTS = (AUC, "cleaning_precision", SPREAD)

#: Methods by name, UniBiO's two forms of the released code first.
COMPARED_METHODS = ("unibio", "unibio_plain", "stocbio", "ttsa", "saba", "ma_soba", "sustain", "vrbo", "bo_rep")
OWN = ("unibio", "unibio_plain")
#: Other UniBiOs, each compared on its own: as the paper means it, and without p.
FURTHER = (TWO_EPOCHS, "unibio_adaptive")
_ORDER = (*OWN, *FURTHER, *(name for name in COMPARED_METHODS if name not in OWN))
#: UniBiO and what the paper compares it with; BO-REP is added by us.
PAPER_METHODS = tuple(name for name in COMPARED_METHODS if name != "bo_rep")


def searched(evidence: Evidence) -> list[Record]:
    """The records of the search for steps, as far as it was run."""
    return [record for name in SEARCH for record in evidence.records(name)]


@dataclass(frozen=True)
class Group:
    """The runs of one setting, one per seed.

    Attributes:
        method: key of the table of methods.
        width: units of the network.
        exponent, rate, noise, weights: of the problem's configuration.
        source: of the data.
        pairs: training pairs.
        last: (seeds, …) final values, indexed by seed; accuracies and what tells of weights are NaN in a diverged run.
        histories: of the same runs.
        records: they come from.
    """

    method: str
    width: int
    exponent: int
    rate: float
    noise: str
    weights: str
    source: str
    pairs: int
    last: pd.DataFrame
    histories: tuple[pd.DataFrame, ...]
    records: tuple[Record, ...]

    @property
    def label(self) -> str:
        """The method as tables name it."""
        return methods.label(self.method)

    @property
    def seeds(self) -> int:
        """How many."""
        return len(self.last)

    @property
    def snli(self) -> bool:
        """Whether the pairs are known to be SNLI's."""
        return all(map(is_snli, self.records))

    def final(self, column: str = ACCURACY) -> pd.Series:
        """A metric at the end, by seed; NaN where it was not recorded."""
        return self.last[column] if column in self.last else pd.Series(np.nan, index=self.last.index)

    def middle(self, column: str = ACCURACY) -> float:
        """Median of a metric at the end over the seeds that have it; −inf where none has."""
        values = self.final(column).dropna()
        return float(values.median()) if len(values) else -math.inf

    def auc_interval(self, looks: int = 1) -> tuple[float, float]:
        """Interval of the mean AUC over the seeds: nan where there is none.

        The wider of two: Student's, from the spread of the seeds, and that of a mean of as many AUCs over pairs (Hanley
        and McNeil), whose flips are drawn for every seed alone. A single seed has the second only.

        Args:
            looks: how many intervals a verdict chooses from; each is widened for all to hold together (Bonferroni).
        """
        values = self.final(AUC).dropna().to_numpy(dtype=float)
        wrong = round(self.rate * self.pairs)
        if not len(values) or not 0 < wrong < self.pairs:
            return math.nan, math.nan
        level = 1 - (1 - CONFIDENCE) / (2 * looks)
        width = float(ndtri(level) * np.sqrt(np.mean(auc_error(values, self.pairs - wrong, wrong) ** 2)))
        if len(values) > 1:
            width = max(width, float(stdtrit(len(values) - 1, level) * values.std(ddof=1)))
        width /= math.sqrt(len(values))
        return max(float(values.mean()) - width, 0.0), min(float(values.mean()) + width, 1.0)

    def separates(self, looks: int = 1) -> bool:
        """Whether the weights tell clean from flipped pairs: AUC above ½ beyond its interval, over several seeds."""
        return self.final(AUC).count() > 1 and self.auc_interval(looks)[0] > 0.5

    def curve(self, metric: str, against: str) -> pd.DataFrame:
        """Median, least and largest of a metric over the seeds at the logged places: x, median, min, max.

        Args:
            metric: a column of the history.
            against: "epoch", "oracle_calls" or "seconds"; x is its median over the seeds.
        """
        count = min(len(history) for history in self.histories)
        values = np.array([history[metric].to_numpy(dtype=float)[:count] for history in self.histories])
        if against == "epoch":
            places = [history["lower_samples"].to_numpy(dtype=float)[:count] / self.pairs for history in self.histories]
        else:
            places = [history[against].to_numpy(dtype=float)[:count] for history in self.histories]
        ends = {"median": np.median(values, 0), "min": values.min(0), "max": values.max(0)}
        return pd.DataFrame({"x": np.median(places, axis=0), **ends})


def groups(evidence: Evidence, experiment: str) -> list[Group]:
    """The groups of an experiment, UniBiO's forms first; not to be changed.

    Raises:
        MissingRecordsError: it was not run.
    """
    return evidence.once(_groups, experiment)


def _groups(evidence: Evidence, experiment: str) -> list[Group]:
    found: dict[tuple[Any, ...], list[Record]] = {}
    for record in evidence.require(experiment):
        problem = record.config["problem"]
        key = (method_of(record), int(problem["width"]), exponent(record), float(problem["noise_rate"]))
        found.setdefault((*key, problem["noise"], problem["weights"]), []).append(record)
    order = _ORDER
    result = [_group(key, sorted(records, key=lambda one: one.config["seed"])) for key, records in found.items()]
    place = {group.method: order.index(group.method) if group.method in order else len(order) for group in result}
    return sorted(result, key=lambda g: (g.width, g.exponent, g.rate, place[g.method], g.weights != "learned"))


def _group(key: tuple[Any, ...], records: Sequence[Record]) -> Group:
    name, width, p, rate, noise, weights = key
    last = []
    for record in records:
        row = record.history.iloc[-1].copy()
        if record.runs["status"].iloc[0] != "completed":
            row[[name for name in row.index if name.endswith("_accuracy") or name in _OF_WEIGHTS]] = np.nan
        last.append(row)
    table = pd.DataFrame(last, index=[int(record.config["seed"]) for record in records])
    histories = tuple(record.history for record in records)
    source, pairs = records[0].config["data"]["source"], pairs_of(records[0], "train")
    return Group(name, width, p, rate, noise, weights, source, pairs, table, histories, tuple(records))


def compared(evidence: Evidence) -> list[Group]:
    """The groups of every comparison that was run."""
    return [group for name in COMPARED if evidence.records(name) for group in groups(evidence, name)]


def learned(found: Iterable[Group]) -> list[Group]:
    """Those of some groups whose weights are learned."""
    return [group for group in found if group.weights == "learned"]


def named(found: Iterable[Group]) -> str:
    """The methods of some groups, each once."""
    return ", ".join(dict.fromkeys(group.label for group in found))


def twin(group: Group, among: Iterable[Group]) -> Group | None:
    """The same with frozen weights."""
    same = (
        other
        for other in among
        if other.weights == "frozen"
        and (other.method, other.width, other.exponent, other.rate, other.noise, other.source, other.pairs)
        == (group.method, group.width, group.exponent, group.rate, group.noise, group.source, group.pairs)
    )
    return next(same, None)


def gain(group: Group, frozen: Group | None) -> Array:
    """Final test accuracy over the frozen twin's, (seeds in both,); NaN where one of them diverged."""
    if frozen is None:
        return np.empty(0)
    return (group.final() - frozen.final()).dropna().to_numpy(dtype=float)


def summary(found: Sequence[Group]) -> pd.DataFrame:
    """One row per group with learned weights: accuracies, gain over the frozen twin, AUC, precision, spread, costs."""
    rows = []
    for group in learned(found):
        frozen = twin(group, found)
        gains, accuracy = gain(group, frozen), group.final()
        low, high = group.auc_interval()
        row: dict[str, Any] = {"p": group.exponent, "noise_rate": group.rate, "method": group.label}
        row |= {ACCURACY: accuracy.median(), f"{ACCURACY}_min": accuracy.min(), f"{ACCURACY}_max": accuracy.max()}
        row |= {"frozen_test_accuracy": math.nan if frozen is None else frozen.final().median()}
        row |= {"gain": float(np.median(gains)) if len(gains) else math.nan}
        row |= {"gain_min": float(gains.min(initial=np.inf)), "gain_max": float(gains.max(initial=-np.inf))}
        for column in ("valid_accuracy", "train_accuracy", "noisy_accuracy"):
            row[column] = group.final(column).median()
        row |= {AUC: group.final(AUC).mean(), f"{AUC}_low": low, f"{AUC}_high": high}
        row |= {"cleaning_precision": group.final("cleaning_precision").mean(), SPREAD: group.final(SPREAD).median()}
        for column in ("oracle_calls", "samples", "iteration", "seconds"):
            row[column] = group.final(column).median()
        rows.append(row | {"seeds": group.seeds, "diverged": int(accuracy.isna().sum())})
    return pd.DataFrame(rows)
