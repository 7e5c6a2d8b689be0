"""Rates of the penalty methods: the averaged ‖∇φ‖ against iterations or oracle calls, for three kinds of noise.

F²SA, F³SA and the proximal methods have schedules, so one long run shows every horizon; F²BA's penalty and step belong
to one horizon, so a sweep of horizons takes the place of the curve. The proximal methods are for lower levels that need
not be convex and run on one that is not; an iteration of the one with two loops grows longer, and so both are judged by
oracle calls, in which their rates are stated. The theorems bound the average over iterates up to constants, and on a
problem that is easier than their worst case it may fall faster. Hence a slope at or below the exponent is consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.store.records import Record
from unibio.studies.common.curves import Array, curves, final
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.rates import COLUMNS, fit_sweep, slopes_by_start, slopes_by_window

SCHEDULED, FIXED, PROXIMAL = "penalty_rates", "penalty_rates_fixed", "proximal_rates"
METRIC = "hypergradient_norm_mean"

CASES = {"exact": "exact gradients", "upper": "noise on the upper level", "both": "noise on both levels"}
#: The slides' exponents of E‖∇φ‖, in iterations, and of the proximal methods in oracle calls.
BOUNDS = {
    "f2sa": {"exact": -1 / 3, "upper": -1 / 5, "both": -1 / 7},
    "f3sa": {"exact": -1 / 3, "upper": -1 / 4, "both": -1 / 5},
    "f2ba": {"exact": -1 / 2, "upper": -1 / 4, "both": -1 / 6},
    "proximal": {"exact": -1 / 3, "upper": -1 / 5, "both": -1 / 7},
    "proximal_momentum": {"exact": -1 / 3, "upper": -1 / 4, "both": -1 / 5},
}
#: Which records show a method's rate.
EXPERIMENT_OF = {
    **dict.fromkeys(("f2sa", "f3sa"), SCHEDULED),
    "f2ba": FIXED,
    **dict.fromkeys(("proximal", "proximal_momentum"), PROXIMAL),
}
#: Which records the figure shows beside those that decide.
BESIDE = {SCHEDULED: (FIXED,), FIXED: (SCHEDULED,), PROXIMAL: ()}
#: Where the slides state them.
SOURCES = {
    "f2sa": "“Complexity of F²SA”",
    "f3sa": "“Complexity of F³SA”",
    "f2ba": "“[Chen et al., 2025]”, whose variant of F²SA this is",
    "proximal": "“Two-Loop Algorithm”, “Convergence and Complexity”",
    "proximal_momentum": "“Single-Loop Algorithm with Momentum”, “Convergence and Complexity”",
}

#: Fits begin after this part of the run: before it the average is of the way from the start.
EARLIEST = 0.01
#: Horizons a sweep needs.
LEAST_HORIZONS = 4


@dataclass(frozen=True)
class Rate:
    """One method under one kind of noise.

    Attributes:
        method: name of the algorithm.
        case: key of ``CASES``.
        t: (n,) iterations, horizons, or oracle calls.
        values: (seeds, n) the averaged norm.
        sweep: whether t are horizons, with seeds of their own.
    """

    method: str
    case: str
    t: Array
    values: Array
    sweep: bool

    @property
    def bound(self) -> float:
        """The exponent of the slides."""
        return BOUNDS[self.method][self.case]

    @property
    def unit(self) -> str:
        """What t counts."""
        return "oracle calls" if EXPERIMENT_OF[self.method] == PROXIMAL else "iterations"

    def slopes(self) -> pd.DataFrame:
        """Slopes over fit ranges from ``EARLIEST`` on: kind and :data:`~unibio.studies.common.rates.COLUMNS`.

        Kinds: "to_end", [t, T] for all t; "decade", [t, 10 t]. A sweep has [T_i, T_n] only.
        """
        if self.sweep:
            rows = []
            for i in range(len(self.t) - 2):
                fit = fit_sweep(list(self.t[i:]), list(self.values.T[i:]))
                rows.append(["to_end", *fit.row()])
            return pd.DataFrame(rows, columns=["kind", *COLUMNS])
        ends = slopes_by_start(self.t, self.values).assign(kind="to_end")
        windows = slopes_by_window(self.t, self.values).assign(kind="decade")
        both = pd.concat([ends, windows], ignore_index=True)
        return both.loc[both["low"] >= EARLIEST * self.t[-1], ["kind", *COLUMNS]].reset_index(drop=True)


def rates(evidence: Evidence) -> list[Rate]:
    """Every method under every kind of noise that has records, in the order of ``BOUNDS`` and ``CASES``.

    Raises:
        MissingRecordsError: none of the experiments was run.
    """
    scheduled = [*evidence.records(SCHEDULED), *evidence.records(PROXIMAL)]
    if not scheduled and not evidence.records(FIXED):
        evidence.require(SCHEDULED)
    found = []
    for record in scheduled:
        name, case = (record.config["algorithm"][key] for key in ("name", "schedule"))
        for c in curves(record, METRIC):
            found.append(
                Rate(name, case, c.calls if EXPERIMENT_OF[name] == PROXIMAL else c.iterations, c.values, False)
            )
    for case in CASES:
        horizons = [record for record in evidence.records(FIXED) if record.config["paper"]["case"] == case]
        if horizons:
            found.append(_sweep(horizons, case))
    return sorted(found, key=lambda one: (list(BOUNDS).index(one.method), list(CASES).index(one.case)))


def _sweep(found: Sequence[Record], case: str) -> Rate:
    ordered = sorted(found, key=lambda record: int(record.config["steps"]))
    t = np.array([float(record.config["steps"]) for record in ordered])
    return Rate("f2ba", case, t, np.stack([final(record, METRIC) for record in ordered], axis=1), True)
