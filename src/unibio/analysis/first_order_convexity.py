"""First-order methods under uniform convexity: do methods without second derivatives cross the vanishing Hessian?

On Example 3 every trajectory must cross x = 0, where y* = 0 and ∇²_yy g = 0 for p > 2. Criterion: oracle calls until
φ − min φ is at most ``NEAR`` and stays there. One large step jumps over the singular point, whatever the method makes
of it, so the best of a grid of steps is taken twice: among all runs, and among those with small steps. These step by at
most ``SMALL`` along ∇φ, with no single logged iteration from φ > ``SMALL`` to φ < −``SMALL`` (early ones are all
logged): an estimate far from ∇φ makes a small step large.

On ℓ_p-regression: the lowest φ at the end of the budget, over the steps and penalties searched.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from unibio.analysis.claims import NOT_REPRODUCED, NOT_RUN, NOT_TESTABLE, REPRODUCED, Outcome
from unibio.analysis.curves import Array, final
from unibio.analysis.study import Study, exponent
from unibio.records import Record

EXAMPLE3, REGRESSION = "first_order_example3", "first_order_lp"
EXPONENTS = (2, 4, 6, 8)
#: φ is near its minimum −sin 1 within this: 3% of its range.
NEAR = 0.05
#: The largest step along ∇φ that counts as small: a tenth of what separates the start from the singular point.
SMALL = 0.1
#: Calls at the largest p over those at p = 2 up to which p makes no difference worth the name.
UNAFFECTED = 2.0
FIRST_ORDER = {"f2sa": "F²SA", "f3sa": "F³SA", "f2ba": "F²BA", "proximal": "proximal, two loops"}
FIRST_ORDER |= {"proximal_momentum": "proximal, one loop", "bome": "BOME", "pbgd joint": "PBGD, joint"}
FIRST_ORDER |= {"pbgd blockwise": "PBGD, blockwise"}
SECOND_ORDER = {"unibio": "UniBiO", "soba": "SOBA", "stocbio": "StocBiO"}
NAMES = FIRST_ORDER | SECOND_ORDER
#: Methods whose direction is ∇𝓛_λ/λ: their step along ∇φ is the upper step over the penalty.
SCALED = ("pbgd", "proximal", "proximal_momentum")


def method(record: Record) -> str:
    """Key of ``NAMES``."""
    algorithm = record.config["algorithm"]
    return f"pbgd {algorithm['update']}" if algorithm["name"] == "pbgd" else str(algorithm["name"])


def steps_along(record: Record) -> Array:
    """(runs,) the step along ∇φ of every run."""
    steps = record.runs["upper_step"].to_numpy(dtype=float)
    return steps / record.runs["penalty"].to_numpy(dtype=float) if method(record).split()[0] in SCALED else steps


def small_steps(record: Record) -> NDArray[np.bool_]:
    """(runs,) whether a run has small steps, see above."""
    history = record.history
    value, run = history["value"].to_numpy(dtype=float), history["run"].to_numpy()
    together = (run[1:] == run[:-1]) & (np.diff(history["iteration"].to_numpy()) == 1)
    jumps = together & (value[:-1] > SMALL) & ~(value[1:] >= -SMALL)
    small: NDArray[np.bool_] = steps_along(record) <= SMALL * (1 + 1e-9)
    small[np.unique(run[1:][jumps])] = False
    return small


def settled(record: Record) -> Array:
    """(runs,) oracle calls by which φ is near its minimum for good; inf where it never is, or the run diverged."""
    history = record.history
    run, spent = history["run"].to_numpy(), history["oracle_calls"].to_numpy(dtype=float)
    far = ~(history["value"].to_numpy(dtype=float) + math.sin(1.0) <= NEAR)
    row = np.arange(len(run))
    ends = np.flatnonzero(np.append(run[1:] != run[:-1], True))  # rows are sorted by run
    starts = np.append(0, ends[:-1] + 1)
    # The row after the last that is far, or the run's first.
    first = np.maximum(np.maximum.reduceat(np.where(far, row, -1), starts) + 1, starts)
    calls = np.full(len(record.runs), np.inf)
    near = first <= ends
    calls[run[ends[near]]] = spent[first[near]]
    calls[(record.runs["status"] != "completed").to_numpy()] = np.inf
    return calls


def example3(study: Study) -> pd.DataFrame:
    """One row per p and method: calls with all steps and with small ones, and the share of the runs that settle."""
    return study.once(_example3).copy()


def _example3(study: Study) -> pd.DataFrame:
    rows = []
    for record in study.require(EXAMPLE3):
        calls, small = settled(record), small_steps(record)
        row = {"p": exponent(record), "method": method(record), "runs": len(calls)}
        row |= {"calls": float(calls.min()), "calls_small": float(calls[small].min(initial=np.inf))}
        row |= {"share": float(np.isfinite(calls).mean())}
        row |= {"share_small": float(np.isfinite(calls[small]).mean()) if small.any() else math.nan}
        rows.append(row)
    order = list(NAMES)
    table = pd.DataFrame(rows)
    return table.iloc[np.lexsort((table["method"].map(order.index), table["p"]))].reset_index(drop=True)


def regression(study: Study) -> pd.DataFrame:
    """One row per p and method: median, least and largest φ at the end over the seeds, at the best median."""
    rows = []
    for record in study.require(REGRESSION):
        runs = record.runs.reset_index(drop=True)
        axes = [name for name in ("upper_step", "lower_step", "penalised_step", "penalty") if name in runs]
        values = runs.assign(value=final(record, "value"), test_accuracy=final(record, "test_accuracy"))
        worst = values.groupby(axes, sort=False)["value"].agg(lambda v: np.quantile(v, 0.5, method="higher"))
        best = worst.idxmin() if np.isfinite(worst).any() else None
        chosen = (
            values
            if best is None
            else values[np.logical_and.reduce([values[a] == v for a, v in zip(axes, best, strict=True)])]
        )
        value = chosen["value"].to_numpy(dtype=float)
        row = {"p": exponent(record), "method": method(record), "value": float(worst.min())}
        row |= {"value_min": float(value.min()), "value_max": float(value.max()), "seeds": len(value)}
        row |= {"test_accuracy": float(chosen["test_accuracy"].median())}
        row |= dict(zip(axes, best, strict=True)) if best is not None else {}
        rows.append(row)
    order = list(NAMES)
    table = pd.DataFrame(rows)
    return table.iloc[np.lexsort((table["method"].map(order.index), table["p"]))].reset_index(drop=True)


def crosses(name: str) -> Callable[[Study], Outcome]:
    """Whether a method settles with small steps for every p > 2; p = 2, without a singular point, is the control."""

    def rule(study: Study) -> Outcome:
        table = example3(study)
        own = table[table["method"] == name].set_index("p")
        if not set(EXPONENTS) <= set(own.index):
            return Outcome(NOT_RUN, f"{EXAMPLE3} needs records of {NAMES[name]} for p = 2, 4, 6, 8")
        shown = ", ".join(f"{_calls(own['calls_small'][p])} (p = {p})" for p in EXPONENTS)
        free = ", ".join(_calls(own["calls"][p]) for p in EXPONENTS)
        text = f"oracle calls at the best small steps: {shown}; with any step: {free}"
        numbers = {key: {int(p): _finite(v) for p, v in own[key].items()} for key in ("calls_small", "calls")}
        if not np.isfinite(own["calls_small"][2]):
            return Outcome(NOT_TESTABLE, f"{text}; not even at p = 2", numbers)
        return Outcome(REPRODUCED if np.isfinite(own["calls_small"]).all() else NOT_REPRODUCED, text, numbers)

    return rule


def unaffected(study: Study) -> Outcome:
    """Whether calls with small steps grow at most by ``UNAFFECTED`` from p = 2 to 8, for every first-order method."""
    table = example3(study)
    wide = table.pivot(index="method", columns="p", values="calls_small")
    if not set(EXPONENTS) <= set(wide.columns):
        return Outcome(NOT_RUN, f"{EXAMPLE3} needs records for p = 2, 4, 6, 8")
    ratio = (wide[8] / wide[2]).where(np.isfinite(wide[2]))
    own = ratio[[name for name in FIRST_ORDER if name in ratio.index]].dropna()
    text = "calls at p = 8 over those at p = 2, with small steps: " + ", ".join(
        f"{NAMES[name]} {v:.2g}" if math.isfinite(v) else f"{NAMES[name]} never" for name, v in own.items()
    )
    others = ratio[[name for name in SECOND_ORDER if name in ratio.index]].dropna()
    text += "; beside them " + ", ".join(f"{NAMES[name]} {v:.2g}" for name, v in others.items())
    numbers = {NAMES[str(name)]: _finite(v) for name, v in ratio.items()}
    return Outcome(REPRODUCED if len(own) and (own <= UNAFFECTED).all() else NOT_REPRODUCED, text, numbers)


def lower_than_second_order(study: Study) -> Outcome:
    """Whether for every p some first-order method ends lower on ℓ_p-regression than all methods with the Hessian."""
    table = regression(study)
    said, states, numbers = [], [], {}
    for p in EXPONENTS:
        here = table[(table["p"] == p) & np.isfinite(table["value"])].sort_values("value", kind="stable")
        first, second = (here[here["method"].isin(kind)] for kind in (FIRST_ORDER, SECOND_ORDER))
        if first.empty or second.empty:
            return Outcome(NOT_RUN, f"{REGRESSION} needs methods of both kinds for p = {p}")
        a, b = first.iloc[0], second.iloc[0]
        states.append(-1 if a["value_max"] < b["value_min"] else (1 if a["value_min"] > b["value_max"] else 0))
        said.append(f"p = {p}: {a['value']:.4f} ({NAMES[a['method']]}) against {b['value']:.4f} ({NAMES[b['method']]})")
        numbers[f"p = {p}"] = {NAMES[row["method"]]: float(row["value"]) for _, row in here.iterrows()}
    text = f"lowest φ of a first-order method against the lowest of the others: {'; '.join(said)}"
    if table["seeds"].min() < 2:
        return Outcome(NOT_TESTABLE, f"{text}; one seed tells nothing apart", numbers)
    if 1 in states:
        return Outcome(NOT_REPRODUCED, text, numbers)
    return Outcome(NOT_TESTABLE if 0 in states else REPRODUCED, text, numbers)


def _calls(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "never"


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
