"""What the rules and figures of nondegeneracy are made of: errors by place and σ, ends of runs, PL constants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from unibio.errors import InputError
from unibio.store.records import Record
from unibio.studies.common.evidence import Evidence, column, method
from unibio.studies.common.rates import fit_power_law

POINTS, RUNS, NETWORK_RUNS, PL = ("nondegeneracy", "nondegeneracy_runs", "shallow_network_runs", "shallow_network_pl")
#: Places where both conditions hold, and those where strict complementarity, LICQ, or both and more fail.
NONDEGENERATE, KINK, CORNER, JUMP = ("interior", "face", "cut", "vertex"), "kink", "corner", "jump"
PLACES = (*NONDEGENERATE, KINK, CORNER, JUMP)
NETWORK = "network"
METHODS = ("f2sa", "proximal", "proximal_momentum")

#: Smallest σ are those at most this far above the least; what holds "for small σ" is judged on them.
DECADES = 3.0
ERRORS = {"value_error": "|φ − 𝓛*_λ|", "gradient_error": "‖∇φ − ∇𝓛*_λ‖"}
#: Powers of ‖f_y‖ that theory takes as bounded in them.
POWERS = {"value_error": 2, "gradient_error": 1}


def _starts(record: Record) -> pd.DataFrame:
    """The rows of the start, with σ."""
    first = record.history[record.history["iteration"] == 0].copy()
    return first.assign(sigma=1 / first["penalty"].astype(float))


def points(evidence: Evidence) -> pd.DataFrame:
    """place, modulus, distance, sigma and the metrics of every point of the polytope; not to be changed.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a place is missing.
    """
    return evidence.once(_points)


def _points(evidence: Evidence) -> pd.DataFrame:
    parts = [
        _starts(record).assign(place=str(record.config["problem"]["place"]))
        for record in evidence.require(POINTS)
        if record.config["problem"]["name"] == "polytope"
    ]
    there = {str(part["place"].iloc[0]) for part in parts}
    if absent := [place for place in PLACES if place not in there]:
        raise InputError(f"{POINTS} lacks records of {', '.join(absent)}")
    return pd.concat(parts, ignore_index=True)


def network_points(evidence: Evidence) -> pd.DataFrame:
    """start_x, sigma and the metrics of every point of the network.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: it was, without the network.
    """
    parts = [_starts(one) for one in evidence.require(POINTS) if one.config["problem"]["name"] == "shallow_network"]
    if not parts:
        raise InputError(f"{POINTS} lacks records of the network")
    return pd.concat(parts, ignore_index=True)


def worst(evidence: Evidence) -> pd.DataFrame:
    """place, modulus, sigma and the largest errors over the points near the place but not on it; NaN where one is."""
    found = points(evidence)
    near = found[found["distance"] > 0]
    largest = {name: lambda part: part.max(skipna=False) for name in (*ERRORS, "upper_slope")}
    polytope = near.groupby(["place", "modulus", "sigma"], as_index=False).agg(largest)
    own = network_points(evidence).groupby("sigma", as_index=False).agg({name: largest[name] for name in ERRORS})
    return pd.concat([polytope, own.assign(place=NETWORK, modulus=math.nan)], ignore_index=True)


def _small(part: pd.DataFrame) -> pd.DataFrame:
    return part[part["sigma"] <= part["sigma"].min() * 10**DECADES * (1 + 1e-9)]


def in_sigma(evidence: Evidence) -> pd.DataFrame:
    """place, modulus and the exponent of σ of every error over the smallest σ; NaN where it cannot be fitted."""
    rows = []
    for (place, modulus), part in worst(evidence).groupby(["place", "modulus"], dropna=False):
        small, row = _small(part), {"place": place, "modulus": modulus}
        for name in ERRORS:
            try:
                row[name] = fit_power_law(small["sigma"], small[name]).slope if len(small) >= 4 else math.nan
            except InputError:  # an error that is 0 or not defined
                row[name] = math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def in_modulus(evidence: Evidence, name: str) -> dict[str, float]:
    """{nondegenerate place: exponent of 1/μ of an error over its power of ‖f_y‖, at the least σ}; NaN without fit."""
    found = worst(evidence)
    found = found[found["sigma"] == found["sigma"].min()]
    slopes = {}
    for place in NONDEGENERATE:
        part = found[found["place"] == place].sort_values("modulus", ascending=False)
        try:
            slopes[place] = fit_power_law(1 / part["modulus"], part[name] / part["upper_slope"] ** POWERS[name]).slope
        except InputError:
            slopes[place] = math.nan
    return slopes


def reached(evidence: Evidence, experiment: str, methods: Sequence[str]) -> pd.DataFrame:
    """method, place, epsilon (= σ), runs, share of the runs that end ε-stationary, end (their largest) and calls.

    ``calls`` is the largest number of oracle calls over the runs at the first logged row from which on a run stays
    ε-stationary; inf where one does not.

    Raises:
        MissingRecordsError: the experiment was not run.
        InputError: a method is missing.
    """
    rows = []
    for record in evidence.require(experiment):
        name, problem = method(record), record.config["problem"]
        if name not in methods:
            continue
        epsilon = 1 / float(problem["penalty"])
        ends, calls = [], []
        history = record.history.assign(stationarity=column(record, "stationarity"))
        completed = (record.runs["status"] == "completed").to_numpy()
        for run, part in history.groupby("run"):
            values = part["stationarity"].to_numpy(dtype=float)
            ends.append(values[-1] if completed[int(str(run))] and np.isfinite(values[-1]) else math.inf)
            above = np.flatnonzero(~(values <= epsilon))
            after = above[-1] + 1 if len(above) else 0
            calls.append(part["oracle_calls"].to_numpy(dtype=float)[after] if after < len(values) else math.inf)
        rows.append(
            {
                "method": name,
                "place": str(problem.get("place", NETWORK)),
                "epsilon": epsilon,
                "runs": len(ends),
                "share": float(np.mean(np.array(ends) <= epsilon)),
                "end": max(ends),
                "calls": max(calls),
            }
        )
    found = pd.DataFrame(rows, columns=["method", "place", "epsilon", "runs", "share", "end", "calls"])
    if absent := [name for name in methods if name not in set(found["method"])]:
        raise InputError(f"{experiment} lacks records of {', '.join(absent)}")
    return found.sort_values(["method", "place", "epsilon"], ignore_index=True)


def pl_constants(evidence: Evidence) -> pd.DataFrame:
    """width, fits (whether there are units enough), run, first and least PL constant, and how far the gap fell.

    Raises:
        MissingRecordsError: the experiment was not run.
    """
    rows = []
    for record in evidence.require(PL):
        problem = record.config["problem"]
        completed = (record.runs["status"] == "completed").to_numpy()
        for run, part in record.history.groupby("run"):
            ratios, gaps = (part[name].to_numpy(dtype=float) for name in ("pl_constant", "lower_gap"))
            known = ratios[np.isfinite(ratios)]
            finished = completed[int(str(run))] and len(known) and np.isfinite(ratios[0]) and np.isfinite(gaps[-1])
            rows.append(
                {
                    "width": int(problem["width"]),
                    "fits": int(problem["width"]) >= int(problem["points"]),
                    "run": int(str(run)),
                    "first": ratios[0],
                    "least": known.min() if finished else math.nan,
                    "fell": max(gaps[-1], 0.0) / gaps[0] if finished else math.nan,
                }
            )
    return pd.DataFrame(rows).sort_values(["width", "run"], ignore_index=True)
