"""What local deviations of the released code do: each variant beside the method it deviates from, from records.

A method that has come to rest moves along a direction of 0. Full batch, ‖∇φ‖ at its rest is therefore the bias of its
hypergradient there. Not every method rests: TTSA's and SUSTAIN's Neumann sums of random lengths keep their variance,
and UniBiO's normalised step circles at a distance of about a step. What each comes to is compared with what the
published method does, which has the same finite sums, lengths and steps.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from unibio.analysis.curves import final
from unibio.analysis.study import Study
from unibio.records import Record

#: variant → published method, as the names of algorithms go.
PUBLISHED = {
    "stocbio_headless": "stocbio",
    "stocbio_accumulating": "stocbio",
    "ttsa_bare": "ttsa",
    "saba_opposite": "saba",
    "saba_history": "saba",
    "sustain_lagging": "sustain",
    "sustain_two_lengths": "sustain",
    "vrbo_stale": "vrbo",
    "unibio_transposed": "unibio",
}
METRIC = "hypergradient_norm"
#: Below this ‖∇φ‖ at rest is rounding.
ROUNDING = 1e-9
#: A run whose ‖∇φ‖ ends at this many times that of its start diverges, whether or not its numbers are still finite. A
#: rest off the solution (SABA's sign: twice the start) and a circle of the largest step are not that.
GROWN = 10.0
#: Columns of ``summary``.
SMALLEST, TIMES = "smallest ‖∇φ‖ reached", "times the published method's"


def by_step(study: Study) -> pd.DataFrame:
    """method, published, upper_step; medians over seeds of final ‖∇φ‖ and first hit; part of the runs that are stable,
    that is completed and not ``GROWN``."""
    return study.once(_by_step).copy()


def _by_step(study: Study) -> pd.DataFrame:
    rows = []
    for record in study.require("discrepancies"):
        name = str(record.config["algorithm"]["name"])
        end = final(record, METRIC)
        start = record.history.groupby("run")[METRIC].first().reindex(range(len(end))).to_numpy(dtype=float)
        table = record.runs.assign(end=np.minimum(end, 1e300), hit=_hits(record), stable=end < GROWN * start)
        for step, runs in table.groupby("upper_step"):
            row = {"method": name, "published": PUBLISHED.get(name, name), "upper_step": float(str(step))}
            row |= {"final": float(runs["end"].median()), "iterations": float(runs["hit"].median())}
            rows.append(row | {"stable": float(runs["stable"].mean())})
    found = pd.DataFrame(rows)
    found["final"] = found["final"].where(found["final"] < 1e200, np.inf)
    found["place"] = found["method"] != found["published"]
    return (
        found.sort_values(["published", "place", "method", "upper_step"]).drop(columns="place").reset_index(drop=True)
    )


def _hits(record: Record) -> np.ndarray:
    columns = [name for name in record.runs if name.startswith(f"iterations_to {METRIC}<")]
    if not columns:
        return np.full(len(record.runs), np.inf)
    return record.runs[min(columns)].fillna(np.inf).to_numpy(dtype=float)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per method and variant, over the steps at which all its runs are stable: the smallest ‖∇φ‖ that it comes
    to (nan without such a step) and how many times that of the published method this is, both not below ``ROUNDING``;
    the largest such step; the fewest iterations to the target."""
    rows = []
    for (published, name), group in table.groupby(["published", "method"], sort=False):
        stable = group[group["stable"] == 1]
        row = {"method": name, "published": published, SMALLEST: stable["final"].min()}
        row |= {"largest stable step": stable["upper_step"].max()}
        rows.append(row | {"fewest iterations to target": stable["iterations"].min()})
    found = pd.DataFrame(rows)
    clipped = found[SMALLEST].clip(lower=ROUNDING)
    own = clipped[found["method"] == found["published"]]
    own.index = found.loc[own.index, "published"]
    found[TIMES] = clipped / found["published"].map(own)
    return found
