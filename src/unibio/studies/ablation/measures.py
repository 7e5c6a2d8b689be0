"""Every variant of UniBiO at its best settings, on every problem and for every p, beside the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from unibio.store.records import Record
from unibio.studies.common.curves import Array, cells, final
from unibio.studies.common.evidence import Evidence, exponent
from unibio.studies.common.rates import student
from unibio.studies.common.search import Cell, Search, interpolated_median, search
from unibio.studies.common.soundness import MOST, sound

#: {experiment: its problem, in words}.
PROBLEMS = {
    "ablation": "Hölder problem, d = 4",
    "ablation_coordinatewise": "coordinate-wise, d = 10",
    "ablation_lp": "ℓ_p-regression",
}
EXPONENTS = (2, 4, 6)
AXES = ("inner_budget", "upper_step", "lower_step")
WHOLE = "nothing"
#: {what a variant is without, as configurations say it: what it does in its place}.
PARTS = {
    "periods": "a solve every iteration",
    "momentum": "β = 0",
    "balls": "no balls",
    "averaging": "last iterates",
    "warm starts": "every solve from the start",
    "the first solve": "no first solve",
}
#: {experiment: (column whose last value is compared, the smaller the better; how it is called; the factor within which
#: two of its values are alike)}. φ of ℓ_p-regression has little room below it.
CRITERIA = {
    "ablation": ("hypergradient_norm_mean", "mean of ‖∇φ‖", 1.05),
    "ablation_coordinatewise": ("hypergradient_norm_mean", "mean of ‖∇φ‖", 1.05),
    "ablation_lp": ("value", "φ", 1.02),
}


@dataclass(frozen=True, eq=False)
class Variant:
    """One variant on one problem for one p.

    Attributes:
        records: one for each K.
        search: over K, η and γ₁; the criterion at the end of the budget.
        at: the settings that the choosing seeds choose; None where no run is finite.
    """

    records: Sequence[Record]
    search: Search
    at: Cell | None

    @cached_property
    def values(self) -> Array:
        """(judging seeds,) the criterion at the chosen settings; empty for none."""
        found: Array = np.empty(0) if self.at is None else self.search.values[self.at][self._judges]
        return found

    @property
    def _judges(self) -> slice:
        return slice(self.search.choosing_seeds if self.search.split else 0, None)

    @property
    def steps(self) -> dict[str, float]:
        """The chosen settings; NaN for none."""
        return dict.fromkeys(AXES, math.nan) if self.at is None else self.search.at(self.at)

    @property
    def last_gain(self) -> float:
        """What the last grid step towards an end of the ranges of η and γ₁ lowered the criterion by; 0 where the chosen
        ones are at none. (Of K the low end is one epoch, below which there is no solve.)"""
        if self.at is None:
            return 0.0
        steps = {name: self.search.steps[name] for name in AXES[1:]}
        return replace(self.search, steps=steps, values=self.search.values[self.at[0]]).gain_at_ends(self.at[1:])

    @cached_property
    def works(self) -> bool:
        """Whether φ falls and y follows y*(x) in most of the judging runs."""
        if self.at is None:
            return False
        flags = np.concatenate([sound(record) for record in self.records])
        return bool(flags[self.search.runs(self.at, judging=True)].mean() >= MOST)


def variants(evidence: Evidence) -> dict[tuple[str, int], dict[str, Variant]]:
    """{(experiment, p): {what it is without: a variant, the whole first}}; not to be changed.

    Raises:
        MissingRecordsError: an experiment was not run.
        InputError: a search that lacks settings or seeds.
    """
    return evidence.once(_variants)


def _variants(evidence: Evidence) -> dict[tuple[str, int], dict[str, Variant]]:
    found: dict[tuple[str, int], dict[str, list[Record]]] = {}
    for name in PROBLEMS:
        for record in evidence.require(name):
            by_part = found.setdefault((name, exponent(record)), {})
            by_part.setdefault(str(record.config["paper"]["without"]), []).append(record)
    return {
        key: {part: _variant(by_part[part], CRITERIA[key[0]][0]) for part in (WHOLE, *PARTS) if part in by_part}
        for key, by_part in sorted(found.items())
    }


def _variant(records: Sequence[Record], metric: str) -> Variant:
    table = pd.concat([cells(record) for record in records], ignore_index=True)
    values = np.concatenate([final(record, metric) for record in records])
    one = search(
        records[0].name, table, values, AXES, choosing=lambda seeds: max(1, seeds // 2), middle=interpolated_median
    )
    return Variant(records, one, one.best())


@dataclass(frozen=True)
class Compared:
    """What the whole is worth beside a variant on one problem for one p.

    Attributes:
        ratio: the variant's criterion by the whole's, geometric mean over the judging seeds; NaN without one.
        low, high: its 95% interval; NaN without one.
        state: 1 where the part helps, −1 where it harms, 0 where both are alike; None where it is not told.
        why: it is not told, beside the interval; "" else.
    """

    ratio: float
    low: float
    high: float
    state: int | None
    why: str = ""


def compared(whole: Variant, other: Variant, alike: float) -> Compared:
    """The comparison, with the factor within which two values are alike."""
    ours, theirs = whole.values, other.values
    usable = len(ours) == len(theirs) > 0 and all((np.isfinite(v) & (v > 0)).all() for v in (ours, theirs))
    if not usable:
        return Compared(math.nan, math.nan, math.nan, None, "no finite runs at any settings")
    logs = np.log(theirs / ours)
    ratio, interval = math.exp(float(logs.mean())), student(logs)
    if not (whole.search.split and other.search.split):
        return Compared(ratio, math.nan, math.nan, None, "the seeds that chose judge")
    if interval is None:  # nothing is random, or a single seed
        same = len(logs) > 1 and math.isclose(ratio, 1, rel_tol=1e-9)
        return Compared(ratio, ratio, ratio, 0 if same else None, "" if same else "a single seed")
    low, high = math.exp(interval[0]), math.exp(interval[1])
    state = 1 if low > alike else -1 if high < 1 / alike else 0 if low >= 1 / alike and high <= alike else None
    better, worse = (whole, other) if ratio > 1 else (other, whole)
    if state and not better.works:
        return Compared(ratio, low, high, None, "what is better does not work")
    if state and worse.last_gain >= abs(float(theirs.mean() - ours.mean())):
        return Compared(ratio, low, high, None, "a range must be widened first")
    return Compared(ratio, low, high, state)


def comparisons(evidence: Evidence, part: str) -> dict[tuple[str, int], Compared]:
    """{(experiment, p): the whole beside the variant without one part}, where both were run; not to be changed."""
    return evidence.once(_comparisons, part)


def _comparisons(evidence: Evidence, part: str) -> dict[tuple[str, int], Compared]:
    return {
        key: compared(by_part[WHOLE], by_part[part], CRITERIA[key[0]][2])
        for key, by_part in variants(evidence).items()
        if WHOLE in by_part and part in by_part
    }
