"""The nasty example: its penalty functions, and where methods end from several starts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from unibio.analysis.claims import NOT_REPRODUCED, NOT_RUN, REPRODUCED, Outcome
from unibio.analysis.curves import Array
from unibio.analysis.study import Study

EXPERIMENT = "nasty"
NAMES = {"f2sa": "F²SA", "f2ba": "F²BA", "proximal": "proximal, two loops", "bome": "BOME", "pbgd": "PBGD, joint"}
NAMES |= {"stocbio": "StocBiO", "soba": "SOBA"}
#: Distance to (0, 0) that counts as having arrived.
ARRIVED = 0.01


def value(x: Array) -> Array:
    """φ(x)."""
    return np.where(x == 0, 0.0, x**2 + 1)


def penalised_value(x: Array, penalty: float) -> Array:
    """𝓛*_λ(x)."""
    inside = x**2 + penalty * np.abs(x) - (penalty * x) ** 2 / 4
    return np.where(np.abs(x) <= 2 / penalty, inside, x**2 + 1)


def penalised_solution(x: Array, penalty: float) -> Array:
    """y*_λ(x)."""
    return np.clip(-penalty * x / 2, -1.0, 1.0)


def ends(study: Study) -> pd.DataFrame:
    """method, penalty (nan without), start_x, and at the end x_abs, y_abs, upper_loss, lower_gap and distance."""
    parts = []
    order = list(NAMES)
    for record in study.require(EXPERIMENT):
        history = record.history
        last = history.groupby("run").last().reset_index(drop=True)
        part = last[["start_x", "x_abs", "y_abs", "upper_loss", "lower_gap", "distance"]].copy()
        part.insert(0, "penalty", last.get("penalty", math.nan))
        part.insert(0, "method", record.config["algorithm"]["name"])
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    return table.iloc[np.lexsort((table["start_x"], table["penalty"], table["method"].map(order.index)))].reset_index(
        drop=True
    )


def penalties(study: Study) -> list[float]:
    """The fixed penalties of the records, ascending."""
    return sorted(float(v) for v in ends(study)["penalty"].dropna().unique())


def reached(study: Study) -> Outcome:
    """Whether joint PBGD ends at (0, 0) from every start and at every γ; the other methods' shares beside it."""
    table = ends(study)
    if "pbgd" not in set(table["method"]):
        return Outcome(NOT_RUN, f"{EXPERIMENT} needs records of PBGD")
    arrived = table.assign(arrived=table["distance"] <= ARRIVED).groupby("method", sort=False)["arrived"].mean()
    shares = {NAMES[str(name)]: float(share) for name, share in arrived.items()}
    text = f"share of the runs that end within {ARRIVED:g} of (0, 0): " + ", ".join(
        f"{name} {share:.0%}" for name, share in shares.items()
    )
    return Outcome(REPRODUCED if shares[NAMES["pbgd"]] == 1 else NOT_REPRODUCED, text, {"share": shares})
