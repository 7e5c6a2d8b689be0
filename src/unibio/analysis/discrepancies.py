"""What local deviations of the released code do: each variant beside the method it deviates from, from records.

A method that has come to rest moves along a direction of 0. Full batch, ‖∇φ‖ at its rest is therefore the bias of its
hypergradient there; the published method's own rest tells how much of it is the estimator's (a finite Neumann sum, a
random length) or the step's (UniBiO's is normalised and never rests: it circles at a distance of about a step).
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


def by_step(study: Study) -> pd.DataFrame:
    """method, published, upper_step; medians over seeds of final ‖∇φ‖ and first hit; share of finite runs."""
    return study.once(_by_step).copy()


def _by_step(study: Study) -> pd.DataFrame:
    rows = []
    for record in study.require("discrepancies"):
        name = str(record.config["algorithm"]["name"])
        table = record.runs.assign(end=np.minimum(final(record, METRIC), 1e300), hit=_hits(record))
        for step, runs in table.groupby("upper_step"):
            row = {"method": name, "published": PUBLISHED.get(name, name), "upper_step": float(str(step))}
            row |= {"final": float(runs["end"].median()), "iterations": float(runs["hit"].median())}
            rows.append(row | {"finite": float((runs["status"] == "completed").mean())})
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
    """One row per method and variant: its bias (smallest ‖∇φ‖ it comes to over the steps), the largest step at which
    all runs stay finite, the fewest iterations to the target."""
    rows = []
    for (published, name), group in table.groupby(["published", "method"], sort=False):
        stable = group.loc[group["finite"] == 1, "upper_step"]
        row = {"method": name, "published": published, "bias": group["final"].min()}
        row |= {"largest stable step": stable.max() if len(stable) else np.nan}
        rows.append(row | {"fewest iterations to target": group.loc[group["finite"] == 1, "iterations"].min()})
    found = pd.DataFrame(rows)
    found["bias over published"] = found["bias"].clip(lower=ROUNDING)
    own = found[found["method"] == found["published"]].set_index("published")["bias over published"]
    found["bias over published"] /= found["published"].map(own)
    return found
