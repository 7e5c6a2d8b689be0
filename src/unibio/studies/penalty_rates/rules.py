"""Whether averages fall at least as fast as the slides' exponents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from unibio.errors import InputError
from unibio.studies.common import methods
from unibio.studies.common.evidence import Evidence
from unibio.studies.common.rates import against_bound, interval_said
from unibio.studies.common.verdicts import CONSISTENT, NOT_RUN, NOT_TESTABLE, VIOLATED, Outcome
from unibio.studies.common.words import finite
from unibio.studies.penalty_rates.measures import CASES, EXPERIMENT_OF, LEAST_HORIZONS, rates


def rate_rule(method: str, case: str) -> Callable[[Evidence], Outcome]:
    """Whether every fit range's slope says that the average falls at least as fast as the slides' exponent.

    Consistent where the upper ends of all intervals are at most the exponent, violated where the lower ends of all are
    above it; otherwise the choice of the range decides, and nothing was tested. All ranges must agree, so that none is
    chosen. A single run of a noisy problem has no interval and is not judged.
    """

    def rule(evidence: Evidence) -> Outcome:
        evidence.require(EXPERIMENT_OF[method])
        found = [one for one in rates(evidence) if (one.method, one.case) == (method, case)]
        if not found:
            return Outcome(NOT_RUN, f"no records of {methods.label(method)} with {CASES[case]}")
        if len(found) > 1:
            return Outcome(NOT_RUN, f"several records of {methods.label(method)} with {CASES[case]}: which is meant?")
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
            return Outcome(NOT_TESTABLE, f"runs of {one.t[-1]:.0f} {one.unit} are too short for a slope")
        last = slopes[slopes["kind"] == "to_end"].iloc[-1]
        if case != "exact" and last["seeds"] < 2:
            return Outcome(NOT_TESTABLE, f"a single run with {CASES[case]}: nothing is known of its spread")
        numbers = {
            "exponent": one.bound,
            "slopes": [float(slopes["slope"].min()), float(slopes["slope"].max())],
            "last": [finite(last[name]) for name in ("low", "slope", "interval_low", "interval_high")],
            "seeds": int(last["seeds"]),
        }
        text = (
            f"slopes {slopes['slope'].min():.3f} to {slopes['slope'].max():.3f} over {len(slopes)} fit ranges from "
            f"t = {slopes['low'].min():.0f} on, {last['slope']:.3f} "
            f"({interval_said(last['interval_low'], last['interval_high'], last['seeds'])}) over the last, "
            f"t ≥ {last['low']:.0f}, which is fixed beforehand; exponent {one.bound:.3f}"
        )
        if side := against_bound(slopes, one.bound):
            return Outcome(CONSISTENT if side < 0 else VIOLATED, text, numbers)
        return Outcome(NOT_TESTABLE, text + "; the fit range decides", numbers)

    return rule
