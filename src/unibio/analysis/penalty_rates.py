"""Rates of the penalty methods: the averaged ‖∇φ‖ against iterations for three kinds of noise.

F²SA and F³SA have schedules, so one long run shows every horizon; F²BA's penalty and step belong to one horizon, so a
sweep of horizons takes the place of the curve. The theorems bound the average over iterates up to constants, and on a
problem that is easier than their worst case it may fall faster. Hence a slope at or below the exponent is consistent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from unibio.analysis.claims import CONSISTENT, NOT_RUN, NOT_TESTABLE, VIOLATED, Outcome
from unibio.analysis.curves import Array, curves, final
from unibio.analysis.rates import fit_sweep, slopes_by_start, slopes_by_window
from unibio.analysis.study import Study
from unibio.errors import InputError
from unibio.records import Record

SCHEDULED, FIXED = "penalty_rates", "penalty_rates_fixed"
METRIC = "hypergradient_norm_mean"
CASES = {"exact": "exact gradients", "upper": "noise on the upper level", "both": "noise on both levels"}
NAMES = {"f2sa": "F²SA", "f3sa": "F³SA", "f2ba": "F²BA"}
#: The slides' exponents of E‖∇φ‖ in iterations.
BOUNDS = {
    "f2sa": {"exact": -1 / 3, "upper": -1 / 5, "both": -1 / 7},
    "f3sa": {"exact": -1 / 3, "upper": -1 / 4, "both": -1 / 5},
    "f2ba": {"exact": -1 / 2, "upper": -1 / 4, "both": -1 / 6},
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
        t: (n,) iterations, or horizons.
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

    def slopes(self) -> pd.DataFrame:
        """Slopes over fit ranges from ``EARLIEST`` on: kind, low, high, slope, error, interval_low, interval_high.

        Kinds: "to_end", [t, T] for all t; "decade", [t, 10 t]. A sweep has [T_i, T_n] only.
        """
        if self.sweep:
            rows = []
            for i in range(len(self.t) - 2):
                fit = fit_sweep(list(self.t[i:]), list(self.values.T[i:]))
                rows.append(("to_end", fit.low, fit.high, fit.slope, fit.error, *fit.interval))
            return pd.DataFrame(rows, columns=["kind", *_COLUMNS])
        ends = slopes_by_start(self.t, self.values).assign(kind="to_end")
        windows = slopes_by_window(self.t, self.values).assign(kind="decade")
        both = pd.concat([ends, windows], ignore_index=True)
        return both.loc[both["low"] >= EARLIEST * self.t[-1], ["kind", *_COLUMNS]].reset_index(drop=True)


_COLUMNS = ["low", "high", "slope", "error", "interval_low", "interval_high"]


def rates(study: Study) -> list[Rate]:
    """Every method under every kind of noise that has records, in the order of ``BOUNDS`` and ``CASES``.

    Raises:
        MissingRecordsError: neither experiment was run.
    """
    found = [
        Rate(record.config["algorithm"]["name"], record.config["algorithm"]["schedule"], c.iterations, c.values, False)
        for record in (study.require(SCHEDULED) if not study.records(FIXED) else study.records(SCHEDULED))
        for c in curves(record, METRIC)
    ]
    for case in CASES:
        horizons = [record for record in study.records(FIXED) if record.config["paper"]["case"] == case]
        if horizons:
            found.append(_sweep(horizons, case))
    methods, cases = list(BOUNDS), list(CASES)
    return sorted(found, key=lambda one: (methods.index(one.method), cases.index(one.case)))


def _sweep(found: Sequence[Record], case: str) -> Rate:
    ordered = sorted(found, key=lambda record: int(record.config["steps"]))
    t = np.array([float(record.config["steps"]) for record in ordered])
    return Rate("f2ba", case, t, np.stack([final(record, METRIC) for record in ordered], axis=1), True)


def rate_rule(method: str, case: str) -> Callable[[Study], Outcome]:
    """Whether every fit range's slope says that the average falls at least as fast as the slides' exponent.

    Consistent where the upper ends of all intervals are at most the exponent, violated where the lower ends of all are
    above it; otherwise the choice of the range decides, and nothing was tested.
    """

    def rule(study: Study) -> Outcome:
        study.require(FIXED if method == "f2ba" else SCHEDULED)
        found = [one for one in rates(study) if (one.method, one.case) == (method, case)]
        if not found:
            return Outcome(NOT_RUN, f"no records of {NAMES[method]} with {CASES[case]}")
        (one,) = found
        if one.sweep and len(one.t) < LEAST_HORIZONS:
            return Outcome(NOT_TESTABLE, f"{len(one.t)} horizons are too few for a slope")
        if not np.isfinite(one.values).all():
            return Outcome(NOT_TESTABLE, "runs diverged; a power law of the rest would be of survivors")
        try:
            slopes = one.slopes()
        except InputError as error:
            return Outcome(NOT_TESTABLE, str(error))
        if slopes.empty:
            return Outcome(NOT_TESTABLE, f"runs of {one.t[-1]:.0f} iterations are too short for a slope")
        last = slopes[slopes["kind"] == "to_end"].iloc[-1]
        numbers = {
            "exponent": one.bound,
            "slopes": [float(slopes["slope"].min()), float(slopes["slope"].max())],
            "last": [
                float(last["low"]),
                float(last["slope"]),
                float(last["interval_low"]),
                float(last["interval_high"]),
            ],
            "seeds": len(one.values),
        }
        text = (
            f"slopes {slopes['slope'].min():.3f} to {slopes['slope'].max():.3f} over {len(slopes)} fit ranges from "
            f"t = {slopes['low'].min():.0f} on, {last['slope']:.3f} (95% interval {last['interval_low']:.3f} to "
            f"{last['interval_high']:.3f}) over the last, t ≥ {last['low']:.0f}; exponent {one.bound:.3f}"
        )
        if (slopes["interval_high"] <= one.bound).all():
            return Outcome(CONSISTENT, text, numbers)
        if (slopes["interval_low"] > one.bound).all():
            return Outcome(VIOLATED, text, numbers)
        return Outcome(NOT_TESTABLE, text + "; the fit range decides", numbers)

    return rule
