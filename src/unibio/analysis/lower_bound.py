"""The lower-bound construction: the level where ‖∇φ‖ settles under noise, against the penalty λ."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from unibio.analysis.claims import CONSISTENT, NOT_RUN, NOT_TESTABLE, VIOLATED, Outcome
from unibio.analysis.rates import fit_power_law
from unibio.analysis.study import Study

EXPERIMENT = "lower_bound"
NAMES = {"fresh": "F²BA, fresh samples", "shared": "F²BA, one sample for both g_x", "stocbio": "StocBiO"}
#: The last part of a run, whose average is the level.
TAIL = 0.2
#: How far the exponent of λ may be from 1.
OFF = 0.15
#: At the largest λ the level with fresh samples is at least this many times the others'.
APART = 3.0


def levels(study: Study) -> pd.DataFrame:
    """kind (key of ``NAMES``), penalty (nan without), level (mean over tail and seeds), low and high (quartiles)."""
    rows = []
    for record in study.require(EXPERIMENT):
        algorithm, history = record.config["algorithm"], record.history
        kind = str(algorithm.get("difference_samples") or algorithm["name"])
        late = history[history["iteration"] >= (1 - TAIL) * history["iteration"].max()]
        late = late if "penalty" in late else late.assign(penalty=math.nan)
        for penalty, part in late.groupby("penalty", dropna=False):
            by_seed = part.groupby("run")["hypergradient_norm"].mean()
            low, high = np.quantile(by_seed, [0.25, 0.75])
            rows.append({"kind": kind, "penalty": penalty, "level": by_seed.mean(), "low": low, "high": high})
    table = pd.DataFrame(rows)
    order = list(NAMES)
    return table.iloc[np.lexsort((table["penalty"], table["kind"].map(order.index)))].reset_index(drop=True)


def grows_with_penalty(study: Study) -> Outcome:
    """With fresh samples the level is ∝ λ; one sample for both, or a noise-free second derivative, keeps it low."""
    table = levels(study)
    fresh = table[table["kind"] == "fresh"]
    others = table[table["kind"] != "fresh"]
    if fresh.empty or others.empty:
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs fresh samples and something to compare with")
    if len(fresh) < 3:
        return Outcome(NOT_TESTABLE, f"{len(fresh)} penalties are too few for an exponent")
    slope = fit_power_law(fresh["penalty"], fresh["level"]).slope
    last = float(fresh["level"].iloc[-1])
    ratios = {NAMES[str(kind)]: last / float(part["level"].iloc[-1]) for kind, part in others.groupby("kind")}
    text = (
        f"the level grows like λ^{slope:.2f} with fresh samples, to {last:.3g} at λ = {fresh['penalty'].iloc[-1]:g}; "
        f"that is {', '.join(f'{v:.1f} times {name}' for name, v in ratios.items())}"
    )
    ok = abs(slope - 1) <= OFF and min(ratios.values()) >= APART
    return Outcome(CONSISTENT if ok else VIOLATED, text, {"exponent": slope, "ratio": ratios})
