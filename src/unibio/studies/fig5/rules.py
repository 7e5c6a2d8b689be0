"""The rules that judge claims about Figure 5's power laws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import curves
from unibio.studies.common.evidence import Evidence, exponent, noisy, paper_step
from unibio.studies.common.rates import (
    against_bound,
    bound_exponent,
    fit_power_law,
    slopes_by_range,
    slopes_by_start,
    slopes_by_window,
    standard_ranges,
)
from unibio.studies.common.readings import BOTH, Reading
from unibio.studies.common.soundness import unsound
from unibio.studies.common.verdicts import (
    CONFOUNDED,
    CONSISTENT,
    EXPONENTS,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_TESTABLE,
    REPRODUCED,
    SAME,
    VIOLATED,
    Outcome,
)
from unibio.studies.common.words import span


def rate(p: int, reading: Reading = BOTH) -> Callable[[Evidence], Outcome]:
    """Whether the averaged norm at the paper's η falls at least as fast as the bound, whatever the fit range.

    Ranges: [t, T] and [t, 10 t] for all t that leave room. All must agree, intervals included, so that none is chosen;
    if some of them say yes and some no, it is the choice of the range that decides, and nothing was tested. A single
    run of a noisy problem has no interval and is not judged.
    """

    def rule(evidence: Evidence) -> Outcome:
        bound, found, whole = bound_exponent(p), [], {}
        reading.levels(evidence, "fig5")
        said: list[str] = []
        single: list[str] = []
        for record in evidence.require("fig5"):
            if exponent(record) != p:
                continue
            for curve in curves(record, "hypergradient_norm_mean", upper_step=paper_step(record) or math.nan):
                if not reading.holds(curve.cell):
                    continue
                if not np.isfinite(curve.values).all():
                    return Outcome(NOT_TESTABLE, "runs diverged; a power law of the rest would be of survivors", {})
                found.append(slopes_by_start(curve.iterations, curve.values).assign(kind="to_end"))
                found.append(slopes_by_window(curve.iterations, curve.values).assign(kind="decade"))
                if len(found[-1]):
                    last = fit_power_law(curve.iterations, curve.values, curve.iterations[-1] / 10)
                    if last.seeds < 2 and noisy(record, curve.cell):
                        single.append(f"noise {curve.cell['noise']:g}")
                    whole[f"noise {curve.cell['noise']:g}"] = [last.slope, *(last.interval or (None, None))]
                    said.append(f"{last.said()}, noise {curve.cell['noise']:g}")
        fits = pd.concat(found) if found else pd.DataFrame()
        if fits.empty:
            return Outcome(NOT_RUN, f"fig5 holds no curve at the paper's step for p = {p}, or one too short for a fit")
        ends = fits.groupby("kind")["slope"].agg(["min", "max"])
        numbers = {"bound": bound, "last_decade": whole, "slopes": {str(k): list(r) for k, r in ends.iterrows()}}
        names = {"to_end": "[t, T]", "decade": "[t, 10 t]"}
        spans = [
            f"{names[k]} {span(r['min'], r['max'], '.2f')}" for k, r in ends.sort_index(ascending=False).iterrows()
        ]
        text = (
            f"slopes over the fit ranges {' and '.join(spans)} as t varies, bound {bound:.3f}; over the last decade, "
        )
        text += f"which is fixed beforehand, {'; '.join(said)}"
        if single:
            text += f"; a single run with {' and '.join(single)}: nothing is known of its spread"
            return Outcome(NOT_TESTABLE, text, numbers)
        if broken := unsound((r for r in evidence.require("fig5") if exponent(r) == p), kept=reading.holds):
            return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
        if side := against_bound(fits, bound):
            return Outcome(CONSISTENT if side < 0 else VIOLATED, text, numbers)
        text += "; the fit range decides, and η is fixed where the theorem lets it shrink with T"
        return Outcome(NOT_TESTABLE, text, numbers)

    return rule


def faster_than_bound(evidence: Evidence, reading: Reading = BOTH) -> Outcome:
    """Whether the averaged norm at the paper's η falls faster than the bound for every p, whatever the fit range.

    As :func:`rate` finds it for every p; where the range decides for one of them, it decides here.
    """
    found = {p: rate(p, reading)(evidence) for p in EXPONENTS}
    verdicts = {p: outcome.verdict for p, outcome in found.items()}
    text = "; ".join(f"p = {p}: {outcome.explanation}" for p, outcome in found.items())
    numbers = {f"p = {p}": outcome.numbers | {"verdict": outcome.verdict} for p, outcome in found.items()}
    for decisive, said in ((NOT_RUN, NOT_RUN), (VIOLATED, NOT_REPRODUCED), (NOT_TESTABLE, NOT_TESTABLE)):
        if decisive in verdicts.values():
            return Outcome(said, text, numbers)
    return Outcome(REPRODUCED, text, numbers)


def flatter(evidence: Evidence, reading: Reading = BOTH) -> Outcome:
    """Whether a larger p gives a flatter power law, at the paper's η and at equal η, for several fit ranges.

    The ranges are fixed beforehand and all of them are asked. Flatter is by more than 5% of the slope at p = 2, and by
    more than the seeds leave open: intervals do not overlap. Not testable where runs diverged or do not descend with y
    in tow.
    """
    slopes: dict[tuple[Any, ...], dict[int, tuple[float, float, float]]] = {}
    reading.levels(evidence, "fig5")
    found = evidence.require("fig5")
    for record in found:
        for curve in curves(record, "hypergradient_norm_mean"):
            if not reading.holds(curve.cell):
                continue
            if not np.isfinite(curve.values).all():
                return Outcome(NOT_TESTABLE, f"runs at p = {curve.exponent} diverged; a fit would be of survivors")
            step = curve.cell["upper_step"]
            own = "paper" if np.isclose(step, paper_step(record) or math.nan) else None
            ranges = standard_ranges(float(curve.iterations[-1]))
            for fit in slopes_by_range(curve.iterations, curve.values, ranges).itertuples():
                if fit.seeds < 2 and noisy(record, curve.cell):
                    return Outcome(NOT_TESTABLE, "a single run with noise: nothing is known of its spread")
                exact = not np.isfinite(float(fit.interval_low))
                ends = (fit.slope, fit.slope) if exact else (fit.interval_low, fit.interval_high)
                for key in (f"step {step:g}", own):
                    if key:
                        place = (key, curve.cell["noise"], float(fit.low), float(fit.high))
                        slopes.setdefault(place, {})[curve.exponent] = (fit.slope, *ends)
    complete = {key: [by_p[p] for p in EXPONENTS] for key, by_p in slopes.items() if set(EXPONENTS) <= set(by_p)}
    flat = {key: _rising(by_p) for key, by_p in complete.items()}
    at_paper = [v for key, v in flat.items() if key[0] == "paper"]
    control = [v for key, v in flat.items() if key[0] != "paper"]
    if not at_paper or not control:
        return Outcome(NOT_RUN, "fig5 holds no curves of every p long enough for a fit")
    shown = {f"{k[0]}, noise {k[1]:g}, t in [{k[2]:g}, {k[3]:g}]": [s for s, *_ in v] for k, v in complete.items()}
    text = (
        f"larger p gives a flatter fit in {sum(at_paper)} of {len(at_paper)} fits at the paper's steps (the fit range "
        f"decides) and in {sum(control)} of {len(control)} at equal steps"
    )
    numbers = {"slopes_by_p": shown, "flatter_paper": sum(at_paper), "flatter_equal": sum(control)}
    if not any(at_paper):
        return Outcome(NOT_REPRODUCED, text, numbers)
    if broken := unsound(found, kept=reading.holds):
        return Outcome(NOT_TESTABLE, f"{text}; {broken}", numbers)
    return Outcome(REPRODUCED if every([*at_paper, *control]) else CONFOUNDED, text, numbers)


def _rising(slopes: Sequence[tuple[float, float, float]]) -> bool:
    """Whether (slope, ends of its interval) rise from p to p by more than ``SAME`` of the first, without overlap."""
    enough = SAME * abs(slopes[0][0])
    return every(b[0] - a[0] > enough and b[1] > a[2] for a, b in itertools.pairwise(slopes))
