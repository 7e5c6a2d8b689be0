"""Theorem 5.1's schedule at p = 2: the final averaged norm against T."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.quantiles import quartiles
from unibio.store.records import Record
from unibio.studies.common import style
from unibio.studies.common.claim import Claim
from unibio.studies.common.curves import final
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, exponent
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import COLUMNS, bound_exponent, fit_sweep
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import NOT_TESTABLE, Outcome
from unibio.studies.common.words import listed

EXPERIMENT = "theorem_schedule"
METRIC = "hypergradient_norm_mean"
#: Horizons a sweep needs for a slope to mean something: this many, over at least this factor.
LEAST_HORIZONS, LEAST_SPAN = 4, 10.0
#: Why the slope is no test of the theorem.
WHY = (
    "it is no test: the schedule's step η(T) alone makes the descent a share ∝ T^(−1/4) of the run, so that runs with "
    "β = 0, with y never refreshed or with a lower step of 10⁻⁶ keep to the bound as well. A study on which those fail "
    "could judge it"
)


def _records(evidence: Evidence) -> list[Record]:
    """Those at p = 2, by horizon."""
    return [record for record in evidence.require(EXPERIMENT) if exponent(record) == 2]


def theorem(evidence: Evidence) -> Outcome:
    """Never more than "not testable", beside the slope of the final averaged norm under the schedule at p = 2.

    A slope of −1/4 or steeper says nothing of the algorithm, since broken ones have it, too (``WHY``).
    """
    found = _records(evidence)
    horizons, ends = [float(record.config["steps"]) for record in found], [final(record, METRIC) for record in found]
    if len(horizons) < LEAST_HORIZONS or max(horizons) < LEAST_SPAN * min(horizons):
        text = f"{len(horizons)} horizons do not span a decade: T = {listed(horizons)}"
        return Outcome(NOT_TESTABLE, f"{text}; {WHY}")
    try:
        fit, late = fit_sweep(horizons, ends), fit_sweep(horizons[len(horizons) // 2 - 1 :], ends[len(ends) // 2 - 1 :])
    except InputError as error:
        return Outcome(NOT_TESTABLE, f"{error}; {WHY}")
    bound = bound_exponent(2)
    numbers = {"slope": fit.slope, "interval": fit.interval, "bound": bound, "later_half": late.slope}
    text = (
        f"{fit.said()} over T = {min(horizons):.0f} … {max(horizons):.0f}, {late.slope:.3f} over the later half; "
        f"bound {bound:.2f}"
    ).replace("-", "−")
    return Outcome(NOT_TESTABLE, f"{text}; {WHY}", numbers)


def draw(evidence: Evidence) -> Drawn:
    """Mean over the seeds with the interquartile band, the fitted power law and the bound's slope."""
    found = _records(evidence)
    horizons = np.array([float(record.config["steps"]) for record in found])
    samples = [final(record, METRIC) for record in found]
    means = np.array([sample.mean() for sample in samples])
    bands = np.array([quartiles(sample) for sample in samples])
    figure, ((panel,),) = style.panels(1, 1, 3.3, width=4.6)
    panel.set(xscale="log", yscale="log", xlabel="horizon T", ylabel="mean of |∇φ| over iterates 0 … T−1")
    look = style.of_exponent(2)
    panel.fill_between(horizons, bands[:, 0], bands[:, 2], color=look["color"], alpha=0.25, linewidth=0)
    panel.plot(horizons, means, **look | {"linestyle": ""}, label="UniBiO, theorem's η(T), β(T), I, K; p = 2")
    table: dict[str, Any] = {"T": horizons, "mean": means}
    table |= {name: bands[:, i] for i, name in enumerate(("q25", "median", "q75"))}
    for name in ("upper_step", "momentum", "period", "inner_budget"):
        table[name] = [record.config["algorithm"][name] for record in found]
    tables = {"theorem_schedule": pd.DataFrame(table)}
    if len(horizons) >= 3 and np.isfinite(means).all():
        fit = fit_sweep(list(horizons), samples)
        text = f"fit: {fit.said()}"
        panel.plot(horizons, fit(horizons), color=style.BLACK, linewidth=1.0, label=text)
        row = [*fit.row(), bound_exponent(2)]
        tables["theorem_schedule_fit"] = pd.DataFrame([row], columns=[*COLUMNS, "bound"])
    reference = 1.12 * means[0] * (horizons / horizons[0]) ** bound_exponent(2)
    panel.plot(horizons, reference, color=style.GREY, linestyle=":", label="slope −1/4, the bound's")
    ticks = [v for v in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if 0.7 * means.min() <= v <= 1.4 * means.max()]
    if ticks:
        panel.set_yticks(ticks, labels=[f"{v:g}" for v in ticks])
        panel.minorticks_off()
    panel.legend(loc="lower left")
    return Drawn(figure, tables)


STUDY = Study(
    experiments=(EXPERIMENT,),
    drawings=(
        Drawing(
            "theorem_schedule",
            "Theorem 5.1's schedule at p = 2: final averaged norm against the horizon T.",
            draw,
        ),
    ),
    claims=(
        Claim(
            "theorem-schedule",
            "With the theorem's η(T), β(T), I and K at p = 2 the averaged norm falls at least as fast as T^(−1/4).",
            Kind.PAPER,
            "Theorem 5.1, Appendix D",
            theorem,
            exponents=(2,),
        ),
    ),
    caveats=(
        "Under the theorem's schedule the descent from x = 1 to the minimiser takes (1 + π/2)/η of the T "
        "iterations, a share proportional to 1/(ηT) = T^(−1/4) at p = 2 whatever the noise: the slope checks the "
        "schedule more than the estimator.",
    ),
)
