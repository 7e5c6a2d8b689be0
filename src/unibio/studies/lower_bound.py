"""The lower-bound construction: the level where ‖∇φ‖ settles under noise, against the penalty λ."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from unibio.quantiles import worst
from unibio.store.thinning import Kept
from unibio.studies.common import methods, style
from unibio.studies.common.claim import Claim
from unibio.studies.common.comparisons import every
from unibio.studies.common.curves import Array
from unibio.studies.common.drawing import Drawing, Drawn
from unibio.studies.common.evidence import Evidence, axes, column
from unibio.studies.common.kinds import Kind
from unibio.studies.common.rates import fit_sweep
from unibio.studies.common.study import Study
from unibio.studies.common.verdicts import CONSISTENT, NOT_RUN, NOT_TESTABLE, TAIL, VIOLATED, Outcome

EXPERIMENT = "lower_bound"

NAMES = {
    "fresh": f"{methods.label('f2ba')}, fresh samples",
    "shared": f"{methods.label('f2ba')}, one sample for both g_x",
    "stocbio": methods.label("stocbio"),
}
_LOOKS = {"fresh": methods.look("f2ba"), "shared": methods.look("f2ba", setting=1), "stocbio": methods.look("stocbio")}

#: How far the exponent of λ may be from 1.
OFF = 0.15
#: At the largest λ the level with fresh samples is at least this many times the others'.
APART = 3.0


def levels(evidence: Evidence) -> pd.DataFrame:
    """kind (key of ``NAMES``), penalty (nan without), level over the last part of the run, mean over the seeds, and its
    quartiles over the seeds, low and high."""
    rows = []
    for (kind, penalty), by_seed in levels_by_seed(evidence).items():
        low, high = np.quantile(by_seed, [0.25, 0.75])
        rows.append({"kind": kind, "penalty": penalty, "level": by_seed.mean(), "low": low, "high": high})
    table = pd.DataFrame(rows)
    return table.iloc[np.lexsort((table["penalty"], table["kind"].map(list(NAMES).index)))].reset_index(drop=True)


def levels_by_seed(evidence: Evidence) -> dict[tuple[str, float], Array]:
    """{(kind, penalty): (runs,) level over the last part of the run, by seed; inf where one diverged}."""
    found: dict[tuple[str, float], Array] = {}
    for record in evidence.require(EXPERIMENT):
        algorithm, history = record.config["algorithm"], record.history
        kind = str(algorithm.get("difference_samples") or algorithm["name"])
        late = history[["run", "iteration"]].assign(norm=worst(column(record, "hypergradient_norm")))
        late = late[late["iteration"] >= (1 - TAIL) * late["iteration"].max()]
        norms = late.groupby("run")["norm"].mean().reindex(range(len(record.runs))).to_numpy(dtype=float)
        norms = np.where((record.runs["status"] == "completed") & np.isfinite(norms), norms, np.inf)
        runs = record.runs.reset_index(drop=True)
        runs = runs if "penalty" in axes(record) else runs.assign(penalty=math.nan)
        for penalty, group in runs.groupby("penalty", dropna=False):
            at = group.sort_values("seed").index.to_numpy()
            found[kind, float(str(penalty))] = norms[at]
    return found


def grows_with_penalty(evidence: Evidence) -> Outcome:
    """With fresh samples the level is ∝ λ; one sample for both, or a noise-free second derivative, keeps it low.

    The interval of λ's exponent over the seeds must lie within ``OFF`` of 1, all of it, to be consistent and outside to
    be violated: an equivalence, which more noise makes less likely. The penalties are fixed beforehand.
    """
    by_seed, table = levels_by_seed(evidence), levels(evidence)
    fresh = table[table["kind"] == "fresh"]
    others = table[table["kind"] != "fresh"]
    if fresh.empty or set(NAMES) - {"fresh"} != set(others["kind"]):
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of {', '.join(NAMES.values())}")
    if len(fresh) < 3:
        return Outcome(NOT_TESTABLE, f"{len(fresh)} penalties are too few for an exponent")
    if not every(np.isfinite(table["level"])):
        return Outcome(NOT_TESTABLE, "runs diverged: they have no level")
    fit = fit_sweep(list(fresh["penalty"]), [by_seed["fresh", float(penalty)] for penalty in fresh["penalty"]])
    last = float(fresh["level"].iloc[-1])
    ratios = {NAMES[str(kind)]: last / float(part["level"].iloc[-1]) for kind, part in others.groupby("kind")}
    text = (
        f"the level grows like a power of λ with fresh samples, {fit.said()}, to {last:.3g} at λ = "
        f"{fresh['penalty'].iloc[-1]:g}; that is {', '.join(f'{v:.1f} times {name}' for name, v in ratios.items())}"
    )
    numbers = {"exponent": fit.slope, "interval": fit.interval, "ratio": ratios}
    if fit.interval is None:
        return Outcome(NOT_TESTABLE, text, numbers)
    low, high = fit.interval
    if high < 1 - OFF or low > 1 + OFF or min(ratios.values()) < APART:
        return Outcome(VIOLATED, text, numbers)
    inside = low >= 1 - OFF and high <= 1 + OFF
    return Outcome(CONSISTENT if inside else NOT_TESTABLE, text, numbers)


def draw(evidence: Evidence) -> Drawn:
    """Levels against λ; a method without one is a line across."""
    table = levels(evidence)
    figure, ((panel,),) = style.panels(1, 1, 3.3, width=4.8)
    panel.set(xscale="log", yscale="log", xlabel="λ", ylabel="level of ‖∇φ‖")
    for kind, part in table.groupby("kind", sort=False):
        look, label = _LOOKS[str(kind)], NAMES[str(kind)]
        if math.isnan(float(part["penalty"].iloc[0])):
            panel.axhline(float(part["level"].iloc[0]), label=label, **look | {"marker": ""})
            continue
        panel.fill_between(part["penalty"], part["low"], part["high"], color=look["color"], alpha=0.2, linewidth=0)
        panel.plot(part["penalty"], part["level"], label=label, **look)
        if kind == "fresh":
            last = part.iloc[-1]
            line = last["level"] * part["penalty"] / last["penalty"]
            panel.plot(part["penalty"], line, color=style.GREY, linestyle=":", linewidth=1, label="slope 1")
    ticks = sorted(table["penalty"].dropna().unique())
    panel.set_xticks(ticks, labels=[f"{v:g}" for v in ticks])
    panel.xaxis.minorticks_off()
    style.log_labels(panel.yaxis)
    style.legend_above(figure, panel.get_legend_handles_labels()[0], 2)
    return Drawn(figure, {"lower_bound": table})


STUDY = Study(
    experiments=(EXPERIMENT,),
    kept=Kept(metrics=("hypergradient_norm",)),
    drawings=(
        Drawing(
            "lower_bound",
            "The lower-bound construction with noise: the level where ‖∇φ‖ settles at one fixed step against λ; mean "
            "and quartiles over the seeds. Fresh samples: ∝ λ, so that accuracy ε at λ = 1/ε needs a step ∝ ε⁴ and ε⁻⁶ "
            "iterations. One sample for both g_x, or second derivatives: independent of λ, ε⁻⁴.",
            draw,
            title="The lower-bound construction: where noise lets ‖∇φ‖ settle",
        ),
    ),
    claims=(
        Claim(
            "lower-bound",
            "With noise on both levels the penalty multiplies the noise of its direction by λ, unless both g_x share a "
            "sample: the level where ‖∇φ‖ settles grows like λ.",
            Kind.SLIDES,
            "“Can we get better complexity”, “Stochastic Smoothness”, “Lower Bounds”",
            grows_with_penalty,
        ),
    ),
)
